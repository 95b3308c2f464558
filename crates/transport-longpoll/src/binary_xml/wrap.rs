//! Writing what .NET writes, for emulators and tests.

use bytes::{BufMut, Bytes, BytesMut};

const NAMESPACE: &[u8] = b"http://schemas.microsoft.com/2003/10/Serialization/";

/// The forms of a text record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Element `string`, text in UTF-8.
    Utf8,
    /// Element `string`, text in UTF-16, little endian.
    Utf16,
    /// Element `base64Binary`, the bytes of the text.
    Base64,
}

/// Wraps a text as .NET wraps a string: in UTF-16 when UTF-8 would take more than two bytes a character on
/// average, else in UTF-8; one record, with the shortest length field that fits.
///
/// [`unwrap`](super::unwrap) is its inverse for JSON text.
pub fn wrap(text: &str) -> Bytes {
    // .NET counts UTF-16 units.
    let utf16 = text.encode_utf16().count() * 2;
    wrap_as(text, if text.len() > utf16 { Form::Utf16 } else { Form::Utf8 })
}

/// Wraps a text in this form. The format ends at 2 GiB of content; beyond that the length is wrong.
pub fn wrap_as(text: &str, form: Form) -> Bytes {
    let content: Vec<u8> = match form {
        Form::Utf8 | Form::Base64 => text.as_bytes().to_vec(),
        Form::Utf16 => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
    };
    let (name, one, two, four): (&[u8], u8, u8, u8) = match form {
        Form::Utf8 => (b"\x06string", 0x99, 0x9B, 0x9D),
        Form::Base64 => (b"\x0Cbase64Binary", 0x9F, 0xA1, 0xA3),
        Form::Utf16 => (b"\x06string", 0xB7, 0xB9, 0xBB),
    };
    let mut out = BytesMut::with_capacity(72 + content.len());
    out.put_u8(0x40);
    out.put_slice(name);
    out.put_slice(b"\x08\x33");
    out.put_slice(NAMESPACE);
    if let Ok(length) = u8::try_from(content.len()) {
        out.put_slice(&[one, length]);
    } else if let Ok(length) = u16::try_from(content.len()) {
        out.put_u8(two);
        out.put_u16_le(length);
    } else {
        out.put_u8(four);
        out.put_u32_le(u32::try_from(content.len()).unwrap_or(u32::MAX).min(u32::MAX >> 1));
    }
    out.put_slice(&content);
    out.freeze()
}
