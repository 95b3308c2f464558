//! Publishing, asking and answering.
#![expect(clippy::disallowed_methods, reason = "a shell: it reads tokio's clock")]

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use futures_util::future::BoxFuture;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep};

use super::context::Scope;
use super::lifecycle::{Lifecycle, count};
use super::shared::{Shared, closed};
use crate::correlator::{Correlator, Pending};
use crate::dispatch::Entry;
use crate::outbox::{Deadline, Done, Receipt, Resend, Told};
use crate::{Error, ErrorKind, Event, RawJson, Result};

/// Unread replies that a [`ReplyStream`] holds.
const REPLIES: usize = 256;

impl Shared {
    /// Fills in what the caller left out.
    pub(crate) fn complete(&self, event: Event) -> Result<Event> {
        let mut builder = event.into_builder();
        if !builder.has_id() {
            builder = builder.id(crate::EventId::random());
        }
        self.dialect.complete(&mut builder);
        builder.build()
    }

    /// Publishes a complete event and waits for the acknowledgement.
    async fn publish(&self, event: Event, timeout: impl Into<Timeout>, resend: Resend) -> Result<Receipt> {
        let timeout = timeout.into();
        if let Some(refusal) = self.refusal("publish") {
            return Err(refusal);
        }
        let (done, told) = oneshot::channel();
        self.outbox.push(event, timeout.deadline(), resend, Done::Caller(done)).await?;
        self.outcome(told.await, timeout)
    }

    /// What a caller was told, in the caller's terms. The engine watches the deadlines, of which there is one timer.
    fn outcome(
        &self,
        told: std::result::Result<Told, oneshot::error::RecvError>,
        timeout: Timeout,
    ) -> Result<Receipt> {
        match told {
            Ok(Told::Outcome(outcome)) => outcome,
            Ok(Told::TimeIsUp(topic)) => Err(Error::new(
                ErrorKind::Timeout,
                "publish",
                format!(
                    "the event on \"{topic}\" was not acknowledged within {:?} (the hub is {})",
                    timeout.limit,
                    &*self.state.borrow()
                ),
            )),
            Err(_) => Err(closed("publish")),
        }
    }

    /// Publishes something that must not be sent twice.
    pub(crate) async fn publish_once(&self, event: Event) -> Result<Receipt> {
        self.publish(event, self.settings.publish_timeout, Resend::Never).await
    }

    /// Queues an automatic reply; a failure is reported, and the handler's lane goes on.
    pub(crate) async fn reply(self: &Arc<Self>, entry: &Arc<Entry>, asked: &Event, data: RawJson) {
        let queued = match self.dialect.reply(asked, &entry.spec.subscriber, data) {
            Ok(reply) => {
                let deadline = Instant::now() + self.settings.publish_timeout;
                let (shared, answering) = (Arc::clone(self), Arc::clone(entry));
                let done = Done::Report(Box::new(move |outcome| {
                    if let Err(error) = outcome {
                        shared.reply_failed(&answering, error);
                    }
                }));
                self.outbox.push(reply, deadline, Resend::Never, done).await
            }
            Err(error) => Err(error),
        };
        if let Err(error) = queued {
            self.reply_failed(entry, error);
        }
    }

    fn reply_failed(&self, entry: &Entry, error: Error) {
        count(&self.counters.problems);
        self.report(Lifecycle::ReplyFailed { id: entry.id().clone(), error: Arc::new(error) });
    }

    /// No reply came in time.
    fn unanswered(&self, event: &Event, timeout: Duration, stuck: Option<&Scope>) -> Error {
        let why = stuck.map_or_else(|| format!("the hub is {}", &*self.state.borrow()), Scope::explain_stuck);
        let message = format!("no reply to the event on \"{}\" within {timeout:?}: {why}", event.topic());
        Error::new(ErrorKind::Timeout, "request", message)
    }

    fn open_request(&self, event: &Event, replies: usize) -> Result<Pending> {
        let Some(id) = event.id() else {
            return Err(Error::new(ErrorKind::InvalidInput, "request", "the event has no id"));
        };
        Correlator::open(&self.correlator, id.clone(), replies).ok_or_else(|| {
            Error::new(
                ErrorKind::Duplicate,
                "request",
                format!("a request with the id \"{id}\" is still open"),
            )
        })
    }
}

/// The failure of a publish that nobody waits for unless it fails.
#[derive(Default)]
struct Failed {
    error: Mutex<Option<Error>>,
    waker: AtomicWaker,
}

impl Failed {
    fn set(&self, error: Error) {
        *self.error.lock() = Some(error);
        self.waker.wake();
    }

