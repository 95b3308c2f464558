//! Everything that must differ from one another: ids, lock tokens, signatures. Not secrets: anybody may guess them.

use std::fmt::Write as _;

/// A sequence of numbers that look random (splitmix64).
#[derive(Clone, Debug)]
pub(super) struct Ids(u64);

impl Ids {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A GUID of version 4.
    pub(super) fn guid(&mut self) -> String {
        let (high, low) = (self.next(), self.next());
        let variant = 0x8000 | (low >> 48 & 0x3FFF);
        let (first, second, third) = (high >> 32, high >> 16 & 0xFFFF, 0x4000 | (high & 0xFFF));
        format!("{first:08x}-{second:04x}-{third:04x}-{variant:04x}-{:012x}", low & 0xFFFF_FFFF_FFFF)
    }

    /// 32 hexadecimal digits, as message ids have.
    pub(super) fn message_id(&mut self) -> String {
        format!("{:016x}{:016x}", self.next(), self.next())
    }

    /// What stands for a signature: 32 bytes in base64.
    pub(super) fn signature(&mut self) -> String {
        let bytes: Vec<u8> = (0..4).flat_map(|_| self.next().to_le_bytes()).collect();
        base64(&bytes)
    }

    /// An entity tag: 8 bytes in base64.
    pub(super) fn etag(&mut self) -> String {
        base64(&self.next().to_le_bytes())
    }
}

/// The id of the change set with this number: 40 hexadecimal digits, always the same.
pub(super) fn change_set_id(number: u64) -> String {
    let mut ids = Ids::new(number);
    let mut id = format!("{:016x}{:016x}", ids.next(), ids.next());
    let _ = write!(id, "{:08x}", ids.next() >> 32);
    id
}

pub(super) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group =
            chunk.iter().fold(0_u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = (group >> (18 - 6 * place) & 0x3F) as usize;
            out.push(if place <= chunk.len() { char::from(DIGITS[digit]) } else { '=' });
        }
    }
    out
}

/// Whether a text is a GUID: 8-4-4-4-12 hexadecimal digits, of any case and version.
pub(super) fn is_guid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_pads() {
        for (text, encoded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("user:password", "dXNlcjpwYXNzd29yZA=="),
        ] {
            assert_eq!(base64(text.as_bytes()), encoded);
        }
    }

    #[test]
    fn ids_differ_and_have_their_forms() {
        let mut ids = Ids::new(7);
        let (a, b) = (ids.guid(), ids.guid());
        assert!(a != b && is_guid(&a) && is_guid(&b));
        assert_eq!((&a[14..15], ids.message_id().len(), ids.etag().len()), ("4", 32, 12));
        assert!(ids.signature().ends_with('='));
        assert_eq!(change_set_id(1).len(), 40);
        assert!(change_set_id(1) == change_set_id(1) && change_set_id(1) != change_set_id(2));
    }

    #[test]
    fn a_guid_has_dashes_and_no_braces() {
        assert!(is_guid("8585AF91-74e6-4159-a172-dbb08f66d0fd"));
        for bad in
            ["", "8585af91", "{8585af91-74e6-4159-a172-dbb08f66d0f}", "8585af9174e64159a172dbb08f66d0fd0000"]
        {
            assert!(!is_guid(bad), "{bad}");
        }
    }
}
