//! Events and CloudEvents for property tests, and when two are the same.

use event_cloudevents::CloudEvents;
use event_core::Event;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

pub(crate) fn mapping() -> CloudEvents {
    CloudEvents::from_source("https://hub.example").unwrap()
}

/// Texts that are awkward in one way or another.
const TEXTS: [&str; 18] = [
    "",
    "a",
    "data",
    "cloudevents",
    "id",
    "sent",
    "target",
    "inReplyToEvent",
    "é😀",
    "null",
    "true",
    "{}",
    "\u{7f}\u{85}\u{fffe}\u{1ffff}",
    "\n\t\r\0",
    "\"\\/",
    "1994-11-06T08:49:37Z",
    "Sun, 06 Nov 1994 08:49:37 GMT",
    "a b",
];
/// Texts that an attribute may have.
const PLAIN: [&str; 6] = ["a", "7b1d8f6e", "ftrack.update", "é 😀", "<\"\\/>", "topic=a and not data.b=1"];
/// Names of extensions.
const NAMES: [&str; 7] = ["a", "ext", "comexampleextension1", "7", "traceparent", "sequence", "hub"];
const TIMES: [&str; 4] = [
    "2018-04-05T17:31:00Z",
    "2024-02-29T23:59:59.123456789+05:45",
    "1994-11-06T08:49:37Z",
    "2100-12-31T00:00:00.5-09:30",
];

/// Choices, one after the other; the first one of each when there are none left. Made by `proptest`, which finds few and
/// small ones for a failure.
pub(crate) struct Choices(std::vec::IntoIter<u8>);

pub(crate) fn choices() -> impl Strategy<Value = Choices> {
    prop::collection::vec(any::<u8>(), 0..60).prop_map(Choices::from)
}

impl From<Vec<u8>> for Choices {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into_iter())
    }
}

impl std::fmt::Debug for Choices {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.as_slice().fmt(f)
    }
}

impl Choices {
    fn byte(&mut self) -> u8 {
        self.0.next().unwrap_or(0)
    }

    fn below(&mut self, end: u8) -> u8 {
        self.byte() % end
    }

