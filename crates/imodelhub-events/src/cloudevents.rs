//! Events as CloudEvents 1.0 in JSON, and back, without loss: what the queue says about a message is kept. The mapping is
//! described in [the crate `event-cloudevents`](event_cloudevents).
//!
//! ```
//! use imodelhub_events::cloudevents::{CONTENT_TYPE, CloudEvents};
//! use imodelhub_events::{AccessToken, Environment, EventType, HubEvent, IModelHubClient, IModelId};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let emulator = hub_emulator::Emulator::start().await?;
//! # let imodel = IModelId::new("0a1b2c3d-1111-2222-3333-444455556666")?;
//! # let client = IModelHubClient::builder(Environment::Url(emulator.imodelhub_url()), AccessToken::bearer("t")).build()?;
//! # let subscription = client.create_subscription(&imodel, &[EventType::Version]).await?;
//! # emulator.publish_imodel_event(imodel.as_str(), "VersionEvent", None);
//! let mapping = CloudEvents::from_source(format!("https://api.bentley.com/imodelhub/{imodel}"))?;
//! if let Some(event) = client.get_event(&subscription, None).await? {
//!     let body = mapping.write(event.raw())?; // to be posted as CONTENT_TYPE
//!     let back = HubEvent::new(mapping.read(&body)?);
//!     assert_eq!(back.imodel()?, event.imodel()?);
//!     assert_eq!((back.message_id(), back.broker()), (event.message_id(), event.broker()));
//! #   assert!(back.message_id().is_some() && CONTENT_TYPE == "application/cloudevents+json");
//! }
//! # Ok(())
//! # }
//! ```

pub use event_cloudevents::*;
