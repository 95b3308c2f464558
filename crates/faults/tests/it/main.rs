//! Every scene of the table in its small size: one test each, named by its fault.

use faults::{FAULTS, Run};
use libtest_mimic::{Arguments, Failed, Trial};

fn main() {
    let trials = FAULTS
        .iter()
        .map(|fault| {
            Trial::test(fault.id, move || {
                fault.run(Run::small(1)).map(drop).map_err(|broken| Failed::from(broken.to_string()))
            })
        })
        .collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}
