//! What F1 and F21 share: a websocket that is killed again and again, while it publishes and listens.

use std::sync::Arc;
use std::time::Duration;

use event_core::supervisor::{Jitter, ReconnectPolicy};
use ftrack_hub::dial::Dialer;
use ftrack_hub::hub::Report;
use ftrack_hub::{ConnectionState, Event, Lifecycle, Session};
use hub_emulator::{Builder, Emulator, FtrackDialer, ftrack};
use parking_lot::Mutex;
use serde_json::json;
use tokio::time::Instant;

use super::stage::{self, broken};
use crate::dice::Dice;
use crate::figures::{Broken, Figures, ensure};
use crate::mixed::column::Column;

/// How much of it.
#[derive(Clone, Copy)]
pub(super) struct Measure {
    pub(super) kills: u64,
    pub(super) subscriptions: u64,
    /// Events a second, one in ten of them from the link that is killed.
    pub(super) events: u64,
}

/// One in so many events comes from the link that is killed.
const OWN: u64 = 10;
const USER: &str = "ann";

#[derive(Default)]
struct Book {
    column: Column,
    taken: Vec<(u64, Duration)>,
    /// Events of the killed link that were taken before its subscriptions were back.
    too_early: Vec<u64>,
    refused: u64,
}

/// Kills the link every 1 to 20 s, and compares what was taken with what was seen.
pub(super) async fn play<D: Dialer>(
    seed: u64,
    measure: Measure,
    dialer: impl FnOnce(FtrackDialer) -> D,
    set_up: impl FnOnce(&Emulator) -> Result<(), Broken>,
) -> Result<Figures, Broken> {
    let (start, book) = (stage::now(), Arc::new(Mutex::new(Book::default())));
    let emulator = stage::emulator(|builder| witness(builder, start, Arc::clone(&book))).await?;
    set_up(&emulator)?;
    let mut dice = Dice::new(seed);
    let mut policy = ReconnectPolicy::default();
    policy.max = Duration::from_secs(5);
    policy.jitter = Jitter::Seeded(seed);
    let dialer = dialer(emulator.ftrack_dialer());
    let killed = stage::session(&emulator, USER, |builder| builder.dialer(dialer).reconnect(policy))?;
    let other = stage::session(&emulator, "ben", |builder| builder)?;
    let watching = tokio::spawn(watch(killed.clone(), start, Arc::clone(&book)));
    for number in 0..measure.subscriptions {
        see(&killed, number, start, Arc::clone(&book)).await?;
    }
    killed.event_hub().connect().await.map_err(broken("connect"))?;
    other.event_hub().connect().await.map_err(broken("connect"))?;

    let publishing = tokio::spawn(publish(killed.clone(), other.clone(), measure, Arc::clone(&book)));
    for kill in 0..measure.kills {
        stage::pause(dice.millis(1_000, 20_000)).await;
        let action = match dice.below(3) {
            0 => ftrack::Action::Fin,
            1 => ftrack::Action::Reset,
            _ => ftrack::Action::Disconnect,
        };
        let link = emulator.connections().into_iter().find(|connection| connection.user == USER);
        let link = link.ok_or_else(|| Broken::new(format!("kill {kill}: there is no link")))?;
        emulator.ftrack_faults().fire_at(link.id, action).map_err(broken("fire"))?;
        tokio::task::yield_now().await;
        let back = async {
            killed.event_hub().wait_for_state(|state| !state.is_connected()).await;
            killed.event_hub().wait_for_state(ConnectionState::is_connected).await;
        };
        tokio::time::timeout(Duration::from_secs(600), back)
            .await
            .map_err(|_| Broken::new(format!("kill {kill}: not back after 600 s")))?;
    }
    stage::pause(Duration::from_secs(1)).await;
    publishing.abort();
    settle(&killed, &other, &book).await?;
    killed.event_hub().close().await;
    other.event_hub().close().await;
    drop(killed);
    watching.await.map_err(broken("watch"))??;
    let book = book.lock();
    audit(&book, measure)
}

