//! What a receiver takes: decided from a request's head and body. Pure.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use event_core::Event;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, Method};

use super::delivery::to_event;
use super::refusal::Refusal;
use super::signature::SigningKeys;

/// What a receiver takes, and for how long.
pub(super) struct Rules {
    pub(super) keys: SigningKeys,
    pub(super) max_body: usize,
    pub(super) stale_after: Option<Duration>,
}

impl Rules {
    /// Judges a request before its body is read.
    pub(super) fn head(&self, method: &Method, headers: &HeaderMap) -> Result<(), Refusal> {
        if method != Method::POST {
            return Err(Refusal::Method);
        }
        let content_type =
            headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        if !media_type.eq_ignore_ascii_case("application/json") {
            return Err(Refusal::ContentType);
        }
        let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        if length.is_some_and(|length| length > self.max_body) {
            return Err(Refusal::TooLarge);
        }
        Ok(())
    }

    /// Judges a body. Its signature is looked at before anything in it is.
    pub(super) fn body(&self, headers: &HeaderMap, body: Bytes, now: SystemTime) -> Result<Event, Refusal> {
        self.keys.verify(headers, &body).map_err(Refusal::Signature)?;
        let (event, enqueued) = to_event(body).map_err(|_| Refusal::Malformed)?;
        match self.stale_after {
            Some(limit) if !enqueued.is_some_and(|at| is_near(at, now, limit)) => Err(Refusal::Stale),
            _ => Ok(event),
        }
    }
}

/// Whether a time is not further from now than this, on either side.
fn is_near(at: SystemTime, now: SystemTime, limit: Duration) -> bool {
    let apart = now.duration_since(at).unwrap_or_else(|ahead| ahead.duration());
    apart <= limit
}
