//! One consumer that a link serves: what it gets next.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use event_core::transport::{RawDelivery, SettleToken};
use event_core::{Expression, Result, SubscriptionId, SubscriptionSpec};
use tokio::sync::oneshot;

use super::{LinkShared, Token};
use crate::cursor::{Again, Cause, Lease};
use crate::error::StoreError;
use crate::journal::{Claim, count, gap_event};
use crate::letters::Letter;
use crate::record::Record;
use crate::store::{Op, Place};

/// Deliveries that are not settled, unless the subscriber says how many it can hold.
const WINDOW: usize = 64;
/// Records that a consumer has and is not done with, those that wait to come again among them.
const OPEN: usize = 1_024;
/// Records taken from memory, and bytes read from the disk, at a time.
const BATCH: usize = 256;
const BATCH_BYTES: usize = 512 << 10;
/// Records that were not for it, after which its place is written all the same.
const SKIPPED: u64 = 1_024;

type Reading = oneshot::Receiver<Result<Vec<Record>, StoreError>>;

/// A consumer that a link serves.
pub(super) struct Serving {
    /// `None` when the subscription has ended and its last deliveries are still worked on.
    pub(super) spec: Option<SubscriptionSpec>,
    pub(super) place: Arc<Place>,
    _claim: Option<Claim>,
    window: usize,
    read: VecDeque<Record>,
    reading: Option<Reading>,
    /// Records that come again, and were read for that.
    again: HashMap<u64, Record>,
    reading_again: Option<(u64, Reading)>,
    skipped: u64,
}

impl Serving {
    pub(super) fn new(spec: &SubscriptionSpec, place: Arc<Place>, claim: Option<Claim>) -> Self {
        let mut serving = Self {
            spec: None,
            place,
            _claim: claim,
            window: WINDOW,
            read: VecDeque::new(),
            reading: None,
            again: HashMap::new(),
            reading_again: None,
            skipped: 0,
        };
        serving.take_over(spec);
        serving
    }

    pub(super) fn take_over(&mut self, spec: &SubscriptionSpec) {
        self.window = spec.in_flight.unwrap_or(WINDOW).clamp(1, OPEN);
        self.spec = Some(spec.clone());
    }

    pub(super) fn is_of(&self, id: &SubscriptionId) -> bool {
        self.spec.as_ref().is_some_and(|spec| spec.id == *id)
    }

    pub(super) fn part(&mut self) {
        self.spec = None;
    }

    pub(super) fn is_done(&self) -> bool {
        self.spec.is_none() && self.place.cursor.lock().in_flight() == 0
    }

    /// When it is to be polled without anybody asking.
    pub(super) fn wake_at(&self) -> Option<u64> {
        let cursor = self.place.cursor.lock();
        cursor.wake_at(self.spec.is_some() && cursor.in_flight() < self.window)
    }

    /// The next delivery, if there is one now.
    pub(super) fn poll(&mut self, link: &LinkShared, cx: &mut Context<'_>) -> Poll<RawDelivery> {
        let now = link.now();
        self.place.cursor.lock().lapse(now);
        let Some(id) = self.spec.as_ref().map(|spec| spec.id.clone()) else { return Poll::Pending };
        loop {
            if self.place.cursor.lock().in_flight() >= self.window {
                return Poll::Pending;
            }
            if let Poll::Ready(again) = self.poll_again(link, now, cx) {
                match again {
                    Some((record, lease)) => return Poll::Ready(self.delivery(link, &id, record, lease)),
                    None => continue,
                }
            }
            // What is read for the next time goes before what never came.
            if self.reading_again.is_some() || self.place.cursor.lock().open() >= OPEN {
                return Poll::Pending;
            }
            let Some(record) = std::task::ready!(self.poll_fresh(link, cx)) else { continue };
            let mut cursor = self.place.cursor.lock();
            if record.sequence < cursor.next() {
                continue;
            }
            if !self.wants(link, &record) {
                cursor.skip(record.sequence);
                drop(cursor);
                self.note_skip(link);
                continue;
            }
            let lease = cursor.deliver(record.sequence, now, &link.journal.0.config.retry);
            drop(cursor);
            // That it was delivered is noted with the next group: whoever crashes on it does not get it for ever.
            self.note(link);
            return Poll::Ready(self.delivery(link, &id, record, lease));
        }
    }

