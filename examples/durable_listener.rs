//! A listener that can be killed: nothing that it received is lost.
//!
//! Without arguments it plays the whole story with an embedded server: a listener in a process of its own is killed in
//! the middle of its work, and started again. To play it by hand, against any server:
//!
//! ```text
//! cargo run --example durable_listener -- listen https://studio.ftrackapp.com events.journal
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ftrack_hub::journal::{Config, GAP_TOPIC, Journal};
use ftrack_hub::{Event, Session};
use hub_emulator::Emulator;
use serde_json::json;
use tokio::sync::mpsc;

const EVENTS: u64 = 20;

type Failure = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["listen", url, path] => listen(url, path).await,
        _ => story().await,
    }
}

/// Works on events, one after the other, until somebody ends the process.
async fn listen(url: &str, path: &str) -> Result<(), Failure> {
    let user = std::env::var("FTRACK_API_USER").unwrap_or_else(|_| "jane.doe".to_owned());
    let key = std::env::var("FTRACK_API_KEY").unwrap_or_else(|_| "any-key-will-do".to_owned());
    let journal = Journal::open(path, Config::default()).await?;
    let session = Session::builder(url, user, key).journal(journal.clone()).build()?;
    let hub = session.event_hub();
    hub.connect().await?;
    hub.subscribe(format!("topic=render.done or topic={GAP_TOPIC}"))
        .durable("durable-listener")
        .handle(move |event: Event| {
            let stored = journal.stats().next_sequence - 1;
            async move {
                if event.topic() == GAP_TOPIC {
                    println!("gap: {}", event.data_value()["reason"].as_str().unwrap_or_default());
                } else {
                    // The work.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    println!("handled {} of {stored} stored", event.data_value()["shot"]);
                }
            }
        })
        .await?;
    hub.wait_for_state(ftrack_hub::ConnectionState::is_connected).await;
    println!("listening");
    std::future::pending().await
}

async fn story() -> Result<(), Failure> {
    let emulator = Emulator::start().await?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("events.journal");
    let session = Session::builder(emulator.ftrack_url(), "jane.doe", "any-key-will-do").build()?;
    session.event_hub().connect().await?;
    let mut handled: BTreeMap<String, u32> = BTreeMap::new();

    let (mut first, mut said) = start(&emulator.ftrack_url(), &path)?;
    while said.recv().await.ok_or("the listener ended")? != "listening" {}
    for shot in 0..EVENTS {
        session.event_hub().publish(Event::new("render.done", &json!({ "shot": shot }))?).await?;
    }
    // Killed when all are stored, and long before all are handled.
    loop {
        let line = said.recv().await.ok_or("the listener ended")?;
        note(&line, &mut handled);
        if line.ends_with(&format!("of {EVENTS} stored")) {
            break;
        }
    }
    first.kill()?;
    first.wait()?;
    while let Some(line) = said.recv().await {
        note(&line, &mut handled);
    }
    println!("killed after {} of {EVENTS} events", handled.len());

    let (mut second, mut said) = start(&emulator.ftrack_url(), &path)?;
    while (handled.len() as u64) < EVENTS {
        let line = said.recv().await.ok_or("the listener ended")?;
        if line.starts_with("gap") {
            println!("{line}");
        }
        note(&line, &mut handled);
    }
    second.kill()?;
    second.wait()?;
    let twice = handled.values().filter(|times| **times > 1).count();
    println!("started again: {} of {EVENTS} events handled, {twice} of them twice", handled.len());
    session.event_hub().close().await;
    Ok(())
}

fn note(line: &str, handled: &mut BTreeMap<String, u32>) {
    if let Some(rest) = line.strip_prefix("handled ") {
        let shot = rest.split(' ').next().unwrap_or_default();
        *handled.entry(shot.to_owned()).or_default() += 1;
    }
}

/// Starts the listener as a process of its own, and passes on what it says.
fn start(url: &str, path: &Path) -> Result<(Child, mpsc::Receiver<String>), Failure> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(["listen", url])
        .arg(path)
        .stdout(Stdio::piped())
        .spawn()?;
    let output = child.stdout.take().ok_or("the listener has no output")?;
    let (lines, said) = mpsc::channel(64);
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if lines.blocking_send(line).is_err() {
                break;
            }
        }
    });
    Ok((child, said))
}
