//! The seam between the hub engine and whatever carries events.
//!
//! A [`Transport`] makes one connection attempt at a time and hands out a [`Link`]: a sender used by many tasks,
//! and a stream of what arrives. What a transport cannot do it says in its [`Capabilities`] and answers with
//! [`ErrorKind::Unsupported`], never with silence. Retry, backoff and resubscription belong to
//! [`Supervised`](crate::supervisor::Supervised), once, for every transport.

mod capabilities;
mod confirmation;

use std::any::Any;
use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use futures_core::Stream;

pub use capabilities::{Capabilities, Continuity, Flow, Guarantee, Guarantees};
pub use confirmation::{Acknowledgement, Confirmation, Confirmer, PublishError};
pub(crate) use confirmation::{Basket, Outcome};

use crate::subscription::SubscriptionSpec;
use crate::{Error, ErrorKind, Event, Result, SubscriptionId};

/// A way to reach an event service.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// A short name for logs and errors: "ws", "memory".
    fn name(&self) -> &'static str;

    /// What this transport can do. Constant for a configured transport, and cheap.
    fn capabilities(&self) -> Capabilities;

    /// Makes **one** attempt to connect: no retry, no pause, no resubscription.
    ///
    /// # Errors
    ///
    /// The kind tells what to fix, [`Error::retry`] whether another attempt can help.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future abandons the attempt and leaves nothing behind.
    async fn connect(&self, attempt: Attempt) -> Result<Link>;
}

/// Which attempt this is.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Attempt {
    /// 1 for the first attempt after a good link or a fresh start.
    pub number: u32,
    /// Ask a layer that heals itself to return at once and to go on trying in the background. A plain
    /// transport ignores it.
    pub persist: bool,
    /// The attempt before was refused for its credentials: others must be asked for.
    pub refused: bool,
}

impl Attempt {
    /// A first attempt whose failure is returned.
    pub const fn first() -> Self {
        Self { number: 1, persist: false, refused: false }
    }

    /// Attempt `number` of several.
    pub const fn nth(number: u32) -> Self {
        Self { number, persist: false, refused: false }
    }

    /// The same attempt, after a refusal of the credentials.
    #[must_use]
    pub const fn after_refusal(mut self) -> Self {
        self.refused = true;
        self
    }

    /// The same attempt, to be carried on in the background where the transport can.
    #[must_use]
    pub const fn persistent(mut self) -> Self {
        self.persist = true;
        self
    }
}

/// One connection: facts about it, its sending half and its receiving half.
///
/// Dropping both halves ends the connection and everything that serves it.
pub struct Link {
    /// Facts about the connection.
    pub info: LinkInfo,
    /// The sending half.
    pub tx: Box<dyn LinkSender>,
    /// The receiving half. It also drives the connection: a link that nobody reads neither sends nor beats.
    pub rx: Inbounds,
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("info", &self.info).finish_non_exhaustive()
    }
}

/// What arrives on a link, in order. An `Err` item ends the link, as does the end of the stream.
///
/// Polling is cancel-safe: an item is either returned or still there.
pub type Inbounds = Pin<Box<dyn Stream<Item = Result<Inbound>> + Send>>;

/// Facts about a link.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LinkInfo {
    /// The peer, for logs: an address, never a credential.
    pub peer: String,
    /// Whether the link can be used at once. A self-healing link that is still connecting says `false` and
    /// sends [`Inbound::Restored`] when it is up.
    pub ready: bool,
}

impl LinkInfo {
    /// A link to `peer` that can be used at once.
    pub fn ready(peer: impl Into<String>) -> Self {
        Self { peer: peer.into(), ready: true }
    }

    /// A link that will say [`Inbound::Restored`] when it is up.
    pub fn pending(peer: impl Into<String>) -> Self {
        Self { peer: peer.into(), ready: false }
    }
}

