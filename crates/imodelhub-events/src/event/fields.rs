//! Reading members of a body: what is missing is left out, numbers may come as text, extra members stay in the raw
//! body.

use event_core::{Error, ErrorKind, Result};
use serde_json::Value;

/// The members of one body.
pub(super) struct Body<'a> {
    value: &'a Value,
    event_type: &'a str,
}

impl<'a> Body<'a> {
    pub(super) fn new(value: &'a Value, event_type: &'a str) -> Result<Self> {
        let body = Self { value, event_type };
        if value.is_object() { Ok(body) } else { Err(body.wrong("the body", "a JSON object")) }
    }

    /// A text; empty if it is missing or null.
    pub(super) fn text(&self, key: &str) -> Result<String> {
        match self.value.get(key) {
            None | Some(Value::Null) => Ok(String::new()),
            Some(Value::String(text)) => Ok(text.clone()),
            Some(Value::Number(number)) => Ok(number.to_string()),
            Some(_) => Err(self.wrong(key, "text")),
        }
    }

    /// A text; `None` if it is missing, null or empty.
    pub(super) fn optional(&self, key: &str) -> Result<Option<String>> {
        Ok(Some(self.text(key)?).filter(|text| !text.is_empty()))
    }

    /// A number, or a number as text; `None` if it is missing or null.
    pub(super) fn number(&self, key: &str) -> Result<Option<i64>> {
        match self.value.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Number(number)) => {
                number.as_i64().map(Some).ok_or_else(|| self.wrong(key, "a whole number"))
            }
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => {
                text.trim().parse().map(Some).map_err(|_| self.wrong(key, "a whole number"))
            }
            Some(_) => Err(self.wrong(key, "a whole number")),
        }
    }

    /// A list of texts; empty if it is missing or null.
    pub(super) fn texts(&self, key: &str) -> Result<Vec<String>> {
        match self.value.get(key) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(items)) => items
                .iter()
                .map(|item| {
                    item.as_str().map(str::to_owned).ok_or_else(|| self.wrong(key, "a list of texts"))
                })
                .collect(),
            Some(_) => Err(self.wrong(key, "a list of texts")),
        }
    }

    fn wrong(&self, what: &str, wanted: &str) -> Error {
        let message =
            format!("in a {}, {what} is not {wanted}; the raw body is still there", self.event_type);
        Error::new(ErrorKind::Decode, "read event", message)
    }
}
