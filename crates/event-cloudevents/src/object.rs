//! JSON objects whose values are not looked into.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::Problem;

/// The members of an object, in order, with the text of their values.
#[derive(Debug, Default)]
pub(crate) struct Members<'j>(pub(crate) Vec<(Cow<'j, str>, &'j str)>);

impl<'j> Members<'j> {
    /// Reads an object. Of a name that comes twice, both are there.
    pub(crate) fn parse(json: &'j str) -> Result<Self, Problem> {
        if !json.trim_ascii_start().starts_with('{') {
            // Values are not told from each other by the reader's words, which quote them.
            return match serde_json::from_str::<&RawValue>(json) {
                Ok(_) => Err(Problem::Type { expected: "an object" }),
                Err(error) => Err(not_json(&error)),
            };
        }
        serde_json::from_str(json).map_err(|error| not_json(&error))
    }

    /// The value of a name; the last one, if it comes twice.
    pub(crate) fn get(&self, name: &str) -> Option<&'j str> {
        self.0.iter().rev().find(|(known, _)| known == name).map(|(_, value)| *value)
    }

    /// Whether a name comes twice, and which.
    pub(crate) fn twice(&self) -> Option<&str> {
        let mut names: Vec<&str> = self.0.iter().map(|(name, _)| &**name).collect();
        names.sort_unstable();
        names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
    }
}

/// Where JSON ends to be JSON.
pub(crate) fn not_json(error: &serde_json::Error) -> Problem {
    Problem::NotJson { line: error.line(), column: error.column() }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((Name(name), value)) = map.next_entry::<Name<'de>, &'de RawValue>()? {
                    members.push((name, value.get()));
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Reader)
    }
}

/// A name, borrowed where it has no escapes.
struct Name<'j>(Cow<'j, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(Reader)
    }
}

/// A text in JSON, if it is one.
pub(crate) fn text(json: &str) -> Option<String> {
    if json.starts_with('"') { serde_json::from_str(json).ok() } else { None }
}

/// An object that is being written.
pub(crate) struct Writer(String);

impl Writer {
    pub(crate) fn new() -> Self {
        Self("{".to_owned())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.len() == 1
    }

    /// A member whose value is JSON.
    pub(crate) fn json(&mut self, name: &str, json: &str) {
        if !self.is_empty() {
            self.0.push(',');
        }
        self.0 += &quoted(name);
        self.0.push(':');
        self.0 += json;
    }

    /// A member that is a text.
    pub(crate) fn text(&mut self, name: &str, text: &str) {
        self.json(name, &quoted(text));
    }

    pub(crate) fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

/// A text as JSON.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
