//! The sending half of a link.
#![expect(clippy::disallowed_methods, reason = "a shell: it reads tokio's clock")]

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_nats::StatusCode;
use async_nats::message::OutboundMessage;
use async_trait::async_trait;
use bytes::Bytes;
use event_core::transport::{
    Confirmation, Guarantee, LinkSender, NotSent, SettleFailed, SettleToken, Settlement,
};
use event_core::{Error, ErrorKind, Event, Result, SubscriptionSpec};
use tokio::time::Instant;

use super::consumer::{Consumer, Lease};
use super::publish::{Publishing, read_answer};
use super::source::{Key, NewSource, Stop};
use super::stream::Wanted;
use super::{Out, Shared, State, Subscribed, Unconfirmed};
use crate::filter::Filters;
use crate::jetstream::JetStream;
use crate::stats::count;
use crate::subject::MAX_SUBJECT;
use crate::{envelope, errors};

/// The pauses between attempts to create a consumer.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

pub(crate) struct Sender(pub(super) Arc<Shared>);

impl Sender {
    /// Why an event cannot be sent as it is.
    fn refusal(&self, event: &Event, subject: &str, bytes: usize, headers: usize) -> Option<Error> {
        let (own, server) = (self.0.config.max_payload, self.0.server_limit);
        if bytes > own || bytes + headers > server {
            return Some(errors::too_large(bytes, own, server));
        }
        if subject.len() > MAX_SUBJECT {
            let length = event.topic().as_str().len();
            let message =
                format!("a topic of {length} bytes is too long for a subject; give it a shorter one");
            return Some(Error::new(ErrorKind::InvalidInput, "send", message));
        }
        None
    }

    fn push(&self, event: &Event) -> Result<Confirmation> {
        let shared = &self.0;
        let subject = shared.config.subjects.subject(event.topic().as_str());
        let headers = envelope::headers(event, shared.config.origin.as_deref());
        let payload = event.to_json();
        // As they stand on the wire, with some room.
        let origin = shared.config.origin.as_ref().map_or(0, |origin| origin.len() * 3 + 32);
        let extra = event.id().map_or(0, |id| id.as_str().len() * 3 + 64) + origin;
        if let Some(refusal) = self.refusal(event, &subject, payload.len(), extra) {
            return Err(refusal);
        }
        let mut state = shared.state.lock();
        if state.ended || state.closing {
            return Err(errors::over("send"));
        }
        if state.in_flight() >= shared.config.window {
            let message = "the window is full: wait for acknowledgements";
            return Err(Error::new(ErrorKind::Full, "send", message));
        }
        let (confirmer, confirmation) = Confirmation::channel();
        if shared.config.jetstream.is_none() {
            let number = state.number();
            state.unconfirmed.insert(number, Unconfirmed { subject: subject.clone(), confirmer });
            let message = OutboundMessage { subject: subject.into(), reply: None, payload, headers };
            state.outgoing.push_back(Out::Message(message));
        } else if Shared::is_taken(&state, &subject) {
            state.streaming += 1;
            let deadline = Instant::now() + shared.config.answer_timeout;
            let publishing = Publishing { subject, headers, payload, confirmer, deadline };
            shared.publish_to_stream(&mut state, Box::new(publishing));
        } else {
            count(&shared.config.counters.refused);
            confirmer.refuse(shared.nobody_takes(&subject));
            return Ok(confirmation);
        }
        drop(state);
        count(&shared.config.counters.published);
        shared.waker.wake();
        Ok(confirmation)
    }

    // ---- subscriptions --------------------------------------------------------------------------------------

    fn refuse(spec: &SubscriptionSpec, state: &State) -> Result<()> {
        const OP: &str = "subscribe";
        if state.ended || state.closing {
            return Err(errors::over(OP));
        }
        if state.subscriptions.contains_key(&spec.id) {
            let message = format!("there is a subscription \"{}\" on this link already", spec.id);
            return Err(Error::new(ErrorKind::Duplicate, OP, message));
        }
        Ok(())
    }

