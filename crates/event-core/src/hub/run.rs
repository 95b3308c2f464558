//! Running handlers: one lane per subscription, in order, so many at a time as it allows.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::future::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};

use super::context::{Context, Scope};
use super::shared::Shared;
use crate::dispatch::gate::Ticket;
use crate::dispatch::lane::Job;
use crate::dispatch::settle::{Share, Work};
use crate::dispatch::{Entry, Fate};
use crate::handler::BoxedHandler;
use crate::transport::Settlement;
use crate::{Error, ErrorKind, Event, RawJson, Result};

/// Handles a subscription's events until it is closed or the hub stops.
pub(super) async fn lane(shared: Arc<Shared>, entry: Arc<Entry>) {
    let Some(handler) = entry.handler.clone() else { return };
    let stop = shared.stop.clone();
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        () = work(&shared, &entry, &handler) => {}
    }
}

async fn work(shared: &Arc<Shared>, entry: &Arc<Entry>, handler: &BoxedHandler) {
    if entry.lane.concurrency == 1 {
        while let Some(job) = entry.lane.pop().await {
            handle(shared, entry, handler, job).await;
        }
        return;
    }
    let mut running = FuturesUnordered::new();
    loop {
        tokio::select! {
            biased;
            Some(()) = running.next(), if !running.is_empty() => {}
            job = entry.lane.pop(), if running.len() < entry.lane.concurrency => match job {
                Some(job) => running.push(handle(shared, entry, handler, job)),
                None => break,
            },
        }
    }
    while running.next().await.is_some() {}
}

/// One event through one handler: its turn, the handler, the reply.
///
/// No `async fn`: the event's fate and its key are held from the call on, not from the first poll. The block takes from
/// the job what it names: its credit must be named, or it goes back before the handler begins.
fn handle<'a>(
    shared: &'a Arc<Shared>,
    entry: &'a Arc<Entry>,
    handler: &'a BoxedHandler,
    mut job: Job,
) -> impl Future<Output = ()> + 'a {
    let mut fate = Fate::open(&**entry);
    let key = entry.lane.hold_key(job.key);
    async move {
        let _key = key;
        let _credit = job.credit.take();
        let share = job.share.take();
        if let Some(ticket) = &job.ticket
            && !ticket.turn().await
        {
            fate.skipped();
            share.and_then(Share::succeed);
            return;
        }
        let running = entry.lane.run();
        let work = share.as_ref().and_then(Share::work);
        if let Some(work) = &work {
            work.begin();
        }
        let turn = Turn { event: &job.event, attempt: job.attempt, ticket: job.ticket.clone(), work };
        let outcome = call(shared, entry, handler, turn).await;
        drop(running);
        // The answer is on its way before lanes of larger numbers start.
        match outcome {
            Ok(reply) => {
                fate.handled();
                share.and_then(Share::succeed);
                if let Some(data) = reply.filter(|_| !job.local) {
                    shared.reply(entry, &job.event, data).await;
                }
            }
            Err(error) => {
                fate.failed();
                let reason = error.to_string().into_boxed_str();
                let abandon = Settlement::Abandon { delay: None };
                share.and_then(|share| share.fail_because(abandon, Some(reason)));
                shared.handler_failed(entry, error);
            }
        }
        if let Some(ticket) = &job.ticket {
            ticket.finish();
        }
    }
}

/// One event's turn with a handler.
pub(super) struct Turn<'e> {
    pub(super) event: &'e Event,
    pub(super) attempt: u32,
    pub(super) ticket: Option<Arc<Ticket>>,
    /// On transports that ask for settlement.
    pub(super) work: Option<Work>,
}

/// Calls a handler; a panic becomes an error.
pub(super) async fn call(
    shared: &Arc<Shared>,
    entry: &Arc<Entry>,
    handler: &BoxedHandler,
    turn: Turn<'_>,
) -> Result<Option<RawJson>> {
    let context = Context::new(Arc::clone(shared), Arc::clone(entry), &turn);
    let Turn { event, ticket, .. } = turn;
    let scope = Scope { entry: Arc::clone(entry), ticket };
    let event = event.clone();
    let handling = async move { handler(event, context).await };
    match AssertUnwindSafe(scope.around(handling)).catch_unwind().await {
        Ok(outcome) => outcome,
        Err(panic) => Err(Error::new(
            ErrorKind::Handler,
            "handle event",
            format!("the handler panicked: {}", text(&*panic)),
        )),
    }
}

/// What a panic said.
fn text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("it gave no message")
}
