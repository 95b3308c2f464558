//! Tests and doctests, with their counts.

use std::path::PathBuf;
use std::process::Command;

use super::prepare;
use crate::runner::{self, Context, Finished, Outcome};

/// How many cases a property test tries, unless `PROPTEST_CASES` says otherwise.
const CASES: &str = "20000";
/// The same in `cargo xtask full`.
const FULL_CASES: &str = "1000000";
/// How many webhooks are delivered there.
const FULL_DELIVERIES: &str = "10000";

pub(super) fn run(context: &Context) -> Outcome {
    let result = run_sized(context, false).and_then(|note| {
        if !context.full {
            return Ok(note);
        }
        let full = run_sized(context, true)?;
        Ok(format!("{note}; with {FULL_CASES} cases each: {full}"))
    });
    Outcome::from_result(result)
}

fn run_sized(context: &Context, full: bool) -> Result<String, String> {
    let nextest = context.has_subcommand("nextest");
    let mut command = if nextest { nextest_command(context, full) } else { libtest_command(context, full) };
    if full {
        command.env("PROPTEST_CASES", FULL_CASES);
        command.env("WEBHOOK_DELIVERIES", FULL_DELIVERIES);
    } else if std::env::var_os("PROPTEST_CASES").is_none() {
        command.env("PROPTEST_CASES", CASES);
    }
    let left_out = NatsServer::tell(context, &mut command);
    let finished = runner::tee(&mut command)?;
    left_out.report(context);
    let counts =
        if nextest { Counts::of_nextest(&finished.stderr) } else { Counts::of_libtest(&finished.stdout) };
    let by = if nextest {
        "by cargo-nextest"
    } else {
        "by cargo test: cargo-nextest is not installed (cargo install cargo-nextest --locked)"
    };
    let name = if full { "tests at full size" } else { "tests" };
    judge(context, name, &finished, &counts, by)
}

/// Whether there is a server of NATS: the tests are told that it must be there, or write down which of them were left
/// out.
enum NatsServer {
    There,
    Missing(PathBuf),
}

impl NatsServer {
    fn tell(context: &Context, command: &mut Command) -> Self {
        if prepare::has_nats_server(context) {
            command.env("NATS_SERVER", "required");
            return Self::There;
        }
        let list = std::env::temp_dir().join(format!("xtask-left-out-{}", std::process::id()));
        let _ = std::fs::remove_file(&list);
        command.env("NATS_SERVER_LEFT_OUT", &list);
        Self::Missing(list)
    }

    /// Names what was left out.
    fn report(&self, context: &Context) {
        let Self::Missing(list) = self else { return };
        let names = std::fs::read_to_string(list).unwrap_or_default();
        let _ = std::fs::remove_file(list);
        let count = names.lines().count();
        for name in names.lines() {
            println!("skipped without nats-server: {name}");
        }
        context.close_with(format!(
            "without nats-server {count} of the tests that passed did nothing; they are named above, and the transports \
             of the conformance suite that need it are among the skipped"
        ));
    }
}

fn nextest_command(context: &Context, full: bool) -> Command {
    let mut command = context.cargo(["nextest", "run", "--workspace", "--no-fail-fast"]);
    if full {
        command.args(["--release", "--profile", "full"]);
    } else if context.ci {
        command.args(["--cargo-profile", "ci", "--profile", "ci"]);
    }
    if context.ci {
        command.arg("--locked");
    }
    command
}

fn libtest_command(context: &Context, full: bool) -> Command {
    let args = ["test", "--workspace", "--lib", "--bins", "--tests", "--no-fail-fast"];
    if full { context.cargo(args.into_iter().chain(["--release"])) } else { context.build(args) }
}

pub(super) fn run_doctests(context: &Context) -> Outcome {
    let mut command = context.build(["test", "--workspace", "--doc", "--no-fail-fast"]);
    let result = runner::tee(&mut command).and_then(|finished| {
        let counts = Counts::of_libtest(&finished.stdout);
        judge(context, "doctests", &finished, &counts, "by rustdoc")
    });
    Outcome::from_result(result)
}

/// What a run comes to; the counts are kept for the closing lines.
fn judge(
    context: &Context,
    name: &str,
    finished: &Finished,
    counts: &Counts,
    by: &str,
) -> Result<String, String> {
    if !finished.success() && counts.failed == 0 {
        let exit = finished.status.map_or_else(String::new, |status| format!(" ({status})"));
        context.close_with(format!("{name}: not run to the end, see above"));
        return Err(format!("did not run to the end{exit}"));
    }
    context.close_with(format!("{name}: {counts}"));
    if finished.success() { Ok(format!("{counts}, {by}")) } else { Err(format!("{counts}, {by}")) }
}

/// How the tests of a run ended.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl Counts {
    /// From the summary of nextest: `Summary [ 0.5s] 4 tests run: 3 passed (1 slow), 1 failed, 2 skipped`.
    fn of_nextest(output: &str) -> Self {
        let mut counts = Self::default();
        let summary = output.lines().rev().find_map(|line| {
            let line = line.trim_start();
            let rest = line.strip_prefix("Summary [")?;
            rest.split_once("run: ").map(|(_, counts)| counts)
        });
        counts.add(summary.unwrap_or_default(), ',');
        counts
    }

    /// From the lines of libtest, one for each program: `test result: ok. 3 passed; 0 failed; 1 ignored; ...`.
    fn of_libtest(output: &str) -> Self {
        let mut counts = Self::default();
        for line in output.lines() {
            if let Some(result) = line.strip_prefix("test result: ") {
                counts.add(result.split_once(". ").map_or("", |(_, counts)| counts), ';');
            }
        }
        counts
    }

    fn add(&mut self, list: &str, separator: char) {
        for item in list.split(separator) {
            let mut words = item.split_whitespace();
            let Some(number) = words.next().and_then(|word| word.parse::<usize>().ok()) else { continue };
            match words.next() {
                Some("passed") => self.passed += number,
                Some("failed" | "timed" | "exec") => self.failed += number,
                Some("skipped" | "ignored") => self.skipped += number,
                _ => {}
            }
        }
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nextest_summary_is_counted() {
        let output = "\
        PASS [   0.003s] (1/4) xtask runner::tests::table_lines_up
     Summary [   0.018s] 1204 tests run: 1200 passed (2 slow), 3 failed, 1 timed out, 7 skipped
        FAIL [   0.004s] (2/4) xtask runner::tests::other
error: test run failed";
        assert_eq!(Counts::of_nextest(output), Counts { passed: 1200, failed: 4, skipped: 7 });
        let stopped = "     Summary [   0.018s] 2/4 tests run: 1 passed, 1 failed, 0 skipped";
        assert_eq!(Counts::of_nextest(stopped), Counts { passed: 1, failed: 1, skipped: 0 });
        let single = "     Summary [   0.018s] 1 test run: 1 passed, 0 skipped";
        assert_eq!(Counts::of_nextest(single), Counts { passed: 1, failed: 0, skipped: 0 });
    }

    #[test]
    fn doctests_of_several_crates_add_up() {
        let output = "
   Doc-tests event_core

running 3 tests
test crates/event-core/src/lib.rs - (line 4) ... ok

test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.40s

   Doc-tests transport_ws

test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s
";
        assert_eq!(Counts::of_libtest(output), Counts { passed: 7, failed: 2, skipped: 1 });
    }

    #[test]
    fn no_result_counts_nothing() {
        assert_eq!(Counts::of_nextest("error: could not compile"), Counts::default());
        assert_eq!(Counts::of_libtest(""), Counts::default());
    }
}
