//! A bare websocket client written by somebody else, with a handshake by hand: for frames that no client of ours
//! would send.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::{Failure, ensure};

const PATIENCE: Duration = Duration::from_secs(20);

/// What came of waiting for a packet.
#[derive(Debug)]
pub(crate) enum Heard {
    /// A packet.
    Packet(String),
    /// The end of the connection, orderly or not; or a frame that no websocket may have: what went wrong.
    End(String),
}

/// See the module.
pub(crate) struct Bare(WebSocketStream<TcpStream>);

async fn within<T>(future: impl Future<Output = T>) -> Result<T, Failure> {
    timeout(PATIENCE, future).await.map_err(|_| Failure::new(format!("not within {PATIENCE:?}")))
}

fn failed(what: &str) -> impl FnOnce(std::io::Error) -> Failure {
    move |error| Failure::new(format!("{what}: {error}"))
}

/// The handshake; gives the session id.
pub(crate) async fn handshake(server: SocketAddr, user: &str, key: &str) -> Result<String, Failure> {
    let mut stream = TcpStream::connect(server).await.map_err(failed("connecting"))?;
    let request = format!(
        "GET /socket.io/1/ HTTP/1.1\r\nHost: {server}\r\nftrack-user: {user}\r\nftrack-api-key: {key}\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.map_err(failed("handshake"))?;
    let mut answer = String::new();
    within(stream.read_to_string(&mut answer)).await?.map_err(failed("handshake"))?;
    // With a length or in chunks: the session id is what stands before the first colon of its line.
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let session = body.lines().find_map(|line| line.split_once(':').map(|(session, _)| session));
    session.map(str::to_owned).ok_or_else(|| Failure::new(format!("no session id in {answer}")))
}

impl Bare {
    /// Handshake and websocket, up to `1::`.
    pub(crate) async fn connect(server: SocketAddr, user: &str, key: &str) -> Result<Self, Failure> {
        let session = handshake(server, user, key).await?;
        let mut bare = Self::open(server, &session).await?;
        let first = bare.next().await?;
        ensure(first == "1::", || format!("{first} instead of 1::"))?;
        Ok(bare)
    }

    /// A websocket with this session id.
    pub(crate) async fn open(server: SocketAddr, session: &str) -> Result<Self, Failure> {
        let stream = TcpStream::connect(server).await.map_err(failed("connecting"))?;
        let url = format!("ws://{server}/socket.io/1/websocket/{session}");
        let (socket, _) = within(tokio_tungstenite::client_async(url, stream))
            .await?
            .map_err(|error| Failure::new(format!("websocket: {error}")))?;
        Ok(Self(socket))
    }

    pub(crate) async fn send(&mut self, frame: &str) -> Result<(), Failure> {
        self.send_message(Message::text(frame)).await
    }

    /// An empty ping with this mask. The mask is not left to chance: a server that takes an empty frame to have none
    /// reads it as the next frame.
    pub(crate) async fn ping(&mut self, mask: [u8; 4]) -> Result<(), Failure> {
        self.send_empty(0x89, mask).await
    }

    /// An empty pong with this mask.
    pub(crate) async fn pong(&mut self, mask: [u8; 4]) -> Result<(), Failure> {
        self.send_empty(0x8a, mask).await
    }

    async fn send_empty(&mut self, opcode: u8, mask: [u8; 4]) -> Result<(), Failure> {
        let [a, b, c, d] = mask;
        // Past the websocket, whose own frames all went out: every send flushes.
        within(self.0.get_mut().write_all(&[opcode, 0x80, a, b, c, d])).await?.map_err(failed("sending"))
    }

    async fn send_message(&mut self, message: Message) -> Result<(), Failure> {
        let sent = within(self.0.send(message)).await?;
        sent.map_err(|error| Failure::new(format!("sending: {error}")))
    }

    /// The next packet.
    pub(crate) async fn next(&mut self) -> Result<String, Failure> {
        match self.hear().await? {
            Heard::Packet(text) => Ok(text),
            Heard::End(why) => Err(Failure::new(format!("{why} instead of a packet"))),
        }
    }

    /// The next packet, or how the connection ended.
    pub(crate) async fn hear(&mut self) -> Result<Heard, Failure> {
        Ok(match within(self.0.next()).await? {
            Some(Ok(Message::Text(text))) => Heard::Packet(text.to_string()),
            Some(Ok(other)) => Heard::End(format!("{other:?}")),
            Some(Err(error)) => Heard::End(error.to_string()),
            None => Heard::End("the end".to_owned()),
        })
    }

    /// Closes the connection and waits for its end.
    pub(crate) async fn close(mut self) -> Result<(), Failure> {
        // A server that ends without a close frame of its own is an error to the websocket, and the end to us.
        let _ = within(self.0.close(None)).await?;
        while let Heard::Packet(_) = self.hear().await? {}
        Ok(())
    }
}
