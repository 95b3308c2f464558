//! W: a million events go through a stream to a group of workers, of which one is killed every 10 s, or sooner.

mod books;
mod group;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use event_core::{Event, EventHub, Receipt};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use nats_server::{NatsServer, RawClient, ServerConfig};
use parking_lot::Mutex;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use transport_nats::{JetStream, NatsTransport, NewStream};

use super::stage::{broken, now, pause, without_nats_server};
use crate::fault::{Clock, Fault, Playing, Run, Size};
use crate::figures::{Broken, Figures, ensure};

use books::Books;
use group::Group;
pub use worker::work_if_asked;

pub(super) const FAULT: Fault = Fault {
    id: "W",
    what: "1,000,000 events over JetStream to a group of 4 workers, one killed every 10 s or 50,000 events",
    holds: "each event is handled; again only what a killed worker held, at most its in_flight for each kill",
    clock: Clock::Real,
    play: |run| -> Playing { Box::pin(play(run)) },
};

const STREAM: &str = "EVENTS";
const TOPIC: &str = "load";
/// The durable name that the workers have in common.
const GROUP: &str = "workers";
const WORKERS: usize = 4;
/// What a worker holds at most.
const IN_FLIGHT: u32 = 256;
/// What a killed worker held is given out again after this.
const ACK_WAIT: Duration = Duration::from_secs(5);
/// Publishes that wait for their confirmation, at most.
const FLYING: usize = 1_024;
/// The time between two kills of a full run, or so many events where they are handled sooner.
const EVERY: Duration = Duration::from_secs(10);
const MANY: u64 = 50_000;
/// Kills of a small run, evenly over its events.
const SMALL_KILLS: u64 = 2;
/// So many kills surely hit a worker that holds events; fewer may find all of them idle.
const SURE: u64 = 10;
/// How long nothing at all may be handled.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often is looked.
const LOOK: Duration = Duration::from_millis(5);

/// The stream, as publisher and workers use it.
fn stream() -> JetStream {
    let in_flight = usize::try_from(IN_FLIGHT).unwrap_or(usize::MAX);
    JetStream::new(STREAM)
        .create(NewStream::default())
        .from_the_beginning()
        .ack_wait(ACK_WAIT)
        .in_flight(in_flight)
}

async fn play(run: Run) -> Result<Figures, Broken> {
    if let Some(skipped) = without_nats_server(FAULT.id)? {
        return Ok(skipped);
    }
    let events: u32 = run.pick(20_000, 1_000_000);
    let server = NatsServer::start(ServerConfig::default()).await.map_err(broken("start the server"))?;
    let transport = NatsTransport::builder([server.url()]).window(FLYING).jetstream(stream());
    let transport = transport.build().map_err(broken("build transport"))?;
    let hub = EventHub::builder(transport).connect().await.map_err(broken("connect"))?;
    let books = Arc::new(Mutex::new(Books::new(events)));
    let mut group = Group::start(&server.url(), &books).await?;

    let start = now();
    let publishing = async { publish(&hub, events, &books).await.map(|()| start.elapsed()) };
    let killing = async { kill(run, &mut group, &books).await.map(|()| start.elapsed()) };
    let (published, handled) = tokio::try_join!(publishing, killing)?;
    let facts = settled(&server, &books).await?;
    group.stop().await?;
    hub.close().await;
    let counts = judge(&books.lock(), facts)?;
    Ok(counts
        .with("published in", format!("{published:.1?}"))
        .with("handled in", format!("{handled:.1?}"))
        .with("events/s", format!("{:.0}", f64::from(events) / handled.as_secs_f64())))
}

