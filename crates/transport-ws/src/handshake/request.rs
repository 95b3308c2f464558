//! The handshake request, and the paths.

use std::fmt;

use http::header::{self, HeaderMap, HeaderName};
use http::uri::Authority;

use super::{HandshakeError, SessionId};

/// The path under which a reverse proxy puts the server, `""` by default: with `/hub` the handshake goes to
/// `/hub/socket.io/1/`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PathPrefix(String);

impl PathPrefix {
    /// Checks a prefix. Slashes at its end are dropped, one at its start is added; `""` and `/` mean none.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::InvalidRequest`] if it has a character that a URL path must not have as it is (a blank,
    /// `?`, `#`, anything outside ASCII: percent-encode them), or a `.` or `..` segment.
    pub fn new(prefix: &str) -> Result<Self, HandshakeError> {
        let prefix = prefix.trim_end_matches('/');
        if prefix.is_empty() {
            return Ok(Self::default());
        }
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@%/".contains(&byte);
        if !prefix.bytes().all(allowed) || prefix.split('/').any(|segment| matches!(segment, "." | "..")) {
            return Err(HandshakeError::InvalidRequest("the path prefix is not a plain URL path"));
        }
        Ok(Self(if prefix.starts_with('/') { prefix.to_owned() } else { format!("/{prefix}") }))
    }

    /// The prefix: empty, or with a slash at its start and none at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The path of the session's websocket, `/socket.io/1/websocket/SID`. It holds the session id: not for logs.
pub fn websocket_path(prefix: &PathPrefix, sid: &SessionId) -> String {
    format!("{}/socket.io/1/websocket/{}", prefix.as_str(), sid.as_str())
}

/// The handshake request. `Debug` shows the names of its headers and none of their values.
#[derive(Clone)]
pub struct Request {
    host: String,
    prefix: PathPrefix,
    headers: HeaderMap,
}

/// Headers that this module writes, or that would change how the answer is framed.
const RESERVED: [HeaderName; 7] = [
    header::HOST,
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::EXPECT,
    header::ACCEPT_ENCODING,
];

impl Request {
    /// A request to `host`, which is what the `Host` header says: a name or an address, with `:port` unless it
    /// is the scheme's own.
    pub fn new(host: impl Into<String>) -> Self {
        Self { host: host.into(), prefix: PathPrefix::default(), headers: HeaderMap::new() }
    }

    /// Where the server is, behind a reverse proxy. Default: at the root.
    pub fn prefix(mut self, prefix: PathPrefix) -> Self {
        self.prefix = prefix;
        self
    }

    /// Further headers, sent in the map's order: credentials, cookies, a user agent. Default: none.
    ///
    /// A handshake needs its credentials here; on the websocket request the measured Python client does not
    /// repeat them.
    pub fn headers(mut self, headers: HeaderMap) -> Self {
        self.headers = headers;
        self
    }

    /// The path asked for, `/socket.io/1/` after the prefix.
    pub fn path(&self) -> String {
        format!("{}/socket.io/1/", self.prefix.as_str())
    }

    /// The request as it goes on the wire. It holds the credentials: not for logs.
    ///
    /// It asks for `Connection: close`, and offers no content coding.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::InvalidRequest`] if the host is not a plain `host` or `host:port`, or if a further header
    /// is one that frames the exchange (`Host`, `Connection`, `Content-Length`, `Transfer-Encoding`, `Upgrade`,
    /// `Expect`, `Accept-Encoding`).
    pub fn to_bytes(&self) -> Result<Vec<u8>, HandshakeError> {
        let authority: Result<Authority, _> = self.host.parse();
        if authority.is_err() || self.host.contains('@') {
            return Err(HandshakeError::InvalidRequest("the host is not a plain 'host' or 'host:port'"));
        }
        if RESERVED.iter().any(|name| self.headers.contains_key(name)) {
            return Err(HandshakeError::InvalidRequest("a header of the caller's would change the framing"));
        }
        let mut out = Vec::with_capacity(256);
        for part in ["GET ", &self.path(), " HTTP/1.1\r\nHost: ", &self.host, "\r\nConnection: close\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
        if !self.headers.contains_key(header::ACCEPT) {
            out.extend_from_slice(b"Accept: */*\r\n");
        }
        for (name, value) in &self.headers {
            out.extend_from_slice(name.as_str().as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(value.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
        Ok(out)
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.keys().map(HeaderName::as_str).collect();
        f.debug_struct("Request")
            .field("host", &self.host)
            .field("prefix", &self.prefix)
            .field("headers", &names)
            .finish()
    }
}
