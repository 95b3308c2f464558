//! The manual pages of `hubctl`, for those who make packages.

use std::path::PathBuf;

use crate::runner::{self, Context, Outcome};

/// Writes a page for each command into a folder: the first argument, or `target/man`.
pub(crate) fn write(context: &Context, args: &[String]) -> Outcome {
    let folder = match args {
        [] => target(context).join("man"),
        [folder] => folder.into(),
        _ => return Outcome::Failed("one folder is enough: cargo xtask man [FOLDER]".to_owned()),
    };
    let mut command = context.cargo(["run", "--quiet", "--package", "hubctl", "--", "man"]);
    Outcome::from_result(
        runner::stream(command.arg(&folder)).map(|()| format!("the pages are in {}", folder.display())),
    )
}

/// Where cargo builds.
fn target(context: &Context) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| context.root.join("target"), |set| context.root.join(set))
}
