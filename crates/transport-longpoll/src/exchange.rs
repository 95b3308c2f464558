//! The seam through which HTTP is spoken: one request, one answer.
//!
//! [`ReqwestExchange`] speaks it over the network. Tests and embedded services implement [`HttpExchange`]
//! themselves and need no socket.

#[cfg(feature = "reqwest")]
mod client;
#[cfg(feature = "reqwest")]
mod failure;
#[cfg(feature = "reqwest")]
mod tls;
#[cfg(feature = "reqwest")]
mod urls;

use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use event_core::{Error, ErrorKind, Retry};
use http::{HeaderMap, Method, StatusCode};

#[cfg(feature = "reqwest")]
pub use client::{ReqwestExchange, ReqwestExchangeBuilder};
#[cfg(feature = "reqwest")]
pub use tls::{Tls, TlsBackend};

/// Does one HTTP exchange.
#[async_trait]
pub trait HttpExchange: Send + Sync + 'static {
    /// Sends a request and reads the whole answer, whatever its status. Redirections are not followed.
    ///
    /// # Errors
    ///
    /// [`ExchangeError`] when there is no whole answer. A status is not an error.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the exchange; the service may have acted on it all the same.
    async fn exchange(&self, request: Request) -> Result<Response, ExchangeError>;
}

impl<T: HttpExchange + ?Sized> HttpExchange for std::sync::Arc<T> {
    // Written out: the macro would put the inner future into a box of its own.
    fn exchange<'this, 'exchange>(
        &'this self,
        request: Request,
    ) -> Pin<Box<dyn Future<Output = Result<Response, ExchangeError>> + Send + 'exchange>>
    where
        'this: 'exchange,
        Self: 'exchange,
    {
        (**self).exchange(request)
    }
}

/// A request.
#[derive(Clone)]
#[non_exhaustive]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The absolute URL. There is no credential in it.
    pub url: String,
    /// The headers. Credentials among them are marked as sensitive, and `Debug` does not show them.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// The caller drops the exchange after this long. For information: nothing has to be done about it.
    pub deadline: Duration,
}

impl Request {
    /// A request without headers and body.
    pub fn new(method: Method, url: impl Into<String>, deadline: Duration) -> Self {
        Self { method, url: url.into(), headers: HeaderMap::new(), body: Bytes::new(), deadline }
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("url", &self.url)
            .field("headers", &self.headers)
            .field("body", &self.body.len())
            .field("deadline", &self.deadline)
            .finish()
    }
}

/// An answer.
#[derive(Clone)]
#[non_exhaustive]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Response {
    /// An answer.
    pub fn new(status: StatusCode, headers: HeaderMap, body: impl Into<Bytes>) -> Self {
        Self { status, headers, body: body.into() }
    }
}

impl fmt::Debug for Response {
    /// The length of the body, not the body: payloads stay out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("body", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// Why there is no whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ExchangeErrorKind {
    /// No connection: name not found, refused, no route. The request was not sent.
    Connect,
    /// No TLS connection, for a reason that will stay. The request was not sent.
    Tls,
    /// The proxy on the way refused the credentials in its address, or wants some. The service was not asked.
    ProxyUnauthenticated,
    /// The proxy on the way does not allow this server. The service was not asked.
    ProxyRefused,
    /// It took too long.
    Timeout,
    /// The connection broke off, before or in the answer.
    Broken,
    /// The answer is larger than allowed.
    TooLarge,
    /// What came is not HTTP, or is cut short.
    Protocol,
    /// The request cannot be sent as it is.
    InvalidRequest,
}

/// An exchange without a whole answer.
#[derive(Debug)]
pub struct ExchangeError {
    kind: ExchangeErrorKind,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl ExchangeError {
    /// Why, in a word and in words. The words name no credential and no payload.
    pub fn new(kind: ExchangeErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// The same with its cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The exchange that an error was made from.
    pub fn of(error: &Error) -> Option<&Self> {
        std::error::Error::source(error)?.downcast_ref()
    }

    /// Why.
    pub fn kind(&self) -> ExchangeErrorKind {
        self.kind
    }

    /// Whether the service may have acted on the request: for a destructive read, whether a message may be lost.
    pub fn may_have_acted(&self) -> bool {
        use ExchangeErrorKind as Kind;
        !matches!(
            self.kind,
            Kind::Connect
                | Kind::Tls
                | Kind::ProxyUnauthenticated
                | Kind::ProxyRefused
                | Kind::InvalidRequest
        )
    }

    /// The error of the operation `op` on a queue.
    pub fn into_error(self, op: &'static str, queue: &str) -> Error {
        use ExchangeErrorKind as Kind;
        let (kind, retry) = match self.kind {
            Kind::Connect => (ErrorKind::Unreachable, Retry::Backoff),
            Kind::Tls => (ErrorKind::Tls, Retry::Never),
            Kind::ProxyUnauthenticated => (ErrorKind::ProxyUnauthenticated, Retry::Never),
            Kind::ProxyRefused => (ErrorKind::PermissionDenied, Retry::Never),
            Kind::Timeout => (ErrorKind::Timeout, Retry::Backoff),
            Kind::Broken => (ErrorKind::Disconnected, Retry::Backoff),
            Kind::TooLarge => (ErrorKind::TooLarge, Retry::Backoff),
            Kind::Protocol => (ErrorKind::Protocol, Retry::Backoff),
            Kind::InvalidRequest => (ErrorKind::InvalidInput, Retry::Never),
        };
        Error::new(kind, op, format!("{queue}: {self}")).with_retry(retry).with_source(self)
    }
}

impl fmt::Display for ExchangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ExchangeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
