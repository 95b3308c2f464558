//! What faults do to requests and answers. Pure.

use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Request, StatusCode};

use super::answers::Answer;
use super::faults::Action;
use super::route::Route;
use super::service::Service;
use super::tokens::credentials;

/// What goes back to a client.
#[derive(Debug)]
pub(crate) enum Outcome {
    Answer(Answer),
    /// Half of the body, then the end of the connection.
    Cut(Answer),
    /// The connection is reset.
    Reset,
}

/// What a fault does before the request is looked at; an outcome, if that is all.
pub(super) fn prepare(
    service: &mut Service,
    action: &Action,
    request: &Request<Bytes>,
    now: Duration,
) -> Option<Outcome> {
    match action {
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
    let half = answer.body().len() / 2;
    match action {
        Action::ResetAfterDequeue if matches!(answer.status(), StatusCode::OK | StatusCode::CREATED) => {
            return (Outcome::Reset, true);
        }
        Action::ResetAfterDequeue => return (Outcome::Answer(answer), false),
        Action::CutBody => return (Outcome::Cut(answer), true),
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
