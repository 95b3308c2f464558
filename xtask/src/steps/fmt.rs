//! Formatting, by rustfmt.

use crate::runner::{self, Context, Outcome};

pub(super) fn run(context: &Context) -> Outcome {
    if !context.has_subcommand("fmt") {
        return context.missing_required("rustfmt", "rustup component add rustfmt");
    }
    let result = runner::stream(&mut context.cargo(["fmt", "--all", "--check"]));
    Outcome::from_result(result.map(|()| String::new()))
}
