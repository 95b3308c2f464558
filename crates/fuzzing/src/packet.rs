//! The packet codec: any text is a packet or an error, and a packet keeps its meaning.

use event_core::RawJson;
use transport_ws::packet::{MAX_ARGS, Packet};

/// Reads the bytes as one packet.
///
/// # Panics
///
/// When an error points outside of the text, when a packet changes by being written and read again, when an argument
/// is not a piece of the text or not JSON, or when there are too many of them.
pub fn body(data: &[u8]) {
    let text = crate::text(data);
    let packet = match Packet::decode(&text) {
        Ok(packet) => packet,
        Err(error) => return assert!(error.position() <= text.len(), "{error}"),
    };
    let canonical = packet.encode();
    let again = Packet::decode(&canonical);
    assert_eq!(again.as_ref(), Ok(&packet), "{text} {canonical}");
    assert_eq!(again.map(|again| again.encode()).as_ref(), Ok(&canonical));

    let mut appended = String::from("before");
    packet.encode_into(&mut appended);
    assert_eq!(appended.strip_prefix("before"), Some(&*canonical));

    match &packet {
        Packet::Event { args, .. } | Packet::Ack { args, .. } => {
            assert!(args.len() <= MAX_ARGS);
            for arg in args {
                is_json_of(&text, arg);
            }
        }
        Packet::Json { data, .. } => is_json_of(&text, data),
        _ => {}
    }
}

/// The part is a slice of the text, not a copy, and one JSON value.
fn is_json_of(text: &str, part: &str) {
    assert!(text.as_bytes().as_ptr_range().contains(&part.as_ptr()), "{part} is a copy");
    assert!(RawJson::from_text(part.to_owned()).is_ok(), "{part} is no JSON");
}
