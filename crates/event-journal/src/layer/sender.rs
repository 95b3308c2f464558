//! The sending half of a link.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use event_core::transport::{
    Acknowledgement, Confirmation, Guarantee, LinkSender, NotSent, SendTerms, SettleFailed, SettleToken,
    Settlement,
};
use event_core::{Error, ErrorKind, Event, Result, SubscriptionId, SubscriptionSpec};
use tokio::sync::oneshot;

use super::consumer::Serving;
use super::{Asking, LinkShared, Token};
use crate::config::millis;
use crate::cursor::Settled;
use crate::journal::{Journal, OUTBOX, count};
use crate::letters::Letter;
use crate::store::{Op, Outgoing};

pub(super) struct Sender(pub(super) Arc<LinkShared>);

fn over(op: &'static str) -> Error {
    Error::new(ErrorKind::NotConnected, op, "the link is closed")
}

fn lapsed() -> Error {
    let message = "its lock lapsed, or its link ended; the event comes again";
    Error::new(ErrorKind::LockLost, "settle", message)
}

impl Sender {
    /// Takes a consumer for the link, where the subscription is to be delivered at least once.
    async fn serve(&self, spec: &SubscriptionSpec) -> Result<()> {
        let link = &self.0;
        let name = spec.durable.clone().unwrap_or_else(|| spec.id.as_str().to_owned());
        {
            let mut state = link.state.lock();
            state.keys.insert(spec.id.clone(), SubscriptionId::from(name.as_str()));
            let parted = |serving: &&mut Serving| serving.spec.is_none() && serving.place.name == name;
            if let Some(parted) = state.serving.iter_mut().find(parted) {
                parted.take_over(spec);
                return Ok(());
            }
        }
        let claim = if spec.durable.is_some() { Some(link.journal.claim(&name)?) } else { None };
        let next = link.journal.0.shared.state.lock().next;
        let place = match (&spec.durable, link.journal.place(&name)) {
            (Some(_), Some(place)) => place,
            (Some(_), None) => {
                let place = Journal::new_place(&name, next, true);
                link.journal.adopt(Arc::clone(&place)).await?;
                place
            }
            (None, _) => Journal::new_place(&name, next, false),
        };
        link.state.lock().serving.push(Serving::new(spec, place, claim));
        Ok(())
    }

    fn forget(&self, id: &SubscriptionId) {
        let mut state = self.0.state.lock();
        state.live.remove(id);
        state.keys.remove(id);
        state.serving.iter_mut().filter(|serving| serving.is_of(id)).for_each(Serving::part);
        state.serving.retain(|serving| !serving.is_done());
    }

    async fn subscribe_here(&self, spec: &SubscriptionSpec, again: bool) -> Result<()> {
        if self.0.is_over() {
            return Err(over("subscribe"));
        }
        if spec.durable.is_some() || spec.require == Guarantee::AtLeastOnce {
            self.serve(spec).await?;
        } else {
            self.0.state.lock().live.insert(spec.id.clone());
        }
        let outcome = self.ask_below(spec, again).await;
        if outcome.is_err() {
            self.forget(&spec.id);
        }
        outcome
    }

    /// Has the receiving half subscribe below, and waits for that while there is a connection.
    async fn ask_below(&self, spec: &SubscriptionSpec, again: bool) -> Result<()> {
        let link = &self.0;
        let mut below = spec.clone();
        below.durable = None;
        below.in_flight = None;
        below.require = link.below_for(spec.require);
        let inner = Arc::clone(&link.inner);
        let (done, mut outcome) = oneshot::channel();
        let mut up = link.up.subscribe();
        // Without a connection nobody waits.
        let waited = *up.borrow_and_update();
        let asked = Box::pin(async move {
            if waited && !again { inner.subscribe(&below).await } else { inner.subscribe_again(&below).await }
        });
        link.state.lock().asking.push(Asking { id: spec.id.clone(), outcome: asked, done });
        link.waker.wake();
        if !waited {
            return Ok(());
        }
        let mut ended = link.ended.subscribe();
        tokio::select! {
            biased;
            outcome = &mut outcome => outcome.unwrap_or_else(|_| Err(over("subscribe"))),
            // It is asked for again with the next connection; a refusal is told as a loss.
            _ = up.wait_for(|up| !*up) => Ok(()),
            _ = ended.wait_for(|ended| *ended) => Err(over("subscribe")),
        }
    }

