//! What is no CloudEvent, and where.

use event_cloudevents::{CloudEvents, Problem};
use event_core::{Error, ErrorKind, Event};

use crate::generated::mapping;

fn with(more: &str) -> String {
    format!(r#"{{"specversion":"1.0","id":"1","source":"/a","type":"t"{more}}}"#)
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let flat = Problem::Type { expected: "a text, a boolean or an integer of 32 bits" };
    let text = Problem::Type { expected: "a text" };
    for (json, path, problem) in [
        (r#"{"specversion":"1.0","source":"/a","type":"t"}"#.to_owned(), "$.id", Problem::Missing),
        (r#"{"id":null,"specversion":"1.0","source":"/a","type":"t"}"#.to_owned(), "$.id", Problem::Missing),
        (
            r#"{"specversion":"0.3","id":"1","source":"/a","type":"t"}"#.to_owned(),
            "$.specversion",
            Problem::Version,
        ),
        (
            r#"{"specversion":1.0,"id":"1","source":"/a","type":"t"}"#.to_owned(),
            "$.specversion",
            Problem::Version,
        ),
        (r#"{"specversion":"1.0","id":"","source":"/a","type":"t"}"#.to_owned(), "$.id", Problem::Empty),
        (r#"{"specversion":"1.0","id":7,"source":"/a","type":"t"}"#.to_owned(), "$.id", text.clone()),
        (
            r#"{"specversion":"1.0","id":"1","source":"a b","type":"t"}"#.to_owned(),
            "$.source",
            Problem::NotUri,
        ),
        (with(r#","time":"yesterday""#), "$.time", Problem::NotTime),
        (with(r#","ext":{"a":1}"#), "$.ext", flat.clone()),
        (with(r#","ext":1.5"#), "$.ext", flat.clone()),
        (with(r#","ext":4294967296"#), "$.ext", flat),
        (with(r#","ext":"\u0001""#), "$.ext", Problem::Characters),
        (with(r#","Ext":"a""#), "$.Ext", Problem::Name),
        (with(r#","ext":"a","ext":"b""#), "$.ext", Problem::Twice),
        (with(r#","subject":"""#), "$.subject", Problem::Empty),
        (with(r#","data":1,"data_base64":"QQ==""#), "$.data", Problem::TwoPayloads),
        (with(r#","data_base64":1"#), "$.data_base64", text),
        (with(r#","hubsource":"{""#), "$.hubsource", Problem::NotJson { line: 1, column: 1 }),
        (with(r#","hubextra":"[]""#), "$.hubextra", Problem::Type { expected: "an object" }),
        (with(r#","hubextra":"{\"topic\":\"t\"}""#), "$.hubextra", Problem::Reserved { member: "topic" }),
        (
            with(r#","hubtarget":"a=b","hubextra":"{\"target\":\"c\"}""#),
            "$.hubextra",
            Problem::Reserved { member: "target" },
        ),
        (
            with(r#","hubsource":"{\"cloudevents\":1}""#),
            "$.hubsource",
            Problem::Reserved { member: "cloudevents" },
        ),
        ("[]".to_owned(), "$", Problem::Type { expected: "an object" }),
        ("\"x\"".to_owned(), "$", Problem::Type { expected: "an object" }),
        ("{".to_owned(), "$", Problem::NotJson { line: 1, column: 1 }),
        (String::new(), "$", Problem::NotJson { line: 1, column: 0 }),
    ] {
        let error = mapping().read(&json).unwrap_err();
        assert_eq!((error.path(), error.problem()), (path, &problem), "{json}");
    }
    assert_eq!(mapping().read(b"\xff").unwrap_err().problem(), &Problem::NotJson { line: 0, column: 0 });
    let reply = with(r#","hubextra":"{\"inReplyToEvent\":7}""#);
    assert!(matches!(mapping().read(reply).unwrap_err().problem(), Problem::NoEvent { .. }));
}

#[test]
fn a_place_in_a_batch_is_told() {
    let batch = format!("[{},{}]", with(""), with(r#","time":1"#));
    assert_eq!(mapping().read_batch(batch).unwrap_err().path(), "$[1].time");
    assert_eq!(mapping().read_batch("{}").unwrap_err().problem(), &Problem::Type { expected: "a list" });
    let nameless = Event::from_json(r#"{"topic":"t"}"#).unwrap();
    let error = mapping().write_batch([&nameless]).unwrap_err();
    assert_eq!((error.path(), error.problem()), ("$[0].id", &Problem::Missing));
}

#[test]
fn an_event_that_cannot_be_a_cloud_event_is_refused() {
    for (event, path, problem) in [
        (r#"{"topic":"t"}"#, "$.id", Problem::Missing),
        (r#"{"topic":"t","id":""}"#, "$.id", Problem::Empty),
        (r#"{"topic":"","id":"1"}"#, "$.topic", Problem::Empty),
        (r#"{"topic":"a\nb","id":"1"}"#, "$.topic", Problem::Characters),
    ] {
        let error = mapping().write(&Event::from_json(event).unwrap()).unwrap_err();
        assert_eq!((error.path(), error.problem()), (path, &problem), "{event}");
    }
    assert_eq!(CloudEvents::from_source("").unwrap_err().problem(), &Problem::Empty);
    assert_eq!(CloudEvents::from_source("a b").unwrap_err().path(), "$.source");
}

#[test]
fn values_are_not_quoted_and_the_error_is_one_of_the_sdk() {
    let error = mapping().read(with(r#","time":"marked-4711""#)).unwrap_err();
    let error = Error::from(error);
    assert_eq!(error.kind(), ErrorKind::Decode);
    assert!(error.to_string().contains("$.time: it must be a time"), "{error}");
    assert!(!format!("{error:?}").contains("4711"));
    assert!(!format!("{:?}", mapping().read("\"marked-4711\"").unwrap_err()).contains("4711"));
}
