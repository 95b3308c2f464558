//! Pure: the ids of events that came within the window.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

/// Remembers ids exactly: an event that is dropped by mistake would be lost.
#[derive(Debug)]
pub(crate) struct Repeats {
    window: u64,
    capacity: usize,
    seen: HashSet<Arc<[u8]>>,
    order: VecDeque<(Arc<[u8]>, u64)>,
}

impl Repeats {
    /// Remembers an id for `window` milliseconds, and at most `capacity` of them.
    pub(crate) fn new(window: u64, capacity: usize) -> Self {
        let capacity = if window == 0 { 0 } else { capacity };
        Self { window, capacity, seen: HashSet::new(), order: VecDeque::new() }
    }

    /// Whether this id came within the window. Does not remember it.
    pub(crate) fn has(&mut self, id: &[u8], now: u64) -> bool {
        while let Some((_, at)) = self.order.front() {
            if now.saturating_sub(*at) < self.window {
                break;
            }
            self.forget_oldest();
        }
        self.seen.contains(id)
    }

    pub(crate) fn remember(&mut self, id: &[u8], now: u64) {
        if self.capacity == 0 {
            return;
        }
        if self.order.len() >= self.capacity {
            self.forget_oldest();
        }
        let id: Arc<[u8]> = id.into();
        if self.seen.insert(Arc::clone(&id)) {
            self.order.push_back((id, now));
        }
    }

    /// Takes back the newest so many: they were not written.
    pub(crate) fn take_back(&mut self, count: usize) {
        for _ in 0..count {
            if let Some((id, _)) = self.order.pop_back() {
                self.seen.remove(&id);
            }
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((id, _)) = self.order.pop_front() {
            self.seen.remove(&id);
        }
    }
}

/// What an event is known by: its id, and whose queue it came from.
pub(crate) fn key(id: &str, to: Option<&str>) -> Vec<u8> {
    let mut key = Vec::with_capacity(id.len() + to.map_or(0, str::len) + 1);
    key.extend(id.as_bytes());
    key.push(0);
    key.extend(to.unwrap_or_default().as_bytes());
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_repeat_until_its_time_is_over_or_others_need_the_room() {
        let mut repeats = Repeats::new(1_000, 2);
        assert!(!repeats.has(b"a", 0));
        repeats.remember(b"a", 0);
        assert!(repeats.has(b"a", 999));
        assert!(!repeats.has(b"a", 1_000));
        for (n, id) in [b"a", b"b", b"c"].into_iter().enumerate() {
            repeats.remember(id, 2_000 + n as u64);
        }
        assert!(!repeats.has(b"a", 2_002) && repeats.has(b"b", 2_002) && repeats.has(b"c", 2_002));
    }

    #[test]
    fn what_was_not_written_is_no_repeat() {
        let mut repeats = Repeats::new(1_000, 10);
        repeats.remember(b"a", 0);
        repeats.remember(b"b", 0);
        repeats.take_back(1);
        assert!(repeats.has(b"a", 1) && !repeats.has(b"b", 1));
    }

    #[test]
    fn the_same_id_from_two_queues_is_two_events() {
        assert_ne!(key("1", Some("a")), key("1", Some("b")));
        assert_ne!(key("1", None), key("1", Some("a")));
    }
}
