//! Outstanding requests: a slot per request, removed by its reply, its deadline or the drop of its future.
//!
//! The slots know neither events nor ids, so that every order of their steps can be explored elsewhere.

mod slots;
mod sync;

use crate::{Event, EventId};

pub(crate) use slots::Outcome;

/// Hands replies to whoever asked.
pub(crate) type Correlator = slots::Slots<EventId, Event>;

/// An open request. Dropping it closes the slot.
pub(crate) type Pending = slots::Asked<EventId, Event>;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::slots::{REMEMBERED, Tally};
    use super::*;

    fn reply() -> Event {
        Event::new("reply", &1).unwrap()
    }

    #[tokio::test]
    async fn a_reply_reaches_its_asker_and_the_slot_goes() {
        let correlator = Arc::new(Correlator::default());
        let id = EventId::from("asked");
        let mut pending = Correlator::open(&correlator, id.clone(), 1).unwrap();
        assert!(Correlator::open(&correlator, id.clone(), 1).is_none(), "one slot per id");
        assert_eq!(correlator.resolve(&id, reply()), Outcome::Delivered);
        assert_eq!(correlator.resolve(&id, reply()), Outcome::Duplicate);
        pending.next().await;
        assert_eq!(correlator.resolve(&id, reply()), Outcome::Duplicate, "one is wanted");
        drop(pending);
        assert_eq!(correlator.len(), 0);
        assert_eq!(correlator.resolve(&id, reply()), Outcome::Duplicate);
        assert_eq!(correlator.tally(), Tally { read: 1, unread: 0 });
    }

    #[tokio::test]
    async fn a_slot_for_several_takes_as_many_unread_ones_as_it_holds() {
        let correlator = Arc::new(Correlator::default());
        let id = EventId::from("asked");
        let mut pending = Correlator::open(&correlator, id.clone(), 2).unwrap();
        let outcomes: Vec<Outcome> = (0..3).map(|_| correlator.resolve(&id, reply())).collect();
        assert_eq!(outcomes, [Outcome::Delivered, Outcome::Delivered, Outcome::Overflow]);
        pending.next().await;
        assert_eq!(correlator.resolve(&id, reply()), Outcome::Delivered);
    }

    #[test]
    fn a_dropped_request_leaves_no_slot_and_its_reply_is_late() {
        let correlator = Arc::new(Correlator::default());
        let id = EventId::from("asked");
        drop(Correlator::open(&correlator, id.clone(), 1));
        assert_eq!(correlator.len(), 0);
        assert_eq!(correlator.resolve(&id, reply()), Outcome::Late);
        assert_eq!(correlator.resolve(&EventId::from("other"), reply()), Outcome::Foreign);
    }

    #[test]
    fn a_reply_that_came_and_was_not_read_is_not_counted_as_given() {
        let correlator = Arc::new(Correlator::default());
        let id = EventId::from("asked");
        let pending = Correlator::open(&correlator, id.clone(), 1).unwrap();
        assert_eq!(correlator.resolve(&id, reply()), Outcome::Delivered);
        drop(pending);
        assert_eq!(correlator.tally(), Tally { read: 0, unread: 1 });
    }

    #[test]
    fn the_memory_of_finished_requests_is_bounded() {
        let correlator = Arc::new(Correlator::default());
        for n in 0..=REMEMBERED {
            drop(Correlator::open(&correlator, EventId::from(n.to_string()), 1));
        }
        let outcome = |n: usize| correlator.resolve(&EventId::from(n.to_string()), reply());
        assert_eq!(
            [outcome(0), outcome(1), outcome(REMEMBERED)],
            [Outcome::Foreign, Outcome::Late, Outcome::Late]
        );
    }
}
