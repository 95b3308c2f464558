//! A subscription that reads the stream: asking for deliveries, giving them out under locks, giving them up.
#![expect(clippy::disallowed_methods, reason = "a shell: it reads tokio's clock")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use async_nats::message::OutboundMessage;
use async_nats::{HeaderMap, Message, StatusCode, header};
use bytes::Bytes;
use event_core::transport::{Inbound, RawDelivery, SettleToken, SubscriptionChange};
use event_core::{Error, ErrorKind, Result, Retry, SubscriptionId};
use futures_util::StreamExt;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::publish::{Publishing, read_answer};
use super::source::Stop;
use super::stream::Wanted;
use super::window::{EXPIRES, HEARTBEAT, Window};
use super::{Out, Shared, Shell, State, Waiting};
use crate::envelope::{self, Delivered};
use crate::jetstream::JetStream;
use crate::stats::count;
use crate::subject::header_text;

/// A consumer of the stream, as one link uses it.
pub(super) struct Consumer {
    pub(super) id: SubscriptionId,
    /// What it was asked to be.
    pub(super) wanted: Wanted,
    /// Nobody has looked on this link whether it is there.
    assumed: AtomicBool,
    /// Where its deliveries come.
    pub(super) inbox: String,
    pub(super) window: Mutex<Window>,
    pub(super) stop: Arc<Stop>,
    /// Nothing is asked for any more, and what comes all the same is given back.
    parted: AtomicBool,
    checking: AtomicBool,
}

/// What came of looking whether something is still there.
pub(super) enum Checked {
    Consumer(Arc<Consumer>, Result<()>),
    /// One that was taken for granted and was not there, created anew.
    Recreated(Arc<Consumer>, Result<()>),
    /// The stream, which did not answer these.
    Stream(Vec<Publishing>, Result<()>),
}

/// A delivery under a lock.
pub(crate) struct Lease {
    pub(super) consumer: Arc<Consumer>,
    /// Where it is settled.
    pub(super) acknowledge: String,
    pub(super) delivered: Delivered,
    /// Afterwards the server may have given it to somebody else.
    pub(super) until: Instant,
    pub(super) letter: Letter,
    waker: Arc<AtomicWaker>,
}

/// What a dead letter is made of.
#[derive(Clone)]
pub(super) struct Letter {
    pub(super) subject: String,
    pub(super) payload: Bytes,
}

impl Drop for Lease {
    /// There is room for another.
    fn drop(&mut self) {
        self.consumer.window.lock().settled();
        self.waker.wake();
    }
}

impl Consumer {
    pub(super) fn new(id: SubscriptionId, wanted: Wanted, assumed: bool, inbox: String, size: usize) -> Self {
        Self {
            id,
            wanted,
            assumed: AtomicBool::new(assumed),
            inbox,
            window: Mutex::new(Window::new(size)),
            stop: Arc::new(Stop::default()),
            parted: AtomicBool::new(false),
            checking: AtomicBool::new(false),
        }
    }

    pub(super) fn part(&self) {
        self.parted.store(true, Ordering::Release);
    }

    pub(super) fn is_parted(&self) -> bool {
        self.parted.load(Ordering::Acquire)
    }

