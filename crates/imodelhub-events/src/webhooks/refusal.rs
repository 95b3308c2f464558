//! Why a request is refused, and with which status. Pure.

use std::fmt;

use http::StatusCode;

use super::signature::SignatureError;

/// Why a request is refused. Nothing of it was handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// It is no `POST`. 405.
    Method,
    /// Its content type is not `application/json`. 415.
    ContentType,
    /// Its body is longer than [allowed](super::ReceiverBuilder::max_body). 413.
    TooLarge,
    /// Its body broke off, or did not come in time. 408.
    Incomplete,
    /// Its signature is missing, malformed or wrong. 401.
    Signature(SignatureError),
    /// It is signed, but not one JSON object. 400.
    Malformed,
    /// It was enqueued longer ago than [allowed](super::ReceiverBuilder::stale_after), or does not say when. 400.
    Stale,
    /// Nobody listens, or the receiver is being drained. 503: it is to be sent again.
    NobodyListens,
    /// As many events as [allowed](super::ReceiverBuilder::capacity) wait for their handlers. 503: it is to be sent
    /// again.
    Full,
    /// It was [not settled in time](super::Acknowledge::Settled). 503: it is to be sent again, and is not handled a
    /// second time if it is settled by then.
    Late,
    /// Its handler failed, or the journal could not keep it. 500: it is to be sent again.
    Failed,
}

impl Refusal {
    /// The status of the answer.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::ContentType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Incomplete => StatusCode::REQUEST_TIMEOUT,
            Self::Signature(_) => StatusCode::UNAUTHORIZED,
            Self::Malformed | Self::Stale => StatusCode::BAD_REQUEST,
            Self::NobodyListens | Self::Full | Self::Late => StatusCode::SERVICE_UNAVAILABLE,
            Self::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Method => f.write_str("webhooks are posted"),
            Self::ContentType => f.write_str("the content type is application/json"),
            Self::TooLarge => f.write_str("the body is too large"),
            Self::Incomplete => f.write_str("the body did not arrive"),
            Self::Signature(error) => error.fmt(f),
            Self::Malformed => f.write_str("the body is not one JSON object"),
            Self::Stale => f.write_str("the event is too old, or does not say when it was enqueued"),
            Self::NobodyListens => f.write_str("nobody listens now; send it again"),
            Self::Full => f.write_str("too many events wait; send it again"),
            Self::Late => f.write_str("not handled yet; send it again"),
            Self::Failed => f.write_str("not handled; send it again"),
        }
    }
}

/// What a receiver has done. Counters, and how many deliveries are open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReceiverStats {
    /// Events that were passed on to handlers or into the journal: each once.
    pub accepted: u64,
    /// Those of them that were settled well: handled, or kept by the journal.
    pub handled: u64,
    /// Those of them that were not. If they were [answered at once](super::Acknowledge::Accepted), nobody sends them
    /// again.
    pub failed: u64,
    /// Those of them that are not settled yet.
    pub open: usize,
    /// Requests whose message id was accepted before: answered, not handled again.
    pub repeats: u64,
    /// [`Refusal::Method`].
    pub wrong_method: u64,
    /// [`Refusal::ContentType`].
    pub wrong_content_type: u64,
    /// [`Refusal::TooLarge`].
    pub too_large: u64,
    /// [`Refusal::Incomplete`].
    pub incomplete: u64,
    /// [`SignatureError::Missing`].
    pub signature_missing: u64,
    /// [`SignatureError::Malformed`].
    pub signature_malformed: u64,
    /// [`SignatureError::Wrong`].
    pub signature_wrong: u64,
    /// [`Refusal::Malformed`].
    pub malformed: u64,
    /// [`Refusal::Stale`].
    pub stale: u64,
    /// [`Refusal::NobodyListens`].
    pub nobody_listens: u64,
    /// [`Refusal::Full`].
    pub full: u64,
    /// [`Refusal::Late`].
    pub late: u64,
}

impl ReceiverStats {
    /// Requests that were refused because of what they are: sending them again does not help.
    pub fn refused(&self) -> u64 {
        self.wrong_method
            + self.wrong_content_type
            + self.too_large
            + self.incomplete
            + self.signature_missing
            + self.signature_malformed
            + self.signature_wrong
            + self.malformed
            + self.stale
    }

    pub(super) fn count(&mut self, refusal: Refusal) {
        let counter = match refusal {
            Refusal::Method => &mut self.wrong_method,
            Refusal::ContentType => &mut self.wrong_content_type,
            Refusal::TooLarge => &mut self.too_large,
            Refusal::Incomplete => &mut self.incomplete,
            Refusal::Signature(SignatureError::Missing) => &mut self.signature_missing,
            Refusal::Signature(SignatureError::Malformed) => &mut self.signature_malformed,
            Refusal::Signature(SignatureError::Wrong) => &mut self.signature_wrong,
            Refusal::Malformed => &mut self.malformed,
            Refusal::Stale => &mut self.stale,
            Refusal::NobodyListens => &mut self.nobody_listens,
            Refusal::Full => &mut self.full,
            Refusal::Late => &mut self.late,
            // Counted when it was settled, with those that nobody waits for.
            Refusal::Failed => return,
        };
        *counter += 1;
    }
}
