//! `interop`: plays every scenario and prints the tables.
#![expect(clippy::print_stdout, reason = "a command-line tool reports on standard output")]

use std::process::ExitCode;

use clap::Parser;
use hub_emulator::Defect;
use interop::{Failure, Scenario, Tools};

/// Pairs of expression and event that are compared unless said.
const PAIRS: usize = 2_000;
/// Scenarios that must notice a defect before the next one is tried.
const ENOUGH: usize = 2;

/// The official clients and a server we did not write, against the emulator and the clients of this project.
#[derive(Debug, Parser)]
struct Args {
    /// A missing tool is a failure; so it is with CI=true
    #[arg(long)]
    require: bool,
    /// Only scenarios whose title has this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Only print the titles
    #[arg(long)]
    list: bool,
    /// Play them with each named defect of the emulator, too
    #[arg(long)]
    defects: bool,
    /// Compare so many pairs of expression and event with the official matcher [default: 2000, with --only 0]
    #[arg(long, value_name = "PAIRS")]
    differential: Option<usize>,
    /// What the pairs are made from
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Publish so many events to the real server in one burst; 0: none
    #[arg(long, default_value_t = 0, value_name = "EVENTS")]
    burst: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter("error").init();
    let mut args = Args::parse();
    args.require |= std::env::var("CI").is_ok_and(|ci| ci == "true");
    match judge(&args).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            println!("interop: {failure}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "tells how long it took")]
async fn judge(args: &Args) -> Result<bool, Failure> {
    let mut scenarios = interop::scenarios();
    if let Some(wanted) = &args.only {
        scenarios.retain(|scenario| format!("{scenario:?}").contains(wanted));
    }
    if args.list {
        for scenario in &scenarios {
            println!("{scenario:?}");
        }
        return Ok(true);
    }
    let began = std::time::Instant::now();
    let tools = Tools::prepare().await?;
    println!("prepared in {:.1} s", began.elapsed().as_secs_f64());
    let began = std::time::Instant::now();
    let report = interop::run(&scenarios, &tools).await;
    println!("\n{report}\nplayed in {:.1} s", began.elapsed().as_secs_f64());
    let mut good = report.is_clean() && !(args.require && report.skipped() > 0);
    let pairs = args.differential.unwrap_or(if args.only.is_none() { PAIRS } else { 0 });
    if pairs > 0 {
        good &= match &tools.python {
            Ok(_) => compare(&tools, pairs, args.seed).await?,
            Err(why) => not_done("expressions were not compared", why, args),
        };
    }
    if args.burst > 0 {
        good &= match &tools.node {
            Ok(_) => burst(&tools, args.burst).await?,
            Err(why) => not_done("nothing was published in a burst", why, args),
        };
    }
    if args.defects {
        good &= match tools.missing() {
            None => defects(&scenarios, &tools).await,
            Some(why) => not_done("the defects were not tried", why, args),
        };
    }
    Ok(good)
}

/// Says why something was left out; whether that is good.
fn not_done(what: &str, why: &str, args: &Args) -> bool {
    println!("\n{what}: {why}");
    !args.require
}

async fn compare(tools: &Tools, pairs: usize, seed: u64) -> Result<bool, Failure> {
    let classes = interop::differential(tools, pairs, seed).await?;
    println!("\n{pairs} pairs of expression and event, seed {seed}:\n{classes}");
    Ok(classes.unexplained.is_empty())
}

async fn burst(tools: &Tools, events: u64) -> Result<bool, Failure> {
    let burst = interop::burst(tools, events).await?;
    println!("\n{events} events of 1.5 KB to socket.io 0.9.19: {burst}");
    Ok(burst.is_complete(events))
}

async fn defects(scenarios: &[Scenario], tools: &Tools) -> bool {
    let mut caught = Vec::new();
    for defect in Defect::ALL {
        let (by, played) = interop::notice(scenarios, tools, defect, ENOUGH).await;
        caught.push((defect, by, played));
    }
    println!("\n{}", interop::defects_table(&caught));
    caught.iter().all(|(_, by, _)| !by.is_empty())
}
