//! The engine's end of a link: what is asked of it, and what it does next.
#![expect(clippy::disallowed_methods, reason = "a shell: it reads tokio's clock")]

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::dispatch::Entry;
use crate::dispatch::settle::{Decided, Verdict, Work};
use crate::subscription::SubscriptionSpec;
use crate::transport::{Inbound, Inbounds, Link, LinkSender, SettleToken, Settlement};
use crate::{Error, ErrorKind, EventId, Result};

/// With less than that left of a lock, no further attempt to prolong it is made.
const LAST_CALL: Duration = Duration::from_secs(1);

/// The link, in its three states.
pub(super) enum LinkState {
    None,
    Connecting(BoxFuture<'static, Result<Link>>),
    Linked(Linked),
}

#[expect(clippy::struct_excessive_bools, reason = "independent facts about a link")]
pub(super) struct Linked {
    pub(super) tx: Arc<dyn LinkSender>,
    pub(super) rx: Inbounds,
    /// The link says that it is up.
    pub(super) ready: bool,
    /// It takes events: it is up, or needs no connection for that. Subscriptions were asked for.
    pub(super) open: bool,
    /// Subscriptions made when the link was new that are not confirmed yet.
    pub(super) starting: usize,
    /// Whether the hub has been told that it is connected.
    pub(super) up: bool,
    /// The outbox waits for room in the link's window.
    pub(super) blocked: bool,
    /// Deliveries that are not settled yet.
    pub(super) settling: usize,
    /// Subscriptions that were asked to end and have not yet.
    pub(super) parting: usize,
    pub(super) asks: FuturesUnordered<BoxFuture<'static, Answer>>,
}

/// What came of asking the link for something.
pub(super) enum Answer {
    Settled { id: Option<EventId>, outcome: Settlement, result: Result<()> },
    LockLost { id: Option<EventId>, error: Error },
    Subscribed { entry: Option<Arc<Entry>>, starting: bool, outcome: Result<()> },
    Unsubscribed { outcome: Result<()>, done: Option<oneshot::Sender<Result<()>>> },
}

impl Linked {
    pub(super) fn new(link: Link) -> Self {
        Self {
            tx: Arc::from(link.tx),
            rx: link.rx,
            ready: link.info.ready,
            open: false,
            starting: 0,
            up: false,
            blocked: false,
            settling: 0,
            parting: 0,
            asks: FuturesUnordered::new(),
        }
    }
}

/// What the link did.
pub(super) enum Happened {
    Connected(Result<Link>),
    Arrived(Option<Result<Inbound>>),
    Answered(Answer),
    /// There may be room in the window.
    Roomy,
}

impl LinkState {
    /// Waits for the next thing that the link does. Cancel-safe.
    pub(super) async fn next(&mut self) -> Happened {
        let outcome = match self {
            Self::None => pending().await,
            Self::Connecting(attempt) => attempt.await,
            Self::Linked(linked) => return linked.next().await,
        };
        // The attempt is spent; the engine puts the next state in its place.
        *self = Self::None;
        Happened::Connected(outcome)
    }
}

impl Linked {
    pub(super) async fn next(&mut self) -> Happened {
        let (blocked, tx) = (self.blocked, &self.tx);
        let room = async { if blocked { tx.ready().await } else { pending().await } };
        tokio::select! {
            biased;
            Some(answer) = self.asks.next(), if !self.asks.is_empty() => Happened::Answered(answer),
            item = self.rx.next() => Happened::Arrived(item),
            () = room => Happened::Roomy,
        }
    }

    pub(super) fn ask_subscribe(
        &mut self,
        spec: SubscriptionSpec,
        entry: Option<Arc<Entry>>,
        starting: bool,
        again: bool,
    ) {
        self.starting += usize::from(starting);
        let tx = Arc::clone(&self.tx);
        self.asks.push(Box::pin(async move {
            let outcome = if again { tx.subscribe_again(&spec).await } else { tx.subscribe(&spec).await };
            Answer::Subscribed { entry, starting, outcome }
        }));
    }

