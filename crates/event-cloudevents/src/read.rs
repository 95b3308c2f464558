//! A CloudEvent as an event.

use event_core::Event;
use serde_json::value::RawValue;

use crate::attributes::{self, BASE64, BELOW, EXTRA, IN_REPLY_TO, SOURCE, TARGET};
use crate::object::{Members, Writer, not_json, text};
use crate::{CloudEventError, CloudEvents, Problem, Result};

pub(crate) fn event(mapping: &CloudEvents, json: &[u8]) -> Result<Event> {
    let members = Members::parse(utf8(json)?).map_err(CloudEventError::whole)?;
    from_members(mapping, &members)
}

pub(crate) fn batch(mapping: &CloudEvents, json: &[u8]) -> Result<Vec<Event>> {
    let json = utf8(json)?;
    let list: Vec<&RawValue> = if json.trim_ascii_start().starts_with('[') {
        serde_json::from_str(json).map_err(|error| CloudEventError::whole(not_json(&error)))?
    } else {
        // Not JSON at all, or something else.
        Members::parse(json).map_err(CloudEventError::whole)?;
        return Err(CloudEventError::whole(Problem::Type { expected: "a list" }));
    };
    let one = |(index, json): (usize, &RawValue)| {
        let read = Members::parse(json.get()).map_err(CloudEventError::whole);
        read.and_then(|members| from_members(mapping, &members)).map_err(|error| error.within(index))
    };
    list.into_iter().enumerate().map(one).collect()
}

fn utf8(json: &[u8]) -> Result<&str> {
    std::str::from_utf8(json).map_err(|_| CloudEventError::whole(Problem::NotJson { line: 0, column: 0 }))
}

fn from_members(mapping: &CloudEvents, members: &Members<'_>) -> Result<Event> {
    check(members)?;
    // Null is as good as nothing, except for the data.
    let known = |name: &str| members.get(name).filter(|value| *value != "null");
    let extra = known(EXTRA).and_then(text);
    let extra = Members::parse(extra.as_deref().unwrap_or("{}"))
        .map_err(|problem| CloudEventError::at(EXTRA, problem))?;
    check_extra(&extra, &known)?;

    let mut below = Writer::new();
    for (name, value) in members.0.iter().filter(|(_, value)| *value != "null") {
        if *name == BASE64 {
            below.json(BASE64, "true");
        } else if is_left(mapping, name, value) {
            below.json(name, value);
        }
    }
    let sent = match (extra.get("sent").filter(|sent| *sent != "null"), known("time")) {
        (Some(sent), Some(time)) => {
            if text(sent).and_then(|sent| attributes::http_date(&sent)) != text(time) {
                below.json("time", time);
            }
            Some(sent)
        }
        (sent, time) => sent.or(time),
    };

    let mut out = Writer::new();
    out.json("id", known("id").unwrap_or_default());
    out.json("topic", known("type").unwrap_or_default());
    if let Some(data) = members.get("data").or(known(BASE64)) {
        out.json("data", data);
    }
    if let Some(source) = source(known(SOURCE), below)? {
        out.json("source", &source);
    }
    for (member, name) in [("target", TARGET), ("inReplyToEvent", IN_REPLY_TO)] {
        if let Some(value) = known(name).or(extra.get(member)) {
            out.json(member, value);
        }
    }
    if let Some(sent) = sent {
        out.json("sent", sent);
    }
    for (name, value) in &extra.0 {
        if !matches!(&**name, "target" | "inReplyToEvent" | "sent") {
            out.json(name, value);
        }
    }
    Event::from_json(out.end())
        .map_err(|error| CloudEventError::whole(Problem::NoEvent { why: error.message().to_owned() }))
}

/// Whether an attribute has no member of its own in an event.
fn is_left(mapping: &CloudEvents, name: &str, value: &str) -> bool {
    let is_ours = || text(value).is_some_and(|source| source == mapping.source());
    !attributes::is_mapped(name) && name != "time" && !(name == "source" && is_ours())
}

