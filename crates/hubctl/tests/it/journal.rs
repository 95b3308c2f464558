//! Journals of programs that have ended: looked at, replayed, tried again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use event_core::memory::MemoryHub;
use event_core::{ErrorKind, Event, EventHub};
use event_journal::{Config, Journal, Journaled};
use serde_json::{Value, json};
use trycmd::TestCases;

use crate::support::{Served, bare, hubctl};

/// 26 November 2025, 10:00 UTC: the time at which everything in the journal happens.
const THEN: u64 = 1_764_151_200;

fn config() -> Config {
    let mut config = Config::default();
    config.clock = Arc::new(|| UNIX_EPOCH + Duration::from_secs(THEN));
    config
}

async fn hub(bus: &MemoryHub, journal: &Journal) -> EventHub {
    let kept = journal.clone();
    let layer = move |transport, dialect: &_| Journaled::over(transport, kept).dialect(Arc::clone(dialect));
    EventHub::builder(bus.transport()).layer(layer).connect().await.unwrap()
}

/// A journal with a publish that was refused, and five events: `farm` handled three, gave the third up, and has the
/// last one open.
async fn make(path: &Path) {
    let bus = MemoryHub::new();
    let mut config = config();
    config.retry.deliveries = 2;
    config.retry.first = Duration::from_secs(3_600);
    let journal = Journal::open(path, config).await.unwrap();
    let hub = hub(&bus, &journal).await;
    let mut renders = hub.subscribe("topic=studio.render").durable("farm").stream().await.unwrap();
    while bus.subscriptions() < 1 {
        tokio::task::yield_now().await;
    }
    bus.refuse_events(Some(ErrorKind::PermissionDenied));
    let refused = Event::builder("studio.report").id("p1").data(&json!({"done": 3})).build().unwrap();
    hub.publish(refused).await.unwrap();
    while journal.stats().unsent < 1 {
        tokio::task::yield_now().await;
    }
    for n in 1..=5 {
        let event = Event::builder("studio.render").id(format!("id-{n}")).data(&json!({"frame": n}));
        bus.inject(&event.build().unwrap());
    }
    let (mut handled, mut open) = (0, None);
    while handled < 3 || open.is_none() || journal.stats().dead_letters < 1 {
        let delivery = renders.next().await.unwrap().unwrap();
        match delivery.event().data_value()["frame"].as_u64() {
            Some(3) => delivery.nack(Some(Duration::ZERO)).await.unwrap(),
            Some(5) => open = Some(delivery),
            _ => {
                delivery.ack().await.unwrap();
                handled += 1;
            }
        }
    }
    drop(open);
    drop(renders);
    hub.close().await;
    drop(hub);
    journal.close().await;
}

/// Such a journal in a folder that lasts as long as the first value.
async fn made() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("studio.journal");
    make(&path).await;
    (folder, path)
}

fn run(path: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let output = bare(args).env("HUBCTL_JOURNAL", path).env("TZ", "UTC").output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn what_a_journal_holds_is_shown_as_it_is_written_down() {
    let (_folder, path) = made().await;
    TestCases::new()
        .register_bin("hubctl", hubctl())
        .env("NO_COLOR", "1")
        .env("TZ", "UTC")
        .env("HUBCTL_JOURNAL", path.to_str().unwrap())
        .case("tests/journal/*.trycmd");
}

#[tokio::test]
async fn a_dead_letter_that_is_requeued_is_delivered_again() {
    let (_folder, path) = made().await;
    let (code, _, said) = run(&path, &["journal", "requeue", "--consumer", "farm", "3", "9"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("there is no dead letter 9; nothing was changed"), "{said}");
    let (code, shown, said) = run(&path, &["journal", "requeue", "--consumer", "farm", "3"]);
    assert_eq!((code, shown.as_str()), (Some(0), "1 event(s) will be delivered to farm again\n"), "{said}");
    assert_eq!(run(&path, &["journal", "dead-letters", "-c", "farm"]).1, "");
    let (_, shown, _) = run(&path, &["journal", "requeue", "--unsent", "--all"]);
    assert_eq!(shown, "1 event(s) will be sent again\n");
    // The program runs again.
    let bus = MemoryHub::new();
    let journal = Journal::open(&path, Config::default()).await.unwrap();
    let hub = hub(&bus, &journal).await;
    let mut renders = hub.subscribe("topic=studio.render").durable("farm").stream().await.unwrap();
    let mut frames = Vec::new();
    for _ in 0..2 {
        let delivery = renders.next().await.unwrap().unwrap();
        frames.push(delivery.event().data_value()["frame"].as_u64().unwrap());
        delivery.ack().await.unwrap();
    }
    frames.sort_unstable();
    assert_eq!(frames, [3, 5], "the one that was requeued, and the one that was open");
    while bus.published() < 1 {
        tokio::task::yield_now().await;
    }
    hub.close().await;
}

#[tokio::test]
async fn a_journal_is_published_again() {
    let (_folder, path) = made().await;
    let served = Served::start(&[]);
    let tail = served.start_command(&["tail", "-n", "2", "-o", "json"]);
    served.subscriptions(2);
    let output = served
        .command(&["journal", "replay", "data.frame>3", "--speed", "0", "--keep-ids"])
        .env("HUBCTL_JOURNAL", &path)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "published 2 event(s)\n");
    let (code, shown, _) = tail.end();
    assert_eq!(code, Some(0));
    let ids: Vec<Value> =
        shown.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].clone()).collect();
    assert_eq!(ids, ["id-4", "id-5"]);
}