    fn of<'t>(&mut self, all: &[&'t str]) -> &'t str {
        all[usize::from(self.byte()) % all.len()]
    }

    fn text(&mut self) -> Value {
        self.of(&TEXTS).into()
    }

    fn value(&mut self, depth: u8) -> Value {
        match self.below(if depth == 0 { 7 } else { 9 }) {
            0 => Value::Null,
            1 => true.into(),
            2 => (i64::from(self.byte()) - 128).into(),
            3 => u64::MAX.into(),
            4 => (f64::from(self.byte()) / 8.0).into(),
            5 | 6 => self.text(),
            7 => (0..self.below(3)).map(|_| self.value(depth - 1)).collect(),
            _ => self.object(depth - 1).into(),
        }
    }

    fn object(&mut self, depth: u8) -> Map<String, Value> {
        (0..self.below(3)).map(|_| (self.of(&TEXTS).to_owned(), self.value(depth))).collect()
    }

    fn flat(&mut self) -> Value {
        match self.below(3) {
            0 => self.of(&PLAIN).into(),
            1 => (i32::from(self.byte()) - 128).into(),
            _ => false.into(),
        }
    }

    /// What may stand below `source.cloudevents`, and what may not.
    fn attributes(&mut self) -> Value {
        let one = |choices: &mut Self| match choices.below(8) {
            0 => (choices.of(&NAMES).to_owned(), choices.value(1)),
            1 => (choices.of(&TEXTS).to_owned(), choices.flat()),
            2 => ("source".to_owned(), choices.of(&["/a", "https://hub.example", "a b"]).into()),
            3 => ("data_base64".to_owned(), choices.below(2).eq(&0).into()),
            4 => ("time".to_owned(), choices.of(&TIMES).into()),
            5 => ("time".to_owned(), choices.text()),
            6 => ("subject".to_owned(), choices.text()),
            _ => (choices.of(&NAMES).to_owned(), choices.flat()),
        };
        if self.below(6) == 5 {
            return self.value(1);
        }
        Value::from((0..=self.below(3)).map(|_| one(self)).collect::<Map<_, _>>())
    }

    fn source(&mut self) -> Value {
        if self.below(6) == 5 {
            return self.value(1);
        }
        let mut object = self.object(1);
        if self.below(3) > 0 {
            let attributes = self.attributes();
            object.insert("cloudevents".to_owned(), attributes);
        }
        object.into()
    }

    fn sent(&mut self) -> Value {
        match self.below(4) {
            0 => self.of(&TIMES).into(),
            1 => "Sun, 06 Nov 1994 08:49:37 GMT".into(),
            2 => self.text(),
            _ => self.value(1),
        }
    }

    /// Any event that has an id and a topic that a CloudEvent can have.
    pub(crate) fn event(&mut self) -> Event {
        let mut object = self.object(1);
        for name in ["data", "source", "target", "inReplyToEvent", "sent"] {
            object.remove(name);
            if self.below(3) == 0 {
                continue;
            }
            let value = match name {
                "data" => self.value(2),
                "source" => self.source(),
                "sent" => self.sent(),
                _ if self.below(4) == 0 => Value::Null,
                _ => self.text(),
            };
            object.insert(name.to_owned(), value);
        }
        object.insert("id".to_owned(), self.of(&PLAIN).into());
        object.insert("topic".to_owned(), self.of(&PLAIN).into());
        Event::from_json(Value::from(object).to_string()).unwrap()
    }

    /// A CloudEvent that somebody else wrote.
    pub(crate) fn foreign(&mut self) -> Value {
        let mut object = Map::new();
        object.insert("specversion".to_owned(), json!("1.0"));
        object.insert("id".to_owned(), self.of(&PLAIN).into());
        object.insert("source".to_owned(), self.of(&["/a/b?c#d", "urn:x:1", "https://hub.example"]).into());
        object.insert("type".to_owned(), self.of(&PLAIN).into());
        for _ in 0..self.below(4) {
            let (name, value) = match self.below(6) {
                0 => ("time", self.of(&TIMES).into()),
                1 => ("subject", self.of(&PLAIN).into()),
                2 => ("datacontenttype", self.of(&["application/json", "text/plain; charset=utf-8"]).into()),
                3 => ("dataschema", "https://schemas.example/1".into()),
                _ => (self.of(&NAMES), self.flat()),
            };
            object.insert(name.to_owned(), value);
        }
        match self.below(4) {
            0 => {}
            1 => drop(object.insert("data_base64".to_owned(), self.of(&PLAIN).into())),
            _ => drop(object.insert("data".to_owned(), self.value(2))),
        }
        object.into()
    }
}

/// Without these members.
pub(crate) fn without(mut foreign: Value, names: &[&str]) -> Value {
    foreign.as_object_mut().unwrap().retain(|name, _| !names.contains(&name.as_str()));
    foreign
}

/// An event as a tree in which null and nothing are the same, `data` apart.
pub(crate) fn tree(event: &Event) -> Value {
    let mut tree: Value = serde_json::from_slice(&event.to_json()).unwrap();
    let object = tree.as_object_mut().unwrap();
    for name in ["source", "target", "inReplyToEvent", "sent"] {
        if object.get(name).is_some_and(Value::is_null) {
            object.remove(name);
        }
    }
    if object.get("target").is_some_and(|target| target == "") {
        object.remove("target");
    }
    tree
}

/// A CloudEvent as a tree in which null and nothing are the same, `data` apart.
pub(crate) fn attributes(json: &[u8]) -> Value {
    let mut tree: Value = serde_json::from_slice(json).unwrap();
    tree.as_object_mut().unwrap().retain(|name, value| name == "data" || !value.is_null());
    tree
}
