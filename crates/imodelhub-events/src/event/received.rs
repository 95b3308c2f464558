//! An event as it came from a queue.

use event_core::{Event, Result};
use serde_json::Value;

use super::{GlobalEvent, IModelEvent};

/// An event from a queue: its type and body, and what the queue says about it.
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
    pub fn imodel(&self) -> Result<IModelEvent> {
        IModelEvent::read(self.event_type(), self.body())
    }

    /// The global event, with its fields.
    ///
    /// # Errors
    ///
    /// As [`HubEvent::imodel`].
    pub fn global(&self) -> Result<GlobalEvent> {
        GlobalEvent::read(self.event_type(), self.body())
    }

    /// The body; `null` when it could not be read, and then [`HubEvent::raw`] has its bytes in base64.
    pub fn body(&self) -> &Value {
        self.0.data_value()
    }

    /// What the event is about: the iModel's id, or `iModelHubGlobalEvents`.
    pub fn event_topic(&self) -> Option<&str> {
        self.body().get("EventTopic").and_then(Value::as_str)
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
