//! Faults by chance.

use super::Chance;
use crate::error::{Error, ErrorKind};

/// What strikes only when it is asked for by name.
const WHEN_ASKED: [&str; 4] = ["refuse_acks", "malformed", "close", "expire_subscription"];

/// Makes faults strike by chance: with a probability, at every point where one could, one of those that fit there.
/// The same seed on a current-thread runtime with the same clients gives the same faults.
///
/// The points are, on the ftrack side: a connection opened, a handshake, a websocket request, and every packet of a
/// client; on the iModelHub side: every request. What struck is counted under its name.
#[derive(Clone, Debug, PartialEq)]
pub struct Bugginess {
    pub(crate) probability: f64,
    pub(crate) seed: u64,
    pub(crate) only: Vec<String>,
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
    probability: f64,
    chance: Chance,
    only: Vec<String>,
}

impl Buggy {
    /// `None`: never.
    pub(crate) fn new(bugginess: &Bugginess) -> Option<Self> {
        let Bugginess { probability, seed, only } = bugginess.clone();
        (probability > 0.0).then(|| Self { probability, chance: Chance::new(seed), only })
    }

    /// At a point where these may strike: one of them, or more often none.
    pub(crate) fn decide<A>(&mut self, candidates: Vec<A>, name: impl Fn(&A) -> &'static str) -> Option<A> {
        if !self.chance.hits(self.probability) {
            return None;
        }
        let mut fitting: Vec<A> = candidates
            .into_iter()
            .filter(|candidate| {
                let name = name(candidate);
                if self.only.is_empty() {
                    !WHEN_ASKED.contains(&name)
                } else {
                    self.only.iter().any(|known| known == name)
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
