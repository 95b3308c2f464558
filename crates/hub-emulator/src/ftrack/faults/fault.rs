//! A fault: an action, and whom it strikes when.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::action::{Action, Stage};

/// Misbehaviour towards connections to come. Admin requests are never hit.
///
/// The same form in JSON, for the admin routes:
/// `{"match":{"user":"ann"},"skip":1,"times":2,"after":{"packets":10},"action":{"do":"reset"}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    #[serde(default, rename = "match")]
    pub(super) filter: Filter,
    #[serde(default)]
    pub(super) skip: u64,
    #[serde(default = "once")]
    pub(super) times: u64,
    #[serde(default)]
    pub(super) after: After,
    #[serde(default)]
    pub(super) at: Option<Stage>,
    pub(super) action: Action,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    #[serde(default)]
    pub(super) user: Option<String>,
}

const fn once() -> u64 {
    1
}

/// How long into an event connection a fault strikes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum After {
    /// At its beginning.
    #[default]
    Start,
    /// After so many packets from the client, heartbeats included, are dealt with.
    Packets(u64),
    /// After packets with so many bytes are dealt with.
    Bytes(u64),
    /// After so many milliseconds.
    Ms(u64),
}

impl Fault {
    /// This, towards the next connection, at the action's own stage.
    pub fn new(action: Action) -> Self {
        Self { filter: Filter::default(), skip: 0, times: once(), after: After::Start, at: None, action }
    }

    /// Only connections of this user. Not at [`Stage::Connect`], where the user is not known.
    pub fn user(mut self, name: impl Into<String>) -> Self {
        self.filter.user = Some(name.into());
        self
    }

    /// Lets so many fitting connections pass first.
    pub fn skip(mut self, connections: u64) -> Self {
        self.skip = connections;
        self
    }

    /// Hits so many connections; 0: all, until faults are cleared. Default 1.
    pub fn times(mut self, connections: u64) -> Self {
        self.times = connections;
        self
    }

    /// Strikes at another stage than the action's own.
    pub fn at(mut self, stage: Stage) -> Self {
        self.at = Some(stage);
        self
    }

    /// Strikes after so many packets from the client, heartbeats included, are dealt with.
    pub fn after_packets(mut self, packets: u64) -> Self {
        self.after = After::Packets(packets);
        self
    }

    /// Strikes after packets with so many bytes are dealt with.
    pub fn after_bytes(mut self, bytes: u64) -> Self {
        self.after = After::Bytes(bytes);
        self
    }

    /// Strikes so long after the event connection's start; whole milliseconds.
    pub fn after(mut self, time: Duration) -> Self {
        self.after = After::Ms(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        self
    }

    pub(super) fn stage(&self) -> Stage {
        self.at.unwrap_or_else(|| self.action.stage())
    }

    /// What is wrong with it, if anything is.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        self.action.check()?;
        let stage = self.stage();
        if !self.action.fits(stage) {
            return Err("this action cannot strike at that stage");
        }
        if stage != Stage::Link && self.after != After::Start {
            return Err("before the event connection is up there is nothing to count");
        }
        if stage != Stage::Link && stage != Stage::Handshake && self.filter.user.is_some() {
            return Err("the user is known at the handshake and at the link only");
        }
        Ok(())
    }
}