/// Every attribute, by its name and type.
fn check(members: &Members<'_>) -> Result<()> {
    if let Some(name) = members.twice() {
        return Err(CloudEventError::at(name, Problem::Twice));
    }
    let is_there = |name: &str| members.get(name).is_some_and(|value| value != "null");
    if let Some(missing) = ["specversion", "id", "source", "type"].into_iter().find(|name| !is_there(name)) {
        return Err(CloudEventError::at(missing, Problem::Missing));
    }
    if is_there(BASE64) && members.get("data").is_some() {
        return Err(CloudEventError::at("data", Problem::TwoPayloads));
    }
    for (name, value) in members.0.iter().filter(|(name, value)| name != "data" && *value != "null") {
        let checked = match &**name {
            "specversion" if text(value).as_deref() != Some("1.0") => Err(Problem::Version),
            BASE64 if text(value).is_none() => Err(Problem::Type { expected: "a text" }),
            BASE64 => Ok(()),
            name if !attributes::is_name(name) => Err(Problem::Name),
            name => check_attribute(name, value),
        };
        checked.map_err(|problem| CloudEventError::at(name, problem))?;
    }
    Ok(())
}

/// The value of an attribute, which is not null.
pub(crate) fn check_attribute(name: &str, value: &str) -> std::result::Result<(), Problem> {
    let is_text = matches!(
        name,
        "specversion"
            | "id"
            | "source"
            | "type"
            | "datacontenttype"
            | "dataschema"
            | "subject"
            | "time"
            | SOURCE
            | TARGET
            | IN_REPLY_TO
            | EXTRA
    );
    let Some(text) = text(value) else {
        let other = Problem::Type { expected: "a text, a boolean or an integer of 32 bits" };
        let is_flat = matches!(value, "true" | "false") || value.parse::<i32>().is_ok();
        return match (is_text, is_flat) {
            (true, _) => Err(Problem::Type { expected: "a text" }),
            (false, true) => Ok(()),
            (false, false) => Err(other),
        };
    };
    match name {
        _ if is_text && text.is_empty() => Err(Problem::Empty),
        "source" | "dataschema" => attributes::check_uri(&text),
        "time" if !attributes::is_time(&text) => Err(Problem::NotTime),
        _ if !attributes::is_text(&text) => Err(Problem::Characters),
        _ => Ok(()),
    }
}

/// What is in `hubextra` must not be told elsewhere.
fn check_extra<'j>(extra: &Members<'_>, known: &impl Fn(&str) -> Option<&'j str>) -> Result<()> {
    let wrong = |problem| Err(CloudEventError::at(EXTRA, problem));
    if extra.twice().is_some() {
        return wrong(Problem::Twice);
    }
    for member in ["id", "topic", "data", "source"] {
        if extra.get(member).is_some() {
            return wrong(Problem::Reserved { member });
        }
    }
    for (member, name) in [("target", TARGET), ("inReplyToEvent", IN_REPLY_TO)] {
        if extra.get(member).is_some() && known(name).is_some() {
            return wrong(Problem::Reserved { member });
        }
    }
    Ok(())
}

/// The source of the event: what it was, with the attributes that are left below it.
fn source(kept: Option<&str>, below: Writer) -> Result<Option<String>> {
    let wrong = |problem| CloudEventError::at(SOURCE, problem);
    let kept = kept.and_then(text);
    if let Some(kept) = &kept {
        serde_json::from_str::<&RawValue>(kept).map_err(|error| wrong(not_json(&error)))?;
    }
    if below.is_empty() {
        return Ok(kept);
    }
    let mut source = Writer::new();
    if let Some(kept) = &kept {
        let members = Members::parse(kept).map_err(wrong)?;
        if members.get(BELOW).is_some() {
            return Err(wrong(Problem::Reserved { member: BELOW }));
        }
        for (name, value) in &members.0 {
            source.json(name, value);
        }
    }
    source.json(BELOW, &below.end());
    Ok(Some(source.end()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::quoted;

    #[test]
    fn values_are_told_by_their_types() {
        for (name, value, expected) in [
            ("x", "true", Ok(())),
            ("x", "-5", Ok(())),
            ("x", "\"\"", Ok(())),
            ("x", "5.0", Err("a text, a boolean or an integer of 32 bits")),
            ("x", "2147483648", Err("a text, a boolean or an integer of 32 bits")),
            ("x", "{}", Err("a text, a boolean or an integer of 32 bits")),
            ("id", "5", Err("a text")),
        ] {
            let expected = expected.map_err(|expected| Problem::Type { expected });
            assert_eq!(check_attribute(name, value), expected, "{name} {value}");
        }
        assert_eq!(check_attribute("subject", "\"\""), Err(Problem::Empty));
        assert_eq!(check_attribute("time", "\"now\""), Err(Problem::NotTime));
        assert_eq!(check_attribute("x", &quoted("\u{7f}")), Err(Problem::Characters));
    }
}
