//! The orderly end of a hub: no more events come in, what is there is finished, and a report says what became of it.
#![expect(clippy::disallowed_methods, reason = "a shell: it reads tokio's clock")]

use std::fmt;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::engine::{Engine, sleep_until};
use super::lifecycle::{ConnectionState, Lifecycle};
use super::link::LinkState;
use super::shared::{Command, Shared};
use super::subscription::{SubscriptionStats, stats};
use crate::dispatch::Entry;
use crate::outbox::Totals;
use crate::{Error, ErrorKind};

/// How long a drain that is over waits for handlers to notice that they were cut off.
const CUT_OFF: Duration = Duration::from_millis(100);

/// What became of everything a hub held when it was drained. It adds up: `deliveries` is the sum of `handled`,
/// `failed`, `skipped`, `dropped`, `abandoned` and `unread`; `publishes` that of `published`, `refused` and `unsent`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DrainReport {
    /// How long it took.
    pub elapsed: Duration,
    /// Whether the time ran out before everything was done.
    pub timed_out: bool,
    /// Events that waited or were worked on when the drain began, and those that came until the service stopped
    /// sending.
    pub deliveries: u64,
    /// Of these: handlers that returned, or events that a stream yielded.
    pub handled: u64,
    /// Handlers that failed or panicked.
    pub failed: u64,
    /// Events stopped by a smaller priority number.
    pub skipped: u64,
    /// Events dropped because a buffer was full.
    pub dropped: u64,
    /// Events whose handler was not started in time, or was cut off; deliveries under a lock come again.
    pub abandoned: u64,
    /// Events that streams still hold; they can be read after the end.
    pub unread: u64,
    /// Events that waited to be sent or acknowledged when the drain began, and those published meanwhile.
    pub publishes: u64,
    /// Of these: acknowledged by the service.
    pub published: u64,
    /// Refused by the service, expired, or unconfirmed and not to be sent twice; whoever published was told.
    pub refused: u64,
    /// Not acknowledged in time; whoever published was told.
    pub unsent: u64,
}

impl DrainReport {
    /// Whether everything was done: nothing was dropped, abandoned, refused or left.
    pub fn is_clean(&self) -> bool {
        let left = self.dropped + self.abandoned + self.unread + self.refused + self.unsent;
        left == 0 && !self.timed_out
    }
}

impl fmt::Display for DrainReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { deliveries, handled, failed, skipped, dropped, abandoned, unread, .. } = self;
        let Self { publishes, published, refused, unsent, .. } = self;
        write!(
            f,
            "{} {:.1} s: {deliveries} deliveries ({handled} handled, {failed} failed, {skipped} skipped, {dropped} \
             dropped, {abandoned} abandoned, {unread} unread), {publishes} publishes ({published} acknowledged, \
             {refused} refused, {unsent} unsent)",
            if self.timed_out { "cut off after" } else { "drained in" },
            self.elapsed.as_secs_f64(),
        )
    }
}

/// A drain that is over, up to the last count.
pub(super) struct Drained {
    began: Instant,
    timed_out: bool,
    entries: Vec<Arc<Entry>>,
    /// The counters when it began, each entry's and the outbox's.
    before: Vec<SubscriptionStats>,
    open: u64,
    sent: Totals,
}

impl Drained {
    fn begin(shared: &Shared, entries: Vec<Arc<Entry>>) -> Self {
        let before = entries.iter().map(|entry| stats(entry)).collect();
        let open = entries.iter().map(|entry| entry.open()).sum();
        Self { began: Instant::now(), timed_out: false, entries, before, open, sent: shared.outbox.totals() }
    }

