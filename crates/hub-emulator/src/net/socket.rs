//! One stream of bytes to a client, whatever carries it, with a valve on it.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use super::memory::MemorySocket;
use super::valve::{Fate, Rate, Valve};

/// The most ended streams whose clients are not told; beyond, the oldest ones end after all.
const MAX_UNTOLD: usize = 4_096;
/// How much of what nobody wants to know is read at once.
const SCRAP: usize = 4 * 1024;

/// What carries the bytes.
pub(crate) enum Wire {
    Tcp(TcpStream),
    #[cfg(feature = "tls")]
    Tls(Box<tokio_rustls::server::TlsStream<TcpStream>>),
    Memory(MemorySocket),
}

/// The wires of streams that ended without a word to the client. They end when the server does.
#[derive(Clone, Default)]
pub(crate) struct Untold(Arc<Mutex<VecDeque<Wire>>>);

/// A stream to a client. Dropping it ends the connection as the valve says.
pub(crate) struct Socket {
    /// `None` only while it is dropped.
    wire: Option<Wire>,
    valve: Arc<Valve>,
    untold: Untold,
    read_pause: Option<Pause>,
    write_pause: Option<Pause>,
}

impl Socket {
    pub(super) fn new(wire: Wire, untold: Untold) -> Self {
        Self { wire: Some(wire), valve: Arc::default(), untold, read_pause: None, write_pause: None }
    }

    pub(crate) fn valve(&self) -> &Arc<Valve> {
        &self.valve
    }

    fn wire(&mut self) -> io::Result<&mut Wire> {
        self.wire.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl Untold {
    fn add(&self, wire: Wire) {
        let mut wires = self.0.lock();
        if wires.len() >= MAX_UNTOLD {
            wires.pop_front();
        }
        wires.push_back(wire);
    }

    /// Ends them all.
    pub(super) fn end(&self) {
        self.0.lock().clear();
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let Some(wire) = self.wire.take() else { return };
        match self.valve.fate() {
            Fate::Open | Fate::Fin => {}
            Fate::Silent | Fate::HalfOpen => self.untold.add(wire),
            Fate::Reset => match wire {
                // Closing then sends RST instead of FIN.
                Wire::Tcp(stream) => drop(stream.set_zero_linger()),
                #[cfg(feature = "tls")]
                Wire::Tls(stream) => drop(stream.get_ref().0.set_zero_linger()),
                Wire::Memory(pipe) => pipe.reset(),
            },
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let (fate, rate) = this.valve.reading(cx.waker());
        match fate {
            Fate::Open => {}
            Fate::Silent => return this.poll_discard(cx),
            Fate::HalfOpen => return Poll::Pending,
            Fate::Fin => return Poll::Ready(Ok(())),
            Fate::Reset => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
        }
        ready!(poll_pause(&mut this.read_pause, cx));
        let Some(Rate { bytes, pause }) = rate else { return this.wire()?.stream().poll_read(cx, buf) };
        let mut part = [0; SCRAP];
        let mut part = ReadBuf::new(&mut part[..bytes.clamp(1, SCRAP).min(buf.remaining())]);
        ready!(this.wire()?.stream().poll_read(cx, &mut part))?;
        buf.put_slice(part.filled());
        this.read_pause = Some(Pause::new(pause));
        Poll::Ready(Ok(()))
    }
}

impl Socket {
    /// Reads to the end and hands nothing on.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut scrap = [0; SCRAP];
        loop {
            let mut scrap = ReadBuf::new(&mut scrap);
            ready!(self.wire()?.stream().poll_read(cx, &mut scrap))?;
            if scrap.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let (fate, rate) = this.valve.writing(cx.waker());
        match fate {
            Fate::Open => {}
            Fate::Silent | Fate::HalfOpen => return Poll::Ready(Ok(bytes.len())),
            Fate::Fin | Fate::Reset => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
        ready!(poll_pause(&mut this.write_pause, cx));
        let wire = this.wire()?.stream();
        let Some(Rate { bytes: most, pause }) = rate else { return wire.poll_write(cx, bytes) };
        let written = ready!(wire.poll_write(cx, &bytes[..bytes.len().min(most.max(1))]))?;
        this.write_pause = Some(Pause::new(pause));
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.valve.fate() != Fate::Open {
            return Poll::Ready(Ok(()));
        }
        self.wire()?.stream().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if matches!(self.valve.fate(), Fate::Silent | Fate::HalfOpen | Fate::Reset) {
            return Poll::Ready(Ok(()));
        }
        self.wire()?.stream().poll_shutdown(cx)
    }
}

/// What every wire can do.
trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

impl Wire {
    fn stream(&mut self) -> Pin<&mut dyn Stream> {
        match self {
            Self::Tcp(stream) => Pin::new(stream),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Pin::new(stream.as_mut()),
            Self::Memory(memory) => Pin::new(&mut memory.pipe),
        }
    }
}

/// Between two parts of what is read or written slowly.
enum Pause {
    /// Whoever is ready goes first.
    Turn,
    Time(Pin<Box<Sleep>>),
}

impl Pause {
    fn new(pause: Duration) -> Self {
        if pause.is_zero() { Self::Turn } else { Self::Time(Box::pin(sleep(pause))) }
    }
}

fn poll_pause(pause: &mut Option<Pause>, cx: &mut Context<'_>) -> Poll<()> {
    match pause {
        None => {}
        Some(Pause::Turn) => {
            *pause = None;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Some(Pause::Time(sleeping)) => {
            ready!(sleeping.as_mut().poll(cx));
            *pause = None;
        }
    }
    Poll::Ready(())
}

/// How it stands, without what carries it.
impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").field("valve", &self.valve).finish_non_exhaustive()
    }
}

impl fmt::Debug for Untold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Untold").field(&self.0.lock().len()).finish()
    }
}
