//! The queues of iModelHub.

use std::io::{Read as _, Write as _};

use crate::support::Served;

const IMODEL: &str = "0a1b2c3d-1111-2222-3333-444455556666";

fn publish(served: &Served) {
    let address = served.imodelhub.strip_prefix("http://").unwrap();
    let body = r#"{"type":"VersionEvent"}"#;
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    write!(
        stream,
        "POST /admin/imodels/{IMODEL}/events HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn a_queue_is_subscribed_read_listened_to_and_deleted() {
    let served = Served::start(&[]);
    let with = |args: &[&'static str]| [args, &["--imodel", IMODEL]].concat();
    let id = served.ok(&with(&["imodel", "subscribe", "VersionEvent"])).trim().to_owned();
    let id: &'static str = id.leak();
    assert_eq!(served.run(&with(&["imodel", "get", id])).status.code(), Some(4), "the queue is empty");
    for _ in 0..3 {
        publish(&served);
    }
    let event: serde_json::Value =
        serde_json::from_str(&served.ok(&with(&["imodel", "get", id, "-o", "json"]))).unwrap();
    assert_eq!(event["type"], "VersionEvent");
    let shown = served.ok(&with(&["imodel", "listen", id, "-n", "2"]));
    assert_eq!(shown.lines().count(), 2, "{shown}");
    // Both were completed: nothing comes again.
    assert_eq!(served.run(&with(&["imodel", "get", id])).status.code(), Some(4));
    assert_eq!(served.ok(&with(&["imodel", "unsubscribe", id])), format!("deleted {id}\n"));
    let output = served.run(&with(&["imodel", "listen", id]));
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}
