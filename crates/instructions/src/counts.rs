//! What is expected and what was counted.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// How much a count may differ from what is expected, in percent.
const TOLERANCE: u64 = 3;

/// Instructions for each event, by path.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Counts {
    /// The compiler, as it names itself.
    pub(crate) rustc: String,
    /// And the counts of what it made.
    pub(crate) instructions: BTreeMap<String, u64>,
}

/// What a comparison says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Good(String),
    Bad(String),
}

impl Counts {
    /// What was recorded; `None` where nothing was.
    pub(crate) fn read(file: &Path) -> Result<Option<Self>, String> {
        match std::fs::read_to_string(file) {
            Ok(text) => {
                serde_json::from_str(&text).map(Some).map_err(|error| format!("counts.json: {error}"))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("counts.json: {error}")),
        }
    }

    pub(crate) fn write(&self, file: &Path) -> Result<(), String> {
        let text = serde_json::to_string_pretty(self).map_err(|error| error.to_string())?;
        std::fs::write(file, text + "\n").map_err(|error| format!("counts.json: {error}"))
    }

    /// These, and of the same compiler those that were not counted this time.
    pub(crate) fn merged(mut self, before: Option<Self>) -> Self {
        for (path, count) in
            before.filter(|before| before.rustc == self.rustc).into_iter().flat_map(|b| b.instructions)
        {
            self.instructions.entry(path).or_insert(count);
        }
        self
    }
}

/// A table, and whether every count is near enough.
pub(crate) fn compare(expected: Option<&Counts>, counted: &Counts) -> (String, Verdict) {
    let mut table =
        format!("{:<22}{:>12}{:>12}{:>10}\n", "instructions per event", "expected", "counted", "");
    let (mut slower, mut faster) = (Vec::new(), Vec::new());
    for (path, count) in &counted.instructions {
        let before = expected.and_then(|expected| expected.instructions.get(path));
        let change = before.map(|before| percent(*before, *count));
        let shown = before.map_or_else(|| "none".to_owned(), ToString::to_string);
        let change_shown = change.map_or_else(String::new, |change| format!("{change:+.1} %"));
        let _ = writeln!(table, "{path:<22}{shown:>12}{count:>12}{change_shown:>10}");
        match before {
            Some(before) if is_near(*before, *count) => {}
            Some(before) if count < before => faster.push(path.as_str()),
            _ => slower.push(path.as_str()),
        }
    }
    (table, judge(expected, counted, &slower, &faster))
}

fn judge(expected: Option<&Counts>, counted: &Counts, slower: &[&str], faster: &[&str]) -> Verdict {
    let Some(expected) = expected else {
        return Verdict::Bad(
            "nothing is recorded yet; `cargo xtask instructions --accept` records".to_owned(),
        );
    };
    if expected.rustc != counted.rustc {
        let why = format!("recorded with {}, this is {}: not compared", expected.rustc, counted.rustc);
        return Verdict::Good(why);
    }
    if slower.is_empty() && faster.is_empty() {
        let paths = counted.instructions.len();
        return Verdict::Good(format!("{paths} paths within {TOLERANCE} % of what is recorded"));
    }
    let mut why = Vec::new();
    if !slower.is_empty() {
        why.push(format!("more than recorded: {}", slower.join(", ")));
    }
    if !faster.is_empty() {
        why.push(format!("fewer than recorded: {}", faster.join(", ")));
    }
    Verdict::Bad(format!(
        "{}; if that is meant, `cargo xtask instructions --accept` records it",
        why.join("; ")
    ))
}

/// In whole numbers, so that the limit itself is within it.
fn is_near(before: u64, now: u64) -> bool {
    before.abs_diff(now) * 100 <= before * TOLERANCE
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn percent(before: u64, now: u64) -> f64 {
    (now as f64 / before.max(1) as f64 - 1.0) * 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(rustc: &str, receive: u64) -> Counts {
        Counts { rustc: rustc.to_owned(), instructions: BTreeMap::from([("receive".to_owned(), receive)]) }
    }

    fn is_good(expected: Option<&Counts>, counted: &Counts) -> bool {
        matches!(compare(expected, counted).1, Verdict::Good(_))
    }

    #[test]
    fn a_count_may_differ_by_three_percent_either_way() {
        let expected = counts("1", 10_000);
        for (count, good) in [(10_000, true), (10_300, true), (9_700, true), (10_301, false), (9_699, false)]
        {
            assert_eq!(is_good(Some(&expected), &counts("1", count)), good, "{count}");
        }
    }

    #[test]
    fn another_compiler_is_told_and_does_not_fail() {
        let (table, verdict) = compare(Some(&counts("1", 10_000)), &counts("2", 20_000));
        assert!(table.contains("+100.0 %"), "{table}");
        assert!(matches!(verdict, Verdict::Good(why) if why.contains("not compared")));
    }

    #[test]
    fn what_is_not_recorded_fails() {
        assert!(!is_good(None, &counts("1", 1)));
        let mut expected = counts("1", 1);
        expected.instructions.clear();
        assert!(!is_good(Some(&expected), &counts("1", 1)));
    }

    #[test]
    fn accepting_one_path_keeps_the_others() {
        let mut one = counts("1", 7);
        one.instructions.insert("publish".to_owned(), 8);
        let merged = counts("1", 9).merged(Some(one.clone()));
        assert_eq!((merged.instructions["receive"], merged.instructions["publish"]), (9, 8));
        assert_eq!(counts("2", 9).merged(Some(one)).instructions.len(), 1);
    }
}