    /// A request for so many deliveries.
    fn request(&self, settings: &JetStream, batch: usize) -> Out {
        let subject = settings.api(&format!("CONSUMER.MSG.NEXT.{}.{}", settings.stream, self.wanted.name));
        let (expires, heartbeat) = (EXPIRES.as_nanos(), HEARTBEAT.as_nanos());
        let payload = format!(r#"{{"batch":{batch},"expires":{expires},"idle_heartbeat":{heartbeat}}}"#);
        Out::Message(OutboundMessage {
            subject: subject.into(),
            reply: Some(self.inbox.as_str().into()),
            payload: payload.into(),
            headers: None,
        })
    }
}

/// How many deliveries a request ended without, where the server says so.
fn undelivered(headers: Option<&HeaderMap>) -> Option<usize> {
    headers?.get("Nats-Pending-Messages")?.as_str().parse().ok()
}

impl Shared {
    /// The question that makes a dead letter of an event.
    pub(super) fn dead_letter(
        &self,
        state: &mut State,
        consumer: &Consumer,
        delivered: Delivered,
        letter: &Letter,
        reason: &str,
    ) -> Option<(u64, Out)> {
        let settings = self.config.jetstream.as_ref()?;
        let prefix = settings.dead_letters.as_ref()?;
        let mut headers = HeaderMap::new();
        let id = format!("{}/{}/{}", settings.stream, consumer.wanted.name, delivered.sequence);
        headers.insert(header::NATS_MESSAGE_ID, id);
        headers.insert(envelope::REASON, header_text_with_blanks(reason));
        headers.insert(envelope::CONSUMER, consumer.wanted.name.as_str());
        headers.insert(envelope::SEQUENCE, delivered.sequence.to_string());
        headers.insert(envelope::DELIVERIES, delivered.attempt.to_string());
        let number = state.number();
        let subject = format!("{prefix}.{}", letter.subject);
        Some((number, self.question(number, subject, Some(headers), letter.payload.clone())))
    }
}

/// A sentence as the value of a header.
fn header_text_with_blanks(text: &str) -> String {
    let words: Vec<String> = text.split_whitespace().map(header_text).collect();
    words.join(" ")
}

impl Shell {
    /// Asks for deliveries where there is room.
    pub(super) fn pull(&self) {
        let Some(settings) = &self.shared.config.jetstream else { return };
        let mut state = self.shared.state.lock();
        if state.consumers.is_empty() || state.closing {
            return;
        }
        let now = Instant::now().into_std();
        let asking = state.consumers.iter().filter(|consumer| !consumer.is_parted());
        let requests: Vec<Out> = asking
            .filter_map(|consumer| Some(consumer.request(settings, consumer.window.lock().ask(now)?)))
            .collect();
        state.outgoing.extend(requests);
    }

    /// Something came from the stream, or about it.
    pub(super) fn consumed(&mut self, consumer: &Arc<Consumer>, message: Message) {
        let now = Instant::now();
        let mut window = consumer.window.lock();
        match message.status {
            None | Some(StatusCode::OK) => {
                window.delivered(now.into_std());
                drop(window);
                self.delivered(consumer, message, now);
            }
            Some(StatusCode::IDLE_HEARTBEAT) => window.alive(now.into_std()),
            Some(StatusCode::TIMEOUT | StatusCode::NOT_FOUND) => {
                window.expired(undelivered(message.headers.as_ref()), now.into_std());
            }
            // Gone, between two leaders, or shutting down: the consumer itself says which.
            Some(_) => {
                window.refused(now.into_std());
                drop(window);
                let said = message.description.unwrap_or_default();
                tracing::debug!(consumer = consumer.wanted.name, said, "a request for deliveries ended");
                self.look_at(consumer);
            }
        }
    }

