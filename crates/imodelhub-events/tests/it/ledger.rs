//! A consumer that is stopped again and again, and the books kept about it.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use hub_emulator::Emulator;
use imodelhub_events::{
    AccessToken, Environment, EventSubscription, EventType, HttpExchange, HubEvent, IModelHubClient,
    Listener, ReceiveMode,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};
use transport_longpoll::exchange::{ExchangeError, Request, ReqwestExchange, Response};

use crate::support::{IMODEL, client, imodel};

const STOPS: u64 = 100;
const LOCK: Duration = Duration::from_secs(60);

/// SplitMix64. `LEDGER_SEED` repeats its numbers, though not the order in which the network does things.
#[derive(Clone)]
struct Dice(Arc<Mutex<u64>>);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(seed)))
    }

    /// 0 to `below - 1`.
    fn roll(&self, below: u64) -> u64 {
        let mut state = self.0.lock();
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = *state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    }

    async fn yields(&self, below: u64) {
        for _ in 0..self.roll(below) {
            tokio::task::yield_now().await;
        }
    }
}

/// Says at a failure with which seed it came.
struct Seed(u64);

impl Seed {
    fn new() -> Self {
        let given = std::env::var("LEDGER_SEED").ok();
        Self(given.map_or_else(|| RandomState::new().hash_one(0), |seed| seed.parse().unwrap()))
    }
}

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("repeat with LEDGER_SEED={}", self.0);
        }
    }
}

/// A delivery: the event's place in the queue, and the how manieth delivery of it.
type Delivery = (u64, u64);

/// What the handlers did.
#[derive(Default)]
struct Book {
    started: Vec<Delivery>,
    finished: BTreeSet<Delivery>,
    /// Handlers that were dropped half-way.
    cut: usize,
    running: usize,
    /// Rings at this number of starts, or of ends.
    alarm: Option<(Moment, usize)>,
}

#[derive(Clone, Copy, PartialEq)]
enum Moment {
    Start,
    End,
}

#[derive(Clone, Default)]
struct Ledger(Arc<(Mutex<Book>, Notify)>);

/// A handler at work.
struct Work {
    ledger: Ledger,
    finished: bool,
}

impl Ledger {
    fn note<T>(&self, change: impl FnOnce(&mut Book) -> T) -> T {
        let (book, rung) = &*self.0;
        let mut book = book.lock();
        let done = change(&mut book);
        let reached = |(moment, count)| match moment {
            Moment::Start => book.started.len() >= count,
            Moment::End => book.finished.len() >= count,
        };
        if book.alarm.is_some_and(reached) {
            book.alarm = None;
            rung.notify_one();
        }
        done
    }

    /// Rings when this many more handlers have started or finished.
    async fn wait_for(&self, moment: Moment, more: usize) {
        let (book, rung) = &*self.0;
        {
            let mut book = book.lock();
            let now = if moment == Moment::Start { book.started.len() } else { book.finished.len() };
            book.alarm = Some((moment, now + more));
        }
        rung.notified().await;
    }

    fn begin(&self, delivery: Delivery) -> Work {
        self.note(|book| {
            book.started.push(delivery);
            book.running += 1;
        });
        Work { ledger: self.clone(), finished: false }
    }
}

impl Work {
    fn end(mut self, delivery: Delivery) {
        self.finished = true;
        self.ledger.note(|book| assert!(book.finished.insert(delivery), "{delivery:?} was handled twice"));
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        let finished = self.finished;
        self.ledger.note(|book| {
            book.running -= 1;
            book.cut += usize::from(!finished);
        });
    }
}

async fn listen(
    client: &IModelHubClient,
    subscription: &EventSubscription,
    ledger: &Ledger,
    dice: &Dice,
) -> Listener {
    let (ledger, dice) = (ledger.clone(), dice.clone());
    let listening = client.create_listener(subscription).mode(ReceiveMode::PeekLock);
    let handler = move |event: HubEvent| {
        let (ledger, dice) = (ledger.clone(), dice.clone());
        async move {
            let delivery = (event.sequence_number().unwrap(), event.delivery_count().unwrap());
            let work = ledger.begin(delivery);
            dice.yields(40).await;
            work.end(delivery);
        }
    };
    listening.handle(handler).await.unwrap()
}

