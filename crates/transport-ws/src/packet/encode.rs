//! Packet to canonical text.

use std::fmt::Write as _;

use super::{Packet, PacketId};

pub(super) fn packet(packet: &Packet<'_>, out: &mut String) {
    match packet {
        Packet::Disconnect { endpoint } => header(out, '0', None, endpoint),
        Packet::Connect { endpoint, query } => {
            header(out, '1', None, endpoint);
            data(out, query);
        }
        Packet::Heartbeat => out.push_str("2::"),
        Packet::Message { id, endpoint, data: text } => {
            header(out, '3', *id, endpoint);
            data(out, text);
        }
        Packet::Json { id, endpoint, data: json } => {
            header(out, '4', *id, endpoint);
            data(out, json);
        }
        Packet::Event { id, endpoint, name, args } => {
            header(out, '5', *id, endpoint);
            out.push_str(":{\"name\":");
            string(out, name);
            out.push_str(",\"args\":[");
            join(out, args);
            out.push_str("]}");
        }
        Packet::Ack { endpoint, id, args } => {
            header(out, '6', None, endpoint);
            out.push(':');
            number(out, *id);
            if !args.is_empty() {
                out.push_str("+[");
                join(out, args);
                out.push(']');
            }
        }
        Packet::Error { endpoint, reason, advice } => {
            header(out, '7', None, endpoint);
            if reason.is_some() || advice.is_some() {
                out.push(':');
            }
            if let Some(reason) = reason {
                number(out, u64::from(reason.code()));
            }
            if let Some(advice) = advice {
                out.push('+');
                number(out, u64::from(advice.code()));
            }
        }
        Packet::Noop => out.push_str("8::"),
    }
}

/// About how long the text will be: exact enough to allocate once.
pub(super) fn size_hint(packet: &Packet<'_>) -> usize {
    let payload = match packet {
        Packet::Message { data, .. } | Packet::Json { data, .. } | Packet::Connect { query: data, .. } => {
            data.len()
        }
        Packet::Event { name, args, .. } => {
            32 + name.len() + args.iter().map(|arg| arg.len() + 1).sum::<usize>()
        }
        Packet::Ack { args, .. } => 24 + args.iter().map(|arg| arg.len() + 1).sum::<usize>(),
        _ => 0,
    };
    payload + packet.endpoint().len() + 26
}

/// The whole frame `5:N+::{"name":"..","args":[ARGS]}`, written once. `args` writes raw JSON of about `size` bytes,
/// already joined.
pub(crate) fn acked_event(number: u64, name: &str, size: usize, args: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut head = String::with_capacity(64 + name.len() + size);
    header(&mut head, '5', Some(PacketId::with_data(number)), "");
    head.push_str(":{\"name\":");
    string(&mut head, name);
    head.push_str(",\"args\":[");
    let mut out = head.into_bytes();
    args(&mut out);
    out.extend_from_slice(b"]}");
    out
}

fn header(out: &mut String, kind: char, id: Option<PacketId>, endpoint: &str) {
    out.push(kind);
    out.push(':');
    if let Some(id) = id {
        number(out, id.number);
        if id.wants_data {
            out.push('+');
        }
    }
    out.push(':');
    out.push_str(endpoint);
}

fn data(out: &mut String, data: &str) {
    if !data.is_empty() {
        out.push(':');
        out.push_str(data);
    }
}

fn join(out: &mut String, args: &[&str]) {
    for (index, arg) in args.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        out.push_str(arg);
    }
}

fn number(out: &mut String, mut number: u64) {
    let mut digits = [0; 20];
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    digits[first..].iter().for_each(|digit| out.push(char::from(*digit)));
}

/// A JSON string, escaped like JavaScript's `JSON.stringify`.
fn string(out: &mut String, text: &str) {
    out.push('"');
    // Names need none of this.
    let plain = text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\');
    if plain {
        out.push_str(text);
    }
    for character in text.chars().filter(|_| !plain) {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            control if control < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}
