//! Reading members of a body: what is missing is left out, numbers may come as text, extra members stay in the raw
//! body.

use event_core::{DecodeError, Error, ErrorKind, Result};
use serde_json::Value;

/// The members of one body.
pub(crate) struct Body<'a> {
    value: &'a Value,
    event_type: &'a str,
    /// Where the body stands, in what was received.
    within: &'static str,
}

impl<'a> Body<'a> {
    pub(super) fn new(value: &'a Value, event_type: &'a str) -> Result<Self> {
        Self::within("", value, event_type)
    }

    /// A body that is itself a member.
    pub(crate) fn within(within: &'static str, value: &'a Value, event_type: &'a str) -> Result<Self> {
        let body = Self { value, event_type, within };
        if value.is_object() { Ok(body) } else { Err(body.wrong("", Some(value), "an object")) }
    }

    /// A text; empty if it is missing or null.
    pub(crate) fn text(&self, key: &str) -> Result<String> {
        match self.value.get(key) {
            None | Some(Value::Null) => Ok(String::new()),
            Some(Value::String(text)) => Ok(text.clone()),
            Some(Value::Number(number)) => Ok(number.to_string()),
            other => Err(self.wrong(key, other, "a text")),
        }
    }

    /// A text; `None` if it is missing, null or empty.
    pub(crate) fn optional(&self, key: &str) -> Result<Option<String>> {
        Ok(Some(self.text(key)?).filter(|text| !text.is_empty()))
    }

    /// A number, or a number as text; `None` if it is missing or null.
    pub(crate) fn number(&self, key: &str) -> Result<Option<i64>> {
        const WANTED: &str = "a whole number";
        let value = self.value.get(key);
        match value {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Number(number)) => {
                number.as_i64().map(Some).ok_or_else(|| self.wrong(key, value, WANTED))
            }
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => {
                text.trim().parse().map(Some).map_err(|_| self.wrong(key, value, WANTED))
            }
            other => Err(self.wrong(key, other, WANTED)),
        }
    }

    /// A list of texts; empty if it is missing or null.
    pub(super) fn texts(&self, key: &str) -> Result<Vec<String>> {
        const WANTED: &str = "a list of texts";
        let value = self.value.get(key);
        match value {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(items)) => items
                .iter()
                .map(|item| item.as_str().map(str::to_owned).ok_or_else(|| self.wrong(key, value, WANTED)))
                .collect(),
            other => Err(self.wrong(key, other, WANTED)),
        }
    }

    /// The members other than these, as they came.
    #[cfg(feature = "webhooks")]
    pub(crate) fn rest(&self, known: &[&str]) -> serde_json::Map<String, Value> {
        let members = self.value.as_object().into_iter().flatten();
        members
            .filter(|(key, _)| !known.contains(&key.as_str()))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }

    fn wrong(&self, key: &str, found: Option<&Value>, expected: &'static str) -> Error {
        let path = match (self.within, key) {
            (within, "") => within.to_owned(),
            ("", key) => key.to_owned(),
            (within, key) => format!("{within}.{key}"),
        };
        let cause = DecodeError::new(path, found, expected);
        let message = format!("in a {}, {cause}; the raw body is still there", self.event_type);
        Error::new(ErrorKind::Decode, "read event", message).with_source(cause)
    }
}
