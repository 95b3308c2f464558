//! What the official iModelHub client and Microsoft's REST client put on the wire, replayed.

use http::HeaderMap;
use serde_json::Value;
use transport_longpoll::address::QueueAddress;
use transport_longpoll::auth::sas_expiry;
use transport_longpoll::binary_xml::{self, Carried, Form};
use transport_longpoll::exchange::Request;
use transport_longpoll::lock::{LockUrl, lock_duration};
use transport_longpoll::message::Message;
use transport_longpoll::outcome::{Asked, Class, Outcome};
use transport_longpoll::request::{self, LockAction, ReceiveMode};

use crate::support::{Record, records, secs};

const EVENTS: &str = "imodelhub-event-bodies";

/// The queue that a recorded request is for.
fn queue(record: &Record, host: &str) -> QueueAddress {
    let path = record.url();
    let end = path.to_ascii_lowercase().find("/messages/").unwrap();
    QueueAddress::parse(&format!("http://{host}{}", &path[..end])).unwrap()
}

fn read(record: &Record) -> Message {
    let response = record.response().unwrap();
    Message::read(response.headers, response.body)
}

#[test]
fn all_19_recorded_bodies_unwrap_to_the_byte() {
    let records = records(EVENTS);
    assert_eq!(records.len(), 19);
    for record in &records {
        let raw = record.response().unwrap().body;
        let (json, carried) = binary_xml::unwrap(&raw).unwrap();
        assert_eq!(carried, Carried::Wrapped(Form::Utf8), "{}", record.label());
        // What is unwrapped is the tail of the body, and wraps to the same bytes again.
        assert!(raw.ends_with(json.as_bytes()), "{}", record.label());
        assert_eq!(binary_xml::wrap(json.as_str()), raw, "{}", record.label());
        let fields: Value = serde_json::from_str(json.as_str()).unwrap();
        assert!(fields["EventTopic"].is_string() && fields["ToEventSubscriptionId"] == "");
    }
}

#[test]
fn all_19_recorded_messages_become_events() {
    for record in &records(EVENTS) {
        let message = read(record);
        let event = message.to_event().unwrap();
        let kind = record.label().trim_start_matches("global ").trim_end_matches(" (peek)");
        assert_eq!(event.topic(), &kind);
        assert_eq!(event.id().unwrap().as_str(), message.broker.message_id.as_deref().unwrap());
        assert_eq!(event.id().unwrap().as_str().len(), 32);
        let arrived = "2026-11-23";
        assert!(event.sent().value().unwrap().as_str().contains("23 Nov 2026"), "{arrived}");
        let broker = event.extra("broker").unwrap().to_value().unwrap();
        assert_eq!(broker["DeliveryCount"], 1);
        assert_eq!(broker["SequenceNumber"].as_u64(), message.broker.sequence_number);
        assert_eq!(message.broker.other["TimeToLive"], 3600);
        assert_eq!((message.broker.delivery_count, event.extra("raw")), (Some(1), None));
        let is_peeked = record.label().ends_with("(peek)");
        assert_eq!(lock_duration(&message), is_peeked.then_some(secs(60)));
        assert_eq!(message.location.is_some(), is_peeked);
    }
}

#[test]
fn requests_have_the_recorded_form() {
    let (mut reads, mut settlements) = (0, 0);
    for name in ["imodelhub-core", "imodelhub-azure-sb", EVENTS] {
        for record in records(name).iter().filter(|record| record.is_to_a_queue()) {
            // Microsoft's client adds a version to every URL, and writes capitals.
            let recorded =
                record.url().replace("&api-version=2016-07", "").replace("?api-version=2016-07", "");
            let token = record.header("authorization").unwrap();
            let host = "127.0.0.1:1";
            let queue = queue(record, host);
            let is_head = recorded.to_ascii_lowercase().contains("/messages/head");
            let request = if is_head {
                reads += 1;
                let mode = match record.method() {
                    "DELETE" => ReceiveMode::ReceiveAndDelete,
                    _ => ReceiveMode::PeekLock,
                };
                let timeout = recorded.split_once("?timeout=").map(|(_, text)| secs(text.parse().unwrap()));
                request::receive(&queue, mode, timeout, &token.into(), secs(9)).unwrap()
            } else {
                settlements += 1;
                let lock = LockUrl::parse(&queue, &format!("http://{host}{recorded}")).unwrap();
                let action = match record.method() {
                    "DELETE" => LockAction::Complete,
                    "PUT" => LockAction::Abandon,
                    _ => LockAction::Renew,
                };
                request::settle(&lock, action, &token.into(), secs(9)).unwrap()
            };
            let ours = request.url.strip_prefix(&format!("http://{host}")).unwrap();
            let recorded = recorded.replace("/Messages/Head", "/messages/head");
            assert_eq!((request.method.as_str(), ours), (record.method(), &*recorded));
            compare_headers(&request, record, name);
        }
    }
    assert_eq!((reads, settlements), (70 + 4 + 19, 2 + 4));
}

