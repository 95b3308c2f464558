//! Every status, and what the service says beside it.

use bytes::Bytes;
use event_core::{ErrorKind, RawJson, Retry};
use http::StatusCode;
use transport_longpoll::broker::BrokerProperties;
use transport_longpoll::message::{Message, UNTYPED};
use transport_longpoll::outcome::{Asked, Class, Failure, Outcome};

use crate::support::{header_map, secs};

fn read(asked: Asked, status: u16, headers: &[(&str, &str)], body: &str) -> Outcome {
    Outcome::read(asked, StatusCode::from_u16(status).unwrap(), &header_map(headers), body.as_bytes())
}

fn failure(status: u16, headers: &[(&str, &str)], body: &str) -> Failure {
    match read(Asked::Receive, status, headers, body) {
        Outcome::Failed(failure) => failure,
        other => panic!("{status}: {other:?}"),
    }
}

#[test]
fn every_status_asks_for_something() {
    use Class::{Gone, LockLost, Reauthenticate, Redirected, Refused, Throttled, Transient, Unexpected};
    let table: [(u16, Class, Class, ErrorKind, Retry); 24] = [
        (202, Unexpected, Unexpected, ErrorKind::Protocol, Retry::Backoff),
        (301, Redirected, Redirected, ErrorKind::Unauthenticated, Retry::Never),
        (302, Redirected, Redirected, ErrorKind::Unauthenticated, Retry::Never),
        (307, Redirected, Redirected, ErrorKind::Unauthenticated, Retry::Never),
        (400, Refused, Refused, ErrorKind::Refused, Retry::Never),
        (401, Reauthenticate, Reauthenticate, ErrorKind::Unauthenticated, Retry::AfterReauth),
        (403, Refused, Refused, ErrorKind::PermissionDenied, Retry::Never),
        (404, Gone, LockLost, ErrorKind::NotFound, Retry::Never),
        (405, Refused, Refused, ErrorKind::Refused, Retry::Never),
        (408, Transient, Transient, ErrorKind::Unreachable, Retry::Backoff),
        (409, Refused, Refused, ErrorKind::Refused, Retry::Never),
        (410, Gone, Gone, ErrorKind::NotFound, Retry::Never),
        (411, Refused, Refused, ErrorKind::Refused, Retry::Never),
        (418, Refused, Refused, ErrorKind::Refused, Retry::Never),
        (429, Throttled, Throttled, ErrorKind::Unreachable, Retry::Backoff),
        (500, Transient, Transient, ErrorKind::Unreachable, Retry::Backoff),
        (501, Refused, Refused, ErrorKind::Refused, Retry::Never),
        (502, Transient, Transient, ErrorKind::Unreachable, Retry::Backoff),
        (503, Throttled, Throttled, ErrorKind::Unreachable, Retry::Backoff),
        (504, Transient, Transient, ErrorKind::Unreachable, Retry::Backoff),
        (505, Refused, Refused, ErrorKind::Refused, Retry::Never),
        (507, Transient, Transient, ErrorKind::Unreachable, Retry::Backoff),
        (599, Transient, Transient, ErrorKind::Unreachable, Retry::Backoff),
        (700, Unexpected, Unexpected, ErrorKind::Protocol, Retry::Backoff),
    ];
    for (status, polled, settled, kind, retry) in table {
        let failed = failure(status, &[], "");
        assert_eq!((failed.class, failed.status), (polled, status));
        let error = failed.clone().into_error("receive", "https://h/q");
        assert_eq!((error.kind(), error.retry()), (kind, retry), "{status}");
        assert_eq!(Failure::of(&error), Some(&failed));
        assert!(error.to_string().starts_with("receive: https://h/q: "), "{error}");
        match read(Asked::Settle, status, &[], "") {
            Outcome::Failed(failed) => assert_eq!(failed.class, settled, "{status}"),
            other => assert_eq!((other, status), (Outcome::Success, 202)),
        }
    }
    for status in [200, 201] {
        assert_eq!(read(Asked::Receive, status, &[], ""), Outcome::Success);
        assert_eq!(read(Asked::Settle, status, &[], ""), Outcome::Success);
    }
    assert_eq!(read(Asked::Receive, 204, &[], ""), Outcome::Nothing);
    assert_eq!(read(Asked::Settle, 204, &[], ""), Outcome::Success);
    for status in 100..1000 {
        let _ = read(Asked::Receive, status, &[], "");
    }
}

#[test]
fn retry_after_is_read_in_seconds_and_as_a_date() {
    let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
    for (headers, expected) in [
        (vec![("retry-after", "7")], Some(7)),
        (vec![("retry-after", " 0 ")], Some(0)),
        (vec![("retry-after", "Sun, 06 Nov 1994 08:49:57 GMT"), date], Some(20)),
        (vec![("retry-after", "Sunday, 06-Nov-94 08:49:57 GMT"), date], Some(20)),
        (vec![("retry-after", "Sun, 06 Nov 1994 08:49:07 GMT"), date], Some(0)),
        (vec![("retry-after", "Sun, 06 Nov 1994 08:49:57 GMT")], None),
        (vec![("retry-after", "99999999999999999999999")], Some(u64::MAX)),
        (vec![("retry-after", "-1")], None),
        (vec![("retry-after", "soon"), date], None),
        (vec![("retry-after", "")], None),
        (vec![], None),
    ] {
        let failed = failure(503, &headers, "");
        assert_eq!(failed.retry_after, expected.map(secs), "{headers:?}");
        let error = failed.into_error("receive", "q");
        assert_eq!(error.retry(), expected.map_or(Retry::Backoff, |s| Retry::After(secs(s))));
    }
}

