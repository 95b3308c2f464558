//! Tables of what was played.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;
use std::time::Duration;

use hub_emulator::Defect;

use crate::{Direction, Failure, Scenario};

/// How a scenario ended.
#[derive(Debug)]
pub struct Outcome {
    direction: Direction,
    with: &'static str,
    name: String,
    verdict: Verdict,
    took: Duration,
}

#[derive(Debug)]
enum Verdict {
    Passed,
    Failed(Failure),
    Skipped(String),
}

impl Outcome {
    pub(crate) fn played(scenario: &Scenario, result: Result<(), Failure>, took: Duration) -> Self {
        let verdict = match result {
            Ok(()) => Verdict::Passed,
            Err(failure) => Verdict::Failed(failure),
        };
        Self { verdict, took, ..Self::skipped(scenario, String::new()) }
    }

    pub(crate) fn skipped(scenario: &Scenario, why: String) -> Self {
        Self {
            direction: scenario.direction,
            with: scenario.with,
            name: scenario.name.clone(),
            verdict: Verdict::Skipped(why),
            took: Duration::ZERO,
        }
    }

    pub(crate) fn is_success(&self) -> bool {
        matches!(self.verdict, Verdict::Passed)
    }

    pub(crate) fn is_failure(&self) -> bool {
        matches!(self.verdict, Verdict::Failed(_))
    }

    pub(crate) fn title(&self) -> String {
        format!("{} {}: {}", self.direction, self.with, self.name)
    }
}

/// All outcomes of a run; its text is the table.
#[derive(Debug)]
pub struct Report(Vec<Outcome>);

impl Report {
    pub(crate) fn new(outcomes: Vec<Outcome>) -> Self {
        Self(outcomes)
    }

    /// Whether nothing failed.
    pub fn is_clean(&self) -> bool {
        self.failed().is_empty()
    }

    /// How many passed.
    pub fn passed(&self) -> usize {
        self.count(|verdict| matches!(verdict, Verdict::Passed))
    }

    /// How many could not be played.
    pub fn skipped(&self) -> usize {
        self.count(|verdict| matches!(verdict, Verdict::Skipped(_)))
    }

    /// The titles of those that failed.
    pub fn failed(&self) -> Vec<String> {
        let failed = self.0.iter().filter(|outcome| matches!(outcome.verdict, Verdict::Failed(_)));
        failed.map(Outcome::title).collect()
    }

    fn count(&self, wanted: impl Fn(&Verdict) -> bool) -> usize {
        self.0.iter().filter(|outcome| wanted(&outcome.verdict)).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut counts: BTreeMap<(Direction, &str), [usize; 3]> = BTreeMap::new();
        for outcome in &self.0 {
            let (word, at) = match &outcome.verdict {
                Verdict::Passed => ("ok     ", 0),
                Verdict::Failed(_) => ("FAILED ", 1),
                Verdict::Skipped(_) => ("skipped", 2),
            };
            counts.entry((outcome.direction, outcome.with)).or_default()[at] += 1;
            write!(f, "{word} {:>6.2} s  {}", outcome.took.as_secs_f64(), outcome.title())?;
            match &outcome.verdict {
                Verdict::Passed => writeln!(f)?,
                Verdict::Failed(failure) => writeln!(f, "\n  {failure}")?,
                Verdict::Skipped(why) => writeln!(f, " ({why})")?,
            }
        }
        writeln!(f, "\n{:<52} {:>6} {:>6} {:>7}", "direction and software", "passed", "failed", "skipped")?;
        for ((direction, with), [passed, failed, skipped]) in counts {
            writeln!(f, "{:<52} {passed:>6} {failed:>6} {skipped:>7}", format!("{direction} {with}"))?;
        }
        write!(f, "{} passed, {} failed, {} skipped", self.passed(), self.failed().len(), self.skipped())
    }
}

/// Which scenarios caught which defect.
pub fn defects_table(caught: &[(Defect, Vec<String>, usize)]) -> String {
    let mut table = format!("{:<24} {:>6}  noticed by\n", "defect", "played");
    for (defect, by, played) in caught {
        let name = format!("{defect:?}");
        let by =
            if by.is_empty() { "NOBODY".to_owned() } else { by.join("\n                                 ") };
        let _ = writeln!(table, "{name:<24} {played:>6}  {by}");
    }
    table
}
