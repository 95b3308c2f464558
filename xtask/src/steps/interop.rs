//! Official clients, a server we did not write, recorded sessions and the official expression matcher as judges.
//!
//! With no Node or Python it says what it skipped; in continuous integration a missing tool is a failure.

use crate::runner::{self, Context, Outcome};

pub(super) fn run(context: &Context) -> Outcome {
    play(context, &[])
}

/// The judges with further arguments, such as `--defects`.
pub(crate) fn play(context: &Context, more: &[String]) -> Outcome {
    let mut command = context.build(["run", "--quiet", "--package", "interop"]);
    command.arg("--");
    if context.ci {
        command.arg("--require");
    }
    if context.full {
        command.args(["--differential", "20000", "--burst", "20000", "--defects"]);
    }
    let finished = match runner::tee(command.args(more)) {
        Ok(finished) => finished,
        Err(reason) => return Outcome::Failed(reason),
    };
    let summary = |line: &&str| line.ends_with(" skipped") && line.contains(" passed, ");
    let counts = finished.stdout.lines().rfind(summary).unwrap_or("no summary").to_owned();
    if finished.success() { Outcome::Passed(counts) } else { Outcome::Failed(counts) }
}
