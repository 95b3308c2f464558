//! Why a proxy did not lead to a server, and what to do about it.

use std::io;

use event_core::network::Proxy;
use event_core::{Error, ErrorKind, Retry};

use crate::dial::{Endpoint, OP};

/// Why a proxy did not lead to a server.
#[derive(Debug)]
pub(super) enum Refusal {
    /// It wants credentials, or others.
    Credentials,
    /// It answered this HTTP status.
    Status(u16),
    /// It answered this code of SOCKS5.
    Reply(u8),
    /// What it sent is not what it should speak; says what was expected.
    Malformed(&'static str),
    /// Its answer has no end.
    TooLarge,
    /// The server's name is longer than SOCKS5 allows.
    LongName,
    BrokeOff(io::Error),
}

impl Refusal {
    pub(super) fn into_error(self, proxy: &Proxy, endpoint: &Endpoint) -> Error {
        let (kind, retry) = self.meaning();
        let words = match &self {
            Self::Credentials => {
                let which = if proxy.login().is_some() {
                    "the credentials were refused"
                } else {
                    "it wants credentials"
                };
                format!("{which}; check user and password in the proxy's address")
            }
            Self::Status(status @ (403 | 451)) => {
                format!("it does not allow this server and port (HTTP {status}); ask whoever runs it")
            }
            Self::Status(status @ (408 | 429 | 500..)) => {
                format!("it did not get through (HTTP {status})")
            }
            Self::Status(status) => {
                format!("it opens no tunnel (HTTP {status}); is it an HTTP proxy that allows CONNECT?")
            }
            Self::Reply(code) => format!("it did not get through: {} (SOCKS5 code {code})", reply(*code)),
            Self::Malformed(expected) => {
                format!("its answer is not {expected}; check the proxy's scheme and port")
            }
            Self::TooLarge => "the head of its answer has no end; is it an HTTP proxy?".to_owned(),
            Self::LongName => "SOCKS5 has no room for a name of more than 255 bytes".to_owned(),
            Self::BrokeOff(cause) => format!("it broke off before it answered: {cause}"),
        };
        let message = format!("the proxy {proxy} does not lead to {endpoint}: {words}");
        let error = Error::new(kind, OP, message).with_retry(retry);
        match self {
            Self::BrokeOff(cause) => error.with_source(cause),
            _ => error,
        }
    }

    fn meaning(&self) -> (ErrorKind, Retry) {
        match self {
            Self::Credentials => (ErrorKind::ProxyUnauthenticated, Retry::Never),
            Self::Status(403 | 451) | Self::Reply(2) => (ErrorKind::PermissionDenied, Retry::Never),
            Self::Status(408 | 429 | 500..) | Self::Reply(1 | 3..=6) | Self::BrokeOff(_) => {
                (ErrorKind::Unreachable, Retry::Backoff)
            }
            Self::Status(_) | Self::Reply(_) => (ErrorKind::Refused, Retry::Never),
            // What stands at this address may be something else for a while, such as a login page.
            Self::Malformed(_) | Self::TooLarge => (ErrorKind::Protocol, Retry::Backoff),
            Self::LongName => (ErrorKind::InvalidInput, Retry::Never),
        }
    }
}

/// The name of a code (RFC 1928, section 6).
fn reply(code: u8) -> &'static str {
    match code {
        1 => "general failure",
        2 => "not allowed by its rules",
        3 => "network unreachable",
        4 => "host unreachable",
        5 => "connection refused",
        6 => "time to live expired",
        7 => "command not supported",
        8 => "kind of address not supported",
        _ => "a code without a meaning",
    }
}
