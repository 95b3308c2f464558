//! One subscription's queue: messages that wait, and messages that are locked. Pure; times are arguments.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::ids::Ids;

/// An event as all queues share it.
#[derive(Clone)]
pub(super) struct Event {
    pub(super) name: Arc<str>,
    pub(super) message_id: Arc<str>,
    pub(super) body: Bytes,
    pub(super) enqueued: Duration,
}

/// Without its body.
impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("name", &self.name)
            .field("message_id", &self.message_id)
            .finish_non_exhaustive()
    }
}

/// Which message is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The one in front.
    First,
    /// The newest, which is a defect.
    Last,
}

/// How a message is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// It is gone from the queue.
    Destructive,
    /// It is hidden for this long, unless it is settled before.
    Lock(Duration),
}

/// A message on its way to a client.
#[derive(Clone, Debug)]
pub(super) struct Delivery {
    pub(super) event: Event,
    pub(super) sequence: u64,
    /// 1 at the first time.
    pub(super) count: u32,
    pub(super) lock: Option<Lock>,
}

/// The right to settle a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lock {
    pub(super) token: String,
    pub(super) until: Duration,
}

/// What becomes of a locked message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settle {
    /// It is gone.
    Complete,
    /// It is back at its place.
    Unlock,
    /// It stays locked for this long from now.
    Renew(Duration),
}

/// What happened to messages whose lock ended without completion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Returned {
    pub(super) to_queue: u64,
    pub(super) dead: u64,
}

#[derive(Clone, Debug)]
struct Message {
    event: Event,
    count: u32,
}

/// Messages by sequence number; what is returned stands in front of what came later.
#[derive(Debug, Default)]
pub(super) struct Queue {
    last: u64,
    ready: BTreeMap<u64, Message>,
    locked: BTreeMap<u64, (Message, Lock)>,
    /// When which locks end.
    ends: BTreeSet<(Duration, u64)>,
}

impl Queue {
    pub(super) fn ready(&self) -> usize {
        self.ready.len()
    }

    pub(super) fn locked(&self) -> usize {
        self.locked.len()
    }

    /// The oldest messages, locked or not, and how many more there are.
    #[cfg(feature = "inspector")]
    pub(super) fn view(&self, most: usize) -> (Vec<super::MessageView>, usize) {
        let ready = self.ready.iter().map(|(sequence, message)| (*sequence, message, None));
        let locked =
            self.locked.iter().map(|(sequence, (message, lock))| (*sequence, message, Some(lock.until)));
        let mut all: Vec<_> = ready.take(most).chain(locked.take(most)).collect();
        all.sort_by_key(|(sequence, ..)| *sequence);
        all.truncate(most);
        let left_out = self.ready.len() + self.locked.len() - all.len();
        let view = |(sequence, message, until): (u64, &Message, Option<Duration>)| super::MessageView {
            sequence,
            event_type: message.event.name.to_string(),
            message_id: message.event.message_id.to_string(),
            deliveries: message.count,
            size: message.event.body.len(),
            enqueued: message.event.enqueued,
            locked_until: until,
        };
        (all.into_iter().map(view).collect(), left_out)
    }

    /// When the next lock ends.
    pub(super) fn next_end(&self) -> Option<Duration> {
        self.ends.first().map(|(until, _)| *until)
    }

    pub(super) fn push(&mut self, event: Event) {
        self.last += 1;
        self.ready.insert(self.last, Message { event, count: 0 });
    }

    /// Takes a message.
    pub(super) fn take(&mut self, mode: Mode, end: End, now: Duration, ids: &mut Ids) -> Option<Delivery> {
        let (sequence, mut message) = match end {
            End::First => self.ready.pop_first()?,
            End::Last => self.ready.pop_last()?,
        };
        message.count = message.count.saturating_add(1);
        let (event, count) = (message.event.clone(), message.count);
        let lock = match mode {
            Mode::Destructive => None,
            Mode::Lock(duration) => {
                let lock = Lock { token: ids.guid(), until: now.saturating_add(duration) };
                self.ends.insert((lock.until, sequence));
                self.locked.insert(sequence, (message, lock.clone()));
                Some(lock)
            }
        };
        Some(Delivery { event, sequence, count, lock })
    }

    /// Settles the message with this sequence number or message id. `None` when no such message has such a lock.
    pub(super) fn settle(
        &mut self,
        key: &str,
        token: &str,
        settle: Settle,
        now: Duration,
        max_count: u32,
    ) -> Option<Returned> {
        let sequence = match key.parse::<u64>() {
            Ok(sequence) => sequence,
            Err(_) => self.locked.iter().find_map(|(sequence, (message, _))| {
                message.event.message_id.eq_ignore_ascii_case(key).then_some(*sequence)
            })?,
        };
        let (_, lock) = self.locked.get_mut(&sequence)?;
        if !lock.token.eq_ignore_ascii_case(token) {
            return None;
        }
        self.ends.remove(&(lock.until, sequence));
        if let Settle::Renew(duration) = settle {
            lock.until = now.saturating_add(duration);
            self.ends.insert((lock.until, sequence));
            return Some(Returned::default());
        }
        let (message, _) = self.locked.remove(&sequence)?;
        let mut returned = Returned::default();
        if settle == Settle::Unlock {
            self.put_back(sequence, message, max_count, &mut returned);
        }
        Some(returned)
    }

    /// Ends the locks whose time is over.
    pub(super) fn lapse(&mut self, now: Duration, max_count: u32) -> Returned {
        let mut returned = Returned::default();
        while let Some((_, sequence)) = self.ends.first().copied().filter(|(until, _)| *until <= now) {
            self.ends.pop_first();
            if let Some((message, _)) = self.locked.remove(&sequence) {
                self.put_back(sequence, message, max_count, &mut returned);
            }
        }
        returned
    }

    /// Back to its place, or to the dead when it was delivered too often.
    fn put_back(&mut self, sequence: u64, message: Message, max_count: u32, returned: &mut Returned) {
        if message.count >= max_count {
            returned.dead += 1;
        } else {
            returned.to_queue += 1;
            self.ready.insert(sequence, message);
        }
    }
}
