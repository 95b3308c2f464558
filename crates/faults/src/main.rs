//! `faults`: plays the scenes and prints one table.
#![expect(clippy::print_stdout, reason = "a command-line tool reports on standard output")]

use std::process::ExitCode;

use clap::Parser;
use faults::{FAULTS, Run, Size};

/// The faults that the SDK survives, played and measured.
#[derive(Debug, Parser)]
struct Args {
    /// What chance starts from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only these faults, such as F3
    #[arg(long, value_name = "ID")]
    only: Vec<String>,
    /// The sizes of the tests instead of the full ones
    #[arg(long)]
    small: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let run = Run { seed: args.seed, size: if args.small { Size::Small } else { Size::Full } };
    let mut broken = 0;
    for fault in
        FAULTS.iter().filter(|fault| args.only.is_empty() || args.only.iter().any(|id| id == fault.id))
    {
        let (verdict, said) = match fault.run(run) {
            Ok(figures) => ("ok", figures.to_string()),
            Err(what) => {
                broken += 1;
                ("BROKEN", format!("{what} (seed {})", run.seed))
            }
        };
        println!("{:<4} {verdict:<7} {}: {said}", fault.id, fault.what);
    }
    if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
