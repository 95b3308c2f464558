//! Where each member goes.

use event_core::Event;
use serde_json::{Value, json};

use crate::generated::mapping;

fn written(event: &str) -> Value {
    serde_json::from_slice(&mapping().write(&Event::from_json(event.to_owned()).unwrap()).unwrap()).unwrap()
}

#[test]
fn an_event_of_ftrack_has_its_members_in_attributes() {
    let event = r#"{"topic":"ftrack.meta.reply","data":{"n":1.0},"target":"id=h","inReplyToEvent":"q","id":"a",
        "source":{"id":"s","user":{"username":"jane"}},"sent":null,"unknown":[1,{"é":"x"}]}"#;
    assert_eq!(
        written(event),
        json!({
            "specversion": "1.0",
            "id": "a",
            "source": "https://hub.example",
            "type": "ftrack.meta.reply",
            "hubsource": r#"{"id":"s","user":{"username":"jane"}}"#,
            "hubtarget": "id=h",
            "hubinreplyto": "q",
            "hubextra": r#"{"unknown":[1,{"é":"x"}]}"#,
            "data": {"n": 1.0},
        })
    );
    let event = Event::from_json(event).unwrap();
    let json = mapping().write(&event).unwrap();
    let text = std::str::from_utf8(&json).unwrap();
    assert!(text.contains(r#""data":{"n":1.0}"#), "{text}");
    let back = mapping().read(&json).unwrap();
    assert_eq!(back.raw_data().value().unwrap().as_str(), r#"{"n":1.0}"#);
    assert_eq!(back.extra("unknown").unwrap().as_str(), r#"[1,{"é":"x"}]"#);
}

#[test]
fn the_date_of_a_queue_is_readable_as_a_time_and_kept_as_it_was() {
    let event = r#"{"id":"m","topic":"VersionEvent","data":{},"sent":"Sun, 06 Nov 1994 08:49:37 GMT"}"#;
    let json = written(event);
    assert_eq!(json["time"], "1994-11-06T08:49:37Z");
    assert_eq!(json["hubextra"], r#"{"sent":"Sun, 06 Nov 1994 08:49:37 GMT"}"#);
    let back = mapping().read(json.to_string()).unwrap();
    assert_eq!(back.sent().value().unwrap().as_str(), "\"Sun, 06 Nov 1994 08:49:37 GMT\"");
    assert!(back.raw_source().is_absent());
}

#[test]
fn what_no_attribute_can_hold_is_kept_beside() {
    let json =
        written(r#"{"id":"m","topic":"t","target":"a=\"x\ty\"","inReplyToEvent":"","source":{"\u007f":1}}"#);
    assert_eq!(json["hubextra"], r#"{"target":"a=\"x\ty\"","inReplyToEvent":""}"#);
    assert_eq!(json["hubsource"], r#"{"\u007f":1}"#);
    assert!(json.get("hubtarget").is_none() && json.get("data").is_none());
}

#[test]
fn data_that_is_null_and_no_data_are_told_apart() {
    assert_eq!(written(r#"{"id":"m","topic":"t","data":null}"#)["data"], Value::Null);
    assert!(written(r#"{"id":"m","topic":"t"}"#).get("data").is_none());
    let read = |data: &str| {
        let json = format!(r#"{{"specversion":"1.0","id":"1","source":"/a","type":"t"{data}}}"#);
        mapping().read(json).unwrap().raw_data().clone()
    };
    assert!(read("").is_absent() && read(r#","data":null"#).is_null());
}

#[test]
fn an_event_of_another_hub_keeps_its_source() {
    let other = event_cloudevents::CloudEvents::from_source("https://other.example").unwrap();
    let event = Event::new("t", &1).unwrap();
    let read = mapping().read(other.write(&event).unwrap()).unwrap();
    assert_eq!(read.source()["cloudevents"]["source"], "https://other.example");
    let again: Value = serde_json::from_slice(&mapping().write(&read).unwrap()).unwrap();
    assert_eq!(again["source"], "https://other.example");
}

#[test]
fn of_a_member_that_comes_twice_the_last_one_counts() {
    let json = written(r#"{"id":"m","id":"n","topic":"t","x":1,"x":2}"#);
    assert_eq!((&json["id"], &json["hubextra"]), (&json!("n"), &json!(r#"{"x":2}"#)));
    let back = mapping().read(json.to_string()).unwrap();
    assert_eq!((back.id().unwrap().as_str(), back.extra("x").unwrap().as_str()), ("n", "2"));
}
