//! One pass over a JSON object, for texts as nearly all events have them.
//!
//! It checks what it passes over as strictly as a whole JSON parser does, eight bytes of a string at a time, and
//! gives up on what is rare: keys with escapes, values nested deeper than 64, anything that is not JSON. Then
//! `serde_json` is asked, whose word counts. So nothing may be accepted here that is refused there; property tests
//! and the fuzz target for events hold the two together.
//!
//! Every function takes the text from where it begins, and gives the text behind what it passed over, or `None`.

/// Values may be nested so deep.
const MAX_DEPTH: u32 = u64::BITS;

const QUOTE: u64 = b'"' as u64;
const BACKSLASH: u64 = b'\\' as u64;

/// Shows the members of the one object that `text` is, key and value as they stand there, at most so many; `None` when
/// `serde_json` had better look, and then what was shown counts for nothing.
pub(super) fn members<'a>(text: &'a str, most: usize, mut show: impl FnMut(&'a str, &'a str)) -> Option<()> {
    let mut left = most;
    let part = |part: &[u8]| {
        let begin = part.as_ptr() as usize - text.as_ptr() as usize;
        text.get(begin..begin + part.len())
    };
    object(text.as_bytes(), |key, value| {
        left = left.checked_sub(1)?;
        show(part(key)?, part(value)?);
        Some(())
    })
}

/// What stands at a path of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// Nothing.
    Missing,
    /// A text without escapes.
    Text(&'a str),
    Bool(bool),
    /// Null, an object or a list.
    Other,
}

/// What stands at a path of keys in `json`, which is JSON; `None` for what is not worth reading here: numbers, and whatever
/// has an escape that could matter.
pub(super) fn find<'a>(mut json: &'a [u8], path: &[Box<str>]) -> Option<Found<'a>> {
    for wanted in path {
        if solid(json)?.0 != b'{' {
            return Some(Found::Missing);
        }
        let mut found = None;
        object(json, |key, value| {
            // A key that comes twice: the last one counts.
            if key == wanted.as_bytes() {
                found = Some(value);
            }
            Some(())
        })?;
        match found {
            Some(value) => json = value,
            None => return Some(Found::Missing),
        }
    }
    match solid(json)? {
        (b'"', text) => {
            let end = plain(text)?.len();
            std::str::from_utf8(&text[..text.len() - end]).ok().map(Found::Text)
        }
        (b't', _) => Some(Found::Bool(true)),
        (b'f', _) => Some(Found::Bool(false)),
        (b'n' | b'{' | b'[', _) => Some(Found::Other),
        _ => None,
    }
}

/// Shows the members of the one object that `json` is, while `show` wants more.
fn object<'a>(json: &'a [u8], mut show: impl FnMut(&'a [u8], &'a [u8]) -> Option<()>) -> Option<()> {
    let mut rest = past(json, b'{')?;
    let (next, behind) = solid(rest)?;
    if next == b'}' {
        rest = behind;
    } else {
        loop {
            let key = past(rest, b'"')?;
            let key_end = plain(key)?;
            let value = blanks(past(past(key_end, b'"')?, b':')?);
            let value_end = self::value(value)?;
            show(&key[..key.len() - key_end.len()], &value[..value.len() - value_end.len()])?;
            let (next, behind) = solid(value_end)?;
            rest = behind;
            match next {
                b',' => {}
                b'}' => break,
                _ => return None,
            }
        }
    }
    blanks(rest).is_empty().then_some(())
}

/// Past one value, and whatever is nested in it: a loop, and a bit for each level that is open.
fn value(mut rest: &[u8]) -> Option<&[u8]> {
    let mut levels = Levels::default();
    loop {
        if levels.in_object() {
            rest = past(string(past(rest, b'"')?)?, b':')?;
        }
        let (first, behind) = solid(rest)?;
        rest = match first {
            b'"' => string(behind)?,
            b'{' | b'[' => {
                levels.open(first == b'{')?;
                if solid(behind)?.0 != levels.bracket() {
                    rest = behind;
                    continue;
                }
                behind
            }
            _ => scalar(first, behind)?,
        };
        // A value may be the last of many levels.
        loop {
            if levels.depth == 0 {
                return Some(rest);
            }
            let (next, behind) = solid(rest)?;
            rest = behind;
            if next == b',' {
                break;
            }
            if next != levels.bracket() {
                return None;
            }
            levels.close();
        }
    }
}

/// The objects and lists that are open: a bit says which, the innermost in the lowest.
#[derive(Default)]
struct Levels {
    objects: u64,
    depth: u32,
}

impl Levels {
    fn open(&mut self, object: bool) -> Option<()> {
        self.objects = self.objects << 1 | u64::from(object);
        self.depth += 1;
        (self.depth <= MAX_DEPTH).then_some(())
    }

    fn close(&mut self) {
        self.objects >>= 1;
        self.depth -= 1;
    }

    fn in_object(&self) -> bool {
        self.objects & 1 == 1
    }

    /// What closes the innermost.
    fn bracket(&self) -> u8 {
        if self.in_object() { b'}' } else { b']' }
    }
}

/// The next byte that is no blank, and what is behind it.
fn solid(mut rest: &[u8]) -> Option<(u8, &[u8])> {
    loop {
        let (first, behind) = rest.split_first()?;
        // Blanks are less than what is not; most texts have none.
        if *first > b' ' {
            return Some((*first, behind));
        }
        if !is_blank(*first) {
            return None;
        }
        rest = behind;
    }
}

