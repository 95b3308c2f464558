//! A bus in memory: a transport without sockets, for tests and for programs that talk to themselves.
//!
//! Every hub connected to the same [`MemoryHub`] sees what the others publish. The bus can be told to refuse
//! connections, to cut links, to hold back acknowledgements: what a test needs in order to be deterministic.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

use crate::subscription::{SubscriptionSpec, Target};
use crate::transport::{
    Acknowledgement, Attempt, Capabilities, Confirmation, Confirmer, Continuity, Flow, Guarantee, Guarantees,
    Inbound, Link, LinkInfo, LinkSender, NotSent, RawDelivery, Transport,
};
use crate::{Error, ErrorKind, Event, Result, SubscriptionId};

/// Deliveries that a link holds before it is cut as too slow.
const LINK_BUFFER: usize = 4096;
/// Events in flight on a link, unless the capabilities say otherwise.
const WINDOW: usize = 64;

/// A bus. A clone is the same bus.
///
/// A link that subscribed by the transport's own verb is sent what its subscriptions match; a link that never
/// did is sent everything, as on a bus without filters.
#[derive(Clone)]
pub struct MemoryHub {
    bus: Arc<Bus>,
}

struct Bus {
    capabilities: Capabilities,
    state: Mutex<State>,
    roomy: Notify,
}

#[derive(Default)]
struct State {
    links: HashMap<u64, Attached>,
    next: u64,
    refusing: Option<Refusal>,
    refusing_events: Option<ErrorKind>,
    refusing_subscriptions: HashMap<SubscriptionId, ErrorKind>,
    holding: bool,
    held: Vec<(u64, Confirmer)>,
    published: u64,
    attempts: u64,
}

#[derive(Clone)]
struct Refusal {
    kind: ErrorKind,
    message: String,
}

struct Attached {
    deliveries: mpsc::Sender<Result<Inbound>>,
    specs: HashMap<SubscriptionId, SubscriptionSpec>,
    filtered: bool,
}

impl Default for MemoryHub {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryHub {
    /// A bus that publishes with receipts, filters, and delivers at most once.
    pub fn new() -> Self {
        Self::with_capabilities(Capabilities {
            publish: true,
            publish_receipt: true,
            reply: true,
            server_filter: true,
            guarantees: Guarantees::only(Guarantee::AtMostOnce),
            window: Some(WINDOW),
            ..Capabilities::default()
        })
    }

    /// A bus that can do this much; the rest it answers with [`ErrorKind::Unsupported`]. Credit, locks and settlement
    /// it has not, whatever is asked for: it pushes, at most once.
    #[expect(clippy::needless_pass_by_value, reason = "capabilities are made for the bus")]
    pub fn with_capabilities(capabilities: Capabilities) -> Self {
        let capabilities = Capabilities {
            flow: Flow::Push,
            guarantees: Guarantees::only(Guarantee::AtMostOnce),
            continuity: Continuity::None,
            nack: false,
            extend_lock: false,
            window: capabilities.publish.then(|| capabilities.window.unwrap_or(WINDOW).max(1)),
            ..capabilities
        };
        Self { bus: Arc::new(Bus { capabilities, state: Mutex::default(), roomy: Notify::new() }) }
    }

    /// A transport to this bus.
    pub fn transport(&self) -> MemoryTransport {
        MemoryTransport { bus: Arc::clone(&self.bus) }
    }

    /// Gives an event to every link that wants it, as if some other client had published it.
    pub fn inject(&self, event: &Event) {
        self.bus.state.lock().route(event);
    }

    /// Gives every link something that is not an event.
    pub fn inject_problem(&self, message: &str) {
        let state = self.bus.state.lock();
        for link in state.links.values() {
            let problem = Error::new(ErrorKind::Protocol, "receive", message);
            let _ = link.deliveries.try_send(Ok(Inbound::Problem(problem)));
        }
    }

    /// Ends every link. Events in flight stay unconfirmed.
    pub fn cut(&self) {
        let mut state = self.bus.state.lock();
        state.held.clear();
        for (_, link) in state.links.drain() {
            let cut = Error::new(ErrorKind::Disconnected, "receive", "the bus cut the link");
            let _ = link.deliveries.try_send(Err(cut));
        }
        drop(state);
        self.bus.roomy.notify_waiters();
    }

