//! Outstanding requests: a slot per request, removed by its reply, its deadline or the drop of its future.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::{Event, EventId};

/// How many finished requests are remembered, to tell a late reply from a foreign one.
const REMEMBERED: usize = 1024;

/// Hands replies to whoever asked.
#[derive(Debug, Default)]
pub(crate) struct Correlator {
    slots: Mutex<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    open: HashMap<EventId, mpsc::Sender<Event>>,
    finished: HashMap<EventId, Ending>,
    order: VecDeque<EventId>,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Answered,
    GivenUp,
}

/// What became of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It reached the asker.
    Delivered,
    /// The asker has its answer already.
    Duplicate,
    /// The asker stopped waiting.
    Late,
    /// The asker's buffer is full.
    Overflow,
    /// Nobody here asked.
    Foreign,
}

/// An open request. Dropping it closes the slot.
#[derive(Debug)]
pub(crate) struct Pending {
    correlator: Arc<Correlator>,
    id: EventId,
    replies: mpsc::Receiver<Event>,
    answered: bool,
}

impl Correlator {
    /// Opens a slot for the request `id` that holds up to `buffer` unread replies; `None` if it is open already.
    pub(crate) fn open(self: &Arc<Self>, id: EventId, buffer: usize) -> Option<Pending> {
        let mut slots = self.slots.lock();
        if slots.open.contains_key(&id) {
            return None;
        }
        let (tx, replies) = mpsc::channel(buffer);
        slots.open.insert(id.clone(), tx);
        drop(slots);
        Some(Pending { correlator: Arc::clone(self), id, replies, answered: false })
    }

    /// Gives a reply to the request it answers.
    pub(crate) fn resolve(&self, asked: &EventId, reply: Event) -> Outcome {
        let slots = self.slots.lock();
        match slots.open.get(asked) {
            Some(slot) => match slot.try_send(reply) {
                Ok(()) => Outcome::Delivered,
                Err(mpsc::error::TrySendError::Full(_)) if slot.max_capacity() == 1 => Outcome::Duplicate,
                Err(mpsc::error::TrySendError::Full(_)) => Outcome::Overflow,
                Err(mpsc::error::TrySendError::Closed(_)) => Outcome::Late,
            },
            None => match slots.finished.get(asked) {
                Some(Ending::Answered) => Outcome::Duplicate,
                Some(Ending::GivenUp) => Outcome::Late,
                None => Outcome::Foreign,
            },
        }
    }

    /// Open requests.
    pub(crate) fn len(&self) -> usize {
        self.slots.lock().open.len()
    }

    fn close(&self, id: &EventId, ending: Ending) {
        let mut slots = self.slots.lock();
        slots.open.remove(id);
        if slots.finished.insert(id.clone(), ending).is_none() {
            slots.order.push_back(id.clone());
            if slots.order.len() > REMEMBERED
                && let Some(oldest) = slots.order.pop_front()
            {
                slots.finished.remove(&oldest);
            }
        }
    }
}

impl Pending {
    /// The next reply. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        let reply = self.replies.recv().await;
        self.answered |= reply.is_some();
        reply
    }

    /// The next reply, as a poll.
    pub(crate) fn poll_next(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Option<Event>> {
        let reply = self.replies.poll_recv(cx);
        self.answered |= matches!(reply, std::task::Poll::Ready(Some(_)));
        reply
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.correlator.close(&self.id, if self.answered { Ending::Answered } else { Ending::GivenUp });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply() -> Event {
        Event::new("reply", &1).unwrap()
    }

    #[tokio::test]
    async fn a_reply_reaches_its_asker_and_the_slot_goes() {
        let correlator = Arc::new(Correlator::default());
        let id = EventId::from("asked");
        let mut pending = correlator.open(id.clone(), 1).unwrap();
        assert!(correlator.open(id.clone(), 1).is_none(), "one slot per id");
        assert_eq!(correlator.resolve(&id, reply()), Outcome::Delivered);
        assert_eq!(correlator.resolve(&id, reply()), Outcome::Duplicate);
        assert!(pending.next().await.is_some());
        drop(pending);
        assert_eq!(correlator.len(), 0);
        assert_eq!(correlator.resolve(&id, reply()), Outcome::Duplicate);
    }

    #[test]
    fn a_dropped_request_leaves_no_slot_and_its_reply_is_late() {
        let correlator = Arc::new(Correlator::default());
        let id = EventId::from("asked");
        drop(correlator.open(id.clone(), 1));
        assert_eq!(correlator.len(), 0);
        assert_eq!(correlator.resolve(&id, reply()), Outcome::Late);
        assert_eq!(correlator.resolve(&EventId::from("other"), reply()), Outcome::Foreign);
    }

    #[test]
    fn the_memory_of_finished_requests_is_bounded() {
        let correlator = Arc::new(Correlator::default());
        for n in 0..3 * REMEMBERED {
            drop(correlator.open(EventId::from(n.to_string()), 1));
        }
        let slots = correlator.slots.lock();
        assert_eq!((slots.open.len(), slots.finished.len(), slots.order.len()), (0, REMEMBERED, REMEMBERED));
    }
}
