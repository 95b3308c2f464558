//! Events: reading, writing, editing, byte for byte.

use std::path::Path;

use event_core::{ErrorKind, Event, Field, RawJson};
use proptest::prelude::*;
use serde_json::{Value, json};

fn read(text: &str) -> Event {
    Event::from_json(text.to_owned()).unwrap()
}

#[test]
fn a_new_event_has_exactly_the_seven_members_of_the_service() {
    let event = Event::new("my.topic", &json!({"a": 1})).unwrap();
    let value: Value = serde_json::from_slice(&event.to_json()).unwrap();
    let mut keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["data", "id", "inReplyToEvent", "sent", "source", "target", "topic"]);
    assert_eq!(
        (&value["target"], &value["inReplyToEvent"], &value["sent"]),
        (&json!(""), &json!(null), &json!(null))
    );
}

#[test]
fn editing_in_place_forgets_what_was_made_of_the_event_and_leaves_clones_alone() {
    let text = r#"{"id":"1","topic":"t","data":{"a":1},"source":{"id":"s"},"more":1}"#;
    let expected = r#"{"id":"1","topic":"u","data":[2],"source":{"id":"me"},"more":1,"target":"id=x"}"#;
    for keeps_a_clone in [false, true] {
        let event = read(text);
        assert_eq!((&event.data_value()["a"], event.source_id()), (&json!(1), Some("s")));
        assert_eq!(event.source()["id"], "s");
        let kept = keeps_a_clone.then(|| event.clone());
        let builder = event.into_builder().topic("u").raw_data(RawJson::from_text("[2]").unwrap());
        let edited = builder.source_field("id", "me").target("id=x").build().unwrap();
        assert_eq!((edited.data_value(), edited.source_id()), (&json!([2]), Some("me")));
        assert_eq!(edited.to_json(), expected);
        if let Some(kept) = kept {
            assert_eq!((kept.data_value(), kept.to_json().as_ref()), (&json!({"a": 1}), text.as_bytes()));
        }
    }
}

#[test]
fn builders_that_are_cloned_do_not_share_what_they_make() {
    let one = Event::builder("t").data(&1);
    let other = one.clone();
    let built = one.build().unwrap();
    assert_eq!(built.data_value(), &json!(1));
    let text = built.to_json();
    let kept = built.clone();
    drop(built);
    let other = other.data(&2).build().unwrap();
    assert_ne!(other.id(), kept.id());
    assert_eq!((other.data_value(), kept.to_json()), (&json!(2), text));
}

