//! Events as messages, and back. Pure.
//!
//! The payload is the event's JSON, byte for byte. `Nats-Msg-Id` is its id, by which a stream removes duplicates.

use std::fmt;

use async_nats::{HeaderMap, header};
use bytes::Bytes;
use event_core::{Error, ErrorKind, Event, Retry};

use crate::subject::{SubjectError, Subjects, header_text};

/// Why a dead letter is one.
pub(crate) const REASON: &str = "Dead-Letter-Reason";
/// The consumer that gave it up.
pub(crate) const CONSUMER: &str = "Dead-Letter-Consumer";
/// Its number in the stream.
pub(crate) const SEQUENCE: &str = "Dead-Letter-Sequence";
/// How often it was delivered.
pub(crate) const DELIVERIES: &str = "Dead-Letter-Deliveries";

/// Who passed an event on.
pub(crate) const ORIGIN: &str = "Event-Origin";

/// The headers of an event, passed on by `origin` if by anybody.
pub(crate) fn headers(event: &Event, origin: Option<&str>) -> Option<HeaderMap> {
    let id = event.id().filter(|id| !id.as_str().is_empty());
    if id.is_none() && origin.is_none() {
        return None;
    }
    let mut headers = HeaderMap::new();
    if let Some(id) = id {
        headers.insert(header::NATS_MESSAGE_ID, header_text(id.as_str()));
    }
    if let Some(origin) = origin {
        headers.insert(ORIGIN, header_text(origin));
    }
    Some(headers)
}

/// Whether `origin` passed a message on.
pub(crate) fn is_of(headers: Option<&HeaderMap>, origin: Option<&str>) -> bool {
    let (Some(headers), Some(origin)) = (headers, origin) else { return false };
    headers.get(ORIGIN).is_some_and(|said| said.as_str() == header_text(origin))
}

/// Why a message is no event of ours.
#[derive(Debug)]
pub(crate) enum Undecodable {
    Subject(SubjectError),
    Payload(Error),
    OtherTopic,
}

/// The event of a message.
pub(crate) fn event(subjects: &Subjects, subject: &str, payload: &Bytes) -> Result<Event, Undecodable> {
    let topic = subjects.topic(subject).map_err(Undecodable::Subject)?;
    let event = Event::from_json(payload.clone()).map_err(Undecodable::Payload)?;
    if *event.topic() == topic { Ok(event) } else { Err(Undecodable::OtherTopic) }
}

impl Undecodable {
    /// The error that tells of it.
    pub(crate) fn into_error(self, subject: &str) -> Error {
        let message = format!(
            "a message on \"{}\" is left out: {self}; have it published by an event transport, or give the publisher \
             another prefix than the events have",
            shown(subject)
        );
        let error = Error::new(ErrorKind::Protocol, "receive", message).with_retry(Retry::Never);
        match self {
            Self::Subject(cause) => error.with_source(cause),
            Self::Payload(cause) => error.with_source(cause),
            Self::OtherTopic => error,
        }
    }
}

impl fmt::Display for Undecodable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subject(cause) => write!(f, "the subject stands for no topic ({cause})"),
            Self::Payload(_) => f.write_str("the payload is not the JSON of an event"),
            Self::OtherTopic => f.write_str("the event's topic is not that of the subject"),
        }
    }
}

/// A subject for a text, cut where it is long.
fn shown(subject: &str) -> String {
    let mut shown: String = subject.chars().take(200).flat_map(char::escape_debug).collect();
    if subject.chars().nth(200).is_some() {
        shown.push_str("..");
    }
    shown
}

/// What the reply subject of a delivery by JetStream says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Delivered {
    /// 1 for the first time.
    pub(crate) attempt: u32,
    /// Its number in the stream.
    pub(crate) sequence: u64,
}

impl Delivered {
    /// Reads `$JS.ACK.[domain.account.]stream.consumer.delivered.sequence...`.
    pub(crate) fn read(reply: &str) -> Option<Self> {
        let tokens: Vec<&str> = reply.strip_prefix("$JS.ACK.")?.split('.').collect();
        // With domain and account there are two more in front, and perhaps some behind.
        let from = if tokens.len() >= 9 { 4 } else { 2 };
        let attempt = tokens.get(from)?.parse().ok()?;
        let sequence = tokens.get(from + 1)?.parse().ok()?;
        Some(Self { attempt, sequence })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reply_subject_of_a_delivery_is_read_in_both_forms() {
        let expected = Some(Delivered { attempt: 3, sequence: 17 });
        assert_eq!(Delivered::read("$JS.ACK.EVENTS.worker.3.17.5.1700000000.9"), expected);
        assert_eq!(Delivered::read("$JS.ACK.hub.ACC.EVENTS.worker.3.17.5.1700000000.9.x1"), expected);
        for bad in ["", "_INBOX.a", "$JS.ACK.", "$JS.ACK.a.b.c.d", "$JS.ACK.a.b.1"] {
            assert_eq!(Delivered::read(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_event_keeps_its_bytes_and_its_id_is_the_messages() {
        let subjects = Subjects::new("e").unwrap();
        let text = r#"{"topic":"a.b" , "id":"i-1","data":{"x":1.0},"extra":[1, 2]}"#;
        let sent = Event::from_json(text).unwrap();
        let id = headers(&sent, None).unwrap().get("Nats-Msg-Id").map(|id| id.as_str().to_owned());
        assert_eq!(id.as_deref(), Some("i-1"));
        let came = event(&subjects, &subjects.subject("a.b"), &sent.to_json()).unwrap();
        assert_eq!(came.to_json(), text);
        let nameless = Event::from_json(r#"{"topic":"a"}"#).unwrap();
        assert!(headers(&nameless, None).is_none());
        let passed_on = headers(&nameless, Some("a bridge"));
        assert!(is_of(passed_on.as_ref(), Some("a bridge")));
        for other in [None, Some("bridge")] {
            assert!(!is_of(passed_on.as_ref(), other) && !is_of(None, other));
        }
    }

    #[test]
    fn what_is_no_event_says_what_to_do_and_shows_no_payload() {
        let subjects = Subjects::new("e").unwrap();
        for (subject, payload) in
            [("other.a", r#"{"topic":"a"}"#), ("e.a", "secret 4711"), ("e.b", r#"{"topic":"a"}"#)]
        {
            let error = event(&subjects, subject, &Bytes::from(payload)).unwrap_err().into_error(subject);
            assert_eq!(error.kind(), ErrorKind::Protocol);
            assert!(error.message().contains("another prefix"), "{error}");
            assert!(!format!("{error:?}").contains("4711"));
        }
    }
}
