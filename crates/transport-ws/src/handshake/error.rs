//! Why a handshake failed, and what to do about it.

use std::error::Error;
use std::fmt;

use http::{StatusCode, Uri, header};

use super::Response;

/// Why a handshake failed. Holds no header, no body and no session id, so it can be logged.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The request cannot be written: says what is wrong with the host, the prefix or the headers.
    InvalidRequest(&'static str),
    /// 401 or 403: the credentials are missing or wrong. Trying again with the same ones is pointless.
    /// `socket.io` 0.9.19 says 403 `handshake unauthorized`.
    Unauthorized {
        /// 401 or 403.
        status: u16,
    },
    /// 404 or 410: there is no Socket.IO server at this path.
    NotFound,
    /// There is a Socket.IO server, but it does not speak protocol 1 here. From `socket.io` 0.9.19: 500
    /// `Protocol version not supported.`, or 200 `Welcome to socket.io.` for a path without a version; from
    /// Socket.IO 1 and later: 400 with `Transport unknown`.
    WrongProtocolVersion,
    /// Any 3xx. Redirects are not followed: the credentials would go along.
    Redirect {
        /// Where to: scheme, host and port only, as the rest may hold secrets. `None` if the server does not
        /// say, or names another path on the same host.
        origin: Option<String>,
    },
    /// Any other status than 200.
    Status(u16),
    /// What came is not a handshake response of HTTP/1: says which part of it is wrong.
    Malformed(&'static str),
    /// The head or the body is larger than the limit.
    TooLarge {
        /// The limit exceeded, in bytes.
        limit: usize,
    },
    /// The connection ended before the response did.
    Truncated,
    /// The server does not offer the websocket transport.
    NoWebsocket,
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidRequest(what) => write!(f, "the handshake request cannot be sent: {what}"),
            Self::Unauthorized { status } => {
                write!(f, "the server refused the credentials (HTTP {status}): check the user and the API key")
            }
            Self::NotFound => {
                f.write_str("no Socket.IO server at this address: check the host and the path prefix")
            }
            Self::WrongProtocolVersion => f.write_str(
                "the server does not speak Socket.IO protocol 1 (version 0.9) at this path: \
                 check that the URL is the one of the event hub, and its path prefix",
            ),
            Self::Redirect { origin: Some(origin) } => {
                write!(f, "the server redirects to {origin}: use that address in the configuration")
            }
            Self::Redirect { origin: None } => {
                f.write_str("the server redirects to another path: check the scheme and the path prefix of the URL")
            }
            Self::Status(status) if *status >= 500 => {
                write!(f, "the server failed (HTTP {status}): try again later or ask who runs it")
            }
            Self::Status(status) => {
                write!(f, "unexpected HTTP status {status}: check that the URL is the one of the event hub")
            }
            Self::Malformed(what) => {
                write!(f, "the answer is not a Socket.IO handshake, {what}: check host, port and scheme of the URL")
            }
            Self::TooLarge { limit } => {
                write!(f, "the answer is larger than {limit} bytes: check that the URL is the one of the event hub")
            }
            Self::Truncated => f.write_str(
                "the connection ended before the answer did: check that port and scheme (http or https) fit together",
            ),
            Self::NoWebsocket => {
                f.write_str("the server does not offer the websocket transport: enable it there or in its proxy")
            }
        }
    }
}

impl Error for HandshakeError {}

/// The error for a response whose status is not 200.
pub(super) fn refusal(response: &Response) -> HandshakeError {
    let status = response.status;
    let says = |text: &[u8]| response.body.windows(text.len()).any(|window| window == text);
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            HandshakeError::Unauthorized { status: status.as_u16() }
        }
        StatusCode::NOT_FOUND | StatusCode::GONE => HandshakeError::NotFound,
        StatusCode::INTERNAL_SERVER_ERROR if says(b"Protocol version not supported") => {
            HandshakeError::WrongProtocolVersion
        }
        StatusCode::BAD_REQUEST if says(b"Transport unknown") => HandshakeError::WrongProtocolVersion,
        status if status.is_redirection() => HandshakeError::Redirect { origin: origin(response) },
        status => HandshakeError::Status(status.as_u16()),
    }
}

fn origin(response: &Response) -> Option<String> {
    let location: Uri = response.headers.get(header::LOCATION)?.to_str().ok()?.parse().ok()?;
    let (scheme, authority) = (location.scheme_str()?, location.authority()?);
    Some(match authority.port_u16() {
        Some(port) => format!("{scheme}://{}:{port}", authority.host()),
        None => format!("{scheme}://{}", authority.host()),
    })
}
