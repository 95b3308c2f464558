//! The shell of one queue: polled, not a task.
#![expect(clippy::disallowed_methods, reason = "a shell: it reads tokio's clock")]

use std::collections::VecDeque;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use event_core::supervisor::Shares;
use event_core::transport::{Inbound, RawDelivery, SettleToken, SubscriptionChange};
use event_core::{Error, ErrorKind, Event, Result, SubscriptionId};
use futures_core::Stream;
use futures_core::future::BoxFuture;
use futures_util::FutureExt;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep};

use crate::auth::Authorization;
use crate::client::{Lock, QueueClient};
use crate::lock::LockUrlError;
use crate::message::Message;
use crate::poll::{Output, PollConfig, Poller, State, Stats};
use crate::request::ReceiveMode;

/// Makes an event of a message.
pub(crate) type Mapper = Arc<dyn Fn(&Message) -> Result<Event> + Send + Sync>;
/// Hears where a queue stands.
pub(crate) type Watch = Arc<dyn Fn(&SubscriptionId, &QueueState) + Send + Sync>;

/// Where a queue stands, for those who watch.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum QueueState {
    /// It waits for credit: nobody can take a message now.
    Idle,
    /// A refused authorization is being replaced.
    Renewing,
    /// It polls.
    Polling,
    /// A step failed.
    Retrying {
        /// How.
        error: Arc<Error>,
        /// Failures in a row.
        attempt: u32,
        /// How long it waits.
        retry_in: Duration,
    },
    /// A destructive poll broke off in this way, and a message may be lost with it. Another state follows.
    PossibleLoss(Arc<Error>),
    /// It has ended: because of this error, or because it was asked to.
    Stopped(Option<Arc<Error>>),
}

/// What a queue shares with whoever steers it.
pub(crate) struct Control {
    /// Who gets the messages; another subscription may take over.
    pub(crate) id: Mutex<SubscriptionId>,
    pub(crate) client: QueueClient,
    poller: Mutex<Poller>,
    waker: AtomicWaker,
    ended: AtomicBool,
    pub(crate) changed: Notify,
}

impl Control {
    pub(crate) fn new(id: SubscriptionId, client: QueueClient, config: PollConfig) -> Self {
        Self {
            id: Mutex::new(id),
            client,
            poller: Mutex::new(Poller::new(config, Instant::now().into_std())),
            waker: AtomicWaker::new(),
            ended: AtomicBool::new(false),
            changed: Notify::new(),
        }
    }

