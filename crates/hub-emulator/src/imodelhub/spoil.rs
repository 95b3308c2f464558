//! What faults do to requests and answers.

use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Request, StatusCode};
use tokio::time::sleep;

use super::answers::Answer;
use super::faults::Action;
use super::route::Route;
use super::service::{Service, sas_refused};
use super::tokens::credentials;
use crate::net::Rate;

/// No XML, no JSON, no UTF-8.
const GARBAGE: [u8; 5] = [0xff, 0x00, 0x99, b'{', 0x01];

/// What goes back to a client.
#[derive(Debug)]
pub(crate) enum Outcome {
    Answer(Answer),
    /// Half of the body, then the end of the connection, by a reset or not.
    Cut {
        answer: Answer,
        reset: bool,
    },
    /// The whole of it, slowly.
    Slow(Answer, Rate),
    /// Nobody listens.
    Refused,
    /// The connection is reset.
    Reset,
}

impl Outcome {
    /// What a caller gets who is not on the network. What would come slowly comes as late.
    pub(crate) async fn direct(self) -> Result<Answer, NoAnswer> {
        match self {
            Self::Answer(answer) => Ok(answer),
            Self::Slow(answer, Rate { bytes, pause }) => {
                let pauses = answer.body().len().div_ceil(bytes.max(1));
                sleep(pause.saturating_mul(u32::try_from(pauses).unwrap_or(u32::MAX))).await;
                Ok(answer)
            }
            Self::Refused => Err(NoAnswer::Refused),
            Self::Cut { .. } | Self::Reset => Err(NoAnswer::Broken),
        }
    }
}

/// Why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    Refused,
    Broken,
}

/// What a fault does before the request is looked at; an outcome, if that is all.
pub(super) fn prepare(
    service: &mut Service,
    action: &Action,
    request: &Request<Bytes>,
    now: Duration,
) -> Option<Outcome> {
    match action {
        Action::Refuse => return Some(Outcome::Refused),
        Action::UnauthorizedWaiting { .. } => return Some(Outcome::Answer(sas_refused())),
        Action::Reset | Action::ResetWaiting { .. } => return Some(Outcome::Reset),
        Action::Status { status, headers, body } => {
            let mut answer = Answer::new(Bytes::copy_from_slice(body.as_bytes()));
            *answer.status_mut() = StatusCode::from_u16(*status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            for (name, value) in headers {
                if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
                    answer.headers_mut().insert(name, value);
                }
            }
            return Some(Outcome::Answer(answer));
        }
        Action::RevokeToken => {
            let authorization = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
            service.sas.revoke(authorization.unwrap_or_default());
            if let Some(token) = credentials(authorization) {
                service.tokens.revoke(token);
            }
        }
        Action::ExpireSubscription => {
            let (topic, id) = match Route::parse(request.uri().path()) {
                Ok(Route::Bus { topic, subscription, .. }) => (topic, subscription),
                Ok(Route::Wsg { topic, id: Some(id), .. }) => (topic, id),
                _ => return None,
            };
            service.bus.expire(&topic, id, now);
        }
        _ => {}
    }
    None
}

/// What a fault makes of an answer; and whether there was anything to spoil.
pub(super) fn spoil(action: &Action, mut answer: Answer) -> (Outcome, bool) {
    if action.wants_body() && answer.body().is_empty() {
        return (Outcome::Answer(answer), false);
    }
    if let Some(rate) = action.rate() {
        return (Outcome::Slow(answer, rate), true);
    }
    let half = answer.body().len() / 2;
    match action {
        Action::ResetAfterDequeue if matches!(answer.status(), StatusCode::OK | StatusCode::CREATED) => {
            return (Outcome::Reset, true);
        }
        Action::ResetAfterDequeue => return (Outcome::Answer(answer), false),
        Action::CutBody => return (Outcome::Cut { answer, reset: false }, true),
        Action::ResetBody => return (Outcome::Cut { answer, reset: true }, true),
        Action::GarbageBody => {
            let length = answer.body().len();
            *answer.body_mut() = GARBAGE.iter().copied().cycle().take(length).collect();
        }
        Action::TruncateBody => answer.body_mut().truncate(half),
        Action::EmptyBody => answer.body_mut().clear(),
        Action::BracelessBody => {
            let body: Vec<u8> = answer.body().iter().copied().filter(|byte| !b"{}".contains(byte)).collect();
            *answer.body_mut() = body.into();
        }
        Action::ContentType { value } => {
            answer.headers_mut().remove(CONTENT_TYPE);
            if let Some(value) = value.as_deref().and_then(|value| HeaderValue::from_str(value).ok()) {
                answer.headers_mut().insert(CONTENT_TYPE, value);
            }
        }
        _ => {}
    }
    (Outcome::Answer(answer), true)
}
