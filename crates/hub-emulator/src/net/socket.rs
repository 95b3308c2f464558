//! One stream of bytes to a client, whatever carries it, with a valve on it; whole, or as two halves.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::{Sleep, sleep};

use super::carrier::{Carrier, Untold, Wire, end_tcp};
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
    from: Reads,
    end: Arc<End>,
    pause: Option<Pause>,
}

/// What the client is told.
pub(crate) struct WriteHalf {
    to: Writes,
    end: Arc<End>,
    pause: Option<Pause>,
}

/// TCP has halves of its own.
enum Reads {
    Tcp(OwnedReadHalf),
    Shared(Arc<Shared>),
}

enum Writes {
    /// `None` only while it is dropped.
    Tcp(Option<OwnedWriteHalf>),
    Shared(Arc<Shared>),
}

/// How the stream ends.
struct End {
    valve: Arc<Valve>,
    untold: Untold,
}

/// What has no halves. Ends with both.
struct Shared {
    /// `None` only while it is dropped.
    carrier: Mutex<Option<Carrier>>,
    end: Arc<End>,
}

impl Socket {
    pub(super) fn new(wire: Wire, untold: Untold) -> Self {
        let end = Arc::new(End { valve: Arc::default(), untold });
        let (from, to) = match wire {
            Wire::Tcp(stream) => {
                let (read, write) = stream.into_split();
                (Reads::Tcp(read), Writes::Tcp(Some(write)))
            }
            #[cfg(feature = "tls")]
            Wire::Tls(stream) => Shared::halves(Carrier::Tls(stream), &end),
            Wire::Memory(memory) => Shared::halves(Carrier::Memory(memory), &end),
        };
        let read = ReadHalf { from, end: Arc::clone(&end), pause: None };
        Self { read, write: WriteHalf { to, end, pause: None } }
    }

    #[cfg(test)]
    pub(crate) fn over_tcp(stream: tokio::net::TcpStream) -> Self {
        Self::new(Wire::Tcp(stream), Untold::default())
    }

    pub(crate) fn valve(&self) -> &Arc<Valve> {
        &self.write.end.valve
    }

    pub(crate) fn into_split(self) -> (ReadHalf, WriteHalf) {
        (self.read, self.write)
    }
}

impl WriteHalf {
    /// Whether [`WriteHalf::write_now`] does what a write should: over TCP without TLS, while the valve is open and
    /// nothing limits writes. Whoever turns the valve later must see to it himself.
    pub(crate) fn can_write_now(&self) -> bool {
        matches!(self.to, Writes::Tcp(_)) && self.end.valve.lets_writes_through()
    }

    /// Writes what the operating system takes at once, past the valve; says how much that was.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::WouldBlock`] when that is nothing, and where only [`AsyncWrite`] can write.
    pub(crate) fn write_now(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        match (&self.to, parts) {
            (Writes::Tcp(Some(half)), [whole]) => send(half, whole),
            (Writes::Tcp(Some(half)), parts) => half.try_write_vectored(parts),
            _ => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn poll<T>(
        &mut self,
        poll: impl FnOnce(Pin<&mut (dyn AsyncWrite + Unpin)>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        match &mut self.to {
            Writes::Tcp(Some(half)) => poll(Pin::new(half)),
            Writes::Tcp(None) => gone(),
            Writes::Shared(shared) => shared.poll(|carrier| poll(Pin::new(carrier.writer()))),
        }
    }
}

impl Drop for WriteHalf {
    fn drop(&mut self) {
        if let Writes::Tcp(half) = &mut self.to
            && let Some(half) = half.take()
        {
            end_tcp(half, self.end.valve.fate(), &self.end.untold);
        }
    }
}

impl Drop for ReadHalf {
    fn drop(&mut self) {
        // The writing half may have been dropped before it was to be a reset.
        if let Reads::Tcp(half) = &self.from
            && self.end.valve.fate() == Fate::Reset
        {
            let _ = half.as_ref().set_zero_linger();
        }
    }
}

impl Shared {
    fn halves(carrier: Carrier, end: &Arc<End>) -> (Reads, Writes) {
        let shared = Arc::new(Self { carrier: Mutex::new(Some(carrier)), end: Arc::clone(end) });
        (Reads::Shared(Arc::clone(&shared)), Writes::Shared(shared))
    }

    fn poll<T>(&self, poll: impl FnOnce(&mut Carrier) -> Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        self.carrier.lock().as_mut().map_or_else(gone, poll)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(carrier) = self.carrier.get_mut().take() {
            carrier.end(self.end.valve.fate(), &self.end.untold);
        }
    }
}

fn gone<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::ErrorKind::NotConnected.into()))
}

impl ReadHalf {
    fn poll_carrier(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.from {
            Reads::Tcp(half) => Pin::new(half).poll_read(cx, buf),
            Reads::Shared(shared) => shared.poll(|carrier| Pin::new(carrier.reader()).poll_read(cx, buf)),
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
        let (fate, rate) = this.end.valve.reading(cx.waker());
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
        let (fate, rate) = this.end.valve.writing(cx.waker());
        match fate {
            Fate::Open => {}
            Fate::Silent | Fate::HalfOpen => return Poll::Ready(Ok(bytes.len())),
            Fate::Fin | Fate::Reset => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
        ready!(poll_pause(&mut this.pause, cx));
        let most = rate.map_or(usize::MAX, |rate| rate.bytes.max(1));
        let part = &bytes[..bytes.len().min(most)];
        let written = ready!(this.poll(|to| to.poll_write(cx, part)))?;
        this.pause = rate.map(|rate| Pause::new(rate.pause));
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.end.valve.fate() != Fate::Open {
            return Poll::Ready(Ok(()));
        }
        self.poll(|to| to.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if matches!(self.end.valve.fate(), Fate::Silent | Fate::HalfOpen | Fate::Reset) {
            return Poll::Ready(Ok(()));
        }
        self.poll(|to| to.poll_shutdown(cx))
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
        f.debug_struct("WriteHalf").field("valve", &self.end.valve).finish_non_exhaustive()
    }
}

/// The system call and nothing else: tokio's way looks at what it knows of the socket, which a large round does not find
/// in the cache. Who has to wait afterwards learns from tokio that there is nothing to wait for, tries, and waits then.
#[cfg(target_os = "linux")]
fn send(half: &OwnedWriteHalf, bytes: &[u8]) -> io::Result<usize> {
    Ok(rustix::net::send(half.as_ref(), bytes, rustix::net::SendFlags::NOSIGNAL)?)
}

#[cfg(not(target_os = "linux"))]
fn send(half: &OwnedWriteHalf, bytes: &[u8]) -> io::Result<usize> {
    half.try_write(bytes)
}
