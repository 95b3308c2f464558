//! The envelope to and from JSON.
//!
//! Reading makes one pass over the text: members become slices of it, `data` and unknown members are not looked
//! into. Writing puts members in the order in which they came, values byte for byte.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use smallvec::SmallVec;

use super::data::{Field, RawJson};
use super::{Envelope, Member};
use crate::{Error, ErrorKind, EventId, Result, Topic};

const OP: &str = "read event";

/// Reads an envelope. `text` is one JSON object.
pub(super) fn read(text: &Bytes) -> Result<Envelope> {
    let Ok(utf8) = std::str::from_utf8(text) else {
        return Err(malformed("the text is not UTF-8"));
    };
    let members: Members<'_> =
        serde_json::from_str(utf8).map_err(|cause| malformed("not one JSON object").with_source(cause))?;
    let slicer = Slicer { whole: text, base: utf8.as_ptr() as usize };

    let mut envelope = Envelope::bare(Topic::from(""));
    let mut has_topic = false;
    for (key, raw) in members.0 {
        let member = match &*key {
            "topic" => {
                envelope.topic = Topic::from(&*string(raw, "topic")?);
                has_topic = true;
                Member::Topic
            }
            "id" => {
                envelope.id = optional(raw, "id")?.map_value(|text| EventId::from(&*text));
                Member::Id
            }
            "target" => {
                envelope.target = optional(raw, "target")?.map_value(|text| Arc::from(&*text));
                Member::Target
            }
            "inReplyToEvent" => {
                envelope.in_reply_to =
                    optional(raw, "inReplyToEvent")?.map_value(|text| EventId::from(&*text));
                Member::InReplyTo
            }
            "data" => {
                envelope.data = slicer.field(raw);
                Member::Data
            }
            "source" => {
                envelope.source = slicer.field(raw);
                Member::Source
            }
            "sent" => {
                envelope.sent = slicer.field(raw);
                Member::Sent
            }
            _ => {
                envelope.extra.push((Arc::from(&*key), RawJson::trusted(slicer.slice(raw))));
                Member::Extra(envelope.extra.len() - 1)
            }
        };
        // A key that comes twice: the last one counts, as in JavaScript and Python.
        if !envelope.order.contains(&member) {
            envelope.order.push(member);
        }
    }
    if !has_topic {
        return Err(malformed("it has no \"topic\""));
    }
    Ok(envelope)
}

/// Writes an envelope, members in their order, without blanks between them.
pub(super) fn write(envelope: &Envelope) -> Bytes {
    let data = envelope.data.value().map_or(4, |d| d.as_bytes().len());
    let mut out = Vec::with_capacity(data + 256);
    out.push(b'{');
    for member in &envelope.order {
        let before = out.len();
        if before > 1 {
            out.push(b',');
        }
        let written = match member {
            Member::Topic => put_text(&mut out, "topic", Some(envelope.topic.as_str())),
            Member::Id => put_field(&mut out, "id", &envelope.id, EventId::as_str),
            Member::Target => put_field(&mut out, "target", &envelope.target, |t| t),
            Member::InReplyTo => {
                put_field(&mut out, "inReplyToEvent", &envelope.in_reply_to, EventId::as_str)
            }
            Member::Data => put_raw(&mut out, "data", &envelope.data),
            Member::Source => put_raw(&mut out, "source", &envelope.source),
            Member::Sent => put_raw(&mut out, "sent", &envelope.sent),
            Member::Extra(index) => match envelope.extra.get(*index) {
                Some((key, value)) => {
                    put_key(&mut out, key);
                    out.extend_from_slice(value.as_bytes());
                    true
                }
                None => false,
            },
        };
        if !written {
            out.truncate(before);
        }
    }
    out.push(b'}');
    out.into()
}

fn put_key(out: &mut Vec<u8>, key: &str) {
    put_string(out, key);
    out.push(b':');
}

