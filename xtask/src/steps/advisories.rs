//! Known vulnerabilities of dependencies. Fetches the list of them, so it runs only when told that it may.

use std::env;

use crate::runner::{self, Context, Outcome};

pub(super) fn run(context: &Context) -> Outcome {
    if env::var_os("XTASK_ONLINE").is_none_or(|value| value != "1") {
        return Outcome::Skipped("it needs the internet (set XTASK_ONLINE=1)".to_owned());
    }
    let args: &[&str] = if context.has_subcommand("deny") {
        &["deny", "check", "advisories"]
    } else if context.has_subcommand("audit") {
        &["audit"]
    } else {
        let how = "cargo install cargo-deny --locked";
        return Outcome::Skipped(format!("neither cargo-deny nor cargo-audit is installed ({how})"));
    };
    Outcome::from_result(runner::stream(&mut context.cargo(args.iter().copied())).map(|()| String::new()))
}
