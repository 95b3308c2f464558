//! A process with a journal is killed at random points, again and again; then everything is counted.
//!
//! This program starts itself as the process that is killed. What that one does it says on its standard output,
//! which the system keeps: `O` it has opened the store, `D n` a handler has event n, `T n` it is about to acknowledge
//! it, `A n` that is acknowledged, `P n` the publish of n is acknowledged, `S n` the service has got n.
//! `EVENT_JOURNAL_CRASHES` says how often; 10 times unless set.
#![expect(clippy::print_stdout, reason = "says what it does, and shows its figures")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::similar_names,
    reason = "a test"
)]

mod child;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};

const CHILD: &str = "EVENT_JOURNAL_CHILD";

fn main() {
    if let Ok(order) = std::env::var(CHILD) {
        child::run(&order);
        return;
    }
    let name = "nothing_acknowledged_is_lost_or_repeated_by_kills_at_random_points";
    let trials = vec![Trial::test(name, || killed().map_err(Failed::from))];
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

/// What was said in all lives of the process.
#[derive(Default)]
struct Ledger {
    opened: usize,
    slowest: Duration,
    /// The lives in which an event was delivered.
    delivered: BTreeMap<u64, Vec<usize>>,
    attempted: BTreeMap<u64, usize>,
    acknowledged: BTreeMap<u64, usize>,
    published: BTreeSet<u64>,
    sent: BTreeMap<u64, Vec<usize>>,
    order_broken: usize,
}

/// One life: how long it may last, or to the end of its work.
fn life(ledger: &mut Ledger, number: usize, folder: &Path, lasts: Option<Duration>) -> Result<(), String> {
    // Numbers of its own, also where the life before ended without a word.
    let start = 1_000_000 * (number as u64 + 1);
    let mode = if lasts.is_some() { "work" } else { "finish" };
    let mut child = Command::new(std::env::current_exe().map_err(|error| error.to_string())?)
        .env(CHILD, format!("{mode} {start} {}", folder.join("journal").display()))
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let began = Instant::now();
    let output = child.stdout.take().ok_or("no output")?;
    let (lines, heard) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        // A line that was cut off by the end was not said.
        let mut output = BufReader::new(output);
        let mut line = String::new();
        while output.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
            if line.ends_with('\n') && lines.send(line.trim().to_owned()).is_err() {
                break;
            }
            line.clear();
        }
    });
    let first =
        heard.recv_timeout(Duration::from_secs(60)).map_err(|_| format!("life {number} does not open"))?;
    if first != "O" {
        return Err(format!("life {number} begins with {first}"));
    }
    ledger.opened += 1;
    ledger.slowest = ledger.slowest.max(began.elapsed());
    if let Some(lasts) = lasts {
        let until = Instant::now() + lasts;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            if let Ok(line) = heard.recv_timeout(left) {
                ledger.note(number, &line)?;
            }
        }
        child.kill().map_err(|error| error.to_string())?;
    }
    while let Ok(line) = heard.recv_timeout(Duration::from_secs(60)) {
        ledger.note(number, &line)?;
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    reader.join().map_err(|_| "the reader panicked")?;
    if lasts.is_none() && !status.success() {
        return Err(format!("the last life ends with {status}"));
    }
    Ok(())
}

impl Ledger {
    fn note(&mut self, life: usize, line: &str) -> Result<(), String> {
        let (what, number) = line.split_once(' ').ok_or_else(|| format!("it says {line:?}"))?;
        let n: u64 = number.parse().map_err(|_| format!("it says {line:?}"))?;
        match what {
            "D" => self.delivered.entry(n).or_default().push(life),
            "T" => drop(self.attempted.insert(n, life)),
            "A" => drop(self.acknowledged.insert(n, life)),
            "P" => drop(self.published.insert(n)),
            "S" => {
                // In one life they leave in order.
                let later = self.sent.range(n + 1..).any(|(_, lives)| lives.contains(&life));
                self.order_broken += usize::from(later);
                self.sent.entry(n).or_default().push(life);
            }
            _ => return Err(format!("it says {line:?}")),
        }
        Ok(())
    }

    /// Delivered, never acknowledged, and not delivered again.
    fn lost(&self) -> usize {
        self.delivered.keys().filter(|n| !self.attempted.contains_key(n)).count()
    }

    /// Delivered again in a later life after they were acknowledged.
    fn repeated(&self) -> usize {
        let again = |(n, life): &(&u64, &usize)| self.delivered[n].iter().any(|later| later > life);
        self.acknowledged.iter().filter(again).count()
    }

    fn redelivered(&self) -> usize {
        self.delivered.values().filter(|lives| lives.len() > 1).count()
    }

    fn unsent(&self) -> usize {
        self.published.iter().filter(|n| !self.sent.contains_key(n)).count()
    }

    fn sent_again(&self) -> usize {
        self.sent.values().filter(|lives| lives.len() > 1).count()
    }
}

fn killed() -> Result<(), String> {
    let lives: usize = std::env::var("EVENT_JOURNAL_CRASHES").ok().and_then(|n| n.parse().ok()).unwrap_or(10);
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let mut ledger = Ledger::default();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for number in 0..lives {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        life(&mut ledger, number, folder.path(), Some(Duration::from_micros(random % 250_000)))?;
    }
    life(&mut ledger, lives, folder.path(), None)?;
    println!("| what | count |\n|---|---|");
    println!("| killed | {lives} |");
    println!("| opened | {} of {} |", ledger.opened, lives + 1);
    println!("| slowest from start to open | {:?} |", ledger.slowest);
    println!("| events delivered | {} |", ledger.delivered.len());
    println!("| acknowledged | {} |", ledger.acknowledged.len());
    println!("| delivered and lost | {} |", ledger.lost());
    println!("| delivered more than once | {} |", ledger.redelivered());
    println!("| of these after they were acknowledged | {} |", ledger.repeated());
    println!("| publishes acknowledged | {} |", ledger.published.len());
    println!("| of these never sent | {} |", ledger.unsent());
    println!("| sent more than once | {} |", ledger.sent_again());
    println!("| sent out of order | {} |", ledger.order_broken);
    let holds = ledger.opened == lives + 1
        && ledger.lost() == 0
        && ledger.repeated() == 0
        && ledger.unsent() == 0
        && ledger.order_broken == 0;
    let busy = ledger.acknowledged.len() > lives && ledger.published.len() > lives;
    if holds && busy { Ok(()) } else { Err("see the table".to_owned()) }
}
