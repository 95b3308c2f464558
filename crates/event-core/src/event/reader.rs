//! Events out of a buffer that is used again.

use bytes::BytesMut;

use super::{Event, wire};
use crate::{Result, Topic};

/// So many bytes of text are kept together.
const CHUNK: usize = 8 * 1024;

/// Reads events from JSON text that is not its own, such as what a websocket has just read, and copies them.
///
/// Copies share chunks of 8 KiB: an event that is kept for long keeps its neighbours' text, and no more than that.
/// [`Event::from_json`] copies nothing, and keeps the whole of the buffer that it was given a part of.
///
/// ```
/// use event_core::EventReader;
///
/// let mut reader = EventReader::new();
/// let event = reader.read(r#"{"topic":"ftrack.update","data":{}}"#)?;
/// assert_eq!(event.topic(), &"ftrack.update");
/// # Ok::<(), event_core::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct EventReader {
    chunk: BytesMut,
    /// The topic of the last event, which is often that of the next.
    topic: Option<Topic>,
}

impl EventReader {
    /// A reader without a chunk yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads an event from one JSON object.
    ///
    /// # Errors
    ///
    /// As [`Event::from_json`].
    pub fn read(&mut self, text: &str) -> Result<Event> {
        if self.chunk.capacity() < text.len() {
            self.chunk = BytesMut::with_capacity(text.len().max(CHUNK));
        }
        self.chunk.extend_from_slice(text.as_bytes());
        let copy = self.chunk.split().freeze();
        let envelope = wire::read(text, &copy, self.topic.as_ref())?;
        if self.topic.as_ref() != Some(&envelope.topic) {
            self.topic = Some(envelope.topic.clone());
        }
        Ok(Event::received(envelope, copy))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// One after the other, with some kept and some not.
        #[test]
        fn it_reads_what_from_json_reads(
            texts in prop::collection::vec((prop_oneof![0..200_usize, 0..20_000_usize], "[a-c]?", any::<bool>()), 0..8)
        ) {
            let mut reader = EventReader::new();
            let mut kept = Vec::new();
            for (length, topic, keep) in texts {
                let data = "x".repeat(length);
                let text = format!(r#"{{"topic":"{topic}","data":{{"x":"{data}"}},"source":null}}"#);
                let (read, expected) = (reader.read(&text), Event::from_json(text.clone()));
                let (read, expected) = (read.unwrap(), expected.unwrap());
                prop_assert_eq!(read.topic(), expected.topic());
                prop_assert_eq!(&read.to_json()[..], text.as_bytes());
                if keep {
                    kept.push((read, text));
                }
            }
            for (event, text) in kept {
                prop_assert_eq!(&event.to_json()[..], text.as_bytes());
                prop_assert_eq!(&event.data_value()["x"], &text[text.find("\"x\":\"").unwrap() + 5..text.rfind("\"}").unwrap()]);
            }
        }
    }

    #[test]
    fn what_is_no_event_is_refused_and_the_next_is_read() {
        let mut reader = EventReader::new();
        for text in ["", "{}", r#"{"topic":1}"#, r#"{"topic":"a""#] {
            let (error, expected) = (reader.read(text).unwrap_err(), Event::from_json(text).unwrap_err());
            assert_eq!(error.to_string(), expected.to_string());
        }
        assert_eq!(reader.read(r#"{"topic":"a"}"#).unwrap().topic(), &"a");
    }
}
