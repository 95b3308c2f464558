//! The receiving half of a link, which also hands over what is to be sent: polled, not a task.
#![expect(clippy::disallowed_methods, reason = "a shell: it reads tokio's clock")]

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use async_nats::{Client, Event as Report, Message, ServerError, SubscribeError, Subscriber};
use event_core::transport::{Acknowledgement, Gap, Inbound, RawDelivery, SubscriptionChange};
use event_core::{Error, ErrorKind, Result};
use futures_core::Stream;
use futures_core::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, SelectAll};
use futures_util::{SinkExt, StreamExt};
use tokio::time::{Instant, Sleep};

use super::consumer::Checked;
use super::source::{Key, NewSource, Source, Stop};
use super::{Out, Shared, Subscribed, Waiting};
use crate::dial::Reports;
use crate::stats::count;
use crate::{envelope, errors};

/// Messages taken in a row before what else there is gets its turn.
const BURST: usize = 64;
/// How long closing waits for the last bytes to leave.
const LEAVING: Duration = Duration::from_secs(2);
/// Within which a server that says so ends its connections.
const GRACE: Duration = Duration::from_secs(10);

type Subscribing = BoxFuture<'static, (NewSource, Result<Subscriber, SubscribeError>)>;

/// Drives a link.
pub(crate) struct Shell {
    pub(super) shared: Arc<Shared>,
    client: Option<Client>,
    reports: Arc<Reports>,
    sources: SelectAll<Source>,
    subscribing: Option<Subscribing>,
    pub(super) checks: FuturesUnordered<BoxFuture<'static, Checked>>,
    /// What the link has to tell, in order.
    pub(super) ready: VecDeque<Result<Inbound>>,
    sleep: Pin<Box<Sleep>>,
    /// The last thing that the server complained of.
    said: Option<String>,
    leaving: Option<BoxFuture<'static, ()>>,
    over: bool,
}

impl Shell {
    pub(super) async fn new(shared: Arc<Shared>, client: Client, reports: Arc<Reports>) -> Result<Self> {
        let inbox = client.subscribe(format!("{}.*", shared.inbox)).await.map_err(|cause| {
            Error::new(ErrorKind::Disconnected, "connect", "the connection ended at once").with_source(cause)
        })?;
        let mut sources = SelectAll::new();
        sources.push(Source::new(Key::Inbox, Arc::new(Stop::default()), Arc::clone(&shared), inbox));
        Ok(Self {
            shared,
            client: Some(client),
            reports,
            sources,
            subscribing: None,
            checks: FuturesUnordered::new(),
            ready: VecDeque::new(),
            sleep: Box::pin(tokio::time::sleep(Duration::ZERO)),
            said: None,
            leaving: None,
            over: false,
        })
    }