    /// Subscribes to what is published from now on.
    async fn listen(&self, spec: &SubscriptionSpec) -> Result<()> {
        let shared = &self.0;
        let filters = Filters::of(&shared.config.subjects, spec.expression.as_ref());
        let asked = {
            let mut state = shared.state.lock();
            Self::refuse(spec, &state)?;
            let subscribed = Subscribed::Plain { filters: filters.clone(), stands: false };
            state.subscriptions.insert(spec.id.clone(), subscribed);
            state.cover()
        };
        shared.waker.wake();
        let mut echo = shared.echo("subscribe").await;
        if asked && echo.is_ok() {
            // A refusal comes by another way than the echo behind it: a second echo gives it time.
            let first = echo;
            echo = shared.echo("subscribe").await.and(first);
        }
        let echo = match echo {
            Ok(echo) => echo,
            Err(error) => {
                self.forget(spec);
                return Err(error);
            }
        };
        let mut state = shared.state.lock();
        state.covers.confirm(echo);
        let denied = state.denied.iter().find(|denied| filters.as_slice().contains(denied));
        if let Some(denied) = denied.cloned() {
            drop(state);
            self.forget(spec);
            return Err(errors::denied("subscribe", &denied));
        }
        if let Some(Subscribed::Plain { stands, .. }) = state.subscriptions.get_mut(&spec.id) {
            *stands = true;
        }
        state.prune();
        Ok(())
    }

    fn forget(&self, spec: &SubscriptionSpec) {
        let mut state = self.0.state.lock();
        state.subscriptions.remove(&spec.id);
        state.prune();
    }

    /// Subscribes as one of a queue group.
    async fn listen_in(&self, spec: &SubscriptionSpec, group: &str) -> Result<()> {
        let shared = &self.0;
        let usable = |byte: u8| byte.is_ascii_graphic();
        if group.is_empty() || !group.bytes().all(usable) {
            let message =
                format!("\"{group}\" is no name of a queue group; use visible characters without blanks");
            return Err(Error::new(ErrorKind::InvalidInput, "subscribe", message));
        }
        let filters = Filters::of(&shared.config.subjects, spec.expression.as_ref());
        {
            let mut state = shared.state.lock();
            Self::refuse(spec, &state)?;
            let mut stops = Vec::new();
            for subject in filters.as_slice() {
                let stop = Arc::new(Stop::default());
                stops.push(Arc::clone(&stop));
                let key = Key::Group(spec.id.clone());
                let new = NewSource { subject: subject.clone(), group: Some(group.to_owned()), key, stop };
                state.outgoing.push_back(Out::Subscribe(new));
            }
            state.subscriptions.insert(spec.id.clone(), Subscribed::Grouped(stops));
            shared.groups.fetch_add(1, Ordering::AcqRel);
        }
        shared.waker.wake();
        shared.echo("subscribe").await?;
        let denied =
            shared.state.lock().denied.iter().find(|denied| filters.as_slice().contains(denied)).cloned();
        match denied {
            None => Ok(()),
            Some(denied) => {
                self.unlisten(spec).await?;
                Err(errors::denied("subscribe", &denied))
            }
        }
    }

    /// Subscribes to the stream.
    async fn consume(&self, spec: &SubscriptionSpec, settings: &JetStream) -> Result<()> {
        let shared = &self.0;
        if spec.address.is_some() {
            let message = "a queue group is for at-most-once subscriptions; durable ones of one name share their events";
            return Err(Error::new(ErrorKind::Unsupported, "subscribe", message));
        }
        Self::refuse(spec, &shared.state.lock())?;
        let wanted = Wanted::by(shared, settings, spec)?;
        let assumed = wanted.is_known(shared);
        if !assumed {
            self.create_consumer(settings, &wanted).await?;
        }
        let size = spec.in_flight.unwrap_or(settings.in_flight).clamp(1, settings.in_flight);
        let mut state = shared.state.lock();
        Self::refuse(spec, &state)?;
        let inbox = format!("{}.c{}", shared.inbox.replacen("_INBOX.", "_INBOX.c", 1), state.number());
        let consumer = Arc::new(Consumer::new(spec.id.clone(), wanted, assumed, inbox, size));
        let new = NewSource {
            subject: consumer.inbox.clone(),
            group: None,
            key: Key::Consumer(Arc::clone(&consumer)),
            stop: Arc::clone(&consumer.stop),
        };
        state.outgoing.push_back(Out::Subscribe(new));
        state.consumers.push(Arc::clone(&consumer));
        state.subscriptions.insert(spec.id.clone(), Subscribed::Consuming(consumer));
        drop(state);
        shared.waker.wake();
        Ok(())
    }

