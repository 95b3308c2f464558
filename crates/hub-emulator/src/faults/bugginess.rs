//! Faults by chance.

use serde::{Deserialize, Serialize};

use super::Chance;
use crate::error::{Error, ErrorKind};

/// What strikes only when it is asked for by name.
const WHEN_ASKED: [&str; 4] = ["refuse_acks", "malformed", "close", "expire_subscription"];

/// Makes faults strike by chance: with a probability, at every point where one could, one of those that fit there.
/// The same seed on a current-thread runtime with the same clients gives the same faults.
///
/// In JSON: `{"probability":0.01,"seed":1,"only":["reset"]}`, of which the last may be left out.
///
/// The points are, on the ftrack side: a connection opened, a handshake, a websocket request, and every packet of a
/// client; on the iModelHub side: every request. What struck is counted under its name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bugginess {
    probability: f64,
    seed: u64,
    #[serde(default)]
    only: Vec<String>,
}

impl Bugginess {
    /// With this probability, 0 to 1, from this seed.
    pub fn new(probability: f64, seed: u64) -> Self {
        Self { probability, seed, only: Vec::new() }
    }

    /// Only faults of these names. Default: of every name but `refuse_acks`, `malformed` and `close` on the ftrack
    /// side, which clients rightly take for the server's word, and `expire_subscription` on the iModelHub side.
    pub fn only<I: IntoIterator<Item: Into<String>>>(mut self, names: I) -> Self {
        self.only = names.into_iter().map(Into::into).collect();
        self
    }
}

impl Bugginess {
    /// # Errors
    ///
    /// The probability is none.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if (0.0..=1.0).contains(&self.probability) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::InvalidFault, "a probability is 0 to 1"))
    }
}

/// The same at work, choosing among actions.
#[derive(Clone, Debug)]
pub(crate) struct Buggy {
    pub(crate) asked: Bugginess,
    chance: Chance,
}

impl Buggy {
    /// `None`: never.
    pub(crate) fn new(bugginess: &Bugginess) -> Option<Self> {
        let chance = Chance::new(bugginess.seed);
        (bugginess.probability > 0.0).then(|| Self { asked: bugginess.clone(), chance })
    }

    /// At a point where these may strike: one of them, or more often none.
    pub(crate) fn decide<A>(&mut self, candidates: Vec<A>, name: impl Fn(&A) -> &'static str) -> Option<A> {
        if !self.chance.hits(self.asked.probability) {
            return None;
        }
        let mut fitting: Vec<A> = candidates
            .into_iter()
            .filter(|candidate| {
                let name = name(candidate);
                if self.asked.only.is_empty() {
                    !WHEN_ASKED.contains(&name)
                } else {
                    self.asked.only.iter().any(|known| known == name)
                }
            })
            .collect();
        if fitting.is_empty() {
            return None;
        }
        let index = self.chance.below(fitting.len() as u64);
        Some(fitting.swap_remove(usize::try_from(index).unwrap_or(0)))
    }

    pub(crate) fn chance(&mut self) -> &mut Chance {
        &mut self.chance
    }
}
