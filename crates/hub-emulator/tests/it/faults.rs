//! The fault dial of the ftrack side, in memory and in paused time.

#![expect(clippy::disallowed_methods, reason = "paused time is measured")]

use std::io::ErrorKind;
use std::time::Duration;

use hub_emulator::Emulator;
use hub_emulator::ftrack::{Action, Fault, Faults, Malformed, Stage};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};

use crate::support::{Client, event, http_over};

const HANDSHAKE: &str = "GET /socket.io/1/?api_user=ann&api_key=her-key HTTP/1.1";
const LONG: Duration = Duration::from_secs(30);

async fn lab() -> (Emulator, Faults) {
    let emulator = Emulator::builder().in_memory().start().await.unwrap();
    let faults = emulator.ftrack_faults();
    (emulator, faults)
}

fn count(faults: &Faults, name: &str) -> u64 {
    faults.fired().get(name).copied().unwrap_or(0)
}

async fn handshake(emulator: &Emulator) -> u16 {
    let stream = emulator.ftrack_stream().unwrap();
    http_over(Box::new(stream), "localhost", HANDSHAKE, "").await.0
}

/// A client that has subscribed to everything.
async fn subscribed(emulator: &Emulator) -> Client {
    let mut client = Client::in_memory(emulator).await;
    client.subscribe(&json!({"id": "s"}), "topic=*").await;
    client
}

