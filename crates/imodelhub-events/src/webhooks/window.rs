//! The message ids of the last while: what is under way, and what was handled. Pure.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::{Duration, Instant};

use event_core::EventId;

/// What is known about an id.
pub(super) enum Sight<T> {
    New,
    /// It came, and is not settled yet.
    UnderWay(T),
    Handled,
}

/// Ids that came. Those under way are as many as there are open deliveries; the others are bounded here.
pub(super) struct Window<T> {
    lasts: Duration,
    most: usize,
    under_way: HashMap<EventId, T>,
    handled: HashSet<EventId>,
    order: VecDeque<(EventId, Instant)>,
}

impl<T: Clone> Window<T> {
    /// Remembers a handled id for so long, and at most so many; with either zero, none.
    pub(super) fn new(lasts: Duration, most: usize) -> Self {
        Self {
            lasts,
            most: if lasts.is_zero() { 0 } else { most },
            under_way: HashMap::new(),
            handled: HashSet::new(),
            order: VecDeque::new(),
        }
    }

    pub(super) fn look(&mut self, id: &EventId, now: Instant) -> Sight<T> {
        self.forget(now, self.most);
        match self.under_way.get(id) {
            Some(delivery) => Sight::UnderWay(delivery.clone()),
            None if self.handled.contains(id) => Sight::Handled,
            None => Sight::New,
        }
    }

    pub(super) fn begin(&mut self, id: EventId, delivery: T) {
        self.under_way.insert(id, delivery);
    }

    /// Settled: one that was handled is remembered, another one may come again.
    pub(super) fn end(&mut self, id: &EventId, handled: bool, now: Instant) {
        let known = self.under_way.remove(id).is_some();
        if known && handled && self.most > 0 {
            self.forget(now, self.most - 1);
            self.handled.insert(id.clone());
            self.order.push_back((id.clone(), now));
        }
    }

    fn forget(&mut self, now: Instant, most: usize) {
        while let Some((oldest, at)) = self.order.front() {
            if self.order.len() <= most && now.saturating_duration_since(*at) < self.lasts {
                break;
            }
            self.handled.remove(oldest);
            self.order.pop_front();
        }
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests")]
mod tests {
    use super::*;

    fn seen(window: &mut Window<u8>, id: &str, now: Instant) -> &'static str {
        match window.look(&EventId::from(id), now) {
            Sight::New => "new",
            Sight::UnderWay(_) => "under way",
            Sight::Handled => "handled",
        }
    }

    #[test]
    fn an_id_is_known_while_it_is_under_way_and_for_a_while_after_it_was_handled() {
        let start = Instant::now();
        let mut window = Window::new(Duration::from_secs(60), 2);
        assert_eq!(seen(&mut window, "a", start), "new");
        window.begin(EventId::from("a"), 1);
        assert_eq!(seen(&mut window, "a", start + Duration::from_secs(600)), "under way");
        window.end(&EventId::from("a"), true, start);
        assert_eq!(seen(&mut window, "a", start + Duration::from_secs(59)), "handled");
        assert_eq!(seen(&mut window, "a", start + Duration::from_secs(60)), "new");
    }

    #[test]
    fn what_failed_may_come_again_and_the_oldest_are_forgotten_first() {
        let now = Instant::now();
        let mut window = Window::new(Duration::from_secs(60), 2);
        window.begin(EventId::from("failed"), 1);
        window.end(&EventId::from("failed"), false, now);
        assert_eq!(seen(&mut window, "failed", now), "new");
        for id in ["a", "b", "c"] {
            window.begin(EventId::from(id), 1);
            window.end(&EventId::from(id), true, now);
        }
        assert_eq!(["a", "b", "c"].map(|id| seen(&mut window, id, now)), ["new", "handled", "handled"]);
        assert_eq!((window.handled.len(), window.order.len(), window.under_way.len()), (2, 2, 0));
        let mut none = Window::new(Duration::ZERO, 2);
        none.begin(EventId::from("a"), 1);
        none.end(&EventId::from("a"), true, now);
        assert_eq!(seen(&mut none, "a", now), "new");
    }
}
