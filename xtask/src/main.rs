//! The project's chores. `cargo xtask test-all` is what continuous integration runs; `cargo xtask list`
//! names the steps it is made of, each of which also runs alone as `cargo xtask <step>`.
#![expect(clippy::print_stdout, reason = "a command-line tool reports on standard output")]

mod bench;
mod fuzz;
mod man;
mod metadata;
mod runner;
mod soak;
mod steps;
mod tools;

use std::process::ExitCode;

use clap::Parser;
use clap::builder::PossibleValuesParser;

use runner::{Context, Outcome};
use steps::Step;

/// Checks of the event SDK, one step at a time or all of them.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    /// `test-all` (every step), `full` (every step, property tests at full size), `list`, or steps by name
    #[arg(required = true, value_name = "WHAT", value_parser = PossibleValuesParser::new(words()))]
    what: Vec<String>,
    /// Stop at the first step that fails
    #[arg(long)]
    fail_fast: bool,
    /// Show the output of examples that succeed, too
    #[arg(long, short)]
    verbose: bool,
}

/// Everything that may stand as an argument: the three collective words and the names of the steps.
fn words() -> Vec<&'static str> {
    ["test-all", "full", "list"].into_iter().chain(steps::STEPS.iter().map(|step| step.name)).collect()
}

/// The steps that the arguments ask for, in the order of the table, each once.
fn selected(what: &[String]) -> Vec<&'static Step> {
    let all = what.iter().any(|word| word == "test-all" || word == "full");
    steps::STEPS.iter().filter(|step| all || what.iter().any(|word| word == step.name)).collect()
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let Some((tool, args)) = tools::asked(&args) {
        return run_tool(tool, args);
    }
    let cli = Cli::parse();
    if cli.what.iter().any(|word| word == "list") {
        for step in steps::STEPS {
            println!("{:<12}{}", step.name, step.about);
        }
        println!("\nwith arguments of their own:");
        for tool in tools::TOOLS {
            println!("{:<12}{}", tool.name, tool.about);
        }
        return ExitCode::SUCCESS;
    }
    let full = cli.what.iter().any(|word| word == "full");
    let context = match Context::new(full, cli.verbose) {
        Ok(context) => context,
        Err(reason) => {
            println!("xtask: {reason}");
            return ExitCode::FAILURE;
        }
    };
    runner::run_steps(&context, &selected(&cli.what), cli.fail_fast)
}

fn run_tool(tool: &tools::Tool, args: &[String]) -> ExitCode {
    let outcome = Context::new(false, false).map(|context| {
        let outcome = (tool.run)(&context, args);
        context.closing_lines().iter().for_each(|line| println!("{line}"));
        outcome
    });
    match outcome {
        Ok(Outcome::Passed(note)) => {
            println!("{}: {note}", tool.name);
            ExitCode::SUCCESS
        }
        Ok(Outcome::Failed(reason) | Outcome::Skipped(reason)) | Err(reason) => {
            println!("{}: {reason}", tool.name);
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(what: &[&str]) -> Vec<&'static str> {
        let what: Vec<String> = what.iter().map(ToString::to_string).collect();
        selected(&what).iter().map(|step| step.name).collect()
    }

    #[test]
    fn test_all_and_full_select_every_step() {
        assert_eq!(names(&["test-all"]).len(), steps::STEPS.len());
        assert_eq!(names(&["full"]).len(), steps::STEPS.len());
    }

    #[test]
    fn named_steps_run_once_in_table_order() {
        assert_eq!(names(&["doc", "fmt", "doc"]), ["fmt", "doc"]);
    }

    #[test]
    fn step_names_are_unique_and_differ_from_the_collective_words() {
        let mut all = words();
        all.sort_unstable();
        let count = all.len();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
