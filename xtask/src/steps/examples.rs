//! Runs every example of the package `examples` to its end, within a time limit.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::prepare;
use crate::runner::{self, Context, Finished, Outcome};

const PACKAGE: &str = "examples";
/// Examples that do nothing without a server of NATS.
const NEED_NATS: &[&str] = &["worker_pool"];
const LIMIT: Duration = Duration::from_secs(60);

pub(super) fn run(context: &Context) -> Outcome {
    match context.packages() {
        Err(reason) => Outcome::Failed(reason),
        Ok(packages) => match packages.iter().find(|package| package.name == PACKAGE) {
            Some(package) if !package.examples.is_empty() => {
                Outcome::from_result(run_all(context, &package.examples))
            }
            _ => Outcome::Skipped("there are no examples yet".to_owned()),
        },
    }
}

fn run_all(context: &Context, names: &[String]) -> Result<String, String> {
    // The whole workspace is named, not only the package, so that dependencies have the features that the tests
    // built them with.
    let mut command = context.build(["build", "--workspace", "--examples"]);
    command.arg("--message-format=json-render-diagnostics");
    runner::announce(&command);
    let programs = programs(&runner::stdout_of(&mut command)?);

    let nats = prepare::has_nats_server(context);
    let (mut failures, mut left_out) = (Vec::new(), Vec::new());
    for name in names {
        if NEED_NATS.contains(&name.as_str()) && !nats {
            println!("{name}: skipped, it needs nats-server");
            left_out.push(name.as_str());
            continue;
        }
        let Some((_, program)) = programs.iter().find(|(built, _)| built == name) else {
            failures.push(format!("{name}: was not built"));
            continue;
        };
        let mut command = context.command(program);
        runner::announce(&command);
        let finished = runner::limited(&mut command, LIMIT)?;
        let verdict = verdict(&finished);
        if verdict.is_err() || context.verbose {
            print!("{}{}", finished.stdout, finished.stderr);
        }
        match verdict {
            Ok(()) => println!("{name}: ok"),
            Err(reason) => {
                println!("{name}: {reason}");
                failures.push(format!("{name}: {reason}"));
            }
        }
    }
    if !failures.is_empty() {
        return Err(failures.join("; "));
    }
    let run = format!("{} run", names.len() - left_out.len());
    if left_out.is_empty() {
        Ok(run)
    } else {
        Ok(format!("{run}; skipped without nats-server: {}", left_out.join(", ")))
    }
}

fn verdict(finished: &Finished) -> Result<(), String> {
    match finished.status {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(status.to_string()),
        None => Err(format!("not done after {} seconds, stopped", LIMIT.as_secs())),
    }
}

/// The examples among the artifacts that cargo reports as lines of JSON, by name.
fn programs(messages: &str) -> Vec<(String, PathBuf)> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    messages
        .filter(|message| message["target"]["kind"][0] == "example")
        .filter_map(|message| {
            let name = message["target"]["name"].as_str()?;
            Some((name.to_owned(), message["executable"].as_str()?.into()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_the_examples_with_an_executable() {
        let messages = r#"
{"reason":"compiler-artifact","target":{"kind":["lib"],"name":"examples"},"executable":null}
{"reason":"compiler-artifact","target":{"kind":["example"],"name":"hello"},"executable":"target/debug/examples/hello"}
{"reason":"build-finished","success":true}
not json"#;
        assert_eq!(programs(messages), [("hello".to_owned(), PathBuf::from("target/debug/examples/hello"))]);
    }
}
