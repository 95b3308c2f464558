//! Events as CloudEvents 1.0 in JSON, and back, without loss. The mapping is described in
//! [the crate `event-cloudevents`](event_cloudevents).
//!
//! ```
//! use ftrack_hub::cloudevents::{CONTENT_TYPE, CloudEvents};
//! use ftrack_hub::{Event, Session};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let session = Session::builder("https://studio.ftrackapp.com", "jane.doe", "api-key").build()?;
//! let mapping = CloudEvents::from_source(session.server_url().to_string())?;
//!
//! let event = Event::builder("studio.render").data(&"sh010").target("applicationId=farm").build()?;
//! let body = mapping.write(&event)?; // to be posted as CONTENT_TYPE
//! # assert_eq!(CONTENT_TYPE, "application/cloudevents+json");
//! let back = mapping.read(&body)?;
//! assert_eq!((back.data_value(), back.target()), (event.data_value(), event.target()));
//! # Ok(())
//! # }
//! ```

pub use event_cloudevents::*;
