//! How long to wait before the next attempt: full jitter, capped, reset only by a link that held.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

/// Where the jitter of the pauses comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Jitter {
    /// From the operating system's randomness.
    #[default]
    Random,
    /// From this seed, the same pauses every time: for tests that must be repeatable.
    Seeded(u64),
}

impl Jitter {
    /// Numbers from here.
    pub fn shares(self) -> Shares {
        Shares(match self {
            Self::Random => RandomState::new().build_hasher().finish(),
            Self::Seeded(seed) => seed,
        })
    }
}

/// Random shares of a pause, from 0 to 1: for transports that space their own repeats as the supervisor does.
#[derive(Clone, Debug)]
pub struct Shares(u64);

impl Shares {
    /// The next one: one step of the SplitMix64 generator.
    pub fn draw(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit exactly")]
        let share = ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64;
        share
    }
}

/// The pauses between connection attempts, and how long one may take.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReconnectPolicy {
    /// The longest first pause. Default 500 ms.
    pub first: Duration,
    /// The longest pause of all. Default 60 s.
    pub max: Duration,
    /// How long a link must have held before the pauses start anew. Default 60 s.
    pub stable_after: Duration,
    /// How long one attempt may take. Default 30 s.
    pub attempt_timeout: Duration,
    /// Where the jitter comes from. Default [`Jitter::Random`].
    pub jitter: Jitter,
}

impl Default for ReconnectPolicy {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(500),
            max: Duration::from_secs(60),
            stable_after: Duration::from_secs(60),
            attempt_timeout: Duration::from_secs(30),
            jitter: Jitter::Random,
        }
    }
}

/// Events that a link carried from which on its end is no sign of trouble: some servers cut off whoever sends much.
const PRODUCTIVE: u64 = 256;

/// The state of the pauses.
#[derive(Debug)]
pub(super) struct Backoff {
    policy: ReconnectPolicy,
    doublings: u32,
    shares: Shares,
}

impl Backoff {
    pub(super) fn new(policy: ReconnectPolicy) -> Self {
        let shares = policy.jitter.shares();
        Self { policy, doublings: 0, shares }
    }

    /// The next pause: a random share of a limit that doubles each time.
    pub(super) fn next(&mut self) -> Duration {
        let random = self.shares.draw();
        self.share(random)
    }

    fn share(&mut self, random: f64) -> Duration {
        let limit = self.limit(self.doublings);
        self.doublings = self.doublings.saturating_add(1);
        limit.mul_f64(random.clamp(0.0, 1.0))
    }

    /// The pause of something else than connecting, which failed so often in a row.
    pub(super) fn after(&mut self, failures: u32) -> Duration {
        self.limit(failures.saturating_sub(1)).mul_f64(self.shares.draw())
    }

    fn limit(&self, doublings: u32) -> Duration {
        self.policy.first.saturating_mul(1 << doublings.min(20)).min(self.policy.max)
    }

    /// A link ended that had held this long and carried so many events.
    pub(super) fn held(&mut self, lasted: Duration, sent: u64) {
        if lasted >= self.policy.stable_after {
            self.doublings = 0;
        } else if sent >= PRODUCTIVE {
            // Neither a new beginning nor one more failure.
            self.doublings = self.doublings.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_double_up_to_the_cap_and_reset_only_after_a_good_minute() {
        let mut backoff = Backoff::new(ReconnectPolicy::default());
        let limits: Vec<u128> = (0..9).map(|_| backoff.share(1.0).as_millis()).collect();
        assert_eq!(limits, [500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
        backoff.held(Duration::from_secs(59), 0);
        assert_eq!(backoff.share(1.0).as_secs(), 60);
        backoff.held(Duration::from_secs(60), 0);
        assert_eq!(backoff.share(0.5).as_millis(), 250);
    }

    #[test]
    fn a_link_that_carried_much_does_not_lengthen_the_pauses() {
        let mut backoff = Backoff::new(ReconnectPolicy::default());
        let limits: Vec<u128> = (0..4)
            .map(|_| {
                backoff.held(Duration::from_secs(2), PRODUCTIVE);
                backoff.share(1.0).as_millis()
            })
            .collect();
        assert_eq!(limits, [500; 4]);
        backoff.held(Duration::from_secs(2), PRODUCTIVE - 1);
        assert_eq!(backoff.share(1.0).as_millis(), 1000);
    }

    #[test]
    fn pauses_of_other_things_grow_by_their_own_failures_and_leave_those_of_connecting_alone() {
        let mut backoff = Backoff::new(ReconnectPolicy::default());
        for (failures, limit) in [(1, 500), (2, 1000), (4, 4000), (9, 60_000), (u32::MAX, 60_000)] {
            let longest = (0..100).map(|_| backoff.after(failures).as_millis()).max().unwrap();
            assert!(longest <= limit && longest > limit / 2, "{failures}: {longest}");
        }
        assert_eq!(backoff.share(1.0).as_millis(), 500);
    }

    #[test]
    fn a_seed_gives_the_same_pauses_and_they_differ_from_each_other() {
        let pauses = |seed| {
            let mut backoff =
                Backoff::new(ReconnectPolicy { jitter: Jitter::Seeded(seed), ..ReconnectPolicy::default() });
            (0..20).map(|_| backoff.next()).collect::<Vec<_>>()
        };
        assert_eq!(pauses(7), pauses(7));
        assert_ne!(pauses(7), pauses(8));
        assert!(pauses(7).iter().all(|pause| *pause <= Duration::from_secs(60)));
        assert!(pauses(7)[10..].windows(2).any(|pair| pair[0] != pair[1]));
    }
}
