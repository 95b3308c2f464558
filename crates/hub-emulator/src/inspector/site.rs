//! The routes put together, behind the door.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::HeaderValue;
use axum::http::header::{self, HeaderName};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::json;

use super::state::Shared;
use super::{change, door, page, read, stream};
use crate::guard::json as answer;

/// The largest body.
const MAX_BODY: usize = 4 * 1024 * 1024;

/// What every answer says to browsers: nothing but the inspector's own files, nothing inline, in nobody's frame, and no
/// text made into elements.
const PROTECTION: [(HeaderName, &str); 7] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
         trusted-types 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
];

pub(super) fn site(shared: &Arc<Shared>) -> Router {
    let mut router = Router::new()
        .route("/api/state", get(read::state))
        .route("/api/events", get(read::events))
        .route("/api/events/{sequence}", get(read::event))
        .route("/api/subscriptions", get(read::subscriptions))
        .route("/api/queues", get(read::queues))
        .route("/api/threads", get(read::threads))
        .route("/api/faults", get(read::faults).post(change::faults))
        .route("/api/check", get(read::check))
        .route("/api/stream", get(stream::stream))
        .route("/api/recording", get(read::recording))
        .route("/api/publish", post(change::publish))
        .route(door::LOGIN, post(change::login))
        .fallback(read::nothing);
    for file in page::FILES {
        router = router.route(file.path, get(move || async move { file.response() }));
    }
    router
        .with_state(Arc::clone(shared))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn_with_state(Arc::clone(shared), guarded))
}

/// The middleware: refuses what the door refuses, and protects every answer.
async fn guarded(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let judged = shared.door.judge(request.method(), request.uri().path(), request.headers());
    let mut response = match judged {
        Ok(()) => next.run(request).await,
        Err(refusal) => {
            tracing::warn!(?refusal, "the inspector refused a request");
            answer(refusal.status(), &json!({"error": refusal.to_string()}))
        }
    };
    let headers = response.headers_mut();
    for (name, value) in PROTECTION {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