/// What a link reports.
#[derive(Debug)]
#[non_exhaustive]
pub enum Inbound {
    /// An event.
    Delivery(RawDelivery),
    /// One of the link's subscriptions changed without being asked.
    Subscription {
        /// Which one.
        id: SubscriptionId,
        /// What happened to it.
        change: SubscriptionChange,
    },
    /// Events may have been missed.
    Gap(Gap),
    /// A self-healing link lost its connection and works on a new one.
    Interrupted(Error),
    /// A self-healing link will try again.
    Reconnecting {
        /// Which attempt comes next; 1 is the first after the interruption.
        attempt: u32,
        /// How long it waits before that.
        retry_in: Duration,
    },
    /// A self-healing link is up, and its subscriptions are confirmed again.
    Restored {
        /// How many subscriptions were confirmed.
        resubscribed: usize,
    },
    /// A self-healing link got through with other credentials, after a refusal.
    Reauthenticated,
    /// The peer will end the link soon.
    GoAway {
        /// In how long.
        after: Duration,
    },
    /// Something arrived that cannot be used: a malformed packet or event. The link goes on.
    Problem(Error),
}

/// What happened to a subscription.
#[derive(Debug)]
#[non_exhaustive]
pub enum SubscriptionChange {
    /// It is gone, and will get no more events.
    Lost(Error),
    /// Its credentials were renewed.
    Reauthenticated,
    /// It was created anew; events between the old and the new one are missing.
    Recreated,
    /// One event may be lost: the service may have given it out, and it did not arrive. Each report stands for one
    /// event at most, whose place is between those that were delivered before and after the report.
    PossibleLoss(Error),
}

/// An interval in which events may have been missed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gap {
    /// Time from the last sign of life of the old connection to the last subscription's confirmation on the new
    /// one.
    pub lasted: Duration,
}

impl Gap {
    /// A gap of this length.
    pub const fn new(lasted: Duration) -> Self {
        Self { lasted }
    }
}

/// An event as a link delivers it.
#[derive(Debug)]
#[non_exhaustive]
pub struct RawDelivery {
    /// The event.
    pub event: Event,
    /// Whom the link believes it is for.
    pub route: Route,
    /// Whether the service already evaluated expression and target exactly as this SDK does. If not, they are
    /// evaluated here.
    pub filter_is_exact: bool,
    /// How to settle it, on transports that ask for settlement.
    pub token: Option<SettleToken>,
    /// How long the delivery is locked for this link from now on; it is prolonged at half of that while a handler
    /// works.
    pub lock: Option<Duration>,
    /// 1 for the first delivery of this event, more for a redelivery, where the service counts.
    pub attempt: u32,
}

impl RawDelivery {
    /// A first delivery, to be matched locally, with nothing to settle.
    pub fn matched(event: Event) -> Self {
        Self { event, route: Route::Match, filter_is_exact: false, token: None, lock: None, attempt: 1 }
    }

    /// The same delivery, to be settled with this token, and locked for so long.
    #[must_use]
    pub fn settled_by(mut self, token: SettleToken, lock: Option<Duration>) -> Self {
        self.token = Some(token);
        self.lock = lock;
        self
    }

    /// A delivery for one subscription.
    pub fn direct(event: Event, id: SubscriptionId) -> Self {
        Self { route: Route::Direct(id), ..Self::matched(event) }
    }
}

/// Whom a delivery is for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Route {
    /// Whoever matches.
    Match,
    /// This subscription only.
    Direct(SubscriptionId),
}

/// What a transport needs to settle one delivery. Opaque to the core.
pub struct SettleToken {
    inner: Box<dyn Any + Send + Sync>,
    reason: Option<Box<str>>,
}

impl SettleToken {
    /// Wraps whatever the transport needs.
    pub fn new<T: Send + Sync + 'static>(inner: T) -> Self {
        Self { inner: Box::new(inner), reason: None }
    }

    /// The same token with a word on why the delivery was not handled, for transports that keep it. It must hold
    /// no payload.
    #[must_use]
    pub fn because(mut self, reason: impl Into<Box<str>>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// Why the delivery was not handled, where somebody said so.
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// The wrapped value, for the transport that made it.
    pub fn get<T: 'static>(&self) -> Option<&T> {
        self.inner.downcast_ref()
    }

    /// The wrapped value, for the transport that made it.
    pub fn get_mut<T: 'static>(&mut self) -> Option<&mut T> {
        self.inner.downcast_mut()
    }
}

impl fmt::Debug for SettleToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SettleToken(..)")
    }
}

/// What becomes of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Settlement {
    /// Handled: the service may forget it.
    Complete,
    /// Not handled: deliver it again, after a pause if one is given and the service can.
    Abandon {
        /// The pause.
        delay: Option<Duration>,
    },
    /// Not handled, and never will be.
    Reject,
}

