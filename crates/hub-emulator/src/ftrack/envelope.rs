//! The seven members that an event on the wire may have.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

const KNOWN: [&str; 7] = ["id", "topic", "data", "source", "target", "inReplyToEvent", "sent"];

/// The event without members that official clients do not know: the Python client drops an event that has one.
///
/// Without such members the very same bytes; otherwise compact text, the values byte for byte.
pub(super) fn known_members(event: &Bytes) -> Bytes {
    let Ok(Members(members)) = serde_json::from_slice(event) else { return event.clone() };
    if members.iter().all(|(key, _)| KNOWN.contains(&&**key)) {
        return event.clone();
    }
    let mut out = Vec::with_capacity(event.len());
    for (key, value) in members.iter().filter(|(key, _)| KNOWN.contains(&&**key)) {
        out.push(if out.is_empty() { b'{' } else { b',' });
        out.push(b'"');
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(b"\":");
        out.extend_from_slice(value.get().as_bytes());
    }
    if out.is_empty() {
        out.push(b'{');
    }
    out.push(b'}');
    out.into()
}

/// The members of an object in order, values untouched.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor;

        impl<'de> Visitor<'de> for ObjectVisitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an event object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(KNOWN.len());
                while let Some(Key(key)) = map.next_key()? {
                    members.push((key, map.next_value()?));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(ObjectVisitor)
    }
}

/// A key, borrowed unless it has escapes.
struct Key<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;

        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a member name")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(KeyVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_members_keep_every_byte_and_unknown_ones_go() {
        for (event, expected) in [
            (r#"{"topic": "a", "data" : {"x":1}}"#, r#"{"topic": "a", "data" : {"x":1}}"#),
            (
                r#"{"zz":1,"topic": "a", "data" : {"x" : 1.0},"_extra":[1]}"#,
                r#"{"topic":"a","data":{"x" : 1.0}}"#,
            ),
            (r#"{"in_reply_to_event":"x"}"#, "{}"),
            (r#"{"\u0074opic":"a","x":1}"#, r#"{"topic":"a"}"#),
        ] {
            assert_eq!(known_members(&Bytes::from_static(event.as_bytes())), expected, "{event}");
        }
    }
}
