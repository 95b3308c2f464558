//! `cargo xtask fuzz`: the bodies of the crate `fuzzing` under libFuzzer, for so many seconds each.
//!
//! New inputs are kept below the target folder, so that the next run goes on from there; a finding stops its target and
//! belongs into `crates/fuzzing/corpus`, where the tests of every day run it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::runner::{self, Context, Finished, Outcome};

/// How long each target runs unless told otherwise.
const SECONDS: u64 = 60;
const FOLDER: &str = "crates/fuzzing";

/// What the arguments ask for.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    seconds: u64,
    only: Vec<String>,
}

pub(crate) fn run(context: &Context, args: &[String]) -> Outcome {
    let asked = match asked(args) {
        Ok(asked) => asked,
        Err(reason) => return Outcome::Failed(reason),
    };
    if !context.has_subcommand("fuzz") {
        return Outcome::Skipped(
            "cargo-fuzz is not installed (cargo install cargo-fuzz --locked)".to_owned(),
        );
    }
    if !runner::succeeds(context.command("rustc").args(["+nightly", "--version"])) {
        return Outcome::Skipped(
            "there is no nightly compiler (rustup toolchain install nightly)".to_owned(),
        );
    }
    Outcome::from_result(play(context, &asked))
}

fn asked(args: &[String]) -> Result<Asked, String> {
    let mut asked = Asked { seconds: SECONDS, only: Vec::new() };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match (arg.as_str(), args.next()) {
            ("--seconds", Some(number)) => {
                asked.seconds = number.parse().map_err(|_| format!("--seconds {number} is not a number"))?;
            }
            ("--only", Some(target)) => asked.only.push(target.clone()),
            _ => return Err(format!("{arg}: the options are --seconds N and --only TARGET")),
        }
    }
    Ok(asked)
}

fn play(context: &Context, asked: &Asked) -> Result<String, String> {
    let mut rows = Vec::new();
    let mut findings = 0;
    for target in targets(context)? {
        if !asked.only.is_empty() && !asked.only.contains(&target) {
            continue;
        }
        let finished = runner::tee(&mut fuzzing(context, &target, asked.seconds)?)?;
        findings += usize::from(!finished.success());
        rows.push(row(&target, &finished));
    }
    for row in &rows {
        context.close_with(row.clone());
    }
    let summary = format!("{} targets, {} s each, {findings} with findings", rows.len(), asked.seconds);
    if findings == 0 && !rows.is_empty() { Ok(summary) } else { Err(summary) }
}

/// The folders of the corpus are named like the targets.
fn targets(context: &Context) -> Result<Vec<String>, String> {
    let folder = context.root.join(FOLDER).join("corpus");
    let entries = fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut names: Vec<String> =
        entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    Ok(names)
}

fn fuzzing(context: &Context, target: &str, seconds: u64) -> Result<Command, String> {
    let built =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| context.root.join("target"), PathBuf::from);
    let found = built.join("fuzz-corpus").join(target);
    fs::create_dir_all(&found).map_err(|error| format!("{}: {error}", found.display()))?;
    let mut command = context.command("cargo");
    command
        .args(["+nightly", "fuzz", "run", "--fuzz-dir"])
        .arg(format!("{FOLDER}/fuzz"))
        .arg("--target-dir")
        .arg(built.join("fuzz"))
        .arg(target)
        .arg(&found)
        .arg(context.root.join(FOLDER).join("corpus").join(target))
        .args(["--", "-print_final_stats=1", "-timeout=10"])
        .arg(format!("-max_total_time={seconds}"));
    Ok(command)
}

/// `packet       1234567 executions, coverage 789, 0 findings`.
fn row(target: &str, finished: &Finished) -> String {
    let number = |name: &str| {
        let line = finished.stderr.lines().rev().find_map(|line| line.strip_prefix(name));
        line.map_or_else(|| "?".to_owned(), |value| value.trim().to_owned())
    };
    let covered = finished.stderr.lines().rev().find_map(|line| {
        let (_, rest) = line.split_once(" cov: ")?;
        rest.split_whitespace().next()
    });
    let verdict = if finished.success() { "0 findings" } else { "a FINDING, see above" };
    format!(
        "{target:<12} {} executions, coverage {}, {verdict}",
        number("stat::number_of_executed_units:"),
        covered.unwrap_or("?")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn options_are_read_and_others_refused() {
        let wanted = Asked { seconds: 600, only: vec!["packet".to_owned()] };
        assert_eq!(asked(&words(&["--seconds", "600", "--only", "packet"])), Ok(wanted));
        assert_eq!(asked(&[]), Ok(Asked { seconds: SECONDS, only: Vec::new() }));
        for wrong in [&["--seconds"][..], &["--seconds", "x"], &["--hours", "1"]] {
            assert!(asked(&words(wrong)).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_row_has_the_last_figures_that_were_said() {
        let stderr = "#2 INITED cov: 12 ft: 13 corp: 1/1b\n#9 DONE   cov: 77 ft: 99 corp: 5/9b exec/s: 3\n\
                      stat::number_of_executed_units: 4711\n";
        let finished = Finished { status: None, stdout: String::new(), stderr: stderr.to_owned() };
        assert_eq!(row("sas", &finished), "sas          4711 executions, coverage 77, a FINDING, see above");
    }
}