/// The sending half of a link. Used by many tasks while the receiving half is polled by one.
#[async_trait]
pub trait LinkSender: Send + Sync {
    /// Queues an event, in call order, without waiting.
    ///
    /// # Errors
    ///
    /// [`NotSent`] gives the event back: the window is full (wait for [`LinkSender::ready`]), the link is down,
    /// or this transport does not publish.
    fn send(&self, event: Event) -> Result<Confirmation, NotSent>;

    /// Queues an event as [`LinkSender::send`] does, with what the publisher said about it. A transport that keeps
    /// nothing past the moment ignores that.
    ///
    /// # Errors
    ///
    /// As [`LinkSender::send`].
    fn send_with(&self, event: Event, _terms: SendTerms) -> Result<Confirmation, NotSent> {
        self.send(event)
    }

    /// Waits until [`LinkSender::send`] may find room. May wake early; cancel-safe.
    async fn ready(&self);

    /// Subscribes; `Ok` means that the service confirmed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave the subscription in place.
    async fn subscribe(&self, spec: &SubscriptionSpec) -> Result<()>;

    /// The same for a subscription that nobody waits for, because it was made before the connection: a link that
    /// repairs itself goes on asking while the service refuses it for the moment. Others ask once.
    ///
    /// # Cancel safety
    ///
    /// As [`LinkSender::subscribe`].
    async fn subscribe_again(&self, spec: &SubscriptionSpec) -> Result<()> {
        self.subscribe(spec).await
    }

    /// Unsubscribes; `Ok` means that the service confirmed.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave the subscription in place.
    async fn unsubscribe(&self, spec: &SubscriptionSpec) -> Result<()>;

    /// Allows `credit` more deliveries to a subscription. Only on transports whose flow is [`Flow::Credit`].
    fn grant(&self, _id: &SubscriptionId, _credit: u32) {}

    /// Settles a delivery.
    ///
    /// # Errors
    ///
    /// [`SettleFailed`] gives the token back.
    async fn settle(&self, token: SettleToken, _outcome: Settlement) -> Result<(), SettleFailed> {
        Err(SettleFailed { token, error: unsupported("settle a delivery") })
    }

    /// Prolongs the lock of a delivery.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`] unless the transport has locks.
    async fn extend(&self, _token: &mut SettleToken) -> Result<()> {
        Err(unsupported("extend a lock"))
    }

    /// Waits until everything queued before is on the wire. Needs the receiving half to be polled meanwhile.
    async fn flush(&self) -> Result<()>;

    /// Says good-bye; the receiving half then ends. Needs the receiving half to be polled meanwhile.
    async fn close(&self);
}

/// What the publisher of an event said about sending it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SendTerms {
    /// From now on: afterwards it is not to be sent any more. `None` is never.
    pub expires_in: Option<Duration>,
    /// It must not be sent a second time, whatever became of the first: a request, a reply.
    pub once: bool,
}

impl SendTerms {
    /// To be sent until it is acknowledged, but not after this time.
    pub const fn within(expires_in: Duration) -> Self {
        Self { expires_in: Some(expires_in), once: false }
    }

    /// The same, and never a second time.
    #[must_use]
    pub const fn once(mut self) -> Self {
        self.once = true;
        self
    }
}

fn unsupported(what: &'static str) -> Error {
    Error::new(ErrorKind::Unsupported, what, "this transport cannot; see its capabilities")
}

/// An event that was not queued, given back.
#[derive(Debug)]
#[non_exhaustive]
pub struct NotSent {
    /// The event.
    pub event: Event,
    /// [`ErrorKind::Full`] (wait), [`ErrorKind::NotConnected`] (wait longer) or [`ErrorKind::Unsupported`] and
    /// the like (give up).
    pub error: Error,
}

impl NotSent {
    /// An event that was not queued, and why.
    pub fn new(event: Event, error: Error) -> Self {
        Self { event, error }
    }
}

/// A settlement that did not happen.
#[derive(Debug)]
#[non_exhaustive]
pub struct SettleFailed {
    /// The token, for another try.
    pub token: SettleToken,
    /// Why.
    pub error: Error,
}

impl SettleFailed {
    /// A settlement that did not happen, and why.
    pub fn new(token: SettleToken, error: Error) -> Self {
        Self { token, error }
    }
}
