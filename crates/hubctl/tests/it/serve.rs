//! `hubctl serve`: what is there at the start, faults, recordings, and who may look.

use std::net::TcpListener;

use crate::support::{Served, bare, http};

const IMODEL: &str = "0a1b2c3d-1111-2222-3333-444455556666";
const JSON: &str = "Content-Type: application/json\r\n";

#[test]
fn a_seed_is_there_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("seed.json");
    let seed = serde_json::json!({
        "imodels": [{
            "id": IMODEL,
            "subscriptions": [["VersionEvent"], ["VersionEvent", "LockEvent"]],
            "events": ["VersionEvent", {"type": "LockEvent", "body": {"BriefcaseId": 3}}],
        }],
        "events": [{"topic": "studio.render", "data": {"shot": "sh010"}}],
    });
    std::fs::write(&file, seed.to_string()).unwrap();
    let served = Served::start(&["--seed", file.to_str().unwrap()]);
    let queues = served.inspect("/api/queues");
    let waiting: Vec<u64> =
        queues["queues"].as_array().unwrap().iter().map(|queue| queue["queued"].as_u64().unwrap()).collect();
    assert_eq!(waiting, [1, 2]);
    assert_eq!(queues["queues"][1]["messages"][1]["type"], "LockEvent");
    let events = served.inspect("/api/events");
    assert_eq!(events["events"][0]["summary"], "{\"shot\":\"sh010\"}");
}

#[test]
fn faults_are_set_on_both_sides() {
    let imodelhub = r#"imodelhub:{"action":{"do":"status","status":503},"times":2}"#;
    let served = Served::start(&["--fault", "reset", "--fault", imodelhub]);
    let faults = served.inspect("/api/faults");
    assert_eq!(faults["ftrack"]["waiting"][0]["action"]["do"], "reset");
    assert_eq!(faults["imodelhub"]["waiting"][0]["times"], 2);
}

#[cfg(unix)]
#[test]
fn a_recording_of_the_hub_is_whole_at_its_end_and_plays_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("recording.jsonl");
    let file = file.to_str().unwrap();
    let mut served = Served::start(&["--record", file]);
    for n in 0..3 {
        served.ok(&["publish", "take", "--data", &format!("{{\"n\":{n}}}")]);
    }
    assert_eq!(served.interrupt(), Some(0));
    let again = Served::start(&[]);
    assert_eq!(again.ok(&["replay", file, "--speed", "0"]), "published 3 event(s)\n");
    let events = again.inspect("/api/events?expression=topic%3Dtake%20and%20data.n%3D2&whole=true");
    assert_eq!(events["events"][0]["event"]["data"], serde_json::json!({"n": 2}));
}

#[test]
fn what_is_in_view_is_downloaded_as_a_recording() {
    let served = Served::start(&[]);
    for n in 0..3 {
        served.ok(&["publish", "take", "--data", &format!("{{\"n\":{n}, \"text\":\"é😀\"}}")]);
    }
    let (status, recording) =
        http(&served.inspector, "GET /api/recording?expression=topic%3Dtake%20and%20data.n%3E0", "", "");
    assert_eq!((status, recording.lines().count()), (200, 2), "{recording}");
    let file = served.folder().join("download.jsonl");
    std::fs::write(&file, recording).unwrap();
    assert_eq!(served.ok(&["replay", file.to_str().unwrap(), "--speed", "0"]), "published 2 event(s)\n");
    let events = served.inspect("/api/events?expression=topic%3Dtake&limit=1");
    assert_eq!(events["events"][0]["summary"], "{\"n\":2, \"text\":\"é😀\"}");
}

#[test]
fn a_read_only_inspector_shows_and_does_not_publish() {
    let served = Served::start(&["--read-only"]);
    let body = r#"{"ftrack":{"topic":"t"}}"#;
    let (status, said) = http(&served.inspector, "POST /api/publish", JSON, body);
    assert_eq!(status, 403, "{said}");
    assert!(said.contains("read-only"), "{said}");
    assert_eq!(served.inspect("/api/state")["about"]["readOnly"], true);
    assert_eq!(served.state()["state"]["stats"]["events_received"], 0);
}

#[test]
fn beyond_this_machine_the_inspector_asks_for_its_token() {
    let output =
        bare(&["serve", "--ftrack", "127.0.0.1:0", "--imodelhub", "127.0.0.1:0", "--inspector", "0.0.0.0:0"])
            .output()
            .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("reached from other machines") && said.contains("try: --allow-remote"), "{said}");

    let served = Served::start(&["--inspector", "0.0.0.0:0", "--allow-remote"]);
    let url = served.inspector.replace("0.0.0.0", "127.0.0.1");
    assert_eq!(http(&url, "GET /api/state", "", "").0, 401);
    assert_eq!(http(&url, "GET /", "", "").0, 200);
    let fragment = served.told.iter().find_map(|line| line.split_once('#')).unwrap().1.trim();
    let bearer = format!("Authorization: Bearer {fragment}\r\n");
    assert_eq!(http(&url, "GET /api/state", &bearer, "").0, 200);
}

#[test]
fn a_busy_port_is_one_line_with_the_way_out() {
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = busy.local_addr().unwrap().to_string();
    for (option, way_out) in [
        ("--ftrack", "other ports: --ftrack 127.0.0.1:0 --imodelhub 127.0.0.1:0"),
        ("--inspector", "another port: --inspector 127.0.0.1:0, or --no-inspector"),
    ] {
        let mut args = vec!["serve", option, &address];
        for other in ["--ftrack", "--imodelhub", "--inspector"].into_iter().filter(|other| *other != option) {
            args.extend([other, "127.0.0.1:0"]);
        }
        let output = bare(&args).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.starts_with(&format!("hubctl: cannot listen on {address}")), "{said}");
        assert!(said.ends_with(&format!("\n  try: {way_out}\n")), "{said}");
    }
}
