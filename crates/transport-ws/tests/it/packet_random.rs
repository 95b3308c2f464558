//! The codec under random packets and random text.

use std::borrow::Cow;

use proptest::prelude::*;
use transport_ws::packet::{Advice, Packet, PacketId, Reason};

use crate::support::cases;

#[derive(Clone, Debug)]
enum Owned {
    Disconnect(String),
    Connect(String, String),
    Heartbeat,
    Message(Option<PacketId>, String, String),
    Json(Option<PacketId>, String, String),
    Event(Option<PacketId>, String, String, Vec<String>),
    Ack(String, u64, Vec<String>),
    Error(String, Option<u32>, Option<u32>),
    Noop,
}

impl Owned {
    fn packet(&self) -> Packet<'_> {
        match self {
            Self::Disconnect(endpoint) => Packet::Disconnect { endpoint },
            Self::Connect(endpoint, query) => Packet::Connect { endpoint, query },
            Self::Heartbeat => Packet::Heartbeat,
            Self::Message(id, endpoint, data) => Packet::Message { id: *id, endpoint, data },
            Self::Json(id, endpoint, data) => Packet::Json { id: *id, endpoint, data },
            Self::Event(id, endpoint, name, args) => {
                Packet::Event { id: *id, endpoint, name: Cow::Borrowed(name), args: as_strs(args) }
            }
            Self::Ack(endpoint, id, args) => Packet::Ack { endpoint, id: *id, args: as_strs(args) },
            Self::Error(endpoint, reason, advice) => Packet::Error {
                endpoint,
                reason: reason.map(Reason::from_code),
                advice: advice.map(Advice::from_code),
            },
            Self::Noop => Packet::Noop,
        }
    }
}

fn as_strs(args: &[String]) -> Vec<&str> {
    args.iter().map(String::as_str).collect()
}

/// JSON in spellings that no serializer of ours would choose.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("-0.0".to_owned()),
        Just("1E+2".to_owned()),
        Just("1e999".to_owned()),
        Just("123456789012345678901234567890".to_owned()),
        Just("\"\\ud83d\"".to_owned()),
        Just("\"\\u00e9\\/:+\"".to_owned()),
        any::<i32>().prop_map(|number| number.to_string()),
        "[^\"\\\\\u{0}-\u{1f}]{0,8}".prop_map(|text| format!("\"{text}\"")),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let blank = "[ \t\r\n]{0,2}";
        prop_oneof![
            (proptest::collection::vec(inner.clone(), 0..3), blank)
                .prop_map(|(items, blank)| format!("[{blank}{}]", items.join(&format!(",{blank}")))),
            (proptest::collection::vec(inner, 0..3), blank).prop_map(|(items, blank)| {
                let members: Vec<String> =
                    items.iter().map(|item| format!("\"name\"{blank}:{blank}{item}")).collect();
                format!("{{{}{blank}}}", members.join(","))
            }),
        ]
    })
}

fn packets() -> impl Strategy<Value = Owned> {
    let id = || {
        proptest::option::of(
            (prop_oneof![0..20_u64, any::<u64>()], any::<bool>())
                .prop_map(|(number, wants_data)| PacketId { number, wants_data }),
        )
    };
    let endpoint =
        || prop_oneof![3 => Just(String::new()), 1 => "/[a-z]{0,4}(\\?a=b)?", 1 => "[^:{][^:]{0,4}"];
    let args = || proptest::collection::vec(json(), 0..3);
    let text = || ".{0,12}";
    let name = || prop_oneof![Just("ftrack.event".to_owned()), any::<String>()];
    let code = || proptest::option::of(prop_oneof![0..4_u32, any::<u32>()]);
    prop_oneof![
        1 => endpoint().prop_map(Owned::Disconnect),
        1 => (endpoint(), text()).prop_map(|(endpoint, query)| Owned::Connect(endpoint, query)),
        1 => Just(Owned::Heartbeat),
        1 => (id(), endpoint(), text()).prop_map(|(id, endpoint, data)| Owned::Message(id, endpoint, data)),
        1 => (id(), endpoint(), json()).prop_map(|(id, endpoint, data)| Owned::Json(id, endpoint, data)),
        4 => (id(), endpoint(), name(), args())
            .prop_map(|(id, endpoint, name, args)| Owned::Event(id, endpoint, name, args)),
        2 => (endpoint(), any::<u64>(), args()).prop_map(|(endpoint, id, args)| Owned::Ack(endpoint, id, args)),
        1 => (endpoint(), code(), code())
            .prop_map(|(endpoint, reason, advice)| Owned::Error(endpoint, reason, advice)),
        1 => Just(Owned::Noop),
    ]
}

/// A packet's text with a few characters cut out, put in or cut off.
fn damaged() -> impl Strategy<Value = String> {
    let edit = (any::<proptest::sample::Index>(), 0..3_usize, "[0-9:+{}\\[\\]\",a \u{e9}]{0,2}");
    (packets(), proptest::collection::vec(edit, 1..4)).prop_map(|(packet, edits)| {
        let mut text: Vec<char> = packet.packet().encode().chars().collect();
        for (place, cut, insert) in edits {
            let at = place.index(text.len() + 1);
            let end = (at + cut).min(text.len());
            text.splice(at..end, insert.chars());
        }
        text.into_iter().collect()
    })
}

/// Either an error that points into the text, or a packet that keeps its meaning when written and read again.
fn check(text: &str) -> Result<(), TestCaseError> {
    match Packet::decode(text) {
        Err(error) => prop_assert!(error.position() <= text.len()),
        Ok(packet) => {
            let canonical = packet.encode();
            let again = Packet::decode(&canonical);
            prop_assert_eq!(again.as_ref(), Ok(&packet), "{} {}", text, canonical);
            if let Packet::Event { args, .. } | Packet::Ack { args, .. } = &packet {
                for arg in args {
                    prop_assert!(text.as_bytes().as_ptr_range().contains(&arg.as_ptr()));
                }
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(20_000))]

    #[test]
    fn packets_survive_being_written_and_read(owned in packets()) {
        let packet = owned.packet();
        let text = packet.encode();
        let again = Packet::decode(&text);
        prop_assert_eq!(again.as_ref(), Ok(&packet), "{}", text);
        prop_assert_eq!(again.unwrap().encode(), text);
    }
}

proptest! {
    #![proptest_config(cases(10_000))]

    #[test]
    fn any_text_is_a_packet_or_an_error(text in any::<String>()) {
        check(&text)?;
    }

    #[test]
    fn any_text_that_starts_like_a_packet_is_a_packet_or_an_error(text in "[0-8]:[0-9]{0,2}\\+?:[/a]{0,2}:?.{0,16}") {
        check(&text)?;
    }

    #[test]
    fn any_damaged_packet_is_a_packet_or_an_error(text in damaged()) {
        check(&text)?;
    }
}
