//! What went wrong on demand, and how often.

use std::collections::BTreeMap;

/// Counts by the name of what fired; none of them ever goes down.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fired(BTreeMap<&'static str, u64>);

impl Fired {
    pub(crate) fn count(&mut self, name: &'static str) {
        *self.0.entry(name).or_default() += 1;
    }

    pub(crate) fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.0.clone()
    }
}