    fn delivered(&mut self, consumer: &Arc<Consumer>, message: Message, now: Instant) {
        let config = Arc::clone(&self.shared.config);
        let Some(settings) = &config.jetstream else { return };
        let acknowledge = message.reply.as_ref().map(ToString::to_string).unwrap_or_default();
        let letter = Letter { subject: message.subject.to_string(), payload: message.payload };
        let Some(delivered) = Delivered::read(&acknowledge) else {
            consumer.window.lock().settled();
            let text = format!("a delivery of {} has no reply subject of JetStream", consumer.wanted.name);
            return self.ready.push_back(Ok(Inbound::Problem(Error::new(
                ErrorKind::Protocol,
                "receive",
                text,
            ))));
        };
        let lease = Lease {
            consumer: Arc::clone(consumer),
            acknowledge,
            delivered,
            until: now + settings.ack_wait,
            letter,
            waker: Arc::clone(&self.shared.waker),
        };
        if delivered.attempt > 1 {
            count(&self.shared.config.counters.redelivered);
        }
        if consumer.is_parted() || self.shared.state.lock().closing {
            // Somebody else may have it at once.
            let back = Shared::word(lease.acknowledge.clone(), "-NAK");
            return self.shared.state.lock().outgoing.push_back(back);
        }
        if envelope::is_of(message.headers.as_ref(), self.shared.config.origin.as_deref()) {
            count(&self.shared.config.counters.own);
            let done = Shared::word(lease.acknowledge.clone(), "+ACK");
            return self.shared.state.lock().outgoing.push_back(done);
        }
        if settings.delivery_limit.is_some_and(|limit| delivered.attempt > limit) {
            let reason = format!("delivered {} times and never completed", delivered.attempt - 1);
            return self.give_up(&lease, &reason);
        }
        let subjects = &self.shared.config.subjects;
        match envelope::event(subjects, &lease.letter.subject, &lease.letter.payload) {
            Ok(event) => {
                let mut delivery = RawDelivery::direct(event, consumer.id.clone());
                delivery.attempt = delivered.attempt;
                let delivery = delivery.settled_by(SettleToken::new(lease), Some(settings.ack_wait));
                self.ready.push_back(Ok(Inbound::Delivery(delivery)));
            }
            Err(undecodable) => {
                count(&self.shared.config.counters.undecodable);
                let reason = undecodable.to_string();
                let error = undecodable.into_error(&lease.letter.subject);
                self.ready.push_back(Ok(Inbound::Problem(error)));
                self.give_up(&lease, &reason);
            }
        }
    }

    /// Takes an event that nobody can handle out of the consumer, kept as a dead letter if those are.
    fn give_up(&mut self, lease: &Lease, reason: &str) {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.state.lock();
        let letter = shared.dead_letter(&mut state, &lease.consumer, lease.delivered, &lease.letter, reason);
        if let Some((number, question)) = letter {
            let acknowledge = lease.acknowledge.clone();
            state.deadlines.push_back((Instant::now() + shared.config.answer_timeout, number));
            state.waiting.insert(number, Waiting::DeadLetter { acknowledge });
            state.outgoing.push_back(question);
            return;
        }
        state.outgoing.push_back(Shared::word(lease.acknowledge.clone(), "+TERM"));
        drop(state);
        count(&shared.config.counters.given_up);
        let message = format!(
            "event {} of the stream is given up by {}: {reason}; set dead_letters to keep such events",
            lease.delivered.sequence, lease.consumer.wanted.name
        );
        let error = Error::new(ErrorKind::Handler, "give up", message).with_retry(Retry::Never);
        self.ready.push_back(Ok(Inbound::Problem(error)));
    }

    /// The stream's word on a dead letter.
    pub(super) fn dead_letter_answered(&mut self, acknowledge: String, message: &Message) {
        match read_answer(&self.shared, "give up", "a dead letter", message) {
            Ok(_) => {
                count(&self.shared.config.counters.given_up);
                count(&self.shared.config.counters.dead_letters);
                self.shared.state.lock().outgoing.push_back(Shared::word(acknowledge, "+TERM"));
            }
            // It comes again, and is given up again.
            Err(error) => self.ready.push_back(Ok(Inbound::Problem(error))),
        }
    }

    // ---- whether it is still there --------------------------------------------------------------------------

    /// Requests of which nothing is heard any more are made again, if the consumer is there.
    pub(super) fn look_at_silences(&self, now: std::time::Instant) {
        let consumers = self.shared.state.lock().consumers.clone();
        for consumer in consumers {
            let silent = {
                let mut window = consumer.window.lock();
                let silent = window.is_silent(now);
                if silent {
                    window.refused(now);
                }
                silent
            };
            if silent {
                count(&self.shared.config.counters.silences);
                self.look_at(&consumer);
            }
        }
    }

