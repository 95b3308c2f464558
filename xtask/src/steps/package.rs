//! The packages of the crates that are published, each built from its package as a user's cargo would.

use crate::runner::{self, Context, Outcome};

pub(super) fn run(context: &Context) -> Outcome {
    Outcome::from_result(package(context))
}

fn package(context: &Context) -> Result<String, String> {
    let packages = context.packages()?;
    let mut command = context.cargo(["package", "--workspace"]);
    for package in packages.iter().filter(|package| !package.publishable) {
        command.args(["--exclude", &package.name]);
    }
    if context.ci {
        // `cargo package` builds with the profile `dev` only: make that as small as the profile `ci` is.
        command.args(["--locked"]).env("CARGO_PROFILE_DEV_DEBUG", "false");
    } else {
        command.arg("--allow-dirty");
    }
    runner::stream(&mut command)?;
    let published = packages.iter().filter(|package| package.publishable).count();
    Ok(format!("{published} crates"))
}
