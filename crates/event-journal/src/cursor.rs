//! Pure: the place of one consumer. What it has, what comes again and when, what is given up.

use std::collections::BTreeMap;

use bytes::Bytes;
use event_core::transport::Settlement;

use crate::config::{RetryPolicy, millis};
use crate::record::Reader;

const FORMAT: u8 = 1;

/// The place of one consumer. Every record before [`next`](Self::next) is done with unless it is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    next: u64,
    open: BTreeMap<u64, Open>,
    leases: u64,
    leased: usize,
    /// No lock lapses before this.
    lapses: u64,
}

/// A record that is not done with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Open {
    /// How often it was delivered.
    deliveries: u32,
    phase: Phase,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Somebody works on it.
    Leased { lease: u64, until: u64 },
    /// It comes again.
    Waiting { due: u64 },
}

/// A delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "the number of a lease is called that everywhere")]
pub(crate) struct Lease {
    pub(crate) sequence: u64,
    pub(crate) lease: u64,
    /// 1 for the first time.
    pub(crate) attempt: u32,
}

/// What became of a delivery that was settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    Done,
    Again {
        due: u64,
    },
    /// It is a dead letter; its record must be put there.
    Dead {
        attempts: u32,
        cause: Cause,
    },
}

/// Why a record is a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// It was rejected.
    Rejected,
    /// It was delivered as often as may be, and not handled.
    DeliveryLimit,
    /// It was to be published, and its time was up.
    Expired,
    /// It was to be published, and the service refused it.
    Refused,
}

/// What to do with a record that waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    Deliver(Lease),
    Dead { attempts: u32 },
}

impl Cursor {
    /// A consumer whose first record is `next`.
    pub(crate) fn new(next: u64) -> Self {
        Self { next, open: BTreeMap::new(), leases: 0, leased: 0, lapses: u64::MAX }
    }

    /// The first record that was never looked at.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// The first record that is still needed.
    pub(crate) fn floor(&self) -> u64 {
        self.open.keys().next().copied().unwrap_or(self.next)
    }

    /// Deliveries that are not settled.
    pub(crate) fn in_flight(&self) -> usize {
        self.leased
    }

    /// Records that are not done with.
    pub(crate) fn open(&self) -> usize {
        self.open.len()
    }

    /// The next record is not for this consumer, or was removed: all up to this one are done with.
    pub(crate) fn skip(&mut self, sequence: u64) {
        self.next = self.next.max(sequence + 1);
    }

    /// Records before this one do not exist any more; returns how many of them were needed.
    pub(crate) fn removed_before(&mut self, first: u64) -> u64 {
        let fresh = first.saturating_sub(self.next);
        let mut waiting = 0;
        self.open.retain(|sequence, open| {
            let gone = *sequence < first && matches!(open.phase, Phase::Waiting { .. });
            waiting += u64::from(gone);
            !gone
        });
        self.next = self.next.max(first);
        fresh + waiting
    }

    /// Delivers the record at [`next`](Self::next) or after it, for the first time.
    pub(crate) fn deliver(&mut self, sequence: u64, now: u64, policy: &RetryPolicy) -> Lease {
        self.next = self.next.max(sequence + 1);
        self.lease(sequence, 0, now, policy)
    }

    fn lease(&mut self, sequence: u64, before: u32, now: u64, policy: &RetryPolicy) -> Lease {
        self.leases += 1;
        self.leased += 1;
        let (lease, deliveries) = (self.leases, before.saturating_add(1));
        let until = now.saturating_add(millis(policy.lock));
        self.lapses = self.lapses.min(until);
        let phase = Phase::Leased { lease, until };
        self.open.insert(sequence, Open { deliveries, phase });
        Lease { sequence, lease, attempt: deliveries }
    }

    /// The first record that is due again.
    pub(crate) fn due(&self, now: u64) -> Option<u64> {
        if self.open.len() == self.leased {
            return None;
        }
        let due = |open: &Open| matches!(open.phase, Phase::Waiting { due } if due <= now);
        self.open.iter().find(|(_, open)| due(open)).map(|(sequence, _)| *sequence)
    }

    /// Delivers a record again that is due.
    pub(crate) fn again(&mut self, sequence: u64, now: u64, policy: &RetryPolicy) -> Option<Again> {
        let open = *self.open.get(&sequence)?;
        if matches!(open.phase, Phase::Leased { .. }) {
            return None;
        }
        if open.deliveries >= policy.deliveries {
            self.open.remove(&sequence);
            return Some(Again::Dead { attempts: open.deliveries });
        }
        Some(Again::Deliver(self.lease(sequence, open.deliveries, now, policy)))
    }

