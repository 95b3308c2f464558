//! What carries the bytes of a stream, and how it ends.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::memory::MemorySocket;
use super::valve::Fate;

/// The most ended streams whose clients are not told; beyond, the oldest ones end after all.
const MAX_UNTOLD: usize = 4_096;

/// A stream that nobody has written to yet.
pub(crate) enum Wire {
    Tcp(TcpStream),
    #[cfg(feature = "tls")]
    Tls(Box<tokio_rustls::server::TlsStream<TcpStream>>),
    Memory(MemorySocket),
}

/// The same in use. TCP is written here and read by a half of its own, the others are read and written here.
pub(super) enum Carrier {
    Tcp(Tcp),
    #[cfg(feature = "tls")]
    Tls(Box<tokio_rustls::server::TlsStream<TcpStream>>),
    Memory(MemorySocket),
}

/// The writing half of a TCP stream. Dropping it says nothing to the client: that is for closing the stream to do.
pub(super) struct Tcp(Option<OwnedWriteHalf>);

/// The carriers of streams that ended without a word to the client. They end when the server does.
#[derive(Clone, Default)]
pub(crate) struct Untold(Arc<Mutex<VecDeque<Carrier>>>);

impl Wire {
    /// What writes, and for TCP what reads.
    pub(super) fn into_parts(self) -> (Carrier, Option<OwnedReadHalf>) {
        match self {
            Self::Tcp(stream) => {
                let (read, write) = stream.into_split();
                (Carrier::Tcp(Tcp(Some(write))), Some(read))
            }
            #[cfg(feature = "tls")]
            Self::Tls(stream) => (Carrier::Tls(stream), None),
            Self::Memory(memory) => (Carrier::Memory(memory), None),
        }
    }
}

impl Tcp {
    pub(super) fn half(&mut self) -> io::Result<&mut OwnedWriteHalf> {
        self.0.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl Drop for Tcp {
    fn drop(&mut self) {
        if let Some(half) = self.0.take() {
            half.forget();
        }
    }
}

impl Carrier {
    /// What reads, unless it is TCP.
    pub(super) fn reader(&mut self) -> io::Result<&mut (dyn AsyncRead + Unpin)> {
        match self {
            Self::Tcp(_) => Err(io::ErrorKind::NotConnected.into()),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Ok(stream.as_mut()),
            Self::Memory(memory) => Ok(&mut memory.pipe),
        }
    }

    pub(super) fn writer(&mut self) -> io::Result<&mut (dyn AsyncWrite + Unpin)> {
        match self {
            Self::Tcp(tcp) => Ok(tcp.half()?),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => Ok(stream.as_mut()),
            Self::Memory(memory) => Ok(&mut memory.pipe),
        }
    }

    /// Ends the connection so.
    pub(super) fn end(mut self, fate: Fate, untold: &Untold) {
        match fate {
            Fate::Open | Fate::Fin => {}
            Fate::Silent | Fate::HalfOpen => untold.add(self),
            Fate::Reset => match &mut self {
                // Closing then sends RST instead of FIN.
                Self::Tcp(tcp) => drop(tcp.half().map(|half| half.as_ref().set_zero_linger())),
                #[cfg(feature = "tls")]
                Self::Tls(stream) => drop(stream.get_ref().0.set_zero_linger()),
                Self::Memory(memory) => memory.reset(),
            },
        }
    }
}

impl Untold {
    fn add(&self, carrier: Carrier) {
        let mut carriers = self.0.lock();
        if carriers.len() >= MAX_UNTOLD {
            carriers.pop_front();
        }
        carriers.push_back(carrier);
    }

    /// Ends them all.
    pub(super) fn end(&self) {
        self.0.lock().clear();
    }
}

impl fmt::Debug for Untold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Untold").field(&self.0.lock().len()).finish()
    }
}
