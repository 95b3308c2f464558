//! `soak`: F23, a mixed load with a fault a minute. Started as `soak serve` it is the services.
#![expect(clippy::print_stdout, reason = "a command-line tool")]

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use faults::soak::{Soak, serve};

/// A mixed load over real sockets, with a fault a minute: memory and descriptors must stay flat, the books clean.
#[derive(Debug, Parser)]
struct Args {
    /// For how long, 8 at least
    #[arg(long, default_value_t = 20)]
    minutes: u64,
    /// Which faults come when
    #[arg(long, default_value_t = 1)]
    seed: u64,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The services; what a soak starts by itself
    #[command(hide = true)]
    Serve,
}

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let args = Args::parse();
    let outcome = match args.command {
        Some(Command::Serve) => serve().await.map(|()| None),
        None => {
            println!("F23: {} minutes, seed {}", args.minutes, args.seed);
            let soak = Soak { time: Duration::from_secs(args.minutes * 60), seed: args.seed };
            soak.run(&|line| println!("{line}")).await.map(Some)
        }
    };
    match outcome {
        Ok(figures) => {
            if let Some(figures) = figures {
                println!("F23  ok: {figures}");
            }
            ExitCode::SUCCESS
        }
        Err(what) => {
            println!("F23  BROKEN: {what} (seed {})", args.seed);
            ExitCode::FAILURE
        }
    }
}
