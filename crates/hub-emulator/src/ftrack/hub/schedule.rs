//! What happens by itself, later: one task waits for all of it, in order.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::Hub;
use super::inner::Inner;
use crate::ftrack::faults::{Action, Pending};
use crate::ftrack::frame::Frame;
use crate::ftrack::link::Link;
use crate::ftrack::router::ConnectionId;

/// Something to do later.
#[derive(Debug)]
pub(super) enum Job {
    /// A fault strikes.
    Strike { connection: ConnectionId, pending: Pending },
    /// A connection is put out, as by a server that is restarted.
    PutOut { connection: ConnectionId },
    /// A late acknowledgement.
    Ack { to: ConnectionId, ack: Bytes, limit: usize },
    /// Up or down again.
    Flap,
}

impl Hub {
    /// Does what is due, whenever something is, until it is stopped.
    pub(in crate::ftrack) async fn run_schedule(self: Arc<Self>, stop: CancellationToken) {
        let rescheduled = Arc::clone(&self.inner.lock().rescheduled);
        loop {
            let changed = rescheduled.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let wait = self.do_what_is_due();
            let next = async {
                match wait {
                    Some(wait) => sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = changed => {}
                () = self.clock.advanced.notified() => self.expire_handshakes(),
                () = next => {}
            }
        }
    }

    /// Says how long there is nothing to do.
    fn do_what_is_due(&self) -> Option<Duration> {
        let now = self.clock.now();
        if self.inner.lock().next_due().is_some_and(|due| due <= now) {
            self.change(|inner| {
                while inner.next_due().is_some_and(|due| due <= now) {
                    if let Some(((due, _), job)) = inner.jobs.pop_first() {
                        inner.run(job, due);
                    }
                }
            });
        }
        Some(self.inner.lock().next_due()?.saturating_sub(now))
    }
}

impl Inner {
    pub(super) fn schedule(&mut self, due: Duration, job: Job) {
        self.next_job += 1;
        self.jobs.insert((due, self.next_job), job);
        self.rescheduled.notify_waiters();
    }

    fn next_due(&self) -> Option<Duration> {
        self.jobs.first_key_value().map(|((due, _), _)| *due)
    }

    fn run(&mut self, job: Job, due: Duration) {
        match job {
            Job::Strike { connection, pending } => {
                if self.links.contains_key(&connection) {
                    self.perform(connection, &pending.action);
                } else {
                    self.dial.give_back(&pending);
                }
            }
            Job::PutOut { connection } => {
                if self.links.contains_key(&connection) {
                    self.dial.fired.count("rolling_restart");
                    self.put_out(connection);
                }
            }
            Job::Ack { to, ack, limit } => {
                self.stats.acks += u64::from(self.push(to, Frame::text(&ack), limit));
            }
            Job::Flap => self.flap(due),
        }
    }

    /// From up to down, or from down to up.
    fn flap(&mut self, now: Duration) {
        let Some(flap) = &mut self.dial.flap else { return };
        flap.is_down = !flap.is_down;
        let (is_down, lasts) = (flap.is_down, if flap.is_down { flap.down } else { flap.up });
        if is_down {
            self.dial.fired.count("flap");
            self.handshakes.clear();
            self.remove_links(Link::cut);
        }
        self.schedule(now.saturating_add(lasts), Job::Flap);
    }

    pub(super) fn put_out(&mut self, connection: ConnectionId) {
        self.perform_quietly(connection, &Action::Disconnect);
    }
}
