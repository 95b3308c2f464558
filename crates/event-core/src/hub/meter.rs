//! Feature `metrics`: what [`Stats`] counts, told to the recorder that the program installed.
//!
//! Counting costs nothing more: the differences are told at most once a second, by the engine, and once at the end. A
//! hub at which nothing happens does not wake up.

use std::time::Duration;

use metrics::{Label, counter, gauge};
use tokio::time::Instant;

use super::lifecycle::Stats;
use super::shared::Shared;

/// The least time between two tellings.
const PAUSE: Duration = Duration::from_secs(1);

/// Name, description, and where the number is.
type Row<T> = (&'static str, &'static str, fn(&Stats) -> T);

const COUNTERS: [Row<u64>; 20] = [
    ("event_hub_received_total", "events received", |stats| stats.received),
    ("event_hub_repeats_total", "received events that had come already, dropped", |stats| stats.repeats),
    ("event_hub_unmatched_total", "received events that matched no subscription", |stats| stats.unmatched),
    ("event_hub_unreadable_targets_total", "received events whose target is no expression", |stats| {
        stats.unreadable_targets
    }),
    ("event_hub_problems_total", "packets and events that could not be used", |stats| stats.problems),
    ("event_hub_replies_total", "replies given to whoever asked", |stats| stats.replies),
    ("event_hub_late_replies_total", "replies to requests that no longer waited", |stats| stats.late_replies),
    ("event_hub_duplicate_replies_total", "further replies where one is wanted", |stats| {
        stats.duplicate_replies
    }),
    ("event_hub_foreign_replies_total", "replies to events of others", |stats| stats.foreign_replies),
    ("event_hub_overflowed_replies_total", "replies that found the buffer full", |stats| {
        stats.overflowed_replies
    }),
    ("event_hub_published_total", "events acknowledged by the service", |stats| stats.published),
    ("event_hub_refused_total", "events refused by the service", |stats| stats.refused),
    ("event_hub_unconfirmed_total", "events whose connection ended before the acknowledgement", |stats| {
        stats.unconfirmed
    }),
    ("event_hub_expired_total", "events that expired before they could be sent", |stats| stats.expired),
    ("event_hub_handler_failures_total", "handlers that failed or panicked", |stats| stats.handler_failures),
    ("event_hub_dropped_total", "events dropped because a buffer was full", |stats| stats.dropped),
    ("event_hub_completed_total", "deliveries completed with the service", |stats| stats.completed),
    ("event_hub_abandoned_total", "deliveries given back to the service", |stats| stats.abandoned),
    ("event_hub_settle_failures_total", "deliveries that could not be settled", |stats| {
        stats.settle_failures
    }),
    ("event_hub_connections_total", "connections made", |stats| stats.connections),
];

const GAUGES: [Row<usize>; 4] = [
    ("event_hub_open_requests", "requests that wait for a reply", |stats| stats.open_requests),
    ("event_hub_subscriptions", "subscriptions", |stats| stats.subscriptions),
    ("event_hub_outstanding", "events that wait to be sent or acknowledged", |stats| stats.outstanding),
    ("event_hub_window", "events that may be in flight", |stats| stats.window),
];

const CONNECTED: &str = "event_hub_connected";

/// What was told so far.
#[derive(Debug)]
pub(super) struct Meter {
    labels: [Label; 2],
    told: Stats,
    connected: bool,
    last: Option<Instant>,
    /// Whether something may have happened since.
    stale: bool,
}

impl Meter {
    pub(super) fn new(shared: &Shared) -> Self {
        for (name, description, _) in COUNTERS {
            metrics::describe_counter!(name, description);
        }
        for (name, description, _) in GAUGES {
            metrics::describe_gauge!(name, description);
        }
        metrics::describe_gauge!(CONNECTED, "hubs that are connected");
        let labels = [
            Label::from_static_parts("transport", shared.transport.name()),
            Label::new("hub", shared.settings.name.clone()),
        ];
        Self { labels, told: Stats::default(), connected: false, last: None, stale: true }
    }

    /// When it must be told again, if it must.
    pub(super) fn due(&self) -> Option<Instant> {
        self.last.filter(|_| self.stale).map(|last| last + PAUSE)
    }

    /// The engine did something: it is told now, or when it is due.
    pub(super) fn turn(&mut self, shared: &Shared, now: Instant) {
        if self.last.is_some_and(|last| now < last + PAUSE) {
            self.stale = true;
            return;
        }
        self.tell(&shared.stats(), shared.state.borrow().is_connected());
        self.last = Some(now);
        // What ends a request or a publish does not always wake the engine.
        self.stale = self.told.open_requests > 0 || self.told.outstanding > 0;
    }

    /// The hub is over: counters are complete, and it has no share in the gauges any more.
    pub(super) fn end(&mut self, shared: &Shared) {
        let mut stats = shared.stats();
        (stats.open_requests, stats.subscriptions, stats.outstanding, stats.window) = (0, 0, 0, 0);
        self.tell(&stats, false);
    }

    /// Differences, so that several hubs of one name add up.
    fn tell(&mut self, stats: &Stats, connected: bool) {
        let labels = &self.labels;
        for (name, _, of) in COUNTERS {
            counter!(name, labels.iter()).increment(of(stats).saturating_sub(of(&self.told)));
        }
        for (name, _, of) in GAUGES {
            change(name, labels, of(&self.told), of(stats));
        }
        change(CONNECTED, labels, usize::from(self.connected), usize::from(connected));
        (self.told, self.connected) = (stats.clone(), connected);
    }
}

#[expect(clippy::cast_precision_loss, reason = "numbers of things in memory")]
fn change(name: &'static str, labels: &[Label], from: usize, to: usize) {
    let gauge = gauge!(name, labels.iter());
    if to >= from {
        gauge.increment((to - from) as f64);
    } else {
        gauge.decrement((from - to) as f64);
    }
}
