//! A server that does what a test says, over TCP.

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::support::within;

pub(crate) struct Scripted(TcpListener);

impl Scripted {
    pub(crate) async fn start() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.0.local_addr().unwrap())
    }

    /// Reads one request on a connection of its own, answers with this text, and returns the request.
    pub(crate) async fn answer(&self, text: &str) -> String {
        let (mut stream, _) = within(self.0.accept()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(within(stream.read_u8()).await.unwrap());
        }
        stream.write_all(text.as_bytes()).await.unwrap();
        String::from_utf8(head).unwrap()
    }

    /// The same with status 200.
    pub(crate) async fn grant(&self, body: &str) -> String {
        self.answer(&format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())).await
    }

    /// A whole connection: handshake, websocket, `1::`, and the hub's own subscription.
    pub(crate) async fn accept(&self) -> Peer {
        self.accept_for("SID:60:60:websocket").await
    }

    /// The same with this answer to the handshake.
    pub(crate) async fn accept_for(&self, handshake: &str) -> Peer {
        self.grant(handshake).await;
        let (stream, _) = within(self.0.accept()).await.unwrap();
        let socket = within(tokio_tungstenite::accept_async(stream)).await.unwrap();
        let mut peer = Peer { socket };
        peer.say("1::").await;
        assert_eq!(peer.acknowledge().await["topic"], "ftrack.meta.subscribe");
        peer
    }
}

/// The server's end of a connection.
pub(crate) struct Peer {
    socket: WebSocketStream<TcpStream>,
}

impl Peer {
    pub(crate) async fn say(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    /// Sends an event.
    pub(crate) async fn tell(&mut self, event: &str) {
        self.say(&format!(r#"5:::{{"name":"ftrack.event","args":[{event}]}}"#)).await;
    }

    /// The number and the event of the next packet that holds one.
    pub(crate) async fn hear(&mut self) -> (u64, Value) {
        loop {
            let message = within(self.socket.next()).await.expect("a message").unwrap();
            let text = message.into_text().unwrap();
            let Some((head, payload)) = text.split_once("::{") else { continue };
            let number = head.trim_start_matches("5:").trim_end_matches('+').parse().unwrap();
            let payload: Value = serde_json::from_str(&format!("{{{payload}")).unwrap();
            return (number, payload["args"][0].clone());
        }
    }

    /// Hears an event and says that it is well.
    pub(crate) async fn acknowledge(&mut self) -> Value {
        let (number, event) = self.hear().await;
        self.say(&format!(r#"6:::{number}+[{{"success":true}}]"#)).await;
        event
    }
}
