//! The HTTP exchange before the websocket, pure: request bytes out, response bytes in.
//!
//! A Socket.IO 0.9 client first asks `GET /socket.io/1/` and gets, as plain text,
//!
//! ```text
//! ilE4LuvvYDPYUbWo3OQY:60:60:websocket,xhr-polling
//! ```
//!
//! which is the session id, the heartbeat timeout and the close timeout in seconds (either may be empty) and the
//! transports offered. Credentials go with this request, in headers. The websocket then opens at
//! [`websocket_path`], where the session id alone is the credential; it is good for **one** socket, and only for
//! 30 seconds (measured on `socket.io` 0.9.19), so every attempt to connect starts with a new handshake.
//!
//! ```
//! use transport_ws::handshake::{Handshake, PathPrefix, Request, ResponseParser, websocket_path};
//!
//! let prefix = PathPrefix::default();
//! let request = Request::new("hub.example").to_bytes()?;
//! assert!(request.starts_with(b"GET /socket.io/1/ HTTP/1.1\r\nHost: hub.example\r\n"));
//!
//! let mut parser = ResponseParser::new();
//! let wire = b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\nilE4LuvvYDPY:60:60:websocket\r\n";
//! let response = parser.feed(wire)?.ok_or("incomplete")?;
//! let handshake = Handshake::from_response(&response)?;
//! assert_eq!(handshake.heartbeat_timeout.map(|timeout| timeout.as_secs()), Some(60));
//! assert_eq!(websocket_path(&prefix, &handshake.sid), "/socket.io/1/websocket/ilE4LuvvYDPY");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod chunked;
mod error;
mod request;
mod response;

use std::fmt;
use std::time::Duration;

use http::StatusCode;

pub use error::HandshakeError;
pub use request::{PathPrefix, Request, websocket_path};
pub use response::{Limits, Response, ResponseParser};

/// The longest session id accepted, in bytes. `socket.io` 0.9.19 makes them of 20.
const MAX_SID: usize = 256;
/// The most transports a handshake may list. `socket.io` 0.9.19 knows five.
const MAX_TRANSPORTS: usize = 16;

/// The id of a session, given by the server: who has it may open the session's websocket.
///
/// Only characters that need no escape in a URL (`A-Z a-z 0-9 - _ . ~`), at most 256 of them and not only dots,
/// so it cannot change the path it is put into. `Debug` shows at most its first four characters.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SessionId(String);

impl SessionId {
    /// Checks a session id.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::Malformed`] if it is empty, too long or has a character that is not allowed.
    pub fn new(sid: &str) -> Result<Self, HandshakeError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
        if sid.is_empty()
            || sid.len() > MAX_SID
            || !sid.bytes().all(allowed)
            || sid.bytes().all(|b| b == b'.')
        {
            return Err(HandshakeError::Malformed("its session id is not a token of 1 to 256 characters"));
        }
        Ok(Self(sid.to_owned()))
    }

    /// The id itself. It is a credential: not for logs.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Real ones have 20 characters: four tell sessions apart and give nothing away.
        let shown = if self.0.len() >= 16 { &self.0[..4] } else { "" };
        write!(f, "SessionId({shown}…)")
    }
}

/// What the server grants: the body of a successful handshake response.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Handshake {
    /// The id of the new session.
    pub sid: SessionId,
    /// How long either side may be silent. `None` when the field is empty or zero: the server does not say.
    /// 60 s on `socket.io` 0.9.19.
    pub heartbeat_timeout: Option<Duration>,
    /// How long the server keeps a session whose transport is gone. `None` when the field is empty or zero.
    /// 60 s on `socket.io` 0.9.19. A websocket client has no use for it: its session ends with the socket.
    pub close_timeout: Option<Duration>,
    /// The transports offered, in the server's order.
    pub transports: Vec<String>,
}

impl Handshake {
    /// A handshake as a server grants it: what the emulator starts from. See [`to_body`](Self::to_body).
    pub fn new(sid: SessionId, heartbeat_timeout: Option<Duration>, close_timeout: Option<Duration>) -> Self {
        Self { sid, heartbeat_timeout, close_timeout, transports: vec!["websocket".to_owned()] }
    }

    /// Reads `SID:60:60:websocket,xhr-polling`. White space around the whole is allowed; timeouts are decimal
    /// seconds, fractions too.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::Malformed`] naming the field that is wrong.
    pub fn parse(body: &str) -> Result<Self, HandshakeError> {
        let mut fields = body.trim_ascii().split(':');
        let (Some(sid), Some(heartbeat), Some(close), Some(transports), None) =
            (fields.next(), fields.next(), fields.next(), fields.next(), fields.next())
        else {
            return Err(HandshakeError::Malformed("it does not have the form 'sid:60:60:websocket'"));
        };
        let sid = SessionId::new(sid)?;
        let heartbeat_timeout =
            timeout(heartbeat, HandshakeError::Malformed("its heartbeat timeout is not a number"))?;
        let close_timeout = timeout(close, HandshakeError::Malformed("its close timeout is not a number"))?;
        let names = transports.split(',').map(str::trim_ascii).filter(|name| !name.is_empty());
        let transports: Vec<String> = names.take(MAX_TRANSPORTS).map(str::to_owned).collect();
        Ok(Self { sid, heartbeat_timeout, close_timeout, transports })
    }

    /// Judges a whole HTTP response: the status, then the body, then whether websocket is offered.
    ///
    /// # Errors
    ///
    /// Every variant of [`HandshakeError`] that speaks of the server's answer.
    pub fn from_response(response: &Response) -> Result<Self, HandshakeError> {
        if response.status != StatusCode::OK {
            return Err(error::refusal(response));
        }
        let body = str::from_utf8(&response.body)
            .map_err(|_| HandshakeError::Malformed("its body is not UTF-8 text"))?;
        if body.trim_ascii() == "Welcome to socket.io." {
            return Err(HandshakeError::WrongProtocolVersion);
        }
        let handshake = Self::parse(body)?;
        if !handshake.supports_websocket() {
            return Err(HandshakeError::NoWebsocket);
        }
        Ok(handshake)
    }

    /// Whether `websocket` is among the transports.
    pub fn supports_websocket(&self) -> bool {
        self.transports.iter().any(|name| name == "websocket")
    }

    /// The body that a server sends for this handshake. It holds the session id: not for logs.
    pub fn to_body(&self) -> String {
        let seconds = |timeout: Option<Duration>| match timeout {
            Some(timeout) if timeout.subsec_nanos() == 0 => timeout.as_secs().to_string(),
            Some(timeout) => timeout.as_secs_f64().to_string(),
            None => String::new(),
        };
        let (heartbeat, close) = (seconds(self.heartbeat_timeout), seconds(self.close_timeout));
        format!("{}:{heartbeat}:{close}:{}", self.sid.as_str(), self.transports.join(","))
    }
}

/// Empty and zero mean none; `wrong` if it is no decimal number.
fn timeout(seconds: &str, wrong: HandshakeError) -> Result<Option<Duration>, HandshakeError> {
    if seconds.is_empty() {
        return Ok(None);
    }
    if !seconds.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return Err(wrong);
    }
    let timeout = match seconds.parse() {
        Ok(whole) => Some(Duration::from_secs(whole)),
        Err(_) => seconds.parse().ok().and_then(|fraction| Duration::try_from_secs_f64(fraction).ok()),
    };
    timeout.map(|timeout| Some(timeout).filter(|timeout| !timeout.is_zero())).ok_or(wrong)
}
