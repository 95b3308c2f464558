//! Our client of ftrack's hub, on a current-thread runtime as the floors are.

use std::future::IntoFuture;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use event_core::hub::EventStream;
use event_core::{Event, Expression};
use ftrack_hub::nats::NatsTransport;
use ftrack_hub::{Json, Session};
use futures_util::{StreamExt, TryStreamExt, stream};
use interop::Failure;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::latency::Latencies;
use crate::party::{self, Party, Stretch, failed, number, text};
use crate::payload;

/// Subscriptions asked for at a time.
const AT_A_TIME: usize = 64;
/// What a subscription of others may hold.
const BUFFER: usize = 1_024;
/// Messages that a connection to NATS may hold: whatever comes in a round.
const NATS_BUFFER: usize = 1 << 20;
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// See the module.
#[derive(Default)]
pub(super) struct Ours {
    session: Option<Session>,
    others: Vec<EventStream>,
    seen: Arc<Seen>,
    taken: u64,
    publishes: u32,
}

#[derive(Default)]
struct Seen {
    events: AtomicU64,
    target: AtomicU64,
    reached: Notify,
}

impl Seen {
    fn one(&self) {
        let now = self.events.fetch_add(1, Ordering::Relaxed) + 1;
        if now >= self.target.load(Ordering::Relaxed) {
            self.reached.notify_one();
        }
    }
}

impl Ours {
    fn session(&self) -> Result<&Session, Failure> {
        self.session.as_ref().ok_or_else(|| Failure::new("connect it first"))
    }

    async fn connect(&mut self, args: &Value) -> Result<Value, Failure> {
        let mut builder = Session::builder(text(args, "url")?, "ann", "her-key")
            .publish_timeout(PATIENCE)
            .request_timeout(PATIENCE);
        if let Some(window) = args["window"].as_u64().and_then(|window| usize::try_from(window).ok()) {
            builder = builder.window(window);
        }
        if let Some(server) = args["nats"].as_str() {
            let transport = NatsTransport::builder([server]).buffer(NATS_BUFFER).build()?;
            builder = builder.nats(transport);
        }
        let session = builder.build()?;
        session.event_hub().connect().await?;
        self.session = Some(session);
        Ok(json!({}))
    }

    /// The subscription that is measured: its handler counts. Its buffer holds whatever comes, so that nothing is lost.
    async fn subscribe(&mut self, expression: &str) -> Result<Value, Failure> {
        let seen = Arc::clone(&self.seen);
        let handler = move |_: Event| {
            seen.one();
            std::future::ready(())
        };
        let subscribe = self.session()?.event_hub().subscribe(expression);
        subscribe.buffer(4_000_000, event_core::Overflow::DropNewest).handle(handler).await?;
        Ok(json!({}))
    }

    async fn others(&mut self, args: &Value) -> Result<Value, Failure> {
        let (kind, from, count) = (text(args, "kind")?, number(args, "from")?, number(args, "count")?);
        let hub = self.session()?.event_hub().clone();
        let subscribing = (from..from + count).map(|n| {
            let subscribe = hub.subscribe(payload::other(kind, n).as_str());
            subscribe.buffer(BUFFER, event_core::Overflow::DropOldest).stream()
        });
        let made: Vec<EventStream> =
            stream::iter(subscribing).buffer_unordered(AT_A_TIME).try_collect().await?;
        self.others.extend(made);
        Ok(json!({ "others": self.others.len() }))
    }

    async fn receive(&mut self, count: u64) -> Value {
        self.taken += count;
        let stretch = Stretch::begin();
        self.seen.target.store(self.taken, Ordering::Relaxed);
        while self.seen.events.load(Ordering::Relaxed) < self.taken {
            self.seen.reached.notified().await;
        }
        stretch.end(count)
    }

    /// Publishes, each confirmed, so many at a time.
    async fn publish(&mut self, count: u64, window: usize) -> Result<Value, Failure> {
        self.publishes += 1;
        let (template, series) = (payload::published()?, self.publishes);
        let hub = self.session()?.event_hub();
        let stretch = Stretch::begin();
        let publishing = (0..count).map(|n| {
            let event = payload::numbered(&template, series, n);
            async move { hub.publish(event?).await }
        });
        let mut publishing = stream::iter(publishing).buffer_unordered(window);
        while publishing.try_next().await?.is_some() {}
        Ok(stretch.end(count))
    }