    /// Cancel-safe; for one waiter.
    async fn get(&self) -> Error {
        std::future::poll_fn(|cx| {
            self.waker.register(cx.waker());
            self.error.lock().take().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

/// How long something may take.
#[derive(Clone, Copy, Debug)]
struct Timeout {
    limit: Duration,
    /// Whether the caller said so.
    chosen: bool,
}

impl Timeout {
    /// When it ends if it begins now.
    fn deadline(self) -> Deadline {
        Deadline { at: Instant::now() + self.limit, chosen: self.chosen }
    }
}

impl From<Duration> for Timeout {
    fn from(limit: Duration) -> Self {
        Self { limit, chosen: false }
    }
}

/// A publish to be awaited. See [`EventHub::publish`](crate::EventHub::publish).
#[must_use = "nothing is published until this is awaited"]
pub struct Publish {
    shared: Arc<Shared>,
    event: Event,
    timeout: Timeout,
    resend: Resend,
    verbatim: bool,
}

impl Publish {
    pub(super) fn new(shared: Arc<Shared>, event: Event) -> Self {
        let timeout = shared.settings.publish_timeout.into();
        Self { shared, event, timeout, resend: Resend::UntilAcked, verbatim: false }
    }

    /// How long the event may wait for a connection and the server's acknowledgement; afterwards it is not sent
    /// any more. Default: the hub's publish timeout, 30 s unless set. Over a journal it is how long the event is kept,
    /// without which that is the journal's setting.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Timeout { limit: timeout, chosen: true };
        self
    }

    /// Sends the event as it is, byte for byte if it was received: no id is drawn, and the source stays whose it is, so
    /// replies go there and not here. For whoever passes on what others published.
    pub fn verbatim(mut self) -> Self {
        self.verbatim = true;
        self
    }

    /// What to do when the connection ends before the acknowledgement. Default [`Resend::UntilAcked`].
    pub fn resend(mut self, resend: Resend) -> Self {
        self.resend = resend;
        self
    }

    /// Queues the event and returns without waiting for the acknowledgement; waits for room in the outbox only. A
    /// failure later on is counted and logged, nothing more.
    ///
    /// # Errors
    ///
    /// Those of publishing that show at once.
    pub async fn no_wait(self) -> Result<()> {
        if let Some(refusal) = self.shared.refusal("publish") {
            return Err(refusal);
        }
        let event = if self.verbatim { self.event } else { self.shared.complete(self.event)? };
        let topic = event.topic().clone();
        let done = Done::Report(Box::new(move |outcome| {
            if let Err(error) = outcome {
                tracing::warn!(%topic, %error, "an event published without waiting was lost");
            }
        }));
        self.shared.outbox.push(event, self.timeout.deadline(), self.resend, done).await
    }
}

impl IntoFuture for Publish {
    type Output = Result<Receipt>;
    type IntoFuture = Publishing;

    fn into_future(self) -> Publishing {
        let Self { shared, event, timeout, resend, verbatim } = self;
        Publishing { shared, timeout, stage: Stage::Ready { event, resend, verbatim } }
    }
}

/// A publish that is awaited. Nothing happens before it is polled.
///
/// # Cancel safety
///
/// Dropping it never unsends the event, nor takes it out of the queue.
#[must_use = "nothing is published until this is awaited"]
pub struct Publishing {
    shared: Arc<Shared>,
    timeout: Timeout,
    stage: Stage,
}

enum Stage {
    Ready {
        event: Event,
        resend: Resend,
        verbatim: bool,
    },
    /// The outbox is full.
    Queueing {
        queueing: BoxFuture<'static, Result<()>>,
        told: oneshot::Receiver<Told>,
    },
    Queued(oneshot::Receiver<Told>),
    Over,
}

impl Stage {
    /// Queues the event at once, or begins to wait for room.
    fn begin(
        shared: &Arc<Shared>,
        event: Event,
        timeout: Timeout,
        resend: Resend,
        verbatim: bool,
    ) -> Result<Self> {
        let event = if verbatim { event } else { shared.complete(event)? };
        if let Some(refusal) = shared.refusal("publish") {
            return Err(refusal);
        }
        let (done, told) = oneshot::channel();
        let deadline = timeout.deadline();
        match shared.outbox.try_push(event, deadline, resend, Done::Caller(done)) {
            Ok(()) => Ok(Self::Queued(told)),
            Err((event, done)) => {
                let shared = Arc::clone(shared);
                let queueing =
                    Box::pin(async move { shared.outbox.push(event, deadline, resend, done).await });
                Ok(Self::Queueing { queueing, told })
            }
        }
    }
}

impl Future for Publishing {
    type Output = Result<Receipt>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        loop {
            match &mut this.stage {
                Stage::Queued(told) => {
                    let told = ready!(Pin::new(told).poll(cx));
                    this.stage = Stage::Over;
                    return Poll::Ready(this.shared.outcome(told, this.timeout));
                }
                Stage::Queueing { queueing, .. } => {
                    let queued = ready!(queueing.as_mut().poll(cx));
                    let Stage::Queueing { told, .. } = std::mem::replace(&mut this.stage, Stage::Over) else {
                        continue;
                    };
                    queued?;
                    this.stage = Stage::Queued(told);
                }
                Stage::Ready { .. } => {
                    let Stage::Ready { event, resend, verbatim } =
                        std::mem::replace(&mut this.stage, Stage::Over)
                    else {
                        continue;
                    };
                    this.stage = Stage::begin(&this.shared, event, this.timeout, resend, verbatim)?;
                }
                // Polled after its end, which no executor does.
                Stage::Over => return Poll::Ready(Err(closed("publish"))),
            }
        }
    }
}

impl std::fmt::Debug for Publishing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publishing").field("timeout", &self.timeout.limit).finish_non_exhaustive()
    }
}

