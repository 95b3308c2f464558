//! What attributes may be called and hold.

use std::fmt::Write as _;

use crate::Problem;

pub(crate) const SOURCE: &str = "hubsource";
pub(crate) const TARGET: &str = "hubtarget";
pub(crate) const IN_REPLY_TO: &str = "hubinreplyto";
pub(crate) const EXTRA: &str = "hubextra";
/// The member of an event's source that holds attributes.
pub(crate) const BELOW: &str = "cloudevents";
/// Set below it when the data is base64.
pub(crate) const BASE64: &str = "data_base64";

/// Whether a name may be one of an attribute.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

/// Whether an attribute is one that events have a member for.
pub(crate) fn is_mapped(name: &str) -> bool {
    matches!(name, "specversion" | "id" | "type" | "data" | SOURCE | TARGET | IN_REPLY_TO | EXTRA)
}

/// Whether a text may be the value of an attribute.
pub(crate) fn is_text(text: &str) -> bool {
    text.chars().all(is_allowed)
}

/// No control characters and no noncharacters.
fn is_allowed(character: char) -> bool {
    let code = u32::from(character);
    !character.is_control() && !matches!(code, 0xFDD0..=0xFDEF) && code & 0xFFFE != 0xFFFE
}

/// JSON as the value of an attribute: what is not allowed there is escaped. Such characters stand inside of texts,
/// except for white space.
pub(crate) fn json_as_text(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        if is_allowed(character) {
            text.push(character);
        } else if character.is_ascii_whitespace() {
            text.push(' ');
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing into a text has no way to fail.
                let _ = write!(text, "\\u{unit:04x}");
            }
        }
    }
    text
}

/// The characters of RFC 3986, with `%` before two digits alone and at most one `#`.
pub(crate) fn check_uri(uri: &str) -> Result<(), Problem> {
    if uri.is_empty() {
        return Err(Problem::Empty);
    }
    let bytes = uri.as_bytes();
    let good = bytes.iter().enumerate().all(|(at, byte)| match byte {
        b'%' => bytes.get(at + 1..at + 3).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit)),
        byte => byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=".contains(byte),
    });
    if good && uri.matches('#').count() <= 1 { Ok(()) } else { Err(Problem::NotUri) }
}

/// Whether this is a time of RFC 3339: `2026-11-26T10:00:00.5+01:00`.
pub(crate) fn is_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    let (Some(date), Some(rest)) = (bytes.get(..19), bytes.get(19..)) else { return false };
    let shape = b"dddd-dd-ddTdd:dd:dd";
    let fits = date.iter().zip(shape).all(|(byte, shape)| match shape {
        b'd' => byte.is_ascii_digit(),
        b'T' => matches!(byte, b'T' | b't'),
        other => byte == other,
    });
    if !fits {
        return false;
    }
    let number =
        |from: usize, to: usize| date[from..to].iter().fold(0, |sum, byte| sum * 10 + u32::from(byte - b'0'));
    let (year, month, day) = (number(0, 4), number(5, 7), number(8, 10));
    let in_range = (1..=12).contains(&month)
        && (1..=days(year, month)).contains(&day)
        && number(11, 13) <= 23
        && number(14, 16) <= 59
        && number(17, 19) <= 59;
    let rest = match rest.split_first() {
        Some((b'.', fraction)) => {
            let digits = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if digits == 0 {
                return false;
            }
            &fraction[digits..]
        }
        _ => rest,
    };
    in_range && is_offset(rest)
}

fn is_offset(bytes: &[u8]) -> bool {
    match bytes {
        b"Z" | b"z" => true,
        [b'+' | b'-', h1, h2, b':', m1, m2] => {
            let digits = [h1, h2, m1, m2].iter().all(|byte| byte.is_ascii_digit());
            digits && (h1 - b'0') * 10 + (h2 - b'0') <= 23 && *m1 <= b'5'
        }
        _ => false,
    }
}

fn days(year: u32, month: u32) -> u32 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 31,
    }
}

/// A date as HTTP spells it, `Sun, 06 Nov 1994 08:49:37 GMT`, as a time of RFC 3339.
pub(crate) fn http_date(text: &str) -> Option<String> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (_weekday, date) = text.split_once(", ")?;
    let mut parts = date.split(' ');
    let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
    let (clock, zone) = (parts.next()?, parts.next()?);
    let month = MONTHS.iter().position(|known| *known == month)? + 1;
    let time = format!("{year}-{month:02}-{day}T{clock}Z");
    (zone == "GMT" && parts.next().is_none() && is_time(&time)).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_from_other_texts() {
        for good in [
            "2018-04-05T17:31:00Z",
            "2024-02-29T00:00:00.123456789+05:30",
            "2000-02-29t23:59:59z",
            "1994-11-06T08:49:37-00:00",
        ] {
            assert!(is_time(good), "{good}");
        }
        for bad in [
            "",
            "2018-04-05",
            "2018-04-05 17:31:00Z",
            "2018-04-05T17:31:00",
            "2018-13-05T17:31:00Z",
            "2018-00-05T17:31:00Z",
            "2023-02-29T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "2018-04-31T00:00:00Z",
            "2018-04-05T24:00:00Z",
            "2018-04-05T17:31:00.Z",
            "2018-04-05T17:31:00+1:00",
            "2018-04-05T17:31:00+24:00",
            "2018-04-05T17:31:00ZZ",
            "2018-04-05T17:31:6é",
        ] {
            assert!(!is_time(bad), "{bad}");
        }
    }

    #[test]
    fn dates_of_http_become_times() {
        assert_eq!(http_date("Sun, 06 Nov 1994 08:49:37 GMT").as_deref(), Some("1994-11-06T08:49:37Z"));
        for bad in [
            "",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 GMT x",
        ] {
            assert_eq!(http_date(bad), None, "{bad}");
        }
    }

    #[test]
    fn references_and_texts_are_checked() {
        for good in ["/mycontext", "https://a.b/c?d=e#f", "urn:uuid:1", "a%20b", "#f"] {
            assert_eq!(check_uri(good), Ok(()), "{good}");
        }
        for bad in ["a b", "a%2", "a#b#c", "é", "a\n", "<a>"] {
            assert_eq!(check_uri(bad), Err(Problem::NotUri), "{bad}");
        }
        assert!(is_text("a é 😀\u{2028}") && is_name("a1"));
        for bad in ["\n", "\u{7f}", "\u{9f}", "\u{fdd0}", "\u{fffe}", "\u{1ffff}"] {
            assert!(!is_text(bad), "{bad:?}");
        }
        assert!(!is_name("") && !is_name("A") && !is_name("a_b") && !is_name("é"));
    }

    #[test]
    fn json_becomes_a_text_of_the_same_meaning() {
        let json = "{\n\t\"a\": \"\u{7f}\u{1ffff}\"}";
        let text = json_as_text(json);
        assert!(is_text(&text), "{text:?}");
        let read = |json: &str| serde_json::from_str::<serde_json::Value>(json).unwrap();
        assert_eq!(read(&text), read(json));
    }
}
