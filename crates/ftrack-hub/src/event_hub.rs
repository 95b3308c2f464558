//! The verbs of ftrack's event hub.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use event_core::hub::{
    DrainReport, Health, IntoExpression, LifecycleStream, LocalOutcome, Publish, ReplyStream, Request, Stats,
    Subscribe, Subscription,
};
use event_core::{ConnectionState, Event, Receipt, Result, SubscriptionId};
use serde::Serialize;

/// The event hub of a [`Session`](crate::Session).
///
/// A clone is the same hub. When the session and the last clone are dropped, the connection ends.
///
/// # Delivery
///
/// At most once: the service keeps nothing for a hub that is not connected. A publish that returned `Ok` was
/// acknowledged by the server.
///
/// # Recovery
///
/// A lost connection is made anew with growing pauses, subscriptions first, then events that wait. What was
/// published meanwhile by others is missed; [`EventHub::lifecycle`] tells of the gap.
#[derive(Clone)]
pub struct EventHub {
    hub: event_core::EventHub,
    id: SubscriptionId,
    #[cfg_attr(not(feature = "typed"), expect(dead_code, reason = "actions and filters ask"))]
    whoami: Arc<Whoami>,
}

/// Who uses the hub, and by which program.
#[cfg_attr(not(feature = "typed"), expect(dead_code, reason = "actions and filters ask"))]
pub(crate) struct Whoami {
    pub(crate) user: String,
    pub(crate) application_id: String,
}

impl EventHub {
    pub(crate) fn new(hub: event_core::EventHub, id: SubscriptionId, whoami: Whoami) -> Self {
        Self { hub, id, whoami: Arc::new(whoami) }
    }

    /// The API user.
    #[cfg(feature = "typed")]
    pub(crate) fn user(&self) -> &str {
        &self.whoami.user
    }

    /// What the program calls itself.
    #[cfg(feature = "typed")]
    pub(crate) fn application_id(&self) -> &str {
        &self.whoami.application_id
    }

    /// The hub's id: the `source.id` of what it publishes, and the address of replies.
    pub fn id(&self) -> &SubscriptionId {
        &self.id
    }

    /// Connects: one attempt, whose failure is returned. Does nothing on a connected hub.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unauthenticated`](crate::ErrorKind::Unauthenticated) for refused credentials,
    /// [`Unreachable`](crate::ErrorKind::Unreachable), [`Tls`](crate::ErrorKind::Tls),
    /// [`UnsupportedTransport`](crate::ErrorKind::UnsupportedTransport) for a server that does not offer websockets
    /// or is no event server, [`Timeout`](crate::ErrorKind::Timeout).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop the attempt.
    pub async fn connect(&self) -> Result<()> {
        self.hub.connect().await
    }

    /// Connects, trying until it succeeds or the server refuses for good.
    ///
    /// # Errors
    ///
    /// A refusal that no retry can help.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop the attempts; [`EventHub::disconnect`] does.
    pub async fn connect_persistently(&self) -> Result<()> {
        self.hub.connect_persistently().await
    }

    /// Disconnects and keeps the subscriptions for the next [`EventHub::connect`].
    pub async fn disconnect(&self) {
        self.hub.disconnect().await;
    }

    /// Leaves the present connection, which may look alive and not be, and makes another; subscriptions and waiting
    /// publishes come along. Without a connection it connects.
    ///
    /// # Errors
    ///
    /// A refusal that no retry can help.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop the attempts; [`EventHub::disconnect`] does.
    pub async fn reconnect(&self) -> Result<()> {
        self.hub.reconnect().await
    }

    /// Whether events flow.
    pub fn is_connected(&self) -> bool {
        self.hub.state().is_connected()
    }

    /// Describes a subscription, by an expression such as `topic=ftrack.update`.
    ///
    /// The subscriber has a random id and this session's `applicationId` unless the builder is given others; both
    /// can be used in targets.
    ///
    /// ```
    /// # use ftrack_hub::{Error, Event, EventHub, Json};
    /// # use serde_json::json;
    /// # async fn example(hub: EventHub) -> Result<(), Error> {
    /// hub.subscribe("topic=my-company.render and data.priority>=50")
    ///     .id("my-unique-subscriber-id")
    ///     .metadata("applicationId", "maya")
    ///     .handle(async |event: Event| Json(json!({"queued": event.data_value()["shot"]})))
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn subscribe(&self, expression: impl IntoExpression) -> Subscribe {
        self.hub.subscribe(expression)
    }

    /// Ends a subscription by its subscriber's id.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when there is none.
    pub async fn unsubscribe(&self, subscriber: impl Into<SubscriptionId>) -> Result<()> {
        self.hub.unsubscribe(&subscriber.into()).await
    }

