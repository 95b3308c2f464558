//! Bridges, each in a process of its own: the active one is killed, again and again.
#![expect(clippy::disallowed_methods, reason = "a scene in real time")]

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use event_bridge::GAP_TOPIC;
use event_core::{Event, EventHub};
use hub_emulator::Emulator;
use nats_server::{NatsServer, ServerConfig};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::time::Instant;
use transport_nats::{JetStream, NatsTransport, NewStream};

use super::stage::broken;
use crate::bridge_child::{Bridges, Word};
use crate::dice::Dice;
use crate::fault::{Clock, Fault, Playing, Run};
use crate::figures::{Broken, Figures, ensure};
use crate::ledger::Ledger;

pub(super) const FAULT: Fault = Fault {
    id: "bridges",
    what: "of two bridges the active one is killed (SIGKILL), again and again",
    holds: "every id published to the service is in the stream or inside a reported gap; the other one takes over",
    clock: Clock::Real,
    play: |run| -> Playing { Box::pin(play(run)) },
};

/// The pause between two events of the service.
const EVERY: Duration = Duration::from_millis(5);
/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// A takeover: the lease has lapsed, the server has noticed, and both sides are connected.
const TAKEOVER: Duration = Duration::from_secs(10);
const TOPIC: &str = "load";

/// Now, since 1970, as gaps are told.
fn now() -> Duration {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Duration::from_millis(u64::try_from(since.as_millis()).unwrap_or_default())
}

/// What was published and stored.
#[derive(Default)]
struct Books {
    ledger: Ledger,
    published: u64,
    last: Option<String>,
    gaps: u64,
    /// The id that the reader saw last.
    seen: Option<String>,
}

impl Books {
    /// Whether the event that was published last is stored.
    fn is_complete(&self) -> bool {
        self.seen == self.last
    }
}

async fn play(run: Run) -> Result<Figures, Broken> {
    if NatsServer::find().is_none() {
        let required = std::env::var("NATS_SERVER").is_ok_and(|value| value == "required");
        ensure(!required, || format!("bridges need nats-server ({})", nats_server::HOW))?;
        return Ok(Figures::new().with("skipped, bridges need nats-server:", nats_server::HOW));
    }
    let server = NatsServer::start(ServerConfig::default()).await.map_err(broken("start nats-server"))?;
    let emulator = Emulator::start().await.map_err(broken("start the emulator"))?;
    let books = Arc::new(Mutex::new(Books::default()));
    let reader = reader(&server, &books).await?;
    let (mut bridges, words) = Bridges::start(&emulator.ftrack_url(), &server.url())?;
    let mut heard = Heard { words, last: [None, None] };

    let stop = tokio_util::sync::CancellationToken::new();
    let killing = async {
        let outcome = kill(&mut bridges, &mut heard, run).await;
        stop.cancel();
        outcome
    };
    let (published, takeovers) = tokio::join!(publish(&emulator, &books, &stop), killing);
    published?;
    let takeovers = takeovers?;
    // The last one published while the last bridge was active: when it is stored, so is everything before it.
    let stored = async {
        while !books.lock().is_complete() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, stored).await.map_err(|_| Broken::new("the last event is not stored"))?;
    reader.close().await;
    drop(bridges);
    let books = books.lock();
    judge(&books, takeovers, run)
}

/// Reads the stream: events and gaps.
async fn reader(server: &NatsServer, books: &Arc<Mutex<Books>>) -> Result<EventHub, Broken> {
    let transport = NatsTransport::builder([server.url()])
        .jetstream(JetStream::new("EVENTS").create(NewStream::default()).from_the_beginning())
        .build()
        .map_err(broken("build transport"))?;
    let hub = EventHub::builder(transport).connect().await.map_err(broken("connect"))?;
    let handled = hub.subscribe(format!("topic={TOPIC} or topic={GAP_TOPIC}")).durable("reader").handle_with(
        Arc::clone(books),
        async |event: Event, books: Arc<Mutex<Books>>| {
            let mut books = books.lock();
            if event.topic() == GAP_TOPIC {
                let at =
                    |name: &str| Duration::from_millis(event.data_value()[name].as_u64().unwrap_or_default());
                books.gaps += 1;
                books.ledger.gap(at("from"), at("to"));
            } else if let Some(id) = event.id() {
                books.ledger.seen(id.as_str());
                books.seen = Some(id.as_str().to_owned());
            }
        },
    );
    handled.await.map_err(broken("subscribe"))?;
    Ok(hub)
}

