//! A foreign process that does not do what it should is ended by its own handle, and what it wrote is shown.

use std::time::Duration;

use interop::Puppet;
use serde_json::json;
use tokio::process::Command;

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(script);
    command
}

#[tokio::test]
async fn one_that_hangs_is_ended_after_its_deadline_and_its_output_is_shown() {
    // It says why, on both of its outputs, and then nothing any more.
    let script = "echo 'cannot find the module' >&2; echo 'not JSON'; read line; exec sleep 600";
    let puppet = Puppet::start("a mute", shell(script)).expect("it starts");
    let puppet = puppet.patience(Duration::from_millis(300));
    let failure = puppet.call("connect", json!({})).await.expect_err("it does not answer").to_string();
    for wanted in
        ["a mute: connect: no answer within 300ms", "signal: 9", "cannot find the module", "not JSON"]
    {
        assert!(failure.contains(wanted), "{failure}");
    }
}

#[tokio::test]
async fn one_that_hangs_while_an_event_is_awaited_fails_at_the_deadline() {
    let puppet = Puppet::start("a mute", shell("echo waiting >&2; exec sleep 600")).expect("it starts");
    let puppet = puppet.patience(Duration::from_millis(300));
    let failure = puppet.event(|_| true).await.expect_err("it says nothing").to_string();
    assert!(failure.contains("no such event within 300ms") && failure.contains("waiting"), "{failure}");
}

#[tokio::test]
async fn one_that_ends_fails_at_once_with_its_output() {
    let puppet = Puppet::start("a brief one", shell("read line; echo 'out of memory' >&2; exit 3"));
    let puppet = puppet.expect("it starts");
    let failure = puppet.call("connect", json!({})).await.expect_err("it ended").to_string();
    for wanted in ["it ended instead of answering (exit status: 3)", "out of memory"] {
        assert!(failure.contains(wanted), "{failure}");
    }
}

#[tokio::test]
async fn one_that_is_dropped_is_gone() {
    let puppet =
        Puppet::start("one", shell("echo \"{\\\"event\\\": $$}\"; exec sleep 600")).expect("it starts");
    let said = puppet.event(|_| true).await.expect("its number");
    let alive = || async {
        let status =
            shell(&format!("kill -0 {} 2>&1", said["event"])).output().await.expect("a shell").status;
        status.success()
    };
    assert!(alive().await);
    drop(puppet);
    let gone = async {
        while alive().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), gone).await.expect("it is gone");
}

#[tokio::test]
async fn one_that_cannot_be_started_says_why() {
    let failure = Puppet::start("nobody", Command::new("/nowhere/at/all")).expect_err("there is none");
    assert!(failure.to_string().starts_with("nobody does not start: "), "{failure}");
}