    /// Creates a consumer, as often as it takes while the servers elect a leader: a failure that passes would cost the
    /// subscription.
    async fn create_consumer(&self, settings: &JetStream, wanted: &Wanted) -> Result<()> {
        let mut pause = FIRST_PAUSE;
        loop {
            let error = match self.0.create_consumer(settings, wanted).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if !error.is_transient() || self.0.state.lock().ended {
                return Err(error);
            }
            self.0.tell(error);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.0.until(|state| state.ended) => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn unlisten(&self, spec: &SubscriptionSpec) -> Result<()> {
        let shared = &self.0;
        let (stops, consumer) = {
            let mut state = shared.state.lock();
            if state.ended {
                return Ok(());
            }
            match state.subscriptions.remove(&spec.id) {
                None => return Ok(()),
                Some(Subscribed::Plain { .. }) => {
                    state.cover();
                    (Vec::new(), None)
                }
                Some(Subscribed::Grouped(stops)) => {
                    shared.groups.fetch_sub(1, Ordering::AcqRel);
                    for stop in &stops {
                        stop.ask();
                    }
                    (stops, None)
                }
                Some(Subscribed::Consuming(consumer)) => {
                    consumer.part();
                    consumer.stop.ask();
                    (vec![Arc::clone(&consumer.stop)], Some(consumer))
                }
            }
        };
        shared.waker.wake();
        let echo = shared.echo("unsubscribe").await?;
        let pruned = {
            let mut state = shared.state.lock();
            state.covers.confirm(echo);
            state.prune()
        };
        let stopping: Vec<_> = stops.into_iter().chain(pruned).collect();
        shared.until(|state| state.ended || stopping.iter().all(|stop| stop.is_done())).await;
        shared.echo("unsubscribe").await?;
        let Some(consumer) = consumer else { return Ok(()) };
        shared.state.lock().consumers.retain(|other| !Arc::ptr_eq(other, &consumer));
        let settings = self.0.config.jetstream.as_ref().filter(|_| !consumer.wanted.durable);
        let idle = consumer.window.lock().is_idle();
        match settings {
            // What is still worked on can be settled; the server deletes the consumer when it is not used any more.
            Some(settings) if idle => shared.delete_consumer(settings, &consumer.wanted.name).await,
            _ => Ok(()),
        }
    }

    // ---- settlement -----------------------------------------------------------------------------------------

    async fn settle_lease(&self, token: &SettleToken, outcome: Settlement) -> Result<()> {
        const OP: &str = "settle";
        let lease = lease(token)?;
        if Instant::now() >= lease.until {
            return Err(lapsed(OP));
        }
        let limit = self.0.config.jetstream.as_ref().and_then(|settings| settings.delivery_limit);
        let last = limit.is_some_and(|limit| lease.delivered.attempt >= limit);
        match outcome {
            Settlement::Complete => self.tell(OP, lease, Bytes::from_static(b"+ACK")).await,
            Settlement::Reject => self.give_up(lease, token.reason().unwrap_or("rejected")).await,
            Settlement::Abandon { .. } if last => {
                let why = token.reason().unwrap_or("not handled");
                let reason = format!("delivered {} times; the last time: {why}", lease.delivered.attempt);
                self.give_up(lease, &reason).await
            }
            Settlement::Abandon { delay: Some(delay) } if !delay.is_zero() => {
                let payload = format!("-NAK {{\"delay\":{}}}", delay.as_nanos());
                self.tell(OP, lease, payload.into()).await
            }
            _ => self.tell(OP, lease, Bytes::from_static(b"-NAK")).await,
        }
    }

    /// Says something about a delivery, and waits for the server's word.
    async fn tell(&self, op: &'static str, lease: &Lease, payload: Bytes) -> Result<()> {
        let answer = self.0.ask(op, lease.acknowledge.clone(), None, payload).await?;
        if answer.status != Some(StatusCode::NO_RESPONDERS) {
            return Ok(());
        }
        let message = format!(
            "the consumer {} is not there, or without a leader at the moment; the event comes again if it comes back",
            lease.consumer.wanted.name
        );
        Err(Error::new(ErrorKind::Unreachable, op, message))
    }

    async fn give_up(&self, lease: &Lease, reason: &str) -> Result<()> {
        const OP: &str = "settle";
        let shared = &self.0;
        let expected = {
            let mut state = shared.state.lock();
            let letter =
                shared.dead_letter(&mut state, &lease.consumer, lease.delivered, &lease.letter, reason);
            match letter {
                Some((number, question)) => Some(Shared::expect(&mut state, OP, number, question)?),
                None => None,
            }
        };
        let kept = expected.is_some();
        if let Some((number, answer)) = expected {
            let answer = shared.answered(OP, number, answer).await?;
            read_answer(shared, OP, "a dead letter", &answer)?;
            count(&shared.config.counters.dead_letters);
        }
        self.tell(OP, lease, Bytes::from_static(b"+TERM")).await?;
        count(&shared.config.counters.given_up);
        if !kept {
            tracing::warn!(sequence = lease.delivered.sequence, reason, "an event is given up and not kept");
        }
        Ok(())
    }
}

impl State {
    /// Subscribes to what is missing for the subscriptions there are; `false` when nothing is.
    pub(super) fn cover(&mut self) -> bool {
        let missing = self.covers.missing(plain(&self.subscriptions));
        let any = !missing.is_empty();
        for subject in missing {
            let number = self.number();
            let stop = self.covers.add(subject.clone(), number);
            self.outgoing.push_back(Out::Subscribe(NewSource {
                subject,
                group: None,
                key: Key::Cover,
                stop,
            }));
        }
        any
    }

    fn prune(&mut self) -> Vec<Arc<Stop>> {
        self.covers.prune(plain(&self.subscriptions))
    }
}

fn plain(
    subscriptions: &std::collections::HashMap<event_core::SubscriptionId, Subscribed>,
) -> impl Iterator<Item = &String> {
    subscriptions.values().flat_map(|subscribed| match subscribed {
        Subscribed::Plain { filters, .. } => filters.as_slice(),
        _ => &[],
    })
}

fn lease(token: &SettleToken) -> Result<&Lease> {
    token
        .get::<Lease>()
        .ok_or_else(|| Error::new(ErrorKind::InvalidInput, "settle", "this token is of another transport"))
}

fn lapsed(op: &'static str) -> Error {
    let message = "its lock lapsed; the server gives the event to somebody, perhaps to us again";
    Error::new(ErrorKind::LockLost, op, message)
}

fn without_locks(op: &'static str) -> Error {
    let message = "core NATS has no locks; give the transport a JetStream";
    Error::new(ErrorKind::Unsupported, op, message)
}

#[async_trait]
impl LinkSender for Sender {
    fn send(&self, event: Event) -> Result<Confirmation, NotSent> {
        self.push(&event).map_err(|error| NotSent::new(event, error))
    }

    async fn ready(&self) {
        self.0.until(|state| state.ended || state.in_flight() < self.0.config.window).await;
    }

    /// Needs the receiving half to be polled meanwhile.
    async fn subscribe(&self, spec: &SubscriptionSpec) -> Result<()> {
        match (spec.require, &self.0.config.jetstream) {
            (Guarantee::AtMostOnce, _) => {
                spec.refuse_name("nats")?;
                match &spec.address {
                    Some(group) => self.listen_in(spec, group).await,
                    None => self.listen(spec).await,
                }
            }
            (_, Some(settings)) => self.consume(spec, settings).await,
            (_, None) => {
                spec.refuse_name("nats")?;
                let message = "core NATS delivers at most once; give the transport a JetStream";
                Err(Error::new(ErrorKind::Unsupported, "subscribe", message))
            }
        }
    }

    /// Needs the receiving half to be polled meanwhile.
    async fn unsubscribe(&self, spec: &SubscriptionSpec) -> Result<()> {
        self.unlisten(spec).await
    }

    /// Completes a delivery, has it delivered again, or gives it up; `Ok` means that the server confirmed. Needs the
    /// receiving half to be polled meanwhile.
    async fn settle(&self, token: SettleToken, outcome: Settlement) -> Result<(), SettleFailed> {
        if self.0.config.jetstream.is_none() {
            return Err(SettleFailed::new(token, without_locks("settle")));
        }
        match self.settle_lease(&token, outcome).await {
            Ok(()) => Ok(()),
            Err(error) => Err(SettleFailed::new(token, error)),
        }
    }

    /// Prolongs a lock to its full length. Needs the receiving half to be polled meanwhile.
    async fn extend(&self, token: &mut SettleToken) -> Result<()> {
        const OP: &str = "extend a lock";
        let Some(settings) = &self.0.config.jetstream else { return Err(without_locks(OP)) };
        let asked = Instant::now();
        if asked >= lease(token)?.until {
            return Err(lapsed(OP));
        }
        self.tell(OP, lease(token)?, Bytes::from_static(b"+WPI")).await?;
        if let Some(lease) = token.get_mut::<Lease>() {
            lease.until = asked + settings.ack_wait;
        }
        Ok(())
    }

    async fn flush(&self) -> Result<()> {
        self.0.echo("flush").await.map(drop)
    }

    async fn close(&self) {
        {
            let mut state = self.0.state.lock();
            state.closing = true;
            state.consumers.iter().for_each(|consumer| consumer.part());
        }
        self.0.waker.wake();
        self.0.until(|state| state.ended).await;
    }
}
