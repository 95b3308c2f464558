//! The floor of a fan-out: a server that writes the same frame to each connection, one `write` after the other from one
//! thread, and does nothing else. It takes anybody in, and nobody's word.

use std::io::Write as _;
use std::net::TcpStream as Blocking;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::SinkExt;
use interop::Failure;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio_tungstenite::tungstenite::Message;

use super::socket;
use crate::party::{self, Party, Stretch, failed, number};
use crate::{payload, usage};

/// See the module.
#[derive(Default)]
pub(super) struct Writes {
    connections: Arc<Mutex<Vec<Blocking>>>,
}

impl Writes {
    async fn start(&self) -> Result<Value, Failure> {
        let descriptors = usage::raise_descriptors();
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let connections = Arc::clone(&self.connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let connections = Arc::clone(&connections);
                tokio::spawn(async move {
                    if let Ok(Some(connection)) = welcome(stream).await {
                        connections.lock().await.push(connection);
                    }
                });
            }
        });
        Ok(json!({ "ftrack": format!("http://{address}"), "descriptors": descriptors }))
    }

    /// Writes so many events to everybody, so many a second.
    async fn pace(&self, count: u64, per_second: u64) -> Result<Value, Failure> {
        let json = String::from_utf8_lossy(&payload::update()?.to_json()).into_owned();
        let frame = frame(&format!(r#"5:::{{"name":"ftrack.event","args":[{json}]}}"#))?;
        let every = Duration::from_secs(1) / u32::try_from(per_second).unwrap_or(1).max(1);
        let mut connections = self.connections.lock().await;
        let mut beat = tokio::time::interval(every);
        let stretch = Stretch::begin();
        for _ in 0..count {
            beat.tick().await;
            for connection in connections.iter_mut() {
                connection.write_all(&frame).map_err(failed)?;
            }
        }
        Ok(stretch.end(count))
    }
}

/// An unfragmented text frame of a middling size.
fn frame(text: &str) -> Result<Vec<u8>, Failure> {
    let length = u16::try_from(text.len()).map_err(failed)?;
    let mut frame = vec![0x81, 126];
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(text.as_bytes());
    Ok(frame)
}

/// Answers a handshake; or lets a websocket in and acknowledges the first thing it says, which is a subscription.
async fn welcome(mut stream: TcpStream) -> Result<Option<Blocking>, Failure> {
    const WEBSOCKET: &[u8] = b"GET /socket.io/1/websocket/";
    let mut start = [0; WEBSOCKET.len()];
    while stream.peek(&mut start).await.map_err(failed)? < WEBSOCKET.len() {
        tokio::task::yield_now().await;
    }
    if start != WEBSOCKET {
        let mut request = [0; 4096];
        let _ = stream.read(&mut request).await.map_err(failed)?;
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 17\r\nConnection: close\r\n\r\n1:60:60:websocket";
        stream.write_all(answer.as_bytes()).await.map_err(failed)?;
        return Ok(None);
    }
    stream.set_nodelay(true).map_err(failed)?;
    let mut websocket = tokio_tungstenite::accept_async(stream).await.map_err(failed)?;
    websocket.send(Message::text("1::")).await.map_err(failed)?;
    socket::next(&mut websocket).await?;
    websocket.send(Message::text(r#"6:::1+[{"success":true}]"#)).await.map_err(failed)?;
    let connection = websocket.into_inner().into_std().map_err(failed)?;
    connection.set_nonblocking(false).map_err(failed)?;
    Ok(Some(connection))
}

#[async_trait]
impl Party for Writes {
    async fn call(&mut self, what: &str, args: &Value) -> Result<Value, Failure> {
        match what {
            "start" => self.start().await,
            "pace" => self.pace(number(args, "count")?, number(args, "per_second")?).await,
            _ => party::unknown(what),
        }
    }
}
