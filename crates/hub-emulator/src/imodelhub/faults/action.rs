//! What can go wrong with a request.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::net::Rate;

/// What happens to a request. Where the same thing exists on the ftrack side, it has the same name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", rename_all_fields = "camelCase", deny_unknown_fields)]
#[non_exhaustive]
pub enum Action {
    /// It is answered so, and nothing else happens.
    Status {
        /// The status code.
        status: u16,
        /// Headers, such as `Retry-After`.
        #[serde(default)]
        headers: BTreeMap<String, String>,
        /// The body.
        #[serde(default)]
        body: String,
    },
    /// It is as if nobody listened: in memory the connection is refused, over TCP it is reset.
    Refuse,
    /// Its TCP connection is reset, and nothing else happens.
    Reset,
    /// It is held, as a long poll is, and then its connection is reset. No message is taken.
    ResetWaiting {
        /// For how long it is held, in milliseconds.
        #[serde(default)]
        after_ms: u64,
    },
    /// It is held, as a long poll is, and then refused with 401. No message is taken.
    UnauthorizedWaiting {
        /// For how long it is held, in milliseconds.
        #[serde(default)]
        after_ms: u64,
    },
    /// It is carried out, and its connection is reset instead of the answer: a message taken destructively is lost,
    /// one locked comes back when the lock ends. A poll without a message is answered, and the fault stays.
    ResetAfterDequeue,
    /// It gets no answer, and its connection stays open.
    Hang,
    /// It is carried out that much later.
    Delay {
        /// The delay, in milliseconds.
        ms: u64,
    },
    /// Its answer's body is half of what it should be, and its length says so. Bodies only; as all that follow, the
    /// fault stays when there is none.
    TruncateBody,
    /// Half of its answer's body is sent, of the length promised for all of it, and then the connection is cut.
    CutBody,
    /// The same, but the connection is reset.
    ResetBody,
    /// Its answer's body is of the right length, and rubbish.
    GarbageBody,
    /// Its answer's body has no braces.
    BracelessBody,
    /// Its answer's body is empty.
    EmptyBody,
    /// Its answer's content type is another: an unknown event type, one with parameters, or none.
    ContentType {
        /// The content type; `None` for no such header.
        #[serde(default)]
        value: Option<String>,
    },
    /// Its answer is written slowly: with 1 byte at a time, byte by byte. In memory without a stream, it comes as late
    /// as that would take.
    Trickle {
        /// So many bytes at once.
        bytes: usize,
        /// The pause after them, in milliseconds. 0: others get a turn.
        #[serde(default)]
        pause_ms: u64,
    },
    /// Its token, SAS or access token, is revoked before it is looked at.
    RevokeToken,
    /// Its subscription ends before it is looked at: a queue answers 410, the service 404.
    ExpireSubscription,
}

impl Action {
    /// Under which name it is counted; the `"do"` of its JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Status { .. } => "status",
            Self::Refuse => "refuse",
            Self::Reset => "reset",
            Self::ResetWaiting { .. } => "reset_waiting",
            Self::UnauthorizedWaiting { .. } => "unauthorized_waiting",
            Self::ResetAfterDequeue => "reset_after_dequeue",
            Self::Hang => "hang",
            Self::Delay { .. } => "delay",
            Self::TruncateBody => "truncate_body",
            Self::CutBody => "cut_body",
            Self::ResetBody => "reset_body",
            Self::GarbageBody => "garbage_body",
            Self::BracelessBody => "braceless_body",
            Self::EmptyBody => "empty_body",
            Self::ContentType { .. } => "content_type",
            Self::Trickle { .. } => "trickle",
            Self::RevokeToken => "revoke_token",
            Self::ExpireSubscription => "expire_subscription",
        }
    }

    /// What chance chooses from.
    pub(in crate::imodelhub) fn candidates() -> Vec<Self> {
        let status = |status, after: &str| Self::Status {
            status,
            headers: BTreeMap::from([("Retry-After".to_owned(), after.to_owned())]),
            body: String::new(),
        };
        vec![
            status(503, "1"),
            status(500, "1"),
            Self::Refuse,
            Self::Reset,
            Self::ResetWaiting { after_ms: 500 },
            Self::UnauthorizedWaiting { after_ms: 500 },
            Self::ResetAfterDequeue,
            Self::Hang,
            Self::Delay { ms: 1_500 },
            Self::TruncateBody,
            Self::CutBody,
            Self::ResetBody,
            Self::GarbageBody,
            Self::BracelessBody,
            Self::EmptyBody,
            Self::ContentType { value: None },
            Self::Trickle { bytes: 16, pause_ms: 1 },
            Self::RevokeToken,
            Self::ExpireSubscription,
        ]
    }

    pub(in crate::imodelhub) fn rate(&self) -> Option<Rate> {
        match self {
            Self::Trickle { bytes, pause_ms } => {
                Some(Rate { bytes: *bytes, pause: Duration::from_millis(*pause_ms) })
            }
            _ => None,
        }
    }

    /// Whether it changes an answer, and therefore needs one with a body.
    pub(in crate::imodelhub) fn wants_body(&self) -> bool {
        matches!(
            self,
            Self::TruncateBody
                | Self::CutBody
                | Self::ResetBody
                | Self::GarbageBody
                | Self::BracelessBody
                | Self::EmptyBody
                | Self::ContentType { .. }
        )
    }

    pub(in crate::imodelhub) fn delay(&self) -> Option<Duration> {
        match self {
            Self::ResetWaiting { after_ms: ms }
            | Self::UnauthorizedWaiting { after_ms: ms }
            | Self::Delay { ms } => Some(Duration::from_millis(*ms)),
            _ => None,
        }
    }
}
