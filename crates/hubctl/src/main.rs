//! `hubctl`: what an event hub sees, on the command line.
//!
//! One file for each command in [`commands`]; [`connection`] finds out which server and as whom, [`output`] writes
//! events down, [`exit`] turns what went wrong into a line and an exit code, [`recording`] is the format of
//! recordings, [`kept`] opens journals.

mod cli;
mod commands;
mod connection;
mod exit;
mod explain;
mod kept;
mod output;
mod profiles;
mod recording;
mod signals;
mod text;
mod when;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;

// One worker for the connection while another one waits for a slow reader of the output.
#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("off"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let cli = cli::Cli::parse();
    output::choose_color(cli.color);
    // On a worker, which then wakes it without waking a thread; this thread only waits for its end.
    let outcome = tokio::spawn(commands::run(cli)).await;
    match outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic())) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read the output has seen enough.
        Err(failure) if failure.is_closed_pipe() => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(anstream::stderr(), "hubctl: {failure}");
            failure.code()
        }
    }
}
