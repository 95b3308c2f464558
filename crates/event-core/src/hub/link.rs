//! The engine's end of a link: what is asked of it, and what it does next.

use std::future::pending;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::oneshot;

use crate::Result;
use crate::dispatch::Entry;
use crate::subscription::SubscriptionSpec;
use crate::transport::{Inbound, Inbounds, Link, LinkSender};

/// The link, in its three states.
pub(super) enum LinkState {
    None,
    Connecting(BoxFuture<'static, Result<Link>>),
    Linked(Linked),
}

pub(super) struct Linked {
    pub(super) tx: Arc<dyn LinkSender>,
    pub(super) rx: Inbounds,
    /// The link says that it is up.
    pub(super) ready: bool,
    /// Subscriptions made when the link was new that are not confirmed yet.
    pub(super) starting: usize,
    /// Whether the hub has been told that it is connected.
    pub(super) up: bool,
    /// The outbox waits for room in the link's window.
    pub(super) blocked: bool,
    pub(super) asks: FuturesUnordered<BoxFuture<'static, Answer>>,
}

/// What came of asking the link for something.
pub(super) enum Answer {
    Subscribed { entry: Option<Arc<Entry>>, starting: bool, outcome: Result<()> },
    Unsubscribed { outcome: Result<()>, done: Option<oneshot::Sender<Result<()>>> },
}

impl Linked {
    pub(super) fn new(link: Link) -> Self {
        Self {
            tx: Arc::from(link.tx),
            rx: link.rx,
            ready: link.info.ready,
            starting: 0,
            up: false,
            blocked: false,
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
    ) {
        self.starting += usize::from(starting);
        let tx = Arc::clone(&self.tx);
        self.asks.push(Box::pin(async move {
            let outcome = tx.subscribe(&spec).await;
            Answer::Subscribed { entry, starting, outcome }
        }));
    }

    pub(super) fn ask_unsubscribe(
        &mut self,
        spec: SubscriptionSpec,
        done: Option<oneshot::Sender<Result<()>>>,
    ) {
        let tx = Arc::clone(&self.tx);
        self.asks.push(Box::pin(async move {
            let outcome = tx.unsubscribe(&spec).await;
            Answer::Unsubscribed { outcome, done }
        }));
    }

    /// Flushes and closes, reading meanwhile.
    pub(super) async fn say_goodbye(&mut self, limit: std::time::Duration) {
        let tx = Arc::clone(&self.tx);
        let goodbye = async {
            let _ = tx.flush().await;
            tx.close().await;
        };
        let reading = async { while self.rx.next().await.is_some() {} };
        let _ = tokio::time::timeout(limit, async {
            tokio::select! {
                () = goodbye => {}
                () = reading => {}
            }
        })
        .await;
    }
}
