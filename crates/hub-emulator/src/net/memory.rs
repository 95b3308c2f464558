//! A pair of stream ends without a socket between them.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, duplex};

/// How many bytes wait in each direction before the writer has to.
const BUFFER: usize = 64 * 1024;

/// A client's end of a connection without a socket: the emulator serves the other end as it serves TCP.
///
/// It is tokio's in-memory pipe, so it follows a paused clock. A reset by the emulator is an
/// [`io::ErrorKind::ConnectionReset`] here, and what had not been read is lost, as with TCP. Dropping it is a FIN.
#[derive(Debug)]
pub struct MemoryStream {
    pipe: DuplexStream,
    reset: Arc<AtomicBool>,
}

/// The emulator's end.
#[derive(Debug)]
pub(crate) struct MemorySocket {
    pub(super) pipe: DuplexStream,
    reset: Arc<AtomicBool>,
}

/// The two ends of a new connection.
pub(crate) fn pair() -> (MemoryStream, MemorySocket) {
    let (client, server) = duplex(BUFFER);
    let reset = Arc::new(AtomicBool::new(false));
    (MemoryStream { pipe: client, reset: Arc::clone(&reset) }, MemorySocket { pipe: server, reset })
}

impl MemorySocket {
    /// The end comes as a reset.
    pub(super) fn reset(self) {
        self.reset.store(true, Ordering::Release);
    }
}

impl MemoryStream {
    fn check(&self) -> io::Result<()> {
        if self.reset.load(Ordering::Acquire) {
            return Err(io::Error::new(io::ErrorKind::ConnectionReset, "the emulator reset the connection"));
        }
        Ok(())
    }
}

impl AsyncRead for MemoryStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.pipe).poll_read(cx, buf)
    }
}

impl AsyncWrite for MemoryStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.pipe).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.pipe).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_shutdown(cx)
    }
}
