//! The SDK of CloudEvents itself as judge of what is written.

use cloudevents::event::ExtensionValue;
use cloudevents::{AttributesReader as _, Data, Event as Judged};
use proptest::prelude::*;
use serde_json::Value;

use crate::generated::{choices, mapping, without};

fn judged(json: &[u8]) -> Judged {
    serde_json::from_slice(json).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(json)))
}

/// Every member of the JSON is what the judge makes of it.
fn agree(json: &[u8]) {
    let (mut judged, tree) = (judged(json), serde_json::from_slice::<Value>(json).unwrap());
    let (_, _, data) = judged.take_data();
    for (name, value) in tree.as_object().unwrap() {
        match name.as_str() {
            "specversion" => assert_eq!(judged.specversion().as_str(), "1.0"),
            "id" => assert_eq!(judged.id(), value),
            "source" => assert_eq!(judged.source().as_str(), value),
            "type" => assert_eq!(judged.ty(), value),
            "time" => {
                let same = |text: &str| text.parse::<chrono::DateTime<chrono::Utc>>().unwrap();
                assert_eq!(*judged.time().unwrap(), same(value.as_str().unwrap()));
            }
            "subject" => assert_eq!(judged.subject().unwrap(), value),
            "dataschema" => assert_eq!(judged.dataschema().unwrap().as_str(), value),
            "data" => assert_eq!(data, Some(Data::Json(value.clone()))),
            extension => match judged.extension(extension).unwrap() {
                ExtensionValue::String(text) => assert_eq!(text, value),
                ExtensionValue::Boolean(boolean) => assert_eq!(boolean, value),
                ExtensionValue::Integer(integer) => assert_eq!(integer, value),
            },
        }
    }
}

#[test]
fn it_reads_an_event_of_each_service() {
    for event in [
        r#"{"id":"a","topic":"ftrack.update","data":{"entities":[]},"source":{"id":"h","user":{"username":"jane"}},"target":"","inReplyToEvent":null,"sent":null}"#,
        r#"{"id":"b","topic":"VersionEvent","data":{"VersionName":"v"},"sent":"Sun, 06 Nov 1994 08:49:37 GMT","broker":{"SequenceNumber":1}}"#,
    ] {
        let json = mapping().write(&event_core::Event::from_json(event).unwrap()).unwrap();
        agree(&json);
    }
}

proptest! {
    #[test]
    fn it_agrees_on_what_is_written(mut choices in choices()) {
        let event = choices.event();
        // Of data that is not JSON, the judge makes bytes in its own ways.
        let json = serde_json::from_slice::<Value>(&mapping().write(&event).unwrap()).unwrap();
        agree(without(json, &["data_base64", "datacontenttype"]).to_string().as_bytes());
    }

    #[test]
    fn we_read_what_it_writes(mut choices in choices()) {
        let foreign = without(choices.foreign(), &["data_base64", "datacontenttype"]);
        let json = serde_json::to_vec(&judged(foreign.to_string().as_bytes())).unwrap();
        let event = mapping().read(&json).unwrap();
        prop_assert_eq!(event.id().unwrap().as_str(), foreign["id"].as_str().unwrap());
        let written: Value = serde_json::from_slice(&json).unwrap();
        prop_assert_eq!(event.data_value(), &written["data"]);
    }
}