#[tokio::test(start_paused = true)]
async fn connections_are_refused_as_often_as_asked() {
    let (emulator, faults) = lab().await;
    faults.add(Fault::new(Action::Refuse).skip(1).times(2)).unwrap();
    let opened: Vec<bool> = (0..4).map(|_| emulator.ftrack_stream().is_ok()).collect();
    assert_eq!(opened, [true, false, false, true]);
    assert_eq!((count(&faults, "refuse"), faults.waiting().len()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn a_handshake_is_answered_by_a_status_or_late_or_not_at_all() {
    let (emulator, faults) = lab().await;
    for status in [401, 403, 503] {
        faults.add(Fault::new(Action::Status { status, body: String::new() })).unwrap();
        assert_eq!(handshake(&emulator).await, status);
    }
    faults.add(Fault::new(Action::Delay { ms: 5_000 }).user("ann")).unwrap();
    let start = Instant::now();
    assert_eq!((handshake(&emulator).await, start.elapsed()), (200, Duration::from_secs(5)));
    faults.add(Fault::new(Action::Silent).at(Stage::Handshake)).unwrap();
    let mut stream = emulator.ftrack_stream().unwrap();
    stream.write_all(format!("{HANDSHAKE}\r\nHost: localhost\r\n\r\n").as_bytes()).await.unwrap();
    assert!(timeout(LONG * 10, stream.read_u8()).await.is_err(), "neither an answer nor an end");
    assert_eq!((count(&faults, "status"), count(&faults, "delay"), count(&faults, "silent")), (3, 1, 1));
    assert_eq!(handshake(&emulator).await, 200);
}

#[tokio::test(start_paused = true)]
async fn a_link_ends_by_fin_or_by_reset_or_not_at_all() {
    let (emulator, faults) = lab().await;
    let mut ended = subscribed(&emulator).await.into_stream();
    assert_eq!(faults.fire(Action::Fin).unwrap(), 1);
    assert_eq!(ended.read(&mut [0; 9]).await.unwrap(), 0);

    let mut reset = subscribed(&emulator).await.into_stream();
    assert_eq!(faults.fire(Action::Reset).unwrap(), 1);
    assert_eq!(reset.read(&mut [0; 9]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);

    for action in [Action::Silent, Action::HalfOpen] {
        let mut quiet = subscribed(&emulator).await.into_stream();
        assert_eq!(faults.fire(action).unwrap(), 1);
        emulator.publish(event_core::Event::new("a", &1).unwrap()).unwrap();
        assert!(timeout(LONG * 10, quiet.read_u8()).await.is_err());
        assert_eq!(emulator.state().connections, 0, "given up after the heartbeat timeout");
        drop(quiet);
    }
    assert_eq!(emulator.stats().cut_silent, 2);
    assert_eq!(count(&faults, "silent") + count(&faults, "half_open"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_half_open_peer_stops_reading_and_a_silent_one_does_not() {
    let (emulator, faults) = lab().await;
    for (action, takes_all) in [(Action::Silent, true), (Action::HalfOpen, false)] {
        let mut stream = subscribed(&emulator).await.into_stream();
        faults.fire(action).unwrap();
        let written = timeout(LONG, stream.write_all(&vec![0; 1_000_000])).await;
        assert_eq!(written.is_ok(), takes_all);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_is_put_out_by_every_farewell() {
    let (emulator, faults) = lab().await;
    for (action, farewell) in [
        (Action::Disconnect, "0::"),
        (Action::ErrorPacket { packet: "7:::1+0".into(), stays: false }, "7:::1+0"),
    ] {
        let mut client = subscribed(&emulator).await;
        faults.fire(action).unwrap();
        assert_eq!(client.rest().await, [farewell]);
    }
    let mut stream = subscribed(&emulator).await.into_stream();
    faults.fire(Action::Close { code: 1001 }).unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, [0x88, 2, 0x03, 0xe9]);
    let mut client = subscribed(&emulator).await;
    faults.fire(Action::ErrorPacket { packet: "7:::2".into(), stays: true }).unwrap();
    assert_eq!(client.next().await, "7:::2");
    client.publish_acked(&event("b")).await;
}

#[tokio::test(start_paused = true)]
async fn a_fault_strikes_after_packets_or_bytes_or_a_while() {
    let (emulator, faults) = lab().await;
    faults.add(Fault::new(Action::Disconnect).after_packets(2)).unwrap();
    let mut client = subscribed(&emulator).await;
    client.publish_acked(&json!({"topic": "a", "id": "1"})).await;
    client.next_event().await;
    assert_eq!(client.rest().await, ["0::"]);

    faults.add(Fault::new(Action::Fin).after_bytes(1_000)).unwrap();
    let mut client = Client::in_memory(&emulator).await;
    client.send(&"x".repeat(999)).await;
    client.send("x").await;
    assert!(client.rest().await.is_empty());

    faults.add(Fault::new(Action::Reset).after(Duration::from_secs(7))).unwrap();
    let start = Instant::now();
    let mut client = Client::in_memory(&emulator).await;
    assert!(client.rest().await.is_empty());
    assert_eq!(start.elapsed(), Duration::from_secs(7));
}

#[tokio::test(start_paused = true)]
async fn a_fault_whose_connection_ends_early_waits_for_the_next() {
    let (emulator, faults) = lab().await;
    faults.add(Fault::new(Action::Disconnect).after_packets(1)).unwrap();
    drop(Client::in_memory(&emulator).await);
    emulator.wait_for(|state| state.connections == 0).await;
    assert_eq!((faults.waiting().len(), count(&faults, "disconnect")), (1, 0));
    let mut client = Client::in_memory(&emulator).await;
    client.send("2::").await;
    assert_eq!(client.rest().await, ["0::"]);
    assert_eq!(faults.waiting().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn only_the_connection_or_the_user_meant_is_struck() {
    let (emulator, faults) = lab().await;
    let mut first = subscribed(&emulator).await;
    let mut second = subscribed(&emulator).await;
    assert!(!faults.fire_at(99, Action::Disconnect).unwrap());
    let id = emulator.connections()[1].id;
    assert!(faults.fire_at(id, Action::Disconnect).unwrap());
    assert_eq!(second.rest().await, ["0::"]);
    first.publish_acked(&event("b")).await;
    faults.add(Fault::new(Action::Fin).user("ben").times(0)).unwrap();
    subscribed(&emulator).await.publish_acked(&event("b")).await;
}

#[tokio::test(start_paused = true)]
async fn acknowledgements_are_withheld_delayed_reordered_and_refused() {
    let (emulator, faults) = lab().await;
    let mut client = Client::in_memory(&emulator).await;
    let ack = |number: u64| format!(r#"6:::{number}+[{{"success":true}}]"#);

    faults.fire(Action::WithholdAcks { count: 2 }).unwrap();
    for _ in 0..3 {
        client.publish(&event("a")).await;
    }
    assert_eq!(client.next().await, ack(3));
    assert_eq!(emulator.stats().events_received, 3, "they were done all the same");

    let start = Instant::now();
    faults.fire(Action::DelayAcks { count: 1, ms: 2_000 }).unwrap();
    client.publish(&event("a")).await;
    client.publish(&event("a")).await;
    assert_eq!((client.next().await, client.next().await), (ack(5), ack(4)));
    assert_eq!(start.elapsed(), Duration::from_secs(2));

    faults.fire(Action::RefuseAcks { count: 1, every: 2 }).unwrap();
    client.publish_acked(&event("a")).await;
    client.publish(&event("a")).await;
    assert_eq!(client.next().await, r#"6:::7+[{"message":"refused on demand","success":false}]"#);
    client.publish_acked(&event("a")).await;
    assert_eq!(emulator.stats().events_received, 7, "the refused one was not done");

    faults.fire(Action::ReorderAcks { window: 3 }).unwrap();
    for _ in 0..3 {
        client.publish(&event("a")).await;
    }
    assert_eq!([client.next().await, client.next().await, client.next().await], [ack(11), ack(10), ack(9)]);
    let fired: Vec<(&str, u64)> = faults.fired().into_iter().collect();
    assert_eq!(fired, [("delay_acks", 1), ("refuse_acks", 1), ("reorder_acks", 1), ("withhold_acks", 2)],);
}

#[tokio::test(start_paused = true)]
async fn every_malformed_thing_goes_out_and_the_connection_stays_unless_its_form_ends_it() {
    let (emulator, faults) = lab().await;
    for kind in Malformed::ALL {
        let mut stream = Client::in_memory(&emulator).await.into_stream();
        assert_eq!(faults.fire(Action::Malformed { kind }).unwrap(), 1);
        let mut first = [0; 2];
        stream.read_exact(&mut first).await.unwrap();
        assert_eq!(emulator.state().connections, usize::from(kind != Malformed::TruncatedFrame), "{kind:?}");
        faults.fire(Action::Fin).unwrap();
    }
    assert_eq!(count(&faults, "malformed"), Malformed::ALL.len() as u64);
}

#[tokio::test(start_paused = true)]
async fn slow_reads_and_trickling_take_their_time_and_change_nothing_else() {
    let (emulator, faults) = lab().await;
    faults.add(Fault::new(Action::SlowReads { bytes: 100, pause_ms: 100 })).unwrap();
    faults.add(Fault::new(Action::Trickle { bytes: 1, pause_ms: 10 }).skip(1)).unwrap();
    let mut client = Client::in_memory(&emulator).await;
    let start = Instant::now();
    client.publish_acked(&json!({"topic": "a", "data": "x".repeat(1_000)})).await;
    assert!(start.elapsed() >= Duration::from_secs(1), "{:?}", start.elapsed());
    let mut client = Client::in_memory(&emulator).await;
    let start = Instant::now();
    client.publish_acked(&event("a")).await;
    assert!(start.elapsed() >= Duration::from_millis(250), "{:?}", start.elapsed());
    faults.add(Fault::new(Action::Trickle { bytes: 1, pause_ms: 0 }).at(Stage::Connect).times(0)).unwrap();
    let start = Instant::now();
    Client::in_memory(&emulator).await.publish_acked(&event("a")).await;
    assert_eq!(start.elapsed(), Duration::ZERO, "byte by byte, without pauses");
}

#[tokio::test(start_paused = true)]
async fn a_busy_publisher_is_put_out_by_the_volume_it_ever_sent() {
    let (emulator, faults) = lab().await;
    faults.add(Fault::new(Action::DestroyBuffer { bytes: 10_000 }).times(0)).unwrap();
    for _ in 0..2 {
        let mut client = Client::in_memory(&emulator).await;
        let mut acknowledged = 0;
        loop {
            client.publish(&json!({"topic": "a", "data": "x".repeat(1_000)})).await;
            match client.next().await.as_str() {
                "0::" => break,
                _ => acknowledged += 1,
            }
        }
        assert_eq!(acknowledged, 9);
        assert!(client.rest().await.is_empty());
    }
    assert_eq!((count(&faults, "destroy_buffer"), emulator.stats().events_received), (2, 18));
}

#[tokio::test(start_paused = true)]
async fn a_flapping_service_is_up_and_down_in_turn() {
    let (emulator, faults) = lab().await;
    let (up, down) = (Duration::from_millis(500), Duration::from_secs(2));
    faults.flap(up, down);
    let start = Instant::now();
    for round in 1..=3 {
        let mut client = Client::in_memory(&emulator).await;
        assert!(client.rest().await.is_empty());
        assert_eq!(start.elapsed(), (up + down) * (round - 1) + up);
        assert_eq!(emulator.ftrack_stream().unwrap_err().kind(), ErrorKind::ConnectionRefused);
        tokio::time::sleep(down).await; // paused
        tokio::task::yield_now().await;
    }
    assert_eq!(count(&faults, "flap"), 3);
    faults.clear();
    let mut client = Client::in_memory(&emulator).await;
    assert_eq!(client.next().await, "2::");
}

#[tokio::test(start_paused = true)]
async fn a_rolling_restart_puts_clients_out_one_after_the_other() {
    let (emulator, faults) = lab().await;
    let mut clients = [Client::in_memory(&emulator).await, Client::in_memory(&emulator).await];
    let start = Instant::now();
    assert_eq!(faults.rolling_restart(Duration::from_secs(3)), 2);
    for (client, after) in clients.iter_mut().zip([0, 3]) {
        assert_eq!(client.rest().await, ["0::"]);
        assert_eq!(start.elapsed(), Duration::from_secs(after));
    }
    assert_eq!(count(&faults, "rolling_restart"), 2);
}

#[tokio::test]
async fn over_tcp_a_refusal_and_a_reset_are_resets() {
    let emulator = Emulator::start().await.unwrap();
    let faults = emulator.ftrack_faults();
    let mut stream = Client::connect(&emulator).await.into_stream();
    faults.fire(Action::Reset).unwrap();
    assert_eq!(stream.read(&mut [0; 9]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    faults.add(Fault::new(Action::Refuse)).unwrap();
    let mut stream = tokio::net::TcpStream::connect(emulator.ftrack_addr()).await.unwrap();
    assert_eq!(stream.read(&mut [0; 9]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_is_refused_and_a_stop_leaves_no_task() {
    let (emulator, faults) = lab().await;
    let status = |status| Action::Status { status, body: String::new() };
    for fault in [
        Fault::new(status(99)),
        Fault::new(status(503)).at(Stage::Link),
        Fault::new(Action::Refuse).user("ann"),
        Fault::new(Action::Refuse).after_packets(1),
        Fault::new(Action::Disconnect).at(Stage::Connect),
        Fault::new(Action::Close { code: 5 }),
        Fault::new(Action::ReorderAcks { window: 1 }),
        Fault::new(Action::Trickle { bytes: 0, pause_ms: 0 }),
    ] {
        let error = faults.add(fault.clone()).unwrap_err();
        assert_eq!(error.kind(), hub_emulator::ErrorKind::InvalidFault, "{fault:?}");
    }
    assert!(faults.fire(Action::Refuse).is_err() && faults.fire(Action::DestroyBuffer { bytes: 1 }).is_err());
    let _quiet = subscribed(&emulator).await;
    faults.fire(Action::Silent).unwrap();
    faults.flap(LONG, LONG);
    emulator.stop().await;
    assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
}
