//! A server that says what a script tells it.

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::{event_of, within};
use crate::{Failure, ensure};

/// A server that says what a script tells it, and hands over what clients say.
pub(super) struct Script {
    pub(super) url: String,
    /// What clients said: the number of their connection, and a request head or a packet.
    said: mpsc::Receiver<(usize, String)>,
    /// What to say to which connection.
    say: mpsc::Sender<(usize, String)>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Script {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Script {
    pub(super) async fn start() -> Result<Self, Failure> {
        let io = |error: std::io::Error| Failure::new(error.to_string());
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(io)?;
        let url = format!("http://{}", listener.local_addr().map_err(io)?);
        let (tell, said) = mpsc::channel(256);
        let (say, mut orders) = mpsc::channel::<(usize, String)>(256);
        let task = tokio::spawn(async move {
            let mut links: Vec<mpsc::Sender<String>> = Vec::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        let Ok((mut stream, _)) = accepted else { return };
                        let head = read_head(&mut stream).await;
                        if head.to_ascii_lowercase().contains("upgrade: websocket") {
                            let (order, ordered) = mpsc::channel(256);
                            tokio::spawn(link(stream, head, links.len(), tell.clone(), ordered));
                            links.push(order);
                        } else {
                            let _ = tell.send((links.len(), head)).await;
                            // As recorded, chunks and all.
                            let answer = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\
                                Transfer-Encoding: chunked\r\n\r\n\
                                30\r\nHx5KwuG6sbqugetd3OQc:60:60:websocket,xhr-polling\r\n0\r\n\r\n";
                            let _ = stream.write_all(answer.as_bytes()).await;
                        }
                    }
                    Some((to, text)) = orders.recv() => {
                        if let Some(link) = links.get(to) {
                            let _ = link.send(text).await;
                        }
                    }
                }
            }
        });
        Ok(Self { url, said, say, task })
    }

    /// The next thing that a client says, heartbeats aside.
    pub(super) async fn next(&mut self) -> Result<(usize, String), Failure> {
        loop {
            let said = within(self.said.recv()).await?.ok_or_else(|| Failure::new("the script ended"))?;
            if !said.1.starts_with("2:") {
                return Ok(said);
            }
        }
    }

    pub(super) async fn say(&self, to: usize, text: impl Into<String>) {
        let _ = self.say.send((to, text.into())).await;
    }

    /// Takes an event packet, acknowledges it as recorded, and gives its event.
    pub(super) async fn event(&mut self) -> Result<(usize, Value), Failure> {
        let (from, text) = self.next().await?;
        let event = event_of(&text).ok_or_else(|| Failure::new(format!("{text} is no event packet")))?;
        let number = text.split(':').nth(1).unwrap_or_default().to_owned();
        let form = number.strip_suffix('+').is_some_and(|digits| digits.parse::<u64>().is_ok());
        ensure(form && text.split(':').nth(2) == Some(""), || format!("{text} is not of the form 5:N+::"))?;
        self.say(from, format!("6:::{number}[{{\"success\":true}}]")).await;
        Ok((from, event))
    }
}

async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).await.is_ok_and(|n| n == 1) {
        head.push(byte[0]);
    }
    String::from_utf8_lossy(&head).into_owned()
}

async fn link(
    mut stream: TcpStream,
    head: String,
    number: usize,
    tell: mpsc::Sender<(usize, String)>,
    mut orders: mpsc::Receiver<String>,
) {
    use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
    use tokio_tungstenite::tungstenite::protocol::Role;
    let key = head.lines().find_map(|line| {
        line.split_once(": ")
            .filter(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key"))
            .map(|(_, key)| key)
    });
    let accept = derive_accept_key(key.unwrap_or_default().as_bytes());
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    if stream.write_all(answer.as_bytes()).await.is_err() {
        return;
    }
    let _ = tell.send((number, head)).await;
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
    let _ = socket.send(Message::text("1::")).await;
    loop {
        tokio::select! {
            said = socket.next() => match said {
                Some(Ok(Message::Text(text))) => {
                    let _ = tell.send((number, text.to_string())).await;
                }
                Some(Ok(_)) => {}
                _ => return,
            },
            order = orders.recv() => match order {
                Some(text) => {
                    let _ = socket.send(Message::text(text)).await;
                }
                None => return,
            },
        }
    }
}
