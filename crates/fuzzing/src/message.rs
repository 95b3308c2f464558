//! Messages of a queue, headers and body: each makes an event, and is settled nowhere but on its queue's server.

use bytes::Bytes;
use event_core::Event;
use http::{HeaderMap, HeaderName, HeaderValue};
use transport_longpoll::address::QueueAddress;
use transport_longpoll::lock::{LockUrl, lock_duration};
use transport_longpoll::message::{Message, UNTYPED};

/// Reads the bytes as lines `name: value` up to an empty one, and a body. A line `queue: url` is the queue's address.
///
/// # Panics
///
/// When a message does not make an event that can be written and read again, when its data is not that of the
/// body, or when a lock's URL leads to another server or does not read as itself.
pub fn body(data: &[u8]) {
    let (headers, queue, body) = parts(data);
    let message = Message::read(headers, body);
    let Ok(event) = message.to_event() else { panic!("a message makes no event") };
    assert_eq!(Event::from_json(event.to_json()).ok().as_ref(), Some(&event));
    assert_eq!(event.topic(), message.content_type.as_deref().unwrap_or(UNTYPED));
    if let Some(id) = &message.broker.message_id {
        assert_eq!(event.id().map(event_core::EventId::as_str), Some(&**id));
    }
    match &message.body {
        Ok(json) if json.is_null() => assert!(event.raw_data().is_null()),
        Ok(json) => {
            assert_eq!(event.raw_data().value().map(event_core::RawJson::as_str), Some(json.as_str()));
        }
        Err(_) => assert!(event.raw_data().is_null() && event.extra("problem").is_some()),
    }
    assert!(lock_duration(&message).is_none_or(|lasts| !lasts.is_zero()));

    let Ok(queue) = QueueAddress::parse(&queue) else { return };
    assert_eq!(QueueAddress::parse(queue.as_str()).ok().as_ref(), Some(&queue));
    assert_eq!(format!("{}{}", queue.origin(), queue.path()), queue.as_str());
    if let Ok(url) = LockUrl::of(&queue, &message) {
        is_of(&queue, &url);
    }
}

/// The URL has the queue's origin and a path in which nothing is left to interpret.
fn is_of(queue: &QueueAddress, url: &LockUrl) {
    let path = url.as_str().strip_prefix(queue.origin()).unwrap_or_default();
    assert!(path.starts_with('/'), "{url:?}");
    let odd = |character: char| !character.is_ascii_graphic() || matches!(character, '\\' | '#');
    assert!(!path.contains(odd), "{url:?}");
    assert!(!path.split(['/', '?']).any(|segment| segment == ".."), "{url:?}");
    assert_eq!(LockUrl::parse(queue, url.as_str()).as_ref(), Ok(url));
}

fn parts(data: &[u8]) -> (HeaderMap, String, Bytes) {
    let mut headers = HeaderMap::new();
    let mut queue = "https://queue.example.com:8443/topic/Subscriptions/1".to_owned();
    let mut rest = data;
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let (line, after) = rest.split_at(end);
        rest = after.get(1..).unwrap_or_default();
        if line.is_empty() {
            break;
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if name == b"queue" {
            queue = crate::text(value).into_owned();
        } else if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            headers.insert(name, value);
        }
    }
    (headers, queue, Bytes::copy_from_slice(rest))
}
