//! Secrets that can be found again, in whatever form they were written down. Pure.

use aho_corasick::AhoCorasick;

use crate::figures::Broken;

/// What every marked secret has in it, and nothing else has. It has a sign that percent-encoding changes on either side,
/// so a secret that is written in any of these forms has this in it.
pub const MARK: &str = "never-shown";

/// A secret with the mark, of this name. Valid in a header and in a URL once encoded.
#[must_use]
pub fn marked(name: &str) -> String {
    format!("{name}+{MARK}/4711")
}

/// Every form in which a text may have been written down.
#[derive(Clone, Debug)]
pub struct Needles(AhoCorasick);

impl Needles {
    /// The forms of these texts.
    ///
    /// # Errors
    ///
    /// [`Broken`] when they are too many.
    pub fn of<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, Broken> {
        let needles: Vec<Vec<u8>> = texts.into_iter().flat_map(forms).collect();
        AhoCorasick::new(needles).map(Self).map_err(|error| Broken::new(error.to_string()))
    }

    /// The first place where one of them is, as text around it.
    #[must_use]
    pub fn find(&self, hay: &[u8]) -> Option<String> {
        self.0.find(hay).map(|found| {
            let around = found.start().saturating_sub(200)..(found.end() + 40).min(hay.len());
            String::from_utf8_lossy(hay.get(around).unwrap_or_default()).into_owned()
        })
    }

    /// How often they occur in all.
    #[must_use]
    pub fn count(&self, hay: &[u8]) -> usize {
        self.0.find_iter(hay).count()
    }
}

fn forms(text: &str) -> Vec<Vec<u8>> {
    let bytes = text.as_bytes();
    let joined = |form: fn(&u8) -> String, between: &str| {
        bytes.iter().map(form).collect::<Vec<_>>().join(between).into_bytes()
    };
    let unreserved = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    let percent = |upper: bool| {
        let encode = |byte: &u8| match (unreserved(byte), upper) {
            (true, _) => char::from(*byte).to_string(),
            (false, true) => format!("%{byte:02X}"),
            (false, false) => format!("%{byte:02x}"),
        };
        bytes.iter().map(encode).collect::<String>().into_bytes()
    };
    let mut forms = vec![
        bytes.to_vec(),
        percent(true),
        percent(false),
        joined(|byte| format!("{byte:02x}"), ""),
        joined(|byte| format!("{byte:02X}"), ""),
        // The debug text of a slice of bytes.
        joined(u8::to_string, ", "),
    ];
    // Inside of something longer, base64 has three forms, by where the text begins; the ends depend on the neighbours.
    forms.extend((0..3).map(|before| {
        let text: Vec<u8> = std::iter::repeat_n(b'x', before).chain(bytes.iter().copied()).collect();
        let whole = text.len() / 3 * 4;
        base64(&text).into_iter().take(whole).skip((before * 8).div_ceil(6)).collect()
    }));
    forms
}

fn base64(bytes: &[u8]) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = Vec::new();
    for part in bytes.chunks(3) {
        let mut three = [0_u8; 3];
        three[..part.len()].copy_from_slice(part);
        let [a, b, c] = three.map(u32::from);
        let bits = a << 16 | b << 8 | c;
        for place in 0..=part.len() {
            let index = bits >> (18 - 6 * place) & 63;
            text.push(usize::try_from(index).map_or(b'?', |index| ALPHABET[index]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_found_in_every_form() {
        let needles = Needles::of([MARK]).unwrap();
        let secret = marked("key");
        let written = [
            format!("api_key={secret}"),
            "api_key=key%2Bnever-shown%2F4711".to_owned(),
            format!("{:?}", secret.as_bytes()),
            "6B65792B6E657665722D73686F776E2F34373131".to_owned(),
            format!("{:?}", bytes_text(secret.as_bytes())),
            // Basic authentication of "a:", "an:" and "ann:" and the secret.
            "YTprZXkrbmV2ZXItc2hvd24vNDcxMQ==".to_owned(),
            "YW46a2V5K25ldmVyLXNob3duLzQ3MTE=".to_owned(),
            "YW5uOmtleStuZXZlci1zaG93bi80NzEx".to_owned(),
        ];
        for text in written {
            assert!(needles.find(text.as_bytes()).is_some(), "{text}");
            assert!(needles.count(text.as_bytes()) >= 1, "{text}");
        }
    }

    fn bytes_text(bytes: &[u8]) -> String {
        bytes.escape_ascii().to_string()
    }

    #[test]
    fn a_text_with_signs_is_found_percent_encoded_in_either_case() {
        let needles = Needles::of(["sig=/a+b="]).unwrap();
        for text in ["x sig%3D%2Fa%2Bb%3D y", "x sig%3d%2fa%2bb%3d y", "x sig=/a+b= y"] {
            assert!(needles.find(text.as_bytes()).is_some(), "{text}");
        }
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        let needles = Needles::of([MARK]).unwrap();
        let text = b"key=[hidden] never shown n.e.v.e.r bmV2ZXIgc2hvd24=";
        assert_eq!((needles.find(text), needles.count(text)), (None, 0));
    }

    #[test]
    fn base64_is_base64() {
        assert_eq!(base64(b"ann:pass"), b"YW5uOnBhc3M");
        assert_eq!(base64(b"any"), b"YW55");
    }
}
