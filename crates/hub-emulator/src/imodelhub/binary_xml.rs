//! The wrapping in which iModelHub sends its JSON: a .NET string, written by the binary DataContract serialiser.
//!
//! One element named `string` in the serialisation namespace, and one text record that also ends the element. The
//! record says in one, two or four bytes how long the UTF-8 is; .NET writes the shortest that fits.

/// The element and its namespace; the text record follows.
const HEAD: &[u8] = b"\x40\x06string\x08\x33http://schemas.microsoft.com/2003/10/Serialization/";
/// Text of up to 255 bytes, then the end of the element.
const TEXT_8: u8 = 0x99;
/// Text of up to 65,535 bytes, then the end of the element.
const TEXT_16: u8 = 0x9B;
/// Text of up to 2 GiB, then the end of the element.
const TEXT_32: u8 = 0x9D;

/// Wraps a JSON text.
pub(super) fn wrap(json: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEAD.len() + 5 + json.len());
    out.extend_from_slice(HEAD);
    if let Ok(length) = u8::try_from(json.len()) {
        out.extend_from_slice(&[TEXT_8, length]);
    } else if let Ok(length) = u16::try_from(json.len()) {
        out.push(TEXT_16);
        out.extend_from_slice(&length.to_le_bytes());
    } else {
        out.push(TEXT_32);
        // Bodies are far below the 2 GiB that the record can say: requests are limited to a few MiB.
        out.extend_from_slice(&u32::try_from(json.len()).unwrap_or(u32::MAX).to_le_bytes());
    }
    out.extend_from_slice(json.as_bytes());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_is_the_shortest_that_fits() {
        for (length, record) in [
            (0, &[0x99, 0][..]),
            (123, &[0x99, 0x7B]),
            (255, &[0x99, 0xFF]),
            (256, &[0x9B, 0x00, 0x01]),
            (379, &[0x9B, 0x7B, 0x01]),
            (65_535, &[0x9B, 0xFF, 0xFF]),
            (65_536, &[0x9D, 0x00, 0x00, 0x01, 0x00]),
        ] {
            let json = "x".repeat(length);
            let wrapped = wrap(&json);
            assert_eq!(wrapped[..61], *HEAD);
            assert_eq!(wrapped[61..61 + record.len()], *record, "{length}");
            assert_eq!(wrapped[61 + record.len()..], *json.as_bytes());
        }
    }

    #[test]
    fn the_length_counts_bytes() {
        assert_eq!(wrap("{\"é\"}")[61..63], [0x99, 6]);
    }
}
