//! What an answer means: every status that a queue gives, to a poll and to a settlement. Pure.
//!
//! | status | to a poll | to complete, abandon, renew |
//! |---|---|---|
//! | 200, 201 | a message | done |
//! | 204 | nothing within the timeout | done |
//! | other 2xx | [`Class::Unexpected`] | done |
//! | 3xx | [`Class::Redirected`]: a login page stands in front of the queue | same |
//! | 401 | [`Class::Reauthenticate`] | same |
//! | 404 | [`Class::Gone`] | [`Class::LockLost`] |
//! | 410 | [`Class::Gone`] | [`Class::Gone`] |
//! | 408 | [`Class::Transient`] | same |
//! | 429, 503, and error code 50009 with any other failure | [`Class::Throttled`] | same |
//! | 400, 403, other 4xx, 501, 505 | [`Class::Refused`] | same |
//! | other 5xx | [`Class::Transient`] | same |
//!
//! For 404 to a poll the documentation of the service contradicts itself (never existed, does not exist any
//! more); both mean that there is nothing to poll.

use std::fmt;
use std::time::{Duration, SystemTime};

use event_core::{Error, ErrorKind, Retry};
use http::StatusCode;
use http::header::{DATE, HeaderMap, RETRY_AFTER};

use crate::broker::http_date;

/// What was asked when an answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A message, destructively or under a lock.
    Receive,
    /// To complete, abandon or renew one locked message.
    Settle,
}

/// What an answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It holds a message, or the settlement is done.
    Success,
    /// No message within the timeout.
    Nothing,
    /// It failed.
    Failed(Failure),
}

/// What a failure asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Class {
    /// The service is busy: later, and not before it says.
    Throttled,
    /// Something broke that may work the next time.
    Transient,
    /// The authorization was not accepted: get a fresh one.
    Reauthenticate,
    /// The queue does not exist, or not any more.
    Gone,
    /// The lock lapsed, or the message is settled already.
    LockLost,
    /// The service understood and will not.
    Refused,
    /// A redirection, which on a queue can only lead to a login page. It is not followed.
    Redirected,
    /// A success that means nothing here, such as 202.
    Unexpected,
}

/// A failed answer: what it asks for, and what the service said.
///
/// It is the source of the [`Error`]s made from it; [`Failure::of`] finds it there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// What to do.
    pub class: Class,
    /// The status.
    pub status: u16,
    /// `Code` of the service's error body.
    pub code: Option<String>,
    /// `Detail` of the service's error body, of its first 500 characters.
    pub detail: Option<String>,
    /// How long the service asked to wait.
    pub retry_after: Option<Duration>,
}

/// The error code of a throttled namespace; the service's text asks to wait 2 seconds.
const THROTTLED_CODE: &str = "50009";
const THROTTLED_WAIT: Duration = Duration::from_secs(2);
/// As much of an error body is looked at.
const LONGEST_ERROR: usize = 16 * 1024;
const LONGEST_DETAIL: usize = 500;

impl Outcome {
    /// Reads an answer to `asked`.
    pub fn read(asked: Asked, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let class = match (status.as_u16(), asked) {
            (200 | 201, _) | (200..=299, Asked::Settle) => return Self::Success,
            (204, Asked::Receive) => return Self::Nothing,
            (401, _) => Class::Reauthenticate,
            (404, Asked::Settle) => Class::LockLost,
            (404 | 410, _) => Class::Gone,
            (429 | 503, _) => Class::Throttled,
            (501 | 505, _) => Class::Refused,
            (300..=399, _) => Class::Redirected,
            (408 | 500..=599, _) => Class::Transient,
            (400..=499, _) => Class::Refused,
            _ => Class::Unexpected,
        };
        let (code, detail) = error_body(body);
        let mut failure = Failure { class, status: status.as_u16(), code, detail, retry_after: None };
        failure.retry_after = retry_after(headers);
        if failure.says_throttled() {
            failure.class = Class::Throttled;
            failure.retry_after = failure.retry_after.or(Some(THROTTLED_WAIT));
        }
        Self::Failed(failure)
    }
}

