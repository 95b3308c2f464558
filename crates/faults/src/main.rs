//! `faults`: plays the scenes and the mixed runs, and prints what they came to.
#![expect(clippy::print_stdout, reason = "a command-line tool reports on standard output")]

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use faults::mixed::{Mixed, Without, many};
use faults::{FAULTS, Run, Size};

/// The name by which `--only` means the mixed runs.
const MIXED: &str = "mixed";

/// The faults that the SDK survives, played and measured.
#[derive(Debug, Parser)]
struct Args {
    /// What chance starts from; each mixed run takes the next number
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Mixed runs; 0: none
    #[arg(long, default_value_t = 200)]
    runs: u64,
    /// Only these, such as F3; `mixed` for the mixed runs
    #[arg(long, value_name = "ID")]
    only: Vec<String>,
    /// The sizes of the tests instead of the full ones
    #[arg(long)]
    small: bool,
    /// Mixed runs with a defence of the SDK switched off: they must fail
    #[arg(long, value_name = "DEFENCE")]
    r#break: Option<Defence>,
    /// Print everything that happens in the first mixed run
    #[arg(long)]
    trace: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Defence {
    /// Events whose acknowledgement is in doubt are not sent again
    Resend,
    /// Reports of gaps reach nobody
    Gap,
}

fn main() -> ExitCode {
    if faults::bridge_child() {
        return ExitCode::SUCCESS;
    }
    if let Some(ended) = faults::work_if_asked() {
        return ended;
    }
    let args = Args::parse();
    let wanted = |id: &str| args.only.is_empty() || args.only.iter().any(|only| only == id);
    let mut held = true;
    if args.r#break.is_none() {
        held &= scenes(&args, wanted);
    }
    if args.runs > 0 && wanted(MIXED) {
        held &= mixed(&args);
    }
    if held { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One line for each fault: what goes wrong, what must hold, the figures.
fn scenes(args: &Args, wanted: impl Fn(&str) -> bool) -> bool {
    let run = Run { seed: args.seed, size: if args.small { Size::Small } else { Size::Full } };
    let mut held = true;
    for fault in FAULTS.iter().filter(|fault| wanted(fault.id)) {
        let (verdict, said) = match fault.run(run) {
            Ok(figures) => ("ok", figures.to_string()),
            Err(what) => {
                held = false;
                let small = if args.small { " --small" } else { "" };
                let again =
                    format!("again: cargo xtask faults --only {} --seed {}{small}", fault.id, run.seed);
                ("BROKEN", format!("{what}\n     {again}"))
            }
        };
        println!("{:<4} {verdict:<7} {}\n     holds: {}\n     {said}", fault.id, fault.what, fault.holds);
    }
    held
}

fn mixed(args: &Args) -> bool {
    let without = args.r#break.map(|defence| match defence {
        Defence::Resend => Without::Resend,
        Defence::Gap => Without::Gap,
    });
    if args.trace {
        match (Mixed { seed: args.seed, without, keep_trace: true }).play() {
            Ok(played) => {
                played.trace.iter().for_each(|line| println!("{line}"));
                println!("trace of seed {}: {:016x}", args.seed, played.hash);
            }
            Err(broken) => println!("seed {}: {broken}", args.seed),
        }
    }
    let runs = many(args.seed, args.runs, without);
    println!("{runs}");
    runs.held()
}