    /// Tells the poller something, and has the shell look at what it says to it.
    pub(crate) fn tell<R>(&self, tell: impl FnOnce(&mut Poller, std::time::Instant) -> R) -> R {
        let told = tell(&mut self.poller.lock(), Instant::now().into_std());
        self.waker.wake();
        told
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    fn end(&self) {
        self.ended.store(true, Ordering::Release);
        self.changed.notify_waiters();
    }

    pub(crate) fn mode(&self) -> ReceiveMode {
        self.poller.lock().config().mode
    }
}

/// The token of a delivery under a lock.
pub(crate) struct Locked {
    pub(crate) client: QueueClient,
    pub(crate) lock: Result<Lock, LockUrlError>,
}

/// The step in flight.
enum Flight {
    None,
    Authorizing(BoxFuture<'static, Result<Authorization>>),
    Polling(BoxFuture<'static, Result<Option<Message>>>),
}

/// Drives one queue.
pub(crate) struct Queue {
    control: Arc<Control>,
    mapper: Mapper,
    watch: Option<Watch>,
    totals: Arc<Mutex<Stats>>,
    counted: Stats,
    flight: Flight,
    sleep: Pin<Box<Sleep>>,
    /// What there is to tell, in order.
    ready: VecDeque<Inbound>,
    /// The authorization of the latest poll.
    used: Option<Authorization>,
    shares: Shares,
    idle: bool,
    over: bool,
}

impl Queue {
    pub(crate) fn new(
        control: Arc<Control>,
        mapper: Mapper,
        watch: Option<Watch>,
        totals: Arc<Mutex<Stats>>,
    ) -> Self {
        let shares = control.poller.lock().config().backoff.jitter.shares();
        Self {
            shares,
            control,
            mapper,
            watch,
            totals,
            counted: Stats::default(),
            flight: Flight::None,
            sleep: Box::pin(tokio::time::sleep(Duration::ZERO)),
            ready: VecDeque::new(),
            used: None,
            idle: false,
            over: false,
        }
    }

    fn id(&self) -> SubscriptionId {
        self.control.id.lock().clone()
    }

    /// Does what the poller says.
    fn collect(&mut self) {
        loop {
            let output = self.control.poller.lock().poll_output();
            let Some(output) = output else { break };
            match output {
                Output::Authorize { refused } => self.authorize(refused),
                Output::Poll { timeout, deadline } => self.poll(timeout, deadline),
                Output::Drop => self.flight = Flight::None,
                Output::Retrying { error, attempt, after } => {
                    let id = self.id();
                    tracing::debug!(%id, attempt, ?after, %error, "poll failed; trying again");
                    self.see(|| QueueState::Retrying {
                        error: Arc::new(error.duplicate()),
                        attempt,
                        retry_in: after,
                    });
                    self.ready.push_back(Inbound::Problem(error));
                }
                Output::PossibleLoss(error) => {
                    self.see(|| QueueState::PossibleLoss(Arc::new(error.duplicate())));
                    self.change(SubscriptionChange::PossibleLoss(error));
                }
                Output::Reauthenticated => self.change(SubscriptionChange::Reauthenticated),
                Output::Closed(reason) => self.close(reason),
            }
        }
        let (stats, idle) = {
            let poller = self.control.poller.lock();
            let idle = matches!(poller.state(), State::Idle | State::Waiting { .. }) && poller.credit() == 0;
            (poller.stats(), idle)
        };
        if stats != self.counted {
            *self.totals.lock() += stats - self.counted;
            self.counted = stats;
        }
        if idle && !self.idle {
            self.see(|| QueueState::Idle);
        }
        self.idle = idle;
    }

    fn authorize(&mut self, refused: bool) {
        if refused {
            self.see(|| QueueState::Renewing);
        }
        // It is kept until there is another: the source may fail, and be asked again.
        let (client, refused) = (self.control.client.clone(), self.used.clone().filter(|_| refused));
        let asking = async move { client.authorize(refused.as_ref()).await };
        // The source is the caller's: a panic in it ends this queue with a reason, and nothing else.
        self.flight = Flight::Authorizing(Box::pin(async move {
            AssertUnwindSafe(asking).catch_unwind().await.unwrap_or_else(|_| {
                let message = "the source of authorizations panicked";
                Err(Error::new(ErrorKind::Unauthenticated, "authorize", message))
            })
        }));
    }

    fn poll(&mut self, timeout: Duration, deadline: std::time::Instant) {
        let Some(used) = self.used.clone() else { return };
        let (client, mode) = (self.control.client.clone(), self.control.mode());
        // The poller's deadline counts; this one is there should nobody look at the time.
        let limit = deadline.saturating_duration_since(Instant::now().into_std()) + Duration::from_secs(1);
        self.see(|| QueueState::Polling);
        self.flight =
            Flight::Polling(Box::pin(async move { client.poll(mode, Some(timeout), &used, limit).await }));
    }

    fn close(&mut self, reason: Option<Error>) {
        let id = self.id();
        self.flight = Flight::None;
        self.over = true;
        if let Some(error) = &reason {
            tracing::warn!(%id, %error, "the queue is given up");
        } else {
            tracing::debug!(%id, "the queue is not polled any more");
        }
        self.see(|| QueueState::Stopped(reason.as_ref().map(|error| Arc::new(error.duplicate()))));
        if let Some(error) = reason {
            self.change(SubscriptionChange::Lost(error));
        }
        self.control.end();
    }

    fn change(&mut self, change: SubscriptionChange) {
        self.ready.push_back(Inbound::Subscription { id: self.id(), change });
    }

    fn see(&self, state: impl FnOnce() -> QueueState) {
        if let Some(watch) = &self.watch {
            watch(&self.id(), &state());
        }
    }

    /// Looks at the step in flight. `true` when it has ended.
    fn advance(&mut self, cx: &mut Context<'_>) -> bool {
        match &mut self.flight {
            Flight::None => return false,
            Flight::Authorizing(step) => {
                let Poll::Ready(answer) = step.as_mut().poll(cx) else { return false };
                self.flight = Flight::None;
                match answer {
                    Ok(authorization) => {
                        let kept = authorization.kept;
                        self.used = Some(authorization);
                        self.tell(if kept {
                            Poller::handle_kept_authorization
                        } else {
                            Poller::handle_authorized
                        });
                    }
                    Err(error) => {
                        let share = self.shares.draw();
                        self.tell(|poller, now| poller.handle_authorization_failed(now, error, share));
                    }
                }
            }
            Flight::Polling(step) => {
                let Poll::Ready(answer) = step.as_mut().poll(cx) else { return false };
                self.flight = Flight::None;
                match answer {
                    Ok(Some(message)) => {
                        self.deliver(&message);
                        self.tell(Poller::handle_message);
                    }
                    Ok(None) => self.tell(Poller::handle_nothing),
                    Err(error) => {
                        let share = self.shares.draw();
                        self.tell(|poller, now| poller.handle_failure(now, error, share));
                    }
                }
            }
        }
        true
    }

    fn deliver(&mut self, message: &Message) {
        // A mapper that fails loses nothing: the message is handed over as it would be without one.
        let event = (self.mapper)(message).or_else(|error| {
            self.ready.push_back(Inbound::Problem(error));
            message.to_event()
        });
        let event = match event {
            Ok(event) => event,
            Err(error) => return self.ready.push_back(Inbound::Problem(error)),
        };
        let mut delivery = RawDelivery::direct(event, self.id());
        delivery.attempt = message.broker.delivery_count.unwrap_or(1).max(1);
        if self.control.mode() == ReceiveMode::PeekLock {
            let client = self.control.client.clone();
            let lock = client.lock_of(message);
            let lasts = lock.as_ref().ok().and_then(|lock| lock.lasts);
            if let Err(error) = &lock {
                self.ready.push_back(Inbound::Problem(no_lock(*error)));
            }
            delivery = delivery.settled_by(SettleToken::new(Locked { client, lock }), lasts);
        }
        self.ready.push_back(Inbound::Delivery(delivery));
    }

    /// Lets the poller see the time when it asked to. `true` when it did.
    fn tick(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(deadline) = self.control.poller.lock().poll_timeout() else { return false };
        let deadline = Instant::from_std(deadline);
        if self.sleep.deadline() != deadline {
            self.sleep.as_mut().reset(deadline);
        }
        if self.sleep.as_mut().poll(cx).is_pending() {
            return false;
        }
        let share = self.shares.draw();
        self.tell(|poller, now| poller.handle_timeout(now, share));
        true
    }

    fn tell(&self, tell: impl FnOnce(&mut Poller, std::time::Instant)) {
        tell(&mut self.control.poller.lock(), Instant::now().into_std());
    }
}

/// Why a delivery under a lock cannot be settled.
pub(crate) fn no_lock(error: LockUrlError) -> Error {
    let message = format!("a locked message cannot be settled and will come back: {error}");
    Error::new(event_core::ErrorKind::Protocol, "receive", message)
        .with_retry(event_core::Retry::Never)
        .with_source(error)
}

impl Stream for Queue {
    type Item = Result<Inbound>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.control.waker.register(cx.waker());
        loop {
            self.collect();
            if let Some(inbound) = self.ready.pop_front() {
                return Poll::Ready(Some(Ok(inbound)));
            }
            if self.over {
                return Poll::Ready(None);
            }
            if !self.advance(cx) && !self.tick(cx) {
                return Poll::Pending;
            }
        }
    }
}

impl Drop for Queue {
    /// Nobody reads any more: whoever waits for the end of the queue hears of it. What a destructive poll in flight
    /// brings is lost, and counted.
    fn drop(&mut self) {
        if matches!(self.flight, Flight::Polling(_)) && self.control.mode() == ReceiveMode::ReceiveAndDelete {
            self.totals.lock().possible_losses += 1;
        }
        self.control.end();
    }
}
