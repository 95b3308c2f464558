//! `instructions`: how many machine instructions the hot paths take, counted by valgrind, beside what they took when
//! `counts.json` was written.
//!
//! Every path is run twice, by this program started again under callgrind, the second time with twice as many events:
//! the difference is what the events take, without start and end. Counts do not depend on what else the machine does,
//! but on the compiler: with another rustc than the recorded one they are told and nothing fails.
#![expect(clippy::print_stdout, reason = "a command-line tool reports on standard output")]

mod counts;
mod paths;
mod wire;

use std::path::Path;
use std::process::{Command, ExitCode};

use clap::{Parser, Subcommand};

use counts::{Counts, Verdict};
use paths::PATHS;

/// Events of the shorter of the two runs.
const EVENTS: u64 = 1_000;

/// Counts the instructions of the hot paths.
#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    part: Option<Part>,
    /// Records what is counted as what is expected from now on
    #[arg(long)]
    accept: bool,
    /// Only this path
    #[arg(long, value_name = "PATH")]
    only: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// Runs a path with so many events; what is counted, or given to another tool of valgrind or to perf
    Run { path: String, events: u64 },
}

fn main() -> ExitCode {
    let args = Args::parse();
    let outcome = match &args.part {
        Some(Part::Run { path, events }) => paths::run(path, *events),
        None => count(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            println!("instructions: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn count(args: &Args) -> Result<(), String> {
    let mut counts = Counts { rustc: rustc()?, instructions: std::collections::BTreeMap::new() };
    for path in PATHS.iter().filter(|path| args.only.as_ref().is_none_or(|only| only == *path)) {
        let (once, twice) = (collected(path, EVENTS)?, collected(path, 2 * EVENTS)?);
        counts.instructions.insert((*path).to_owned(), twice.saturating_sub(once) / EVENTS);
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("counts.json");
    let expected = Counts::read(&file)?;
    let (table, verdict) = counts::compare(expected.as_ref(), &counts);
    println!("{table}");
    if args.accept {
        return counts.merged(expected).write(&file);
    }
    match verdict {
        Verdict::Good(why) => {
            println!("instructions: {why}");
            Ok(())
        }
        Verdict::Bad(why) => Err(why),
    }
}

/// What callgrind counts of one run.
fn collected(path: &str, events: u64) -> Result<u64, String> {
    let program = std::env::current_exe().map_err(|error| format!("this program's path: {error}"))?;
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(program);
    valgrind.args(["run", path, &events.to_string()]);
    let output = valgrind.output().map_err(|error| format!("valgrind does not start: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stdout);
        return Err(format!("\"{path}\" under valgrind: {} {reason}\n{said}", output.status));
    }
    let line = said.lines().find_map(|line| line.split_once("Collected :"));
    line.and_then(|(_, count)| count.trim().parse().ok())
        .ok_or_else(|| format!("valgrind gave no count:\n{said}"))
}

fn rustc() -> Result<String, String> {
    let output =
        Command::new("rustc").arg("--version").output().map_err(|error| format!("rustc: {error}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