/// The service has news, all the time.
async fn publish(
    emulator: &Emulator,
    books: &Mutex<Books>,
    stop: &tokio_util::sync::CancellationToken,
) -> Result<(), Broken> {
    let mut ticks = tokio::time::interval(EVERY);
    loop {
        ticks.tick().await;
        let mut books = books.lock();
        let event =
            Event::new(TOPIC, &serde_json::json!({ "n": books.published })).map_err(broken("build event"))?;
        let id = event.id().map(|id| id.as_str().to_owned()).unwrap_or_default();
        books.ledger.sent(id.as_str(), now());
        emulator.publish(&event).map_err(broken("publish"))?;
        books.ledger.acknowledged(id.as_str());
        books.published += 1;
        books.last = Some(id);
        if stop.is_cancelled() {
            return Ok(());
        }
    }
}

/// What the bridges said.
struct Heard {
    words: mpsc::Receiver<(usize, Word)>,
    /// The last word of each, of this life.
    last: [Option<Word>; 2],
}

impl Heard {
    /// Waits until their last words fit.
    async fn until(&mut self, what: &str, fits: impl Fn([Option<Word>; 2]) -> bool) -> Result<(), Broken> {
        while !fits(self.last) {
            let word = tokio::time::timeout(PATIENCE, self.words.recv()).await.ok().flatten();
            let Some((who, word)) = word else {
                return Err(Broken::new(format!(
                    "not within {PATIENCE:?}: {what}; last words {:?}",
                    self.last
                )));
            };
            ensure(word != Word::Lost, || "a bridge lost its lease while it lived".to_owned())?;
            self.last[who] = Some(word);
        }
        Ok(())
    }
}

/// Kills the active one when the other one waits. Gives how long each takeover took.
async fn kill(bridges: &mut Bridges, heard: &mut Heard, run: Run) -> Result<Vec<Duration>, Broken> {
    let mut dice = Dice::new(run.seed);
    let mut takeovers = Vec::new();
    while takeovers.len() < run.pick(3, 20) {
        let ready = [Some(Word::Active), Some(Word::Waiting)];
        heard
            .until("one is active and one waits", |last| ready.iter().all(|word| last.contains(word)))
            .await?;
        let active = usize::from(heard.last[1] == Some(Word::Active));
        tokio::time::sleep(dice.millis(200, 1_500)).await;
        let died = Instant::now();
        bridges.kill(active)?;
        heard.until("it has died", |last| last[active] == Some(Word::Ended)).await?;
        heard.until("the other takes over", |last| last[1 - active] == Some(Word::Active)).await?;
        takeovers.push(died.elapsed());
        heard.last[active] = None;
        bridges.spawn(active)?;
    }
    Ok(takeovers)
}

fn judge(books: &Books, mut takeovers: Vec<Duration>, run: Run) -> Result<Figures, Broken> {
    let verdict = books.ledger.verdict();
    takeovers.sort_unstable();
    let (first, last) = (takeovers.first().copied(), takeovers.last().copied());
    let middle = takeovers.get(takeovers.len() / 2).copied();
    let seconds = |time: Option<Duration>| format!("{:.2} s", time.unwrap_or_default().as_secs_f64());
    let figures = Figures::new()
        .with("kills", takeovers.len())
        .with("published", books.published)
        .with("stored", books.published - verdict.lost.len() as u64)
        .with("inside a gap", verdict.lost.len() - verdict.unreported.len())
        .with("neither", verdict.unreported.len())
        .with("stored twice", verdict.duplicates)
        .with("gaps", books.gaps)
        .with("takeover least", seconds(first))
        .with("median", seconds(middle))
        .with("most", seconds(last));
    ensure(verdict.unreported.is_empty() && verdict.unknown.is_empty(), || format!("lost: {figures}"))?;
    ensure(books.gaps >= run.pick(3, 20), || format!("a takeover was not told: {figures}"))?;
    ensure(last.is_some_and(|last| last <= TAKEOVER), || format!("a takeover took too long: {figures}"))?;
    Ok(figures)
}