    fn look_at(&self, consumer: &Arc<Consumer>) {
        if consumer.is_parted() || consumer.checking.swap(true, Ordering::AcqRel) {
            return;
        }
        let (shared, consumer) = (Arc::clone(&self.shared), Arc::clone(consumer));
        self.checks.push(Box::pin(async move {
            let outcome = shared.consumer_is_there(&consumer.wanted.name).await;
            Checked::Consumer(consumer, outcome)
        }));
    }

    /// The stream did not answer these: it has no leader at the moment, or is not there any more.
    pub(super) fn look_at_stream(&self, publishes: Vec<Publishing>) {
        if publishes.is_empty() {
            return;
        }
        let shared = Arc::clone(&self.shared);
        self.checks.push(Box::pin(async move {
            let outcome = shared.stream_is_there().await;
            Checked::Stream(publishes, outcome)
        }));
    }

    /// Hears of what was looked at. `true` when there was something.
    pub(super) fn check(&mut self, cx: &mut Context<'_>) -> bool {
        let mut any = false;
        while let Poll::Ready(Some(checked)) = self.checks.poll_next_unpin(cx) {
            any = true;
            let (consumer, outcome) = match checked {
                Checked::Consumer(consumer, outcome) => (consumer, outcome),
                Checked::Recreated(consumer, outcome) => {
                    match &outcome {
                        Ok(()) => {
                            let (id, change) = (consumer.id.clone(), SubscriptionChange::Recreated);
                            self.ready.push_back(Ok(Inbound::Subscription { id, change }));
                        }
                        // It is tried again when it is missed again.
                        Err(error) => consumer.assumed.store(error.is_transient(), Ordering::Release),
                    }
                    (consumer, outcome)
                }
                Checked::Stream(publishes, outcome) => {
                    self.unanswered(publishes, &outcome);
                    continue;
                }
            };
            consumer.checking.store(false, Ordering::Release);
            match outcome {
                Err(error) if error.kind() == ErrorKind::NotFound => self.not_there(&consumer, error),
                // It is asked again after a pause.
                Err(error) => {
                    tracing::debug!(consumer = consumer.wanted.name, %error, "not known whether it is there");
                }
                Ok(()) => {}
            }
        }
        any
    }

    /// What was taken for granted is created anew, once; anything else is lost.
    fn not_there(&mut self, consumer: &Arc<Consumer>, error: Error) {
        self.shared.forget_known();
        if consumer.is_parted() || !consumer.assumed.swap(false, Ordering::AcqRel) {
            return self.lost(consumer, error);
        }
        consumer.checking.store(true, Ordering::Release);
        let (shared, consumer) = (Arc::clone(&self.shared), Arc::clone(consumer));
        self.checks.push(Box::pin(async move {
            let outcome = shared.create_again(&consumer.wanted).await;
            Checked::Recreated(consumer, outcome)
        }));
    }

    /// Publishes without an answer are refused if there is nobody to give one; else they are not confirmed, which is
    /// what dropping them says.
    fn unanswered(&self, publishes: Vec<Publishing>, outcome: &Result<()>) {
        let gone = outcome.as_ref().is_err_and(|error| error.kind() == ErrorKind::NotFound);
        if gone {
            self.shared.forget_known();
        }
        {
            let mut state = self.shared.state.lock();
            state.streaming = state.streaming.saturating_sub(publishes.len());
        }
        for publishing in publishes.into_iter().filter(|_| gone) {
            count(&self.shared.config.counters.refused);
            let error = self.shared.nobody_takes(&publishing.subject);
            publishing.confirmer.refuse(error);
        }
        self.shared.changed.notify_waiters();
    }

    fn lost(&mut self, consumer: &Arc<Consumer>, error: Error) {
        consumer.part();
        consumer.stop.ask();
        {
            let mut state = self.shared.state.lock();
            state.consumers.retain(|other| !Arc::ptr_eq(other, consumer));
            state.subscriptions.remove(&consumer.id);
        }
        count(&self.shared.config.counters.lost_consumers);
        let change = SubscriptionChange::Lost(error);
        self.ready.push_back(Ok(Inbound::Subscription { id: consumer.id.clone(), change }));
    }
}
