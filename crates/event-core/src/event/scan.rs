//! One pass over a JSON object, for texts as nearly all events have them.
//!
//! It checks what it passes over as strictly as a whole JSON parser does, eight bytes of a string at a time, and
//! gives up on what is rare: keys with escapes, values nested deeper than 64, anything that is not JSON. Then
//! `serde_json` is asked, whose word counts. So nothing may be accepted here that is refused there; property tests
//! and the fuzz target for events hold the two together.
//!
//! Every function takes the place where it begins and gives the place behind what it passed over, or `None`.

use std::borrow::Cow;

use super::members::Members;

/// Values may be nested so deep.
pub(super) const MAX_DEPTH: usize = 64;

/// The members of the one object that `text` is, at most so many; `None` when `serde_json` had better look.
pub(super) fn members(text: &str, most: usize) -> Option<Members<'_>> {
    let json = text.as_bytes();
    let mut members = Members::new();
    let mut at = expect(json, blanks(json, 0), b'{')?;
    at = blanks(json, at);
    if byte(json, at)? == b'}' {
        at += 1;
    } else {
        loop {
            let key = expect(json, at, b'"')?;
            let key_end = plain(json, key);
            let value = blanks(json, colon(json, expect(json, key_end, b'"')?)?);
            let value_end = self::value(json, value, MAX_DEPTH)?;
            if members.len() == most {
                return None;
            }
            members.push((Cow::Borrowed(text.get(key..key_end)?), text.get(value..value_end)?));
            at = blanks(json, value_end);
            match byte(json, at)? {
                b',' => at = blanks(json, at + 1),
                b'}' => {
                    at += 1;
                    break;
                }
                _ => return None,
            }
        }
    }
    (blanks(json, at) == json.len()).then_some(members)
}

/// Past one value, inside which so many more levels may be opened.
fn value(json: &[u8], at: usize, depth: usize) -> Option<usize> {
    match byte(json, at)? {
        b'"' => string(json, at + 1),
        b'{' => object(json, at + 1, depth.checked_sub(1)?),
        b'[' => array(json, at + 1, depth.checked_sub(1)?),
        b'n' => word(json, at, b"null"),
        b't' => word(json, at, b"true"),
        b'f' => word(json, at, b"false"),
        b'-' => number(json, at + 1),
        b'0'..=b'9' => number(json, at),
        _ => None,
    }
}

fn object(json: &[u8], at: usize, depth: usize) -> Option<usize> {
    let mut at = blanks(json, at);
    if byte(json, at)? == b'}' {
        return Some(at + 1);
    }
    loop {
        at = colon(json, string(json, expect(json, at, b'"')?)?)?;
        at = blanks(json, value(json, blanks(json, at), depth)?);
        match byte(json, at)? {
            b',' => at = blanks(json, at + 1),
            b'}' => return Some(at + 1),
            _ => return None,
        }
    }
}

fn array(json: &[u8], at: usize, depth: usize) -> Option<usize> {
    let mut at = blanks(json, at);
    if byte(json, at)? == b']' {
        return Some(at + 1);
    }
    loop {
        at = blanks(json, value(json, at, depth)?);
        match byte(json, at)? {
            b',' => at = blanks(json, at + 1),
            b']' => return Some(at + 1),
            _ => return None,
        }
    }
}

fn byte(json: &[u8], at: usize) -> Option<u8> {
    json.get(at).copied()
}

fn expect(json: &[u8], at: usize, wanted: u8) -> Option<usize> {
    (byte(json, at)? == wanted).then_some(at + 1)
}

fn colon(json: &[u8], at: usize) -> Option<usize> {
    expect(json, blanks(json, at), b':')
}

fn blanks(json: &[u8], mut at: usize) -> usize {
    while matches!(byte(json, at), Some(b' ' | b'\n' | b'\t' | b'\r')) {
        at += 1;
    }
    at
}

fn word(json: &[u8], at: usize, word: &[u8]) -> Option<usize> {
    json.get(at..)?.starts_with(word).then_some(at + word.len())
}

/// Past a number, its sign left out.
fn number(json: &[u8], at: usize) -> Option<usize> {
    let mut at = match byte(json, at)? {
        b'0' if matches!(byte(json, at + 1), Some(b'0'..=b'9')) => return None,
        b'0' => at + 1,
        _ => digits(json, at)?,
    };
    if byte(json, at) == Some(b'.') {
        at = digits(json, at + 1)?;
    }
    if matches!(byte(json, at), Some(b'e' | b'E')) {
        at += 1 + usize::from(matches!(byte(json, at + 1), Some(b'+' | b'-')));
        at = digits(json, at)?;
    }
    Some(at)
}

/// Past one digit or more.
fn digits(json: &[u8], begin: usize) -> Option<usize> {
    let mut at = begin;
    while matches!(byte(json, at), Some(b'0'..=b'9')) {
        at += 1;
    }
    (at > begin).then_some(at)
}

/// Past the rest of a string, its last quote included.
fn string(json: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at = plain(json, at);
        match byte(json, at)? {
            b'"' => return Some(at + 1),
            b'\\' => at = escape(json, at + 1)?,
            _ => return None,
        }
    }
}

/// Past what follows a backslash. Half a surrogate pair is for whoever decodes the string, as in `serde_json`.
#[cold]
fn escape(json: &[u8], at: usize) -> Option<usize> {
    match byte(json, at)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(at + 1),
        b'u' => json.get(at + 1..at + 5)?.iter().all(u8::is_ascii_hexdigit).then_some(at + 5),
        _ => None,
    }
}

/// To the next quote, backslash or control character, or to the end.
fn plain(json: &[u8], mut at: usize) -> usize {
    while let Some(eight) = json.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        match special(u64::from_le_bytes(*eight)) {
            Some(place) => return at + place,
            None => at += 8,
        }
    }
    while byte(json, at).is_some_and(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
        at += 1;
    }
    at
}

/// Which of eight bytes is the first to end a stretch of plain text.
fn special(eight: u64) -> Option<usize> {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGH: u64 = ONES << 7;
    // With its second bit turned over a quote is 0x20, and control characters stay below that; nothing else does. A borrow
    // goes upwards, so that bits of later bytes may be set wrongly: only the first counts.
    let quote_or_control = (eight ^ (ONES * 0x02)).wrapping_sub(ONES * 0x21);
    let backslash = (eight ^ (ONES * 0x5c)).wrapping_sub(ONES);
    // A byte of 0x80 or more is part of a longer character.
    let found = (quote_or_control | backslash) & !eight & HIGH;
    (found != 0).then(|| (found.trailing_zeros() / 8) as usize)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    fn is_special(byte: u8) -> bool {
        byte < b' ' || byte == b'"' || byte == b'\\'
    }

    #[test]
    fn every_byte_is_known_for_what_it_is_at_every_place() {
        for byte in 0..=u8::MAX {
            for place in 0..8 {
                let mut eight = [b'x'; 8];
                eight[place] = byte;
                let found = super::special(u64::from_le_bytes(eight));
                assert_eq!(found, is_special(byte).then_some(place), "{byte} at {place}");
            }
        }
    }

    proptest! {
        /// Whatever stands around it.
        #[test]
        fn the_first_of_them_is_found(eight in any::<[u8; 8]>()) {
            let first = eight.iter().position(|byte| is_special(*byte));
            prop_assert_eq!(super::special(u64::from_le_bytes(eight)), first);
        }
    }
}