/// The authorization verbatim, a body length exactly where there could be a body, and an id that is ours alone.
fn compare_headers(request: &Request, record: &Record, name: &str) {
    let header = |name: &str| request.headers.get(name).map(|value| value.to_str().unwrap());
    assert_eq!(header("authorization"), record.header("authorization"));
    if name == "imodelhub-azure-sb" {
        assert_eq!(record.header("content-length"), Some("0"));
    } else {
        assert_eq!(header("content-length"), record.header("content-length"));
        assert_ne!(header("x-correlation-id"), record.header("x-correlation-id"));
    }
    assert_eq!(request.headers.len(), 2 + usize::from(record.method() != "DELETE"));
    assert!(request.body.is_empty());
}

#[test]
fn answers_are_read_as_the_clients_read_them() {
    let mut seen = std::collections::BTreeMap::<&str, u32>::new();
    for name in ["imodelhub-core", "imodelhub-azure-sb"] {
        for record in records(name).iter().filter(|record| record.is_to_a_queue()) {
            let Some(response) = record.response() else { continue };
            let is_head = record.url().to_ascii_lowercase().contains("/messages/head");
            let asked = if is_head { Asked::Receive } else { Asked::Settle };
            let outcome = Outcome::read(asked, response.status, &response.headers, &response.body);
            let kind = match outcome {
                Outcome::Success if is_head => {
                    let message = Message::read(response.headers, response.body);
                    // Only one of the two recordings has the bytes of its bodies.
                    assert!(message.body.is_ok() || name == "imodelhub-azure-sb");
                    assert!(message.content_type.is_some() && message.broker.message_id.is_some());
                    "message"
                }
                Outcome::Success => "settled",
                Outcome::Nothing => "nothing",
                Outcome::Failed(failure) => {
                    assert_eq!(failure.code, Some(failure.status.to_string()));
                    let text = failure.to_string();
                    match failure.class {
                        Class::Gone => {
                            assert!(text.contains("No such subscription") || text.contains("deleted while"));
                        }
                        Class::Reauthenticate => {
                            assert!(text.ends_with(": ExpiredToken: The token is expired or invalid"));
                        }
                        Class::LockLost => assert!(text.contains("The lock supplied is invalid")),
                        other => panic!("{other:?}"),
                    }
                    "failure"
                }
            };
            *seen.entry(kind).or_default() += 1;
        }
    }
    let expected = [("failure", 5), ("message", 63), ("nothing", 7), ("settled", 4)];
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn a_locked_message_is_settled_where_its_location_says() {
    let mut locks = 0;
    for name in ["imodelhub-core", "imodelhub-azure-sb"] {
        for record in records(name).iter().filter(|record| record.is_to_a_queue()) {
            let Some(response) = record.response() else { continue };
            if response.status != 201 {
                continue;
            }
            let message = read(record);
            let location = message.location.clone().unwrap();
            let host = location.split('/').nth(2).unwrap().to_owned();
            let queue = queue(record, &host);
            assert_eq!(LockUrl::of(&queue, &message).unwrap().as_str(), location);
            // Without the header the same address follows from the broker's properties.
            let mut headers: HeaderMap = record.response().unwrap().headers;
            headers.remove("location");
            let message = Message::read(headers, response.body);
            assert_eq!(LockUrl::of(&queue, &message).unwrap().as_str(), location);
            assert_eq!(message.broker.delivery_count, Some(if locks == 2 { 2 } else { 1 }));
            locks += 1;
        }
    }
    assert_eq!(locks, 3);
}

#[test]
fn the_end_of_every_recorded_token_can_be_read() {
    let mut tokens = 0;
    for record in &records(EVENTS) {
        let end = sas_expiry(record.header("authorization").unwrap()).unwrap();
        assert!((1_795_449_242..1_795_449_250).contains(&end));
        tokens += 1;
    }
    // Microsoft's client writes its fields in another order.
    for record in records("imodelhub-azure-sb").iter().filter(|record| record.is_to_a_queue()) {
        let end = sas_expiry(record.header("authorization").unwrap()).unwrap();
        assert!((1_795_445_800..1_795_445_810).contains(&end));
        tokens += 1;
    }
    assert_eq!(tokens, 27);
}