    /// A record that waited does not exist any more.
    pub(crate) fn gone(&mut self, sequence: u64) {
        if matches!(self.open.get(&sequence), Some(Open { phase: Phase::Waiting { .. }, .. })) {
            self.open.remove(&sequence);
        }
    }

    /// Takes back what was locked for too long.
    pub(crate) fn lapse(&mut self, now: u64) {
        if self.leased == 0 || now < self.lapses {
            return;
        }
        self.lapses = u64::MAX;
        for open in self.open.values_mut() {
            if matches!(open.phase, Phase::Leased { until, .. } if until <= now) {
                open.phase = Phase::Waiting { due: now };
                self.leased -= 1;
            } else if let Phase::Leased { until, .. } = open.phase {
                self.lapses = self.lapses.min(until);
            }
        }
    }

    /// Takes back everything: nobody works on it any more.
    pub(crate) fn release(&mut self, now: u64) {
        for open in self.open.values_mut() {
            if matches!(open.phase, Phase::Leased { .. }) {
                open.phase = Phase::Waiting { due: now };
            }
        }
        self.leased = 0;
    }

    /// Settles a delivery; `None` when it is not that one's any more.
    pub(crate) fn settle(
        &mut self,
        sequence: u64,
        lease: u64,
        outcome: Settlement,
        now: u64,
        policy: &RetryPolicy,
    ) -> Option<Settled> {
        let open = self.held(sequence, lease)?;
        let attempts = open.deliveries;
        let pause = match outcome {
            Settlement::Complete => {
                self.open.remove(&sequence);
                self.leased -= 1;
                return Some(Settled::Done);
            }
            Settlement::Abandon { delay } if attempts < policy.deliveries => {
                delay.unwrap_or_else(|| policy.pause(attempts))
            }
            _ => {
                self.open.remove(&sequence);
                self.leased -= 1;
                let limit = matches!(outcome, Settlement::Abandon { .. });
                let cause = if limit { Cause::DeliveryLimit } else { Cause::Rejected };
                return Some(Settled::Dead { attempts, cause });
            }
        };
        let due = now.saturating_add(millis(pause));
        open.phase = Phase::Waiting { due };
        self.leased -= 1;
        Some(Settled::Again { due })
    }

    /// Prolongs a lock; `false` when it is not that one's any more.
    pub(crate) fn extend(&mut self, sequence: u64, lease: u64, now: u64, policy: &RetryPolicy) -> bool {
        let until = now.saturating_add(millis(policy.lock));
        self.held(sequence, lease).map(|open| open.phase = Phase::Leased { lease, until }).is_some()
    }

    fn held(&mut self, sequence: u64, lease: u64) -> Option<&mut Open> {
        let open = self.open.get_mut(&sequence)?;
        matches!(open.phase, Phase::Leased { lease: held, .. } if held == lease).then_some(open)
    }

    /// When something is to be done without anybody asking; without `room` for a delivery, only locks lapse.
    pub(crate) fn wake_at(&self, room: bool) -> Option<u64> {
        let at = |open: &Open| match open.phase {
            Phase::Leased { until, .. } => Some(until),
            Phase::Waiting { due } => room.then_some(due),
        };
        self.open.values().filter_map(at).min()
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(13 + self.open.len() * 20);
        out.push(FORMAT);
        out.extend(self.next.to_le_bytes());
        out.extend(u32::try_from(self.open.len()).unwrap_or(u32::MAX).to_le_bytes());
        for (sequence, open) in &self.open {
            // Whoever works on it now will not, after this is read.
            let due = if let Phase::Waiting { due } = open.phase { due } else { 0 };
            out.extend(sequence.to_le_bytes());
            out.extend(open.deliveries.to_le_bytes());
            out.extend(due.to_le_bytes());
        }
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader(Bytes::copy_from_slice(bytes));
        if reader.take(1)?[0] != FORMAT {
            return None;
        }
        let mut cursor = Self::new(reader.u64()?);
        for _ in 0..reader.u32()? {
            let (sequence, deliveries, due) = (reader.u64()?, reader.u32()?, reader.u64()?);
            cursor.open.insert(sequence, Open { deliveries, phase: Phase::Waiting { due } });
        }
        Some(cursor)
    }
}

#[cfg(test)]
#[path = "cursor_tests.rs"]
mod tests;
