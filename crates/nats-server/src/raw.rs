//! A client of a few lines that shares no code with anybody: what publishes behind a transport's back in its tests.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection, spoken by hand.
#[derive(Debug)]
pub struct RawClient {
    stream: BufReader<TcpStream>,
}

impl RawClient {
    /// Connects to `host:port`, without credentials.
    ///
    /// # Errors
    ///
    /// Those of the connection.
    pub async fn connect(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut client = Self { stream: BufReader::new(stream) };
        client.write(b"CONNECT {\"verbose\":false,\"headers\":true,\"no_responders\":true}\r\n").await?;
        client.write(b"SUB _INBOX.raw 1\r\n").await?;
        client.round_trip().await?;
        Ok(client)
    }

    /// Publishes, and returns when the server has handled it.
    ///
    /// # Errors
    ///
    /// Those of the connection, and what the server complains of.
    pub async fn publish(&mut self, subject: &str, payload: &[u8]) -> io::Result<()> {
        self.put(subject, "", payload).await?;
        self.round_trip().await
    }

    /// Publishes, and returns the answer as text.
    ///
    /// # Errors
    ///
    /// Those of the connection, and when nobody answers.
    pub async fn request(&mut self, subject: &str, payload: &[u8]) -> io::Result<String> {
        self.put(subject, "_INBOX.raw ", payload).await?;
        loop {
            let line = self.line().await?;
            let mut words = line.split_whitespace();
            match words.next() {
                Some("MSG") => {
                    let length = words.last().and_then(|length| length.parse().ok()).unwrap_or(0);
                    let mut answer = vec![0; length + 2];
                    self.stream.read_exact(&mut answer).await?;
                    answer.truncate(length);
                    return String::from_utf8(answer).map_err(io::Error::other);
                }
                Some("HMSG") => return Err(io::Error::other(format!("nobody answers on {subject}"))),
                Some("-ERR") => return Err(io::Error::other(line)),
                _ => {}
            }
        }
    }

    async fn put(&mut self, subject: &str, reply: &str, payload: &[u8]) -> io::Result<()> {
        self.write(format!("PUB {subject} {reply}{}\r\n", payload.len()).as_bytes()).await?;
        self.write(payload).await?;
        self.write(b"\r\n").await
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes).await
    }

    async fn round_trip(&mut self) -> io::Result<()> {
        self.write(b"PING\r\n").await?;
        loop {
            let line = self.line().await?;
            match line.split_whitespace().next() {
                Some("PONG") => return Ok(()),
                Some("-ERR") => return Err(io::Error::other(line)),
                _ => {}
            }
        }
    }

    async fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        let read = tokio::time::timeout(PATIENCE, self.stream.read_line(&mut line)).await??;
        if read == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server ended the connection"));
        }
        if line.starts_with("PING") {
            self.write(b"PONG\r\n").await?;
        }
        Ok(line)
    }
}
