//! Addresses: of queues, and of locks, some of them hostile.

use bytes::Bytes;
use event_core::ErrorKind;
use transport_longpoll::address::QueueAddress;
use transport_longpoll::lock::{LockUrl, LockUrlError, lock_duration, renewal_after};
use transport_longpoll::message::Message;

use crate::support::{QUEUE, header_map, secs};

fn queue() -> QueueAddress {
    QueueAddress::parse(QUEUE).unwrap()
}

#[test]
fn a_queue_has_a_plain_absolute_address() {
    for (text, origin, path) in [
        ("https://h/q", "https://h", "/q"),
        (
            "http://127.0.0.1:8080/bus/a-b/Subscriptions/c/",
            "http://127.0.0.1:8080",
            "/bus/a-b/Subscriptions/c",
        ),
        ("HTTPS://Host:443/q%20r/", "HTTPS://Host:443", "/q%20r"),
        ("http://[::1]:9/q", "http://[::1]:9", "/q"),
        ("https://h/.../.a/%2Ea/..b/%2e%2e%2e", "https://h", "/.../.a/%2Ea/..b/%2e%2e%2e"),
    ] {
        let address = QueueAddress::parse(text).unwrap();
        assert_eq!((address.origin(), address.path()), (origin, path));
        assert_eq!(address.as_str(), format!("{origin}{path}"));
    }
    for text in [
        "",
        "q",
        "/q",
        "ftp://h/q",
        "https://h",
        "https://h/",
        "https:///q",
        "https://u@h/q",
        "https://u:p@h/q",
        "https://h:x/q",
        "https://h:99999/q",
        "https://h/q?x=1",
        "https://h/q#x",
        "https://h/a/../b",
        "https://h/%2E%2e/b",
        "https://h/a/%2e",
        "https://h/./b",
        "https://h/.%2E/b",
        "https://h/%2e./b",
        "https://h/a//b",
        "https://h/a b",
        "https://h\\@evil/q",
        "https://h/a\\b",
        "https://h/a%2",
        "https://h/a%zz",
        "https://[h]/q",
        "https://h/\u{e9}",
        "https://h/q\r\nx: y",
    ] {
        let error = QueueAddress::parse(text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidUrl, "{text}");
        assert!(!error.to_string().contains('\r'));
    }
}

#[test]
fn a_location_stays_with_its_queue() {
    let at = "https://bus.example.com";
    for (location, expected) in [
        (
            format!("{at}/topic/subscriptions/s1/messages/7/t"),
            format!("{at}/topic/subscriptions/s1/messages/7/t"),
        ),
        (format!(" {at}/x/messages/7/t "), format!("{at}/x/messages/7/t")),
        ("HTTPS://BUS.example.com:443/x/7/t".to_owned(), format!("{at}/x/7/t")),
        ("/topic/messages/7/t".to_owned(), format!("{at}/topic/messages/7/t")),
        (
            "/topic/messages/7/t?api-version=2016-07".to_owned(),
            format!("{at}/topic/messages/7/t?api-version=2016-07"),
        ),
        ("/topic/messages/7/t/".to_owned(), format!("{at}/topic/messages/7/t/")),
    ] {
        assert_eq!(LockUrl::parse(&queue(), &location).unwrap().as_str(), expected);
    }
}

#[test]
fn a_hostile_location_never_gets_the_token() {
    use LockUrlError::{ForeignOrigin, Malformed};
    for (location, expected) in [
        ("https://evil.example.com/x/7/t", ForeignOrigin),
        ("http://bus.example.com/x/7/t", ForeignOrigin),
        ("https://bus.example.com:444/x/7/t", ForeignOrigin),
        ("https://bus.example.com.evil.com/x", ForeignOrigin),
        ("https://bus.example.com@evil.com/x", Malformed),
        ("https://bus.example.com:pw@evil.com/x", Malformed),
        ("https://evil.com\\@bus.example.com/x", ForeignOrigin),
        ("https://bus.example.com\\.evil.com/x", Malformed),
        ("//evil.com/x", ForeignOrigin),
        ("///evil.com/x", ForeignOrigin),
        ("/\\evil.com/x", Malformed),
        ("\\\\evil.com/x", Malformed),
        ("https:/evil.com/x", Malformed),
        ("https:evil.com", Malformed),
        ("ftp://bus.example.com/x", Malformed),
        ("javascript:alert(1)", Malformed),
        ("https://bus.example.com", Malformed),
        ("https://bus.example.com?x", Malformed),
        ("https://bus.example.com#@evil.com/", Malformed),
        ("/x#y", Malformed),
        ("/x/../../y", Malformed),
        ("/x y", Malformed),
        ("/x\tevil", Malformed),
        ("messages/7/t", Malformed),
        ("", Malformed),
    ] {
        assert_eq!(LockUrl::parse(&queue(), location), Err(expected), "{location}");
    }
}

#[test]
fn without_a_usable_location_the_documented_address_is_built() {
    let with = |location: Option<&str>, broker: &str| {
        let mut headers = vec![("brokerproperties", broker)];
        headers.extend(location.map(|location| ("location", location)));
        LockUrl::of(&queue(), &Message::read(header_map(&headers), Bytes::new()))
    };
    let both = r#"{"MessageId":"m","SequenceNumber":7,"LockToken":"t"}"#;
    let built = format!("{QUEUE}/messages/7/t");
    assert_eq!(with(Some("/elsewhere/7/t"), both).unwrap().as_str(), "https://bus.example.com/elsewhere/7/t");
    assert_eq!(with(Some("https://evil.com/7/t"), both).unwrap().as_str(), built);
    assert_eq!(with(None, both).unwrap().as_str(), built);
    let by_id = with(None, r#"{"MessageId":"m","LockToken":"t"}"#).unwrap();
    assert_eq!(by_id.as_str(), format!("{QUEUE}/messages/m/t"));
    assert_eq!(with(None, "{}"), Err(LockUrlError::Missing));
    assert_eq!(with(None, r#"{"LockToken":"t"}"#), Err(LockUrlError::Missing));
    assert_eq!(with(Some("https://evil.com/x"), "{}"), Err(LockUrlError::ForeignOrigin));
    // A lock token cannot lead elsewhere either.
    assert_eq!(with(None, r#"{"SequenceNumber":7,"LockToken":"../../x"}"#), Err(LockUrlError::Missing));
}

#[test]
fn a_lock_lasts_from_the_answers_date_to_its_end() {
    let lasts = |until: &str, date: &str| {
        let broker = format!(r#"{{"LockedUntilUtc":"{until}"}}"#);
        let headers = header_map(&[("brokerproperties", &broker), ("date", date)]);
        lock_duration(&Message::read(headers, Bytes::new()))
    };
    let now = "Mon, 23 Nov 2026 14:51:46 GMT";
    assert_eq!(lasts("Mon, 23 Nov 2026 14:52:46 GMT", now), Some(secs(60)));
    assert_eq!(lasts("Mon, 23 Nov 2026 14:51:46 GMT", now), None);
    assert_eq!(lasts("Mon, 23 Nov 2026 14:50:46 GMT", now), None);
    assert_eq!(lasts("whenever", now), None);
    assert_eq!(lasts("Mon, 23 Nov 2026 14:52:46 GMT", "whenever"), None);
    assert_eq!(renewal_after(secs(60)), secs(30));
}
