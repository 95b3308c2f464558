//! What is in the outbox, on its way to the service: in order, by one link at a time.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use event_core::transport::{Acknowledgement, PublishError, SendTerms};
use event_core::{Error, ErrorKind};
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};

use super::LinkShared;
use crate::cursor::Cause;
use crate::journal::count;
use crate::letters::Letter;
use crate::store::{Op, Outgoing};

type Flight = BoxFuture<'static, (u64, Result<Acknowledgement, PublishError>)>;

/// Feeds the link below.
#[derive(Default)]
pub(super) struct Feed {
    flying: FuturesUnordered<Flight>,
    /// Those that fly.
    sent: BTreeSet<u64>,
    /// Resolves when the link below may have room again.
    room: Option<BoxFuture<'static, ()>>,
    /// What was not written yet, for want of room.
    owed: VecDeque<Op>,
}

impl Feed {
    /// Sends what can be sent, and deals with what landed.
    pub(super) fn poll(&mut self, link: &LinkShared, cx: &mut Context<'_>) {
        self.work(link, cx);
        self.pay(link);
    }

    fn work(&mut self, link: &LinkShared, cx: &mut Context<'_>) {
        loop {
            while let Poll::Ready(Some((sequence, outcome))) = self.flying.poll_next_unpin(cx) {
                self.landed(link, sequence, outcome);
            }
            if let Some(room) = &mut self.room {
                if room.poll_unpin(cx).is_pending() {
                    return;
                }
                self.room = None;
            }
            if !self.send(link) {
                return;
            }
        }
    }

    /// When something expires, in milliseconds since 1970.
    pub(super) fn wake_at(link: &LinkShared) -> Option<u64> {
        link.journal.0.shared.state.lock().outbound.expires_at()
    }

    /// The link has ended: what was under way may not have arrived, and is sent again by whoever feeds next.
    pub(super) fn abandon(&mut self, link: &LinkShared) {
        self.flying.clear();
        let mut state = link.journal.0.shared.state.lock();
        for sequence in std::mem::take(&mut self.sent) {
            state.outbound.back(sequence);
        }
        drop(state);
        self.pay(link);
    }

    /// Whether there is something to look at again at once.
    fn send(&mut self, link: &LinkShared) -> bool {
        let journal = &link.journal;
        let now = journal.0.config.now();
        let mut state = journal.0.shared.state.lock();
        for (sequence, outgoing, attempts) in state.outbound.expire(now) {
            self.give_up(link, sequence, outgoing, attempts, Cause::Expired, None);
        }
        if !*link.up.borrow() || state.feeder.is_some_and(|feeder| feeder != link.number) {
            return false;
        }
        state.feeder = Some(link.number);
        let mut sent = false;
        while let Some(outgoing) = state.outbound.front() {
            let terms = SendTerms::within(Duration::from_millis(outgoing.expires.saturating_sub(now)));
            match link.inner.send_with(outgoing.event.clone(), terms) {
                Ok(confirmation) => {
                    let Some(sequence) = state.outbound.fly() else { break };
                    self.sent.insert(sequence);
                    self.flying.push(Box::pin(async move { (sequence, confirmation.await) }));
                    sent = true;
                }
                Err(refused) if refused.error.kind() == ErrorKind::Full => {
                    let inner = Arc::clone(&link.inner);
                    self.room = Some(Box::pin(async move { inner.ready().await }));
                    return true;
                }
                // The news of that is on its way.
                Err(refused) if refused.error.kind() == ErrorKind::NotConnected => break,
                Err(refused) => {
                    let Some((sequence, outgoing, attempts)) = state.outbound.drop_front() else { break };
                    self.give_up(link, sequence, outgoing, attempts, Cause::Refused, Some(&refused.error));
                }
            }
        }
        sent
    }

    fn landed(&mut self, link: &LinkShared, sequence: u64, outcome: Result<Acknowledgement, PublishError>) {
        self.sent.remove(&sequence);
        let refusal = match outcome {
            Ok(acknowledgement) => link.acknowledged(&acknowledgement).err(),
            Err(PublishError::Refused(error)) => Some(error),
            Err(_) => return link.journal.0.shared.state.lock().outbound.back(sequence),
        };
        let landed = link.journal.0.shared.state.lock().outbound.landed(sequence);
        match (refusal, landed) {
            (None, _) => self.write(link, Op::Sent { sequence }),
            (Some(error), Some((outgoing, attempts))) => {
                self.give_up(link, sequence, outgoing, attempts, Cause::Refused, Some(&error));
            }
            (Some(_), None) => {}
        }
        link.journal.0.shared.left.notify_waiters();
    }

    fn give_up(
        &mut self,
        link: &LinkShared,
        sequence: u64,
        outgoing: Outgoing,
        attempts: u32,
        cause: Cause,
        why: Option<&Error>,
    ) {
        count(&link.journal.0.shared.counters.unsent);
        tracing::warn!(sequence, topic = %outgoing.event.topic(), ?cause, "a kept publish was given up");
        let letter = Box::new(Letter {
            sequence,
            event: outgoing.event,
            cause,
            reason: why.map(ToString::to_string),
            attempts,
            buried: link.journal.0.config.now(),
        });
        // Not here: the state is locked, and a journal without threads writes at once.
        self.owed.push_back(Op::Unsent { sequence, letter });
        link.waker.wake();
        link.journal.0.shared.left.notify_waiters();
    }

    fn write(&mut self, link: &LinkShared, op: Op) {
        self.owed.push_back(op);
        self.pay(link);
    }

    fn pay(&mut self, link: &LinkShared) {
        while let Some(op) = self.owed.pop_front() {
            if let Err((op, _)) = link.journal.0.writes.try_submit(op) {
                self.owed.push_front(op);
                return;
            }
        }
    }
}