#[tokio::test]
async fn a_tail_begins_with_what_was_kept_and_goes_on() {
    let (_folder, path) = made().await;
    let served = Served::start(&[]);
    let mut command =
        served.command(&["tail", "topic=studio.*", "--since", "4", "-n", "3", "-o", "json", "--journal"]);
    command.arg(&path);
    let mut tail = served.going(command);
    let mut next = || serde_json::from_str::<Value>(&tail.line()).unwrap();
    let (fourth, fifth, gap) = (next(), next(), next());
    assert_eq!((&fourth["data"]["frame"], &fifth["data"]["frame"]), (&json!(4), &json!(5)));
    assert_eq!(gap["hubctl"], "gap");
    assert!(gap["message"].as_str().unwrap().contains("the journal ends at 2025-11-26"), "{gap}");
    served.ok(&["publish", "studio.live"]);
    let (code, rest, said) = tail.end();
    assert_eq!((code, said.as_str()), (Some(0), ""));
    assert_eq!(serde_json::from_str::<Value>(&rest).unwrap()["topic"], "studio.live");
}

#[tokio::test]
async fn what_cannot_be_looked_at_is_said_in_a_line_with_the_fix() {
    let (folder, path) = made().await;
    let there = path.to_str().unwrap();
    let missing = folder.path().join("no.journal");
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "no journal").unwrap();
    let held = Journal::open(folder.path().join("held.journal"), Config::default()).await.unwrap();
    let held_path = folder.path().join("held.journal");
    for (path, args, code, part) in [
        (&missing, vec!["ls"], 2, "there is no journal at"),
        (&missing, vec!["requeue", "--unsent", "--all"], 2, "there is no journal at"),
        (&text, vec!["ls"], 1, "is damaged or no journal"),
        (&held_path, vec!["show"], 1, "is open already"),
        (&held_path, vec!["show"], 1, "try: again when the program that keeps this journal has ended"),
        (&path, vec!["show", "topic="], 2, "the expression does not parse"),
        (&path, vec!["show", "--since", "yesterday"], 2, "write it as a sequence"),
        (&path, vec!["requeue", "3"], 2, "--consumer <NAME>|--unsent"),
        (&path, vec!["requeue", "--consumer", "nobody", "3"], 1, "try: hubctl journal ls"),
        (&path, vec!["replay", "--speed=-1"], 2, "--speed"),
    ] {
        let (got, shown, said) = run(path, &[&["journal"], args.as_slice()].concat());
        assert_eq!(got, Some(code), "{args:?}: {said}");
        assert!(said.contains(part) && !said.contains("panicked"), "{args:?}: {said}");
        assert_eq!(shown, "", "{args:?}");
    }
    assert!(!missing.exists(), "looking made a journal");
    held.close().await;
    let output = bare(&["tail", "--journal", there]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("--since <WHEN>"));
}
