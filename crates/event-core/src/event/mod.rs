//! What travels: an envelope decoded at once, and data that stays text until somebody reads it.

mod builder;
mod data;
mod members;
mod reader;
mod scan;
mod wire;
mod write;

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::Value;
use smallvec::SmallVec;

pub use builder::EventBuilder;
pub use data::{Field, RawJson};
pub use reader::EventReader;

use scan::Found;

use crate::expression::{Scalar, Subject};
use crate::{EventId, Result, Topic};

/// An event: a topic, some data, where it came from and whom it is for.
///
/// A clone is one reference count. The JSON spelling is that of the ftrack hub (`inReplyToEvent`), which the
/// other services of this SDK are mapped to. An event that was received is written back byte for byte;
/// [`Event::to_builder`] makes an edited copy, whose `data` and unknown members still keep their bytes.
///
/// ```
/// use event_core::Event;
/// use serde_json::json;
///
/// let event = Event::new("my-company.some-topic", &json!({"foo": "bar", "xyz": true}))?;
/// assert_eq!(event.topic(), &"my-company.some-topic");
/// assert_eq!(event.data_value()["foo"], "bar");
///
/// let text = event.to_json();
/// assert_eq!(Event::from_json(text.clone())?.to_json(), text);
/// # Ok::<(), event_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Event(Arc<Inner>);

struct Inner {
    envelope: Envelope,
    wire: OnceLock<Bytes>,
    data: OnceLock<Value>,
    source: OnceLock<Value>,
    rest: OnceLock<Vec<Value>>,
    /// How often something was looked up in text of which there was no tree.
    looks: AtomicU32,
}

/// So many look-ups in a text take as long as to make a tree of it.
const LOOKS: u32 = 8;

/// The members of an event, and the order in which they are written.
struct Envelope {
    id: Field<EventId>,
    topic: Topic,
    data: Field<RawJson>,
    source: Field<RawJson>,
    target: Field<Arc<str>>,
    in_reply_to: Field<EventId>,
    sent: Field<RawJson>,
    extra: Vec<(Arc<str>, RawJson)>,
    order: SmallVec<[Member; 8]>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Member {
    Id,
    Topic,
    Data,
    Source,
    Target,
    InReplyTo,
    Sent,
    Extra(usize),
}

impl Envelope {
    fn bare(topic: Topic) -> Self {
        Self {
            id: Field::Absent,
            topic,
            data: Field::Absent,
            source: Field::Absent,
            target: Field::Absent,
            in_reply_to: Field::Absent,
            sent: Field::Absent,
            extra: Vec::new(),
            order: SmallVec::new(),
        }
    }
}

impl Clone for Envelope {
    fn clone(&self) -> Self {
        Self {
            id: self.id.clone(),
            topic: self.topic.clone(),
            data: self.data.clone(),
            source: self.source.clone(),
            target: self.target.clone(),
            in_reply_to: self.in_reply_to.clone(),
            sent: self.sent.clone(),
            extra: self.extra.clone(),
            // Copied at once, where a derived clone would push one by one.
            order: SmallVec::from_slice(&self.order),
        }
    }
}

impl Inner {
    fn new(envelope: Envelope, wire: OnceLock<Bytes>) -> Self {
        Self {
            envelope,
            wire,
            data: OnceLock::new(),
            source: OnceLock::new(),
            rest: OnceLock::new(),
            looks: AtomicU32::new(0),
        }
    }

    /// The members, to be changed: what was made of them before is forgotten.
    fn edit(&mut self) -> &mut Envelope {
        self.wire.take();
        self.data.take();
        self.source.take();
        self.rest.take();
        *self.looks.get_mut() = 0;
        &mut self.envelope
    }
}

impl Clone for Inner {
    /// For editing: the members alone.
    fn clone(&self) -> Self {
        Self::new(self.envelope.clone(), OnceLock::new())
    }
}

impl Event {
    /// An event with this topic and data, a random id and nothing else.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) for an empty topic or data that has no JSON form.
    pub fn new(topic: impl Into<Topic>, data: &impl serde::Serialize) -> Result<Self> {
        Self::builder(topic).data(data).build()
    }

    /// Starts an event with this topic, empty data and a random id.
    pub fn builder(topic: impl Into<Topic>) -> EventBuilder {
        EventBuilder::new(topic.into())
    }