/// Publishes every event once, and waits for every confirmation.
async fn publish(hub: &EventHub, events: u32, books: &Mutex<Books>) -> Result<(), Broken> {
    let confirmed = |(n, outcome): (u32, event_core::Result<Receipt>)| {
        outcome.map_err(broken("publish"))?;
        books.lock().confirmed(n);
        Ok(())
    };
    let mut flying = FuturesUnordered::new();
    for n in 0..events {
        if flying.len() >= FLYING
            && let Some(outcome) = flying.next().await
        {
            confirmed(outcome)?;
        }
        let event = Event::builder(TOPIC).id(n.to_string()).data(&serde_json::json!({ "n": n }));
        let publish = hub.publish(event.build().map_err(broken("build event"))?);
        flying.push(async move { (n, publish.await) });
    }
    while let Some(outcome) = flying.next().await {
        confirmed(outcome)?;
    }
    Ok(())
}

/// Kills the workers in turn, each replaced at once, until every event is handled.
async fn kill(run: Run, group: &mut Group, books: &Mutex<Books>) -> Result<(), Broken> {
    let events = u64::from(books.lock().events());
    if run.size == Size::Small {
        for part in 1..=SMALL_KILLS {
            until(books, |books| books.distinct() * (SMALL_KILLS + 1) >= events * part).await?;
            group.kill_next().await?;
        }
        return until(books, Books::is_complete).await;
    }
    loop {
        let many = books.lock().distinct() + MANY;
        let due = until(books, |books| books.is_complete() || books.distinct() >= many);
        if let Ok(due) = tokio::time::timeout(EVERY, due).await {
            due?;
        }
        if books.lock().is_complete() {
            return Ok(());
        }
        group.kill_next().await?;
    }
}

/// Waits until something holds of the books; not for ever if nothing is handled any more.
async fn until(books: &Mutex<Books>, holds: impl Fn(&Books) -> bool) -> Result<(), Broken> {
    let mut last = (books.lock().handled(), now());
    loop {
        {
            let books = books.lock();
            if holds(&books) {
                return Ok(());
            }
            if let Some(what) = books.ended_by_itself() {
                return Err(Broken::new(what));
            }
            if books.handled() != last.0 {
                last = (books.handled(), now());
            }
            let (distinct, events) = (books.distinct(), books.events());
            ensure(last.1.elapsed() < PATIENCE, || {
                format!("nothing is handled any more: {distinct} of {events} so far")
            })?;
        }
        pause(LOOK).await;
    }
}

/// What the server says of the stream and of its consumer.
#[derive(Clone, Copy, Debug)]
struct Facts {
    /// Events that are stored.
    stored: u64,
    /// Deliveries, the first of each event and all others.
    deliveries: u64,
}

#[derive(Deserialize)]
struct ConsumerInfo {
    delivered: Delivered,
    num_ack_pending: u64,
    num_pending: u64,
}

#[derive(Deserialize)]
struct Delivered {
    consumer_seq: u64,
}

#[derive(Deserialize)]
struct StreamInfo {
    state: StreamState,
}

#[derive(Deserialize)]
struct StreamState {
    messages: u64,
}

/// Waits until nothing is to be given out and nothing is out without being acknowledged.
async fn settled(server: &NatsServer, books: &Mutex<Books>) -> Result<Facts, Broken> {
    let mut client = RawClient::connect(&server.address()).await.map_err(broken("look at the stream"))?;
    let since = now();
    loop {
        let consumer: ConsumerInfo = ask(&mut client, &format!("CONSUMER.INFO.{STREAM}.{GROUP}")).await?;
        if consumer.num_ack_pending == 0 && consumer.num_pending == 0 {
            let stream: StreamInfo = ask(&mut client, &format!("STREAM.INFO.{STREAM}")).await?;
            return Ok(Facts { stored: stream.state.messages, deliveries: consumer.delivered.consumer_seq });
        }
        if let Some(what) = books.lock().ended_by_itself() {
            return Err(Broken::new(what));
        }
        ensure(since.elapsed() < PATIENCE, || {
            format!(
                "{} deliveries are not acknowledged, {} not made, after {PATIENCE:?}",
                consumer.num_ack_pending, consumer.num_pending
            )
        })?;
        pause(Duration::from_millis(100)).await;
    }
}

