//! What is measured side by side: no check, for figures depend on the machine.

use crate::runner::{self, Context, Outcome};

/// Builds the release programs and runs them with these arguments.
pub(crate) fn measure(context: &Context, args: &[String]) -> Outcome {
    // A measured party may be another program than the one that is run.
    let built = runner::stream(&mut context.cargo([
        "build",
        "--quiet",
        "--release",
        "--package",
        "bench",
        "--package",
        "hubctl",
        "--bins",
    ]));
    if let Err(reason) = built {
        return Outcome::Failed(reason);
    }
    let mut command = context.cargo(["run", "--quiet", "--release", "--package", "bench", "--"]);
    Outcome::from_result(runner::stream(command.args(args)).map(|()| "done".to_owned()))
}
