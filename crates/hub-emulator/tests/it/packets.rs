use hub_emulator::Emulator;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{Client, event, session, subscribe, wait_for, within};

#[tokio::test]
async fn an_event_is_acknowledged_before_what_it_causes() {
    let emulator = Emulator::start().await.unwrap();
    let mut client = Client::connect(&emulator).await;
    client.subscribe(&json!({"id": "s"}), "topic=a").await;
    for n in 0..50 {
        client.publish_acked(&json!({"topic": "a", "data": n})).await;
        assert_eq!(client.next_event().await["data"], n);
    }
}

#[tokio::test]
async fn packet_ids_choose_the_acknowledgement() {
    let emulator = Emulator::start().await.unwrap();
    let mut client = Client::connect(&emulator).await;
    let a = event("a");
    for (packet, acknowledgement) in [
        (format!(r#"5:1+::{{"name":"ftrack.event","args":[{a}]}}"#), r#"6:::1+[{"success":true}]"#),
        (format!(r#"5:2::{{"name":"ftrack.event","args":[{a}]}}"#), "6:::2"),
        ("3:7::hi".to_owned(), "6:::7"),
        ("4:8::{}".to_owned(), "6:::8"),
    ] {
        client.send(&packet).await;
        assert_eq!(client.next().await, acknowledgement, "{packet}");
    }
    client.send(&format!(r#"5:::{{"name":"ftrack.event","args":[{a}]}}"#)).await;
    client.send("3:9+::hi").await;
    client.publish_acked(&a).await;
    assert_eq!(emulator.stats().acks, 5);
}

#[tokio::test]
async fn garbage_is_ignored_and_the_connection_stays() {
    let emulator = Emulator::start().await.unwrap();
    let mut client = Client::connect(&emulator).await;
    let a = event("a");
    let texts = [
        "",
        "x",
        "9::",
        "8::",
        "1::/nsp",
        "0::/nsp",
        "6:::5",
        "6:::5+[{}]",
        "5:1+::{bad json",
        "5:1+::[]",
        r#"5:1+:/nsp:{"name":"ftrack.event","args":[]}"#,
        &format!(r#"5::{{"name":"ftrack.event","args":[{a}]}}"#),
        "7:::1+0",
        "4:::{",
    ];
    for text in texts {
        client.send(text).await;
    }
    client.send_message(Message::binary(vec![0, 159, 146, 150])).await;
    client.send_message(Message::Ping(vec![1].into())).await;
    client.send_message(Message::Pong(vec![1].into())).await;
    client.publish_acked(&a).await;
    let stats = emulator.stats();
    assert_eq!(stats.frames_ignored, texts.len() as u64 + 3);
    assert_eq!((stats.events_received, emulator.state().connections), (1, 1));
}

#[tokio::test]
async fn an_event_packet_that_holds_no_event_is_refused_and_counted() {
    let emulator = Emulator::start().await.unwrap();
    let mut client = Client::connect(&emulator).await;
    client.subscribe(&json!({"id": "all"}), "topic=*").await;
    let a = event("a");
    let bodies = [
        r#"{"name":"ftrack.event"}"#.to_owned(),
        r#"{"name":"ftrack.event","args":[]}"#.to_owned(),
        r#"{"name":"ftrack.event","args":[7]}"#.to_owned(),
        r#"{"name":"ftrack.event","args":[{"data":{}}]}"#.to_owned(),
        format!(r#"{{"name":"ftrack.event","args":[{a},{a}]}}"#),
        format!(r#"{{"name":"other","args":[{a}]}}"#),
    ];
    for body in &bodies {
        client.send(&format!("5:5+::{body}")).await;
        let refusal = client.next().await;
        assert!(refusal.starts_with(r#"6:::5+[{"message":""#), "{body}: {refusal}");
        assert!(refusal.ends_with(r#""success":false}]"#), "{body}: {refusal}");
        client.send(&format!("5:::{body}")).await;
    }
    client.publish_acked(&event("end")).await;
    assert_eq!(client.next_event().await["topic"], "end");
    assert_eq!(emulator.stats().events_malformed, 2 * bodies.len() as u64);
}

#[tokio::test]
async fn a_subscription_that_does_not_parse_is_refused_with_a_reason() {
    let emulator = Emulator::start().await.unwrap();
    let mut client = Client::connect(&emulator).await;
    let number = client.publish(&subscribe(&json!({"id": "s"}), "topic=(")).await;
    let refusal = client.next().await;
    let args = refusal.strip_prefix(&format!("6:::{number}+")).unwrap();
    let args: serde_json::Value = serde_json::from_str(args).unwrap();
    assert_eq!(args[0]["success"], false);
    assert!(args[0]["message"].as_str().unwrap().contains("column"), "{refusal}");
    assert_eq!(emulator.state().subscriptions, 0);
}

#[tokio::test]
async fn an_event_arrives_byte_for_byte_whatever_its_size() {
    let emulator = Emulator::start().await.unwrap();
    let mut client = Client::connect(&emulator).await;
    client.subscribe(&json!({"id": "s"}), "topic=a").await;
    let packet_of = |event: &str| format!(r#"5:::{{"name":"ftrack.event","args":[{event}]}}"#);
    let odd = r#"{ "sent" : null, "topic":"a","data":{"é😀":"\u00e9","n":1.50e3}}"#.to_owned();
    let shortest = packet_of(r#"{"topic":"a","data":""}"#).len();
    let sized = |length: usize| {
        format!(r#"{{"topic":"a","data":"{}"}}"#, "x".repeat(length.saturating_sub(shortest)))
    };
    for event in [odd, sized(125), sized(126), sized(65_535), sized(65_536), sized(65_537), sized(5_000_000)]
    {
        client.send(&packet_of(&event)).await;
        assert!(client.next().await == packet_of(&event), "an event of {} bytes", event.len());
    }
}

#[tokio::test]
async fn members_that_official_clients_do_not_know_are_taken_out() {
    let emulator = Emulator::start().await.unwrap();
    let mut client = Client::connect(&emulator).await;
    client.subscribe(&json!({"id": "s"}), "topic=a").await;
    client
        .publish_acked(&json!({"topic": "a", "data": {"_": 1}, "trace": "x", "in_reply_to_event": 1}))
        .await;
    assert_eq!(client.next_event().await, json!({"topic": "a", "data": {"_": 1}}));
}

#[tokio::test]
async fn what_a_client_sends_right_behind_its_upgrade_is_not_lost() {
    let emulator = Emulator::start().await.unwrap();
    let session = session(&emulator).await;
    let packet = format!(r#"5:1+::{{"name":"ftrack.event","args":[{}]}}"#, r#"{"topic":"a"}"#);
    let mut bytes = format!(
        "GET /socket.io/1/websocket/{session} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
         Connection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    .into_bytes();
    // A masked text frame; the mask is zero.
    bytes.extend([0x81, 0x80 | u8::try_from(packet.len()).unwrap(), 0, 0, 0, 0]);
    bytes.extend(packet.as_bytes());
    let mut stream = tokio::net::TcpStream::connect(emulator.ftrack_addr()).await.unwrap();
    stream.write_all(&bytes).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(br#"6:::1+[{"success":true}]"#) {
        assert_ne!(within(stream.read_buf(&mut answer)).await.unwrap(), 0);
    }
    let text = String::from_utf8_lossy(&answer).to_ascii_lowercase();
    assert!(text.starts_with("http/1.1 101 "), "{text}");
    assert!(text.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{text}");
    wait_for(&emulator, |state| state.stats.events_received == 1).await;
}