/// A request to be awaited. See [`EventHub::request`](crate::EventHub::request).
#[must_use = "nothing is asked until this is awaited"]
pub struct Request {
    shared: Arc<Shared>,
    event: Event,
    timeout: Duration,
}

impl Request {
    pub(super) fn new(shared: Arc<Shared>, event: Event) -> Self {
        let timeout = shared.settings.request_timeout;
        Self { shared, event, timeout }
    }

    /// How long to wait for a reply, connecting and sending included. Default: the hub's request timeout, 30 s
    /// unless set.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Publishes the event and yields every reply until the timeout; then the stream ends.
    ///
    /// # Errors
    ///
    /// Those of publishing.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future or the stream closes the request; the event is not unsent.
    pub async fn replies(self) -> Result<ReplyStream> {
        if let Some(scope) = Scope::current() {
            scope.release();
        }
        let deadline = Instant::now() + self.timeout;
        let event = self.shared.complete(self.event)?;
        let pending = self.shared.open_request(&event, REPLIES)?;
        self.shared.publish(event, self.timeout, Resend::Never).await?;
        Ok(ReplyStream { pending, deadline: Box::pin(tokio::time::sleep_until(deadline)) })
    }

    async fn first(self) -> Result<Event> {
        let scope = Scope::current();
        if let Some(scope) = &scope {
            scope.release();
        }
        let Self { shared, event, timeout } = self;
        let deadline = Instant::now() + timeout;
        let event = shared.complete(event)?;
        let mut pending = shared.open_request(&event, 1)?;
        let own_lane = scope.as_ref().zip(event.id()).map(|(scope, id)| scope.await_start(id));
        let timed_out = || {
            let stuck = own_lane.as_ref().is_some_and(|lane| lane.waited_until(deadline));
            shared.unanswered(&event, timeout, scope.as_ref().filter(|_| stuck))
        };
        if let Some(refusal) = shared.refusal("publish") {
            return Err(refusal);
        }
        // A reply counts as an acknowledgement: only a failure is worth waking up for.
        let failed = Arc::new(Failed::default());
        let tell = Arc::clone(&failed);
        let done = Done::Report(Box::new(move |outcome| outcome.map_or_else(|e| tell.set(e), drop)));
        let queueing = shared.outbox.push(event.clone(), deadline, Resend::Never, done);
        tokio::pin!(queueing);
        let mut queued = false;
        let (time_is_up, stopped) = (tokio::time::sleep_until(deadline), shared.stop.cancelled());
        tokio::pin!(time_is_up, stopped);
        loop {
            tokio::select! {
                biased;
                reply = pending.next() => return Ok(reply),
                outcome = &mut queueing, if !queued => match outcome {
                    Ok(()) => queued = true,
                    Err(error) => return Err(error),
                },
                error = failed.get() => return Err(match error.kind() {
                    ErrorKind::Timeout => timed_out(),
                    _ => error,
                }),
                () = &mut time_is_up => return Err(timed_out()),
                () = &mut stopped => return Err(closed("request")),
            }
        }
    }
}

impl IntoFuture for Request {
    type Output = Result<Event>;
    type IntoFuture = BoxFuture<'static, Result<Event>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.first())
    }
}

/// Every reply to one event, until its deadline.
///
/// Holds 256 unread replies; more are dropped and counted. Dropping it closes the request.
pub struct ReplyStream {
    pending: Pending,
    deadline: Pin<Box<Sleep>>,
}

impl ReplyStream {
    /// The next reply; `None` after the deadline. Cancel-safe.
    pub async fn next(&mut self) -> Option<Event> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }
}

impl Stream for ReplyStream {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Event>> {
        if let Poll::Ready(reply) = self.pending.poll_next(cx) {
            return Poll::Ready(Some(reply));
        }
        self.deadline.as_mut().poll(cx).map(|()| None)
    }
}

impl std::fmt::Debug for Publish {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publish")
            .field("event", &self.event)
            .field("timeout", &self.timeout.limit)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request")
            .field("event", &self.event)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for ReplyStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReplyStream").field("pending", &self.pending).finish_non_exhaustive()
    }
}
