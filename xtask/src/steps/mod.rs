//! The table of steps. A new step is one module here and one entry in [`STEPS`].

mod advisories;
pub(crate) mod browser;
mod clippy;
mod doc;
mod examples;
pub(crate) mod faults;
mod fmt;
mod hygiene;
pub(crate) mod instructions;
pub(crate) mod interop;
mod licences;
mod msrv;
mod package;
mod prepare;
mod test;

use crate::runner::{Context, Outcome};

/// One check, run by its name or as part of `test-all`.
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) run: fn(&Context) -> Outcome,
}

/// Every step, in the order in which `test-all` runs them.
pub(crate) const STEPS: &[Step] = &[
    Step {
        name: "prepare",
        about: "what the steps need of the machine; installs what is missing where that is possible",
        run: prepare::run,
    },
    Step { name: "fmt", about: "formatting", run: fmt::run },
    Step {
        name: "clippy",
        about: "lints, for the workspace and for every pair of features",
        run: clippy::run,
    },
    Step { name: "test", about: "unit and integration tests", run: test::run },
    Step { name: "doctest", about: "the examples in the documentation", run: test::run_doctests },
    Step { name: "doc", about: "documentation, complete and with sound links", run: doc::run },
    Step { name: "package", about: "the published crates build from their packages", run: package::run },
    Step { name: "examples", about: "every example program, run to its end", run: examples::run },
    Step {
        name: "interop",
        about: "official clients, a server we did not write and recorded sessions as judges",
        run: interop::run,
    },
    Step {
        name: "browser",
        about: "the inspector's page in Chromium: what it shows, what it keeps out (needs chromium and chromedriver)",
        run: browser::run,
    },
    Step {
        name: "faults",
        about: "the table of faults in its small size, and 200 runs in which many things go wrong at once",
        run: faults::run,
    },
    Step {
        name: "instructions",
        about: "machine instructions of the hot paths, within 3 % of what is recorded (needs valgrind)",
        run: instructions::run,
    },
    Step {
        name: "licences",
        about: "the licences of all dependencies, by a list of those that will do",
        run: licences::run,
    },
    Step {
        name: "advisories",
        about: "known vulnerabilities of dependencies (needs the internet)",
        run: advisories::run,
    },
    Step {
        name: "msrv",
        about: "builds with the oldest promised Rust, where that is installed",
        run: msrv::run,
    },
    Step {
        name: "portable",
        about: "hygiene of the files: no machine's paths, no leftovers",
        run: hygiene::run,
    },
];