fn witness(builder: Builder, start: Instant, book: Arc<Mutex<Book>>) -> Builder {
    builder.without_imodelhub().witness(move |event, connections| {
        let Some(n) = event.data_value()["n"].as_u64() else { return };
        let mut book = book.lock();
        book.taken.push((n, start.elapsed()));
        if connections == 0 && n.is_multiple_of(OWN) {
            book.too_early.push(n);
        }
    })
}

async fn see(session: &Session, number: u64, start: Instant, book: Arc<Mutex<Book>>) -> Result<(), Broken> {
    session
        .event_hub()
        .subscribe(format!("topic=t and data.s={number}"))
        .handle(move |event: Event| {
            let n = event.data_value()["n"].as_u64().unwrap_or(0);
            book.lock().column.saw(n, start.elapsed());
            async {}
        })
        .await
        .map(drop)
        .map_err(broken("subscribe"))
}

async fn watch(session: Session, start: Instant, book: Arc<Mutex<Book>>) -> Result<(), Broken> {
    let mut reports = session.event_hub().lifecycle();
    drop(session);
    while let Some(report) = reports.next().await {
        match report {
            Report::Happened(Lifecycle::Gap(gap)) => book.lock().column.gap(gap.lasted, start.elapsed()),
            Report::Missed(missed) => return Err(Broken::new(format!("{missed} reports were missed"))),
            _ => {}
        }
    }
    Ok(())
}

/// So many events a second, in turn for each subscription; nothing waits for its acknowledgement.
async fn publish(
    killed: Session,
    other: Session,
    measure: Measure,
    book: Arc<Mutex<Book>>,
) -> Result<(), Broken> {
    let pause = Duration::from_secs(1) / u32::try_from(measure.events).unwrap_or(1);
    for n in 1.. {
        let publisher = if n % OWN == 0 { &killed } else { &other };
        send(publisher, n, n % measure.subscriptions, &book).await?;
        stage::pause(pause).await;
    }
    Ok(())
}

async fn send(publisher: &Session, n: u64, subscription: u64, book: &Mutex<Book>) -> Result<(), Broken> {
    let event = Event::builder("t").id(format!("event-{n}")).data(&json!({"n": n, "s": subscription}));
    let event = event.build().map_err(broken("make an event"))?;
    if publisher.event_hub().publish(event).timeout(Duration::from_secs(600)).no_wait().await.is_err() {
        book.lock().refused += 1;
    }
    Ok(())
}

/// Everything that waits goes out, and one last event comes in.
async fn settle(killed: &Session, other: &Session, book: &Mutex<Book>) -> Result<(), Broken> {
    const LAST: u64 = u64::MAX - 1;
    const LIMIT: Duration = Duration::from_secs(600);
    let flushed = async { tokio::try_join!(killed.event_hub().flush(), other.event_hub().flush()) };
    let flushed = tokio::time::timeout(LIMIT, flushed).await;
    flushed.map_err(|_| Broken::new(format!("not flushed after {LIMIT:?}")))?.map_err(broken("flush"))?;
    send(other, LAST, 0, book).await?;
    for _ in 0..LIMIT.as_secs() {
        if book.lock().column.has(LAST) {
            return Ok(());
        }
        stage::pause(Duration::from_secs(1)).await;
    }
    Err(Broken::new(format!("the last event did not come within {LIMIT:?}")))
}

fn audit(book: &Book, measure: Measure) -> Result<Figures, Broken> {
    let early = &book.too_early;
    ensure(early.is_empty(), || format!("published before the subscriptions were back: {early:?}"))?;
    ensure(book.refused == 0, || format!("{} publishes were refused", book.refused))?;
    let (missed, unexplained) = book.column.missed(&book.taken);
    ensure(unexplained.is_empty(), || format!("missed outside of every gap: {unexplained:?}"))?;
    let (duplicates, gaps) = (book.column.duplicates, book.column.gaps());
    ensure(duplicates == 0, || format!("{duplicates} events were seen twice"))?;
    ensure(gaps as u64 == measure.kills, || format!("{gaps} gaps after {} kills", measure.kills))?;
    Ok(Figures::new()
        .with("kills", measure.kills)
        .with("events", book.taken.len())
        .with("missed in gaps", missed)
        .with("unreported", 0)
        .with("duplicates", 0))
}
