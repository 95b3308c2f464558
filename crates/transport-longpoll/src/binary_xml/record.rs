//! Reading the element and its text records.

use bytes::{Bytes, BytesMut};

use super::{BodyError, Form};

const SHORT_ELEMENT: u8 = 0x40;
const SHORT_XMLNS_ATTRIBUTE: u8 = 0x08;
const END_ELEMENT: u8 = 0x01;
/// A prefix and a namespace are short; what is longer is something else that begins with an `@`.
const LONGEST_NAME: usize = 1024;

/// Where the first record after the element's name and namespace begins; `None` when this is no such element.
pub(super) fn header(body: &[u8]) -> Option<usize> {
    let mut at = match body {
        [SHORT_ELEMENT, rest @ ..] => 1 + name(rest, |text| text == b"string" || text == b"base64Binary")?,
        _ => return None,
    };
    while let [SHORT_XMLNS_ATTRIBUTE, rest @ ..] = body.get(at..)? {
        at += 1 + name(rest, |_| true)?;
    }
    Some(at)
}

/// The length of a counted text that is as wanted, with its count.
fn name(bytes: &[u8], wanted: impl Fn(&[u8]) -> bool) -> Option<usize> {
    let (length, counted) = multi_byte_integer(bytes)?;
    let text = bytes.get(counted..counted + length)?;
    wanted(text).then_some(counted + length)
}

/// Seven bits a byte, the lowest first; a value beyond any name is no integer here.
fn multi_byte_integer(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0_usize;
    for (n, byte) in bytes.iter().take(2).enumerate() {
        value |= usize::from(byte & 0x7F) << (7 * n);
        if byte & 0x80 == 0 {
            return (value <= LONGEST_NAME).then_some((value, n + 1));
        }
    }
    None
}

/// Whether a body that is no whole header is the beginning of one.
pub(super) fn is_cut_header(body: &[u8]) -> bool {
    const NAMESPACE: &[u8] = b"http://schemas.microsoft.com/2003/10/Serialization/";
    [&b"@\x06string\x08\x33"[..], b"@\x0Cbase64Binary\x08\x33"].iter().any(|names| {
        let begins = |text: &[u8], whole: &[u8]| whole.starts_with(text);
        match body.get(names.len()..) {
            None => begins(body, names),
            Some(rest) => body.starts_with(names) && begins(rest, NAMESPACE),
        }
    })
}

/// The text of an element: one record, or several up to the end of the element. What follows that is ignored.
pub(super) fn text(records: &Bytes) -> Result<(Bytes, Form), BodyError> {
    let mut rest = records.clone();
    let mut first: Option<(Bytes, Form)> = None;
    let mut more = BytesMut::new();
    // The end of the body serves as the end of the element.
    while let Some(&kind) = rest.first() {
        if kind == END_ELEMENT && first.is_some() {
            break;
        }
        let (content, form) = record(kind, &rest)?;
        let used = content.end;
        let content = rest.slice(content.start..content.end);
        match &first {
            None => first = Some((content, form)),
            Some((text, same)) if *same == form => {
                if more.is_empty() {
                    more.extend_from_slice(text);
                }
                more.extend_from_slice(&content);
            }
            Some(_) => return Err(BodyError::UnknownRecord(kind)),
        }
        if kind & 1 == 1 {
            break;
        }
        rest = rest.slice(used..);
    }
    let (text, form) = first.ok_or(BodyError::Truncated)?;
    let text = if more.is_empty() { text } else { more.freeze() };
    match form {
        Form::Utf16 => Ok((from_utf16(&text)?, form)),
        Form::Utf8 | Form::Base64 => Ok((text, form)),
    }
}

/// Where the content of a record lies, and its form.
fn record(kind: u8, bytes: &[u8]) -> Result<(std::ops::Range<usize>, Form), BodyError> {
    let (width, form) = match kind & !1 {
        0x98 => (1, Form::Utf8),
        0x9A => (2, Form::Utf8),
        0x9C => (4, Form::Utf8),
        0x9E => (1, Form::Base64),
        0xA0 => (2, Form::Base64),
        0xA2 => (4, Form::Base64),
        0xB6 => (1, Form::Utf16),
        0xB8 => (2, Form::Utf16),
        0xBA => (4, Form::Utf16),
        0xA8 => (0, Form::Utf8),
        _ => return Err(BodyError::UnknownRecord(kind)),
    };
    let field = bytes.get(1..=width).ok_or(BodyError::Truncated)?;
    let length = field.iter().rev().fold(0_u64, |length, byte| length << 8 | u64::from(*byte));
    // The format's lengths are signed 32-bit integers.
    if length > u64::from(u32::MAX >> 1) || (form == Form::Utf16 && length % 2 == 1) {
        return Err(BodyError::BadLength);
    }
    let length = usize::try_from(length).map_err(|_| BodyError::BadLength)?;
    let start = 1 + width;
    match start.checked_add(length) {
        Some(end) if end <= bytes.len() => Ok((start..end, form)),
        _ => Err(BodyError::Truncated),
    }
}

fn from_utf16(bytes: &[u8]) -> Result<Bytes, BodyError> {
    let units = bytes.chunks_exact(2).map(|unit| match unit {
        [low, high] => u16::from_le_bytes([*low, *high]),
        _ => 0,
    });
    let text: String = char::decode_utf16(units).collect::<Result<_, _>>().map_err(|_| BodyError::BadText)?;
    Ok(text.into())
}
