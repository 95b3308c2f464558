//! How long to wait before the next attempt: full jitter, capped, reset only by a link that held.

use std::time::Duration;

/// The pauses between connection attempts, and how long one may take.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReconnectPolicy {
    /// The longest first pause. Default 500 ms.
    pub first: Duration,
    /// The longest pause of all. Default 30 s.
    pub max: Duration,
    /// How long a link must have held before the pauses start anew. Default 60 s.
    pub stable_after: Duration,
    /// How long one attempt may take. Default 30 s.
    pub attempt_timeout: Duration,
}

impl Default for ReconnectPolicy {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(500),
            max: Duration::from_secs(30),
            stable_after: Duration::from_secs(60),
            attempt_timeout: Duration::from_secs(30),
        }
    }
}

/// The state of the pauses.
#[derive(Debug)]
pub(super) struct Backoff {
    policy: ReconnectPolicy,
    doublings: u32,
}

impl Backoff {
    pub(super) fn new(policy: ReconnectPolicy) -> Self {
        Self { policy, doublings: 0 }
    }

    /// The next pause: a `random` share (0 to 1) of a limit that doubles each time.
    pub(super) fn next(&mut self, random: f64) -> Duration {
        let limit = self.policy.first.saturating_mul(1 << self.doublings.min(20)).min(self.policy.max);
        self.doublings = self.doublings.saturating_add(1);
        limit.mul_f64(random.clamp(0.0, 1.0))
    }

    /// A link ended that had held this long.
    pub(super) fn held(&mut self, lasted: Duration) {
        if lasted >= self.policy.stable_after {
            self.doublings = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_double_up_to_the_cap_and_reset_only_after_a_good_minute() {
        let mut backoff = Backoff::new(ReconnectPolicy::default());
        let limits: Vec<u128> = (0..9).map(|_| backoff.next(1.0).as_millis()).collect();
        assert_eq!(limits, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
        backoff.held(Duration::from_secs(59));
        assert_eq!(backoff.next(1.0).as_secs(), 30);
        backoff.held(Duration::from_secs(60));
        assert_eq!(backoff.next(0.5).as_millis(), 250);
    }
}
