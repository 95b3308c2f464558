//! An event as a CloudEvent.

use std::borrow::Cow;

use event_core::Event;

use crate::attributes::{self, BASE64, BELOW, EXTRA, IN_REPLY_TO, SOURCE, TARGET};
use crate::object::{Members, Writer, text};
use crate::read::check_attribute;
use crate::{CloudEventError, CloudEvents, Problem, Result};

pub(crate) fn event(mapping: &CloudEvents, event: &Event) -> Result<String> {
    let json = event.to_json();
    let json = std::str::from_utf8(&json).map_err(|_| no_json())?;
    let members = Members::parse(json).map_err(CloudEventError::whole)?;
    let known = |name: &str| members.get(name).filter(|value| *value != "null");
    let beside = Beside { mapping, data: known("data"), sent: known("sent") };
    let source = Source::read(&beside, known("source"));

    let mut out = Writer::new();
    out.text("specversion", "1.0");
    out.text("id", &required("id", known("id"))?);
    match source.attribute("source") {
        Some(source) => out.json("source", source),
        None => out.text("source", mapping.source()),
    }
    out.text("type", &required("topic", known("topic"))?);
    let mut extra = Writer::new();
    sent(&source, known("sent"), &mut out, &mut extra);
    for (name, value) in &source.attributes.0 {
        if !matches!(&**name, "source" | "time" | BASE64) {
            out.json(name, value);
        }
    }
    if let Some(rest) = &source.rest {
        out.text(SOURCE, &attributes::json_as_text(rest));
    }
    for (member, name) in [("target", TARGET), ("inReplyToEvent", IN_REPLY_TO)] {
        let Some(json) = known(member) else { continue };
        match text(json) {
            Some(text) if text.is_empty() && member == "target" => {}
            Some(text) if !text.is_empty() && attributes::is_text(&text) => out.text(name, &text),
            _ => extra.json(member, json),
        }
    }
    rest(&members, &mut extra);
    if !extra.is_empty() {
        out.text(EXTRA, &attributes::json_as_text(&extra.end()));
    }
    if let Some(data) = members.get("data") {
        out.json(if source.attribute(BASE64).is_some() { BASE64 } else { "data" }, data);
    }
    Ok(out.end())
}

/// `sent` as `time`, or beside it.
fn sent(source: &Source<'_>, sent: Option<&str>, out: &mut Writer, extra: &mut Writer) {
    let said = sent.and_then(text);
    match (&said, source.attribute("time")) {
        (Some(time), None) if attributes::is_time(time) => return out.text("time", time),
        (_, Some(time)) => out.json("time", time),
        (Some(date), None) => {
            if let Some(time) = attributes::http_date(date) {
                out.text("time", &time);
            }
        }
        (None, None) => {}
    }
    if let Some(sent) = sent {
        extra.json("sent", sent);
    }
}

/// Members that the SDK does not know, each once.
fn rest(members: &Members<'_>, extra: &mut Writer) {
    for (at, (name, value)) in members.0.iter().enumerate() {
        let known =
            matches!(&**name, "id" | "topic" | "data" | "source" | "target" | "inReplyToEvent" | "sent");
        let again = members.0.get(at + 1..).unwrap_or_default().iter().any(|(later, _)| later == name);
        if !known && !again {
            extra.json(name, value);
        }
    }
}

/// The id or the topic.
fn required(member: &str, json: Option<&str>) -> Result<String> {
    let wrong = |problem| CloudEventError::at(member, problem);
    let text = json.and_then(text).ok_or_else(|| wrong(Problem::Missing))?;
    if text.is_empty() {
        return Err(wrong(Problem::Empty));
    }
    if !attributes::is_text(&text) {
        return Err(wrong(Problem::Characters));
    }
    Ok(text)
}

/// The source of an event: the attributes that it holds, and the rest of it.
#[derive(Default)]
struct Source<'e> {
    attributes: Members<'e>,
    rest: Option<String>,
}

impl<'e> Source<'e> {
    fn read(beside: &Beside<'_>, source: Option<&'e str>) -> Self {
        let Some(source) = source else { return Self::default() };
        match Self::split(beside, source) {
            Some(split) => split,
            None => Self { attributes: Members::default(), rest: Some(source.to_owned()) },
        }
    }

    /// `None` when it holds no attributes, or what cannot be all of them.
    fn split(beside: &Beside<'_>, source: &'e str) -> Option<Self> {
        let members = Members::parse(source).ok()?;
        if members.twice().is_some() {
            return None;
        }
        let attributes = Members::parse(members.get(BELOW)?).ok()?;
        let good = |(name, value): &(Cow<'_, str>, &str)| beside.is_attribute(name, value);
        if attributes.0.is_empty() || attributes.twice().is_some() || !attributes.0.iter().all(good) {
            return None;
        }
        let mut rest = Writer::new();
        for (name, value) in members.0.iter().filter(|(name, _)| name != BELOW) {
            rest.json(name, value);
        }
        Some(Self { attributes, rest: (!rest.is_empty()).then(|| rest.end()) })
    }

    fn attribute(&self, name: &str) -> Option<&'e str> {
        self.attributes.get(name)
    }
}

/// What decides whether something is an attribute.
struct Beside<'e> {
    mapping: &'e CloudEvents,
    data: Option<&'e str>,
    sent: Option<&'e str>,
}

impl Beside<'_> {
    /// Whether a member below `source.cloudevents` is one that reading puts there.
    fn is_attribute(&self, name: &str, value: &str) -> bool {
        match name {
            BASE64 => value == "true" && self.data.and_then(text).is_some(),
            // It stands there when `sent` says something else.
            "time" => {
                let Some(sent) = self.sent else { return false };
                text(value).is_some_and(|time| {
                    attributes::is_time(&time)
                        && text(sent).and_then(|sent| attributes::http_date(&sent)).as_ref() != Some(&time)
                })
            }
            "source" => text(value)
                .is_some_and(|uri| uri != self.mapping.source() && attributes::check_uri(&uri).is_ok()),
            _ if attributes::is_mapped(name) || !attributes::is_name(name) => false,
            _ => check_attribute(name, value).is_ok(),
        }
    }
}

fn no_json() -> CloudEventError {
    CloudEventError::whole(Problem::NotJson { line: 0, column: 0 })
}