fn publish(emulator: &Emulator, count: u64) -> u64 {
    for n in 0..count {
        let body = json!({"VersionName": n.to_string()});
        assert_eq!(emulator.publish_imodel_event(IMODEL, "VersionEvent", Some(body)), 1);
    }
    count
}

/// What the service did: the deliveries in order, and which were completed after which. `Err` is a completion.
fn on_the_wire(emulator: &Emulator) -> Vec<Result<Delivery, Delivery>> {
    let mut locks = BTreeMap::new();
    let mut seen = Vec::new();
    for record in emulator.imodelhub_captures() {
        let (request, response) = (&record["request"], &record["response"]);
        let url = request["url"].as_str().unwrap();
        let path = url.split('?').next().unwrap();
        match (request["method"].as_str().unwrap(), response["status"].as_u64()) {
            ("POST", Some(201)) if path.ends_with("/messages/head") => {
                let broker = response["headers"]["brokerproperties"].as_str().unwrap();
                let broker: Value = serde_json::from_str(broker).unwrap();
                let delivery =
                    (broker["SequenceNumber"].as_u64().unwrap(), broker["DeliveryCount"].as_u64().unwrap());
                locks.insert(broker["LockToken"].as_str().unwrap().to_lowercase(), delivery);
                seen.push(Ok(delivery));
            }
            ("DELETE", Some(200)) if path.contains("/messages/") => {
                let token = path.rsplit('/').next().unwrap().to_lowercase();
                seen.push(Err(*locks.get(&token).expect("the lock of a delivery")));
            }
            _ => {}
        }
    }
    seen
}

/// Waits until the consumer has nothing left but what is locked.
async fn nothing_to_take(emulator: &Emulator) -> bool {
    emulator.wait_for_imodelhub(|state| state.queued() == 0 && state.waiting() > 0).await.locked() > 0
}

#[tokio::test]
async fn a_consumer_stopped_at_a_hundred_random_points_misses_nothing_and_repeats_only_what_was_not_completed()
 {
    let seed = Seed::new();
    tokio::time::timeout(Duration::from_secs(120), stop_and_go(&seed)).await.expect("it hangs");
}

async fn stop_and_go(seed: &Seed) {
    let dice = Dice::new(seed.0);
    let emulator = Emulator::builder().lock_duration(LOCK).max_delivery_count(10_000).captures(1_000_000);
    let emulator = Arc::new(emulator.start().await.unwrap());
    let (mut current, _) = client(&emulator);
    let subscription = current.create_subscription(&imodel(), &[EventType::Version]).await.unwrap();
    let ledger = Ledger::default();
    let (mut published, mut in_handler, mut clients) = (0, 0, 1);
    for _ in 0..STOPS {
        let early = dice.roll(4);
        published += publish(&emulator, early);
        let listener = listen(&current, &subscription, &ledger, &dice).await;
        if dice.roll(3) == 0 {
            // Lapses the locks while somebody listens: what was left locked comes to them, and what they work on, again.
            dice.yields(100).await;
            emulator.advance(LOCK);
        }
        let late = 1 + dice.roll(3);
        published += publish(&emulator, late);
        let more = usize::try_from(1 + dice.roll(early + late)).unwrap();
        let point = async {
            match dice.roll(4) {
                0 => {}
                1 => ledger.wait_for(Moment::End, more).await,
                _ => ledger.wait_for(Moment::Start, more).await,
            }
            // From the middle of this handler, or its completion, to somewhere in the next poll.
            dice.yields(60).await;
        };
        tokio::pin!(point);
        loop {
            tokio::select! {
                () = &mut point => break,
                locked = nothing_to_take(&emulator) => {
                    if !locked {
                        break;
                    }
                    emulator.advance(LOCK);
                }
            }
        }
        in_handler += u64::from(ledger.note(|book| book.running > 0));
        if dice.roll(2) == 0 {
            let (next, _) = client(&emulator);
            let old = std::mem::replace(&mut current, next);
            clients += 1;
            if dice.roll(2) == 0 {
                drop(listener);
                drop(old);
            } else {
                drop(old);
                drop(listener);
            }
        } else {
            drop(listener);
        }
        dice.yields(60).await;
        if dice.roll(3) == 0 {
            emulator.advance(LOCK);
        }
    }
    // The last consumer may stay.
    let listener = listen(&current, &subscription, &ledger, &dice).await;
    loop {
        tokio::select! {
            _ = emulator.wait_for_imodelhub(|state| state.stats.completed >= published) => break,
            true = nothing_to_take(&emulator) => emulator.advance(LOCK),
        }
    }
    drop(listener);
    let end = emulator.wait_for_imodelhub(|state| state.waiting() == 0).await;
    let stats = end.stats;

    let (handled, duplicates, cut) = audit(&ledger, &emulator, published);
    assert_eq!((stats.completed, stats.dead_lettered), (published, 0));
    assert_eq!((end.queued(), end.locked()), (0, 0));
    println!(
        "ledger: published {published}, handled {handled}, duplicates {duplicates} (all of uncompleted events), \
         stops {STOPS} ({in_handler} during a handler, {cut} of which never ended; {clients} clients), locks lapsed {}, \
         deliveries {}",
        stats.locks_lapsed, stats.deliveries
    );
}