    /// Refuses new connections with this kind of error, or accepts them again.
    pub fn refuse_connections(&self, refusal: Option<(ErrorKind, &str)>) {
        self.bus.state.lock().refusing =
            refusal.map(|(kind, message)| Refusal { kind, message: message.to_owned() });
    }

    /// Refuses published events with this kind of error, or accepts them again.
    pub fn refuse_events(&self, kind: Option<ErrorKind>) {
        self.bus.state.lock().refusing_events = kind;
    }

    /// Refuses to make the subscription with this id, with this kind of error, or makes it again.
    pub fn refuse_subscription(&self, id: impl Into<SubscriptionId>, kind: Option<ErrorKind>) {
        let refusing = &mut self.bus.state.lock().refusing_subscriptions;
        match kind {
            Some(kind) => refusing.insert(id.into(), kind),
            None => refusing.remove(&id.into()),
        };
    }

    /// Holds acknowledgements back, or releases those held, in order.
    pub fn hold_acknowledgements(&self, hold: bool) {
        let mut state = self.bus.state.lock();
        state.holding = hold;
        if !hold {
            for (_, confirmer) in state.held.drain(..) {
                confirmer.confirm(Acknowledgement::default());
            }
        }
        drop(state);
        self.bus.roomy.notify_waiters();
    }

    /// Links now.
    pub fn links(&self) -> usize {
        self.bus.state.lock().links.len()
    }

    /// Subscriptions now, over all links.
    pub fn subscriptions(&self) -> usize {
        self.bus.state.lock().links.values().map(|link| link.specs.len()).sum()
    }

    /// Events published since the beginning.
    pub fn published(&self) -> u64 {
        self.bus.state.lock().published
    }

    /// Connection attempts since the beginning.
    pub fn attempts(&self) -> u64 {
        self.bus.state.lock().attempts
    }
}

impl State {
    fn route(&mut self, event: &Event) {
        let target = Target::of(event);
        self.links.retain(|_, link| {
            let wanted = !link.filtered
                || link.specs.values().any(|spec| {
                    spec.expression.as_ref().is_none_or(|expression| expression.matches(event))
                        && target.allows(spec)
                });
            // A link that is too slow or gone is cut.
            !wanted
                || link
                    .deliveries
                    .try_send(Ok(Inbound::Delivery(RawDelivery::matched(event.clone()))))
                    .is_ok()
        });
    }
}

/// A way to reach a [`MemoryHub`].
#[derive(Clone)]
pub struct MemoryTransport {
    bus: Arc<Bus>,
}

#[async_trait]
impl Transport for MemoryTransport {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn capabilities(&self) -> Capabilities {
        self.bus.capabilities.clone()
    }

    async fn connect(&self, _attempt: Attempt) -> Result<Link> {
        let (deliveries, arriving) = mpsc::channel(LINK_BUFFER);
        let mut state = self.bus.state.lock();
        state.attempts += 1;
        if let Some(refusal) = &state.refusing {
            return Err(Error::new(refusal.kind, "connect", refusal.message.clone()));
        }
        let number = state.next;
        state.next += 1;
        state.links.insert(number, Attached { deliveries, specs: HashMap::new(), filtered: false });
        drop(state);
        let detach = Arc::new(Detach { bus: Arc::clone(&self.bus), number });
        let reader = (arriving, Arc::clone(&detach));
        let rx = stream::unfold(reader, |(mut arriving, detach)| async move {
            let item = arriving.recv().await?;
            Some((item, (arriving, detach)))
        })
        .fuse();
        Ok(Link {
            info: LinkInfo::ready("memory"),
            tx: Box::new(MemorySender { bus: Arc::clone(&self.bus), number, _detach: detach }),
            rx: Box::pin(rx),
        })
    }
}

/// Removes a link when its last half is dropped.
struct Detach {
    bus: Arc<Bus>,
    number: u64,
}

impl Drop for Detach {
    fn drop(&mut self) {
        let mut state = self.bus.state.lock();
        state.links.remove(&self.number);
        let number = self.number;
        state.held.retain(|(link, _)| *link != number);
    }
}

struct MemorySender {
    bus: Arc<Bus>,
    number: u64,
    _detach: Arc<Detach>,
}

impl Bus {
    fn window(&self) -> usize {
        self.capabilities.window.unwrap_or(WINDOW)
    }
}

impl MemorySender {
    fn in_flight(&self, state: &State) -> usize {
        state.held.iter().filter(|(link, _)| *link == self.number).count()
    }

