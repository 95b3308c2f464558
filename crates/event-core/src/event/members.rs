//! The members of an object, in order, their values as text.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::scan;

/// Key and value; the value as it stands in the text.
type Members<'a> = Vec<(Cow<'a, str>, &'a str)>;

/// Keeps the handling of unknown members linear.
const MAX_MEMBERS: usize = 256;

/// Makes something of the members of the one object that `text` is, which are added in order. What the quick look does
/// not know is decided, and explained, by `serde_json`; then it begins anew.
pub(super) fn read<'a, T>(
    text: &'a str,
    fresh: impl Fn() -> T,
    add: impl Fn(&mut T, &str, &'a str),
) -> Result<T, serde_json::Error> {
    let mut made = fresh();
    if scan::members(text, MAX_MEMBERS, |key, value| add(&mut made, key, value)).is_none() {
        made = fresh();
        for (key, value) in parse(text)? {
            add(&mut made, &key, value);
        }
    }
    Ok(made)
}

/// A member that is a string without escapes, taken out of an object without a tree; `None` where that is not so easy.
pub(super) fn plain_text<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let mut value = None;
    scan::members(text, MAX_MEMBERS, |found, its| {
        // A key that comes twice: the last one counts.
        if found == key {
            value = Some(its);
        }
    })?;
    let inner = value?.strip_prefix('"')?.strip_suffix('"')?;
    (!inner.contains('\\')).then_some(inner)
}

fn parse(text: &str) -> Result<Members<'_>, serde_json::Error> {
    serde_json::from_str::<Parsed<'_>>(text).map(|parsed| parsed.0)
}

/// The members as `serde_json` finds them.
struct Parsed<'a>(Members<'a>);

impl<'de> Deserialize<'de> for Parsed<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct ObjectVisitor;

        impl<'de> Visitor<'de> for ObjectVisitor {
            type Value = Parsed<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an event object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Self::Value, A::Error> {
                let mut members = Members::new();
                while let Some(Key(key)) = map.next_key()? {
                    if members.len() >= MAX_MEMBERS {
                        map.next_value::<IgnoredAny>()?;
                        return Err(serde::de::Error::custom("an event has at most 256 members"));
                    }
                    members.push((key, map.next_value::<&RawValue>()?.get()));
                }
                Ok(Parsed(members))
            }
        }

        deserializer.deserialize_map(ObjectVisitor)
    }
}

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

#[cfg(test)]
#[path = "members_tests.rs"]
mod tests;
