//! The codec against everything recorded from the official clients and the real server.

use std::collections::BTreeMap;

use transport_ws::packet::{Packet, PacketId};

use crate::support::{CLIENTS, PROBE, Record, records};

/// How the packet's text relates to the text that `encode` writes.
fn form(text: &str, packet: &Packet<'_>) -> &'static str {
    let canonical = packet.encode();
    if canonical == text {
        return "canonical";
    }
    if text == "2:::" {
        return "2:::";
    }
    // Python's json.dumps: blanks in the wrapper. The argument itself is raw, so it is the same in both.
    if text.replacen("{\"name\": \"", "{\"name\":\"", 1).replacen(", \"args\": [", ",\"args\":[", 1)
        == canonical
    {
        return "python blanks";
    }
    "other"
}

/// The text must contain each argument, byte for byte, and the packet must survive being written again.
fn check(text: &str, packet: &Packet<'_>) {
    if let Packet::Event { args, .. } | Packet::Ack { args, .. } = packet {
        for arg in args {
            assert!(text.contains(arg) && text.as_bytes().as_ptr_range().contains(&arg.as_ptr()));
        }
    }
    assert_eq!(Packet::decode(&packet.encode()).as_ref(), Ok(packet));
}

#[test]
fn every_packet_of_the_official_clients_decodes_and_encodes_again() {
    let counts: Vec<String> = CLIENTS
        .iter()
        .map(|file| {
            let mut forms: BTreeMap<&str, usize> = BTreeMap::new();
            for record in records(file).iter().filter(|record| record.kind() == "ws-text") {
                let packet = Packet::decode(record.text()).unwrap();
                check(record.text(), &packet);
                *forms.entry(form(record.text(), &packet)).or_default() += 1;
            }
            format!("{file}: {} packets, {forms:?}", forms.values().sum::<usize>())
        })
        .collect();
    println!("{counts:#?}");
    assert_eq!(
        counts,
        [
            r#"ftrack-js-1.11.2-functional: 452 packets, {"canonical": 452}"#,
            r#"ftrack-js-1.11.2-story: 21 packets, {"canonical": 21}"#,
            r#"ftrack-js-head-story: 21 packets, {"canonical": 21}"#,
            r#"ftrack-python-3.1.0-functional: 768 packets, {"2:::": 8, "canonical": 494, "python blanks": 266}"#,
            r#"ftrack-python-3.1.0-story: 30 packets, {"2:::": 4, "canonical": 17, "python blanks": 9}"#,
        ]
    );
}

fn outcome(record: &Record) -> String {
    let side = if record.is_from_server() { "server" } else { "client" };
    let cut = if record.is_truncated() { " (cut by the recorder)" } else { "" };
    let text = record.text();
    let what = match Packet::decode(text) {
        Ok(packet) => {
            check(text, &packet);
            let ack = |id: Option<PacketId>| match id {
                None => "",
                Some(PacketId { wants_data: false, .. }) => " N",
                Some(_) => " N+",
            };
            match packet {
                Packet::Disconnect { .. } => "disconnect".to_owned(),
                Packet::Connect { endpoint, .. } => format!("connect {endpoint:?}"),
                Packet::Heartbeat => "heartbeat".to_owned(),
                Packet::Message { id, .. } => format!("message{}", ack(id)),
                Packet::Json { .. } => "json".to_owned(),
                Packet::Event { id, endpoint, args, .. } => {
                    format!("event{} {endpoint:?} args {}", ack(id), args.len())
                }
                Packet::Ack { args, .. } => format!("ack args {}", args.len()),
                Packet::Error { reason, advice, .. } => format!("error {reason:?} {advice:?}"),
                Packet::Noop => "noop".to_owned(),
                other => panic!("a packet of a new kind: {other:?}"),
            }
        }
        Err(error) => format!("{:?}", error.kind()),
    };
    format!("{side}: {what}{cut}")
}

#[test]
fn every_text_of_the_probe_gives_a_packet_or_a_documented_error() {
    let mut table: BTreeMap<String, usize> = BTreeMap::new();
    for record in records(PROBE).iter().filter(|record| record.kind() == "ws-text") {
        *table.entry(outcome(record)).or_default() += 1;
    }
    let rows: Vec<String> = table.iter().map(|(outcome, count)| format!("{count:3} {outcome}")).collect();
    println!("{rows:#?}");
    assert_eq!(table.values().sum::<usize>(), 161);
    assert_eq!(
        rows,
        [
            "  2 client: BadJson", // `{bad json`, and the first half of a fragmented message
            " 80 client: BadJson (cut by the recorder)",
            "  1 client: Empty",
            "  1 client: MissingSeparator", // `0`
            "  2 client: UnknownType",      // `9::` and `hello`
            "  1 client: ack args 1",
            "  1 client: connect \"/nsp\"",
            "  1 client: disconnect",
            "  5 client: event \"\" args 1", // one of them `5::{..}`, which the old server drops
            "  1 client: event N \"\" args 1",
            "  1 client: event N+ \"\" args 0",
            "  6 client: event N+ \"\" args 1",
            "  1 client: event N+ \"/nsp\" args 1",
            "  2 client: heartbeat", // `2::` and `2:::`
            "  1 client: json",
            "  1 client: message",
            "  1 client: message N",
            "  1 client: message N+",
            "  1 client: noop",
            "  1 server: Empty", // the packet of exactly 65,536 bytes
            "  2 server: ack args 0",
            "  6 server: ack args 1",
            " 37 server: connect \"\"",
            "  1 server: disconnect",
            "  2 server: error Some(ClientNotHandshaken) Some(Reconnect)",
            "  2 server: message",
        ]
    );
}
