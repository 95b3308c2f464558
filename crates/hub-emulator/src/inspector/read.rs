//! The routes that only look.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::log::Entry;
use super::query::{Asked, checked};
use super::rows::{Row, is_wanted, recorded};
use super::state::Shared;
use crate::guard::{json as answer, json_text, refuse};

/// A query that was read, or what is wrong with it.
pub(super) type AskedFor<T> = Result<Query<T>, axum::extract::rejection::QueryRejection>;

/// `GET /api/state`: everything but the events.
pub(super) async fn state(State(shared): State<Arc<Shared>>) -> Response {
    answer(
        StatusCode::OK,
        &json!({
            "about": shared.about(), "counts": shared.counts(), "connections": shared.connections(),
            "queues": shared.queues(), "threads": shared.threads(), "faults": shared.faults(),
        }),
    )
}

/// `GET /api/subscriptions`.
pub(super) async fn subscriptions(State(shared): State<Arc<Shared>>) -> Response {
    answer(StatusCode::OK, &shared.connections())
}

/// `GET /api/queues`.
pub(super) async fn queues(State(shared): State<Arc<Shared>>) -> Response {
    answer(StatusCode::OK, &shared.queues())
}

/// `GET /api/threads`.
pub(super) async fn threads(State(shared): State<Arc<Shared>>) -> Response {
    answer(StatusCode::OK, &shared.threads())
}

/// `GET /api/faults`.
pub(super) async fn faults(State(shared): State<Arc<Shared>>) -> Response {
    answer(StatusCode::OK, &shared.faults())
}

/// `GET /api/events`: oldest first. With `after`, the oldest after it; else the newest, before `before` if that is given.
pub(super) async fn events(State(shared): State<Arc<Shared>>, asked: AskedFor<Asked>) -> Response {
    let asked = match asked {
        Ok(Query(asked)) => asked,
        Err(error) => return refuse(&error.to_string()),
    };
    let wanted = match asked.expression() {
        Ok(wanted) => wanted,
        Err(error) => return answer(StatusCode::BAD_REQUEST, &asked.wrong(&error)),
    };
    let (limit, before) = (asked.limit(), asked.before.unwrap_or(u64::MAX));
    let later = shared.log.lock().after(asked.after.unwrap_or(0));
    let mut fitting: Vec<&Arc<Entry>> = later
        .entries
        .iter()
        .filter(|entry| entry.sequence < before && is_wanted(wanted.as_ref(), entry))
        .collect();
    let more = fitting.len().saturating_sub(limit);
    if asked.after.is_some() {
        fitting.truncate(limit);
    } else {
        fitting.drain(..more);
    }
    let rows: Vec<Row<'_>> = fitting.into_iter().map(|entry| Row::of(entry, asked.whole)).collect();
    let missed = asked.after.map_or(0, |_| later.missed);
    written(&Listed { events: rows, more, missed })
}

/// The answer of [`events`].
#[derive(Serialize)]
struct Listed<'a> {
    events: Vec<Row<'a>>,
    more: usize,
    missed: u64,
}

/// As JSON, in which events stay as they came: a [`Value`] would take their numbers and members apart.
fn written(said: &impl Serialize) -> Response {
    match serde_json::to_string(said) {
        Ok(text) => json_text(StatusCode::OK, text),
        Err(error) => {
            answer(StatusCode::INTERNAL_SERVER_ERROR, &json!({"error": format!("cannot write it: {error}")}))
        }
    }
}

/// `GET /api/events/{sequence}`: one, as it came.
pub(super) async fn event(State(shared): State<Arc<Shared>>, Path(sequence): Path<String>) -> Response {
    let found = sequence.parse().ok().and_then(|sequence| shared.log.lock().get(sequence).cloned());
    match found {
        Some(entry) => written(&Row::of(&entry, true)),
        None => answer(
            StatusCode::NOT_FOUND,
            &json!({"error": format!("event {sequence:?} is not in view any more, or never was")}),
        ),
    }
}

/// The query of `GET /api/check`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Check {
    expression: String,
}

/// `GET /api/check`: whether an expression parses, and if not, where it is wrong.
pub(super) async fn check(asked: AskedFor<Check>) -> Response {
    match asked {
        Ok(Query(Check { expression })) => answer(StatusCode::OK, &checked(&expression)),
        Err(error) => refuse(&error.to_string()),
    }
}

/// `GET /api/recording`: the events in view as `hubctl replay` reads them; refused and repeated ones are left out.
pub(super) async fn recording(State(shared): State<Arc<Shared>>, asked: AskedFor<Asked>) -> Response {
    let asked = match asked {
        Ok(Query(asked)) => asked,
        Err(error) => return refuse(&error.to_string()),
    };
    let wanted = match asked.expression() {
        Ok(wanted) => wanted,
        Err(error) => return answer(StatusCode::BAD_REQUEST, &asked.wrong(&error)),
    };
    let entries = shared.log.lock().after(asked.after.unwrap_or(0)).entries;
    let begin = entries.first().map(|entry| entry.at).unwrap_or_default();
    let lines = entries
        .into_iter()
        .filter(move |entry| entry.fate.is_routed() && is_wanted(wanted.as_ref(), entry))
        .map(move |entry| Ok::<_, std::convert::Infallible>(recorded(begin, &entry)));
    let headers = [
        (header::CONTENT_TYPE, "application/jsonl"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"recording.jsonl\""),
    ];
    (headers, Body::from_stream(stream::iter(lines))).into_response()
}

/// Whatever is not there.
pub(super) async fn nothing() -> Response {
    let error = "there is nothing here; the routes are /api/state, /api/events, /api/subscriptions, /api/queues, \
                 /api/threads, /api/faults, /api/check, /api/stream, /api/recording and /api/publish";
    answer(StatusCode::NOT_FOUND, &Value::from_iter([("error", error)]))
}