    /// A record that is due again. `Ready(None)`: look again.
    fn poll_again(
        &mut self,
        link: &LinkShared,
        now: u64,
        cx: &mut Context<'_>,
    ) -> Poll<Option<(Record, Lease)>> {
        if let Some((sequence, reading)) = &mut self.reading_again {
            let sequence = *sequence;
            let found = std::task::ready!(Pin::new(reading).poll(cx)).unwrap_or(Err(StoreError::Closed));
            self.reading_again = None;
            match found.map(|records| records.into_iter().find(|record| record.sequence == sequence)) {
                Ok(Some(record)) => drop(self.again.insert(sequence, record)),
                Ok(None) => {
                    tracing::warn!(consumer = %self.place.name, sequence, "a record that was to come again is gone");
                    self.place.cursor.lock().gone(sequence);
                }
                Err(error) => {
                    tracing::error!(consumer = %self.place.name, %error, "a record cannot be read");
                    return Poll::Pending;
                }
            }
        }
        let Some(sequence) = self.place.cursor.lock().due(now) else { return Poll::Pending };
        let held = self.again.remove(&sequence);
        let known = held.or_else(|| link.journal.0.shared.state.lock().tail_from(sequence, 1)?.pop());
        let Some(record) = known else {
            let reading = read(link, sequence, 1);
            if let Some(reading) = reading {
                self.reading_again = Some((sequence, reading));
                return Poll::Ready(None);
            }
            return Poll::Pending;
        };
        if !link.journal.0.writes.has_room() {
            // Woken by the next group; a dead letter must find room.
            self.again.insert(sequence, record);
            return Poll::Pending;
        }
        let again = self.place.cursor.lock().again(sequence, now, &link.journal.0.config.retry);
        match again {
            Some(Again::Deliver(lease)) => {
                self.note(link);
                Poll::Ready(Some((record, lease)))
            }
            Some(Again::Dead { attempts }) => {
                self.bury(link, &record, attempts);
                Poll::Ready(None)
            }
            None => Poll::Ready(None),
        }
    }

    /// The next record that was never looked at. `Ready(None)`: look again.
    fn poll_fresh(&mut self, link: &LinkShared, cx: &mut Context<'_>) -> Poll<Option<Record>> {
        if let Some(reading) = &mut self.reading {
            let found = std::task::ready!(Pin::new(reading).poll(cx)).unwrap_or(Err(StoreError::Closed));
            self.reading = None;
            match found {
                Ok(records) if records.is_empty() => self.jump(link),
                Ok(records) => self.read = records.into(),
                Err(error) => {
                    tracing::error!(consumer = %self.place.name, %error, "records cannot be read");
                    return Poll::Pending;
                }
            }
        }
        let next = self.place.cursor.lock().next();
        while self.read.front().is_some_and(|record| record.sequence < next) {
            self.read.pop_front();
        }
        if let Some(record) = self.read.front()
            && record.sequence == next
        {
            return Poll::Ready(self.read.pop_front());
        }
        if let Some(record) = self.read.front() {
            // What lay between was removed, or is damaged.
            return Poll::Ready(self.hole(next, record.sequence));
        }
        let shared = &link.journal.0.shared;
        {
            let state = shared.state.lock();
            if next >= state.next {
                return Poll::Pending;
            }
            if let Some(records) = state.tail_from(next, BATCH) {
                self.read = records.into();
                return Poll::Ready(None);
            }
        }
        match read(link, next, BATCH_BYTES) {
            Some(reading) => {
                self.reading = Some(reading);
                Poll::Ready(None)
            }
            None => Poll::Pending,
        }
    }

