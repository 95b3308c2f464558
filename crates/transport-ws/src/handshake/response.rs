//! The HTTP/1 response, parsed as its bytes come in.

use std::fmt;

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{StatusCode, Version};

use super::HandshakeError;
use super::chunked::{Chunked, Progress};

/// The most header lines accepted.
const MAX_HEADERS: usize = 64;

/// How large a response may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The status line and the headers together, interim (1xx) responses included, in bytes. Default 16 KiB.
    /// There may be at most 64 headers.
    pub head: usize,
    /// The body after removing the chunk framing, in bytes. Default 16 KiB; a real one has about 50 bytes.
    pub body: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { head: 16 * 1024, body: 16 * 1024 }
    }
}

impl Limits {
    /// Sets the limit of the head, in bytes.
    pub fn head(mut self, bytes: usize) -> Self {
        self.head = bytes;
        self
    }

    /// Sets the limit of the body, in bytes.
    pub fn body(mut self, bytes: usize) -> Self {
        self.body = bytes;
        self
    }
}

/// A whole response. `Debug` shows its size instead of its body, and of its headers only the names: a handshake
/// response holds a session id, and may set cookies.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Response {
    /// The status; never 1xx.
    pub status: StatusCode,
    /// The headers, trailers not included.
    pub headers: HeaderMap,
    /// The body without chunk framing.
    pub body: Bytes,
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.headers.keys().map(HeaderName::as_str).collect();
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("headers", &names)
            .field("body_len", &self.body.len())
            .finish()
    }
}

/// An incremental, strict parser of one HTTP/1 response to a GET. Total on any bytes.
///
/// The body ends by `Content-Length`, by the last chunk (what `socket.io` 0.9.19 sends), or with the connection.
/// Bytes after the response are ignored, since the request asked for `Connection: close`. Interim responses
/// (1xx, except 101) are skipped. Refused: both framings at once, different lengths, any other transfer coding.
pub struct ResponseParser {
    limits: Limits,
    state: State,
    /// Bytes of all heads so far, the interim ones included.
    head_bytes: usize,
}

enum State {
    /// Collecting the head.
    Head(Vec<u8>),
    Body {
        head: Box<(StatusCode, HeaderMap)>,
        framing: Framing,
        body: Vec<u8>,
    },
    /// The response was given out.
    Done,
    Failed(HandshakeError),
}

enum Framing {
    Length(usize),
    Chunked(Chunked),
    UntilClose,
}

impl Default for ResponseParser {
    fn default() -> Self {
        Self::new()
    }
}

impl ResponseParser {
    /// A parser with the default [`Limits`].
    pub fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    /// A parser with these limits.
    pub fn with_limits(limits: Limits) -> Self {
        Self { limits, state: State::Head(Vec::new()), head_bytes: 0 }
    }

    /// Takes the next bytes from the connection, any number of them. Gives the response once, as soon as it is
    /// complete; `None` means that more bytes (or [`finish`](Self::finish)) are needed, and is also the answer
    /// after the response was given.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::Malformed`] and [`HandshakeError::TooLarge`]. The parser stays failed after that.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Option<Response>, HandshakeError> {
        let outcome = self.advance(bytes);
        if let Err(error) = &outcome {
            self.state = State::Failed(error.clone());
        }
        outcome
    }

    /// The connection ended: gives the response if its body is one that ends with the connection.
    ///
    /// # Errors
    ///
    /// [`HandshakeError::Truncated`] when the response is incomplete (or was given out already), or the error
    /// that [`feed`](Self::feed) gave before.
    pub fn finish(&mut self) -> Result<Response, HandshakeError> {
        match std::mem::replace(&mut self.state, State::Done) {
            State::Body { head, framing: Framing::UntilClose, body } => {
                let (status, headers) = *head;
                Ok(Response { status, headers, body: body.into() })
            }
            State::Failed(error) => {
                self.state = State::Failed(error.clone());
                Err(error)
            }
            State::Head(_) | State::Body { .. } | State::Done => Err(HandshakeError::Truncated),
        }
    }

    fn advance(&mut self, mut bytes: &[u8]) -> Result<Option<Response>, HandshakeError> {
        loop {
            match &mut self.state {
                State::Head(_) => match self.head(bytes)? {
                    Some(rest) => bytes = rest,
                    None => return Ok(None),
                },
                State::Body { .. } => return self.body(bytes),
                State::Done => return Ok(None),
                State::Failed(error) => return Err(error.clone()),
            }
        }
    }

    /// Takes head bytes; gives what follows the head once it is complete.
    fn head<'a>(&mut self, bytes: &'a [u8]) -> Result<Option<&'a [u8]>, HandshakeError> {
        let limit = self.limits.head;
        let State::Head(buffer) = &mut self.state else { return Ok(None) };
        // One byte more than the limit decides: what follows is not buffered.
        let before = buffer.len();
        let room = (limit.saturating_sub(self.head_bytes)).saturating_add(1).saturating_sub(before);
        let taken = &bytes[..bytes.len().min(room)];
        buffer.extend_from_slice(taken);
        // A head cannot become complete without a new line feed: no reparsing for every byte.
        let parsed = if taken.contains(&b'\n') { parse_head(buffer)? } else { None };
        let length = parsed.as_ref().map_or(buffer.len(), |head| head.0);
        if length > limit.saturating_sub(self.head_bytes) {
            return Err(HandshakeError::TooLarge { limit });
        }
        let Some((length, status, headers, version)) = parsed else { return Ok(None) };
        self.head_bytes += length;
        self.state = if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
            State::Head(Vec::new())
        } else {
            let framing = framing(status, &headers, version, self.limits.body)?;
            State::Body { head: Box::new((status, headers)), framing, body: Vec::new() }
        };
        // The head was incomplete before, so it ends within the bytes taken now.
        Ok(Some(&bytes[length.saturating_sub(before)..]))
    }

    fn body(&mut self, bytes: &[u8]) -> Result<Option<Response>, HandshakeError> {
        let limit = self.limits.body;
        let State::Body { head, framing, body } = &mut self.state else { return Ok(None) };
        let complete = match framing {
            Framing::Length(length) => {
                let missing = *length - body.len();
                body.extend_from_slice(&bytes[..bytes.len().min(missing)]);
                body.len() == *length
            }
            Framing::Chunked(chunked) => chunked.feed(bytes, body, limit)? == Progress::Complete,
            Framing::UntilClose => {
                if bytes.len() > limit - body.len() {
                    return Err(HandshakeError::TooLarge { limit });
                }
                body.extend_from_slice(bytes);
                false
            }
        };
        if !complete {
            return Ok(None);
        }
        let (status, headers, body) = (head.0, std::mem::take(&mut head.1), std::mem::take(body));
        self.state = State::Done;
        Ok(Some(Response { status, headers, body: body.into() }))
    }
}

