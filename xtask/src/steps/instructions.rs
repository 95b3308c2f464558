//! The instructions of the hot paths, counted by valgrind beside what is recorded: counts do not depend on what else
//! the machine does.

use crate::runner::{self, Context, Outcome};

pub(super) fn run(context: &Context) -> Outcome {
    count(context, &[])
}

/// The same with further arguments, such as `--accept`.
pub(crate) fn count(context: &Context, more: &[String]) -> Outcome {
    if !runner::succeeds(context.command("valgrind").arg("--version")) {
        return Outcome::Skipped("valgrind is not installed (apt-get install valgrind)".to_owned());
    }
    let mut command = context.cargo(["run", "--quiet", "--release", "--package", "instructions", "--"]);
    let finished = match runner::tee(command.args(more)) {
        Ok(finished) => finished,
        Err(reason) => return Outcome::Failed(reason),
    };
    let summary = |line: &&str| line.starts_with("instructions: ");
    let summary = finished.stdout.lines().rfind(summary).unwrap_or("recorded").to_owned();
    if finished.success() { Outcome::Passed(summary) } else { Outcome::Failed(summary) }
}
