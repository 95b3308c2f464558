//! A fault: an action, and which requests it hits.

use serde::{Deserialize, Serialize};

use super::action::Action;

/// Misbehaviour towards requests to come. Admin requests are never hit.
///
/// The same form in JSON, for `POST /admin/faults`:
/// `{"match":{"method":"DELETE","path":"messages/head"},"skip":1,"times":2,"action":{"do":"status","status":503}}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    #[serde(default, rename = "match")]
    pub(super) filter: Filter,
    #[serde(default)]
    pub(super) skip: u64,
    #[serde(default = "once")]
    pub(super) times: u64,
    pub(super) action: Action,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    pub(super) method: Option<String>,
    pub(super) path: Option<String>,
}

const fn once() -> u64 {
    1
}

impl Fault {
    /// This, towards the next request.
    pub fn new(action: Action) -> Self {
        Self { filter: Filter::default(), skip: 0, times: once(), action }
    }

    /// Only requests of this method.
    pub fn method(mut self, method: impl Into<String>) -> Self {
        self.filter.method = Some(method.into());
        self
    }

    /// Only requests whose path and query match this regular expression, of whatever case.
    pub fn path(mut self, regex: impl Into<String>) -> Self {
        self.filter.path = Some(regex.into());
        self
    }

    /// Lets this many matching requests pass first.
    pub fn skip(mut self, requests: u64) -> Self {
        self.skip = requests;
        self
    }

    /// Hits this many requests; 0: all, until faults are cleared. Default 1.
    pub fn times(mut self, requests: u64) -> Self {
        self.times = requests;
        self
    }
}