    fn keep(&self, event: Event, terms: SendTerms) -> Result<Confirmation, NotSent> {
        let journal = &self.0.journal;
        if journal.0.shared.state.lock().outbound.len() >= OUTBOX {
            let message = format!("{OUTBOX} events wait in the journal to be sent; wait, or connect");
            return Err(NotSent::new(event, Error::new(ErrorKind::Full, "publish", message)));
        }
        let kept = terms.expires_in.unwrap_or(journal.0.config.outbox_expiry);
        let expires = journal.0.config.now().saturating_add(millis(kept));
        let (confirmer, confirmation) = Confirmation::channel();
        let reply = Box::new(move |outcome: Result<(), crate::StoreError>| match outcome {
            Ok(()) => confirmer.confirm(Acknowledgement::default()),
            Err(error) => confirmer.refuse(error.into()),
        });
        let outgoing = Outgoing { event: event.clone(), expires };
        match journal.0.writes.try_submit(Op::Publish { outgoing, reply }) {
            Ok(()) => Ok(confirmation),
            Err((_, error)) => Err(NotSent::new(event, error.into())),
        }
    }

    async fn settle_here(&self, token: &SettleToken, outcome: Settlement) -> Result<()> {
        let Some(ours) = token.get::<Token>() else {
            let message = "this token is of another transport";
            return Err(Error::new(ErrorKind::InvalidInput, "settle", message));
        };
        let (link, journal) = (&self.0, &self.0.journal);
        if ours.link != link.number {
            return Err(lapsed());
        }
        let (now, policy) = (link.now(), &journal.0.config.retry);
        let settled = {
            let mut cursor = ours.place.cursor.lock();
            cursor.lapse(now);
            cursor.settle(ours.sequence, ours.lease, outcome, now, policy).ok_or_else(lapsed)?
        };
        link.state.lock().serving.retain(|serving| !serving.is_done());
        // There is room for another delivery.
        link.waker.wake();
        let place = Arc::clone(&ours.place);
        match settled {
            Settled::Dead { attempts, cause } => {
                count(&journal.0.shared.counters.dead);
                let letter = Box::new(Letter {
                    sequence: ours.sequence,
                    event: ours.event.clone(),
                    cause,
                    reason: token.reason().map(str::to_owned),
                    attempts,
                    buried: journal.0.config.now(),
                });
                tracing::warn!(consumer = %place.name, sequence = ours.sequence, ?cause, "a dead letter");
                journal.ask(|reply| Op::Bury { place, letter, reply: Some(reply) }).await
            }
            Settled::Done | Settled::Again { .. } if place.durable => {
                journal.ask(|reply| Op::Save { place, reply: Some(reply) }).await
            }
            Settled::Done | Settled::Again { .. } => Ok(()),
        }
    }
}

#[async_trait]
impl LinkSender for Sender {
    fn send(&self, event: Event) -> Result<Confirmation, NotSent> {
        self.send_with(event, SendTerms::default())
    }

    /// Keeps the event until it is sent and acknowledged; the confirmation says that it is kept. What must not be sent
    /// twice is not kept, and goes out at once or not at all.
    fn send_with(&self, event: Event, terms: SendTerms) -> Result<Confirmation, NotSent> {
        let below = &self.0.below;
        if !below.publish {
            let error = Error::new(ErrorKind::Unsupported, "publish", "this transport does not publish");
            return Err(NotSent::new(event, error));
        }
        if self.0.is_over() {
            return Err(NotSent::new(event, over("publish")));
        }
        if let Some(most) = below.max_payload
            && event.to_json().len() > most
        {
            let message = format!("the event is larger than the {most} bytes that this transport carries");
            return Err(NotSent::new(event, Error::new(ErrorKind::TooLarge, "publish", message)));
        }
        if !terms.once {
            return self.keep(event, terms);
        }
        let sent = self.0.inner.send_with(event, terms);
        self.0.full_below.store(sent.is_err(), Ordering::Release);
        sent
    }

