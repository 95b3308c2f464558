//! Commands that wait for events: tail, respond, request, record and replay.

use crate::support::Served;

#[test]
fn what_is_published_is_tailed_and_only_what_matches() {
    let served = Served::start(&[]);
    let mut tail = served.start_command(&[
        "tail",
        "topic=render and data.frames>=10",
        "topic=other",
        "-n",
        "2",
        "-o",
        "json",
    ]);
    served.subscriptions(2); // its own, and the one for replies
    served.ok(&["publish", "render", "--data", r#"{"frames":9}"#]);
    served.ok(&["publish", "render", "--data", r#"{"frames":10}"#]);
    let said = served.ok(&["publish", "other"]);
    assert_eq!(said, "published other: acknowledged after 1 attempt(s)\n");
    let first: serde_json::Value = serde_json::from_str(&tail.line()).unwrap();
    assert_eq!(first["data"]["frames"], 10);
    let (code, rest, said) = tail.end();
    assert_eq!((code, said.as_str()), (Some(0), ""));
    let second: serde_json::Value = serde_json::from_str(&rest).unwrap();
    assert_eq!((&second["topic"], &second["source"]["applicationId"]), (&"other".into(), &"hubctl".into()));
}

#[test]
fn a_request_is_answered_by_a_canned_reply() {
    let served = Served::start(&[]);
    let respond = served.start_command(&["respond", "topic=ask", "--data", r#"{"ok":true}"#, "-n", "1"]);
    served.subscriptions(2);
    let reply = served.ok(&["request", "ask", "--data", "1", "--timeout", "20", "-o", "json"]);
    let reply: serde_json::Value = serde_json::from_str(&reply).unwrap();
    assert_eq!(reply["data"]["ok"], true);
    let (code, shown, _) = respond.end();
    assert_eq!(code, Some(0));
    assert!(shown.contains("  ask  jane  1\n"), "{shown}");
}

#[test]
fn nobody_answers_within_the_time() {
    let served = Served::start(&[]);
    for more in
        [&["request", "ask", "--timeout", "0.1"][..], &["request", "ask", "--timeout", "0.1", "--all"]]
    {
        let output = served.run(more);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(4), "{said}");
        assert!(said.starts_with("hubctl: no reply within 0.1 s"), "{said}");
    }
}

#[test]
fn a_recording_is_played_again() {
    let served = Served::start(&[]);
    let file = served.folder().join("recording.jsonl");
    let file = file.to_str().unwrap();
    let recorder = served.start_command(&["tail", "topic=take", "-n", "3", "--record", file]);
    served.subscriptions(2);
    for n in 0..3 {
        served.ok(&["publish", "take", "--data", &format!("{{\"n\":{n},\"text\":\"é😀\"}}")]);
    }
    assert_eq!(recorder.end().0, Some(0));
    let tail = served.start_command(&["tail", "topic=take", "-n", "3", "-o", "json"]);
    served.subscriptions(2);
    assert_eq!(served.ok(&["replay", file, "--speed", "0"]), "published 3 event(s)\n");
    let (code, played, _) = tail.end();
    assert_eq!(code, Some(0));
    let data: Vec<serde_json::Value> = played
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["data"].clone())
        .collect();
    assert_eq!(data[2], serde_json::json!({"n": 2, "text": "é😀"}));
}

#[test]
fn the_time_of_a_tail_is_limited() {
    let served = Served::start(&[]);
    assert_eq!(served.run(&["tail", "--timeout", "0.1"]).status.code(), Some(0));
    let output = served.run(&["tail", "--timeout", "0.1", "-n", "1"]);
    assert_eq!(output.status.code(), Some(4));
    assert!(String::from_utf8(output.stderr).unwrap().contains("1 event(s) are missing"));
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_a_tail_in_good_order() {
    let served = Served::start(&[]);
    let tail = served.start_command(&["tail"]);
    served.subscriptions(2);
    tail.interrupt();
    let (code, _, said) = tail.end();
    assert_eq!((code, said.as_str()), (Some(0), ""));
    served.subscriptions(0);
}

#[cfg(unix)]
#[test]
fn a_closed_pipe_is_no_error() {
    let served = Served::start(&[]);
    let tail = served.start_command(&["tail"]);
    served.subscriptions(2);
    let mut child = tail.close_output();
    // It notices when it writes.
    let status = loop {
        served.ok(&["publish", "t"]);
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
    };
    assert_eq!(status.code(), Some(0));
}
