//! Reconnecting, once, for every transport.
//!
//! [`Supervised`] is itself a transport: its link repairs itself. When the connection below breaks, it reports
//! [`Inbound::Interrupted`](crate::transport::Inbound::Interrupted), pauses, connects again, confirms every subscription and then reports
//! [`Inbound::Gap`](crate::transport::Inbound::Gap) and [`Inbound::Restored`](crate::transport::Inbound::Restored). Between the two nothing is sent. A refusal that no retry can help (a bad key) ends the link with
//! that error.
//!
//! A subscription that the new connection refuses for the moment is asked for again on it, up to 8 times in all, with
//! growing pauses and an [`Inbound::Problem`](crate::transport::Inbound::Problem) each time. One that is refused for
//! good, or to the last, is [lost](crate::transport::SubscriptionChange::Lost), and the link goes on without it. Whoever
//! waits for a subscription hears of the first refusal.

mod backoff;
mod healer;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot, watch};
use tokio_util::sync::CancellationToken;

pub use backoff::{Jitter, ReconnectPolicy, Shares};

use crate::subscription::SubscriptionSpec;
use crate::transport::{
    Attempt, Capabilities, Confirmation, Continuity, Link, LinkInfo, LinkSender, NotSent, SendTerms,
    SettleFailed, SettleToken, Settlement, Transport,
};
use crate::{Error, ErrorKind, Event, Result, Retry, SubscriptionId};

/// A transport whose links repair themselves.
pub struct Supervised<T: ?Sized> {
    policy: ReconnectPolicy,
    inner: Arc<T>,
}

impl<T: Transport + ?Sized> Supervised<T> {
    /// `inner`, supervised.
    pub fn new(inner: Arc<T>, policy: ReconnectPolicy) -> Self {
        Self { policy, inner }
    }
}

#[async_trait]
impl<T: Transport + ?Sized> Transport for Supervised<T> {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { continuity: Continuity::SelfHealing, ..self.inner.capabilities() }
    }

    /// Makes one attempt, whose failure is returned, and a second one at once if other credentials can help; with [`Attempt::persist`], returns at once and goes on
    /// trying.
    async fn connect(&self, attempt: Attempt) -> Result<Link> {
        let first = if attempt.persist { None } else { Some(self.attempt(attempt).await?) };
        let peer = first.as_ref().map_or_else(|| self.inner.name().to_owned(), |link| link.info.peer.clone());
        let shared = Arc::new(Shared::default());
        let rx = healer::heal(Arc::clone(&self.inner), self.policy.clone(), Arc::clone(&shared), first);
        Ok(Link { info: LinkInfo::pending(peer), tx: Box::new(SupervisedSender(shared)), rx })
    }
}

impl<T: Transport + ?Sized> Supervised<T> {
    async fn attempt(&self, attempt: Attempt) -> Result<Link> {
        let limit = self.policy.attempt_timeout;
        match healer::one_attempt(&*self.inner, attempt, limit).await {
            Err(error) if error.retry() == Retry::AfterReauth && !attempt.refused => {
                healer::one_attempt(&*self.inner, attempt.after_refusal(), limit).await
            }
            outcome => outcome,
        }
    }
}

/// What the sending half and the healer share.
struct Shared {
    /// The link of the moment, with its subscriptions confirmed or not.
    current: Mutex<Option<Arc<dyn LinkSender>>>,
    /// Whether events may be sent: connected, and every subscription confirmed.
    open: watch::Sender<bool>,
    /// Events that the link of the moment took.
    sent: AtomicU64,
    book: Mutex<Book>,
    /// Told when the book has something new.
    changed: Notify,
    closed: CancellationToken,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            current: Mutex::default(),
            open: watch::Sender::new(false),
            sent: AtomicU64::new(0),
            book: Mutex::default(),
            changed: Notify::new(),
            closed: CancellationToken::new(),
        }
    }
}

/// The subscriptions that the link is to have.
#[derive(Default)]
struct Book {
    specs: HashMap<SubscriptionId, Box<Booked>>,
    /// Those that the present connection has not been asked for yet, in order.
    pending: VecDeque<SubscriptionId>,
    next: u64,
}

/// A subscription that the connection was asked for.
struct Asked {
    id: SubscriptionId,
    sequence: u64,
}

struct Booked {
    spec: SubscriptionSpec,
    sequence: u64,
    waiter: Option<oneshot::Sender<Result<()>>>,
    /// Whether the waiter has time, because nobody waits for it.
    patient: bool,
    /// How often the present connection has refused it.
    refusals: u32,
}

