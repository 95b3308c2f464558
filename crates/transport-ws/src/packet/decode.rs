//! Text to packet. The header by hand, the payload by serde_json with borrowed raw values.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{Advice, DecodeError, DecodeErrorKind as Kind, MAX_ARGS, Packet, PacketId, Reason};

pub(super) fn packet(text: &str) -> Result<Packet<'_>, DecodeError> {
    let (kind, rest) = packet_type(text)?;
    let (id, body) = packet_id(text, rest)?;
    if kind == b'5' {
        return event(text, id, body);
    }
    let (endpoint, data) = split_endpoint(text, body);
    Ok(match kind {
        b'0' => Packet::Disconnect { endpoint },
        b'1' => Packet::Connect { endpoint, query: &text[data..] },
        b'2' => Packet::Heartbeat,
        b'3' => Packet::Message { id, endpoint, data: &text[data..] },
        b'4' => {
            let raw: &RawValue =
                serde_json::from_str(&text[data..]).map_err(|error| json_error(text, data, &error))?;
            Packet::Json { id, endpoint, data: raw.get() }
        }
        b'6' => ack(text, endpoint, data)?,
        b'7' => error(endpoint, &text[data..]),
        _ => Packet::Noop,
    })
}

/// The type's byte and the position after its colon.
fn packet_type(text: &str) -> Result<(u8, usize), DecodeError> {
    match text.as_bytes() {
        [] => Err(DecodeError::new(Kind::Empty, 0)),
        [kind @ b'0'..=b'8', b':', ..] => Ok((*kind, 2)),
        [b'0'..=b'8'] => Err(DecodeError::new(Kind::MissingSeparator, 1)),
        _ => Err(DecodeError::new(Kind::UnknownType, 0)),
    }
}

/// The id, if there is one, and the position after the second colon.
fn packet_id(text: &str, start: usize) -> Result<(Option<PacketId>, usize), DecodeError> {
    let bytes = text.as_bytes();
    let digits_end = digits_end(bytes, start);
    let wants_data = bytes.get(digits_end) == Some(&b'+');
    let end = digits_end + usize::from(wants_data);
    match bytes.get(end) {
        Some(b':') => {}
        Some(_) => return Err(DecodeError::new(Kind::BadId, end)),
        None => return Err(DecodeError::new(Kind::MissingSeparator, end)),
    }
    if digits_end == start {
        return Ok((None, end + 1));
    }
    let number = text[start..digits_end].parse().map_err(|_| DecodeError::new(Kind::BadId, start))?;
    Ok((Some(PacketId { number, wants_data }), end + 1))
}

fn digits_end(bytes: &[u8], start: usize) -> usize {
    start + bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// The endpoint and where the data starts: after the third colon, or at the end.
fn split_endpoint(text: &str, start: usize) -> (&str, usize) {
    match text[start..].find(':') {
        Some(length) => (&text[start..start + length], start + length + 1),
        None => (&text[start..], text.len()),
    }
}

fn event(text: &str, id: Option<PacketId>, body: usize) -> Result<Packet<'_>, DecodeError> {
    // `5::{..}`: endpoints start with a slash, so a brace can only be a payload that lacks its third colon.
    let (endpoint, data) =
        if text.as_bytes().get(body) == Some(&b'{') { ("", body) } else { split_endpoint(text, body) };
    let mut parser = serde_json::Deserializer::from_str(&text[data..]);
    let payload = EventPayload::deserialize(&mut parser)
        .and_then(|payload| parser.end().map(|()| payload))
        .map_err(|error| match error.classify() {
        serde_json::error::Category::Data => DecodeError::new(Kind::NotAnObject, data),
        _ => json_error(text, data, &error),
    })?;
    let name = payload.name.and_then(string).ok_or(DecodeError::new(Kind::BadName, data))?;
    let args = payload.args.into_result(data)?;
    Ok(Packet::Event { id, endpoint, name, args })
}

