//! Lints: the whole workspace with its default features, then every published crate that has features, as a
//! library, with none of them, each alone, each pair, and all. Clippy's `incompatible_msrv`, which the workspace
//! denies, also checks here that nothing newer than the promised Rust is used.

use crate::metadata::Package;
use crate::runner::{self, Context, Outcome};

use super::prepare;

/// How many features at most are turned on together, short of all of them.
const DEPTH: usize = 2;

pub(super) fn run(context: &Context) -> Outcome {
    if !context.has_subcommand("clippy") {
        return context.missing_required("clippy", "rustup component add clippy");
    }
    Outcome::from_result(check(context))
}

fn check(context: &Context) -> Result<String, String> {
    let mut failures = Vec::new();
    let mut clippy = |args: &[&str]| {
        let mut command = context.build(["clippy"].iter().chain(args).copied());
        let command = command.args(["--", "-D", "warnings"]);
        // A log of continuous integration is long, and often read from its end.
        let result = if context.ci {
            runner::tee(command).and_then(|finished| {
                if finished.success() {
                    return Ok(());
                }
                complaints(&finished.stderr).for_each(|line| context.close_with(line.to_owned()));
                Err(format!("clippy {} fails", args.join(" ")))
            })
        } else {
            runner::stream(command)
        };
        if let Err(reason) = result {
            println!("{reason}");
            failures.push(args.join(" "));
        }
    };
    clippy(&["--workspace", "--all-targets"]);

    let native_tls = prepare::native_tls(context);
    let (mut sets, mut skipped) = (0, 0);
    for package in context.packages()?.iter().filter(|package| package.publishable) {
        for set in powerset(&features(package), DEPTH) {
            sets += 1;
            let list = set.join(",");
            if let Err(reason) = &native_tls
                && set.iter().any(|feature| package.uses_native_tls(feature))
            {
                skipped += 1;
                println!("skipped: -p {} --features {list}: {reason}", package.name);
                continue;
            }
            clippy(&["-p", &package.name, "--lib", "--no-default-features", "--features", &list]);
        }
    }

    if !failures.is_empty() {
        println!("clippy fails for:\n  {}", failures.join("\n  "));
        return Err(format!("{} of {} runs, listed above", failures.len(), 1 + sets - skipped));
    }
    Ok(match native_tls {
        Err(reason) if skipped > 0 => {
            format!("{} feature sets; {skipped} with native-tls skipped: {reason}", sets - skipped)
        }
        _ => format!("{sets} feature sets"),
    })
}

/// The first complaints of a run, without its progress.
fn complaints(stderr: &str) -> impl Iterator<Item = &str> {
    let progress = ["Compiling ", "Checking ", "Finished ", "Blocking "];
    stderr
        .lines()
        .filter(move |line| !progress.iter().any(|word| line.trim_start().starts_with(word)))
        .take(40)
}

/// The features of a package that can be chosen. `default` only stands for others.
fn features(package: &Package) -> Vec<&str> {
    package.features.keys().map(String::as_str).filter(|name| *name != "default").collect()
}

/// Every set of at most `depth` of the features, the smaller ones first, and the set of them all; nothing for a
/// package without features.
fn powerset<'a>(features: &[&'a str], depth: usize) -> Vec<Vec<&'a str>> {
    if features.is_empty() {
        return Vec::new();
    }
    // Each set, with the index after its last member: larger sets are made by adding later features only.
    let mut sets: Vec<(Vec<&str>, usize)> = vec![(Vec::new(), 0)];
    let mut layer = 0;
    for _ in 0..depth.min(features.len()) {
        let smaller = layer..sets.len();
        layer = sets.len();
        for index in smaller {
            let (set, start) = sets[index].clone();
            for (at, feature) in features.iter().enumerate().skip(start) {
                let mut larger = set.clone();
                larger.push(feature);
                sets.push((larger, at + 1));
            }
        }
    }
    let mut sets: Vec<Vec<&str>> = sets.into_iter().map(|(set, _)| set).collect();
    if features.len() > depth {
        sets.push(features.to_vec());
    }
    sets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powerset_has_the_empty_set_singles_pairs_and_all() {
        let sets: Vec<String> = powerset(&["a", "b", "c"], 2).iter().map(|set| set.join("")).collect();
        assert_eq!(sets, ["", "a", "b", "c", "ab", "ac", "bc", "abc"]);
    }

    #[test]
    fn powerset_names_the_full_set_once() {
        assert_eq!(powerset(&["a"], 2), [vec![], vec!["a"]]);
        assert_eq!(powerset(&["a", "b"], 2), [vec![], vec!["a"], vec!["b"], vec!["a", "b"]]);
    }

    #[test]
    fn powerset_of_four_at_depth_two() {
        assert_eq!(powerset(&["a", "b", "c", "d"], 2).len(), 1 + 4 + 6 + 1);
    }

    #[test]
    fn complaints_are_what_is_no_progress() {
        let stderr = "    Checking a v0.1.0\nerror: unused\n --> a.rs:2:11\n    Finished `ci` profile\n";
        assert_eq!(complaints(stderr).collect::<Vec<_>>(), ["error: unused", " --> a.rs:2:11"]);
    }

    #[test]
    fn powerset_of_no_features_is_left_to_the_workspace_run() {
        assert!(powerset(&[], 2).is_empty());
    }
}
