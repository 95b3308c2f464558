//! The receiving half of a supervised link: a state machine that is polled, not a task.
#![expect(clippy::disallowed_methods, reason = "a shell: it reads tokio's clock")]

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, FuturesUnordered};
use futures_util::{FutureExt, StreamExt};
use tokio::time::Instant;

use super::backoff::{Backoff, ReconnectPolicy};
use super::{Asked, Shared, down};
use crate::transport::{Attempt, Gap, Inbound, Inbounds, Link, LinkSender, SubscriptionChange, Transport};
use crate::{Error, ErrorKind, Result, Retry, SubscriptionId};

/// Subscriptions that are asked for at the same time.
const SUBSCRIBING: usize = 32;
/// How often a connection is asked for a subscription that it refuses for the moment.
const ATTEMPTS: u32 = 8;
/// Items taken in a row before the other things a link must do get their turn.
const BURST: u32 = 64;

/// One attempt within its time.
pub(super) async fn one_attempt<T: Transport + ?Sized>(
    transport: &T,
    attempt: Attempt,
    limit: Duration,
) -> Result<Link> {
    match tokio::time::timeout(limit, transport.connect(attempt)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Error::new(
            ErrorKind::Timeout,
            "connect",
            format!("no connection by {} within {limit:?}; is the server reachable?", transport.name()),
        )),
    }
}

/// The stream of a link that repairs itself.
pub(super) fn heal<T: Transport + ?Sized>(
    transport: Arc<T>,
    policy: ReconnectPolicy,
    shared: Arc<Shared>,
    first: Option<Link>,
) -> Inbounds {
    // Boxed: it is moved with every item.
    let mut healer = Box::new(Healer {
        transport,
        backoff: Backoff::new(policy.clone()),
        policy,
        shared,
        phase: Phase::Connecting { attempt: 1 },
        down_since: None,
        was_up: false,
        refused: false,
    });
    if let Some(link) = first {
        healer.adopt(link);
    }
    Box::pin(stream::unfold(healer, Healer::step).fuse())
}

struct Healer<T: ?Sized> {
    backoff: Backoff,
    policy: ReconnectPolicy,
    shared: Arc<Shared>,
    phase: Phase,
    /// The last sign of life of the connection that broke; `None` before the first break.
    down_since: Option<Instant>,
    /// Whether there has been a good connection.
    was_up: bool,
    /// The last attempt was refused for its credentials, and the next one asks for others.
    refused: bool,
    transport: Arc<T>,
}

enum Phase {
    /// The connection broke, or an attempt failed; the next thing is to say when the next attempt comes.
    Down {
        attempt: u32,
    },
    Waiting {
        attempt: u32,
        until: Instant,
    },
    Connecting {
        attempt: u32,
    },
    Up(Up),
    Ended,
}

struct Up {
    rx: Inbounds,
    tx: Arc<dyn LinkSender>,
    subscribing: FuturesUnordered<BoxFuture<'static, (Asked, Result<()>)>>,
    /// Subscriptions that were refused for the moment, and when they are asked for again.
    refused: Vec<(Instant, Asked)>,
    confirmed: usize,
    announced: bool,
    since: Instant,
    last_sign: Instant,
    burst: u32,
}