    fn with_link<R>(&self, op: &'static str, change: impl FnOnce(&mut Attached) -> R) -> Result<R> {
        match self.bus.state.lock().links.get_mut(&self.number) {
            Some(link) => Ok(change(link)),
            None => Err(Error::new(ErrorKind::Disconnected, op, "the bus cut the link")),
        }
    }
}

#[async_trait]
impl LinkSender for MemorySender {
    fn send(&self, event: Event) -> Result<Confirmation, NotSent> {
        if !self.bus.capabilities.publish {
            let error = Error::new(ErrorKind::Unsupported, "publish", "this transport does not publish");
            return Err(NotSent::new(event, error));
        }
        let mut state = self.bus.state.lock();
        if state.links.get(&self.number).is_none_or(|link| link.deliveries.is_closed()) {
            let error = Error::new(ErrorKind::NotConnected, "publish", "the bus cut the link");
            return Err(NotSent::new(event, error));
        }
        if self.bus.capabilities.max_payload.is_some_and(|most| event.to_json().len() > most) {
            let error =
                Error::new(ErrorKind::TooLarge, "publish", "the event is larger than this bus carries");
            return Err(NotSent::new(event, error));
        }
        if self.in_flight(&state) >= self.bus.window() {
            let error = Error::new(ErrorKind::Full, "publish", "too many events are not acknowledged yet");
            return Err(NotSent::new(event, error));
        }
        let (confirmer, confirmation) = Confirmation::channel();
        if let Some(kind) = state.refusing_events {
            confirmer.refuse(Error::new(kind, "publish", "the bus refuses events"));
            return Ok(confirmation);
        }
        state.published += 1;
        // The acknowledgement precedes whatever the event causes.
        if state.holding {
            state.held.push((self.number, confirmer));
        } else {
            confirmer.confirm(Acknowledgement::default());
        }
        state.route(&event);
        Ok(confirmation)
    }

    async fn ready(&self) {
        let roomy = self.bus.roomy.notified();
        tokio::pin!(roomy);
        roomy.as_mut().enable();
        let full = {
            let state = self.bus.state.lock();
            self.in_flight(&state) >= self.bus.window()
        };
        if full {
            roomy.await;
        }
    }

    async fn subscribe(&self, spec: &SubscriptionSpec) -> Result<()> {
        if !self.bus.capabilities.guarantees.contains(spec.require) {
            let message = format!("this bus does not deliver {:?}", spec.require);
            return Err(Error::new(ErrorKind::Unsupported, "subscribe", message));
        }
        spec.refuse_name("memory")?;
        let refused = self.bus.state.lock().refusing_subscriptions.get(&spec.id).copied();
        if let Some(kind) = refused {
            return Err(Error::new(kind, "subscribe", "the bus refuses this subscription"));
        }
        self.with_link("subscribe", |link| {
            link.filtered = true;
            link.specs.insert(spec.id.clone(), spec.clone());
        })
    }

    async fn unsubscribe(&self, spec: &SubscriptionSpec) -> Result<()> {
        self.with_link("unsubscribe", |link| {
            link.specs.remove(&spec.id);
        })
    }

    async fn flush(&self) -> Result<()> {
        Ok(())
    }

    async fn close(&self) {
        let mut state = self.bus.state.lock();
        state.links.remove(&self.number);
        state.held.retain(|(link, _)| *link != self.number);
    }
}

impl std::fmt::Debug for MemoryHub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryHub").field("links", &self.links()).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for MemoryTransport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MemoryTransport")
    }
}
