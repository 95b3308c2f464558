//! The hot paths: each is run with so many events, from the bytes of the wire to the handler or back, on one thread.

use std::future::IntoFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use event_core::memory::MemoryHub;
use event_core::{Error, Event, Expression, Overflow};
use ftrack_hub::{Json, Session};
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::sync::{Notify, watch};

use crate::wire::{Wire, broken};

/// All of them.
pub(crate) const PATHS: [&str; 5] = ["decode", "receive", "receive beside 1000", "publish", "request"];

/// As many as a hub may have in flight.
const WINDOW: usize = 64;
const UPDATE: &[u8] = include_bytes!("../../bench/data/ftrack-payload-update.json");

/// Runs one.
pub(crate) fn run(path: &str, events: u64) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let outcome = runtime.block_on(async {
        match path {
            "decode" => decode(events),
            "receive" => receive(events, 0).await,
            "receive beside 1000" => receive(events, 1_000).await,
            "publish" => publish(events).await,
            "request" => request(events).await,
            _ => Err(broken("there is no such path")),
        }
    });
    outcome.map_err(|error| error.to_string())
}

/// Bytes to an event, and the question whether an expression wants it.
fn decode(events: u64) -> Result<(), Error> {
    let expression = Expression::topic("ftrack.update").map_err(|_| broken("the expression"))?;
    let text = UPDATE.trim_ascii_end();
    let mut matched = 0;
    for _ in 0..events {
        let event = Event::from_json(std::hint::black_box(text))?;
        matched += u64::from(expression.matches(&event));
    }
    if matched == events { Ok(()) } else { Err(broken("an event did not match")) }
}

/// A session at the other end of the wire in memory, and the number of events that this end is to have sent.
async fn session() -> Result<(Session, watch::Sender<u64>), Error> {
    let (sent, wanted) = watch::channel(0);
    let session = Session::builder("http://127.0.0.1:1", "ann", "her-key").dialer(Wire { wanted }).build()?;
    session.event_hub().connect().await?;
    Ok((session, sent))
}

/// A frame of the websocket to the handler.
async fn receive(events: u64, others: u64) -> Result<(), Error> {
    let (session, sent) = session().await?;
    let hub = session.event_hub();
    let mut streams = Vec::new();
    for n in 0..others {
        streams.push(hub.subscribe(format!("topic=show.task{n}.update").as_str()).stream().await?);
    }
    let (seen, done) = (Arc::new(AtomicU64::new(0)), Arc::new(Notify::new()));
    let (counter, finished) = (Arc::clone(&seen), Arc::clone(&done));
    let handler = move |_: Event| {
        if counter.fetch_add(1, Ordering::Relaxed) + 1 == events {
            finished.notify_one();
        }
        std::future::ready(())
    };
    let subscribe = hub.subscribe("topic=ftrack.update").buffer(1_000_000, Overflow::DropNewest);
    subscribe.handle(handler).await?;
    sent.send(events).map_err(|_| broken("the other end is gone"))?;
    done.notified().await;
    if seen.load(Ordering::Relaxed) == events { Ok(()) } else { Err(broken("events were lost")) }
}

/// An event to the websocket, and its acknowledgement back.
async fn publish(events: u64) -> Result<(), Error> {
    let (session, _sent) = session().await?;
    let hub = session.event_hub();
    let recorded = Event::from_json(UPDATE.trim_ascii_end())?;
    let template = Event::builder(recorded.topic().clone()).data(recorded.data_value()).build()?;
    let publishing = (0..events).map(|n| {
        let event = template.to_builder().id(format!("{n:032x}")).build();
        async move { hub.publish(event?).await }
    });
    let mut publishing = stream::iter(publishing).buffer_unordered(WINDOW);
    while publishing.try_next().await?.is_some() {}
    Ok(())
}

/// A question to a handler and its answer to the one who asked, over a bus in memory.
async fn request(events: u64) -> Result<(), Error> {
    let hub = event_core::EventHub::builder(MemoryHub::new().transport()).build()?;
    hub.connect().await?;
    let answer = async |event: Event| Json(event.data_value().clone());
    hub.subscribe("topic=bench.ask").handle(answer).await?;
    for n in 0..events {
        let reply = hub.request(Event::new("bench.ask", &n)?).into_future().await?;
        if *reply.data_value() != n {
            return Err(broken("an answer to another question"));
        }
    }
    Ok(())
}