impl<T: Transport + ?Sized> Healer<T> {
    async fn step(mut self: Box<Self>) -> Option<(Result<Inbound>, Box<Self>)> {
        loop {
            if self.shared.closed.is_cancelled() && !matches!(self.phase, Phase::Up(_)) {
                self.phase = Phase::Ended;
            }
            match &mut self.phase {
                Phase::Ended => return None,
                Phase::Down { attempt } => {
                    let attempt = *attempt;
                    let retry_in = self.backoff.next();
                    self.phase = Phase::Waiting { attempt, until: Instant::now() + retry_in };
                    return Some((Ok(Inbound::Reconnecting { attempt, retry_in }), self));
                }
                Phase::Waiting { attempt, until } => {
                    let (attempt, until) = (*attempt, *until);
                    tokio::select! {
                        biased;
                        () = self.shared.closed.cancelled() => self.phase = Phase::Ended,
                        () = tokio::time::sleep_until(until) => self.phase = Phase::Connecting { attempt },
                    }
                }
                Phase::Connecting { attempt } => {
                    let attempt = *attempt;
                    let closed = self.shared.closed.clone();
                    let mut this = Attempt::nth(attempt);
                    if self.refused {
                        this = this.after_refusal();
                    }
                    let tried = tokio::select! {
                        biased;
                        () = closed.cancelled() => return None,
                        tried = one_attempt(&*self.transport, this, self.policy.attempt_timeout) => tried,
                    };
                    match tried {
                        Ok(link) => {
                            self.adopt(link);
                            if std::mem::take(&mut self.refused) {
                                return Some((Ok(Inbound::Reauthenticated), self));
                            }
                        }
                        // Once, and at once: other credentials may be there already.
                        Err(error) if error.retry() == Retry::AfterReauth && !self.refused => {
                            self.refused = true;
                            return Some((Ok(Inbound::Problem(error)), self));
                        }
                        Err(error) if self.may_mend(&error) => {
                            self.phase = Phase::Down { attempt: attempt.saturating_add(1) };
                            return Some((Ok(Inbound::Problem(error)), self));
                        }
                        Err(error) => {
                            self.phase = Phase::Ended;
                            return Some((Err(error), self));
                        }
                    }
                }
                Phase::Up(_) => {
                    if let Some(item) = self.step_up().await {
                        return Some((item, self));
                    }
                }
            }
        }
    }

    /// Takes over a new connection: everything in the book is to be subscribed on it.
    fn adopt(&mut self, link: Link) {
        let tx: Arc<dyn LinkSender> = Arc::from(link.tx);
        self.shared.book.lock().restart();
        *self.shared.current.lock() = Some(Arc::clone(&tx));
        self.shared.sent.store(0, Ordering::Relaxed);
        let now = Instant::now();
        self.phase = Phase::Up(Up {
            rx: link.rx,
            tx,
            subscribing: FuturesUnordered::new(),
            refused: Vec::new(),
            confirmed: 0,
            announced: false,
            since: now,
            last_sign: now,
            burst: 0,
        });
    }

    async fn step_up(&mut self) -> Option<Result<Inbound>> {
        let Phase::Up(up) = &mut self.phase else { return None };
        // A busy link: take what is there without setting up a wait.
        if up.announced && up.burst < BURST {
            up.burst += 1;
            if let Some(item) = up.rx.next().now_or_never() {
                return self.received(item);
            }
        }
        up.burst = 0;
        up.subscribe_pending(&self.shared);
        if !up.announced && up.subscribing.is_empty() && up.refused.is_empty() {
            up.announced = true;
            self.shared.open.send_replace(true);
            self.was_up = true;
            let resubscribed = up.confirmed;
            if let Some(since) = self.down_since {
                // The gap first, then the news that it is over.
                self.down_since = None;
                up.announced = false;
                return Some(Ok(Inbound::Gap(Gap::new(since.elapsed()))));
            }
            return Some(Ok(Inbound::Restored { resubscribed }));
        }
        let again = up.refused.iter().map(|(when, _)| *when).min();
        // In one order, so that a seed gives the same run every time; the link, which may be busy, last.
        tokio::select! {
            biased;
            Some((asked, outcome)) = up.subscribing.next(), if !up.subscribing.is_empty() => self.subscribed(asked, outcome),
            () = self.shared.changed.notified() => None,
            () = tokio::time::sleep_until(again.unwrap_or(up.since)), if again.is_some() => None,
            item = up.rx.next() => self.received(item),
        }
    }

    fn received(&mut self, item: Option<Result<Inbound>>) -> Option<Result<Inbound>> {
        match item {
            Some(Ok(inbound)) => {
                // Within a burst the first one is near enough.
                if let Phase::Up(up) = &mut self.phase
                    && up.burst <= 1
                {
                    up.last_sign = Instant::now();
                }
                Some(Ok(inbound))
            }
            Some(Err(error)) => self.broke(error),
            None => {
                self.broke(Error::new(ErrorKind::Disconnected, "receive", "the server ended the connection"))
            }
        }
    }