impl Book {
    fn add(&mut self, spec: SubscriptionSpec, waiter: oneshot::Sender<Result<()>>, patient: bool) {
        let id = spec.id.clone();
        let booked =
            Box::new(Booked { spec, sequence: self.next, waiter: Some(waiter), patient, refusals: 0 });
        self.next += 1;
        self.specs.insert(id.clone(), booked);
        self.pending.push_back(id);
    }

    /// Everything is to be asked for again.
    fn restart(&mut self) {
        let again = |(id, booked): (&SubscriptionId, &mut Box<Booked>)| {
            booked.refusals = 0;
            (booked.sequence, id.clone())
        };
        let mut ids: Vec<_> = self.specs.iter_mut().map(again).collect();
        ids.sort_unstable();
        self.pending = ids.into_iter().map(|(_, id)| id).collect();
    }

    /// This very subscription, and not a later one of its id.
    fn find(&mut self, asked: &Asked) -> Option<&mut Booked> {
        let booked = self.specs.get_mut(&asked.id)?;
        (booked.sequence == asked.sequence).then_some(&mut **booked)
    }
}

struct SupervisedSender(Arc<Shared>);

impl SupervisedSender {
    fn current(&self) -> Option<Arc<dyn LinkSender>> {
        self.0.current.lock().clone()
    }

    async fn book(&self, spec: &SubscriptionSpec, patient: bool) -> Result<()> {
        let (waiter, confirmed) = oneshot::channel();
        self.0.book.lock().add(spec.clone(), waiter, patient);
        self.0.changed.notify_one();
        tokio::select! {
            biased;
            outcome = confirmed => outcome.unwrap_or_else(|_| {
                Err(Error::new(ErrorKind::Disconnected, "subscribe", "it was given up before the server confirmed"))
            }),
            () = self.0.closed.cancelled() => {
                Err(Error::new(ErrorKind::Disconnected, "subscribe", "the link was closed before it could"))
            }
        }
    }
}

fn down(op: &'static str) -> Error {
    Error::new(ErrorKind::NotConnected, op, "the connection is being made anew")
}

#[async_trait]
impl LinkSender for SupervisedSender {
    fn send(&self, event: Event) -> Result<Confirmation, NotSent> {
        self.send_with(event, SendTerms::default())
    }

    fn send_with(&self, event: Event, terms: SendTerms) -> Result<Confirmation, NotSent> {
        match self.current() {
            Some(link) if *self.0.open.borrow() => {
                let sent = link.send_with(event, terms);
                if sent.is_ok() {
                    self.0.sent.fetch_add(1, Ordering::Relaxed);
                }
                sent
            }
            _ => Err(NotSent::new(event, down("send"))),
        }
    }

    async fn ready(&self) {
        let mut open = self.0.open.subscribe();
        let _ = open.wait_for(|open| *open).await;
        if let Some(link) = self.current() {
            link.ready().await;
        }
    }

    async fn subscribe(&self, spec: &SubscriptionSpec) -> Result<()> {
        self.book(spec, false).await
    }

    async fn subscribe_again(&self, spec: &SubscriptionSpec) -> Result<()> {
        self.book(spec, true).await
    }

    async fn unsubscribe(&self, spec: &SubscriptionSpec) -> Result<()> {
        self.0.book.lock().specs.remove(&spec.id);
        // It may be what the rest waits for.
        self.0.changed.notify_one();
        match self.current() {
            Some(link) => link.unsubscribe(spec).await,
            None => Ok(()),
        }
    }

    fn grant(&self, id: &SubscriptionId, credit: u32) {
        if let Some(link) = self.current() {
            link.grant(id, credit);
        }
    }

    async fn settle(&self, token: SettleToken, outcome: Settlement) -> Result<(), SettleFailed> {
        match self.current() {
            Some(link) => link.settle(token, outcome).await,
            None => Err(SettleFailed::new(token, down("settle"))),
        }
    }

    async fn extend(&self, token: &mut SettleToken) -> Result<()> {
        match self.current() {
            Some(link) => link.extend(token).await,
            None => Err(down("extend a lock")),
        }
    }

    async fn flush(&self) -> Result<()> {
        match self.current() {
            Some(link) => link.flush().await,
            None => Err(down("flush")),
        }
    }

    async fn close(&self) {
        self.0.closed.cancel();
        if let Some(link) = self.current() {
            link.close().await;
        }
    }
}
