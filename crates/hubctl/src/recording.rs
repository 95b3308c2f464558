//! Recordings: a line of JSON for each event, `{"at":1.234,"event":{...}}`, with the seconds since the beginning and the
//! event as it came, byte for byte.

use std::time::Duration;

use ftrack_hub::Event;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::exit::{Exit, Failure, Result};

/// One event of a recording.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub(crate) at: Duration,
    pub(crate) event: Event,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    at: f64,
    #[serde(borrow)]
    event: &'a RawValue,
}

/// An event as a line, with its end.
pub(crate) fn line(at: Duration, event: &Event) -> Result<String> {
    let json = event.to_json();
    let wrong =
        |error: serde_json::Error| Failure::new(Exit::Failed, format!("cannot record an event: {error}"));
    let event = serde_json::from_slice::<&RawValue>(&json).map_err(wrong)?;
    let mut line = serde_json::to_string(&Line { at: at.as_secs_f64(), event }).map_err(wrong)?;
    // Line breaks can stand between the members of an event, and only there.
    if line.contains('\n') || line.contains('\r') {
        line = line.replace(['\n', '\r'], " ");
    }
    line.push('\n');
    Ok(line)
}

/// A whole recording. Empty lines are passed over.
pub(crate) fn read(name: &str, text: &str) -> Result<Vec<Recorded>> {
    let mut recorded = Vec::new();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let wrong = |what: String| {
            Failure::new(Exit::Failed, format!("{name} is no recording: line {}: {what}", index + 1))
                .next("hubctl tail --record FILE, which makes one")
        };
        let Line { at, event } = serde_json::from_str(line).map_err(|error| wrong(error.to_string()))?;
        let at = Duration::try_from_secs_f64(at).map_err(|error| wrong(format!("at: {error}")))?;
        let event = Event::from_json(event.get().to_owned()).map_err(|error| wrong(error.to_string()))?;
        recorded.push(Recorded { at, event });
    }
    Ok(recorded)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = "{\"topic\": \"t\",\n \"data\":{\"n\":1.0}}";

    #[test]
    fn an_event_is_read_as_it_was_written() {
        let event = Event::from_json(EVENT).unwrap();
        let line = line(Duration::from_millis(1500), &event).unwrap();
        assert_eq!(line, "{\"at\":1.5,\"event\":{\"topic\": \"t\",  \"data\":{\"n\":1.0}}}\n");
        let read = read("f", &format!("{line}\n{line}")).unwrap();
        assert_eq!((read.len(), read[1].at), (2, Duration::from_millis(1500)));
        assert_eq!(read[0].event.raw_data().value().unwrap().as_str(), "{\"n\":1.0}");
    }

    #[test]
    fn what_is_no_recording_is_refused_with_its_line() {
        for (text, part) in [
            ("hello", "line 1"),
            ("\n{\"at\":1}", "line 2"),
            ("{\"at\":-1,\"event\":{}}", "at: "),
            ("{\"at\":1,\"event\":[]}", "line 1"),
        ] {
            let failure = read("f.jsonl", text).unwrap_err().to_string();
            assert!(failure.starts_with("f.jsonl is no recording: ") && failure.contains(part), "{failure}");
        }
    }
}
