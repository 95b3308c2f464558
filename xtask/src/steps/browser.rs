//! The inspector's page in Chromium, driven from Rust.
//!
//! With no Chromium or ChromeDriver, which `prepare` installs where it can, it says what it skipped.

use crate::runner::{self, Context, Outcome};

/// How long the page is put under load as a part of the step: that it stays right, not how fast it is.
const SMALL_LOAD: [&str; 2] = ["--load", "3"];

pub(super) fn run(context: &Context) -> Outcome {
    match play(context, &[]) {
        Outcome::Passed(note) => match play(context, &SMALL_LOAD.map(str::to_owned)) {
            Outcome::Passed(load) => Outcome::Passed(format!("{note}; {load}")),
            other => other,
        },
        other => other,
    }
}

/// The program with further arguments, such as `--load 60`.
pub(crate) fn play(context: &Context, more: &[String]) -> Outcome {
    let mut command = context.build(["run", "--quiet", "--package", "browser"]);
    let finished = match runner::tee(command.arg("--").args(more)) {
        Ok(finished) => finished,
        Err(reason) => return Outcome::Failed(reason),
    };
    verdict(&finished.stdout, finished.success())
}

/// What the lines of the program come to: the first of its figures, or its counts at the end.
fn verdict(said: &str, success: bool) -> Outcome {
    if let Some(why) = said.lines().find_map(|line| line.strip_prefix("skipped: "))
        && success
    {
        return Outcome::Skipped(why.to_owned());
    }
    let figures = said.lines().find(|line| line.contains(" accounted for on the page"));
    let counts = figures.or_else(|| said.lines().last()).unwrap_or("it said nothing").to_owned();
    if success { Outcome::Passed(counts) } else { Outcome::Failed(counts) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verdict_is_in_what_the_program_says() {
        for (said, success, expected) in [
            ("ok      a\n14 passed, 0 failed\n", true, Outcome::Passed("14 passed, 0 failed".to_owned())),
            ("FAILED  a: b\n13 passed, 1 failed\n", false, Outcome::Failed("13 passed, 1 failed".to_owned())),
            ("skipped: chromium is missing\n", true, Outcome::Skipped("chromium is missing".to_owned())),
            (
                "skipped: chromium is missing\n",
                false,
                Outcome::Failed("skipped: chromium is missing".to_owned()),
            ),
            (
                "5 published, 5 accounted for on the page\nframes\n",
                true,
                Outcome::Passed("5 published, 5 accounted for on the page".to_owned()),
            ),
            ("", false, Outcome::Failed("it said nothing".to_owned())),
        ] {
            assert_eq!(verdict(said, success), expected, "{said}");
        }
    }
}
