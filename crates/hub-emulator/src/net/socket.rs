//! One stream of bytes to a client, whatever carries it, with a valve on it; whole, or as two halves.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::tcp::OwnedReadHalf;
use tokio::time::{Sleep, sleep};

use super::carrier::{Carrier, Untold, Wire};
use super::valve::{Fate, Rate, Valve};

/// How much of what nobody wants to know is read at once.
const SCRAP: usize = 4 * 1024;

/// A stream to a client. Dropping it, or both halves, ends the connection as the valve says.
pub(crate) struct Socket {
    read: ReadHalf,
    write: WriteHalf,
}

/// What the client says.
pub(crate) struct ReadHalf {
    // Dropped before what both halves share, which decides how the stream is closed.
    tcp: Option<OwnedReadHalf>,
    shared: Arc<Shared>,
    pause: Option<Pause>,
}

/// What the client is told.
pub(crate) struct WriteHalf {
    shared: Arc<Shared>,
    pause: Option<Pause>,
}

struct Shared {
    /// `None` only while it is dropped.
    carrier: Mutex<Option<Carrier>>,
    valve: Arc<Valve>,
    untold: Untold,
}

impl Socket {
    pub(super) fn new(wire: Wire, untold: Untold) -> Self {
        let (carrier, tcp) = wire.into_parts();
        let shared = Shared { carrier: Mutex::new(Some(carrier)), valve: Arc::default(), untold };
        let shared = Arc::new(shared);
        let write = WriteHalf { shared: Arc::clone(&shared), pause: None };
        Self { read: ReadHalf { tcp, shared, pause: None }, write }
    }

    pub(crate) fn valve(&self) -> &Arc<Valve> {
        &self.write.shared.valve
    }

    pub(crate) fn into_split(self) -> (ReadHalf, WriteHalf) {
        (self.read, self.write)
    }
}

impl WriteHalf {
    /// Whether [`WriteHalf::write_now`] can ever do something.
    pub(crate) fn writes_now(&self) -> bool {
        matches!(&*self.shared.carrier.lock(), Some(Carrier::Tcp(_)))
    }

    /// Writes what the operating system takes at once; says how much that was.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::WouldBlock`] when that is nothing, and when only [`AsyncWrite`] can write: with TLS, in memory,
    /// and when the valve is not quite open.
    pub(crate) fn write_now(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        if !self.shared.valve.lets_writes_through() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        match &mut *self.shared.carrier.lock() {
            Some(Carrier::Tcp(tcp)) => match parts {
                [whole] => tcp.half()?.try_write(whole),
                parts => tcp.half()?.try_write_vectored(parts),
            },
            _ => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl Shared {
    fn poll<T>(&self, poll: impl FnOnce(&mut Carrier) -> Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match &mut *self.carrier.lock() {
            Some(carrier) => poll(carrier),
            None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(carrier) = self.carrier.get_mut().take() {
            carrier.end(self.valve.fate(), &self.untold);
        }
    }
}

impl ReadHalf {
    fn poll_carrier(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.tcp {
            Some(tcp) => Pin::new(tcp).poll_read(cx, buf),
            None => self.shared.poll(|carrier| Pin::new(carrier.reader()?).poll_read(cx, buf)),
        }
    }

    /// Reads to the end and hands nothing on.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut scrap = [0; SCRAP];
        loop {
            let mut scrap = ReadBuf::new(&mut scrap);
            ready!(self.poll_carrier(cx, &mut scrap))?;
            if scrap.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncRead for ReadHalf {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let (fate, rate) = this.shared.valve.reading(cx.waker());
        match fate {
            Fate::Open => {}
            Fate::Silent => return this.poll_discard(cx),
            Fate::HalfOpen => return Poll::Pending,
            Fate::Fin => return Poll::Ready(Ok(())),
            Fate::Reset => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
        }
        ready!(poll_pause(&mut this.pause, cx));
        let Some(Rate { bytes, pause }) = rate else { return this.poll_carrier(cx, buf) };
        let mut part = [0; SCRAP];
        let mut part = ReadBuf::new(&mut part[..bytes.clamp(1, SCRAP).min(buf.remaining())]);
        ready!(this.poll_carrier(cx, &mut part))?;
        buf.put_slice(part.filled());
        this.pause = Some(Pause::new(pause));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for WriteHalf {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let (fate, rate) = this.shared.valve.writing(cx.waker());
        match fate {
            Fate::Open => {}
            Fate::Silent | Fate::HalfOpen => return Poll::Ready(Ok(bytes.len())),
            Fate::Fin | Fate::Reset => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
        ready!(poll_pause(&mut this.pause, cx));
        let most = rate.map_or(usize::MAX, |rate| rate.bytes.max(1));
        let part = &bytes[..bytes.len().min(most)];
        let written = ready!(this.shared.poll(|carrier| Pin::new(carrier.writer()?).poll_write(cx, part)))?;
        this.pause = rate.map(|rate| Pause::new(rate.pause));
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.shared.valve.fate() != Fate::Open {
            return Poll::Ready(Ok(()));
        }
        self.shared.poll(|carrier| Pin::new(carrier.writer()?).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if matches!(self.shared.valve.fate(), Fate::Silent | Fate::HalfOpen | Fate::Reset) {
            return Poll::Ready(Ok(()));
        }
        self.shared.poll(|carrier| Pin::new(carrier.writer()?).poll_shutdown(cx))
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.read).poll_read(cx, buf)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.write).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.write).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.write).poll_shutdown(cx)
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
impl fmt::Debug for WriteHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteHalf").field("valve", &self.shared.valve).finish_non_exhaustive()
    }
}
