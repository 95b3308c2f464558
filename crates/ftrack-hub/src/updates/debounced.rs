//! The thin shell around the coalescer: one task that owns it, fed by the subscription.
#![expect(clippy::disallowed_methods, reason = "a shell: it reads tokio's clock")]

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use event_core::{Context, Error, ErrorKind, Event, IntoReply, Result, Subscription};
use futures_util::future::FutureExt;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::coalesce::{Coalescer, Debounce, Settled};
use super::filter::Filter;
use crate::events::{Entity, On, Update};

/// Changes on their way to the task; more wait in the subscription's buffer.
const FEED: usize = 64;

/// A subscription to entities whose changes are put together, being described. See
/// [`OnEntities::debounced`](super::OnEntities::debounced).
#[must_use = "nothing is subscribed until a handler is given"]
#[derive(Debug)]
pub struct Debounced {
    pub(super) on: On<Update>,
    pub(super) filter: Filter,
    pub(super) debounce: Debounce,
}

/// A subscription to entities whose changes are put together. Dropping it changes nothing; a clone is the same one.
#[derive(Clone, Debug)]
pub struct DebouncedSubscription {
    subscription: Subscription,
    feed: mpsc::Sender<Fed>,
    counters: Arc<Counters>,
}

/// What happened to the changes of a [`DebouncedSubscription`]. They add up: `changes` is the sum of `merged`,
/// `unwanted`, `handled`, `failed` and what waits now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DebounceStats {
    /// Changes of entities that came.
    pub changes: u64,
    /// Of these: put into a later one of the same entity.
    pub merged: u64,
    /// Entities that the filter did not want, when they were quiet.
    pub unwanted: u64,
    /// Entities that were handled.
    pub handled: u64,
    /// Entities whose handler failed or panicked.
    pub failed: u64,
    /// Entities that were handed out before they were quiet, for want of room.
    pub early: u64,
}

#[derive(Debug, Default)]
struct Counters {
    changes: AtomicU64,
    merged: AtomicU64,
    unwanted: AtomicU64,
    handled: AtomicU64,
    failed: AtomicU64,
    early: AtomicU64,
}

/// What the task is told.
#[derive(Debug)]
enum Fed {
    Change(Box<(Entity, Event, Context)>),
    /// Hand out everything that waits.
    Flush(oneshot::Sender<()>),
}

impl Debounced {
    /// Handles what became of each entity, with a function of entity and the last event that changed it. The
    /// entity's `changes` hold the oldest `old` and the newest `new` of each attribute.
    ///
    /// One entity is handled at a time. Meanwhile changes wait, at last in the subscription's buffer, whose overflow
    /// is counted and reported. A failure is counted and reported as one of the subscription.
    ///
    /// # Errors
    ///
    /// As [`Subscribe::handle`](event_core::hub::Subscribe::handle).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future before it is done leaves no subscription behind.
    pub async fn handle<F, Fut>(self, handler: F) -> Result<DebouncedSubscription>
    where
        F: Fn(Entity, Event) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: IntoReply> + Send + 'static,
    {
        let (feed, told) = mpsc::channel(FEED);
        let counters = Arc::new(Counters::default());
        let entering = feed.clone();
        // The task ends with the last of its feeds: those of the subscription and of the handles.
        tokio::spawn(settle(
            told,
            Coalescer::new(self.debounce),
            self.filter,
            handler,
            Arc::clone(&counters),
        ));
        let subscription = self
            .on
            .handle_ctx(move |update: Update, event, context| enter(entering.clone(), update, event, context))
            .await?;
        Ok(DebouncedSubscription { subscription, feed, counters })
    }
}

impl DebouncedSubscription {
    /// The subscription below.
    pub fn subscription(&self) -> &Subscription {
        &self.subscription
    }

