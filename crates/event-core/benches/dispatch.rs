//! What it costs to find who wants an event, with 10 and with 100,000 subscriptions of one kind.
//!
//! `cargo bench -p event-core --bench dispatch` prints nanoseconds per event and their ratio, three ways:
//!
//! - *look-up, same events*: the index and the expressions alone, on events decoded before, which both sizes have
//!   subscribers for;
//! - *look-up, spread*: the same with the events spread over all subscriptions, so that each touches memory of its
//!   own and pays for cache misses;
//! - *dispatch*: from the bytes of a 1.5 kB event to those who want it, spread, as the hub engine does.
//!
//! Sizes take turns, and the median of the rounds counts.
#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark")]

use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use event_core::dispatch::Index;
use event_core::{Event, Expression};
use serde_json::{Value, json};

const SMALL: u32 = 10;
const LARGE: u32 = 100_000;
const EVENTS: u32 = 256;
const ROUNDS: usize = 301;

/// A kind of subscription: its name, the expression of the nth, topic and field of the event that the nth wants.
type Kind = (&'static str, fn(u32) -> String, fn(u32) -> (String, u32));

const KINDS: [Kind; 5] = [
    ("exact topic", |n| format!("topic=show.task{n}.update"), |n| (format!("show.task{n}.update"), 0)),
    ("prefix", |n| format!("topic=show{n:06}.*"), |n| (format!("show{n:06}.update"), 0)),
    ("topic+field", |n| format!("topic=show.update and data.n={n}"), |n| ("show.update".to_owned(), n)),
    ("field only", |n| format!("data.n={n}"), |n| ("show.update".to_owned(), n)),
    ("not topic=", |n| format!("not topic=show.task{n}.update"), |_| ("other".to_owned(), 0)),
];

fn event(payload: &Value, (topic, n): (String, u32)) -> Event {
    let mut data = payload.clone();
    data["n"] = json!(n);
    let event = Event::builder(topic).data(&data).build().unwrap();
    // Looked at before the clock starts.
    let _ = (event.data_value(), event.to_json());
    event
}

struct Subscriptions {
    index: Index,
    expressions: Vec<Expression>,
    found: Vec<u32>,
}

impl Subscriptions {
    fn new(count: u32, expression: fn(u32) -> String) -> Self {
        let expressions: Vec<Expression> =
            (0..count).map(|n| Expression::parse(&expression(n)).unwrap()).collect();
        let mut index = Index::new();
        for (number, expression) in (0..count).zip(&expressions) {
            index.insert(number, expression);
        }
        Self { index, expressions, found: Vec::new() }
    }

    fn matching(&mut self, event: &Event) -> usize {
        self.index.candidates(event, &mut self.found);
        self.found.iter().filter(|number| self.expressions[**number as usize].matches(event)).count()
    }

    /// Nanoseconds per event for events decoded before.
    fn look_up(&mut self, events: &[Event]) -> f64 {
        timed(events, |event| self.matching(event))
    }

    /// Nanoseconds per event from its bytes.
    fn dispatch(&mut self, texts: &[Bytes]) -> f64 {
        timed(texts, |text| self.matching(&Event::from_json(text.clone()).unwrap()))
    }
}

fn timed<T>(items: &[T], mut each: impl FnMut(&T) -> usize) -> f64 {
    let started = Instant::now();
    let mut matched = 0;
    for item in items {
        matched += each(black_box(item));
    }
    black_box(matched);
    started.elapsed().as_secs_f64() * 1e9 / f64::from(EVENTS)
}

/// Medians of two measurements that take turns.
fn side_by_side(rounds: usize, mut small: impl FnMut() -> f64, mut large: impl FnMut() -> f64) -> (f64, f64) {
    let (mut at_small, mut at_large): (Vec<f64>, Vec<f64>) = (0..rounds).map(|_| (small(), large())).unzip();
    at_small.sort_by(f64::total_cmp);
    at_large.sort_by(f64::total_cmp);
    (at_small[rounds / 2], at_large[rounds / 2])
}

fn main() {
    let recorded = include_bytes!("../tests/data/ftrack-payload-update.json");
    let payload = Event::from_json(&recorded[..]).unwrap().data_value().clone();
    println!(
        "{:<12} {:<9} {:<21} {:>9} {:>12} {:>7}",
        "kind", "matching", "measured", "10: ns", "100,000: ns", "ratio"
    );
    for (name, expression, wanted) in KINDS {
        let residual = name.starts_with("not");
        let mut small = Subscriptions::new(SMALL, expression);
        let mut large = Subscriptions::new(LARGE, expression);
        let events =
            |nth: fn(u32) -> u32| (0..EVENTS).map(|n| event(&payload, wanted(nth(n)))).collect::<Vec<_>>();
        let (same, spread, none) =
            (events(|n| n % SMALL), events(|n| n * (LARGE / EVENTS)), events(|n| LARGE + n));
        let texts = |events: &[Event]| events.iter().map(Event::to_json).collect::<Vec<_>>();
        assert!(
            residual || same.iter().all(|event| small.matching(event) == 1 && large.matching(event) == 1)
        );
        assert!(residual || spread.iter().all(|event| large.matching(event) == 1));
        assert!(residual || none.iter().all(|event| large.matching(event) == 0));
        let line = |matching: &str, measured: &str, (at_small, at_large): (f64, f64)| {
            println!(
                "{name:<12} {matching:<9} {measured:<21} {at_small:>9.1} {at_large:>12.1} {:>7.2}",
                at_large / at_small
            );
        };
        if residual {
            line("all", "look-up", side_by_side(3, || small.look_up(&same), || large.look_up(&same)));
            continue;
        }
        line(
            "one",
            "look-up, same events",
            side_by_side(ROUNDS, || small.look_up(&same), || large.look_up(&same)),
        );
        line(
            "one",
            "look-up, spread",
            side_by_side(ROUNDS, || small.look_up(&same), || large.look_up(&spread)),
        );
        let (few, many) = (texts(&same), texts(&spread));
        line("one", "dispatch", side_by_side(ROUNDS, || small.dispatch(&few), || large.dispatch(&many)));
        line("none", "look-up", side_by_side(ROUNDS, || small.look_up(&none), || large.look_up(&none)));
        let nobody = texts(&none);
        line(
            "none",
            "dispatch",
            side_by_side(ROUNDS, || small.dispatch(&nobody), || large.dispatch(&nobody)),
        );
    }
    println!(
        "An expression that implies no literal (residual) is evaluated for every event: linear by nature."
    );
}