    /// The report, when handlers have stopped or were told to.
    pub(super) async fn report(self, shared: &Shared, unsent: usize) -> DrainReport {
        shared.tasks.close();
        // A handler that blocks its thread notices nothing; what it works on is counted as abandoned.
        let _ = tokio::time::timeout(CUT_OFF, shared.tasks.wait()).await;
        let mut report = DrainReport {
            elapsed: self.began.elapsed(),
            timed_out: self.timed_out,
            deliveries: self.open,
            unsent: unsent as u64,
            ..DrainReport::default()
        };
        for (entry, before) in self.entries.iter().zip(&self.before) {
            let now = stats(entry);
            report.deliveries += now.delivered - before.delivered;
            report.handled += now.handled - before.handled;
            report.failed += now.failed - before.failed;
            report.skipped += now.skipped - before.skipped;
            report.dropped += now.dropped - before.dropped;
            report.abandoned += now.abandoned - before.abandoned;
            let left = if entry.handler.is_some() { &mut report.abandoned } else { &mut report.unread };
            *left += entry.open();
        }
        let sent = shared.outbox.totals();
        report.publishes = sent.queued - self.sent.done();
        report.published = sent.acknowledged - self.sent.acknowledged;
        report.refused = report.publishes - report.published - report.unsent;
        report
    }
}

impl Engine {
    /// Ends the subscriptions, lets handlers finish and what they publish go out, then says good-bye; all within
    /// `limit`.
    pub(super) async fn drain(&mut self, limit: Duration) -> Drained {
        self.turn();
        let mut entries = self.shared.registry.lock().all();
        entries.append(&mut self.retired);
        let mut drained = Drained::begin(&self.shared, entries);
        let deadline = drained.began + limit;
        // A service that does not answer must not take the time that handlers need.
        let patience = drained.began + limit / 2;
        self.shared.enter(ConnectionState::Draining);
        self.shared.report(Lifecycle::Draining);
        self.part();
        let shared = Arc::clone(&self.shared);
        let mut taking_in = true;
        loop {
            self.turn();
            if taking_in && (self.parting() == 0 || Instant::now() >= patience) {
                taking_in = false;
                drained.entries.iter().for_each(|entry| entry.close());
                shared.tasks.close();
            }
            if !taking_in && self.is_done() {
                break;
            }
            let expiry = self.expire(Instant::now());
            let handlers = async {
                if taking_in || shared.tasks.is_empty() { pending().await } else { shared.tasks.wait().await }
            };
            tokio::select! {
                biased;
                () = shared.stop.cancelled() => break,
                () = tokio::time::sleep_until(deadline) => {
                    drained.timed_out = true;
                    break;
                }
                Some(command) = self.commands.recv() => self.command_while_draining(command),
                happened = self.link.next() => {
                    if self.happened(happened) {
                        tokio::task::yield_now().await;
                    }
                }
                () = self.flights.landed(), if !self.flights.is_empty() => {}
                () = shared.outbox.wake.notified() => {}
                () = handlers => {}
                () = tokio::time::sleep_until(patience), if taking_in => {}
                () = sleep_until(expiry) => {}
            }
        }
        self.say_goodbye(deadline.saturating_duration_since(Instant::now())).await;
        drained
    }

    /// Asks the service to send no more.
    fn part(&mut self) {
        let LinkState::Linked(linked) = &mut self.link else { return };
        if linked.open {
            for entry in self.shared.registry.lock().all() {
                linked.ask_unsubscribe(entry.spec.clone(), None);
            }
        }
    }

    fn parting(&self) -> usize {
        if let LinkState::Linked(linked) = &self.link { linked.parting } else { 0 }
    }

    /// Whether handlers are done, deliveries settled, and publishes sent, or past sending.
    fn is_done(&self) -> bool {
        let (settling, sendable) = match &self.link {
            LinkState::Linked(linked) => (linked.settling, true),
            LinkState::Connecting(_) => (0, true),
            LinkState::None => (0, false),
        };
        self.shared.tasks.is_empty() && settling == 0 && !(sendable && self.shared.outbox.outstanding() > 0)
    }

    fn command_while_draining(&mut self, command: Command) {
        let refusal = |op| Error::new(ErrorKind::Closed, op, "the hub is being drained; build a new one");
        match command {
            Command::Unsubscribe { id, done } => self.unsubscribe(&id, Some(done)),
            Command::Subscribe { done, .. } => drop(done.send(Err(refusal("subscribe")))),
            Command::Connect { done, .. } | Command::Reconnect { done } => {
                drop(done.send(Err(refusal("connect"))));
            }
            // It comes soon enough.
            Command::Disconnect { done } => drop(done.send(())),
            // Whoever asks again waits for the same end.
            Command::Drain { .. } => {}
        }
    }
}
