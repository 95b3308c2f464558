//! The load on the ftrack side: hubs that publish to each other, ask, answer, and subscribe for a while.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use event_core::supervisor::ReconnectPolicy;
use ftrack_hub::hub::Report;
use ftrack_hub::{Error, Event, EventHub, Json, Lifecycle, Session};
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::books::Books;
use super::chance::Chance;
use crate::figures::Broken;
use crate::scenes::stage::{self, broken};

/// Hubs under load. One more, the witness, is struck by restarts alone.
pub(super) const HUBS: usize = 4;
/// How long a publish may take, and a request.
pub(super) const PUBLISH: Duration = Duration::from_secs(60);
pub(super) const REQUEST: Duration = Duration::from_secs(10);
/// Publishes of one hub at a time, and the pause between two.
const AT_A_TIME: usize = 256;
const EVERY: Duration = Duration::from_millis(100);

/// The user of a hub.
pub(super) fn user(hub: usize) -> String {
    format!("hub{hub}")
}

/// What all parts of a run share.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) start: tokio::time::Instant,
    pub(super) events: Mutex<Books>,
    pub(super) imodel: Mutex<Books>,
    /// How calls ended, by what was called and the kind of error.
    pub(super) ends: Mutex<BTreeMap<String, u64>>,
    /// The longest that a call took beyond its own timeout.
    pub(super) overdue: Mutex<Duration>,
    /// Reports that a reader missed: what they said is not known.
    pub(super) reports_missed: AtomicU64,
    /// Nothing new is begun.
    pub(super) quiet: CancellationToken,
    pub(super) tasks: TaskTracker,
}

impl Run {
    pub(super) fn new(listeners: usize) -> Self {
        Self {
            start: stage::now(),
            events: Mutex::new(Books::new(HUBS + 1)),
            imodel: Mutex::new(Books::new(listeners)),
            ends: Mutex::default(),
            overdue: Mutex::default(),
            reports_missed: AtomicU64::new(0),
            quiet: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }
    }

    pub(super) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    pub(super) fn ended<T>(&self, what: &str, outcome: Result<T, Error>) -> Option<T> {
        let how = outcome.as_ref().map_or_else(|error| format!("{:?}", error.kind()), |_| "ok".to_owned());
        *self.ends.lock().entry(format!("{what} {how}")).or_insert(0) += 1;
        outcome.ok()
    }

    /// Notes how long a call took beyond what it may.
    fn held(&self, since: Duration, may: Duration) {
        let beyond = self.now().saturating_sub(since + may);
        let mut overdue = self.overdue.lock();
        *overdue = beyond.max(*overdue);
    }

    /// Waits; `false` when the run is to be quiet.
    pub(super) async fn pause(&self, time: Duration) -> bool {
        tokio::select! {
            () = self.quiet.cancelled() => false,
            () = tokio::time::sleep(time) => true,
        }
    }
}

/// The hubs; the last one is the witness.
pub(super) struct Load {
    pub(super) sessions: Vec<Session>,
}

impl Load {
    pub(super) async fn begin(run: &Arc<Run>, url: &str, seed: u64) -> Result<Self, Broken> {
        let mut sessions = Vec::new();
        for index in 0..=HUBS {
            let session = session(url, &user(index))?;
            let hub = session.event_hub();
            watch(run, hub, index);
            hub.connect_persistently().await.map_err(broken("connect"))?;
            let noting = Arc::clone(run);
            hub.subscribe("topic=soak.load")
                .handle(move |event: Event| {
                    if let Some(n) = event.data_value()["n"].as_u64() {
                        noting.events.lock().seen(n, index);
                    }
                    async {}
                })
                .await
                .map_err(broken("subscribe"))?;
            sessions.push(session);
        }
        sessions[0]
            .event_hub()
            .subscribe("topic=soak.ask")
            .handle(async |event: Event| Json(json!({"answer": event.data_value()["n"]})))
            .await
            .map_err(broken("subscribe"))?;
        let numbers = Arc::new(AtomicU64::new(0));
        for session in &sessions[..HUBS] {
            let hub = session.event_hub().clone();
            run.tasks.spawn(publish(Arc::clone(run), hub, Arc::clone(&numbers)));
        }
        run.tasks.spawn(ask(Arc::clone(run), sessions[1].event_hub().clone()));
        let hubs = sessions[..HUBS].iter().map(|session| session.event_hub().clone()).collect();
        run.tasks.spawn(come_and_go(Arc::clone(run), hubs, Chance::new(seed)));
        run.tasks.spawn(guests(Arc::clone(run), url.to_owned()));
        Ok(Self { sessions })
    }
}

