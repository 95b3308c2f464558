//! The error of this crate: what kind, what was tried, what to do, and whether trying again can help.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use crate::DecodeError;

/// The result of this crate's operations.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, said so that a person knows what to fix and a program knows what to do.
///
/// Messages name the operation and the place (an address, an expression, a subscription), never a payload and
/// never a credential. [`Error::kind`] is for `match`, [`Error::retry`] for retry loops, and
/// [`std::error::Error::source`] leads to the cause.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    retry: Retry,
    op: &'static str,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The kinds of failure a caller can tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An argument cannot be used; the message says which and why.
    InvalidInput,
    /// A subscription or target expression does not parse; the message points at the column.
    InvalidExpression,
    /// A server address cannot be used.
    InvalidUrl,
    /// A user name or key is empty or cannot be sent.
    InvalidCredentials,
    /// The service refused the credentials.
    Unauthenticated,
    /// The service knows who asks and refuses all the same.
    PermissionDenied,
    /// The proxy on the way refused the credentials in its address, or wants some. The service was not asked.
    ProxyUnauthenticated,
    /// No connection could be made: name not found, refused, reset, no route.
    Unreachable,
    /// The TLS handshake failed: certificate, host name, protocol version.
    Tls,
    /// The server answered, but does not offer the transport that this client speaks.
    UnsupportedTransport,
    /// The peer sent something that its protocol does not allow.
    Protocol,
    /// A message is larger than a configured limit.
    TooLarge,
    /// The time allowed ran out.
    Timeout,
    /// There is no connection, and none is being made.
    NotConnected,
    /// The connection ended.
    Disconnected,
    /// The connection ended before the server acknowledged: the event may or may not have arrived.
    Unconfirmed,
    /// The service acknowledged with a refusal.
    Refused,
    /// A subscription with this id exists already on this hub.
    Duplicate,
    /// No such subscription.
    NotFound,
    /// This transport cannot do that; see its capabilities.
    Unsupported,
    /// The service does not let this queue be read under a lock; destructive reading may work.
    PeekLockRefused,
    /// The lock of a delivery lapsed, or the service does not prolong it: the event may be delivered again.
    LockLost,
    /// A bounded queue has no room.
    Full,
    /// The hub was closed.
    Closed,
    /// The call needs a tokio runtime and there is none.
    NoRuntime,
    /// An event's data does not have the shape asked for.
    Decode,
    /// A handler returned an error or panicked.
    Handler,
    /// A store on this machine cannot be opened, read or written; the message says what to do.
    Storage,
}

/// What a caller, or the supervisor, should do after an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Retry {
    /// The same call will fail again.
    Never,
    /// The call may be repeated at once.
    Now,
    /// The service asked to wait this long.
    After(Duration),
    /// Get fresh credentials first.
    AfterReauth,
    /// Repeat with growing pauses.
    Backoff,
}

impl Error {
    /// An error of a kind, for the operation `op` (a few words: "connect", "parse expression").
    ///
    /// Whether to retry follows from the kind; [`Error::with_retry`] overrides it.
    pub fn new(kind: ErrorKind, op: &'static str, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, retry: kind.default_retry(), op, message: message.into(), source: None }))
    }

    /// The same error with its cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The same error with other advice.
    #[must_use]
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.0.retry = retry;
        self
    }

    /// What went wrong, for `match`.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What to do about it.
    pub fn retry(&self) -> Retry {
        self.0.retry
    }

    /// The operation that failed.
    pub fn op(&self) -> &'static str {
        self.0.op
    }

    /// The message without the operation.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Whether trying again, now or later, with or without fresh credentials, can help.
    pub fn is_transient(&self) -> bool {
        !matches!(self.0.retry, Retry::Never)
    }

    /// A copy for a second reader; the cause is carried as text, but a [`DecodeError`] and a
    /// [`CertificateFault`](crate::network::CertificateFault) as they are.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        let cause = self.0.source.as_deref();
        let decode = cause.and_then(|cause| cause.downcast_ref::<DecodeError>());
        let source = match (crate::network::CertificateFault::of(self), decode) {
            (Some(fault), _) => Some(fault.into()),
            (None, Some(decode)) => Some(decode.clone().into()),
            (None, None) => cause.map(|cause| cause.to_string().into()),
        };
        Self(Box::new(Inner {
            kind: self.0.kind,
            retry: self.0.retry,
            op: self.0.op,
            message: self.0.message.clone(),
            source,
        }))
    }
}

impl ErrorKind {
    fn default_retry(self) -> Retry {
        match self {
            Self::Unreachable
            | Self::Timeout
            | Self::Disconnected
            | Self::Unconfirmed
            | Self::Full
            | Self::Protocol => Retry::Backoff,
            _ => Retry::Never,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.op, self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("retry", &self.0.retry)
            .field("op", &self.0.op)
            .field("message", &self.0.message)
            .field("source", &self.0.source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|s| s as _)
    }
}

/// For conversions that cannot fail.
impl From<std::convert::Infallible> for Error {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_what_was_tried_and_keeps_its_cause() {
        let cause = std::io::Error::other("connection refused");
        let error =
            Error::new(ErrorKind::Unreachable, "connect", "no server at 127.0.0.1:9").with_source(cause);
        assert_eq!(error.to_string(), "connect: no server at 127.0.0.1:9");
        assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("connection refused"));
        assert!(error.is_transient());
        assert_eq!(error.duplicate().kind(), ErrorKind::Unreachable);
    }

    #[test]
    fn a_copy_still_says_where_data_has_another_shape() {
        let cause = DecodeError::new("", Some(&serde_json::json!([])), "an object");
        let error =
            Error::new(ErrorKind::Decode, "decode event", cause.to_string()).with_source(cause.clone());
        let copy = error.duplicate();
        assert_eq!(copy.message(), "the data is a list, expected an object");
        assert_eq!(copy.source().and_then(|source| source.downcast_ref()), Some(&cause));
    }

    #[test]
    fn an_error_is_one_pointer() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
    }
}