    /// The records from a place on are gone, up to the next one to come.
    fn jump(&mut self, link: &LinkShared) {
        let next = link.journal.0.shared.state.lock().next;
        self.place.cursor.lock().removed_before(next);
    }

    /// Records that are not there any more, as a gap that comes in their place.
    fn hole(&mut self, from: u64, to: u64) -> Option<Record> {
        let mut cursor = self.place.cursor.lock();
        cursor.removed_before(to - 1);
        let floor = cursor.floor();
        drop(cursor);
        self.again.retain(|sequence, _| *sequence >= floor);
        let received = self.read.front().map_or(0, |record| record.received);
        let reason = format!("records {from} to {} were removed before this consumer had them", to - 1);
        tracing::warn!(consumer = %self.place.name, from, to, "records were removed unhandled");
        let event = gap_event(received, received, &reason).ok()?;
        let record = Record { sequence: to - 1, received, event, is_gap: true, to: None, exact: false };
        self.again.insert(record.sequence, record.clone());
        Some(record)
    }

    fn wants(&self, link: &LinkShared, record: &Record) -> bool {
        let Some(spec) = &self.spec else { return false };
        if let Some(to) = &record.to {
            if to.as_str() != self.place.name {
                return false;
            }
            if record.exact {
                return true;
            }
        }
        if !spec.expression.as_ref().is_none_or(|expression| expression.matches(&record.event)) {
            return false;
        }
        match record.event.target() {
            "" => true,
            target => {
                let Ok(target) = Expression::parse(target) else {
                    count(&link.journal.0.shared.counters.unreadable_targets);
                    return false;
                };
                target.matches(&spec.subscriber)
            }
        }
    }

    fn delivery(&self, link: &LinkShared, id: &SubscriptionId, record: Record, lease: Lease) -> RawDelivery {
        let token = Token {
            link: link.number,
            place: Arc::clone(&self.place),
            event: record.event.clone(),
            sequence: lease.sequence,
            lease: lease.lease,
        };
        let lock = link.journal.0.config.retry.lock;
        let mut delivery =
            RawDelivery::direct(record.event, id.clone()).settled_by(SettleToken::new(token), Some(lock));
        delivery.filter_is_exact = true;
        delivery.attempt = lease.attempt;
        delivery
    }

    fn note_skip(&mut self, link: &LinkShared) {
        self.skipped += 1;
        if self.skipped >= SKIPPED {
            self.skipped = 0;
            self.note(link);
        }
    }

    /// Has the place written with the next group. When that has no room, with a later one.
    fn note(&self, link: &LinkShared) {
        if self.place.durable {
            let place = Arc::clone(&self.place);
            let _ = link.journal.0.writes.try_submit(Op::Save { place, reply: None });
        }
    }

    fn bury(&self, link: &LinkShared, record: &Record, attempts: u32) {
        count(&link.journal.0.shared.counters.dead);
        tracing::warn!(consumer = %self.place.name, sequence = record.sequence, "a dead letter");
        let reason = "whoever worked on it last did not say what became of it";
        let letter = Box::new(Letter {
            sequence: record.sequence,
            event: record.event.clone(),
            cause: Cause::DeliveryLimit,
            reason: Some(reason.to_owned()),
            attempts,
            buried: link.journal.0.config.now(),
        });
        let op = Op::Bury { place: Arc::clone(&self.place), letter, reply: None };
        if link.journal.0.writes.try_submit(op).is_err() {
            tracing::error!(consumer = %self.place.name, sequence = record.sequence, "a dead letter was not kept");
        }
    }
}

/// Starts to read; `None` when too many read already.
fn read(link: &LinkShared, from: u64, bytes: usize) -> Option<Reading> {
    let (reply, reading) = oneshot::channel();
    let work = move |file: &crate::store::StoreFile| drop(reply.send(file.read(from, bytes)));
    link.journal.0.reads.try_submit(Box::new(work)).then_some(reading)
}
