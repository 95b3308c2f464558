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
            out.push(':');
            event_payload(out, name, |out| join(out, args));
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

/// `{"name":"..","args":[..]}`; `args` writes what stands between the brackets.
fn event_payload(out: &mut String, name: &str, args: impl FnOnce(&mut String)) {
    out.push_str("{\"name\":");
    string(out, name);
    out.push_str(",\"args\":[");
    args(out);
    out.push_str("]}");
}

/// The whole frame `5:N+::{"name":"..","args":[ARGS]}`, written once. `args` is raw JSON, already joined.
pub(crate) fn acked_event(number: u64, name: &str, args: &str) -> String {
    let mut out = String::with_capacity(56 + name.len() + args.len());
    header(&mut out, '5', Some(PacketId::with_data(number)), "");
    out.push(':');
    event_payload(&mut out, name, |out| out.push_str(args));
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

fn number(out: &mut String, number: u64) {
    // Writing to a String cannot fail.
    let _ = write!(out, "{number}");
}

/// A JSON string, escaped like JavaScript's `JSON.stringify`.
fn string(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
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
