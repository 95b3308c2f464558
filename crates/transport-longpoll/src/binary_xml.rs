//! Message bodies: JSON as it is, or inside the .NET binary XML that a `DataContractSerializer` writes.
//!
//! A sender that hands .NET's Service Bus library a string puts on the wire
//!
//! ```text
//! 0x40 6 "string" 0x08 51 "http://schemas.microsoft.com/2003/10/Serialization/" <text record>
//! ```
//!
//! and each text record says its own length, so it is unwrapped by lengths and never by looking for braces: a
//! length byte of 0x7B *is* a brace. The layout is that of \[MC-NBFX\]:
//!
//! | record | length field | content |
//! |---|---|---|
//! | 0x98, 0x9A, 0x9C | 1, 2, 4 bytes | UTF-8 |
//! | 0x9E, 0xA0, 0xA2 | 1, 2, 4 bytes | bytes (element `base64Binary`) |
//! | 0xB6, 0xB8, 0xBA | 1, 2, 4 bytes | UTF-16, little endian |
//! | 0xA8 | none | the empty text |
//!
//! Lengths are little endian. The odd number after each record ends the element as well; after an even one, more
//! records may follow, up to a 0x01.
//!
//! # What is accepted
//!
//! 1. A body that begins as above. If its lengths do not fit it is refused, not searched: the braces inside a
//!    message that was cut are those of some inner object.
//! 2. JSON, after a byte order mark and blanks.
//! 3. As a last resort JSON with something unknown around it: from each `{` before the first quotation mark in
//!    turn up to the last `}`. A prefix that holds a quotation mark is no prefix but a broken message.
//!
//! Every function here is total: any bytes give a result, none a panic.

mod record;
mod wrap;

use std::error::Error;
use std::fmt;

use bytes::Bytes;
use event_core::RawJson;

pub use wrap::{Form, wrap, wrap_as};

/// How a body carried its JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Carried {
    /// As it is.
    Plain,
    /// In a .NET binary XML element of this form.
    Wrapped(Form),
    /// With something unknown around it.
    Surrounded,
}

/// Why a body holds no JSON that can be told for certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyError {
    /// Nothing came, or nothing but blanks, or an empty text.
    Empty,
    /// The body ends before its own lengths do.
    Truncated,
    /// A record that does not belong here.
    UnknownRecord(u8),
    /// A length that the format does not allow.
    BadLength,
    /// The text is not valid UTF-8 or UTF-16.
    BadText,
    /// The text is not one well-formed JSON value.
    NotJson,
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the body is empty",
            Self::Truncated => "the body ends before its own lengths do",
            Self::UnknownRecord(record) => {
                return write!(f, "the binary XML holds the record 0x{record:02X}, which is no text");
            }
            Self::BadLength => "the binary XML has a length that its format does not allow",
            Self::BadText => "the text is not valid UTF-8 or UTF-16",
            Self::NotJson => "the text is not one well-formed JSON value",
        })
    }
}

impl Error for BodyError {}

/// Finds the JSON of a body. The result shares the body's memory wherever its form allows that.
///
/// ```
/// use transport_longpoll::binary_xml::{Carried, unwrap, wrap};
///
/// let body = wrap(r#"{"EventTopic":"0"}"#);
/// assert_eq!(&body[..8], b"@\x06string");
/// let (json, carried) = unwrap(&body)?;
/// assert_eq!(json.as_str(), r#"{"EventTopic":"0"}"#);
/// assert!(matches!(carried, Carried::Wrapped(_)));
/// # Ok::<(), transport_longpoll::binary_xml::BodyError>(())
/// ```
///
/// # Errors
///
/// [`BodyError`] says what is wrong with the body; it holds none of it.
pub fn unwrap(body: &Bytes) -> Result<(RawJson, Carried), BodyError> {
    if let Some(after_names) = record::header(body) {
        let (text, form) = record::text(&body.slice(after_names..))?;
        return Ok((json(&text)?, Carried::Wrapped(form)));
    }
    match json(body) {
        Ok(json) => Ok((json, Carried::Plain)),
        Err(BodyError::Empty) => Err(BodyError::Empty),
        Err(error) => match search(body) {
            Some(json) => Ok((json, Carried::Surrounded)),
            // A body that is nothing but the beginning of a header was cut.
            None if record::is_cut_header(body) => Err(BodyError::Truncated),
            None => Err(error),
        },
    }
}

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// Text that is one JSON value, after a byte order mark and between blanks.
fn json(text: &Bytes) -> Result<RawJson, BodyError> {
    let start = if text.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
    let rest = text.get(start..).unwrap_or_default();
    let blanks = rest.iter().take_while(|byte| is_blank(**byte)).count();
    let trailing = rest.iter().rev().take_while(|byte| is_blank(**byte)).count();
    if blanks == rest.len() {
        return Err(BodyError::Empty);
    }
    RawJson::from_text(text.slice(start + blanks..text.len() - trailing))
        .map_err(|_| if std::str::from_utf8(rest).is_err() { BodyError::BadText } else { BodyError::NotJson })
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// The last resort; see the [module](self).
fn search(body: &Bytes) -> Option<RawJson> {
    let end = body.iter().rposition(|byte| *byte == b'}')? + 1;
    if body.get(end..)?.contains(&b'"') {
        return None;
    }
    let first_quote = body.iter().position(|byte| *byte == b'"').unwrap_or(end);
    let braces = body.iter().take(first_quote.min(end)).enumerate().filter(|(_, byte)| **byte == b'{');
    braces.map(|(start, _)| start).find_map(|start| RawJson::from_text(body.slice(start..end)).ok())
}