#[test]
fn the_services_words_are_in_the_message() {
    let body = "<?xml version=\"1.0\"?><Error><Code>403</Code><Detail>\n 'Listen' &lt;claim&gt; &amp; more\r\n</Detail></Error>";
    let failed = failure(403, &[], body);
    assert_eq!(failed.code.as_deref(), Some("403"));
    assert_eq!(failed.detail.as_deref(), Some("'Listen' <claim> & more"));
    assert_eq!(failed.to_string(), "the service refused (HTTP 403): 'Listen' <claim> & more");
    assert_eq!(
        failure(400, &[], "<Error><Code>7</Code></Error>").to_string(),
        "the service refused (HTTP 400): code 7"
    );
    let long = format!("<Error><Detail>{}</Detail></Error>", "x".repeat(2000));
    assert_eq!(failure(400, &[], &long).detail.unwrap().len(), 500);
    for body in
        ["", "<Error>", "<Error><Code></Code><Detail/></Error>", "<html>no</html>", "<Error><Detail>cut"]
    {
        let failed = failure(400, &[], body);
        assert_eq!((failed.code, failed.detail), (None, None), "{body}");
    }
}

#[test]
fn the_code_of_a_throttled_namespace_counts_with_any_status() {
    for body in [
        "<Error><Code>50009</Code><Detail>busy</Detail></Error>",
        "<Error><Code>500</Code><Detail>The request was terminated. Error code : 50009. Please wait 2 seconds</Detail></Error>",
    ] {
        for status in [400, 403, 500] {
            let failed = failure(status, &[], body);
            assert_eq!((failed.class, failed.retry_after), (Class::Throttled, Some(secs(2))));
        }
        assert_eq!(failure(503, &[("retry-after", "9")], body).retry_after, Some(secs(9)));
        assert_eq!(failure(401, &[], body).class, Class::Reauthenticate);
    }
}

#[test]
fn the_content_type_is_cut_and_trimmed_and_keeps_its_case() {
    for (header, expected) in [
        ("VersionEvent", Some("VersionEvent")),
        (" versionevent ;charset=utf-8", Some("versionevent")),
        ("VersionEvent; a=b; c=d", Some("VersionEvent")),
        (";charset=utf-8", None),
        ("", None),
        ("\u{FF}", None),
    ] {
        let message = Message::read(header_map(&[("content-type", header)]), Bytes::from_static(b"{}"));
        assert_eq!(message.content_type.as_deref(), expected);
        assert_eq!(message.to_event().unwrap().topic(), &expected.unwrap_or(UNTYPED));
    }
    let message = Message::read(header_map(&[]), Bytes::from_static(b"{}"));
    assert_eq!(message.to_event_as("mapped").unwrap().topic(), &"mapped");
    assert_eq!(message.to_event_as("").unwrap().topic(), &UNTYPED);
}

#[test]
fn a_body_that_cannot_be_read_is_handed_over_raw() {
    for body in [&b""[..], b"\x00\xFF{", b"{\"a\":", b"no braces"] {
        let headers =
            header_map(&[("content-type", "CodeEvent"), ("brokerproperties", "{\"MessageId\":\"m\"}")]);
        let event = Message::read(headers, Bytes::copy_from_slice(body)).to_event().unwrap();
        assert!(event.raw_data().is_null());
        assert_eq!((event.topic().as_str(), event.id().unwrap().as_str()), ("CodeEvent", "m"));
        let raw: String = event.extra("raw").unwrap().decode().unwrap();
        let raw = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, raw).unwrap();
        assert_eq!(raw, body);
        assert!(event.extra("problem").unwrap().decode::<String>().unwrap().len() > 10);
    }
    let event = Message::read(header_map(&[]), Bytes::from_static(b"{\"data\": 1 }")).to_event().unwrap();
    assert_eq!(event.raw_data().value(), Some(&RawJson::from_text("{\"data\": 1 }").unwrap()));
    assert_eq!((event.extra("raw"), event.extra("problem"), event.extra("broker")), (None, None, None));
}

#[test]
fn broker_properties_are_read_leniently_and_what_is_unknown_is_kept() {
    let text = r#"{"MessageId":"m","SequenceNumber":"57","DeliveryCount":2,"LockedUntil":"Mon, 23 Nov 2026 14:55:04 GMT",
        "EnqueuedTimeUtc":"yesterday","LockToken":"t","Label":"","New":[1],"CorrelationId":"c","SessionId":"s"}"#;
    let broker = BrokerProperties::parse(text.as_bytes());
    assert_eq!(broker.message_id.as_deref(), Some("m"));
    assert_eq!((broker.sequence_number, broker.delivery_count), (Some(57), Some(2)));
    assert_eq!((broker.lock_token.as_deref(), broker.label.as_deref()), (Some("t"), None));
    assert_eq!((broker.correlation_id.as_deref(), broker.session_id.as_deref()), (Some("c"), Some("s")));
    let until = broker.locked_until.unwrap().duration_since(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(until.as_secs(), 1_795_445_704);
    assert_eq!(broker.enqueued_time, None);
    assert_eq!(broker.other.keys().collect::<Vec<_>>(), ["EnqueuedTimeUtc", "Label", "New"]);
    for broken in ["", "{", "[]", "null", "\"x\""] {
        assert_eq!(BrokerProperties::parse(broken.as_bytes()), BrokerProperties::default());
    }
}
