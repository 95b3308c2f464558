//! Every transport, judged by every behaviour: one test for each pair, named `transport::behaviour`. Then transports
//! that lie, each of which must be noticed.
#![expect(clippy::print_stderr, reason = "a test harness says what it could not judge")]

mod lies;

use conformance::subjects::TRANSPORTS;
use conformance::{BEHAVIOURS, Judgement, judge};
use libtest_mimic::{Arguments, Failed, Trial};

fn main() {
    let mut trials = Vec::new();
    for entry in TRANSPORTS {
        // Left out by name, and shown as such.
        let missing = (entry.missing)();
        if let Some(how) = missing {
            eprintln!("skipped: {} cannot be judged here ({how})", entry.name);
        }
        for behaviour in BEHAVIOURS {
            let name = format!("{}::{}", entry.name, behaviour.name);
            let trial = Trial::test(name, move || match judge(entry, behaviour) {
                Ok(Judgement::NotJudged(tool)) => {
                    eprintln!("not judged: the service cannot {tool}");
                    Ok(())
                }
                Ok(_) => Ok(()),
                Err(broken) => Err(Failed::from(broken.to_string())),
            });
            trials.push(trial.with_ignored_flag(missing.is_some()));
        }
    }
    for (entry, by) in lies::LIES {
        let name = format!("lies::{}_is_noticed", entry.name);
        trials.push(Trial::test(name, move || lies::noticed(entry, by).map_err(Failed::from)));
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}
