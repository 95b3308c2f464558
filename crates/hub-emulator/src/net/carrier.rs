//! What carries the bytes of a stream, and how it ends.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;

use super::memory::MemorySocket;
use super::valve::Fate;

/// The most ended streams whose clients are not told; beyond, the oldest ones end after all.
const MAX_UNTOLD: usize = 4_096;

/// A connection that was just made.
pub(crate) enum Wire {
    Tcp(TcpStream),
    #[cfg(feature = "tls")]
    Tls(Box<tokio_rustls::server::TlsStream<TcpStream>>),
    Memory(MemorySocket),
}

/// What is read and written by one and the same thing.
pub(super) enum Carrier {
    #[cfg(feature = "tls")]
    Tls(Box<tokio_rustls::server::TlsStream<TcpStream>>),
    Memory(MemorySocket),
}

/// What is kept open after its end, and for nothing else.
#[expect(dead_code, reason = "dropping it is all that is done with it")]
pub(super) enum Kept {
    Tcp(OwnedWriteHalf),
    Carrier(Carrier),
}

/// The streams that ended without a word to the client. They end when the server does.
#[derive(Clone, Default)]
pub(crate) struct Untold(Arc<Mutex<VecDeque<Kept>>>);

impl Carrier {
    pub(super) fn reader(&mut self) -> &mut (dyn AsyncRead + Unpin) {
        match self {
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.as_mut(),
            Self::Memory(memory) => &mut memory.pipe,
        }
    }

    pub(super) fn writer(&mut self) -> &mut (dyn AsyncWrite + Unpin) {
        match self {
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.as_mut(),
            Self::Memory(memory) => &mut memory.pipe,
        }
    }

    /// Ends the connection so.
    pub(super) fn end(self, fate: Fate, untold: &Untold) {
        match fate {
            Fate::Open | Fate::Fin => {}
            Fate::Silent | Fate::HalfOpen => untold.add(Kept::Carrier(self)),
            Fate::Reset => match self {
                // Closing then sends RST instead of FIN.
                #[cfg(feature = "tls")]
                Self::Tls(stream) => drop(stream.get_ref().0.set_zero_linger()),
                Self::Memory(memory) => memory.reset(),
            },
        }
    }
}

/// Ends a TCP connection so, once its reading half is dropped too.
pub(super) fn end_tcp(half: OwnedWriteHalf, fate: Fate, untold: &Untold) {
    match fate {
        Fate::Open | Fate::Fin => half.forget(),
        Fate::Silent | Fate::HalfOpen => untold.add(Kept::Tcp(half)),
        Fate::Reset => {
            // Closing then sends RST instead of FIN.
            let _ = half.as_ref().set_zero_linger();
            half.forget();
        }
    }
}

impl Untold {
    fn add(&self, kept: Kept) {
        let mut all = self.0.lock();
        if all.len() >= MAX_UNTOLD {
            all.pop_front();
        }
        all.push_back(kept);
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