fn ack<'a>(text: &'a str, endpoint: &'a str, data: usize) -> Result<Packet<'a>, DecodeError> {
    let digits_end = digits_end(text.as_bytes(), data);
    let id = text[data..digits_end].parse().map_err(|_| DecodeError::new(Kind::BadAckId, data))?;
    let json = digits_end + usize::from(text.as_bytes().get(digits_end) == Some(&b'+'));
    if json == text.len() {
        return Ok(Packet::Ack { endpoint, id, args: Vec::new() });
    }
    let args: Args<'a> =
        serde_json::from_str(&text[json..]).map_err(|error| json_error(text, json, &error))?;
    Ok(Packet::Ack { endpoint, id, args: args.into_result(json)? })
}

fn error<'a>(endpoint: &'a str, data: &str) -> Packet<'a> {
    let code = |field: Option<&str>| field.and_then(|digits| digits.parse::<u32>().ok());
    let mut codes = data.split('+');
    let reason = code(codes.next()).map(Reason::from_code);
    let advice = code(codes.next()).map(Advice::from_code);
    Packet::Error { endpoint, reason, advice }
}

/// The content of a JSON string; `None` for any other value, and for a lone surrogate.
fn string(raw: &RawValue) -> Option<Cow<'_, str>> {
    let inner = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        return serde_json::from_str::<String>(raw.get()).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(inner))
}

/// serde_json counts lines and bytes within a line; we count bytes from the start of the packet.
fn json_error(text: &str, start: usize, error: &serde_json::Error) -> DecodeError {
    let json = &text.as_bytes()[start..];
    let line_start: usize = json
        .split_inclusive(|byte| *byte == b'\n')
        .take(error.line().saturating_sub(1))
        .map(<[u8]>::len)
        .sum();
    let position = (start + line_start + error.column()).min(text.len());
    DecodeError::new(Kind::BadJson, position)
}

/// `{"name": .., "args": [..]}` with everything borrowed.
#[derive(Default)]
struct EventPayload<'a> {
    name: Option<&'a RawValue>,
    args: Args<'a>,
}

impl<'de> Deserialize<'de> for EventPayload<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PayloadVisitor;

        impl<'de> Visitor<'de> for PayloadVisitor {
            type Value = EventPayload<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut payload = EventPayload::default();
                while let Some(key) = map.next_key::<Key>()? {
                    match key {
                        Key::Name => payload.name = Some(map.next_value()?),
                        Key::Args => payload.args = map.next_value()?,
                        Key::Other => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(payload)
            }
        }

        deserializer.deserialize_map(PayloadVisitor)
    }
}

enum Key {
    Name,
    Args,
    Other,
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;

        impl Visitor<'_> for KeyVisitor {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_str<E>(self, key: &str) -> Result<Key, E> {
                Ok(match key {
                    "name" => Key::Name,
                    "args" => Key::Args,
                    _ => Key::Other,
                })
            }
        }

        deserializer.deserialize_identifier(KeyVisitor)
    }
}

/// Any JSON value; of an array, its raw elements. One pass, and only [`MAX_ARGS`] of them are kept.
#[derive(Default)]
enum Args<'a> {
    #[default]
    Absent,
    Array(Vec<&'a str>),
    TooMany,
    NotArray,
}

impl<'a> Args<'a> {
    fn into_result(self, position: usize) -> Result<Vec<&'a str>, DecodeError> {
        match self {
            Self::Absent => Ok(Vec::new()),
            Self::Array(args) => Ok(args),
            Self::TooMany => Err(DecodeError::new(Kind::TooManyArgs, position)),
            Self::NotArray => Err(DecodeError::new(Kind::ArgsNotArray, position)),
        }
    }
}

impl<'de> Deserialize<'de> for Args<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ArgsVisitor)
    }
}

struct ArgsVisitor;

impl<'de> Visitor<'de> for ArgsVisitor {
    type Value = Args<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut args = Vec::new();
        while args.len() < MAX_ARGS {
            match seq.next_element::<&'de RawValue>()? {
                Some(raw) => args.push(raw.get()),
                None => return Ok(Args::Array(args)),
            }
        }
        if seq.next_element::<IgnoredAny>()?.is_none() {
            return Ok(Args::Array(args));
        }
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Args::TooMany)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Args::Absent)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Args::NotArray)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Args::NotArray)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Args::NotArray)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Args::NotArray)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Args::NotArray)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(Args::NotArray)
    }
}
