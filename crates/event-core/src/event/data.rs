//! JSON kept as text: decoded on first use, written back byte for byte.

use std::fmt;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::{Error, ErrorKind, Result};

/// One JSON value as its text, known to be well formed.
///
/// A clone shares the bytes. Nothing is decoded until asked for, so an event whose data nobody reads costs no
/// parsing beyond the envelope.
#[derive(Clone, PartialEq, Eq)]
pub struct RawJson(Bytes);

impl RawJson {
    /// The JSON `null`.
    pub const fn null() -> Self {
        Self(Bytes::from_static(b"null"))
    }

    /// The empty JSON object.
    pub const fn empty_object() -> Self {
        Self(Bytes::from_static(b"{}"))
    }

    /// Serialises a value.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] when the value has no JSON form (a map with keys that are not strings, an
    /// error of its own `Serialize`).
    pub fn from_serialize<T: Serialize + ?Sized>(value: &T) -> Result<Self> {
        match serde_json::to_vec(value) {
            Ok(text) => Ok(Self(text.into())),
            Err(cause) => Err(Error::new(
                ErrorKind::InvalidInput,
                "encode data",
                "the value cannot be written as JSON; see the cause",
            )
            .with_source(cause)),
        }
    }

    /// Takes JSON text as it is, after checking that it is one well-formed value.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Decode`] with the place of the mistake as cause.
    pub fn from_text(text: impl Into<Bytes>) -> Result<Self> {
        let text = text.into();
        match serde_json::from_slice::<&serde_json::value::RawValue>(&text) {
            Ok(_) => Ok(Self(text)),
            Err(cause) => Err(Error::new(ErrorKind::Decode, "read JSON", "not one well-formed JSON value")
                .with_source(cause)),
        }
    }

    /// For slices of text that a parser has just checked.
    pub(crate) fn trusted(text: Bytes) -> Self {
        Self(text)
    }

    /// The text as bytes; always valid UTF-8.
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// The text. Checks UTF-8 again, which takes a few nanoseconds per hundred bytes; prefer
    /// [`RawJson::as_bytes`] where bytes serve.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("null")
    }

    /// Whether this is the JSON `null`.
    pub fn is_null(&self) -> bool {
        &*self.0 == b"null"
    }

    /// Decodes into a type of the caller's.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Decode`] when the JSON has another shape; the cause names the member.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.0).map_err(|cause| {
            Error::new(
                ErrorKind::Decode,
                "decode data",
                format!("the JSON does not have the shape of {}", std::any::type_name::<T>()),
            )
            .with_source(cause)
        })
    }

    /// Decodes into a tree.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Decode`] when the value nests deeper than 128 levels.
    pub fn to_value(&self) -> Result<Value> {
        self.decode()
    }
}

impl fmt::Debug for RawJson {
    /// The length, not the text: payloads stay out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RawJson({} bytes)", self.0.len())
    }
}

impl Serialize for RawJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let raw: &serde_json::value::RawValue =
            serde_json::from_slice(&self.0).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}

/// A member of an event that may be missing, present as `null`, or present with a value.
///
/// The three are kept apart because services tell them apart: an official client reads a missing
/// `inReplyToEvent` and a null one differently.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Field<T> {
    /// Not in the object.
    #[default]
    Absent,
    /// In the object, as `null`.
    Null,
    /// In the object, with a value.
    Value(T),
}

impl<T> Field<T> {
    /// The value, where there is one.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Null => None,
        }
    }

    /// Whether the member is missing altogether.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }

    /// Whether the member is there, as `null`.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }
}

impl<T> From<Option<T>> for Field<T> {
    /// `None` becomes [`Field::Null`], which is how services spell "nothing".
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Self::Value)
    }
}

impl<T: Serialize> Serialize for Field<T> {
    /// [`Field::Absent`] is written as `null` where the member cannot be left out; a struct leaves it out by
    /// `#[serde(skip_serializing_if = "Field::is_absent")]`.
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        self.value().serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Field<T> {
    /// `null` is [`Field::Null`]. For a missing member to be [`Field::Absent`], write `#[serde(default)]`.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        Option::deserialize(deserializer).map(Self::from)
    }
}