    /// Whether another attempt makes sense. A server that was good once may be in maintenance and answer anything;
    /// only a refusal of who asks is for good.
    fn may_mend(&self, error: &Error) -> bool {
        let who = matches!(
            error.kind(),
            ErrorKind::Unauthenticated | ErrorKind::PermissionDenied | ErrorKind::InvalidCredentials
        );
        match error.retry() {
            // Other credentials were asked for already.
            Retry::AfterReauth => !self.refused,
            Retry::Never => self.was_up && !who,
            _ => true,
        }
    }

    fn broke(&mut self, error: Error) -> Option<Result<Inbound>> {
        *self.shared.current.lock() = None;
        self.shared.open.send_replace(false);
        if let Phase::Up(up) = &self.phase {
            self.backoff.held(up.since.elapsed(), self.shared.sent.load(Ordering::Relaxed));
            self.down_since.get_or_insert(up.last_sign);
        }
        if self.shared.closed.is_cancelled() {
            self.phase = Phase::Ended;
            return None;
        }
        if self.may_mend(&error) {
            self.refused = error.retry() == Retry::AfterReauth;
            self.phase = Phase::Down { attempt: 1 };
            Some(Ok(Inbound::Interrupted(error)))
        } else {
            self.phase = Phase::Ended;
            Some(Err(error))
        }
    }

    fn subscribed(&mut self, asked: Asked, outcome: Result<()>) -> Option<Result<Inbound>> {
        let Phase::Up(up) = &mut self.phase else { return None };
        let mut book = self.shared.book.lock();
        // Nobody wants it any more.
        let booked = book.find(&asked)?;
        let error = match outcome {
            Ok(()) => {
                up.confirmed += 1;
                if let Some(waiter) = booked.waiter.take() {
                    let _ = waiter.send(Ok(()));
                }
                return None;
            }
            // The link broke meanwhile: the next one asks again.
            Err(error) if lost_link(&error) => return None,
            Err(error) => error,
        };
        booked.refusals += 1;
        let somebody_waits = booked.waiter.is_some() && !booked.patient;
        if !somebody_waits && error.is_transient() && booked.refusals < ATTEMPTS {
            let pause = match error.retry() {
                Retry::Now => Duration::ZERO,
                Retry::After(pause) => pause.min(self.policy.max),
                _ => self.backoff.after(booked.refusals),
            };
            let problem = for_the_moment(&asked.id, error, booked.refusals, pause);
            up.refused.push((Instant::now() + pause, asked));
            return Some(Ok(Inbound::Problem(problem)));
        }
        let waiter = booked.waiter.take();
        book.specs.remove(&asked.id);
        if let Some(waiter) = waiter {
            let _ = waiter.send(Err(error));
            return None;
        }
        Some(Ok(Inbound::Subscription { id: asked.id, change: SubscriptionChange::Lost(error) }))
    }
}

impl Up {
    fn subscribe_pending(&mut self, shared: &Shared) {
        let mut book = shared.book.lock();
        self.refused.retain(|(when, asked)| {
            let wanted = book.find(asked).is_some();
            let due = wanted && *when <= Instant::now();
            if due {
                book.pending.push_back(asked.id.clone());
            }
            wanted && !due
        });
        while self.subscribing.len() < SUBSCRIBING {
            let Some(id) = book.pending.pop_front() else { break };
            let Some(booked) = book.specs.get(&id) else { continue };
            let (spec, tx) = (booked.spec.clone(), Arc::clone(&self.tx));
            let asked = Asked { id, sequence: booked.sequence };
            self.subscribing.push(Box::pin(async move {
                let outcome = tx.subscribe(&spec).await;
                (asked, outcome)
            }));
        }
    }
}

fn for_the_moment(id: &SubscriptionId, error: Error, attempt: u32, pause: Duration) -> Error {
    let message = format!(
        "subscription \"{id}\" is refused for the moment, attempt {attempt} of {ATTEMPTS}; it is asked for again \
         in {:.1} s",
        pause.as_secs_f64()
    );
    Error::new(error.kind(), "subscribe", message).with_retry(error.retry()).with_source(error)
}

fn lost_link(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unconfirmed | ErrorKind::Disconnected)
        || error.kind() == down("").kind()
}

impl<T: ?Sized> Drop for Healer<T> {
    fn drop(&mut self) {
        // Whoever still waits for a subscription hears that the link is gone.
        self.shared.closed.cancel();
        self.shared.book.lock().specs.clear();
        *self.shared.current.lock() = None;
    }
}
