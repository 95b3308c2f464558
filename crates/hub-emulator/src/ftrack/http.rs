//! What stands before the websocket: the pages, the handshake, the upgrade.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode, Uri, Version};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Extension, Router};
use event_core::Secret;
use hyper_util::rt::TokioIo;
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::hub::{HandshakeRefused, Hub};
use super::{Action, Faults, Stage, admin, connection};
use crate::faults;
use crate::guard::{Guard, guard, text};
use crate::net::{Ending, Socket, Tasks};

const USER_HEADER: &str = "ftrack-user";
const KEY_HEADER: &str = "ftrack-api-key";

/// What the request handlers share.
pub(super) struct Site {
    pub(super) hub: Arc<Hub>,
    tasks: Tasks,
}

/// All routes.
pub(super) fn site(hub: Arc<Hub>, tasks: Tasks) -> Router {
    let max_body = hub.config.max_frame;
    let counting = Arc::clone(&hub);
    let doorkeeper = Arc::new(Guard {
        policy: hub.config.policy.clone(),
        methods: "GET, POST, PUT, DELETE",
        headers: "content-type, ftrack-user, ftrack-api-key",
        refused: Box::new(move || counting.count(|stats| stats.foreign_requests += 1)),
    });
    let routes = faults::routes(Faults::new(Arc::clone(&hub)), hub.defects());
    let site = Arc::new(Site { hub, tasks });
    Router::new()
        .route("/", get(about))
        .route("/socket.io", any(welcome))
        .route("/socket.io/", any(welcome))
        .route("/socket.io/{version}", any(handshake))
        .route("/socket.io/{version}/", any(handshake))
        .route("/socket.io/{version}/{transport}/{session}", any(websocket))
        .route("/admin/state", get(admin::state))
        .route("/admin/ftrack/publish", post(admin::publish))
        .route("/admin/ftrack/disconnect", post(admin::disconnect))
        .route("/admin/faults/fire", post(admin::fire))
        .route("/admin/faults/flap", post(admin::flap))
        .route("/admin/faults/rolling-restart", post(admin::rolling_restart))
        .with_state(site)
        .merge(routes)
        .layer(DefaultBodyLimit::max(max_body))
        .layer(from_fn_with_state(doorkeeper, guard))
}

async fn about() -> Response {
    text(
        StatusCode::OK,
        concat!(
            "hub-emulator ",
            env!("CARGO_PKG_VERSION"),
            ": an event hub for tests and demos. Point a client's server URL here.\n\
             GET /admin/state, POST /admin/ftrack/publish, POST /admin/ftrack/disconnect, \
             GET, POST, PUT and DELETE /admin/faults, POST /admin/faults/fire, /admin/faults/flap and \
             /admin/faults/rolling-restart, GET, PUT and DELETE /admin/bugginess and /admin/defects\n",
        ),
    )
}

async fn welcome() -> Response {
    text(StatusCode::OK, "Welcome to socket.io.")
}

async fn handshake(
    State(site): State<Arc<Site>>,
    Extension(ending): Extension<Ending>,
    Path(version): Path<String>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    if version != "1" {
        return text(StatusCode::INTERNAL_SERVER_ERROR, "Protocol version not supported.");
    }
    if method != Method::GET && method != Method::POST {
        return text(StatusCode::METHOD_NOT_ALLOWED, "A handshake is a GET or a POST.");
    }
    let query = Query::<Vec<(String, String)>>::try_from_uri(&uri).map(|query| query.0).unwrap_or_default();
    let asked = |name: &str| query.iter().rfind(|(key, _)| key == name).map(|(_, value)| value.clone());
    let user = header_text(&headers, USER_HEADER).or_else(|| asked("api_user")).unwrap_or_default();
    let key = header_text(&headers, KEY_HEADER).or_else(|| asked("api_key")).unwrap_or_default();
    if let Some(answer) = trouble(&site.hub, &ending, Stage::Handshake, Some(&user)).await {
        return answer;
    }
    let session = match site.hub.open_handshake(&user, &Secret::new(key)) {
        Ok(session) => session,
        Err(HandshakeRefused::Unauthorized) => {
            tracing::info!("handshake unauthorized");
            return text(StatusCode::FORBIDDEN, "handshake unauthorized");
        }
        Err(HandshakeRefused::OverLimit) => {
            return text(StatusCode::SERVICE_UNAVAILABLE, "too many connections");
        }
    };
    let config = &site.hub.config;
    let body = format!(
        "{session}:{}:{}:websocket",
        whole_seconds(config.heartbeat_timeout),
        whole_seconds(config.close_timeout)
    );
    match asked("jsonp") {
        None => text(StatusCode::OK, body),
        Some(slot) if !slot.is_empty() && slot.bytes().all(|b| b.is_ascii_digit()) => {
            ([(header::CONTENT_TYPE, "application/javascript")], format!("io.j[{slot}](\"{body}\");"))
                .into_response()
        }
        Some(_) => text(StatusCode::BAD_REQUEST, "jsonp is a number"),
    }
}