fn session(url: &str, user: &str) -> Result<Session, Broken> {
    let mut policy = ReconnectPolicy::default();
    policy.max = Duration::from_secs(5);
    policy.attempt_timeout = Duration::from_secs(10);
    Session::builder(url, user, "any-key")
        .repeats(Duration::from_secs(120), 20_000)
        .subscribe_timeout(Duration::from_secs(20))
        .reconnect(policy)
        .build()
        .map_err(broken("build a session"))
}

/// Writes down the gaps that a hub tells of.
fn watch(run: &Arc<Run>, hub: &EventHub, receiver: usize) {
    let (run, mut reports) = (Arc::clone(run), hub.lifecycle());
    let tracker = run.tasks.clone();
    tracker.spawn(async move {
        while let Some(report) = reports.next().await {
            match report {
                Report::Happened(Lifecycle::Gap(gap)) => {
                    let until = run.now();
                    run.events.lock().gap(receiver, until.saturating_sub(gap.lasted), until);
                }
                Report::Missed(count) => {
                    run.reports_missed.fetch_add(count, Ordering::Relaxed);
                }
                _ => {}
            }
        }
    });
}

/// Publishes at a steady pace; each publish is awaited in a task of its own.
async fn publish(run: Arc<Run>, hub: EventHub, numbers: Arc<AtomicU64>) {
    let room = Arc::new(Semaphore::new(AT_A_TIME));
    while run.pause(EVERY).await {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        let n = numbers.fetch_add(1, Ordering::Relaxed);
        let Ok(event) = Event::new("soak.load", &json!({"n": n, "filling": "x".repeat(200)})) else { return };
        let (run, since) = (Arc::clone(&run), run.now());
        run.events.lock().sent(n, since);
        let publishing = hub.publish(event).timeout(PUBLISH).into_future();
        let tracker = run.tasks.clone();
        tracker.spawn(async move {
            let outcome = publishing.await;
            run.held(since, PUBLISH);
            if run.ended("publish", outcome).is_some() {
                let now = run.now();
                run.events.lock().acknowledged(n, now);
            }
            drop(permit);
        });
    }
}

/// Asks, one question after the other.
async fn ask(run: Arc<Run>, hub: EventHub) {
    let mut n = 0_u64;
    while run.pause(EVERY * 2).await {
        n += 1;
        let Ok(event) = Event::new("soak.ask", &json!({"n": n})) else { return };
        let since = run.now();
        let outcome = hub.publish_and_wait_for_reply(event).timeout(REQUEST).await;
        run.held(since, REQUEST);
        let right = run.ended("request", outcome).is_none_or(|reply| reply.data_value()["answer"] == n);
        if !right {
            *run.ends.lock().entry("request WRONG ANSWER".to_owned()).or_insert(0) += 1;
        }
    }
}

/// Subscriptions that come and go: as streams that are dropped, and as handlers that are unsubscribed.
async fn come_and_go(run: Arc<Run>, hubs: Vec<EventHub>, mut chance: Chance) {
    let mut n = 0_u64;
    while run.pause(EVERY).await {
        n += 1;
        let Some(hub) = chance.pick(&hubs) else { return };
        let describing = hub.subscribe(format!("topic=soak.load and data.n>={n}"));
        if chance.below(2) == 0 {
            if let Some(mut stream) = run.ended("subscribe", describing.stream().await) {
                let _ = tokio::time::timeout(EVERY, stream.next()).await;
            }
        } else if let Some(made) = run.ended("subscribe", describing.handle(async |_: Event| {}).await) {
            run.ended("unsubscribe", hub.unsubscribe(made.id().clone()).await);
        }
    }
}

/// Whole sessions that come and go, the half of them without a good-bye.
async fn guests(run: Arc<Run>, url: String) {
    let mut polite = false;
    while run.pause(Duration::from_secs(3)).await {
        let Ok(session) = session(&url, "guest") else { return };
        let hub = session.event_hub();
        if run.ended("guest connects", hub.connect().await).is_none() {
            continue;
        }
        run.ended("guest subscribes", hub.subscribe("topic=soak.load").handle(async |_: Event| {}).await);
        if let Ok(event) = Event::new("soak.guest", &json!({})) {
            run.ended("guest publishes", hub.publish(event).timeout(REQUEST).await);
        }
        polite = !polite;
        if polite {
            hub.close().await;
        }
    }
}
