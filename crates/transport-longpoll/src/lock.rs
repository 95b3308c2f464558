//! The lock on one message: its URL, and how long it lasts. Pure.

use std::fmt;
use std::time::Duration;

use crate::address::{self, QueueAddress};
use crate::message::Message;

/// The URL on which one locked message is completed, abandoned or renewed.
///
/// It always has the origin of its queue: the token that settles a message is sent nowhere else, whatever a
/// `Location` header says.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct LockUrl(String);

/// Why a `Location` is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LockUrlError {
    /// The answer names no lock: no `Location`, and no lock token with a sequence number or message id.
    Missing,
    /// It leads to another scheme, host or port.
    ForeignOrigin,
    /// It is not a plain absolute URL or path.
    Malformed,
}

impl fmt::Display for LockUrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "the answer does not say where the message can be settled",
            Self::ForeignOrigin => "the lock's address leads to another server than the queue's",
            Self::Malformed => "the lock's address is not a plain URL",
        })
    }
}

impl std::error::Error for LockUrlError {}

impl LockUrl {
    /// Reads a `Location`, absolute or relative to the queue's origin.
    ///
    /// A relative one must be a path from the root. A trailing slash and a query (`?api-version=..`) are kept.
    ///
    /// # Errors
    ///
    /// [`LockUrlError`]; nothing of the location is in it.
    pub fn parse(queue: &QueueAddress, location: &str) -> Result<Self, LockUrlError> {
        let location = location.trim();
        let (origin, path) = match address::split_scheme(location) {
            Some((scheme, rest)) => {
                let (authority, path) = rest.split_at(rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len()));
                if !address::is_authority(authority) {
                    return Err(LockUrlError::Malformed);
                }
                (location.get(..scheme + authority.len()).unwrap_or_default(), path)
            }
            // `//host/path` is a URL of another host.
            None if location.starts_with("//") => return Err(LockUrlError::ForeignOrigin),
            None => (queue.origin(), location),
        };
        if !queue.is_same_origin(origin) {
            return Err(LockUrlError::ForeignOrigin);
        }
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let plain_query = query.split('/').all(address::is_plain);
        if !address::is_plain_path(path.strip_suffix('/').unwrap_or(path)) || !plain_query {
            return Err(LockUrlError::Malformed);
        }
        let query = if query.is_empty() { String::new() } else { format!("?{query}") };
        Ok(Self(format!("{}{path}{query}", queue.origin())))
    }

    /// Where a message can be settled: its `Location`; or, when that is missing or cannot be used,
    /// `{queue}/messages/{sequence number or message id}/{lock token}` as the service documents it.
    ///
    /// # Errors
    ///
    /// What is wrong with the `Location`, when there is no lock token either.
    pub fn of(queue: &QueueAddress, message: &Message) -> Result<Self, LockUrlError> {
        let located = match &message.location {
            Some(location) => Self::parse(queue, location),
            None => Err(LockUrlError::Missing),
        };
        located.or_else(|error| {
            let broker = &message.broker;
            let token = broker.lock_token.as_deref().ok_or(error)?;
            let number = broker.sequence_number.map(|number| number.to_string());
            let name = number.as_deref().or(broker.message_id.as_deref()).ok_or(error)?;
            let built = format!("{}/messages/{name}/{token}", queue.path());
            Self::parse(queue, &built).map_err(|_| error)
        })
    }

    /// The URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for LockUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LockUrl({})", self.0)
    }
}

/// How long a message is locked, counted from the moment its answer was written.
///
/// The service tells the end of the lock in its own time, and in whole seconds. Taken against the `Date` of the
/// same answer, the clocks of the two sides need not agree. Without that date, or when it lies after the end,
/// there is no telling.
pub fn lock_duration(message: &Message) -> Option<Duration> {
    let until = message.broker.locked_until?;
    until.duration_since(message.date?).ok().filter(|lasts| !lasts.is_zero())
}

/// When to renew a lock that lasts this long: at half of it, so that one renewal may fail.
pub fn renewal_after(lasts: Duration) -> Duration {
    lasts / 2
}
