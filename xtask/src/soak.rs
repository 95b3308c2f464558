//! `cargo xtask soak`: a mixed load over real sockets with a fault a minute, optimised, for so many minutes.

use crate::runner::{self, Context, Outcome};

pub(crate) fn run(context: &Context, args: &[String]) -> Outcome {
    let mut command = context.cargo(["run", "--quiet", "--release", "--package", "faults", "--bin", "soak"]);
    let finished = match runner::tee(command.arg("--").args(args)) {
        Ok(finished) => finished,
        Err(reason) => return Outcome::Failed(reason),
    };
    let verdict = finished.stdout.lines().rfind(|line| line.starts_with("F23  "));
    let verdict = verdict.unwrap_or("it came to no verdict").to_owned();
    if finished.success() { Outcome::Passed(verdict) } else { Outcome::Failed(verdict) }
}
