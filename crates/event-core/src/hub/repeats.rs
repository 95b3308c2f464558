//! Events that came already: a publisher that resends after a lost acknowledgement sends them twice.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};
use std::time::Duration;

use tokio::time::Instant;

use crate::{EventId, SubscriptionId};

/// The ids of the last while, as keyed hashes of 64 bits: two of 100,000 are equal with a chance of 3 in 10 billion.
#[derive(Debug)]
pub(super) struct Repeats {
    window: Duration,
    capacity: usize,
    hashing: RandomState,
    seen: HashSet<u64, BuildHasherDefault<Identity>>,
    order: VecDeque<u64>,
    /// When they came: so many of them at each time. Those of a burst share one.
    times: VecDeque<(Instant, usize)>,
}

impl Repeats {
    /// Remembers an id for `window`, and at most `capacity` of them; with either zero, none.
    pub(super) fn new(window: Duration, capacity: usize) -> Self {
        Self {
            window,
            capacity: if window.is_zero() { 0 } else { capacity },
            hashing: RandomState::new(),
            seen: HashSet::default(),
            order: VecDeque::new(),
            times: VecDeque::new(),
        }
    }

    /// Whether this event came to this subscription, or to all, within the window. Remembers it if not.
    pub(super) fn is_repeat(&mut self, event: &EventId, to: Option<&SubscriptionId>, now: Instant) -> bool {
        if self.capacity == 0 {
            return false;
        }
        if self.times.back().is_none_or(|(at, _)| *at != now) {
            self.forget_old(now);
            self.times.push_back((now, 0));
        }
        let hash = self.hashing.hash_one((event, to));
        if !self.seen.insert(hash) {
            return true;
        }
        if self.order.len() == self.capacity {
            self.forget_oldest();
        }
        self.order.push_back(hash);
        if let Some((_, count)) = self.times.back_mut() {
            *count += 1;
        }
        false
    }

    fn forget_old(&mut self, now: Instant) {
        while let Some((at, count)) = self.times.front()
            && (*count == 0 || now.saturating_duration_since(*at) >= self.window)
        {
            for hash in self.order.drain(..*count) {
                self.seen.remove(&hash);
            }
            self.times.pop_front();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some(oldest) = self.order.pop_front() {
            self.seen.remove(&oldest);
        }
        while let Some((_, count)) = self.times.front_mut() {
            if *count > 0 {
                *count -= 1;
                break;
            }
            self.times.pop_front();
        }
    }
}

/// The hashes are random enough as they are.
#[derive(Debug, Default)]
struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests")]
mod tests {
    use super::*;

    fn id(n: usize) -> EventId {
        EventId::from(n.to_string())
    }

    #[test]
    fn an_id_is_a_repeat_until_its_time_is_over() {
        let mut repeats = Repeats::new(Duration::from_secs(600), 100);
        let start = Instant::now();
        assert!(!repeats.is_repeat(&id(1), None, start));
        assert!(repeats.is_repeat(&id(1), None, start + Duration::from_secs(599)));
        // The first sight counts, not the last.
        assert!(!repeats.is_repeat(&id(1), None, start + Duration::from_secs(600)));
    }

    #[test]
    fn the_oldest_ids_make_room() {
        let mut repeats = Repeats::new(Duration::from_secs(600), 3);
        let now = Instant::now();
        for n in 0..4 {
            assert!(!repeats.is_repeat(&id(n), None, now));
        }
        assert!(repeats.is_repeat(&id(3), None, now));
        assert!(!repeats.is_repeat(&id(0), None, now));
        assert!(repeats.seen.len() <= 3 && repeats.order.len() <= 3);
    }

    /// Against the plain way: a list of what came when.
    #[test]
    fn many_at_a_time_are_remembered_and_forgotten_like_single_ones() {
        const CAPACITY: usize = 20;
        let mut repeats = Repeats::new(Duration::from_secs(10), CAPACITY);
        let mut known: VecDeque<(usize, Instant)> = VecDeque::new();
        let (mut now, mut random) = (Instant::now(), 7_u64);
        let mut draw = |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 33) % below
        };
        for round in 0..2_000 {
            now += Duration::from_secs(draw(4) * draw(4));
            for _ in 0..draw(8) {
                let n = usize::try_from(draw(60)).unwrap();
                known.retain(|(_, at)| now.saturating_duration_since(*at) < Duration::from_secs(10));
                let expected = known.iter().any(|(id, _)| *id == n);
                assert_eq!(repeats.is_repeat(&id(n), None, now), expected, "round {round}");
                if !expected {
                    known.push_back((n, now));
                    if known.len() > CAPACITY {
                        known.pop_front();
                    }
                }
            }
            assert!(repeats.seen.len() == repeats.order.len() && repeats.times.len() <= CAPACITY + 1);
        }
    }

    #[test]
    fn two_subscriptions_get_the_same_event_once_each() {
        let mut repeats = Repeats::new(Duration::from_secs(600), 100);
        let (now, first, second) = (Instant::now(), SubscriptionId::from("a"), SubscriptionId::from("b"));
        assert!(!repeats.is_repeat(&id(1), Some(&first), now));
        assert!(!repeats.is_repeat(&id(1), Some(&second), now));
        assert!(repeats.is_repeat(&id(1), Some(&first), now));
    }

    #[test]
    fn without_a_window_nothing_is_a_repeat() {
        for mut repeats in [Repeats::new(Duration::ZERO, 100), Repeats::new(Duration::from_secs(1), 0)] {
            let now = Instant::now();
            assert!(!repeats.is_repeat(&id(1), None, now));
            assert!(!repeats.is_repeat(&id(1), None, now));
        }
    }
}
