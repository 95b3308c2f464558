//! Making and editing events.

use std::sync::{Arc, OnceLock};

use serde::Serialize;
use serde_json::{Map, Value};

use super::data::{Field, RawJson};
use super::{Envelope, Event, Inner, Member};
use crate::{Error, ErrorKind, EventId, Result, Topic};

/// The order in which a new event's seven members are written.
const NEW_ORDER: [Member; 7] = [
    Member::Id,
    Member::Topic,
    Member::Data,
    Member::Source,
    Member::Target,
    Member::InReplyTo,
    Member::Sent,
];

/// Builds or edits an [`Event`].
///
/// Defaults of a new one: a random id, data `{}`, no source (the hub fills it in when publishing), target
/// everyone, no reply, `sent` null. All seven members are written, because the official Python client wants
/// exactly these.
#[derive(Clone)]
pub struct EventBuilder {
    /// The event to be: nobody else has it, or it is copied before it is changed.
    inner: Arc<Inner>,
    /// A random id is drawn at the end, unless one is given before.
    draws_id: bool,
    failure: Option<Arc<Error>>,
}

impl EventBuilder {
    pub(super) fn new(topic: Topic) -> Self {
        let envelope = Envelope {
            data: Field::Value(RawJson::empty_object()),
            source: Field::Null,
            target: Field::Value(Arc::from("")),
            in_reply_to: Field::Null,
            sent: Field::Null,
            order: NEW_ORDER[..].into(),
            ..Envelope::bare(topic)
        };
        Self { inner: Arc::new(Inner::new(envelope, OnceLock::new())), draws_id: true, failure: None }
    }

    pub(super) fn editing(inner: Arc<Inner>) -> Self {
        Self { inner, draws_id: false, failure: None }
    }

    /// Replaces the random id.
    pub fn id(mut self, id: impl Into<EventId>) -> Self {
        self.draws_id = false;
        self.put(Member::Id).id = Field::Value(id.into());
        self
    }

    /// Replaces the topic.
    pub fn topic(mut self, topic: impl Into<Topic>) -> Self {
        Arc::make_mut(&mut self.inner).edit().topic = topic.into();
        self
    }

    /// The data: anything that serialises. A failure is reported by [`EventBuilder::build`].
    pub fn data<T: Serialize + ?Sized>(mut self, data: &T) -> Self {
        match RawJson::from_serialize(data) {
            Ok(raw) => self.raw_data(raw),
            Err(error) => {
                self.failure.get_or_insert(Arc::new(error));
                self
            }
        }
    }

    /// The data as text that is sent as it is.
    pub fn raw_data(mut self, data: RawJson) -> Self {
        self.put(Member::Data).data = if data.is_null() { Field::Null } else { Field::Value(data) };
        self
    }

    /// Whom the event is for: an expression over subscriber metadata, such as `applicationId=maya`.
    ///
    /// Takes text or an [`Expression`](crate::Expression) by `to_string()`; the text is not checked here.
    pub fn target(mut self, target: impl AsRef<str>) -> Self {
        self.put(Member::Target).target = Field::Value(Arc::from(target.as_ref()));
        self
    }

    /// Marks the event as an answer to another.
    pub fn in_reply_to(mut self, id: impl Into<EventId>) -> Self {
        self.put(Member::InReplyTo).in_reply_to = Field::Value(id.into());
        self
    }

    /// When the event was sent, in the service's spelling.
    pub fn sent(mut self, sent: impl Into<String>) -> Self {
        match RawJson::from_serialize(&sent.into()) {
            Ok(raw) => self.put(Member::Sent).sent = Field::Value(raw),
            Err(error) => {
                self.failure.get_or_insert(Arc::new(error));
            }
        }
        self
    }

    /// One member of the source, such as `applicationId`; others stay.
    pub fn source_field(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        let mut source = self.source_object();
        source.insert(key.into(), value.into());
        self.set_source(&source);
        self
    }

    /// The source as it stands, as an object; empty if there is none.
    pub fn source_object(&self) -> Map<String, Value> {
        match self.inner.envelope.source.value().map(RawJson::to_value) {
            Some(Ok(Value::Object(map))) => map,
            _ => Map::new(),
        }
    }

    /// Whether there is a source.
    pub fn has_source(&self) -> bool {
        self.inner.envelope.source.value().is_some()
    }

    /// Whether there is an id, or one will be drawn.
    pub(crate) fn has_id(&self) -> bool {
        self.draws_id || self.inner.envelope.id.value().is_some()
    }

    /// Replaces the source with text that is at hand. For a [`Dialect`](crate::Dialect), as
    /// [`EventBuilder::set_source`].
    pub fn set_source_json(&mut self, source: RawJson) {
        self.put(Member::Source).source = Field::Value(source);
    }

    /// Replaces the source. For a [`Dialect`](crate::Dialect) that completes an event before it is sent.
    pub fn set_source(&mut self, source: &Map<String, Value>) {
        match RawJson::from_serialize(source) {
            Ok(raw) => self.set_source_json(raw),
            Err(error) => {
                self.failure.get_or_insert(Arc::new(error));
            }
        }
    }

    /// A member outside the envelope. The official Python client drops events that carry one.
    pub fn extra(mut self, key: impl Into<String>, value: &impl Serialize) -> Self {
        match RawJson::from_serialize(value) {
            Ok(raw) => self.raw_extra(key, raw),
            Err(error) => {
                self.failure.get_or_insert(Arc::new(error));
                self
            }
        }
    }

    /// The same with text that is sent as it is.
    pub fn raw_extra(mut self, key: impl Into<String>, value: RawJson) -> Self {
        let key = key.into();
        let envelope = Arc::make_mut(&mut self.inner).edit();
        if let Some((_, old)) = envelope.extra.iter_mut().find(|(k, _)| **k == *key) {
            *old = value;
        } else {
            envelope.extra.push((Arc::from(key), value));
            envelope.order.push(Member::Extra(envelope.extra.len() - 1));
        }
        self
    }

    /// The finished event.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] for an empty topic or a value that has no JSON form.
    pub fn build(mut self) -> Result<Event> {
        if self.draws_id {
            Arc::make_mut(&mut self.inner).edit().id = Field::Value(EventId::random());
        }
        if let Some(failure) = self.failure {
            return Err(failure.duplicate());
        }
        if self.inner.envelope.topic.as_str().is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "build event",
                "the topic is empty; give it a dotted name such as \"my-company.some-topic\"",
            ));
        }
        Ok(Event(self.inner))
    }

    /// The members, of which one is about to be changed that may not have been there.
    fn put(&mut self, member: Member) -> &mut Envelope {
        let envelope = Arc::make_mut(&mut self.inner).edit();
        if !envelope.order.contains(&member) {
            envelope.order.push(member);
        }
        envelope
    }
}