/// Past the byte that must come next but for blanks.
fn past(rest: &[u8], wanted: u8) -> Option<&[u8]> {
    let (found, behind) = solid(rest)?;
    (found == wanted).then_some(behind)
}

fn blanks(mut rest: &[u8]) -> &[u8] {
    while let Some((first, behind)) = rest.split_first()
        && is_blank(*first)
    {
        rest = behind;
    }
    rest
}

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\n' | b'\t' | b'\r')
}

/// Past a value that is neither a string nor nested, whose first byte is taken already.
fn scalar(first: u8, rest: &[u8]) -> Option<&[u8]> {
    match first {
        b'n' => rest.strip_prefix(b"ull"),
        b't' => rest.strip_prefix(b"rue"),
        b'f' => rest.strip_prefix(b"alse"),
        b'-' => {
            let (first, rest) = rest.split_first()?;
            number(*first, rest)
        }
        first => number(first, rest),
    }
}

/// Past a number, its sign left out.
fn number(first: u8, mut rest: &[u8]) -> Option<&[u8]> {
    match first {
        b'0' if rest.first().is_some_and(u8::is_ascii_digit) => return None,
        b'0' => {}
        b'1'..=b'9' => rest = maybe_digits(rest),
        _ => return None,
    }
    if let [b'.', fraction @ ..] = rest {
        rest = digits(fraction)?;
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        rest = digits(if let [b'+' | b'-', behind @ ..] = exponent { behind } else { exponent })?;
    }
    Some(rest)
}

fn digits(rest: &[u8]) -> Option<&[u8]> {
    rest.first()?.is_ascii_digit().then(|| maybe_digits(rest))
}

fn maybe_digits(mut rest: &[u8]) -> &[u8] {
    while let [b'0'..=b'9', behind @ ..] = rest {
        rest = behind;
    }
    rest
}

/// Past the rest of a string, its last quote included.
fn string(mut rest: &[u8]) -> Option<&[u8]> {
    while let Some((eight, behind)) = rest.split_first_chunk::<8>() {
        let eight = u64::from_le_bytes(*eight);
        let found = special(eight);
        if found == 0 {
            rest = behind;
            continue;
        }
        let bits = found.trailing_zeros() & !7;
        rest = rest.get((bits / 8) as usize + 1..)?;
        match eight >> bits & 0xff {
            QUOTE => return Some(rest),
            BACKSLASH => rest = escape(rest)?,
            _ => return None,
        }
    }
    last_bytes(rest)
}

/// The same where less than eight bytes are left.
#[cold]
fn last_bytes(mut rest: &[u8]) -> Option<&[u8]> {
    loop {
        let (first, behind) = rest.split_first()?;
        rest = match first {
            b'"' => return Some(behind),
            b'\\' => escape(behind)?,
            0..b' ' => return None,
            _ => behind,
        };
    }
}

/// Past what follows a backslash. Half a surrogate pair is for whoever decodes the string, as in `serde_json`.
#[cold]
fn escape(rest: &[u8]) -> Option<&[u8]> {
    match rest.split_first()? {
        (b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', behind) => Some(behind),
        (b'u', behind) => {
            let (digits, behind) = behind.split_first_chunk::<4>()?;
            digits.iter().all(u8::is_ascii_hexdigit).then_some(behind)
        }
        _ => None,
    }
}

/// To the quote that ends a string without escapes.
fn plain(mut rest: &[u8]) -> Option<&[u8]> {
    while let Some((eight, behind)) = rest.split_first_chunk::<8>() {
        let found = special(u64::from_le_bytes(*eight));
        if found != 0 {
            rest = rest.get((found.trailing_zeros() / 8) as usize..)?;
            break;
        }
        rest = behind;
    }
    loop {
        match rest.split_first()? {
            (b'"', _) => return Some(rest),
            (b'\\' | 0..b' ', _) => return None,
            (_, behind) => rest = behind,
        }
    }
}

/// The highest bit of the first of eight bytes that ends a stretch of plain text, be it a quote, a backslash or a control
/// character; of later bytes it means nothing. Zero when there is none.
fn special(eight: u64) -> u64 {
    const ONES: u64 = u64::MAX / 0xff;
    const HIGH: u64 = ONES << 7;
    // With its second bit turned over a quote is 0x20, and control characters stay below that; nothing else does. A borrow
    // goes upwards, so that bits of later bytes may be set wrongly: only the first counts.
    let quote_or_control = (eight ^ (ONES * 0x02)).wrapping_sub(ONES * 0x21);
    let backslash = (eight ^ (ONES * 0x5c)).wrapping_sub(ONES);
    // A byte of 0x80 or more is part of a longer character.
    (quote_or_control | backslash) & !eight & HIGH
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_special(byte: u8) -> bool {
        byte < b' ' || byte == b'"' || byte == b'\\'
    }

    fn first(eight: [u8; 8]) -> Option<usize> {
        let found = special(u64::from_le_bytes(eight));
        (found != 0).then(|| (found.trailing_zeros() / 8) as usize)
    }

    #[test]
    fn every_byte_is_known_for_what_it_is_at_every_place() {
        for byte in 0..=u8::MAX {
            for place in 0..8 {
                let mut eight = [b'x'; 8];
                eight[place] = byte;
                assert_eq!(first(eight), is_special(byte).then_some(place), "{byte} at {place}");
            }
        }
    }

    proptest! {
        /// Whatever stands around it.
        #[test]
        fn the_first_of_them_is_found(eight in any::<[u8; 8]>()) {
            prop_assert_eq!(first(eight), eight.iter().position(|byte| is_special(*byte)));
        }
    }
}
