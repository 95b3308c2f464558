//! Times of many round trips, and what of them is told.

use std::time::Instant;

use serde_json::{Value, json};

/// See the module.
#[derive(Debug)]
pub(crate) struct Latencies(Vec<u64>);

impl Latencies {
    /// Room for so many.
    pub(crate) fn with_capacity(count: u64) -> Self {
        Self(Vec::with_capacity(usize::try_from(count).unwrap_or(0)))
    }

    /// The present time.
    #[expect(clippy::disallowed_methods, reason = "measures")]
    pub(crate) fn now() -> Instant {
        Instant::now()
    }

    /// One that began then and ends now.
    pub(crate) fn add(&mut self, began: Instant) {
        self.0.push(u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX));
    }

    /// The times of others.
    pub(crate) fn extend(&mut self, times: impl IntoIterator<Item = u64>) {
        self.0.extend(times);
    }

    /// Adds `p50_us`, `p99_us` and `p999_us` to an answer.
    pub(crate) fn report(mut self, mut answer: Value) -> Value {
        self.0.sort_unstable();
        for (name, thousandths) in [("p50_us", 500), ("p99_us", 990), ("p999_us", 999)] {
            let at = (self.0.len() * thousandths / 1000).min(self.0.len().saturating_sub(1));
            #[expect(clippy::cast_precision_loss, reason = "times are far below 2^53 ns")]
            let us = self.0.get(at).map(|ns| *ns as f64 / 1e3);
            answer[name] = json!(us);
        }
        answer
    }
}
