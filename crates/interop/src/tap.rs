//! A tap between our client and a server: passes bytes on unchanged and notes what the client sent, head by head
//! and frame by frame.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::Failure;

/// A websocket frame of the client, without its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    /// 1: text, 8: close, 9: ping, 10: pong, 0: continuation.
    pub(crate) opcode: u8,
    /// Whether it is the last of its message.
    pub(crate) last: bool,
    /// Bytes of its payload.
    pub(crate) length: u64,
}

/// What the client has sent so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Noted {
    /// The first lines of its requests.
    pub(crate) requests: Vec<String>,
    /// Its frames, of all websockets.
    pub(crate) frames: Vec<Frame>,
}

/// See the module.
pub(crate) struct Tap {
    address: SocketAddr,
    noted: Arc<watch::Sender<Noted>>,
    task: JoinHandle<()>,
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Tap {
    /// In front of a server.
    pub(crate) async fn before(server: SocketAddr) -> Result<Self, Failure> {
        let io = |error: std::io::Error| Failure::new(format!("tap: {error}"));
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(io)?;
        let address = listener.local_addr().map_err(io)?;
        let noted = Arc::new(watch::Sender::new(Noted::default()));
        let task = tokio::spawn({
            let noted = Arc::clone(&noted);
            async move {
                // Ends with the tap: the connections are in this set.
                let mut connections = tokio::task::JoinSet::new();
                while let Ok((client, _)) = listener.accept().await {
                    connections.spawn(connection(client, server, Arc::clone(&noted)));
                }
            }
        });
        Ok(Self { address, noted, task })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn noted(&self) -> Noted {
        self.noted.borrow().clone()
    }

    /// Waits until something was sent.
    pub(crate) async fn wait_for(&self, condition: impl FnMut(&Noted) -> bool) {
        // The tap owns the sender, so this ends with the condition alone.
        let _ = self.noted.subscribe().wait_for(condition).await;
    }
}

async fn connection(client: TcpStream, server: SocketAddr, noted: Arc<watch::Sender<Noted>>) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = async {
        let mut reader = Reader::Head(Vec::new());
        let mut buffer = vec![0; 65_536];
        while let Ok(length) = from_client.read(&mut buffer).await {
            if length == 0 || to_server.write_all(&buffer[..length]).await.is_err() {
                break;
            }
            noted.send_modify(|noted| reader.read(&buffer[..length], noted));
        }
        let _ = to_server.shutdown().await;
    };
    let down = async {
        let _ = tokio::io::copy(&mut from_server, &mut to_client).await;
        let _ = to_client.shutdown().await;
    };
    tokio::join!(up, down);
}

/// Reads what a client sends: request heads without bodies, and frames after one that asks for a websocket.
enum Reader {
    Head(Vec<u8>),
    /// The beginning of a frame, and how many bytes of the one before are still to come.
    Frames(Vec<u8>, u64),
}

impl Reader {
    fn read(&mut self, bytes: &[u8], noted: &mut Noted) {
        for byte in bytes {
            match self {
                Self::Head(head) => {
                    head.push(*byte);
                    if head.ends_with(b"\r\n\r\n") {
                        let text = String::from_utf8_lossy(head).into_owned();
                        noted.requests.push(text.lines().next().unwrap_or_default().to_owned());
                        let websocket = text.to_ascii_lowercase().contains("\r\nupgrade: websocket\r\n");
                        *self = if websocket { Self::Frames(Vec::new(), 0) } else { Self::Head(Vec::new()) };
                    }
                }
                Self::Frames(_, left @ 1..) => *left -= 1,
                Self::Frames(head, left) => {
                    head.push(*byte);
                    if let Some(frame) = frame(head) {
                        // The mask of four bytes comes before the payload.
                        *left = frame.length + 4;
                        head.clear();
                        noted.frames.push(frame);
                    }
                }
            }
        }
    }
}

/// A frame whose two first bytes and length are there.
fn frame(head: &[u8]) -> Option<Frame> {
    let length = match head.get(1)? & 0x7F {
        126 => u64::from(u16::from_be_bytes(head.get(2..4)?.try_into().ok()?)),
        127 => u64::from_be_bytes(head.get(2..10)?.try_into().ok()?),
        short => u64::from(short),
    };
    Some(Frame { opcode: head[0] & 0x0F, last: head[0] & 0x80 != 0, length })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_and_frames_are_noted_however_the_bytes_are_cut() {
        let mut bytes =
            b"GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nUpgrade: websocket\r\n\r\n".to_vec();
        bytes.extend([0x81, 0x83, 1, 2, 3, 4, b'a', b'b', b'c']);
        bytes.extend([0x01, 0xFE, 0, 200, 1, 2, 3, 4]);
        bytes.extend([b'x'; 200]);
        bytes.extend([0x89, 0x80, 1, 2, 3, 4]);
        for size in [1, 7, bytes.len()] {
            let (mut reader, mut noted) = (Reader::Head(Vec::new()), Noted::default());
            for part in bytes.chunks(size) {
                reader.read(part, &mut noted);
            }
            assert_eq!(noted.requests, ["GET /a HTTP/1.1", "GET /b HTTP/1.1"]);
            let frames: Vec<_> =
                noted.frames.iter().map(|frame| (frame.opcode, frame.last, frame.length)).collect();
            assert_eq!(frames, [(1, true, 3), (1, false, 200), (9, true, 0)]);
        }
    }
}