impl Failure {
    /// The failure that an error was made from.
    pub fn of(error: &Error) -> Option<&Self> {
        std::error::Error::source(error)?.downcast_ref()
    }

    /// Whether another attempt, later or with fresh credentials, can help.
    pub fn is_transient(&self) -> bool {
        matches!(self.class, Class::Throttled | Class::Transient | Class::Unexpected | Class::Reauthenticate)
    }

    /// Whether the service may have acted on the request all the same: for a destructive read, whether a message may
    /// be lost. An answer of the queue itself says that it did not; a gateway that gave up on the queue, or an answer
    /// that means nothing, says nothing about it.
    pub fn may_have_acted(&self) -> bool {
        matches!(self.class, Class::Transient | Class::Unexpected)
    }

    /// The failure as an error of the operation `op` on a queue.
    pub fn into_error(self, op: &'static str, queue: &str) -> Error {
        let (kind, retry) = match self.class {
            Class::Throttled | Class::Transient => {
                (ErrorKind::Unreachable, self.retry_after.map_or(Retry::Backoff, Retry::After))
            }
            Class::Reauthenticate => (ErrorKind::Unauthenticated, Retry::AfterReauth),
            Class::Redirected => (ErrorKind::Unauthenticated, Retry::Never),
            Class::Gone => (ErrorKind::NotFound, Retry::Never),
            Class::LockLost => (ErrorKind::LockLost, Retry::Never),
            Class::Refused if self.status == 403 => (ErrorKind::PermissionDenied, Retry::Never),
            Class::Refused => (ErrorKind::Refused, Retry::Never),
            Class::Unexpected => (ErrorKind::Protocol, Retry::Backoff),
        };
        Error::new(kind, op, format!("{queue}: {self}")).with_retry(retry).with_source(self)
    }

    fn says_throttled(&self) -> bool {
        self.status >= 400
            && self.status != 401
            && [&self.code, &self.detail].into_iter().flatten().any(|text| text.contains(THROTTLED_CODE))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.class {
            Class::Throttled => "the service is busy",
            Class::Transient => "the service failed",
            Class::Reauthenticate => "the service does not accept the authorization",
            Class::Gone => "the queue does not exist, or not any more",
            Class::LockLost => "the lock lapsed, or the message is settled already",
            Class::Refused => "the service refused",
            Class::Redirected => "the service redirects, perhaps to a login page; that is not followed",
            Class::Unexpected => "the service gave an answer that means nothing here",
        };
        write!(f, "{what} (HTTP {})", self.status)?;
        match (&self.code, &self.detail) {
            (_, Some(detail)) => write!(f, ": {detail}"),
            (Some(code), None) => write!(f, ": code {code}"),
            (None, None) => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

/// `Retry-After` in seconds or as a date; a date counts from the `Date` of the same answer, and without one not
/// at all.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let at = http_date(text)?;
    let date: SystemTime = http_date(headers.get(DATE)?.to_str().ok()?)?;
    Some(at.duration_since(date).unwrap_or_default())
}

/// `<Error><Code>..</Code><Detail>..</Detail></Error>`.
fn error_body(body: &[u8]) -> (Option<String>, Option<String>) {
    let text = String::from_utf8_lossy(body.get(..LONGEST_ERROR).unwrap_or(body));
    if !text.contains("<Error>") {
        return (None, None);
    }
    (element(&text, "Code"), element(&text, "Detail"))
}

/// The text of the first element of this name, unescaped and without control characters.
fn element(text: &str, name: &str) -> Option<String> {
    let after = text.split_once(&format!("<{name}>"))?.1;
    let inner = after.split_once(&format!("</{name}>"))?.0;
    let plain = inner
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&apos;", "'")
        .replace("&amp;", "&");
    let shown: String =
        plain.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST_DETAIL).collect();
    (!shown.is_empty()).then_some(shown)
}