    /// The subscription of the subscriber with this id.
    pub fn get_subscriber_by_identifier(&self, id: impl Into<SubscriptionId>) -> Option<Subscription> {
        self.hub.subscription(&id.into())
    }

    /// Publishes an event; awaited, it returns when the server has acknowledged it. Without a connection it waits
    /// for one, up to its timeout (30 s unless set).
    ///
    /// # Errors
    ///
    /// See [`event_core::EventHub::publish`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future never unsends the event, nor takes it out of the queue.
    pub fn publish(&self, event: Event) -> Publish {
        self.hub.publish(event)
    }

    /// Publishes an event and waits for one reply, up to its timeout (30 s unless set).
    ///
    /// ```
    /// # use ftrack_hub::{Error, Event, EventHub};
    /// # use std::time::Duration;
    /// # async fn example(hub: EventHub) -> Result<(), Error> {
    /// let event = Event::new("my-company.some-topic", &serde_json::json!({"message": "Hello world!"}))?;
    /// let reply = hub.publish_and_wait_for_reply(event).timeout(Duration::from_secs(5)).await?;
    /// println!("{}", reply.data_value());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Timeout`](crate::ErrorKind::Timeout) without a reply, and those of publishing.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the request; the event is not unsent.
    pub fn publish_and_wait_for_reply(&self, event: Event) -> Request {
        self.hub.request(event)
    }

    /// Publishes an event and yields every reply until the timeout.
    ///
    /// # Errors
    ///
    /// Those of publishing.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future or the stream closes the request; the event is not unsent.
    pub async fn publish_with_replies(&self, event: Event, timeout: Duration) -> Result<ReplyStream> {
        self.hub.request(event).timeout(timeout).replies().await
    }

    /// Answers an event. In a handler, return the answer instead, or use [`Context::reply`](crate::Context::reply).
    ///
    /// # Errors
    ///
    /// As [`Context::reply`](crate::Context::reply).
    pub async fn publish_reply(&self, asked: &Event, data: &(impl Serialize + Sync)) -> Result<Receipt> {
        self.hub.reply(asked, data).await
    }

    /// Gives an event to the matching handlers of this hub only, at once and in priority order, and returns what
    /// they returned. The official Python client calls this a synchronous publish.
    ///
    /// # Errors
    ///
    /// Only for an event that cannot be built; what handlers failed with is in the outcomes.
    pub async fn publish_local(&self, event: &Event) -> Result<Vec<LocalOutcome>> {
        self.hub.publish_local(event).await
    }

    /// The state of the connection.
    pub fn state(&self) -> ConnectionState {
        self.hub.state()
    }

    /// Waits until the state fits, and returns it; at the latest when the hub is closed. Cancel-safe.
    pub async fn wait_for_state(&self, fits: impl FnMut(&ConnectionState) -> bool) -> ConnectionState {
        self.hub.wait_for_state(fits).await
    }

    /// Everything that happens to the hub from now on: connections, gaps, failures.
    pub fn lifecycle(&self) -> LifecycleStream {
        self.hub.lifecycle()
    }

    /// Counters.
    pub fn stats(&self) -> Stats {
        self.hub.stats()
    }

    /// One look at the hub, for a health check.
    pub fn health(&self) -> Health {
        self.hub.health()
    }

    /// Waits until every event published before this call is acknowledged, refused or failed: at the latest when
    /// its time is up.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed) when the hub ends first.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub async fn flush(&self) -> Result<()> {
        self.hub.flush().await
    }

    /// Closes the hub: [`EventHub::drain`] with the close timeout, 5 s unless set. Final.
    pub async fn close(&self) {
        self.hub.close().await;
    }

    /// Ends the hub in good order: unsubscribes, lets handlers finish and what they publish go out, then ends the
    /// connection; what is not done within `limit` is cut off. The report says what became of everything.
    ///
    /// ```
    /// # use ftrack_hub::EventHub;
    /// # use std::time::Duration;
    /// # async fn example(hub: EventHub) {
    /// let report = hub.drain(Duration::from_secs(30)).await;
    /// if !report.is_clean() {
    ///     eprintln!("{report}");
    /// }
    /// # }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// Once polled, the drain goes on even if the future is dropped.
    pub async fn drain(&self, limit: Duration) -> DrainReport {
        self.hub.drain(limit).await
    }

    /// The engine below, for what this facade does not name.
    pub fn engine(&self) -> &event_core::EventHub {
        &self.hub
    }
}

impl fmt::Debug for EventHub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventHub").field("id", &self.id).field("state", &self.state()).finish_non_exhaustive()
    }
}
