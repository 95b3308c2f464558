//! The envelope from JSON.
//!
//! Reading makes one pass over the text: members become slices of it, `data` and unknown members are not looked
//! into.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use super::data::{Field, RawJson};
use super::{Envelope, Member, members};
use crate::{Error, ErrorKind, EventId, Result, Topic};

const OP: &str = "read event";

/// Text as text.
pub(super) fn utf8(text: &[u8]) -> Result<&str> {
    std::str::from_utf8(text).map_err(|cause| malformed("the text is not UTF-8").with_source(cause))
}

/// Reads an envelope. `text` is one JSON object; `shared` has the same bytes, and what is kept is a part of it. A topic that
/// is the `last` one again is shared with it.
pub(super) fn read(text: &str, shared: &Bytes, last: Option<&Topic>) -> Result<Envelope> {
    let slicer = Slicer { whole: shared, base: text.as_ptr() as usize };
    let reading = members::read(
        text,
        || Reading::new(last),
        |reading, key, raw| {
            if let Err(problem) = reading.member(&slicer, key, raw) {
                reading.problem.get_or_insert(problem);
            }
        },
    );
    let Reading { envelope, has_topic, problem, .. } =
        reading.map_err(|cause| malformed("not one JSON object").with_source(cause))?;
    match problem {
        Some(problem) => Err(problem),
        None if !has_topic => Err(malformed("it has no \"topic\"")),
        None => Ok(envelope),
    }
}

/// What was read so far.
struct Reading<'t> {
    envelope: Envelope,
    last: Option<&'t Topic>,
    has_topic: bool,
    /// The first member that is not what it must be; told only of text that is JSON.
    problem: Option<Error>,
}

impl<'t> Reading<'t> {
    fn new(last: Option<&'t Topic>) -> Self {
        Self { envelope: Envelope::bare(Topic::new(Arc::default())), last, has_topic: false, problem: None }
    }

    fn member(&mut self, slicer: &Slicer<'_>, key: &str, raw: &str) -> Result<()> {
        let envelope = &mut self.envelope;
        let member = match key {
            "topic" => {
                let text = string(raw, "topic")?;
                let again = self.last.filter(|last| last.as_str() == text);
                envelope.topic = again.map_or_else(|| Topic::from(&*text), Topic::clone);
                self.has_topic = true;
                Member::Topic
            }
            "id" => {
                envelope.id = optional(raw, "id")?.map_value(|text| EventId::from(&*text));
                Member::Id
            }
            "target" => {
                envelope.target = optional(raw, "target")?.map_value(|text| shared(&text));
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
                envelope.extra.push((Arc::from(key), RawJson::trusted(slicer.slice(raw))));
                Member::Extra(envelope.extra.len() - 1)
            }
        };
        // A key that comes twice: the last one counts, as in JavaScript and Python.
        if !envelope.order.contains(&member) {
            envelope.order.push(member);
        }
        Ok(())
    }
}

fn malformed(what: &str) -> Error {
    Error::new(ErrorKind::Protocol, OP, format!("malformed event: {what}")).with_retry(crate::Retry::Never)
}

/// A member that must be a string.
fn string<'a>(raw: &'a str, name: &str) -> Result<Cow<'a, str>> {
    match raw.strip_prefix('"').and_then(|t| t.strip_suffix('"')) {
        Some(inner) if !inner.contains('\\') => Ok(Cow::Borrowed(inner)),
        Some(_) => serde_json::from_str::<String>(raw)
            .map(Cow::Owned)
            .map_err(|cause| malformed(&format!("\"{name}\" is not a string")).with_source(cause)),
        None => Err(malformed(&format!("\"{name}\" is not a string"))),
    }
}

/// Most events are for everybody, and an empty text of the standard library's is shared by all.
fn shared(text: &str) -> Arc<str> {
    if text.is_empty() { Arc::default() } else { Arc::from(text) }
}

fn optional<'a>(raw: &'a str, name: &str) -> Result<Field<Cow<'a, str>>> {
    if raw == "null" { Ok(Field::Null) } else { string(raw, name).map(Field::Value) }
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
    fn slice(&self, raw: &str) -> Bytes {
        let start = raw.as_ptr() as usize - self.base;
        self.whole.slice(start..start + raw.len())
    }

    fn field(&self, raw: &str) -> Field<RawJson> {
        if raw == "null" { Field::Null } else { Field::Value(RawJson::trusted(self.slice(raw))) }
    }
}
