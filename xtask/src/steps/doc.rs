//! The documentation: every public item has some, and every link in it leads somewhere.

use std::env;

use crate::runner::{self, Context, Outcome};

pub(super) fn run(context: &Context) -> Outcome {
    let mut flags = env::var("RUSTDOCFLAGS").unwrap_or_default();
    flags.push_str(" -D warnings -D missing_docs");
    let mut command = context.build(["doc", "--workspace", "--no-deps", "--exclude", "xtask"]);
    let result = runner::stream(command.env("RUSTDOCFLAGS", flags.trim_start()));
    Outcome::from_result(result.map(|()| String::new()))
}