    /// Reads an event from JSON text, which it keeps.
    ///
    /// Members may come in any order; unknown ones are kept; a key that comes twice counts the last time.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Protocol`](crate::ErrorKind::Protocol) when the text is not one JSON object with a string
    /// `topic`, or when `id`, `target` or `inReplyToEvent` is there and is neither a string nor null.
    pub fn from_json(text: impl Into<Bytes>) -> Result<Self> {
        let text = text.into();
        let envelope = wire::read(wire::utf8(&text)?, &text, None)?;
        Ok(Self::received(envelope, text))
    }

    /// The event as JSON: the received bytes if it was received, else compact text.
    pub fn to_json(&self) -> Bytes {
        let write = || {
            let mut text = Vec::with_capacity(self.json_size());
            write::write(&self.0.envelope, &mut text);
            text.into()
        };
        self.0.wire.get_or_init(write).clone()
    }

    /// Writes the event as JSON behind what is there: the same text as [`Event::to_json`], which is not kept.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        match self.0.wire.get() {
            Some(text) => out.extend_from_slice(text),
            None => write::write(&self.0.envelope, out),
        }
    }

    /// About how long the JSON is, in bytes: never less unless something must be escaped.
    pub fn json_size(&self) -> usize {
        self.0.wire.get().map_or_else(|| write::size(&self.0.envelope), Bytes::len)
    }

    /// A builder that starts from this event. Members keep their order, data and unknown members their bytes.
    pub fn to_builder(&self) -> EventBuilder {
        EventBuilder::editing(Arc::new(Inner::clone(&self.0)))
    }

    /// The same without a copy, unless the event has other clones.
    pub fn into_builder(self) -> EventBuilder {
        EventBuilder::editing(self.0)
    }

    /// The event's identity; `None` when the publisher gave none.
    pub fn id(&self) -> Option<&EventId> {
        self.0.envelope.id.value()
    }

    /// What the event is about.
    pub fn topic(&self) -> &Topic {
        &self.0.envelope.topic
    }

    /// Whom the event is for: an expression over subscriber metadata; empty means everyone.
    pub fn target(&self) -> &str {
        self.0.envelope.target.value().map_or("", |t| t)
    }

    /// The id of the event that this one answers.
    pub fn in_reply_to(&self) -> Option<&EventId> {
        self.0.envelope.in_reply_to.value()
    }

    /// When the event was sent, as the publisher spelled it; rarely filled in.
    pub fn sent(&self) -> &Field<RawJson> {
        &self.0.envelope.sent
    }

    /// The data as text.
    pub fn raw_data(&self) -> &Field<RawJson> {
        &self.0.envelope.data
    }

    /// The data decoded into a type; missing data decodes as `null`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Decode`](crate::ErrorKind::Decode) when the data has another shape.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T> {
        match &self.0.envelope.data {
            Field::Value(raw) => raw.decode(),
            Field::Absent | Field::Null => RawJson::null().decode(),
        }
    }

    /// The data as a tree, decoded on the first call and kept; `null` when there is none.
    pub fn data_value(&self) -> &Value {
        self.0.data.get_or_init(|| tree(&self.0.envelope.data))
    }

    /// Where the event came from, as a tree: `id`, and where known `applicationId`, `user`, `host`.
    pub fn source(&self) -> &Value {
        self.0.source.get_or_init(|| tree(&self.0.envelope.source))
    }

    /// Where the event came from, as text.
    pub fn raw_source(&self) -> &Field<RawJson> {
        &self.0.envelope.source
    }

    /// `source.id`: the hub or subscriber that published the event, and the address of replies to it.
    pub fn source_id(&self) -> Option<&str> {
        if self.0.source.get().is_none()
            && let Field::Value(source) = &self.0.envelope.source
            && let Some(id) = members::plain_text(source.as_str(), "id")
        {
            return Some(id);
        }
        self.source().get("id").and_then(Value::as_str)
    }

    /// A member that is not part of the envelope.
    pub fn extra(&self, key: &str) -> Option<&RawJson> {
        self.0.envelope.extra.iter().rev().find(|(k, _)| &**k == key).map(|(_, value)| value)
    }

    /// The members that are not part of the envelope, in order.
    pub fn extras(&self) -> impl Iterator<Item = (&str, &RawJson)> {
        self.0.envelope.extra.iter().map(|(key, value)| (&**key, value))
    }

    /// The whole envelope with absent, null and value kept apart: id, target, in-reply-to.
    pub fn fields(&self) -> EnvelopeFields<'_> {
        let e = &self.0.envelope;
        EnvelopeFields { id: &e.id, target: &e.target, in_reply_to: &e.in_reply_to }
    }

    fn received(envelope: Envelope, text: Bytes) -> Self {
        Self(Arc::new(Inner::new(envelope, OnceLock::from(text))))
    }

    /// What stands at a path in a member: looked up in its text a few times, then in its tree, which takes longer to make.
    fn look<'e>(
        &'e self,
        field: &'e Field<RawJson>,
        made: &'e OnceLock<Value>,
        path: &[Box<str>],
    ) -> Option<Scalar<'e>> {
        if let (Field::Value(raw), None) = (field, made.get())
            && self.0.looks.fetch_add(1, Ordering::Relaxed) < LOOKS
            && let Some(found) = scan::find(raw.as_bytes(), path)
        {
            return match found {
                Found::Missing => None,
                Found::Text(text) => Some(Scalar::Str(text)),
                Found::Bool(boolean) => Some(Scalar::Bool(boolean)),
                Found::Other => Some(Scalar::Other),
            };
        }
        walk(made.get_or_init(|| tree(field)), path)
    }

    /// The tree of a member that is neither envelope text nor data nor source.
    fn rest_value(&self, key: &str) -> Option<&Value> {
        let e = &self.0.envelope;
        let position = if key == "sent" {
            if e.sent.is_absent() {
                return None;
            }
            e.extra.len()
        } else {
            e.extra.iter().rposition(|(k, _)| &**k == key)?
        };
        let values = self.0.rest.get_or_init(|| {
            let mut values: Vec<Value> =
                e.extra.iter().map(|(_, v)| v.to_value().unwrap_or_default()).collect();
            values.push(tree(&e.sent));
            values
        });
        values.get(position)
    }
}

