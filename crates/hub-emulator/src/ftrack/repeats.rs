//! The ids of recent events, so that a repeat can be told.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use event_core::EventId;

/// A window of ids, bounded in time and number.
#[derive(Debug)]
pub(super) struct Repeats {
    window: Duration,
    limit: usize,
    known: HashSet<EventId>,
    order: VecDeque<(Duration, EventId)>,
}

impl Repeats {
    /// Remembers an id for `window`, and at most `limit` ids. A limit of 0 remembers nothing.
    pub(super) fn new(window: Duration, limit: usize) -> Self {
        Self { window, limit, known: HashSet::new(), order: VecDeque::new() }
    }

    /// Whether this id was seen within the window; remembers it if not. A repeat does not prolong the window.
    pub(super) fn is_repeat(&mut self, id: &EventId, now: Duration) -> bool {
        while self.order.front().is_some_and(|(seen, _)| now.saturating_sub(*seen) >= self.window) {
            self.forget_oldest();
        }
        if self.known.contains(id) {
            return true;
        }
        self.known.insert(id.clone());
        self.order.push_back((now, id.clone()));
        if self.order.len() > self.limit {
            self.forget_oldest();
        }
        false
    }

    fn forget_oldest(&mut self) {
        if let Some((_, oldest)) = self.order.pop_front() {
            self.known.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_repeat_within_the_window_and_the_limit_only() {
        let second = Duration::from_secs;
        let mut repeats = Repeats::new(second(10), 2);
        assert!(!repeats.is_repeat(&"a".into(), second(0)));
        assert!(repeats.is_repeat(&"a".into(), second(9)));
        assert!(!repeats.is_repeat(&"a".into(), second(10)), "a repeat does not prolong the window");
        assert!(!repeats.is_repeat(&"b".into(), second(11)));
        assert!(!repeats.is_repeat(&"c".into(), second(11)), "pushes a out");
        assert!(!repeats.is_repeat(&"a".into(), second(11)));
        assert!(repeats.is_repeat(&"c".into(), second(11)));
        assert_eq!(repeats.order.len(), repeats.known.len());

        let mut never = Repeats::new(second(10), 0);
        assert!(!never.is_repeat(&"a".into(), second(0)) && !never.is_repeat(&"a".into(), second(0)));
    }
}
