//! The envelope as JSON: members in the order in which they came, values byte for byte, no blanks between them.

use super::data::{Field, RawJson};
use super::{Envelope, Member};
use crate::EventId;

/// What the seven members take beside their values: keys, quotes, colons, commas, braces, and `null` for some.
const FRAME: usize = 112;

/// How long the text will be: never less unless something must be escaped.
pub(super) fn size(envelope: &Envelope) -> usize {
    let raw = |field: &Field<RawJson>| field.value().map_or(0, |value| value.as_bytes().len());
    let id = |field: &Field<EventId>| field.value().map_or(0, |id| id.as_str().len());
    let extra: usize = envelope.extra.iter().map(|(key, value)| key.len() + value.as_bytes().len() + 4).sum();
    FRAME
        + envelope.topic.as_str().len()
        + id(&envelope.id)
        + id(&envelope.in_reply_to)
        + envelope.target.value().map_or(0, |target| target.len())
        + raw(&envelope.data)
        + raw(&envelope.source)
        + raw(&envelope.sent)
        + extra
}

/// Writes an envelope behind what is there.
pub(super) fn write(envelope: &Envelope, out: &mut Vec<u8>) {
    out.push(b'{');
    let begin = out.len();
    for member in &envelope.order {
        let before = out.len();
        if before > begin {
            out.push(b',');
        }
        let written = match member {
            Member::Topic => text(out, br#""topic":"#, envelope.topic.as_str()),
            Member::Id => field(out, br#""id":"#, &envelope.id, EventId::as_str),
            Member::Target => field(out, br#""target":"#, &envelope.target, |target| target),
            Member::InReplyTo => field(out, br#""inReplyToEvent":"#, &envelope.in_reply_to, EventId::as_str),
            Member::Data => raw(out, br#""data":"#, &envelope.data),
            Member::Source => raw(out, br#""source":"#, &envelope.source),
            Member::Sent => raw(out, br#""sent":"#, &envelope.sent),
            Member::Extra(index) => extra(out, envelope, *index),
        };
        if !written {
            out.truncate(before);
        }
    }
    out.push(b'}');
}

fn extra(out: &mut Vec<u8>, envelope: &Envelope, index: usize) -> bool {
    let Some((key, value)) = envelope.extra.get(index) else { return false };
    string(out, key);
    out.push(b':');
    out.extend_from_slice(value.as_bytes());
    true
}

fn text(out: &mut Vec<u8>, key: &[u8], value: &str) -> bool {
    out.extend_from_slice(key);
    string(out, value);
    true
}

fn field<T>(out: &mut Vec<u8>, key: &[u8], field: &Field<T>, of: impl Fn(&T) -> &str) -> bool {
    match field {
        Field::Absent => false,
        Field::Null => null(out, key),
        Field::Value(value) => text(out, key, of(value)),
    }
}

fn raw(out: &mut Vec<u8>, key: &[u8], field: &Field<RawJson>) -> bool {
    match field {
        Field::Absent => false,
        Field::Null => null(out, key),
        Field::Value(value) => {
            out.extend_from_slice(key);
            out.extend_from_slice(value.as_bytes());
            true
        }
    }
}

fn null(out: &mut Vec<u8>, key: &[u8]) -> bool {
    out.extend_from_slice(key);
    out.extend_from_slice(b"null");
    true
}

/// A JSON string. Nearly all stand there as they are; the others are `serde_json`'s.
fn string(out: &mut Vec<u8>, text: &str) {
    if is_plain(text) {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        // Writing a string into a vector has no way to fail.
        let _ = serde_json::to_writer(out, text);
    }
}

/// Whether no character of a text must be escaped. Looks at all of them, which takes no branches.
#[expect(clippy::needless_bitwise_bool, reason = "branches are what is avoided")]
fn is_plain(text: &str) -> bool {
    !text.bytes().fold(false, |special, byte| special | (byte < b' ') | (byte == b'"') | (byte == b'\\'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Event, RawJson};

    proptest! {
        #[test]
        fn a_string_is_written_as_serde_json_writes_it(text in any::<String>(), more in "[\\x00-\\x7f]{0,40}") {
            for text in [text, more] {
                let mut out = Vec::new();
                string(&mut out, &text);
                prop_assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(&text).unwrap());
            }
        }

        #[test]
        fn what_is_written_is_read_as_the_same_and_is_no_longer_than_was_said(
            topic in "[a-z.]{1,20}",
            target in "[ -!#-\\[\\]-~\u{e9}]{0,40}",
            replied in proptest::option::of("[a-f0-9]{0,32}"),
            extra in proptest::option::of("[a-z]{0,9}"),
        ) {
            let mut builder = Event::builder(topic.as_str()).target(target.as_str());
            if let Some(id) = &replied {
                builder = builder.in_reply_to(id.as_str()).sent("now");
            }
            if let Some(key) = &extra {
                builder = builder.extra(format!("x{key}"), &[1, 2]);
            }
            let event = builder.build().unwrap();
            let mut text = b"before".to_vec();
            event.write_json(&mut text);
            prop_assert!(text.len() <= b"before".len() + event.json_size());
            prop_assert_eq!(&text[6..], &event.to_json()[..]);
            let read = Event::from_json(event.to_json()).unwrap();
            prop_assert_eq!(read.topic().as_str(), topic.as_str());
            prop_assert_eq!(read.target(), target.as_str());
            prop_assert_eq!(read.in_reply_to().map(EventId::as_str), replied.as_deref());
            prop_assert_eq!(read.extras().count(), usize::from(extra.is_some()));
        }
    }

    #[test]
    fn members_that_are_absent_leave_no_comma() {
        for text in [r#"{"topic":"t"}"#, r#"{"id":null,"topic":"t","sent":null}"#] {
            let event = Event::from_json(text).unwrap().to_builder().build().unwrap();
            assert_eq!(event.to_json(), text.as_bytes());
        }
        let event = Event::from_json(r#"{"data":1,"topic":"t"}"#).unwrap();
        let event = event.to_builder().raw_data(RawJson::null()).build().unwrap();
        assert_eq!(event.to_json(), &br#"{"data":null,"topic":"t"}"#[..]);
    }
}