    pub(super) fn ask_unsubscribe(
        &mut self,
        spec: SubscriptionSpec,
        done: Option<oneshot::Sender<Result<()>>>,
    ) {
        self.parting += 1;
        let tx = Arc::clone(&self.tx);
        self.asks.push(Box::pin(async move {
            let outcome = tx.unsubscribe(&spec).await;
            Answer::Unsubscribed { outcome, done }
        }));
    }

    /// Keeps a delivery's lock until it is decided what becomes of it, and then settles it.
    pub(super) fn keep(&mut self, kept: Kept, decided: Decided) {
        self.settling += 1;
        let tx = Arc::clone(&self.tx);
        self.asks.push(Box::pin(kept.settle(tx, decided)));
    }

    /// Flushes and closes, reading meanwhile.
    pub(super) async fn say_goodbye(&mut self, limit: Duration) {
        let tx = Arc::clone(&self.tx);
        let goodbye = async {
            let _ = tx.flush().await;
            tx.close().await;
        };
        let reading = async { while self.rx.next().await.is_some() {} };
        let _ = tokio::time::timeout(limit, async {
            tokio::select! {
                biased;
                () = goodbye => {}
                () = reading => {}
            }
        })
        .await;
    }
}

/// A delivery that is to be settled.
pub(super) struct Kept {
    pub(super) id: Option<EventId>,
    pub(super) token: SettleToken,
    pub(super) lock: Option<Duration>,
    pub(super) work: Work,
    pub(super) max_processing: Duration,
}

impl Kept {
    async fn settle(mut self, tx: Arc<dyn LinkSender>, mut decided: Decided) -> Answer {
        if let Some(lock) = self.lock {
            let renewing = self.renew(&*tx, lock);
            tokio::select! {
                biased;
                verdict = &mut decided => return self.say(&*tx, verdict.ok()).await,
                error = renewing => {
                    // The service gives the event to somebody else. Whoever works on it is not stopped, and told
                    // when it is done.
                    self.work.lose_lock(decided, &error);
                    return Answer::LockLost { id: self.id, error };
                }
            }
        }
        let verdict = decided.await.ok();
        self.say(&*tx, verdict).await
    }

    /// Prolongs the lock at half of its time, until it is worked on for too long or that fails. A failure that may
    /// pass is followed by further attempts, each after half of what is left of the lock.
    async fn renew(&mut self, tx: &dyn LinkSender, lock: Duration) -> Error {
        let mut ends = Instant::now() + lock;
        let mut pause = lock / 2;
        loop {
            tokio::time::sleep(pause).await;
            if self.work.lasted() >= self.max_processing {
                let message = format!(
                    "no handler was done within {:?}; the lock is not prolonged any more",
                    self.max_processing
                );
                return Error::new(ErrorKind::Timeout, "extend a lock", message);
            }
            let asked = Instant::now();
            match tx.extend(&mut self.token).await {
                Ok(()) => {
                    ends = asked + lock;
                    pause = lock / 2;
                }
                Err(error) => {
                    let left = ends.saturating_duration_since(Instant::now());
                    if !error.is_transient() || left < LAST_CALL {
                        return error;
                    }
                    tracing::debug!(%error, ?left, "a lock is not prolonged yet");
                    pause = left / 2;
                }
            }
        }
    }

    async fn say(self, tx: &dyn LinkSender, verdict: Option<Verdict>) -> Answer {
        // No verdict: whoever should have decided is gone.
        let (outcome, reason, done) = match verdict {
            Some(verdict) => (verdict.outcome, verdict.reason, Some(verdict.done)),
            None => (Settlement::Abandon { delay: None }, None, None),
        };
        let token = match reason {
            Some(reason) => self.token.because(reason),
            None => self.token,
        };
        let result = tx.settle(token, outcome).await.map_err(|failed| failed.error);
        if let Some(done) = done {
            let _ = done.send(result.as_ref().copied().map_err(Error::duplicate));
        }
        Answer::Settled { id: self.id, outcome, result }
    }
}
