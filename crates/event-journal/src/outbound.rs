//! Pure: events on their way out, in order, each until its time is up.

use std::collections::{BTreeMap, VecDeque};

use crate::store::Outgoing;

/// What waits to be sent and what is under way.
#[derive(Debug, Default)]
pub(crate) struct Outbound {
    waiting: VecDeque<(u64, Outgoing, u32)>,
    flying: BTreeMap<u64, (Outgoing, u32)>,
    /// None of those that wait expires before this.
    earliest: Option<u64>,
}

impl Outbound {
    /// One more, after all others.
    pub(crate) fn push(&mut self, sequence: u64, outgoing: Outgoing) {
        self.expects(outgoing.expires);
        self.waiting.push_back((sequence, outgoing, 0));
    }

    /// All that is not done with.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len() + self.flying.len()
    }

    /// The first that waits.
    pub(crate) fn front(&self) -> Option<&Outgoing> {
        self.waiting.front().map(|(_, outgoing, _)| outgoing)
    }

    /// The first that waits is under way.
    pub(crate) fn fly(&mut self) -> Option<u64> {
        let (sequence, outgoing, attempts) = self.waiting.pop_front()?;
        self.flying.insert(sequence, (outgoing, attempts + 1));
        Some(sequence)
    }

    /// The first that waits cannot be sent at all.
    pub(crate) fn drop_front(&mut self) -> Option<(u64, Outgoing, u32)> {
        self.waiting.pop_front()
    }

    /// It is done with; how often it was sent.
    pub(crate) fn landed(&mut self, sequence: u64) -> Option<(Outgoing, u32)> {
        self.flying.remove(&sequence)
    }

    /// It may not have arrived: it is sent again, in its place.
    pub(crate) fn back(&mut self, sequence: u64) {
        if let Some((outgoing, attempts)) = self.flying.remove(&sequence) {
            self.expects(outgoing.expires);
            let at = self.waiting.partition_point(|(other, _, _)| *other < sequence);
            self.waiting.insert(at, (sequence, outgoing, attempts));
        }
    }

    /// Takes out what has expired.
    pub(crate) fn expire(&mut self, now: u64) -> Vec<(u64, Outgoing, u32)> {
        if self.earliest.is_none_or(|first| first > now) {
            return Vec::new();
        }
        let waiting = std::mem::take(&mut self.waiting);
        let (gone, kept): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|(_, outgoing, _)| outgoing.expires <= now);
        self.waiting = kept.into();
        self.earliest = self.waiting.iter().map(|(_, outgoing, _)| outgoing.expires).min();
        gone
    }

    /// None of those that wait expires before this.
    pub(crate) fn expires_at(&self) -> Option<u64> {
        self.earliest.filter(|_| !self.waiting.is_empty())
    }

    fn expects(&mut self, expires: u64) {
        self.earliest = Some(self.earliest.map_or(expires, |earliest| earliest.min(expires)));
    }

    /// The newest that is not done with.
    pub(crate) fn last(&self) -> Option<u64> {
        let waiting = self.waiting.back().map(|(sequence, _, _)| *sequence);
        waiting.max(self.flying.keys().next_back().copied())
    }

    /// Whether all up to this one are done with.
    pub(crate) fn is_past(&self, sequence: u64) -> bool {
        let waiting = self.waiting.front().is_none_or(|(first, _, _)| *first > sequence);
        waiting && self.flying.keys().next().is_none_or(|first| *first > sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use event_core::Event;
    use proptest::prelude::*;

    fn outgoing(expires: u64) -> Outgoing {
        Outgoing { event: Event::new("t", &expires).unwrap(), expires }
    }

    #[test]
    fn what_came_back_goes_first_and_in_order() {
        let mut out = Outbound::default();
        for sequence in 1..=4 {
            out.push(sequence, outgoing(100 * sequence));
        }
        assert_eq!([out.fly(), out.fly(), out.fly()], [Some(1), Some(2), Some(3)]);
        assert_eq!(out.landed(1).map(|(_, attempts)| attempts), Some(1));
        out.back(3);
        out.back(2);
        assert!(out.is_past(1) && !out.is_past(2));
        assert_eq!((out.len(), out.expires_at()), (3, Some(100)));
        assert_eq!(
            out.expire(250).iter().map(|(sequence, _, sent)| (*sequence, *sent)).collect::<Vec<_>>(),
            [(2, 1)]
        );
        assert_eq!([out.fly(), out.fly(), out.fly()], [Some(3), Some(4), None]);
        assert_eq!(out.landed(3).map(|(_, attempts)| attempts), Some(2));
    }

    proptest! {
        #[test]
        fn events_leave_in_order_and_none_is_lost(steps in prop::collection::vec(0..4_u8, 0..200)) {
            let (mut out, one) = (Outbound::default(), outgoing(u64::MAX));
            let (mut pushed, mut done, mut last) = (0_u64, 0, 0);
            let mut flying: Vec<u64> = Vec::new();
            for step in steps {
                match step {
                    0 => {
                        pushed += 1;
                        out.push(pushed, one.clone());
                    }
                    1 => {
                        if let Some(sequence) = out.fly() {
                            prop_assert!(sequence > last, "{sequence} after {last}");
                            last = sequence;
                            flying.push(sequence);
                        }
                    }
                    2 if !flying.is_empty() => {
                        prop_assert!(out.landed(flying.remove(0)).is_some());
                        done += 1;
                    }
                    // The link ends: everything comes back.
                    3 => {
                        for sequence in flying.drain(..) {
                            out.back(sequence);
                            last = last.min(sequence - 1);
                        }
                    }
                    _ => {}
                }
                prop_assert_eq!(out.len() as u64, pushed - done);
            }
        }
    }
}
