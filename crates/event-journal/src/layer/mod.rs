//! The layer: a transport that keeps what comes and what goes.

mod consumer;
mod feed;
mod inbox;
mod sender;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use event_core::dialect::Dialect;
use event_core::transport::{
    Acknowledgement, Attempt, Capabilities, Continuity, Flow, Guarantee, Guarantees, Link, LinkInfo,
    LinkSender, Transport,
};
use event_core::{Error, ErrorKind, Event, Result, SubscriptionId};
use futures_util::future::BoxFuture;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use crate::config::millis;
use crate::journal::Journal;
use crate::store::Place;
use consumer::Serving;

/// A transport with a journal: see [the crate](crate).
pub struct Journaled<T: ?Sized> {
    journal: Journal,
    dialect: Option<Arc<dyn Dialect>>,
    inner: Arc<T>,
}

impl<T: Transport> Journaled<T> {
    /// `inner`, which must heal itself (see [`Supervised`](event_core::supervisor::Supervised)), with a journal.
    pub fn new(inner: T, journal: Journal) -> Self {
        Self::over(Arc::new(inner), journal)
    }
}

impl<T: Transport + ?Sized> Journaled<T> {
    /// The same over a transport that others share.
    pub fn over(inner: Arc<T>, journal: Journal) -> Self {
        Self { journal, dialect: None, inner }
    }

    /// How the service speaks, so that its refusals of publishes are understood.
    #[must_use]
    pub fn dialect(mut self, dialect: Arc<dyn Dialect>) -> Self {
        self.dialect = Some(dialect);
        self
    }

    /// The journal.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }
}

#[async_trait]
impl<T: Transport + ?Sized> Transport for Journaled<T> {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    /// Those of the transport below, except that everything that was received can be had at least once, that a publish
    /// is acknowledged by the journal and not by the service, and that a connection is needed for neither.
    fn capabilities(&self) -> Capabilities {
        let mut capabilities = self.inner.capabilities();
        capabilities.guarantees = Guarantees::both();
        capabilities.flow = Flow::Push;
        capabilities.continuity = Continuity::SelfHealing;
        capabilities.nack = true;
        capabilities.extend_lock = true;
        capabilities.publish_receipt = false;
        capabilities.window = None;
        capabilities.durable = true;
        capabilities.offline = true;
        capabilities
    }

    /// Succeeds at once: the connection is made in the background, and told as restored.
    async fn connect(&self, attempt: Attempt) -> Result<Link> {
        let below = self.inner.capabilities();
        if below.continuity != Continuity::SelfHealing {
            let message = format!(
                "the {} transport does not heal itself; put Supervised between it and the journal",
                self.inner.name()
            );
            return Err(Error::new(ErrorKind::Unsupported, "connect", message));
        }
        let link = self.inner.connect(attempt.persistent()).await?;
        let number = {
            let mut state = self.journal.0.shared.state.lock();
            state.links += 1;
            state.links
        };
        let peer = link.info.peer;
        let shared = Arc::new(LinkShared::new(self, number, below, link.tx));
        self.journal.0.shared.wake_also(&shared.waker);
        let rx = inbox::Inbox::new(Arc::clone(&shared), link.rx, link.info.ready);
        Ok(Link { info: LinkInfo::pending(peer), tx: Box::new(sender::Sender(shared)), rx: Box::pin(rx) })
    }
}

impl<T: ?Sized> fmt::Debug for Journaled<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journaled").field("journal", &self.journal).finish_non_exhaustive()
    }
}

/// What the two halves of a link share.
struct LinkShared {
    journal: Journal,
    number: u64,
    below: Capabilities,
    inner: Arc<dyn LinkSender>,
    dialect: Option<Arc<dyn Dialect>>,
    up: watch::Sender<bool>,
    ended: watch::Sender<bool>,
    closing: AtomicBool,
    /// The link below had no room for an event that is not kept.
    full_below: AtomicBool,
    waker: Arc<AtomicWaker>,
    state: Mutex<LinkState>,
    /// The wall clock when the link was made, and how long ago that is.
    made: (u64, Instant),
}

#[derive(Default)]
struct LinkState {
    serving: Vec<Serving>,
    /// Subscriptions that get what comes as it comes.
    live: HashSet<SubscriptionId>,
    /// Under what name records for a subscription alone are kept.
    keys: HashMap<SubscriptionId, SubscriptionId>,
    /// Subscriptions on their way to the receiving half, which asks for them.
    asking: Vec<Asking>,
}

/// A subscription that is asked for below.
struct Asking {
    id: SubscriptionId,
    outcome: BoxFuture<'static, Result<()>>,
    done: oneshot::Sender<Result<()>>,
}

/// What settles a delivery.
struct Token {
    link: u64,
    place: Arc<Place>,
    event: Event,
    sequence: u64,
    lease: u64,
}

impl LinkShared {
    #[expect(clippy::disallowed_methods, reason = "a shell: it reads tokio's clock")]
    fn new<T: ?Sized>(
        of: &Journaled<T>,
        number: u64,
        below: Capabilities,
        inner: Box<dyn LinkSender>,
    ) -> Self {
        Self {
            journal: of.journal.clone(),
            number,
            below,
            inner: Arc::from(inner),
            dialect: of.dialect.clone(),
            up: watch::Sender::new(false),
            ended: watch::Sender::new(false),
            closing: AtomicBool::new(false),
            full_below: AtomicBool::new(false),
            waker: Arc::new(AtomicWaker::new()),
            state: Mutex::default(),
            made: (of.journal.0.config.now(), Instant::now()),
        }
    }

    /// Now, for locks and pauses: as steady as tokio's clock.
    fn now(&self) -> u64 {
        self.made.0.saturating_add(millis(self.made.1.elapsed()))
    }

    fn is_over(&self) -> bool {
        self.closing.load(Ordering::Acquire) || *self.ended.borrow()
    }

    /// What the link below is asked for: for what is kept, the most that it offers.
    fn below_for(&self, asked: Guarantee) -> Guarantee {
        let offers = |guarantee| self.below.guarantees.contains(guarantee);
        if offers(Guarantee::AtLeastOnce) && (asked != Guarantee::AtMostOnce || !offers(asked)) {
            Guarantee::AtLeastOnce
        } else {
            Guarantee::AtMostOnce
        }
    }

    fn acknowledged(&self, acknowledgement: &Acknowledgement) -> Result<()> {
        match &self.dialect {
            Some(dialect) => dialect.acknowledged(acknowledgement),
            None => Ok(()),
        }
    }

    /// Leaves the outbox to another link.
    fn stop_feeding(&self) {
        let mut state = self.journal.0.shared.state.lock();
        if state.feeder == Some(self.number) {
            state.feeder = None;
            drop(state);
            self.journal.0.shared.wake();
        }
    }

    /// The end: nobody works on anything any more.
    fn end(&self) {
        self.stop_feeding();
        self.up.send_replace(false);
        let now = self.now();
        let mut state = self.state.lock();
        for serving in state.serving.drain(..) {
            serving.place.cursor.lock().release(now);
        }
        state.asking.clear();
        drop(state);
        self.ended.send_replace(true);
        self.journal.0.shared.left.notify_waiters();
    }
}
