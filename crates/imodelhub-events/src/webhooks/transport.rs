//! The receiver as a transport of the core: events are pushed over HTTP, and settled by the answer.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use event_core::transport::{
    Attempt, Capabilities, Confirmation, Guarantee, Guarantees, Link, LinkInfo, LinkSender, NotSent,
    SettleFailed, SettleToken, Settlement, Transport,
};
use event_core::{Error, ErrorKind, Event, Result, SubscriptionSpec};
use futures_util::stream;

use super::gate::{Gate, Ticket};
use super::receiver::Acknowledge;

/// What comes to a [receiver](super::WebhookReceiver), as a transport: for an [`EventHub`](event_core::EventHub) of the
/// caller's, with subscriptions by expression. It keeps nothing and locks nothing.
///
/// With [`Acknowledge::Settled`] a delivery that is given back comes again, when the platform sends it again: subscriptions
/// [require](event_core::hub::Subscribe::require) [`Guarantee::AtLeastOnce`] then. With [`Acknowledge::Accepted`] each
/// comes once or not at all.
#[derive(Clone)]
pub struct WebhookTransport(pub(super) Arc<Gate>);

#[async_trait]
impl Transport for WebhookTransport {
    fn name(&self) -> &'static str {
        "webhooks"
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        let settled = self.0.acknowledge == Acknowledge::Settled;
        let guarantee = if settled { Guarantee::AtLeastOnce } else { Guarantee::AtMostOnce };
        capabilities.guarantees = Guarantees::only(guarantee);
        capabilities.nack = settled;
        capabilities.max_payload = Some(self.0.rules.max_body);
        capabilities
    }

    /// There is nobody to connect to: requests that come are passed to this link from now on.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Duplicate`] when another link has them.
    async fn connect(&self, _attempt: Attempt) -> Result<Link> {
        let Some((number, mut arriving)) = self.0.attach() else {
            let message = "another hub takes what comes to this receiver; one of them can";
            return Err(Error::new(ErrorKind::Duplicate, "connect", message));
        };
        let attached = Arc::new(Attached { gate: Arc::clone(&self.0), number });
        let held = Arc::clone(&attached);
        let rx = stream::poll_fn(move |cx| {
            let next = arriving.poll_recv(cx);
            if next.is_pending() {
                held.gate.emptied.notify_waiters();
            }
            next
        });
        Ok(Link { info: LinkInfo::ready("webhooks"), tx: Box::new(Sender(attached)), rx: Box::pin(rx) })
    }
}

impl fmt::Debug for WebhookTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookTransport").finish_non_exhaustive()
    }
}

/// The way from the gate to a link; it ends with the link.
struct Attached {
    gate: Arc<Gate>,
    number: u64,
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.gate.detach(self.number);
    }
}

/// The sending half.
struct Sender(Arc<Attached>);

#[async_trait]
impl LinkSender for Sender {
    /// Always refused: the platform is not published to.
    fn send(&self, event: Event) -> Result<Confirmation, NotSent> {
        let message = "clients do not publish to the platform";
        Err(NotSent::new(event, Error::new(ErrorKind::Unsupported, "send", message)))
    }

    async fn ready(&self) {}

    /// Requests are accepted from the first subscription on. What it wants is decided here, by its expression.
    async fn subscribe(&self, spec: &SubscriptionSpec) -> Result<()> {
        spec.refuse_name("webhooks")?;
        let Attached { gate, number } = &*self.0;
        gate.subscriptions(*number, |subscribed| {
            subscribed.insert(spec.id.clone());
        })
        .ok_or_else(|| Error::new(ErrorKind::NotConnected, "subscribe", "the link is closed"))
    }

    /// After the last one, nothing more is accepted; `Ok` when what was accepted before is read. Needs the receiving half
    /// to be polled meanwhile.
    async fn unsubscribe(&self, spec: &SubscriptionSpec) -> Result<()> {
        let Attached { gate, number } = &*self.0;
        let still = gate.subscriptions(*number, |subscribed| {
            subscribed.remove(&spec.id);
        });
        if still.is_some() {
            gate.read_out(*number).await;
        }
        Ok(())
    }

    /// A delivery that is completed, or rejected, is acknowledged and remembered, so that a repeat of it is only answered;
    /// one that is given back may come again.
    /// A pause asked for is left out: the platform decides when it sends again.
    async fn settle(&self, mut token: SettleToken, outcome: Settlement) -> Result<(), SettleFailed> {
        if let Some(ticket) = token.get_mut::<Ticket>() {
            ticket.settle(outcome);
            return Ok(());
        }
        let message = "this token is of another transport";
        Err(SettleFailed::new(token, Error::new(ErrorKind::InvalidInput, "settle", message)))
    }

    /// Nothing is ever queued.
    async fn flush(&self) -> Result<()> {
        Ok(())
    }

    async fn close(&self) {
        self.0.gate.detach(self.0.number);
    }
}