/// The nullable text members of an [`Event`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct EnvelopeFields<'e> {
    /// `id`.
    pub id: &'e Field<EventId>,
    /// `target`.
    pub target: &'e Field<Arc<str>>,
    /// `inReplyToEvent`.
    pub in_reply_to: &'e Field<EventId>,
}

fn tree(field: &Field<RawJson>) -> Value {
    field.value().and_then(|raw| raw.to_value().ok()).unwrap_or_default()
}

impl Subject for Event {
    fn lookup(&self, path: &[Box<str>]) -> Option<Scalar<'_>> {
        let (first, rest) = path.split_first()?;
        let e = &self.0.envelope;
        match &**first {
            "topic" => leaf(Some(Scalar::Str(e.topic.as_str())), rest),
            "id" => leaf(scalar(&e.id, EventId::as_str), rest),
            "target" => leaf(scalar(&e.target, |t| t), rest),
            "inReplyToEvent" => leaf(scalar(&e.in_reply_to, EventId::as_str), rest),
            "data" if e.data.is_absent() => None,
            "data" => self.look(&e.data, &self.0.data, rest),
            "source" if e.source.is_absent() => None,
            "source" => self.look(&e.source, &self.0.source, rest),
            other => walk(self.rest_value(other)?, rest),
        }
    }
}

fn leaf<'a>(scalar: Option<Scalar<'a>>, rest: &[Box<str>]) -> Option<Scalar<'a>> {
    if rest.is_empty() { scalar } else { None }
}

fn scalar<'a, T>(field: &'a Field<T>, text: impl Fn(&'a T) -> &'a str) -> Option<Scalar<'a>> {
    match field {
        Field::Absent => None,
        Field::Null => Some(Scalar::Other),
        Field::Value(value) => Some(Scalar::Str(text(value))),
    }
}

fn walk<'a>(value: &'a Value, path: &[Box<str>]) -> Option<Scalar<'a>> {
    value.lookup(path)
}

impl PartialEq for Event {
    /// Equal when their JSON text is.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.to_json() == other.to_json()
    }
}

impl fmt::Debug for Event {
    /// Names and sizes; the payload stays out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let e = &self.0.envelope;
        f.debug_struct("Event")
            .field("id", &e.id)
            .field("topic", &e.topic)
            .field("target", &self.target())
            .field("in_reply_to", &e.in_reply_to)
            .field("data", &e.data)
            .finish_non_exhaustive()
    }
}