/// Checks what the handlers did against what went over the wire: events handled, handled again, cut short.
fn audit(ledger: &Ledger, emulator: &Emulator, published: u64) -> (usize, usize, usize) {
    let totals = ledger.note(|book| {
        let events: BTreeSet<u64> = book.finished.iter().map(|(event, _)| *event).collect();
        assert!(events.iter().copied().eq(1..=published), "every event was handled: {events:?}");
        let deliveries: BTreeSet<Delivery> = book.started.iter().copied().collect();
        assert_eq!(deliveries.len(), book.started.len(), "a delivery goes to one handler");
        (events.len(), book.finished.len() - events.len(), book.cut)
    });
    let mut completed = BTreeMap::new();
    for seen in on_the_wire(emulator) {
        match seen {
            Ok((event, count)) => {
                let before = completed.get(&event);
                assert!(
                    before.is_none(),
                    "{event} was completed at {before:?} and delivered again at {count}"
                );
            }
            Err((event, count)) => {
                assert_eq!(completed.insert(event, count), None, "{event} was completed twice");
                let handled = ledger.note(|book| book.finished.contains(&(event, count)));
                assert!(handled, "{event} was completed at its delivery {count}, which was not handled");
            }
        }
    }
    ledger.note(|book| {
        for (event, count) in &book.started {
            let last = completed.get(event).expect("its completion");
            assert!(count <= last, "{event} came to a handler at {count}, after it was completed at {last}");
        }
    });
    totals
}

#[tokio::test]
async fn the_last_listener_ends_the_poll_at_once_and_an_event_just_locked_comes_back_after_its_lock() {
    let seed = Seed::new();
    tokio::time::timeout(Duration::from_secs(120), leave_while_events_come(&seed)).await.expect("it hangs");
}

/// HTTP that counts the polls: begun, and ended or dropped.
#[derive(Clone)]
struct Polls {
    http: ReqwestExchange,
    counts: Arc<watch::Sender<(usize, usize)>>,
}

struct Ending(Arc<watch::Sender<(usize, usize)>>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.send_modify(|counts| counts.1 += 1);
    }
}

#[async_trait]
impl HttpExchange for Polls {
    async fn exchange(&self, request: Request) -> Result<Response, ExchangeError> {
        let _ending = request.url.contains("/messages/head?timeout=").then(|| {
            self.counts.send_modify(|counts| counts.0 += 1);
            Ending(Arc::clone(&self.counts))
        });
        self.http.exchange(request).await
    }
}

