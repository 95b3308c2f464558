//! Why JSON does not have the shape asked for. Pure.

use std::borrow::Cow;
use std::fmt;

use serde_json::Value;

/// Where data has another shape than its type promises: the place in the JSON, what stands there, what should.
///
/// It is the [`source`](std::error::Error::source) of an [`Error`](crate::Error) of kind
/// [`ErrorKind::Decode`](crate::ErrorKind::Decode). It names members and kinds of JSON values, never the values.
///
/// ```
/// use event_core::DecodeError;
/// use serde_json::json;
///
/// let frames = json!("many");
/// let cause = DecodeError::new("shot.frames", Some(&frames), "a number");
/// assert_eq!((cause.path(), cause.found(), cause.expected()), ("shot.frames", "a text", "a number"));
/// assert_eq!(cause.to_string(), "`shot.frames` is a text, expected a number");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError {
    path: String,
    found: &'static str,
    expected: Cow<'static, str>,
}

impl DecodeError {
    /// At `path` inside the data, empty for the data as a whole, stands `found`, or nothing; something else should.
    pub fn new(
        path: impl Into<String>,
        found: Option<&Value>,
        expected: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { path: path.into(), found: Self::kind_of(found), expected: expected.into() }
    }

    /// The place inside the data, such as `entities[0].changes.statusid`; empty for the data as a whole.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What stands there: "null", "a boolean", "a number", "a text", "a list", "an object", or "nothing".
    pub fn found(&self) -> &str {
        self.found
    }

    /// What should stand there, in a few words.
    pub fn expected(&self) -> &str {
        &self.expected
    }

    /// What kind of JSON value it is, in the words of [`DecodeError::found`].
    pub const fn kind_of(value: Option<&Value>) -> &'static str {
        match value {
            None => "nothing",
            Some(Value::Null) => "null",
            Some(Value::Bool(_)) => "a boolean",
            Some(Value::Number(_)) => "a number",
            Some(Value::String(_)) => "a text",
            Some(Value::Array(_)) => "a list",
            Some(Value::Object(_)) => "an object",
        }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, found, expected } = self;
        match path.as_str() {
            "" => write!(f, "the data is {found}, expected {expected}"),
            path => write!(f, "`{path}` is {found}, expected {expected}"),
        }
    }
}

impl std::error::Error for DecodeError {}
