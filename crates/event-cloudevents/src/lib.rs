//! Events as [CloudEvents](https://cloudevents.io) 1.0 in JSON, structured mode, and back: for brokers, functions and
//! whatever else speaks them.
//!
//! ```
//! use event_cloudevents::{CONTENT_TYPE, CloudEvents};
//! use event_core::Event;
//! use serde_json::{Value, json};
//!
//! // Where the events come from: the address of the server, usually.
//! let mapping = CloudEvents::from_source("https://studio.ftrackapp.com")?;
//!
//! let event = Event::builder("studio.render")
//!     .id("7b1d8f6e")
//!     .data(&json!({"shot": "sh010"}))
//!     .target("applicationId=farm")
//!     .sent("2026-11-26T10:00:00Z")
//!     .source_field("applicationId", "maya")
//!     .build()?;
//! let body = mapping.write(&event)?; // to be posted as CONTENT_TYPE
//! assert_eq!(CONTENT_TYPE, "application/cloudevents+json");
//! assert_eq!(
//!     serde_json::from_slice::<Value>(&body)?,
//!     json!({
//!         "specversion": "1.0",
//!         "id": "7b1d8f6e",
//!         "source": "https://studio.ftrackapp.com",
//!         "type": "studio.render",
//!         "time": "2026-11-26T10:00:00Z",
//!         "hubsource": r#"{"applicationId":"maya"}"#,
//!         "hubtarget": "applicationId=farm",
//!         "data": {"shot": "sh010"},
//!     })
//! );
//!
//! let back = mapping.read(&body)?;
//! assert_eq!(back.source(), event.source());
//! assert_eq!((back.id(), back.target()), (event.id(), event.target()));
//!
//! // CloudEvents of others are events, too; what has no place in one is kept below `source.cloudevents`.
//! let foreign = br#"{"specversion":"1.0","id":"1","source":"/blobs","type":"blob.made","subject":"a.png","data":5}"#;
//! let event = mapping.read(foreign)?;
//! assert_eq!((event.topic().as_str(), event.data_value()), ("blob.made", &json!(5)));
//! assert_eq!(event.source()["cloudevents"], json!({"source": "/blobs", "subject": "a.png"}));
//! assert_eq!(serde_json::from_slice::<Value>(&mapping.write(&event)?)?, serde_json::from_slice::<Value>(foreign)?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The mapping
//!
//! | event | CloudEvent |
//! |---|---|
//! | `id` | `id`; an event without one is refused |
//! | `topic` | `type`, as it is |
//! | `data` | `data`, byte for byte; `datacontenttype` is left out, which means JSON |
//! | `sent` | `time`, if it is a time of RFC 3339 |
//! | `source` | `hubsource`: its JSON, as text |
//! | `target`, unless it is empty | `hubtarget` |
//! | `inReplyToEvent` | `hubinreplyto` |
//! | all others, and what does not fit its attribute | `hubextra`: an object as JSON, as text |
//! | `source.cloudevents` | the attributes in it, each by its name |
//! | (the mapping) | `source` |
//!
//! Extension attributes have flat values and names of small letters and digits, so what is an object travels as text. A
//! `sent` that is a date as HTTP spells it, as with iModelHub, is in `hubextra` and, for others to read, in `time`. In the
//! other direction, an attribute that an event has no member for goes below `source.cloudevents`; `data_base64` becomes
//! `data`, a text, with `"data_base64": true` there.
//!
//! [Reading](CloudEvents::read) what was [written](CloudEvents::write), by the same mapping, gives the same event; writing
//! a CloudEvent of others that was read gives the same CloudEvent. The same means: as JSON, with members in any order;
//! for events, a member that is null (`data` apart) or an empty target is as good as none, and so is an attribute that is
//! null.

mod attributes;
mod error;
mod object;
mod read;
mod write;

use bytes::Bytes;
use event_core::Event;

pub use error::{CloudEventError, Problem};

/// The media type of one CloudEvent in JSON.
pub const CONTENT_TYPE: &str = "application/cloudevents+json";
/// The media type of several.
pub const BATCH_CONTENT_TYPE: &str = "application/cloudevents-batch+json";

type Result<T> = std::result::Result<T, CloudEventError>;

/// How the events of one hub are written as CloudEvents, and read. See [the crate](crate).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloudEvents {
    source: Box<str>,
}

impl CloudEvents {
    /// A mapping whose events come from there: a URI, or a reference to one, such as the address of the server.
    /// CloudEvents tells events apart by source and id together.
    ///
    /// # Errors
    ///
    /// [`Problem::Empty`] or [`Problem::NotUri`].
    pub fn from_source(source: impl Into<String>) -> Result<Self> {
        let source = source.into();
        attributes::check_uri(&source).map_err(|problem| CloudEventError::at("source", problem))?;
        Ok(Self { source: source.into() })
    }

    /// Where the events come from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// An event as a CloudEvent, compact, of [`CONTENT_TYPE`].
    ///
    /// # Errors
    ///
    /// An event whose id or topic is missing, empty, or has characters that CloudEvents does not allow.
    pub fn write(&self, event: &Event) -> Result<Bytes> {
        write::event(self, event).map(Bytes::from)
    }

    /// Several events, of [`BATCH_CONTENT_TYPE`].
    ///
    /// # Errors
    ///
    /// As [`CloudEvents::write`], with the place in the list.
    pub fn write_batch<'e>(&self, events: impl IntoIterator<Item = &'e Event>) -> Result<Bytes> {
        let mut out = String::from("[");
        for (index, event) in events.into_iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            out += &write::event(self, event).map_err(|error| error.within(index))?;
        }
        out.push(']');
        Ok(out.into())
    }

    /// A CloudEvent in JSON as an event.
    ///
    /// # Errors
    ///
    /// What is no CloudEvent 1.0, with the place in the JSON.
    pub fn read(&self, json: impl AsRef<[u8]>) -> Result<Event> {
        read::event(self, json.as_ref())
    }

    /// Several of them.
    ///
    /// # Errors
    ///
    /// As [`CloudEvents::read`], for the first that is wrong.
    pub fn read_batch(&self, json: impl AsRef<[u8]>) -> Result<Vec<Event>> {
        read::batch(self, json.as_ref())
    }
}

/// The README's program.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
