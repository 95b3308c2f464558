//! The requests that a queue understands. Pure.

use std::time::Duration;

use event_core::{Error, ErrorKind, Result, Secret};
use http::Method;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderName, HeaderValue};

use crate::address::QueueAddress;
use crate::exchange::Request;
use crate::lock::LockUrl;

/// The header that tells requests apart in the service's logs; unique for each.
pub const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");

/// The longest time the service is known to hold a poll.
pub const LONGEST_POLL: Duration = Duration::from_secs(230);

/// What becomes of a message that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReceiveMode {
    /// It is gone from the queue: at most once. A message whose transfer fails is lost.
    ReceiveAndDelete,
    /// It is locked until it is completed, or comes back after its lock: at least once.
    PeekLock,
}

/// What is done to a locked message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LockAction {
    /// It is handled: the queue forgets it.
    Complete,
    /// It goes back to the queue at once.
    Abandon,
    /// The lock lasts its whole time again.
    Renew,
}

impl ReceiveMode {
    /// DELETE reads destructively, POST under a lock.
    pub fn method(self) -> Method {
        match self {
            Self::ReceiveAndDelete => Method::DELETE,
            Self::PeekLock => Method::POST,
        }
    }
}

impl LockAction {
    /// DELETE completes, PUT abandons, POST renews.
    pub fn method(self) -> Method {
        match self {
            Self::Complete => Method::DELETE,
            Self::Abandon => Method::PUT,
            Self::Renew => Method::POST,
        }
    }
}

/// The read of the head of a queue: `{queue}/messages/head?timeout=60`.
///
/// `timeout` is how long the service may hold the request when the queue is empty, cut to whole seconds; `None`
/// leaves the parameter out, and the service answers at once. `authorization` is sent verbatim.
///
/// # Errors
///
/// [`ErrorKind::InvalidCredentials`] when the authorization cannot be sent as a header.
pub fn receive(
    queue: &QueueAddress,
    mode: ReceiveMode,
    timeout: Option<Duration>,
    authorization: &Secret,
    deadline: Duration,
) -> Result<Request> {
    let timeout = timeout.map_or_else(String::new, |timeout| format!("?timeout={}", timeout.as_secs()));
    request(mode.method(), format!("{queue}/messages/head{timeout}"), authorization, deadline)
}

/// The settlement of a locked message.
///
/// # Errors
///
/// As for [`receive`].
pub fn settle(
    lock: &LockUrl,
    action: LockAction,
    authorization: &Secret,
    deadline: Duration,
) -> Result<Request> {
    request(action.method(), lock.as_str().to_owned(), authorization, deadline)
}

fn request(method: Method, url: String, authorization: &Secret, deadline: Duration) -> Result<Request> {
    let Ok(mut token) = HeaderValue::from_str(authorization.expose()) else {
        let message = "the authorization has characters that HTTP does not allow in a header";
        return Err(Error::new(ErrorKind::InvalidCredentials, "receive", message));
    };
    token.set_sensitive(true);
    let has_body = method != Method::DELETE;
    let mut request = Request::new(method, url, deadline);
    request.headers.insert(AUTHORIZATION, token);
    if let Ok(id) = HeaderValue::from_str(&uuid::Uuid::new_v4().to_string()) {
        request.headers.insert(CORRELATION_ID, id);
    }
    if has_body {
        request.headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    Ok(request)
}