/// What goes wrong with a request; an answer, if that is all.
async fn trouble(hub: &Hub, ending: &Ending, stage: Stage, user: Option<&str>) -> Option<Response> {
    for action in hub.strike(stage, user) {
        let (reads, writes) = action.rates();
        if let Some(rate) = reads {
            ending.valve.limit_reads(rate);
        }
        if let Some(rate) = writes {
            ending.valve.limit_writes(rate);
        }
        if let Some(fate) = action.fate() {
            ending.end(fate);
            // The connection ends, and this with it.
            std::future::pending::<()>().await;
        }
        match action {
            Action::Delay { ms } => sleep(Duration::from_millis(ms)).await,
            Action::Status { status, body } => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                return Some(text(status, body));
            }
            _ => {}
        }
    }
    None
}

/// Rounded up, and not 0, which would switch the timeout off in a client.
fn whole_seconds(duration: Duration) -> u64 {
    (duration.as_secs() + u64::from(duration.subsec_nanos() > 0)).max(1)
}

fn header_text(headers: &HeaderMap, name: &str) -> Option<String> {
    let bytes = headers.get(name)?.as_bytes();
    // Python sends UTF-8 when it can, else Latin-1, where a byte is a code point.
    let text = std::str::from_utf8(bytes)
        .map_or_else(|_| bytes.iter().copied().map(char::from).collect(), str::to_owned);
    Some(text)
}

async fn websocket(
    State(site): State<Arc<Site>>,
    Extension(ending): Extension<Ending>,
    Path((version, transport, session)): Path<(String, String, String)>,
    mut request: Request,
) -> Response {
    if version != "1" || transport != "websocket" {
        return text(StatusCode::BAD_REQUEST, "The only transport is /socket.io/1/websocket/SESSION.");
    }
    let Some(accept) = websocket_accept(&request) else {
        return text(StatusCode::BAD_REQUEST, "This path wants a websocket handshake of version 13.");
    };
    if let Some(answer) = trouble(&site.hub, &ending, Stage::Upgrade, None).await {
        return answer;
    }
    let user = site.hub.use_handshake(&session);
    let upgrade = hyper::upgrade::on(&mut request);
    let (hub, tasks) = (Arc::clone(&site.hub), site.tasks.clone());
    site.tasks.tracker.spawn(async move {
        let upgraded = tokio::select! {
            biased;
            () = tasks.stop.cancelled() => return,
            upgraded = upgrade => upgraded,
        };
        let Some((stream, early)) = upgraded.ok().and_then(socket) else { return };
        match user {
            Some(user) => connection::serve(hub, tasks, stream, early, user).await,
            None => connection::refuse(tasks, stream).await,
        }
    });
    let headers: [(HeaderName, HeaderValue); 3] = [
        (header::CONNECTION, HeaderValue::from_static("Upgrade")),
        (header::UPGRADE, HeaderValue::from_static("websocket")),
        (header::SEC_WEBSOCKET_ACCEPT, accept),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, headers, Body::empty()).into_response()
}

/// The answer to a websocket key; `None` when the request is not a websocket handshake.
fn websocket_accept(request: &Request) -> Option<HeaderValue> {
    let lists = |name: HeaderName, token: &str| {
        let values = request.headers().get_all(name);
        values
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|item| item.trim().eq_ignore_ascii_case(token))
    };
    let right = request.method() == Method::GET
        && request.version() >= Version::HTTP_11
        && lists(header::CONNECTION, "upgrade")
        && lists(header::UPGRADE, "websocket")
        && lists(header::SEC_WEBSOCKET_VERSION, "13");
    let key = request.headers().get(header::SEC_WEBSOCKET_KEY).filter(|_| right)?;
    HeaderValue::from_str(&derive_accept_key(key.as_bytes())).ok()
}

/// The socket under an upgraded connection, and what was read from it already.
fn socket(upgraded: hyper::upgrade::Upgraded) -> Option<(Socket, Bytes)> {
    let parts = upgraded.downcast::<TokioIo<Socket>>().ok()?;
    // A copy of the few bytes, if any: what they stand in is as large as the longest head.
    Some((parts.io.into_inner(), Bytes::copy_from_slice(&parts.read_buf)))
}