impl fmt::Debug for ResponseParser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Head(_) => "head",
            State::Body { .. } => "body",
            State::Done => "done",
            State::Failed(_) => "failed",
        };
        f.debug_struct("ResponseParser")
            .field("limits", &self.limits)
            .field("state", &state)
            .finish_non_exhaustive()
    }
}

type Head = (usize, StatusCode, HeaderMap, Version);

fn parse_head(buffer: &[u8]) -> Result<Option<Head>, HandshakeError> {
    let mut slots = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Response::new(&mut slots);
    let length = match parsed.parse(buffer) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(HandshakeError::Malformed("it has more than 64 headers"));
        }
        Err(_) => return Err(HandshakeError::Malformed("its head is not HTTP/1")),
    };
    let status = parsed.code.and_then(|code| StatusCode::from_u16(code).ok());
    let status = status.ok_or(HandshakeError::Malformed("its status is not one of HTTP"))?;
    let version = if parsed.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
    let mut headers = HeaderMap::with_capacity(parsed.headers.len());
    for line in parsed.headers.iter() {
        let name = HeaderName::from_bytes(line.name.as_bytes());
        let value = HeaderValue::from_bytes(line.value);
        let (Ok(name), Ok(value)) = (name, value) else {
            return Err(HandshakeError::Malformed("one of its headers has characters that are not allowed"));
        };
        headers.append(name, value);
    }
    Ok(Some((length, status, headers, version)))
}

fn framing(
    status: StatusCode,
    headers: &HeaderMap,
    version: Version,
    limit: usize,
) -> Result<Framing, HandshakeError> {
    let length = content_length(headers)?;
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    if let Some(coding) = codings.next() {
        let only_chunked = coding.as_bytes().eq_ignore_ascii_case(b"chunked") && codings.next().is_none();
        if !only_chunked || version == Version::HTTP_10 {
            return Err(HandshakeError::Malformed("its transfer coding is not 'chunked'"));
        }
        if length.is_some() {
            return Err(HandshakeError::Malformed("it has both a length and chunks"));
        }
        return Ok(Framing::Chunked(Chunked::new()));
    }
    if matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED | StatusCode::SWITCHING_PROTOCOLS) {
        return Ok(Framing::Length(0));
    }
    match length {
        Some(length) if length > limit as u64 => Err(HandshakeError::TooLarge { limit }),
        Some(length) => Ok(Framing::Length(usize::try_from(length).unwrap_or(limit))),
        None => Ok(Framing::UntilClose),
    }
}

fn content_length(headers: &HeaderMap) -> Result<Option<u64>, HandshakeError> {
    const WRONG: HandshakeError = HandshakeError::Malformed("its Content-Length is not one number");
    let mut length = None;
    for value in headers.get_all(header::CONTENT_LENGTH) {
        let digits = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        let value: u64 = digits.and_then(|digits| digits.parse().ok()).ok_or(WRONG)?;
        if length.is_some_and(|before| before != value) {
            return Err(WRONG);
        }
        length = Some(value);
    }
    Ok(length)
}