    /// Does some work on the link, and moves the link meanwhile.
    pub(super) async fn drive<T>(&mut self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let mut work = pin!(work);
        poll_fn(|cx| {
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(done);
            }
            self.turn(cx);
            match self.ready.iter().position(Result::is_err).and_then(|at| self.ready.remove(at)) {
                Some(Err(error)) => Poll::Ready(Err(error)),
                // The answer may have come in this turn.
                _ => work.as_mut().poll(cx),
            }
        })
        .await
    }

    /// Moves everything that can move.
    fn turn(&mut self, cx: &mut Context<'_>) {
        self.shared.waker.register(cx.waker());
        loop {
            let mut moved = self.hear_reports();
            moved |= self.receive(cx);
            moved |= self.check(cx);
            self.pull();
            moved |= self.hand_over(cx);
            moved |= self.tick(cx);
            moved |= self.leave(cx);
            if !moved || self.over || !self.ready.is_empty() {
                return;
            }
        }
    }

    // ---- out ------------------------------------------------------------------------------------------------

    /// Gives the connection what is queued, as much as it takes.
    fn hand_over(&mut self, cx: &mut Context<'_>) -> bool {
        let mut moved = false;
        loop {
            if let Some(subscribing) = &mut self.subscribing {
                let Poll::Ready((new, subscribed)) = subscribing.as_mut().poll(cx) else { return moved };
                self.subscribing = None;
                // It fails when the connection is over, of which the inbox tells.
                if let Ok(subscriber) = subscribed {
                    let shared = Arc::clone(&self.shared);
                    self.sources.push(Source::new(new.key, new.stop, shared, subscriber));
                }
                moved = true;
            }
            let Some(client) = &mut self.client else { return moved };
            if self.shared.state.lock().outgoing.is_empty() {
                return moved | self.echo_publishes();
            }
            let Poll::Ready(Ok(())) = client.poll_ready_unpin(cx) else { return moved };
            let next = self.shared.state.lock().outgoing.pop_front();
            match next {
                None => {}
                Some(Out::Message(message)) => {
                    // What is too large was refused before; a closed connection tells of itself.
                    if let Err(cause) = client.start_send_unpin(message) {
                        tracing::debug!(%cause, "not handed to the connection");
                    }
                }
                Some(Out::Subscribe(new)) => {
                    let client = client.clone();
                    self.subscribing = Some(Box::pin(async move {
                        let subscribed = match &new.group {
                            Some(group) => client.queue_subscribe(new.subject.clone(), group.clone()).await,
                            None => client.subscribe(new.subject.clone()).await,
                        };
                        (new, subscribed)
                    }));
                }
            }
            moved = true;
        }
    }

    /// Sends an echo behind the publishes that wait for one.
    fn echo_publishes(&mut self) -> bool {
        let mut state = self.shared.state.lock();
        let Some(last) = state.unconfirmed.last_key_value().map(|(number, _)| *number) else { return false };
        if std::mem::replace(&mut state.echoing, true) {
            return false;
        }
        let number = state.number();
        state.waiting.insert(number, Waiting::Echo(last));
        state.deadlines.push_back((Instant::now() + self.shared.config.answer_timeout, number));
        let echo = self.shared.echo_of(number);
        state.outgoing.push_back(echo);
        true
    }

    // ---- in -------------------------------------------------------------------------------------------------

    fn receive(&mut self, cx: &mut Context<'_>) -> bool {
        for taken in 0..BURST {
            match self.sources.poll_next_unpin(cx) {
                Poll::Ready(Some((key, Some(message)))) => self.message(&key, message),
                Poll::Ready(Some((Key::Inbox, None))) => self.client = None,
                Poll::Ready(Some((_, None))) => {}
                Poll::Ready(None) => {
                    // Without its inbox the connection is over, and everything that came is read.
                    return if self.client.is_none() && !self.over { self.ended() } else { taken > 0 };
                }
                Poll::Pending => return taken > 0,
            }
        }
        true
    }

    fn message(&mut self, key: &Key, message: Message) {
        match key {
            Key::Inbox => self.answer(message),
            Key::Consumer(consumer) => self.consumed(consumer, message),
            Key::Cover | Key::Group(_)
                if envelope::is_of(message.headers.as_ref(), self.shared.config.origin.as_deref()) =>
            {
                count(&self.shared.config.counters.own);
            }
            Key::Cover | Key::Group(_) => {
                match envelope::event(&self.shared.config.subjects, &message.subject, &message.payload) {
                    Ok(event) => self.deliver(key, &message.subject, event),
                    Err(undecodable) => {
                        count(&self.shared.config.counters.undecodable);
                        self.ready.push_back(Ok(Inbound::Problem(undecodable.into_error(&message.subject))));
                    }
                }
            }
        }
    }

    fn deliver(&mut self, key: &Key, subject: &str, event: event_core::Event) {
        if let Key::Group(id) = key {
            let delivery = RawDelivery::direct(event, id.clone());
            return self.ready.push_back(Ok(Inbound::Delivery(delivery)));
        }
        if self.shared.groups.load(Ordering::Acquire) == 0 {
            return self.ready.push_back(Ok(Inbound::Delivery(RawDelivery::matched(event))));
        }
        // Whoever is in a group gets it through the group, or not at all.
        let state = self.shared.state.lock();
        let wanting = state.subscriptions.iter().filter_map(|(id, subscribed)| match subscribed {
            Subscribed::Plain { filters, .. } if filters.accept(subject) => Some(id.clone()),
            _ => None,
        });
        let deliveries = wanting.map(|id| Ok(Inbound::Delivery(RawDelivery::direct(event.clone(), id))));
        self.ready.extend(deliveries);
    }

    fn answer(&mut self, message: Message) {
        let number = message.subject.rsplit('.').next().and_then(|number| number.parse::<u64>().ok());
        let Some(number) = number else { return };
        let mut state = self.shared.state.lock();
        match state.waiting.remove(&number) {
            // It came too late.
            None => {}
            Some(Waiting::Ask(teller)) => _ = teller.send(message),
            Some(Waiting::Echo(up_to)) => {
                state.echoing = false;
                let rest = state.unconfirmed.split_off(&(up_to + 1));
                let confirmed = std::mem::replace(&mut state.unconfirmed, rest);
                drop(state);
                for unconfirmed in confirmed.into_values() {
                    unconfirmed.confirmer.confirm(Acknowledgement::default());
                }
                self.shared.changed.notify_waiters();
            }
            Some(Waiting::Publish(publishing)) => {
                let unanswered = self.shared.published(&mut state, publishing, &message);
                drop(state);
                self.shared.changed.notify_waiters();
                self.look_at_stream(unanswered.into_iter().map(|publishing| *publishing).collect());
            }
            Some(Waiting::DeadLetter { acknowledge }) => {
                drop(state);
                self.dead_letter_answered(acknowledge, &message);
            }
        }
    }

    // ---- reports --------------------------------------------------------------------------------------------

    fn hear_reports(&mut self) -> bool {
        let reports = self.reports.take();
        let problems = std::mem::take(&mut self.shared.state.lock().problems);
        let any = !reports.is_empty() || !problems.is_empty();
        self.ready.extend(problems.into_iter().map(|problem| Ok(Inbound::Problem(problem))));
        for report in reports {
            match report {
                Report::SlowConsumer(_) => self.overrun(),
                Report::LameDuckMode => self.ready.push_back(Ok(Inbound::GoAway { after: GRACE })),
                Report::ServerError(ServerError::Other(words)) => self.complained(words),
                Report::ServerError(error) => self.complained(error.to_string()),
                Report::Connected | Report::Disconnected | Report::Draining | Report::Closed => {}
                Report::ClientError(error) => tracing::debug!(%error, "the connection gives up"),
            }
        }
        any
    }

    fn overrun(&mut self) {
        count(&self.shared.config.counters.overruns);
        let message = "messages came faster than the link was read, and some were dropped; make the buffer of the \
                       transport larger, or subscribe to less";
        let error = Error::new(ErrorKind::Full, "receive", message);
        self.ready.push_back(Ok(Inbound::Problem(error)));
        self.ready.push_back(Ok(Inbound::Gap(Gap::new(Duration::ZERO))));
    }

    fn complained(&mut self, words: String) {
        let quoted = |after: &str| {
            let rest = words.split_once(after)?.1;
            Some(rest.split('"').nth(1)?.to_owned())
        };
        if let Some(subject) = quoted("Violation for Subscription to ") {
            self.subscription_denied(&subject);
        } else if let Some(subject) = quoted("Violation for Publish to ") {
            self.publish_denied(&subject);
        } else {
            let message = format!("{} complains: {words}", self.shared.peer);
            self.ready.push_back(Ok(Inbound::Problem(Error::new(ErrorKind::Protocol, "receive", message))));
            self.said = Some(words);
        }
    }

    fn subscription_denied(&mut self, subject: &str) {
        const OP: &str = "subscribe";
        if subject.starts_with(&self.shared.inbox) {
            let error = errors::denied("connect", "_INBOX.>");
            self.ready.push_back(Err(error));
            return self.close_now();
        }
        let mut state = self.shared.state.lock();
        state.covers.refuse(subject);
        let without = |subscribed: &Subscribed| match subscribed {
            Subscribed::Plain { filters, stands } => {
                *stands && filters.as_slice().iter().any(|filter| filter == subject)
            }
            _ => false,
        };
        let lost: Vec<_> =
            state.subscriptions.iter().filter(|(_, one)| without(one)).map(|(id, _)| id.clone()).collect();
        for id in &lost {
            state.subscriptions.remove(id);
        }
        state.denied.push(subject.to_owned());
        // Narrower ones that it had taken over from, too early, are needed again.
        let missed = state.cover();
        drop(state);
        self.shared.changed.notify_waiters();
        for id in lost {
            let change = SubscriptionChange::Lost(errors::denied(OP, subject));
            self.ready.push_back(Ok(Inbound::Subscription { id, change }));
        }
        if missed {
            self.ready.push_back(Ok(Inbound::Gap(Gap::new(Duration::ZERO))));
        }
    }

    fn publish_denied(&mut self, subject: &str) {
        let error = errors::denied("publish", subject);
        let mut state = self.shared.state.lock();
        let core =
            state.unconfirmed.iter().find(|(_, one)| one.subject == subject).map(|(number, _)| *number);
        let stream = state.waiting.iter().filter_map(|(number, one)| match one {
            Waiting::Publish(publishing) if publishing.subject == subject => Some(*number),
            _ => None,
        });
        let stream = stream.min();
        let confirmer = if let Some(one) = core.and_then(|number| state.unconfirmed.remove(&number)) {
            Some(one.confirmer)
        } else if let Some(Waiting::Publish(one)) = stream.and_then(|number| state.waiting.remove(&number)) {
            state.streaming -= 1;
            Some(one.confirmer)
        } else {
            None
        };
        drop(state);
        match confirmer {
            Some(confirmer) => {
                count(&self.shared.config.counters.refused);
                confirmer.refuse(error);
                self.shared.changed.notify_waiters();
            }
            None => self.ready.push_back(Ok(Inbound::Problem(error))),
        }
    }

    // ---- time -----------------------------------------------------------------------------------------------

    /// Lets pass what has waited for too long. `true` when there was any.
    fn tick(&mut self, cx: &mut Context<'_>) -> bool {
        let now = Instant::now();
        let next = {
            let mut state = self.shared.state.lock();
            while let Some((_, number)) = state.deadlines.front() {
                if state.waiting.contains_key(number) {
                    break;
                }
                state.deadlines.pop_front();
            }
            let consumers = state.consumers.iter().filter_map(|consumer| consumer.window.lock().wake_at());
            let consumer = consumers.min().map(Instant::from_std);
            let answer = state.deadlines.front().map(|(at, _)| *at);
            let again = state.again.front().map(|(at, _)| *at);
            [consumer, answer, again].into_iter().flatten().min()
        };
        let Some(next) = next else { return false };
        if next > now {
            if self.sleep.deadline() != next {
                self.sleep.as_mut().reset(next);
            }
            if self.sleep.as_mut().poll(cx).is_pending() {
                return false;
            }
        }
        self.pass(Instant::now());
        true
    }

    fn pass(&mut self, now: Instant) {
        let mut state = self.shared.state.lock();
        self.shared.publish_again(&mut state, now);
        let mut unanswered = Vec::new();
        while let Some((at, number)) = state.deadlines.front().copied() {
            if at > now {
                break;
            }
            state.deadlines.pop_front();
            unanswered.extend(state.waiting.remove(&number));
        }
        drop(state);
        let limit = self.shared.config.answer_timeout;
        let mut publishes = Vec::new();
        for waiting in unanswered {
            match waiting {
                Waiting::Publish(publishing) => publishes.push(*publishing),
                Waiting::Ask(_) => {}
                Waiting::DeadLetter { .. } => {
                    let message =
                        format!("a dead letter was not confirmed within {limit:?}; its event comes again");
                    let error = Error::new(ErrorKind::Timeout, "give up", message);
                    self.ready.push_back(Ok(Inbound::Problem(error)));
                }
                Waiting::Echo(_) => {
                    let message = format!("{} did not answer within {limit:?}", self.shared.peer);
                    self.ready.push_back(Err(Error::new(ErrorKind::Timeout, "receive", message)));
                    self.close_now();
                    return;
                }
            }
        }
        self.look_at_stream(publishes);
        self.look_at_silences(now.into_std());
        self.shared.changed.notify_waiters();
    }

    // ---- the end --------------------------------------------------------------------------------------------

    /// Says good-bye when that is asked for and everything is handed over. `true` when something changed.
    fn leave(&mut self, cx: &mut Context<'_>) -> bool {
        if self.over {
            return false;
        }
        if let Some(leaving) = &mut self.leaving {
            if leaving.as_mut().poll(cx).is_pending() {
                return false;
            }
            self.close_now();
            return true;
        }
        let closing = {
            let state = self.shared.state.lock();
            state.closing && state.outgoing.is_empty()
        };
        let Some(client) = self.client.clone().filter(|_| closing && self.subscribing.is_none()) else {
            return false;
        };
        self.leaving = Some(Box::pin(async move {
            let _ = tokio::time::timeout(LEAVING, client.flush()).await;
        }));
        true
    }

    /// The connection is over.
    fn ended(&mut self) -> bool {
        if !self.shared.state.lock().closing {
            let error = errors::disconnected(&self.shared.peer, self.said.as_deref());
            self.ready.push_back(Err(error));
        }
        self.close_now();
        true
    }

    /// Lets go of the connection.
    pub(super) fn close_now(&mut self) {
        self.over = true;
        self.client = None;
        self.leaving = None;
        self.subscribing = None;
        self.sources.clear();
        self.checks.clear();
        self.shared.end();
    }
}

impl Stream for Shell {
    type Item = Result<Inbound>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ready.is_empty() && !self.over {
            self.turn(cx);
        }
        match self.ready.pop_front() {
            Some(item) => Poll::Ready(Some(item)),
            None if self.over => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

impl Drop for Shell {
    /// The link is gone, and whoever waits on it hears that.
    fn drop(&mut self) {
        self.shared.end();
    }
}