async fn leave_while_events_come(seed: &Seed) {
    const ROUNDS: u64 = 60;
    let dice = Dice::new(seed.0);
    let emulator = Arc::new(Emulator::builder().lock_duration(LOCK).start().await.unwrap());
    let polls = Polls { http: ReqwestExchange::new().unwrap(), counts: Arc::new(watch::Sender::new((0, 0))) };
    let environment = Environment::Url(emulator.imodelhub_url());
    let client = IModelHubClient::builder(environment, AccessToken::bearer("jwt"));
    let client = client.exchange(polls.clone()).build().unwrap();
    let subscription = client.create_subscription(&imodel(), &[EventType::Version]).await.unwrap();
    let mut on_its_way = 0;
    let (mut published, mut untouched, mut completed, mut given_back, mut after_lock) = (0, 0, 0, 0, 0);
    let mut slowest = Duration::ZERO;
    for round in 0..ROUNDS {
        let before = emulator.imodelhub_stats();
        let ledger = Ledger::default();
        let listener = listen(&client, &subscription, &ledger, &dice).await;
        let second = listen(&client, &subscription, &ledger, &dice).await;
        drop(second);
        emulator.wait_for_imodelhub(|state| state.waiting() == 1).await;
        // An event comes just before the end: at the same moment, or the end is right after its lock, or anywhere up
        // to after its completion; a round of each kind, and one in which nothing comes.
        let last = publish(&emulator, u64::from(round % 4 != 0));
        match round % 4 {
            1 => drop(emulator.wait_for_imodelhub(|state| state.locked() == 1).await),
            2 => {}
            _ => dice.yields(120).await,
        }
        let (leaving, begun) = (Instant::now(), polls.counts.borrow().0);
        drop(listener);
        let none_is_under_way = |counts: &(usize, usize)| counts.0 == counts.1;
        polls.counts.subscribe().wait_for(none_is_under_way).await.unwrap();
        emulator.wait_for_imodelhub(|state| state.waiting() == 0).await;
        slowest = slowest.max(leaving.elapsed());

        // What comes now stays in the queue for others, but for what a poll takes that was on its way to the service
        // when it was ended.
        let later = publish(&emulator, 2);
        let at_once = drain(&client, &subscription).await;
        assert!(emulator.imodelhub_state().locked() <= 1, "at most what the last poll took");
        emulator.advance(LOCK);
        // Until it was taken from the queue here, or completed by the handler that was at work.
        let mut back = Vec::new();
        while emulator.imodelhub_stats().completed - before.completed < last + later {
            let taken = drain(&client, &subscription).await;
            if taken.is_empty() {
                emulator.advance(LOCK);
            }
            back.extend(taken);
        }
        assert_eq!(polls.counts.borrow().0, begun, "nobody listens, and nobody polls");
        let first_later = published + last + 1;
        let delayed = (first_later..first_later + later).filter(|event| !at_once.contains(&(*event, 1)));
        let delayed = delayed.count() as u64;
        assert!(delayed <= 1, "one poll takes one event: {at_once:?}, {back:?}");
        let by_listener = last + later - (at_once.len() + back.len()) as u64;
        let all: BTreeSet<u64> = at_once.iter().chain(&back).map(|(event, _)| *event).collect();
        assert_eq!(all.len(), at_once.len() + back.len(), "none came twice: {at_once:?}, {back:?}");
        assert!(by_listener <= last, "only what it had taken");
        let state = emulator.imodelhub_state();
        assert_eq!((state.queued(), state.locked()), (0, 0), "none is left");
        let unlocked = state.stats.unlocked - before.unlocked;
        let lapsed = state.stats.locks_lapsed - before.locks_lapsed;
        let again = at_once.iter().chain(&back).filter(|(_, count)| *count == 2).count() as u64;
        assert_eq!(again, unlocked + lapsed, "what was locked comes back once: {at_once:?}, {back:?}");
        assert_eq!(state.stats.deliveries - before.deliveries, last + later + again);
        if last == 0 {
            let nothing = (delayed, 0);
            assert_eq!((again, by_listener), nothing, "a poll that brought nothing leaves nothing locked");
        }
        published += last + later;
        on_its_way += delayed;
        untouched += last + delayed - by_listener - again;
        completed += by_listener;
        given_back += unlocked;
        after_lock += lapsed;
    }
    assert!(slowest < Duration::from_secs(5), "the poll was held for {slowest:?}");
    println!(
        "leaving: {ROUNDS} times, a poll of 60 s ended within {slowest:?}; published {published}, lost 0; of {} that came \
         just before or ({on_its_way}) met a poll on its way: still in the queue {untouched}, completed {completed}, \
         given back {given_back}, back after their lock {after_lock}",
        untouched + completed + given_back + after_lock
    );
}

/// Takes what is in the queue now.
async fn drain(client: &IModelHubClient, subscription: &EventSubscription) -> Vec<Delivery> {
    let mut taken = Vec::new();
    while let Some(locked) = client.peek_event(subscription, None).await.unwrap() {
        locked.delete().await.unwrap();
        let event = locked.event();
        taken.push((event.sequence_number().unwrap(), event.delivery_count().unwrap()));
    }
    taken
}