    /// Publishes so many a second, each confirmed.
    async fn pace(&mut self, count: u64, per_second: u64) -> Result<Value, Failure> {
        self.publishes += 1;
        let (template, series) = (payload::published()?, self.publishes);
        let hub = self.session()?.event_hub();
        let mut beat =
            tokio::time::interval(Duration::from_secs(1) / u32::try_from(per_second).unwrap_or(1).max(1));
        let stretch = Stretch::begin();
        for n in 0..count {
            beat.tick().await;
            hub.publish(payload::numbered(&template, series, n)?).await?;
        }
        Ok(stretch.end(count))
    }

    /// Answers questions with what they say.
    async fn serve(&mut self) -> Result<Value, Failure> {
        let answer = |event: Event| {
            let data = event.data_value().clone();
            std::future::ready(Json(data))
        };
        let subscribe = self.session()?.event_hub().subscribe("topic=bench.ask");
        subscribe.buffer(100_000, event_core::Overflow::DropNewest).handle(answer).await?;
        Ok(json!({}))
    }

    async fn ask(&mut self, count: u64, in_flight: usize) -> Result<Value, Failure> {
        let hub = self.session()?.event_hub();
        let mut latencies = Latencies::with_capacity(count);
        let stretch = Stretch::begin();
        let ask = |n| async move {
            let began = Latencies::now();
            let event = Event::new("bench.ask", &payload::question(n))?;
            let reply = hub.publish_and_wait_for_reply(event).into_future().await?;
            std::hint::black_box(reply);
            Ok::<_, event_core::Error>(u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX))
        };
        if in_flight == 1 {
            // As one does, and as the floor does: what keeps many in flight wakes itself up once for each.
            for n in 0..count {
                latencies.extend([ask(n).await?]);
            }
            return Ok(latencies.report(stretch.end(count)));
        }
        let mut asking = stream::iter((0..count).map(ask)).buffer_unordered(in_flight);
        while let Some(time) = asking.try_next().await? {
            latencies.extend([time]);
        }
        Ok(latencies.report(stretch.end(count)))
    }
}

/// Parses expressions in turn, and then asks them about an event.
fn expressions(args: &Value) -> Result<Value, Failure> {
    let texts: Vec<&str> = args["texts"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let (event, count) = (Event::from_json(args["event"].to_string())?, number(args, "count")?);
    let stretch = Stretch::begin();
    let mut parsed = Vec::new();
    for text in texts.iter().cycle().take(usize::try_from(count).unwrap_or(0)) {
        parsed.truncate(texts.len() - 1);
        parsed.insert(0, Expression::parse(text).map_err(failed)?);
    }
    let parse = stretch.end(count);
    let stretch = Stretch::begin();
    let mut matched = 0_u64;
    for expression in parsed.iter().cycle().take(usize::try_from(count).unwrap_or(0)) {
        matched += u64::from(std::hint::black_box(expression).matches(&event));
    }
    let mut matching = stretch.end(count);
    matching["matched"] = json!(matched);
    Ok(json!({ "parse": parse, "match": matching }))
}

#[async_trait]
impl Party for Ours {
    async fn call(&mut self, what: &str, args: &Value) -> Result<Value, Failure> {
        match what {
            "connect" => self.connect(args).await,
            "subscribe" => self.subscribe(text(args, "expression")?).await,
            "others" => self.others(args).await,
            "receive" => Ok(self.receive(number(args, "count")?).await),
            "publish" => {
                let window = usize::try_from(number(args, "window")?).unwrap_or(1);
                self.publish(number(args, "count")?, window).await
            }
            "pace" => self.pace(number(args, "count")?, number(args, "per_second")?).await,
            "expressions" => expressions(args),
            "serve" => self.serve().await,
            "ask" => {
                let in_flight = usize::try_from(number(args, "in_flight")?).unwrap_or(1);
                self.ask(number(args, "count")?, in_flight).await
            }
            _ => party::unknown(what),
        }
    }
}
