//! What went back to the service, and comes from there again: the ids of a while. Pure.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use event_core::EventId;

/// The latest ids, bounded in number and time.
#[derive(Debug)]
pub(crate) struct Echoes {
    window: Duration,
    capacity: usize,
    ids: HashSet<EventId>,
    order: VecDeque<(EventId, Duration)>,
}

impl Echoes {
    pub(crate) fn new(window: Duration, capacity: usize) -> Self {
        Self { window, capacity, ids: HashSet::new(), order: VecDeque::new() }
    }

    /// Remembers an id that is about to be sent.
    pub(crate) fn sent(&mut self, id: &EventId, now: Duration) {
        while let Some((oldest, at)) = self.order.front() {
            if self.order.len() < self.capacity && now.saturating_sub(*at) < self.window {
                break;
            }
            self.ids.remove(oldest);
            self.order.pop_front();
        }
        if self.ids.insert(id.clone()) {
            self.order.push_back((id.clone(), now));
        }
    }

    /// Whether what came is an echo.
    pub(crate) fn is_echo(&self, id: &EventId) -> bool {
        self.ids.contains(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u64) -> EventId {
        EventId::from(n.to_string())
    }

    #[test]
    fn what_was_sent_is_an_echo_for_a_while() {
        let mut echoes = Echoes::new(Duration::from_secs(10), 100);
        echoes.sent(&id(1), Duration::ZERO);
        assert!(echoes.is_echo(&id(1)) && !echoes.is_echo(&id(2)));
        echoes.sent(&id(2), Duration::from_secs(10));
        assert!(!echoes.is_echo(&id(1)) && echoes.is_echo(&id(2)));
    }

    #[test]
    fn the_oldest_make_room() {
        let mut echoes = Echoes::new(Duration::from_secs(10), 3);
        (0..5).for_each(|n| echoes.sent(&id(n), Duration::ZERO));
        assert_eq!(
            (0..5).map(|n| echoes.is_echo(&id(n))).collect::<Vec<_>>(),
            [false, false, true, true, true]
        );
        assert_eq!((echoes.ids.len(), echoes.order.len()), (3, 3));
    }
}
