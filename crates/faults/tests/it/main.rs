//! Every scene of the table in its small size, one test each, named by its fault; and the mixed runs.

use std::process::ExitCode;

use faults::mixed::{Mixed, Without, many};
use faults::{FAULTS, Run};
use libtest_mimic::{Arguments, Failed, Trial};

fn main() -> ExitCode {
    if faults::bridge_child() {
        return ExitCode::SUCCESS;
    }
    if let Some(ended) = faults::work_if_asked() {
        return ended;
    }
    let scenes = FAULTS.iter().map(|fault| {
        Trial::test(fault.id, move || {
            fault.run(Run::small(1)).map(drop).map_err(|broken| Failed::from(broken.to_string()))
        })
    });
    let trials = scenes.chain([
        Trial::test("mixed_runs_hold", || holds(many(1, 10, None).held(), "a mixed run broke")),
        Trial::test("one_seed_gives_one_trace", one_trace),
        Trial::test("without_resending_a_mixed_run_breaks", || breaks(Without::Resend)),
        Trial::test("without_reports_of_gaps_a_mixed_run_breaks", || breaks(Without::Gap)),
    ]);
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}

fn holds(holds: bool, otherwise: &str) -> Result<(), Failed> {
    if holds { Ok(()) } else { Err(otherwise.into()) }
}

/// The same seed twice, line by line, and another one.
fn one_trace() -> Result<(), Failed> {
    let play = |seed| Mixed { keep_trace: true, ..Mixed::new(seed) }.play();
    let (first, again, other) = (play(7)?, play(7)?, play(8)?);
    let parted = first.trace.iter().zip(&again.trace).find(|(one, two)| one != two);
    holds(parted.is_none() && first.hash == again.hash, &format!("seed 7 parted at {parted:?}"))?;
    holds(first.trace.len() > 500, "the trace says too little")?;
    holds(first.hash != other.hash, "seeds 7 and 8 gave the same run")
}

fn breaks(without: Without) -> Result<(), Failed> {
    let runs = many(1, 3, Some(without));
    holds(!runs.held(), &format!("nothing noticed that {without:?} was switched off"))
}
