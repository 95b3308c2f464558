//! The least there is: a Socket.IO 0.9 connection with nothing but tokio-tungstenite.

use futures_util::{SinkExt, StreamExt};
use interop::Failure;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use crate::party::failed;

pub(super) type Socket = WebSocketStream<TcpStream>;

/// Connects to `http://host:port` and waits for `1::`.
pub(super) async fn connect(url: &str) -> Result<Socket, Failure> {
    let host = url.strip_prefix("http://").unwrap_or(url);
    let mut stream = TcpStream::connect(host).await.map_err(failed)?;
    let request = format!(
        "GET /socket.io/1/ HTTP/1.1\r\nHost: {host}\r\nftrack-user: ann\r\nftrack-api-key: her-key\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.map_err(failed)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.map_err(failed)?;
    let body = answer.split("\r\n\r\n").nth(1).unwrap_or_default();
    // A chunked answer has the length of its chunk on a line of its own.
    let line = body.lines().find(|line| line.contains(':'));
    let session = line.and_then(|line| line.split(':').next());
    let session = session.ok_or_else(|| Failure::new(format!("no handshake: {answer}")))?;
    let stream = TcpStream::connect(host).await.map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    let address = format!("ws://{host}/socket.io/1/websocket/{session}");
    let (mut socket, _) = tokio_tungstenite::client_async(address, stream).await.map_err(failed)?;
    until(&mut socket, "1::").await?;
    Ok(socket)
}

/// Subscribes and waits for the acknowledgement.
pub(super) async fn subscribe(socket: &mut Socket, expression: &str, id: &str) -> Result<(), Failure> {
    let event = serde_json::json!({
        "topic": "ftrack.meta.subscribe",
        "data": { "subscriber": { "id": id }, "subscription": expression },
        "source": { "id": id },
        "target": "",
        "id": uuid::Uuid::new_v4().simple().to_string(),
        "inReplyToEvent": null,
    });
    let frame = format!(r#"5:1+::{{"name":"ftrack.event","args":[{event}]}}"#);
    socket.send(Message::text(frame)).await.map_err(failed)?;
    until(socket, "6:::1").await
}

async fn until(socket: &mut Socket, start: &str) -> Result<(), Failure> {
    while !next(socket).await?.starts_with(start) {}
    Ok(())
}

/// The next text; heartbeats are answered.
pub(super) async fn next(socket: &mut Socket) -> Result<Utf8Bytes, Failure> {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) if text.as_str() == "2::" => {
                socket.send(Message::text("2::")).await.map_err(failed)?;
            }
            Some(Ok(Message::Text(text))) => return Ok(text),
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(failed(error)),
            None => return Err(Failure::new("the server ended the connection")),
        }
    }
}
