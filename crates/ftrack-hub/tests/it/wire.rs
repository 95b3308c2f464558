//! What a client writes to the wire: a dialer over TCP that keeps a copy, and reads it as HTTP and frames.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use async_trait::async_trait;
use ftrack_hub::dial::{BoxedIo, Dialer, Endpoint};
use ftrack_hub::{Error, ErrorKind};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;

type Copy = Arc<Mutex<Vec<u8>>>;

/// Dials TCP, keeps what is written, and holds dialling back while it is shut.
#[derive(Clone)]
pub(crate) struct Wire {
    streams: Arc<Mutex<Vec<Copy>>>,
    open: Arc<watch::Sender<bool>>,
}

impl Wire {
    pub(crate) fn new() -> Self {
        Self { streams: Arc::default(), open: Arc::new(watch::Sender::new(true)) }
    }

    /// From now on dialling waits.
    pub(crate) fn shut(&self) {
        self.open.send_replace(false);
    }

    pub(crate) fn open(&self) {
        self.open.send_replace(true);
    }

    /// Everything written so far, one entry for each stream.
    pub(crate) fn sent(&self) -> Vec<Sent> {
        let streams = self.streams.lock().unwrap();
        streams.iter().map(|stream| Sent::read(&stream.lock().unwrap())).collect()
    }

    /// Bytes written so far.
    pub(crate) fn bytes(&self) -> Vec<Vec<u8>> {
        let streams = self.streams.lock().unwrap();
        streams.iter().map(|stream| stream.lock().unwrap().clone()).collect()
    }
}

#[async_trait]
impl Dialer for Wire {
    async fn dial(&self, endpoint: &Endpoint) -> ftrack_hub::Result<BoxedIo> {
        let _ = self.open.subscribe().wait_for(|open| *open).await;
        let stream = TcpStream::connect((endpoint.host(), endpoint.port()))
            .await
            .map_err(|cause| Error::new(ErrorKind::Unreachable, "connect", cause.to_string()))?;
        let copy = Copy::default();
        self.streams.lock().unwrap().push(Arc::clone(&copy));
        Ok(Box::new(Tapped { stream, copy }))
    }
}

struct Tapped {
    stream: TcpStream,
    copy: Copy,
}

impl AsyncRead for Tapped {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Tapped {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        if let Poll::Ready(Ok(count)) = &written {
            self.copy.lock().unwrap().extend_from_slice(&buf[..*count]);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// What was written to one stream: a request, and after it the frames of a websocket.
#[derive(Debug)]
pub(crate) struct Sent {
    /// Request line and headers.
    pub(crate) head: Vec<String>,
    pub(crate) frames: Vec<Frame>,
}

#[derive(Debug)]
pub(crate) struct Frame {
    /// Final, and without reserved bits.
    pub(crate) plain: bool,
    pub(crate) opcode: u8,
    pub(crate) masked: bool,
    /// Unmasked.
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    pub(crate) const TEXT: u8 = 1;
    pub(crate) const CLOSE: u8 = 8;

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.payload).unwrap()
    }
}

impl Sent {
    fn read(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        let head = head.trim_end().split("\r\n").map(str::to_owned).collect();
        let mut rest = &bytes[end..];
        let frames = std::iter::from_fn(|| Frame::read(&mut rest)).collect();
        Self { head, frames }
    }

    pub(crate) fn is_websocket(&self) -> bool {
        self.head.iter().any(|line| line.eq_ignore_ascii_case("upgrade: websocket"))
    }
}

impl Frame {
    /// Takes a whole frame from the front.
    fn read(rest: &mut &[u8]) -> Option<Self> {
        let mut bytes = *rest;
        let first = take(&mut bytes, 1)?[0];
        let second = take(&mut bytes, 1)?[0];
        let length = match second & 0x7f {
            126 => usize::from(u16::from_be_bytes(take(&mut bytes, 2)?.try_into().unwrap())),
            127 => usize::try_from(u64::from_be_bytes(take(&mut bytes, 8)?.try_into().unwrap())).unwrap(),
            short => usize::from(short),
        };
        let masked = second & 0x80 != 0;
        let mask = if masked { take(&mut bytes, 4)? } else { &[0; 4] };
        let payload = take(&mut bytes, length)?;
        let payload = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        *rest = bytes;
        Some(Self { plain: first & 0xf0 == 0x80, opcode: first & 0xf, masked, payload })
    }
}

fn take<'b>(bytes: &mut &'b [u8], count: usize) -> Option<&'b [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}
