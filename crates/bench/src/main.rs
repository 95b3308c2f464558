//! `bench`: runs the measurements, prints the tables and writes the results; or plays one of the parts.
#![expect(clippy::print_stdout, reason = "a command-line tool reports on standard output")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bench::figures::Measurement;
use bench::machine::Machine;
use bench::measure::ALL;
use bench::party::failed;
use bench::stage::Stage;
use bench::{chart, roles, table};
use clap::{Parser, Subcommand};
use interop::Failure;
use serde_json::json;

/// Rounds of a whole run, and of a quick one.
const ROUNDS: (usize, usize) = (5, 2);

/// Ours, theirs and the floor, side by side.
#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    part: Option<Part>,
    /// Short rounds, and few of them: to see that everything works
    #[arg(long)]
    quick: bool,
    /// Only these measurements
    #[arg(long, value_name = "a,b,..", value_delimiter = ',')]
    only: Vec<String>,
    /// How often every party has its turn
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// The folder for the results [default: docs/benchmarks; a run that is quick or partial writes nothing unless
    /// it is told where]
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Part {
    /// Plays a part in a measurement
    #[command(hide = true)]
    Role { name: String },
}

fn main() -> ExitCode {
    let args = Args::parse();
    let outcome = match &args.part {
        Some(Part::Role { name }) => roles::play(name),
        None => measure(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            println!("bench: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn measure(args: &Args) -> Result<(), Failure> {
    if let Some(unknown) = args.only.iter().find(|key| ALL.iter().all(|(known, _)| known != key)) {
        return Err(Failure::new(format!("\"{unknown}\" is not a measurement: they are a to k")));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let measurements = runtime.block_on(run(args))?;
    println!("\n{}", table::ratios(&measurements));
    let folder = match &args.out {
        Some(folder) => folder.clone(),
        None if args.quick || !args.only.is_empty() => return Ok(()),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/benchmarks"),
    };
    write(&folder, &measurements)
}

async fn run(args: &Args) -> Result<Vec<Measurement>, Failure> {
    let rounds = args.rounds.unwrap_or(if args.quick { ROUNDS.1 } else { ROUNDS.0 }).max(1);
    let stage = Stage::set(args.quick, rounds).await?;
    let mut measurements = Vec::new();
    for (key, run) in ALL {
        if args.only.is_empty() || args.only.iter().any(|only| only == key) {
            let measurement = run(&stage).await?;
            println!("{}", table::figures(&measurement));
            measurements.push(measurement);
        }
    }
    Ok(measurements)
}

fn write(folder: &Path, measurements: &[Measurement]) -> Result<(), Failure> {
    let machine = Machine::here();
    let text = serde_json::to_string_pretty(&json!({ "machine": machine, "measurements": measurements }));
    std::fs::create_dir_all(folder).map_err(failed)?;
    let files = [
        ("results.json", text.map_err(failed)? + "\n"),
        ("results.svg", chart::draw(&machine, measurements)),
        ("results.txt", table::ratios(measurements)),
    ];
    for (name, text) in files {
        std::fs::write(folder.join(name), text).map_err(failed)?;
        println!("wrote {name}");
    }
    Ok(())
}