fn put_string(out: &mut Vec<u8>, text: &str) {
    // Writing a string into a vector has no way to fail.
    let _ = serde_json::to_writer(out, text);
}

fn put_text(out: &mut Vec<u8>, key: &str, text: Option<&str>) -> bool {
    put_key(out, key);
    match text {
        Some(text) => put_string(out, text),
        None => out.extend_from_slice(b"null"),
    }
    true
}

fn put_field<T>(out: &mut Vec<u8>, key: &str, field: &Field<T>, text: impl Fn(&T) -> &str) -> bool {
    match field {
        Field::Absent => false,
        Field::Null => put_text(out, key, None),
        Field::Value(value) => put_text(out, key, Some(text(value))),
    }
}

fn put_raw(out: &mut Vec<u8>, key: &str, field: &Field<RawJson>) -> bool {
    let text: &[u8] = match field {
        Field::Absent => return false,
        Field::Null => b"null",
        Field::Value(value) => value.as_bytes(),
    };
    put_key(out, key);
    out.extend_from_slice(text);
    true
}

fn malformed(what: &str) -> Error {
    Error::new(ErrorKind::Protocol, OP, format!("malformed event: {what}")).with_retry(crate::Retry::Never)
}

/// A member that must be a string.
fn string<'a>(raw: &'a RawValue, name: &str) -> Result<Cow<'a, str>> {
    let text = raw.get();
    match text.strip_prefix('"').and_then(|t| t.strip_suffix('"')) {
        Some(inner) if !inner.contains('\\') => Ok(Cow::Borrowed(inner)),
        Some(_) => serde_json::from_str::<String>(text)
            .map(Cow::Owned)
            .map_err(|cause| malformed(&format!("\"{name}\" is not a string")).with_source(cause)),
        None => Err(malformed(&format!("\"{name}\" is not a string"))),
    }
}

fn optional<'a>(raw: &'a RawValue, name: &str) -> Result<Field<Cow<'a, str>>> {
    if raw.get() == "null" { Ok(Field::Null) } else { string(raw, name).map(Field::Value) }
}

impl<T> Field<T> {
    fn map_value<U>(self, f: impl FnOnce(T) -> U) -> Field<U> {
        match self {
            Self::Absent => Field::Absent,
            Self::Null => Field::Null,
            Self::Value(value) => Field::Value(f(value)),
        }
    }
}

/// Turns borrowed slices of the text into shared ones.
struct Slicer<'a> {
    whole: &'a Bytes,
    base: usize,
}

impl Slicer<'_> {
    fn slice(&self, raw: &RawValue) -> Bytes {
        let start = raw.get().as_ptr() as usize - self.base;
        self.whole.slice(start..start + raw.get().len())
    }

    fn field(&self, raw: &RawValue) -> Field<RawJson> {
        if raw.get() == "null" { Field::Null } else { Field::Value(RawJson::trusted(self.slice(raw))) }
    }
}

/// The members of an object in order, values untouched.
struct Members<'a>(SmallVec<[(Cow<'a, str>, &'a RawValue); 8]>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct ObjectVisitor;

        impl<'de> Visitor<'de> for ObjectVisitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an event object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
                let mut members = SmallVec::new();
                while let Some(Key(key)) = map.next_key()? {
                    if members.len() >= MAX_MEMBERS {
                        map.next_value::<IgnoredAny>()?;
                        return Err(serde::de::Error::custom("an event has at most 256 members"));
                    }
                    members.push((key, map.next_value()?));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(ObjectVisitor)
    }
}

/// Keeps the handling of unknown members linear.
const MAX_MEMBERS: usize = 256;

/// A key, borrowed unless it has escapes.
struct Key<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct KeyVisitor;

        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a member name")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> std::result::Result<Self::Value, E> {
                Ok(Key(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> std::result::Result<Self::Value, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(KeyVisitor)
    }
}