    async fn ready(&self) {
        if self.0.is_over() || !self.0.below.publish {
            return;
        }
        if self.0.full_below.swap(false, Ordering::AcqRel) {
            return self.0.inner.ready().await;
        }
        let shared = &self.0.journal.0.shared;
        loop {
            let left = shared.left.notified();
            tokio::pin!(left);
            left.as_mut().enable();
            if shared.state.lock().outbound.len() < OUTBOX || self.0.is_over() {
                break;
            }
            left.await;
        }
        self.0.journal.0.writes.room().await;
    }

    /// Subscribes; while there is no connection, that is noted and done with the next one, and a refusal is then told
    /// as a loss of the subscription.
    async fn subscribe(&self, spec: &SubscriptionSpec) -> Result<()> {
        self.subscribe_here(spec, false).await
    }

    async fn subscribe_again(&self, spec: &SubscriptionSpec) -> Result<()> {
        self.subscribe_here(spec, true).await
    }

    /// Unsubscribes. A durable consumer keeps its place; what is not settled yet may still be.
    async fn unsubscribe(&self, spec: &SubscriptionSpec) -> Result<()> {
        self.forget(&spec.id);
        self.0.inner.unsubscribe(spec).await
    }

    async fn settle(&self, token: SettleToken, outcome: Settlement) -> Result<(), SettleFailed> {
        match self.settle_here(&token, outcome).await {
            Ok(()) => Ok(()),
            Err(error) => Err(SettleFailed::new(token, error)),
        }
    }

    async fn extend(&self, token: &mut SettleToken) -> Result<()> {
        let Some(ours) = token.get::<Token>() else {
            let message = "this token is of another transport";
            return Err(Error::new(ErrorKind::InvalidInput, "extend a lock", message));
        };
        let (now, policy) = (self.0.now(), &self.0.journal.0.config.retry);
        let mut cursor = ours.place.cursor.lock();
        cursor.lapse(now);
        if ours.link == self.0.number && cursor.extend(ours.sequence, ours.lease, now, policy) {
            Ok(())
        } else {
            Err(lapsed())
        }
    }

    /// Waits until what was published before is on the disk and, while there is a connection, on the wire.
    async fn flush(&self) -> Result<()> {
        if *self.0.ended.borrow() {
            return Err(over("flush"));
        }
        self.0.journal.ask(|reply| Op::Barrier { reply }).await?;
        let shared = &self.0.journal.0.shared;
        let last = shared.state.lock().outbound.last();
        loop {
            let left = shared.left.notified();
            tokio::pin!(left);
            left.as_mut().enable();
            let sent = last.is_none_or(|last| shared.state.lock().outbound.is_past(last));
            if sent || !*self.0.up.borrow() || *self.0.ended.borrow() {
                break;
            }
            let mut up = self.0.up.subscribe();
            tokio::select! {
                () = left => {}
                _ = up.wait_for(|up| !*up) => {}
            }
        }
        if *self.0.up.borrow() { self.0.inner.flush().await } else { Ok(()) }
    }

    async fn close(&self) {
        let link = &self.0;
        if *link.ended.borrow() {
            return;
        }
        link.closing.store(true, Ordering::Release);
        link.waker.wake();
        let mut ended = link.ended.subscribe();
        let closing = async {
            link.inner.close().await;
            link.waker.wake();
        };
        tokio::select! {
            biased;
            _ = ended.wait_for(|ended| *ended) => return,
            () = closing => {}
        }
        let _ = ended.wait_for(|ended| *ended).await;
    }
}