async fn ask<T: DeserializeOwned>(client: &mut RawClient, call: &str) -> Result<T, Broken> {
    let answer = client.request(&format!("$JS.API.{call}"), b"").await.map_err(broken("ask the stream"))?;
    serde_json::from_str(&answer).map_err(broken("read the stream's answer"))
}

/// Everything that came again must be what a worker held when it was killed.
fn judge(books: &Books, facts: Facts) -> Result<Figures, Broken> {
    let verdict = books.verdict();
    let bound = u64::from(IN_FLIGHT) * verdict.kills;
    let figures = Figures::new()
        .with("published and confirmed", verdict.confirmed)
        .with("stored", facts.stored)
        .with("kills", verdict.kills)
        .with("lost", verdict.lost)
        .with("given out again", verdict.again)
        .with("of these waiting in a killed worker", verdict.unhandled)
        .with("duplicates: handled by a killed worker and not acknowledged", verdict.unacknowledged)
        .with("lapsed under a living worker", verdict.lapsed)
        .with("unexplained", verdict.unexplained)
        .with("most duplicates of a kill", verdict.most_for_a_kill)
        .with("bound for all kills", bound);
    let events = u64::from(books.events());
    let holds = |holds: bool, what: &str| ensure(holds, || format!("{what}: {figures}"));
    holds(verdict.confirmed == events, "not everything was published")?;
    holds(facts.stored == events, "the stream does not have each event once")?;
    holds(verdict.lost == 0, "events were lost")?;
    holds(verdict.unexplained == 0, "a delivery came twice, or an event that nobody published")?;
    holds(verdict.lapsed == 0, "an event came again although its worker was alive")?;
    holds(verdict.most_for_a_kill <= u64::from(IN_FLIGHT), "a worker held more than in_flight")?;
    holds(verdict.again <= bound, "more came again than the killed workers held")?;
    holds(events + verdict.again == facts.deliveries, "the server counts other deliveries than the workers")?;
    holds(verdict.kills > 0, "nobody was killed")?;
    holds(verdict.again > 0 || verdict.kills < SURE, "no kill hit a worker with events")?;
    Ok(figures)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two events, of which the worker that was killed handled the first and had the second in its buffer.
    fn after_a_kill() -> (Books, Facts) {
        let mut books = Books::new(2);
        let (first, second) = (books.hired(), books.hired());
        books.confirmed(0);
        books.confirmed(1);
        books.note(first, 0, 1);
        books.killed(first);
        books.note(second, 0, 2);
        books.note(second, 1, 2);
        (books, Facts { stored: 2, deliveries: 4 })
    }

    #[test]
    fn what_a_killed_worker_held_may_come_again() {
        let (books, facts) = after_a_kill();
        let figures = judge(&books, facts).unwrap().to_string();
        assert!(figures.contains("kills 1, lost 0, "), "{figures}");
        assert!(
            figures.contains("given out again 2, of these waiting in a killed worker 1, duplicates: "),
            "{figures}"
        );
    }

    #[test]
    fn anything_else_is_broken() {
        let breaks = |change: fn(&mut Books, &mut Facts), expected: &str| {
            let (mut books, mut facts) = after_a_kill();
            change(&mut books, &mut facts);
            let what = judge(&books, facts).unwrap_err().to_string();
            assert!(what.starts_with(expected), "{what}");
        };
        breaks(|_, facts| facts.stored = 3, "the stream does not have");
        breaks(|_, facts| facts.deliveries = 5, "the server counts");
        // The same delivery twice.
        breaks(|books, _| books.note(2, 1, 2), "a delivery came twice");
        // Nobody published it.
        breaks(|books, _| books.note(2, 2, 1), "a delivery came twice");
        // The second worker is alive.
        breaks(|books, _| books.note(2, 1, 3), "an event came again");
    }

    #[test]
    fn an_event_that_nobody_handles_is_lost() {
        let mut books = Books::new(1);
        let worker = books.hired();
        books.killed(worker);
        books.confirmed(0);
        let what = judge(&books, Facts { stored: 1, deliveries: 1 }).unwrap_err().to_string();
        assert!(what.starts_with("events were lost"), "{what}");
    }
}
