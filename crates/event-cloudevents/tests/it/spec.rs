//! The examples of the specification (JSON Event Format, sections 3.2 and 4.3).

use serde_json::{Value, json};

use crate::generated::{attributes, mapping};

#[test]
fn every_example_is_read_and_written_without_loss() {
    let examples: Vec<Value> = serde_json::from_str(include_str!("../data/spec-examples.json")).unwrap();
    assert_eq!(examples.len(), 6);
    let events = mapping().read_batch(include_str!("../data/spec-examples.json")).unwrap();
    for (example, event) in examples.iter().zip(&events) {
        let single = mapping().read(example.to_string()).unwrap();
        assert_eq!(single.data_value(), event.data_value());
        assert_eq!(attributes(&mapping().write(event).unwrap()), attributes(example.to_string().as_bytes()));
    }
    let [binary, xml, object, text, ..] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(binary.data_value(), "... base64 encoded string ...");
    assert_eq!(binary.source()["cloudevents"]["data_base64"], true);
    assert_eq!(xml.data_value(), "<much wow=\"xml\"/>");
    assert_eq!(
        xml.source()["cloudevents"],
        json!({
            "source": "/mycontext",
            "comexampleextension1": "value",
            "comexampleothervalue": 5,
            "datacontenttype": "application/xml",
        })
    );
    assert_eq!(
        (object.topic().as_str(), &object.data_value()["appinfoB"]),
        ("com.example.someevent", &json!(123))
    );
    assert_eq!(object.sent().value().unwrap().as_str(), "\"2018-04-05T17:31:00Z\"");
    assert_eq!(text.data_value(), "I'm just a string");
    assert!(mapping().read_batch("[]").unwrap().is_empty());
}
