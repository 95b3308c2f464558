//! The head of an answer in one piece, however it comes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::BoxedIo;

/// A head that is longer is given on as far as it came.
const LONGEST: usize = 64 * 1024;
/// So much is read at once while the head comes.
const PIECE: usize = 1024;

/// Reads the head of an HTTP answer to its end before any of it is given on; everything after it goes through as it
/// comes. The websocket library takes an answer in more than 64 small pieces for an attack, and there are networks
/// that carry bytes one by one.
pub(crate) struct HeadFirst {
    inner: BoxedIo,
    head: Head,
}

enum Head {
    Coming(Vec<u8>),
    /// What came, and how much of it was given on.
    There(Vec<u8>, usize),
    Given,
}

impl HeadFirst {
    pub(crate) fn new(inner: BoxedIo) -> Self {
        Self { inner, head: Head::Coming(Vec::new()) }
    }
}

fn is_whole(head: &[u8]) -> bool {
    head.windows(4).any(|window| window == b"\r\n\r\n")
}

impl AsyncRead for HeadFirst {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            match &mut this.head {
                Head::Given => return Pin::new(&mut this.inner).poll_read(cx, buf),
                Head::There(head, given) => {
                    let part = &head[*given..];
                    let part = &part[..part.len().min(buf.remaining())];
                    buf.put_slice(part);
                    *given += part.len();
                    if *given == head.len() {
                        this.head = Head::Given;
                    }
                    return Poll::Ready(Ok(()));
                }
                Head::Coming(head) => {
                    let mut piece = [0; PIECE];
                    let mut piece = ReadBuf::new(&mut piece);
                    ready!(Pin::new(&mut this.inner).poll_read(cx, &mut piece))?;
                    head.extend_from_slice(piece.filled());
                    let ended = piece.filled().is_empty();
                    if ended || head.len() >= LONGEST || is_whole(head) {
                        this.head = Head::There(std::mem::take(head), 0);
                    }
                }
            }
        }
    }
}

impl AsyncWrite for HeadFirst {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