#[test]
fn absent_null_and_value_are_kept_apart() {
    let absent = read(r#"{"topic":"t"}"#);
    assert!(absent.fields().id.is_absent() && absent.raw_data().is_absent() && absent.sent().is_absent());
    let null = read(r#"{"topic":"t","id":null,"data":null,"target":null,"inReplyToEvent":null,"sent":null}"#);
    assert!(null.fields().id.is_null() && null.raw_data().is_null() && null.fields().target.is_null());
    assert!(null.fields().in_reply_to.is_null() && null.sent().is_null());
    let value = read(r#"{"topic":"t","id":"","data":0,"target":"","sent":"2026"}"#);
    assert_eq!(value.id().unwrap(), &"");
    assert_eq!(value.raw_data().value().map(RawJson::as_str), Some("0"));
    assert!(matches!(value.fields().target, Field::Value(text) if text.is_empty()));
    for event in [absent, null, value] {
        let again = event.to_builder().build().unwrap();
        assert_eq!(again.to_json(), event.to_json(), "rebuilt from its members, compact text is the same");
    }
}

#[test]
fn an_unmodified_event_is_written_back_byte_for_byte() {
    let text = "{ \"data\" : {\"b\": 1.50, \"a\":\"\\u00e9\"} ,\n\"topic\":\"t\", \"x-unknown\": [1 , 2], \"id\":\"\\u0041\"}";
    let event = read(text);
    assert_eq!(event.to_json(), text.as_bytes());
    assert_eq!(event.id().unwrap(), &"A");
    assert_eq!(event.extra("x-unknown").unwrap().as_str(), "[1 , 2]");
}

#[test]
fn an_edited_event_keeps_the_bytes_of_its_data_and_unknown_members() {
    let event = read(
        "{\"data\": {\"b\": 1.50,  \"a\":\"\\u00e9\"}, \"topic\":\"t\", \"x\": [1 , 2], \"sent\": null}",
    );
    let edited = event.to_builder().target("id=a").source_field("id", "me").build().unwrap();
    let text = String::from_utf8(edited.to_json().to_vec()).unwrap();
    assert_eq!(
        text,
        "{\"data\":{\"b\": 1.50,  \"a\":\"\\u00e9\"},\"topic\":\"t\",\"x\":[1 , 2],\"sent\":null,\"target\":\"id=a\",\
         \"source\":{\"id\":\"me\"}}"
    );
    assert_eq!(event.target(), "", "the original is untouched");
}

#[test]
fn data_is_decoded_into_types_and_trees_on_demand() {
    let event = read(r#"{"topic":"t","data":{"n":7,"name":"x"}}"#);
    let (n, name) = (event.data_value()["n"].as_u64(), event.data_value()["name"].as_str());
    assert_eq!((n, name), (Some(7), Some("x")));
    let typed: std::collections::BTreeMap<String, Value> = event.data().unwrap();
    assert_eq!(typed.len(), 2);
    let error = event.data::<Vec<u8>>().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Decode);
    assert!(!error.to_string().contains("name"), "no payload in errors: {error}");
    assert_eq!(read(r#"{"topic":"t"}"#).data::<Option<u8>>().unwrap(), None);
}

#[test]
fn malformed_events_are_refused_with_a_reason_and_without_their_payload() {
    for (text, reason) in [
        ("", "not one JSON object"),
        ("[]", "not one JSON object"),
        ("{\"topic\":\"secret\"", "not one JSON object"),
        ("{\"topic\":\"secret\"} x", "not one JSON object"),
        ("{\"id\":\"secret\"}", "no \"topic\""),
        ("{\"topic\":null}", "\"topic\" is not a string"),
        ("{\"topic\":\"t\",\"id\":5}", "\"id\" is not a string"),
        ("{\"topic\":\"t\",\"target\":[\"secret\"]}", "\"target\" is not a string"),
        ("{\"topic\":\"t\",\"inReplyToEvent\":{}}", "\"inReplyToEvent\" is not a string"),
        ("{\"topic\":\"\\ud800\"}", "\"topic\" is not a string"),
    ] {
        let error = Event::from_json(text.to_owned()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{text}");
        assert!(error.to_string().contains(reason), "{text}: {error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    assert_eq!(Event::from_json(&b"{\"topic\":\"\xff\"}"[..]).unwrap_err().kind(), ErrorKind::Protocol);
    let many: String = (0..300).map(|n| format!(",\"k{n}\":0")).collect();
    assert!(Event::from_json(format!("{{\"topic\":\"t\"{many}}}")).is_err());
}

#[test]
fn a_repeated_member_counts_the_last_time() {
    let event = read(r#"{"topic":"a","id":"1","topic":"b","id":"2"}"#);
    assert_eq!((event.topic().as_str(), event.id().unwrap().as_str()), ("b", "2"));
}

#[test]
fn an_event_without_topic_or_with_unserialisable_data_is_not_built() {
    assert_eq!(Event::new("", &json!({})).unwrap_err().kind(), ErrorKind::InvalidInput);
    let bad = std::collections::HashMap::from([((1, 2), 3)]);
    assert_eq!(Event::new("t", &bad).unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn debug_shows_names_and_sizes_but_no_payload() {
    let event = Event::builder("t")
        .data(&json!({"password": "hunter2"}))
        .source_field("token", "abc123")
        .build()
        .unwrap();
    let debug = format!("{event:?}");
    assert!(debug.contains("\"t\"") && !debug.contains("hunter2") && !debug.contains("abc123"), "{debug}");
}

#[test]
fn nesting_beyond_the_limit_is_an_error_of_whoever_reads_it_only() {
    let deep = format!("{{\"topic\":\"t\",\"data\":{}1{}}}", "[".repeat(5_000), "]".repeat(5_000));
    let event = read(&deep);
    assert_eq!(event.to_json(), deep.as_bytes());
    assert_eq!(event.data_value(), &Value::Null);
    assert_eq!(event.data::<Value>().unwrap_err().kind(), ErrorKind::Decode);
}

#[test]
fn a_recorded_update_is_read_and_written_back() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/ftrack-payload-update.json");
    let text = std::fs::read(path).unwrap();
    let event = Event::from_json(text.clone()).unwrap();
    assert_eq!(event.topic(), &"ftrack.update");
    assert_eq!(event.to_json(), text);
    assert!(event.data_value()["entities"].is_array());
}

fn json_text() -> impl Strategy<Value = String> {
    let blank = "[ \t\n\r]{0,2}";
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        "-?(0|[1-9][0-9]{0,6})(\\.[0-9]{1,3})?".prop_map(String::from),
        "[a-zäß\u{1f3ac}]{0,4}".prop_map(|text| serde_json::to_string(&text).unwrap()),
        Just("\"\\u0041\\n\"".to_owned()),
    ];
    leaf.prop_recursive(3, 16, 3, move |inner| {
        prop_oneof![
            (prop::collection::vec(inner.clone(), 0..3), blank)
                .prop_map(|(v, b)| format!("[{b}{}{b}]", v.join(","))),
            (prop::collection::vec(inner, 0..3), blank).prop_map(|(v, b)| {
                let members: Vec<String> =
                    v.iter().enumerate().map(|(n, v)| format!("\"k{n}\"{b}:{b}{v}")).collect();
                format!("{{{}{b}}}", members.join(","))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn any_text_is_an_event_or_an_error(text in "\\PC{0,40}") {
        let _ = Event::from_json(text);
    }

    #[test]
    fn any_bytes_are_an_event_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let _ = Event::from_json(bytes);
    }

    #[test]
    fn whatever_is_read_is_written_back(data in json_text(), extra in json_text(), blank in "[ \n]{0,2}") {
        let text = format!("{{{blank}\"data\":{blank}{data},\"topic\":\"t\"{blank},\"zzz\":{extra}{blank}}}");
        let event = read(&text);
        prop_assert_eq!(event.to_json(), text.as_bytes());
        let edited = event.to_builder().id("new").build().unwrap();
        let again = Event::from_json(edited.to_json()).unwrap();
        prop_assert_eq!(again.extra("zzz").unwrap().as_str(), extra);
        let kept = again.raw_data().value().map_or("null", RawJson::as_str);
        prop_assert_eq!(kept, data);
    }
}

#[test]
fn a_field_in_a_struct_keeps_absent_null_and_value_apart() {
    #[derive(serde::Serialize, serde::Deserialize)]
    struct Shot {
        #[serde(default, skip_serializing_if = "Field::is_absent")]
        frames: Field<u32>,
    }
    for (text, frames) in
        [("{}", Field::Absent), (r#"{"frames":null}"#, Field::Null), (r#"{"frames":7}"#, Field::Value(7))]
    {
        let shot: Shot = serde_json::from_str(text).unwrap();
        assert_eq!(shot.frames, frames);
        assert_eq!(serde_json::to_string(&shot).unwrap(), text);
    }
    assert!(serde_json::from_str::<Shot>(r#"{"frames":"7"}"#).is_err());
    assert_eq!(serde_json::to_string(&[Field::Value(1), Field::Absent]).unwrap(), "[1,null]");
}
