//! `GET /api/stream`: events and changes as they come, over server-sent events.
//!
//! Events are gathered for a moment and sent together; when more came in that moment than a page can show, the newest
//! are sent and the others counted. What else there is to see is looked at twice a second, and sent when it changed.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event as Message, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use event_core::Expression;
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Interval, MissedTickBehavior, interval, sleep};

use super::log::Entry;
use super::query::Asked;
use super::read::AskedFor;
use super::rows::{Row, is_wanted};
use super::state::Shared;
use crate::guard::{json as answer, refuse};

/// How long events are gathered.
const GATHER: Duration = Duration::from_millis(80);
/// The most events that are sent at a time: beyond 2,500 a second there is sampling.
const BATCH: usize = 200;
/// How often it is looked whether something else changed.
const LOOK: Duration = Duration::from_millis(500);

pub(super) async fn stream(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    asked: AskedFor<Asked>,
) -> Response {
    let asked = match asked {
        Ok(Query(asked)) => asked,
        Err(error) => return refuse(&error.to_string()),
    };
    let wanted = match asked.expression() {
        Ok(wanted) => wanted,
        Err(error) => return answer(StatusCode::BAD_REQUEST, &asked.wrong(&error)),
    };
    let Ok(permit) = Arc::clone(&shared.followers).try_acquire_owned() else {
        let error = json!({"error": "too many pages follow already; close one"});
        return answer(StatusCode::SERVICE_UNAVAILABLE, &error);
    };
    // A browser that comes back says where it was, unless that was in another run.
    let last = headers.get("last-event-id").and_then(|id| shared.place(id.to_str().ok()?));
    let follower = Follower::new(shared, wanted, last.or(asked.after), asked.limit(), permit);
    let messages = stream::unfold(follower, |mut follower| async move {
        let message = follower.next().await;
        Some((Ok::<_, Infallible>(message), follower))
    });
    Sse::new(messages).keep_alive(KeepAlive::default()).into_response()
}

/// A page that follows.
struct Follower {
    shared: Arc<Shared>,
    wanted: Option<Expression>,
    /// The number of the newest event that was dealt with.
    last: u64,
    news: watch::Receiver<u64>,
    look: Interval,
    /// What was sent last of each part.
    sent: [String; PARTS.len()],
    ready: VecDeque<Message>,
    _permit: OwnedSemaphorePermit,
}

type Part = (&'static str, fn(&Shared) -> Value);

const PARTS: [Part; 5] = [
    ("counts", Shared::counts),
    ("connections", Shared::connections),
    ("queues", Shared::queues),
    ("threads", Shared::threads),
    ("faults", Shared::faults),
];

impl Follower {
    fn new(
        shared: Arc<Shared>,
        wanted: Option<Expression>,
        after: Option<u64>,
        limit: usize,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let news = shared.news();
        let (last, sent) = (after.unwrap_or(0), Default::default());
        let ready = VecDeque::from([message("about", &shared.about())]);
        let mut follower = Self { shared, wanted, last, news, look, sent, ready, _permit: permit };
        // A page that knows nothing wants the newest; what it has no room for is no loss.
        follower.gather(if after.is_some() { BATCH } else { limit }, after.is_some());
        follower
    }

    async fn next(&mut self) -> Message {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return message;
            }
            tokio::select! {
                Ok(()) = self.news.changed() => {
                    sleep(GATHER).await;
                    self.gather(BATCH, true);
                }
                _ = self.look.tick() => self.look(),
            }
        }
    }

    /// Puts the events that came since into one message.
    fn gather(&mut self, most: usize, counts: bool) {
        self.news.mark_unchanged();
        let (later, seen) = {
            let log = self.shared.log.lock();
            (log.after(self.last), log.counts().seen)
        };
        self.last = seen;
        let fitting: Vec<&Arc<Entry>> =
            later.entries.iter().filter(|entry| is_wanted(self.wanted.as_ref(), entry)).collect();
        let skipped = fitting.len().saturating_sub(most);
        let missed = if counts { later.missed } else { 0 };
        if counts && fitting.is_empty() && missed == 0 {
            return;
        }
        let rows: Vec<Row<'_>> = fitting[skipped..].iter().map(|entry| Row::of(entry, false)).collect();
        let sampled = if counts { skipped as u64 } else { 0 };
        let said = json!({"rows": rows, "skipped": sampled, "missed": missed, "last": seen});
        self.ready.push_back(message("events", &said).id(self.shared.name_of(seen)));
    }

    /// Sends what changed.
    fn look(&mut self) {
        for ((name, part), sent) in PARTS.iter().zip(&mut self.sent) {
            let now = part(&self.shared).to_string();
            if now != *sent {
                self.ready.push_back(Message::default().event(*name).data(&now));
                *sent = now;
            }
        }
    }
}

fn message(name: &str, data: &Value) -> Message {
    Message::default().event(name).data(data.to_string())
}
