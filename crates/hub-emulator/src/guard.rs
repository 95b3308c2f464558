//! Keeps web pages of other sites out, on both services.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderValue};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use crate::origin::Policy;

const FETCH_SITE: &str = "sec-fetch-site";

/// Who may come in, and what happens when somebody else tries.
pub(crate) struct Guard {
    pub(crate) policy: Policy,
    /// What the preflight answer of an admitted page lists.
    pub(crate) methods: &'static str,
    pub(crate) headers: &'static str,
    /// Called for every request refused.
    pub(crate) refused: Box<dyn Fn() + Send + Sync>,
}

/// The middleware: refuses requests of other sites' pages, and tells browsers that the admitted ones may read the
/// answer.
pub(crate) async fn guard(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let policy = &guard.policy;
    let headers = request.headers();
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let origin = headers.get(header::ORIGIN).cloned();
    let admitted = host.is_some_and(|host| policy.admits_host(host))
        && match &origin {
            Some(origin) => origin.to_str().is_ok_and(|origin| policy.admits_origin(origin)),
            // A script or image element of a foreign page sends no Origin.
            None => headers.get(FETCH_SITE).is_none_or(|from| from != "cross-site"),
        };
    if !admitted {
        (guard.refused)();
        tracing::warn!(?host, ?origin, "refused a request from a foreign web page");
        return text(
            StatusCode::FORBIDDEN,
            "This emulator answers programs and pages of its own machine only; \
             allow the Origin or the Host when you start it.\n",
        );
    }
    let preflight =
        request.method() == Method::OPTIONS && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if preflight { preflight_answer(&guard) } else { next.run(request).await };
    if let Some(origin) = origin {
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        headers.insert(header::VARY, HeaderValue::from_static("Origin"));
    }
    response
}

fn preflight_answer(guard: &Guard) -> Response {
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, guard.methods),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, guard.headers),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}

pub(crate) fn text(status: StatusCode, body: impl Into<Body>) -> Response {
    (status, [(header::CONTENT_TYPE, "text/plain")], body.into()).into_response()
}

pub(crate) fn json(status: StatusCode, body: &Value) -> Response {
    json_text(status, body.to_string())
}

/// The same with JSON that is text already.
pub(crate) fn json_text(status: StatusCode, mut text: String) -> Response {
    text.push('\n');
    (status, [(header::CONTENT_TYPE, "application/json")], text).into_response()
}

/// The answer of an admin route that cannot use what it was given.
pub(crate) fn refuse(message: &str) -> Response {
    json(StatusCode::BAD_REQUEST, &serde_json::json!({"error": message}))
}
