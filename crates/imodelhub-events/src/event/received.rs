//! An event as it came from a queue.

use event_core::{Event, Result};
use serde_json::Value;

use super::{GlobalEvent, IModelEvent};

/// An event from a queue, or from a webhook: its type and body, and what the queue says about it.
#[derive(Clone, Debug, PartialEq)]
pub struct HubEvent(Event);

impl HubEvent {
    /// Takes an event as the transport gives it.
    pub fn new(raw: Event) -> Self {
        Self(raw)
    }

    /// The type, as the service spells it: `VersionEvent`; `untyped` when the service left it out.
    pub fn event_type(&self) -> &str {
        self.0.topic().as_str()
    }

    /// The event of an iModel, with its fields.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Decode`](event_core::ErrorKind::Decode) when the body of a known type has another form.
    ///
    /// With the feature `webhooks`, an event that came by a webhook is read as the one that it succeeds: deleted iModels,
    /// named versions (without their name, which the platform leaves out) and pushed changesets; others are unknown here.
    pub fn imodel(&self) -> Result<IModelEvent> {
        #[cfg(feature = "webhooks")]
        if crate::webhooks::came_by_webhook(&self.0) {
            return Ok(crate::webhooks::as_imodel_event(&self.webhook()?.content()?, self.event_type()));
        }
        IModelEvent::read(self.event_type(), self.body())
    }

    /// The global event, with its fields.
    ///
    /// # Errors
    ///
    /// As [`HubEvent::imodel`].
    pub fn global(&self) -> Result<GlobalEvent> {
        #[cfg(feature = "webhooks")]
        if crate::webhooks::came_by_webhook(&self.0) {
            return Ok(crate::webhooks::as_global_event(&self.webhook()?.content()?, self.event_type()));
        }
        GlobalEvent::read(self.event_type(), self.body())
    }

    /// The event as a webhook brought it, with its envelope and typed content.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Decode`](event_core::ErrorKind::Decode) if it came from a queue, or cannot be held as a tree.
    #[cfg(feature = "webhooks")]
    pub fn webhook(&self) -> Result<crate::webhooks::WebhookEvent> {
        crate::webhooks::WebhookEvent::of(&self.0)
    }

    /// The body; `null` when it could not be read, and then [`HubEvent::raw`] has its bytes in base64. Of an event that
    /// came by a webhook, its `content`.
    pub fn body(&self) -> &Value {
        let data = self.0.data_value();
        #[cfg(feature = "webhooks")]
        if crate::webhooks::came_by_webhook(&self.0) {
            return data.get("content").unwrap_or(&Value::Null);
        }
        data
    }

    /// What the event is about: the iModel's id, or `iModelHubGlobalEvents`.
    pub fn event_topic(&self) -> Option<&str> {
        let topic = self.body().get("EventTopic");
        #[cfg(feature = "webhooks")]
        let topic =
            if crate::webhooks::came_by_webhook(&self.0) { self.body().get("imodelId") } else { topic };
        topic.and_then(Value::as_str)
    }

    /// The message's id, by which a repeated delivery is recognised.
    pub fn message_id(&self) -> Option<&str> {
        self.0.id().map(event_core::EventId::as_str)
    }

    /// What the queue says about the message, as it came: sequence number, delivery count, times.
    pub fn broker(&self) -> Option<Value> {
        self.0.extra("broker").and_then(|raw| raw.to_value().ok())
    }

    /// The message's place in its queue.
    pub fn sequence_number(&self) -> Option<u64> {
        self.broker()?.get("SequenceNumber")?.as_u64()
    }

    /// How often the message has been delivered, this time included.
    pub fn delivery_count(&self) -> Option<u64> {
        self.broker()?.get("DeliveryCount")?.as_u64()
    }

    /// The event as the transport gave it.
    pub fn raw(&self) -> &Event {
        &self.0
    }
}
