//! The whole list as a table: a row for each behaviour, a column for each transport.

use std::fmt;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use parking_lot::Mutex;

use crate::behaviour::{BEHAVIOURS, Behaviour};
use crate::judge::{Judgement, judge};
use crate::subject::Entry;
use crate::verdict::Verdict;

/// What came of judging every transport by every behaviour.
#[derive(Debug)]
pub struct Table {
    columns: Vec<Column>,
}

#[derive(Debug)]
struct Column {
    name: &'static str,
    /// Why nothing was judged.
    missing: Option<&'static str>,
    cells: Vec<Verdict<Judgement>>,
}

impl Table {
    /// Judges these transports. Blocks; several are judged at a time.
    pub fn of(entries: &[Entry]) -> Self {
        let missing: Vec<_> = entries.iter().map(|entry| (entry.missing)()).collect();
        let here = |(entry, missing): (usize, &Option<_>)| missing.is_none().then_some(entry);
        let judged: Vec<usize> = missing.iter().enumerate().filter_map(here).collect();
        let work: Vec<(usize, usize)> =
            judged.iter().flat_map(|entry| (0..BEHAVIOURS.len()).map(move |n| (*entry, n))).collect();
        let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        // Most of the time in real time is waiting.
        let threads = thread::available_parallelism().map_or(2, NonZero::get) * 4;
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    while let Some((entry, behaviour)) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let verdict = judge(&entries[*entry], &BEHAVIOURS[*behaviour]);
                        done.lock().push((*entry, *behaviour, verdict));
                    }
                });
            }
        });
        let mut done = done.into_inner();
        done.sort_by_key(|(entry, behaviour, _)| (*entry, *behaviour));
        let mut columns: Vec<Column> = entries
            .iter()
            .zip(missing)
            .map(|(entry, missing)| Column { name: entry.name, missing, cells: Vec::new() })
            .collect();
        for (entry, _, verdict) in done {
            columns[entry].cells.push(verdict);
        }
        Self { columns }
    }

    /// What is broken: transport, behaviour and how.
    pub fn broken(&self) -> Vec<String> {
        let cells = self.columns.iter().flat_map(|column| {
            column.cells.iter().zip(BEHAVIOURS).map(|(verdict, behaviour)| (column.name, behaviour, verdict))
        });
        let told = |(name, behaviour, verdict): (_, &Behaviour, &Verdict<_>)| {
            let broken = verdict.as_ref().err()?;
            Some(format!("{name}::{}: {broken}", behaviour.name))
        };
        cells.filter_map(told).collect()
    }
}

fn word(verdict: &Verdict<Judgement>) -> &'static str {
    match verdict {
        Ok(Judgement::Holds) => "holds",
        Ok(Judgement::SaysNo) => "says no",
        Ok(Judgement::NotJudged(_)) => "not judged",
        Err(_) => "BROKEN",
    }
}

/// As Markdown, with the sums below.
impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let judged: Vec<&Column> = self.columns.iter().filter(|column| column.missing.is_none()).collect();
        write!(f, "| behaviour |")?;
        judged.iter().try_for_each(|column| write!(f, " {} |", column.name))?;
        writeln!(f, "\n|---|{}", "---|".repeat(judged.len()))?;
        for (row, behaviour) in BEHAVIOURS.iter().enumerate() {
            write!(f, "| {} |", behaviour.name.replace('_', " "))?;
            judged.iter().try_for_each(|column| write!(f, " {} |", word(&column.cells[row])))?;
            writeln!(f)?;
        }
        write!(f, "| **holds / says no / not judged / broken** |")?;
        for column in &judged {
            let count = |wanted: &str| column.cells.iter().filter(|cell| word(cell) == wanted).count();
            let counts = ["holds", "says no", "not judged", "BROKEN"].map(count);
            write!(f, " {} / {} / {} / {} |", counts[0], counts[1], counts[2], counts[3])?;
        }
        writeln!(f)?;
        for column in self.columns.iter().filter(|column| column.missing.is_some()) {
            writeln!(f, "\nskipped: {} ({})", column.name, column.missing.unwrap_or_default())?;
        }
        Ok(())
    }
}