    /// Its counters.
    pub fn stats(&self) -> DebounceStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Counters { changes, merged, unwanted, handled, failed, early } = &*self.counters;
        DebounceStats {
            changes: read(changes),
            merged: read(merged),
            unwanted: read(unwanted),
            handled: read(handled),
            failed: read(failed),
            early: read(early),
        }
    }

    /// Hands out at once what waits, and returns when it is handled.
    ///
    /// # Cancel safety
    ///
    /// Once polled to its first wait, it goes on even if the future is dropped.
    pub async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        if self.feed.send(Fed::Flush(done)).await.is_ok() {
            let _ = flushed.await;
        }
    }

    /// Unsubscribes, and hands out what waits. Call it before the hub is closed: closing does not wait for entities
    /// that are not quiet yet.
    ///
    /// # Errors
    ///
    /// Those of [`Subscription::unsubscribe`]; what waits is handed out in any case.
    pub async fn unsubscribe(&self) -> Result<()> {
        let unsubscribed = self.subscription.unsubscribe().await;
        self.flush().await;
        unsubscribed
    }
}

async fn enter(feed: mpsc::Sender<Fed>, update: Update, event: Event, context: Context) -> Result<()> {
    for entity in update.entities.value().into_iter().flatten() {
        let change = Box::new((entity.clone(), event.clone(), context.clone()));
        if feed.send(Fed::Change(change)).await.is_err() {
            let message = "the task that puts changes together is gone; was its runtime shut down?";
            return Err(Error::new(ErrorKind::Closed, "debounce", message));
        }
    }
    Ok(())
}

/// The task.
async fn settle<F, Fut>(
    mut told: mpsc::Receiver<Fed>,
    mut machine: Coalescer<Context>,
    filter: Filter,
    handler: F,
    counters: Arc<Counters>,
) where
    F: Fn(Entity, Event) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: IntoReply> + Send + 'static,
{
    let out = Out { filter, handler, counters };
    loop {
        let due = machine.next_due();
        let next = tokio::select! {
            biased;
            () = until(due), if due.is_some() => None,
            next = told.recv() => match next {
                Some(next) => Some(next),
                None => break,
            },
        };
        match next {
            None => {
                while let Some(settled) = machine.pop_due(Instant::now().into_std()) {
                    out.hand(settled).await;
                }
            }
            Some(Fed::Change(change)) => {
                let (entity, event, context) = *change;
                out.counters.changes.fetch_add(1, Ordering::Relaxed);
                let has_id = entity.id.value().is_some();
                if let Some(settled) = machine.push(Instant::now().into_std(), entity, event, context) {
                    if has_id {
                        out.counters.early.fetch_add(1, Ordering::Relaxed);
                    }
                    out.hand(settled).await;
                }
            }
            Some(Fed::Flush(done)) => {
                while let Some(settled) = machine.pop() {
                    out.hand(settled).await;
                }
                let _ = done.send(());
            }
        }
    }
    while let Some(settled) = machine.pop() {
        out.hand(settled).await;
    }
}

async fn until(due: Option<std::time::Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(Instant::from_std(due)).await,
        None => std::future::pending().await,
    }
}

/// Where settled entities go.
struct Out<F> {
    filter: Filter,
    handler: F,
    counters: Arc<Counters>,
}

impl<F, Fut> Out<F>
where
    F: Fn(Entity, Event) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: IntoReply> + Send + 'static,
{
    async fn hand(&self, settled: Settled<Context>) {
        let Settled { entity, event, with: context, changes } = settled;
        let count = |counter: &AtomicU64, more: u64| counter.fetch_add(more, Ordering::Relaxed);
        count(&self.counters.merged, changes - 1);
        if !self.filter.matches(&entity) {
            count(&self.counters.unwanted, 1);
            return;
        }
        let handling = AssertUnwindSafe(async { (self.handler)(entity, event).await.into_reply() });
        let ended = handling
            .catch_unwind()
            .await
            .unwrap_or_else(|_| Err(Error::new(ErrorKind::Handler, "handle entity", "the handler panicked")));
        match ended {
            Ok(_) => {
                count(&self.counters.handled, 1);
            }
            Err(error) => {
                count(&self.counters.failed, 1);
                context.report_failure(error);
            }
        }
    }
}
