//! The service's pages over HTTP. The service itself answers whatever no admin route does.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_LENGTH, DATE, HeaderValue};
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::{get, post};

use super::admin;
use super::answers::Answer;
use super::clock::http_date;
use super::faults::Faults;
use super::hub::Hub;
use super::spoil::Outcome;
use crate::faults;
use crate::guard::{Guard, guard, text};
use crate::net::{Ending, Fate};

/// The most that a request may carry, in bytes.
const MAX_BODY: usize = 4 * 1024 * 1024;
/// How long the first half of a body that is cut has to get out.
const CUT_PAUSE: Duration = Duration::from_millis(20);

/// All routes.
pub(super) fn site(hub: &Arc<Hub>) -> Router {
    let counting = Arc::clone(hub);
    let doorkeeper = Arc::new(Guard {
        policy: hub.config.policy.clone(),
        methods: "GET, POST, PUT, PATCH, DELETE",
        headers: "authorization, content-type, x-correlation-id",
        refused: Box::new(move || counting.count(|stats| stats.foreign_requests += 1)),
    });
    Router::new()
        .route("/", get(about))
        .route("/admin/state", get(admin::state))
        .route("/admin/imodels/{id}/events", post(admin::publish_imodel))
        .route("/admin/global/events", post(admin::publish_global))
        .route("/admin/webhooks/events", post(admin::tell_webhooks))
        .route("/admin/webhooks/faults", post(admin::webhook_fault).delete(admin::clear_webhook_faults))
        .route("/admin/config", get(admin::config).post(admin::configure))
        .route("/admin/advance", post(admin::advance))
        .route("/admin/sas/expire", post(admin::expire_sas))
        .route("/admin/tokens/revoke", post(admin::revoke_tokens))
        .route("/admin/captures", get(admin::captures).delete(admin::clear_captures))
        .fallback(exchange)
        .with_state(Arc::clone(hub))
        .merge(faults::routes(Faults::new(Arc::clone(hub)), hub.defects.clone()))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn_with_state(doorkeeper, guard))
}

async fn about() -> Response {
    text(
        StatusCode::OK,
        concat!(
            "hub-emulator ",
            env!("CARGO_PKG_VERSION"),
            ": iModelHub events for tests and demos. Give a client this address as that of an iModelBank.\n\
             GET /admin/state, POST /admin/imodels/ID/events, POST /admin/global/events, GET and POST /admin/config, \
             POST /admin/webhooks/events, POST and DELETE /admin/webhooks/faults, \
             POST /admin/advance, POST /admin/sas/expire, POST /admin/tokens/revoke, GET and DELETE /admin/captures, \
             GET, POST, PUT and DELETE /admin/faults, GET, PUT and DELETE /admin/bugginess and /admin/defects\n",
        ),
    )
}

async fn exchange(State(hub): State<Arc<Hub>>, request: Request) -> Response {
    let ending = request.extensions().get::<Ending>().cloned();
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY).await else {
        return text(StatusCode::PAYLOAD_TOO_LARGE, "The body is too large, or did not arrive.\n");
    };
    if head.uri.path().starts_with("/admin") {
        return text(StatusCode::NOT_FOUND, "No such admin route.\n");
    }
    match hub.exchange(axum::http::Request::from_parts(head, body)).await {
        Outcome::Answer(answer) => dated(&hub, answer).map(Body::from),
        Outcome::Cut { answer, reset } => cut(dated(&hub, answer), ending.filter(|_| reset)),
        Outcome::Slow(answer, rate) => {
            if let Some(ending) = ending {
                ending.valve.limit_writes(rate);
            }
            dated(&hub, answer).map(Body::from)
        }
        Outcome::Reset | Outcome::Refused => {
            if let Some(ending) = ending {
                ending.end(Fate::Reset);
            }
            // The connection ends, and this with it.
            std::future::pending().await
        }
    }
}

/// Answers carry the service's time, which may be ahead of the machine's.
fn dated(hub: &Hub, mut answer: Answer) -> Answer {
    if let Ok(date) = HeaderValue::from_str(&http_date(hub.clock.now())) {
        answer.headers_mut().entry(DATE).or_insert(date);
    }
    answer
}

/// Promises the whole body, sends half of it, and fails, or resets the connection if that is how it is to end.
fn cut(answer: Answer, ending: Option<Ending>) -> Response {
    let length = answer.body().len();
    let (mut head, mut body) = answer.into_parts();
    body.truncate(length / 2);
    head.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    let parts = futures_util::stream::unfold((Some(body), ending), |(first, ending)| async move {
        let Some(first) = first else {
            tokio::time::sleep(CUT_PAUSE).await;
            if let Some(ending) = ending {
                ending.end(Fate::Reset);
            }
            return Some((Err(std::io::Error::other("cut on demand")), (None, None)));
        };
        Some((Ok::<Bytes, std::io::Error>(first), (None, ending)))
    });
    Response::from_parts(head, Body::from_stream(parts))
}
