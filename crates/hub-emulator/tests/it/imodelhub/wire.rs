//! Over loopback, in real time.

use std::fmt::Write as _;
use std::net::SocketAddr;

use hub_emulator::Emulator;
use hub_emulator::imodelhub::{Action, Fault};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{IMODEL, after, instance, subscriptions};
use crate::support::within;

/// One kept-alive connection.
pub(super) struct Wire {
    stream: TcpStream,
    address: SocketAddr,
    read: Vec<u8>,
}

pub(super) struct Reply {
    pub(super) status: u16,
    /// In lower case.
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl Wire {
    pub(super) async fn connect(emulator: &Emulator) -> Self {
        let address = emulator.imodelhub_addr();
        Self { stream: TcpStream::connect(address).await.unwrap(), address, read: Vec::new() }
    }

    /// `head` is the request line and headers; `Host` is added if it has none.
    pub(super) async fn send(&mut self, head: &str, body: &str) {
        let mut request = head.trim_end().replace('\n', "\r\n");
        if !head.contains("\nHost:") {
            let _ = write!(request, "\r\nHost: {}", self.address);
        }
        if !body.is_empty() {
            let _ = write!(request, "\r\nContent-Length: {}", body.len());
        }
        let _ = write!(request, "\r\n\r\n{body}");
        self.stream.write_all(request.as_bytes()).await.unwrap();
    }

    /// What comes back; `None` when the connection ends before it does.
    pub(super) async fn reply(&mut self) -> Result<Reply, std::io::Error> {
        let end = loop {
            if let Some(end) = self.read.windows(4).position(|window| window == b"\r\n\r\n") {
                break end;
            }
            self.more().await?;
        };
        let head = String::from_utf8(self.read.drain(..end + 4).collect()).unwrap().to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length = length.map_or(0, |length| length.trim().parse().unwrap());
        while self.read.len() < length {
            self.more().await?;
        }
        let body = self.read.drain(..length).collect();
        Ok(Reply { status: head.split(' ').nth(1).unwrap().parse().unwrap(), head, body })
    }

    async fn more(&mut self) -> Result<(), std::io::Error> {
        match within(self.stream.read_buf(&mut self.read)).await? {
            0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    pub(super) async fn ask(&mut self, head: &str, body: &str) -> Reply {
        self.send(head, body).await;
        self.reply().await.unwrap()
    }

    /// A REST request: the instance after it.
    pub(super) async fn rest(&mut self, path: &str, body: &Value) -> Value {
        let head = format!("POST {path} HTTP/1.1\nAuthorization: Bearer jwt\nContent-Type: application/json");
        let reply = self.ask(&head, &body.to_string()).await;
        assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
        after(&serde_json::from_slice(&reply.body).unwrap()).clone()
    }

    /// Path of the queue's head, and SAS token.
    pub(super) async fn subscribe(&mut self, types: &[&str]) -> (String, String) {
        let made = self.rest(&subscriptions(""), &instance(&json!({"EventTypes": types}))).await;
        let sas = self.rest(&subscriptions("").replace("Subscription", "SAS"), &json!({})).await;
        let text = |name: &str| sas["properties"][name].as_str().unwrap().to_owned();
        let base = text("BaseAddress");
        let path = base.strip_prefix(&format!("http://{}", self.address)).unwrap();
        let id = made["instanceId"].as_str().unwrap();
        (format!("{path}/Subscriptions/{id}/messages/head"), text("EventServiceSASToken"))
    }
}

#[tokio::test]
async fn one_connection_serves_everything() {
    let emulator = Emulator::start().await.unwrap();
    let mut wire = Wire::connect(&emulator).await;
    let (head, sas) = wire.subscribe(&["VersionEvent"]).await;
    assert_eq!(emulator.publish_imodel_event(IMODEL, "VersionEvent", Some(json!({"n": 1}))), 1);
    // As the native client sends it.
    let native = "Content-Length: 0\nContent-Type: application/atom+xml;type=entry;charset=utf-8";
    let first =
        wire.ask(&format!("DELETE {head}?timeout=5 HTTP/1.1\nAuthorization: {sas}\n{native}"), "").await;
    assert_eq!((first.status, &first.body[63..]), (200, &br#"{"n":1}"#[..]));
    assert!(first.head.contains("\r\ncontent-type: versionevent\r\n"), "{}", first.head);
    assert!(first.head.contains("\r\nbrokerproperties: {\"deliverycount\":1,"), "{}", first.head);
    // As azure-sb sends it.
    let azure = "Accept-Charset: UTF-8\ncontent-type: \ncontent-length: 0\nHost: 127.0.0.1";
    let head = head.replace("messages/head", "Messages/Head");
    let own = "SharedAccessSignature sig=s&se=99999999999&skn=k&sr=x";
    let second = wire
        .ask(
            &format!("POST {head}?timeout=0&api-version=2016-07 HTTP/1.1\nAuthorization: {own}\n{azure}"),
            "",
        )
        .await;
    assert_eq!(second.status, 204);
    emulator.publish_imodel_event(IMODEL, "VersionEvent", None);
    let third = wire.ask(&format!("POST {head} HTTP/1.1\nAuthorization: {own}\n{azure}"), "").await;
    assert!(third.status == 201 && third.head.contains("location: http://127.0.0.1/bus/"), "{}", third.head);
}

#[tokio::test]
async fn a_poll_over_the_wire_wakes_at_once_and_a_closed_one_takes_nothing() {
    let emulator = Emulator::start().await.unwrap();
    let mut wire = Wire::connect(&emulator).await;
    let (head, sas) = wire.subscribe(&["VersionEvent"]).await;
    let poll = format!("DELETE {head}?timeout=60 HTTP/1.1\nAuthorization: {sas}");
    wire.send(&poll, "").await;
    within(emulator.wait_for_imodelhub(|state| state.waiting() == 1)).await;
    emulator.publish_imodel_event(IMODEL, "VersionEvent", Some(json!(1)));
    assert_eq!(wire.reply().await.unwrap().status, 200);
    wire.send(&poll, "").await;
    within(emulator.wait_for_imodelhub(|state| state.waiting() == 1)).await;
    drop(wire);
    within(emulator.wait_for_imodelhub(|state| state.waiting() == 0)).await;
    emulator.publish_imodel_event(IMODEL, "VersionEvent", Some(json!(2)));
    assert_eq!(emulator.imodelhub_state().queued(), 1);
}

#[tokio::test]
async fn resets_and_cut_bodies_are_what_they_say() {
    let emulator = Emulator::start().await.unwrap();
    let mut wire = Wire::connect(&emulator).await;
    let (head, sas) = wire.subscribe(&["VersionEvent"]).await;
    let poll = format!("DELETE {head}?timeout=60 HTTP/1.1\nAuthorization: {sas}");
    for action in [Action::Reset, Action::ResetWaiting { after_ms: 1 }, Action::ResetAfterDequeue] {
        emulator.publish_imodel_event(IMODEL, "VersionEvent", None);
        emulator.add_fault(Fault::new(action.clone())).unwrap();
        wire.send(&poll, "").await;
        let Err(error) = wire.reply().await else { panic!("{action:?}: an answer") };
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{action:?}");
        wire = Wire::connect(&emulator).await;
    }
    assert_eq!(emulator.imodelhub_state().queued(), 2, "only the last took its message");
    emulator.add_fault(Fault::new(Action::CutBody)).unwrap();
    wire.send(&poll, "").await;
    assert!(wire.reply().await.is_err());
    let got = String::from_utf8_lossy(&wire.read).into_owned();
    assert!(got.contains("schemas.microsoft.com") && !got.contains('}'), "{got}");
    let mut wire = Wire::connect(&emulator).await;
    assert_eq!(wire.ask(&poll, "").await.status, 200);
}

#[tokio::test]
async fn foreign_pages_are_kept_out_here_too() {
    let emulator = Emulator::builder().allow_host("emulator").start().await.unwrap();
    let mut wire = Wire::connect(&emulator).await;
    for (headers, status) in [
        ("Host: evil.example", 403),
        ("Host: localhost\nOrigin: http://evil.example", 403),
        ("Host: localhost\nSec-Fetch-Site: cross-site", 403),
        ("Host: emulator:7001", 200),
        ("Host: localhost\nOrigin: http://localhost:3000", 200),
    ] {
        for path in ["/", "/admin/state"] {
            assert_eq!(
                wire.ask(&format!("GET {path} HTTP/1.1\n{headers}"), "").await.status,
                status,
                "{headers}"
            );
        }
    }
    assert_eq!(emulator.imodelhub_stats().foreign_requests, 6);
    let sas = subscriptions("").replace("Subscription", "SAS");
    let asked = format!("POST {sas} HTTP/1.1\nHost: emulator:7001\nAuthorization: Bearer x");
    let reply = wire.ask(&asked, "{}").await;
    assert!(String::from_utf8_lossy(&reply.body).contains("http://emulator:7001/bus/"));
}

#[tokio::test]
async fn a_restart_keeps_queues_and_ports_and_ends_connections() {
    let emulator = Emulator::start().await.unwrap();
    let (mut wire, url) = (Wire::connect(&emulator).await, emulator.imodelhub_url());
    let (head, sas) = wire.subscribe(&["VersionEvent"]).await;
    emulator.publish_imodel_event(IMODEL, "VersionEvent", None);
    emulator.restart().await.unwrap();
    assert!(wire.reply().await.is_err());
    assert_eq!(emulator.imodelhub_url(), url);
    let mut wire = Wire::connect(&emulator).await;
    assert_eq!(wire.ask(&format!("DELETE {head} HTTP/1.1\nAuthorization: {sas}"), "").await.status, 200);
    emulator.stop().await;
    assert!(!emulator.imodelhub_state().running);
    assert!(TcpStream::connect(emulator.imodelhub_addr()).await.is_err());
    assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
}

#[tokio::test]
async fn each_service_can_be_left_out() {
    let emulator = Emulator::builder().without_imodelhub().start().await.unwrap();
    assert!(emulator.state().running && !emulator.imodelhub_state().running);
    let emulator = Emulator::builder().without_ftrack().start().await.unwrap();
    assert!(!emulator.state().running && emulator.imodelhub_state().running);
    let far = "0.0.0.0:0".parse().unwrap();
    let refused = Emulator::builder().imodelhub_addr(far).start().await.unwrap_err();
    assert_eq!(refused.kind(), hub_emulator::ErrorKind::NotLoopback);
    let taken = Emulator::builder().imodelhub_addr(emulator.imodelhub_addr()).start().await.unwrap_err();
    assert_eq!(taken.kind(), hub_emulator::ErrorKind::AddressInUse);
}
