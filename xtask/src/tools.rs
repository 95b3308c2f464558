//! Commands with arguments of their own, which go to the program that does the work: `cargo xtask interop --defects`.

use crate::runner::{Context, Outcome};
use crate::steps::{STEPS, browser, faults, instructions, interop};
use crate::{bench, fuzz, man, soak};

/// One command.
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) run: fn(&Context, &[String]) -> Outcome,
}

/// Every command.
pub(crate) const TOOLS: &[Tool] = &[
    Tool {
        name: "interop",
        about: "the step of this name, with its options: --require, --only TEXT, --defects, --burst N, --differential N",
        run: interop::play,
    },
    Tool {
        name: "browser",
        about: "the step of this name, with its options: --screenshots (into docs/images), --load SECONDS, --rate EVENTS, \
                --require",
        run: browser::play,
    },
    Tool {
        name: "faults",
        about: "the step of this name in full size, with its options: --seed N, --runs N, --only ID, --small, \
                --break resend|gap, --trace",
        run: faults::play,
    },
    Tool {
        name: "fuzz",
        about: "the fuzz targets under libFuzzer, with a nightly compiler: --seconds N (default 60), --only TARGET",
        run: fuzz::run,
    },
    Tool {
        name: "soak",
        about: "a mixed load over sockets with a fault a minute: --minutes N (default 20, at least 8), --seed N",
        run: soak::run,
    },
    Tool {
        name: "bench",
        about: "ours, theirs and the floor side by side, into docs/benchmarks: --quick, --only a,b, --rounds N, --out FOLDER",
        run: bench::measure,
    },
    Tool {
        name: "man",
        about: "the manual pages of hubctl, one for each command, into a folder (default target/man)",
        run: man::write,
    },
    Tool {
        name: "instructions",
        about: "the step of this name, with its options: --accept (records what is counted), --only PATH",
        run: instructions::count,
    },
];

/// The command that the arguments begin with. One that is a step, too, is only meant with arguments of its own.
pub(crate) fn asked(args: &[String]) -> Option<(&'static Tool, &[String])> {
    let (first, rest) = args.split_first()?;
    let tool = TOOLS.iter().find(|tool| tool.name == first)?;
    let is_step = STEPS.iter().any(|step| step.name == first);
    (!rest.is_empty() || !is_step).then_some((tool, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked_name(args: &[&str]) -> Option<(&'static str, usize)> {
        let args: Vec<String> = args.iter().map(ToString::to_string).collect();
        asked(&args).map(|(tool, rest)| (tool.name, rest.len()))
    }

    #[test]
    fn a_command_with_arguments_of_its_own_gets_them() {
        assert_eq!(asked_name(&["interop", "--defects", "--require"]), Some(("interop", 2)));
        assert_eq!(asked_name(&["interop"]), None);
        assert_eq!(asked_name(&["fuzz"]), Some(("fuzz", 0)));
        assert_eq!(asked_name(&["fmt", "--verbose"]), None);
        assert_eq!(asked_name(&[]), None);
    }
}
