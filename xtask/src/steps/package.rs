//! The packages of the crates that are published, each built from its package as a user's cargo would.
//!
//! Cargo takes packages of one name and version for one and the same, wherever it has seen them: unpacked sources
//! and built libraries of an earlier run would be used again, although the crates have changed since. So each run
//! has a target directory of its own, which is removed afterwards.

use std::path::PathBuf;
use std::time::SystemTime;

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
    let target = Scratch::new();
    runner::stream(command.env("CARGO_TARGET_DIR", &target.0))?;
    let published = packages.iter().filter(|package| package.publishable).count();
    Ok(format!("{published} crates"))
}

/// A directory of this run alone.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let parent =
            std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
        let unique = format!("package-{}-{}", std::process::id(), moment());
        // Cargo reads a relative path from its own directory, which is this one.
        Self(parent.join(unique))
    }
}

/// Something that differs between two runs with the same process number.
#[expect(clippy::disallowed_methods, reason = "a name, not a protocol")]
fn moment() -> u128 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_millis())
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is in the way of nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
