//! A raw client: what it sends and gets is packet text.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use hub_emulator::{Emulator, State};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::{Error, Message};
use transport_ws::dial::BoxedIo;

/// Far longer than anything here takes; a test that reaches it has failed.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it takes too long")
}

pub(crate) async fn wait_for(emulator: &Emulator, condition: impl FnMut(&State) -> bool) -> State {
    within(emulator.wait_for(condition)).await
}

/// One request on a connection of its own: status and body. `head` is the request line and headers.
pub(crate) async fn http(address: SocketAddr, head: &str, body: &str) -> (u16, String) {
    let (status, _, body) = http_full(address, head, body).await;
    (status, body)
}

/// Status, head in lower case, and body.
pub(crate) async fn http_full(address: SocketAddr, head: &str, body: &str) -> (u16, String, String) {
    http_over(Box::new(TcpStream::connect(address).await.unwrap()), &address.to_string(), head, body).await
}

/// The same on a stream that is there.
pub(crate) async fn http_over(
    mut stream: BoxedIo,
    host: &str,
    head: &str,
    body: &str,
) -> (u16, String, String) {
    let mut request = head.trim_end().replace('\n', "\r\n");
    if !head.to_ascii_lowercase().contains("\nhost:") {
        let _ = write!(request, "\r\nHost: {host}");
    }
    let _ = write!(request, "\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    within(stream.read_to_string(&mut answer)).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_ascii_lowercase(), body.to_owned())
}

pub(crate) async fn get(emulator: &Emulator, path: &str) -> (u16, String) {
    http(emulator.ftrack_addr(), &format!("GET {path} HTTP/1.1"), "").await
}

/// A session id, by a handshake.
pub(crate) async fn session(emulator: &Emulator) -> String {
    let (status, body) = get(emulator, "/socket.io/1/?api_user=ann&api_key=her-key").await;
    assert_eq!(status, 200, "{body}");
    body.split(':').next().unwrap().to_owned()
}

pub(crate) struct Client {
    socket: WebSocketStream<BoxedIo>,
    packets: u64,
}

impl Client {
    /// Handshake, websocket, `1::`.
    pub(crate) async fn connect(emulator: &Emulator) -> Self {
        let session = session(emulator).await;
        let mut client = Self::with_session(emulator, &session).await;
        assert_eq!(client.next().await, "1::");
        client
    }

    /// Only the websocket.
    pub(crate) async fn with_session(emulator: &Emulator, session: &str) -> Self {
        let stream = TcpStream::connect(emulator.ftrack_addr()).await.unwrap();
        Self::on(Box::new(stream), session).await
    }

    /// All of it in memory.
    pub(crate) async fn in_memory(emulator: &Emulator) -> Self {
        let head = "GET /socket.io/1/?api_user=ann&api_key=her-key HTTP/1.1";
        let stream = emulator.ftrack_stream().unwrap();
        let (status, _, body) = http_over(Box::new(stream), "localhost", head, "").await;
        assert_eq!(status, 200, "{body}");
        let session = body.split(':').next().unwrap();
        let mut client = Self::on(Box::new(emulator.ftrack_stream().unwrap()), session).await;
        assert_eq!(client.next().await, "1::");
        client
    }

    /// The websocket on a stream that is there.
    pub(crate) async fn on(stream: BoxedIo, session: &str) -> Self {
        let mut request =
            format!("ws://localhost/socket.io/1/websocket/{session}").into_client_request().unwrap();
        let offered = "permessage-deflate; client_max_window_bits".parse().unwrap();
        request.headers_mut().insert("sec-websocket-extensions", offered);
        let (socket, response) = within(tokio_tungstenite::client_async(request, stream)).await.unwrap();
        assert!(response.headers().get("sec-websocket-extensions").is_none());
        assert!(response.headers().get("sec-websocket-protocol").is_none());
        Self { socket, packets: 0 }
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.send_message(Message::text(text)).await;
    }

    pub(crate) async fn send_message(&mut self, message: Message) {
        within(self.socket.send(message)).await.unwrap();
    }

    /// Sends what may find the connection closed.
    pub(crate) async fn try_send(&mut self, text: &str) -> bool {
        within(self.socket.send(Message::text(text))).await.is_ok()
    }

    pub(crate) async fn next(&mut self) -> String {
        match within(self.socket.next()).await {
            Some(Ok(Message::Text(text))) => text.to_string(),
            other => panic!("not a text frame: {other:?}"),
        }
    }

    /// The event of the next packet, which must be exactly what a hub may send.
    pub(crate) async fn next_event(&mut self) -> Value {
        let packet = self.next().await;
        let event = packet
            .strip_prefix(r#"5:::{"name":"ftrack.event","args":["#)
            .and_then(|rest| rest.strip_suffix("]}"))
            .unwrap_or_else(|| panic!("not an event: {packet}"));
        serde_json::from_str(event).unwrap()
    }

    /// Publishes with a packet id that wants data; gives the number.
    pub(crate) async fn publish(&mut self, event: &Value) -> u64 {
        self.packets += 1;
        let number = self.packets;
        self.send(&format!(r#"5:{number}+::{{"name": "ftrack.event", "args": [{event}]}}"#)).await;
        number
    }

    /// Publishes and expects success before anything else.
    pub(crate) async fn publish_acked(&mut self, event: &Value) {
        let number = self.publish(event).await;
        assert_eq!(self.next().await, format!(r#"6:::{number}+[{{"success":true}}]"#));
    }

    pub(crate) async fn subscribe(&mut self, subscriber: &Value, expression: &str) {
        self.publish_acked(&subscribe(subscriber, expression)).await;
    }

    pub(crate) async fn unsubscribe(&mut self, id: &str) {
        let event = json!({"topic": "ftrack.meta.unsubscribe", "data": {"subscriber": {"id": id}}});
        self.publish_acked(&event).await;
    }

    /// Everything up to the end of the connection, which must come without a Close frame.
    pub(crate) async fn rest(&mut self) -> Vec<String> {
        let mut rest = Vec::new();
        loop {
            match within(self.socket.next()).await {
                Some(Ok(Message::Text(text))) => rest.push(text.to_string()),
                Some(Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) | Error::Io(_)))
                | None => return rest,
                other => panic!("neither a text frame nor the end: {other:?}"),
            }
        }
    }

    /// The bare socket.
    pub(crate) fn into_stream(self) -> BoxedIo {
        self.socket.into_inner()
    }
}

pub(crate) fn subscribe(subscriber: &Value, expression: &str) -> Value {
    let data = json!({"subscriber": subscriber, "subscription": expression});
    json!({"topic": "ftrack.meta.subscribe", "data": data, "source": {"id": "hub"}})
}

pub(crate) fn event(topic: &str) -> Value {
    json!({"topic": topic, "data": {"n": 1}, "target": "", "source": {"id": "hub"}})
}

pub(crate) fn targeted(topic: &str, target: &str) -> Value {
    json!({"topic": topic, "data": {}, "target": target})
}
