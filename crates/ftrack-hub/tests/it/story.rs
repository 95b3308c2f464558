//! The short story of the recordings, told by our client: a subscribes, b publishes, a answers, both stay for some
//! heartbeats, a unsubscribes, b publishes again, both leave. What our client says is compared with what the official
//! clients said.

use std::path::Path;
use std::time::Duration;

use ftrack_hub::{Event, Json, Session};
use hub_emulator::Emulator;
use serde_json::json;

use crate::story_compare::{Allowed, differences, explain};
use crate::story_read::{Client, ours, recorded};
use crate::support::{connect, emulated, event, within};
use crate::wire::Wire;

const PYTHON: &str = "Python 3.1.0";
const JAVASCRIPT: &str = "JavaScript 1.11.2";

/// Who differs from us in naming the machine.
const HOST: &[&str] = if cfg!(feature = "hostname") { &[JAVASCRIPT] } else { &[PYTHON] };

/// Everything in which our client differs from an official one, and why.
const ALLOWED: &[Allowed] = &[
    (
        "blanks in JSON",
        &[PYTHON],
        "`json.dumps` writes blanks; JSON gives them no meaning, and they cost bytes",
    ),
    ("close code", &[JAVASCRIPT], "1000 is a normal end by RFC 6455, and what the Python client sends"),
    (
        "event.data.subscriber.applicationId",
        &[PYTHON, JAVASCRIPT],
        "so that targets can select by application without any setting",
    ),
    (
        "event.data.subscriber.host",
        &[PYTHON],
        "a subscriber stays as it was subscribed; the Python client's record changes when it first replies",
    ),
    ("event.data.subscriber.user.username", &[PYTHON], "the same"),
    ("event.sent", &[JAVASCRIPT], "null, as the Python client sends it"),
    (
        "event.source.applicationId",
        &[PYTHON, JAVASCRIPT],
        "the documented member, which the Python client leaves out; each client has its own name there",
    ),
    ("event.source.host", HOST, "documented, and sent by the Python client; the feature `hostname`"),
    ("form of ids", &[JAVASCRIPT], "ids are opaque; these have the form of the Python client's"),
    ("header accept-encoding", &[PYTHON, JAVASCRIPT], "the answer is 50 bytes; nothing here could unpack it"),
    ("header accept-language", &[JAVASCRIPT], "there is no language in the answer"),
    ("header connection", &[PYTHON, JAVASCRIPT], "the connection is not used again"),
    ("header ftrack-api-key", &[JAVASCRIPT], "credentials travel in headers, as the Python client's do"),
    ("header ftrack-user", &[JAVASCRIPT], "the same"),
    (
        "header origin",
        &[PYTHON],
        "an origin is a web page's; the JavaScript client sends none outside a browser",
    ),
    ("header sec-fetch-mode", &[JAVASCRIPT], "added by `fetch`"),
    ("header sec-websocket-extensions", &[JAVASCRIPT], "the measured server accepts no extension"),
    (
        "header user-agent",
        &[PYTHON, JAVASCRIPT],
        "said on both requests, so that a proxy's log tells who connects; `user_agent` sets it",
    ),
    ("packet", &[PYTHON], "`2::` is the documented form, and the JavaScript client's; servers take both"),
    ("packet id", &[JAVASCRIPT], "without a number there is no acknowledgement; the Python client's form"),
    ("query api_key", &[JAVASCRIPT], "keys in URLs end up in logs of proxies"),
    ("query api_user", &[JAVASCRIPT], "the same"),
    (
        "times",
        &[JAVASCRIPT],
        "the JavaScript client subscribes to replies twice on every connect; once is enough",
    ),
    (
        "unsubscribe from replies",
        &[PYTHON],
        "the end of a connection ends its subscriptions; the JavaScript client does not either",
    ),
];

fn heartbeats(wire: &Wire) -> usize {
    wire.sent()
        .iter()
        .flat_map(|stream| &stream.frames)
        .filter(|frame| frame.payload.starts_with(b"2:"))
        .count()
}

async fn told(headers: &[(&str, &str)]) -> [Client; 2] {
    let emulator = Emulator::builder().heartbeat_interval(Duration::from_millis(20)).start().await.unwrap();
    let (wire_a, wire_b) = (Wire::new(), Wire::new());
    let url = emulator.ftrack_url();
    let mut a = Session::builder(&url, "a@example.com", "key-a").dialer(wire_a.clone());
    for (name, value) in headers {
        a = a.header(*name, *value);
    }
    let a = connect(a).await;
    let b = connect(Session::builder(&url, "b@example.com", "key-b").dialer(wire_b.clone())).await;
    let answer = async |event: Event| Json(json!({"echo": event.data_value()}));
    let subscription = within(a.event_hub().subscribe("topic=lab.story").handle(answer)).await.unwrap();
    let asked = event("lab.story", json!({"n": 1, "text": "é😀"}));
    let reply = within(b.event_hub().publish_and_wait_for_reply(asked)).await.unwrap();
    assert_eq!(reply.data_value(), &json!({"echo": {"n": 1, "text": "é😀"}}));
    emulated(&emulator, |_| heartbeats(&wire_a) > 1 && heartbeats(&wire_b) > 1).await;
    within(subscription.unsubscribe()).await.unwrap();
    within(b.event_hub().publish(event("lab.story", json!({"n": 2})))).await.unwrap();
    within(a.event_hub().close()).await;
    within(b.event_hub().close()).await;
    emulated(&emulator, |state| state.connections == 0).await;
    [ours(&wire_a.sent()), ours(&wire_b.sent())]
}

/// The part of the documentation that holds the table; `None` where there is no such document.
fn documented() -> Option<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/protocols/ftrack.md");
    let text = std::fs::read_to_string(path).ok()?;
    let (_, rest) = text.split_once("<!-- frames:begin -->\n")?;
    let (table, _) = rest.split_once("<!-- frames:end -->")?;
    Some(table.trim().to_owned())
}

#[tokio::test]
async fn our_frames_are_those_of_the_official_clients_but_for_a_table() {
    // The recorded Python client a was given these two headers.
    let like_python = told(&[("ftrack-strict-api", "true"), ("Cookie", "lab=1")]).await;
    let comparisons = [
        (PYTHON, differences(&recorded("ftrack-python-3.1.0-story"), &like_python)),
        (JAVASCRIPT, differences(&recorded("ftrack-js-1.11.2-story"), &told(&[]).await)),
    ];
    let table = explain(&comparisons, ALLOWED);
    println!("{table}");
    if let Some(documented) = documented().filter(|text| cfg!(feature = "hostname") && !text.is_empty()) {
        assert!(documented == table.trim(), "docs/protocols/ftrack.md has another table");
    }
}

#[test]
fn the_official_clients_differ_from_each_other_and_not_from_themselves() {
    let python = recorded("ftrack-python-3.1.0-story");
    let javascript = recorded("ftrack-js-1.11.2-story");
    assert!(differences(&python, &python).is_empty());
    assert!(differences(&javascript, &javascript).is_empty());
    assert!(differences(&python, &javascript).len() > 10);
    let counts = |clients: &[Client; 2]| [clients[0].len(), clients[1].len()];
    // Frames, and two requests each.
    assert_eq!((counts(&python), counts(&javascript)), ([10, 9], [10, 9]));
}
