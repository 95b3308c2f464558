//! The error of this crate.

use std::io;
use std::net::SocketAddr;

/// Why an emulator did not start, or would not take an event or a fault. The message says what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    kind: ErrorKind,
    message: String,
    #[source]
    source: Option<io::Error>,
}

/// The kinds of failure a caller can tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Something listens on that address already.
    AddressInUse,
    /// The address cannot be listened on for another reason.
    Bind,
    /// The address is not a loopback address, and that was not allowed.
    NotLoopback,
    /// A setting cannot be used.
    InvalidSetting,
    /// An event to publish that only a connected client can send.
    InvalidEvent,
    /// A fault that cannot be.
    InvalidFault,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    pub(crate) fn bind(address: SocketAddr, source: io::Error) -> Self {
        let (kind, advice) = match source.kind() {
            io::ErrorKind::AddrInUse => {
                (ErrorKind::AddressInUse, "stop the program that listens there, or use port 0 for a free one")
            }
            io::ErrorKind::AddrNotAvailable => (ErrorKind::Bind, "use an address of this machine"),
            io::ErrorKind::PermissionDenied => (ErrorKind::Bind, "use a port above 1023, or port 0"),
            _ => (ErrorKind::Bind, "see the cause"),
        };
        Self { kind, message: format!("cannot listen on {address}; {advice}"), source: Some(source) }
    }

    /// What went wrong, for `match`.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}
