//! The deterministic fault suite: its scenes, and runs in which many things go wrong at the same time.

use crate::runner::{self, Context, Outcome};

/// Mixed runs in `test-all`, and in `full`.
const RUNS: &str = "200";
const FULL_RUNS: &str = "10000";

pub(super) fn run(context: &Context) -> Outcome {
    if context.full { play(context, &["--runs".into(), FULL_RUNS.into()]) } else { small(context) }
}

/// With arguments of its own, such as `--only F3`; optimised, since the scenes are long.
pub(crate) fn play(context: &Context, more: &[String]) -> Outcome {
    let mut command = context.cargo(["run", "--quiet", "--release", "--package", "faults"]);
    if context.ci {
        command.arg("--locked");
    }
    judge(command.arg("--").args(more))
}

/// The scenes in the sizes of the tests, for their table, and the mixed runs.
fn small(context: &Context) -> Outcome {
    let mut command = context.build(["run", "--quiet", "--package", "faults"]);
    judge(command.args(["--", "--small", "--runs", RUNS]))
}

fn judge(command: &mut std::process::Command) -> Outcome {
    let finished = match runner::tee(command) {
        Ok(finished) => finished,
        Err(reason) => return Outcome::Failed(reason),
    };
    let broken = finished.stdout.lines().filter(|line| line.contains("BROKEN")).count();
    let summary = finished.stdout.lines().rfind(|line| line.starts_with("mixed: ")).unwrap_or("scenes only");
    if finished.success() {
        Outcome::Passed(summary.to_owned())
    } else {
        Outcome::Failed(format!("{broken} broken, see above for how to play them again; {summary}"))
    }
}
