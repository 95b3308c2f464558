//! Listening to what a receiver accepts.

use std::fmt;
use std::future::Future;

use event_core::expression::Expression;
use event_core::transport::Guarantee;
use event_core::{Context, Error, ErrorKind, Event, IntoReply, Overflow, Result, SubscriptionId};
use tokio::sync::watch;
use transport_longpoll::request::ReceiveMode;

use super::receiver::WebhookReceiver;
use super::types::WebhookEventType;
use crate::event::HubEvent;
use crate::listener::{BUT_GAPS, Held, Listener, ListenerState, ListenerStream, Sink};

/// The name of a listener's place in a journal, unless it is given another.
const PLACE: &str = "webhooks";

/// Describes a listener of a [receiver](WebhookReceiver).
#[must_use = "nothing is listened to until a handler or a stream is asked for"]
pub struct WebhookListenerBuilder {
    receiver: WebhookReceiver,
    types: Vec<WebhookEventType>,
    concurrency: usize,
    durable: Option<String>,
}

impl WebhookListenerBuilder {
    pub(super) fn new(receiver: WebhookReceiver) -> Self {
        Self { receiver, types: Vec::new(), concurrency: 1, durable: None }
    }

    /// Only events of these types. Default all. An event that no listener wants is answered and forgotten.
    pub fn types(mut self, types: impl IntoIterator<Item = WebhookEventType>) -> Self {
        self.types.extend(types);
        self
    }

    /// How many events a handler works on at a time. Default 1, in the order of arrival.
    pub fn concurrency(mut self, handlers: usize) -> Self {
        self.concurrency = handlers;
        self
    }

    /// The name under which the listener's place is kept, with a [journal](super::ReceiverBuilder::journal). Default
    /// `webhooks`; listeners besides the first need names of their own.
    #[cfg(feature = "journal")]
    pub fn durable(mut self, name: impl Into<String>) -> Self {
        self.durable = Some(name.into());
        self
    }

    /// Listens with a handler. An error or a panic is a failure: the platform sends the event again if it is
    /// [not answered yet](super::Acknowledge::Settled), a journal gives it out again, and otherwise it is counted.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsupported`] for a place without a journal; [`ErrorKind::Duplicate`] when a hub of the caller's has
    /// the [transport](WebhookReceiver::transport); [`ErrorKind::NoRuntime`] outside a tokio runtime.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before it is done leaves no listener behind.
    pub async fn handle<F, Fut>(self, handler: F) -> Result<Listener>
    where
        F: Fn(HubEvent) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: IntoReply> + Send + 'static,
    {
        self.listen(Sink::handling(handler)).await
    }

    /// Listens with a stream. Each event must be [acknowledged](crate::Listened::ack): dropped without that, it counts
    /// as failed.
    ///
    /// # Errors
    ///
    /// As [`WebhookListenerBuilder::handle`].
    ///
    /// # Cancel safety
    ///
    /// As [`WebhookListenerBuilder::handle`].
    pub async fn stream(self) -> Result<ListenerStream> {
        let (sink, arriving) = Sink::streaming(true);
        Ok(ListenerStream::new(arriving, self.listen(sink).await?))
    }

    async fn listen(self, sink: Sink) -> Result<Listener> {
        let Self { receiver, types, concurrency, durable } = self;
        if durable.is_some() && !receiver.is_durable() {
            let message = "a place is kept with a journal only; give the receiver one, or leave the name out";
            return Err(Error::new(ErrorKind::Unsupported, "listen", message));
        }
        let hub = receiver.hub().await?;
        let wanted = wanted(&types, receiver.is_durable())?;
        let id = SubscriptionId::random();
        // As many as are accepted fit in: nothing is dropped here.
        let mut subscribe = hub
            .subscribe(wanted)
            .id(id.clone())
            .buffer(receiver.capacity(), Overflow::DropNewest)
            .concurrency(concurrency)
            .require(if receiver.waits() { Guarantee::AtLeastOnce } else { Guarantee::AtMostOnce });
        if receiver.is_durable() {
            subscribe = subscribe.durable(durable.as_deref().unwrap_or(PLACE));
        }
        let core = subscribe
            .handle_ctx(move |event: Event, context: Context| sink.work(HubEvent::new(event), &context))
            .await?;
        Ok(Listener::holding(Listening { receiver, id, core }))
    }
}

/// Which events are wanted.
fn wanted(types: &[WebhookEventType], durable: bool) -> Result<Expression> {
    let topics: Vec<Expression> =
        types.iter().map(|wanted| Expression::topic(wanted.as_str())).collect::<Result<_, _>>()?;
    Ok(match (topics.is_empty(), durable) {
        (false, _) => Expression::any(topics)?,
        (true, true) => Expression::parse(BUT_GAPS)?,
        (true, false) => Expression::parse("topic=*")?,
    })
}

/// A subscription to what a receiver accepts.
struct Listening {
    receiver: WebhookReceiver,
    id: SubscriptionId,
    core: event_core::Subscription,
}

impl Held for Listening {
    fn states(&self) -> watch::Receiver<ListenerState> {
        self.receiver.states()
    }

    fn mode(&self) -> ReceiveMode {
        if self.receiver.waits() { ReceiveMode::PeekLock } else { ReceiveMode::ReceiveAndDelete }
    }

    fn id(&self) -> SubscriptionId {
        self.id.clone()
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.core.cancel();
    }
}

impl fmt::Debug for WebhookListenerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookListenerBuilder").field("types", &self.types).finish_non_exhaustive()
    }
}
