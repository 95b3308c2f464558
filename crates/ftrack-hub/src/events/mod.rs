//! The payloads of ftrack's standard events as types.
//!
//! Each topic has a type that implements [`Payload`]; [`EventHub::on`](crate::EventHub::on) subscribes to it.
//! Nothing is lost on the way: members that a type does not name are in its `rest`, words that an enum does not know
//! are kept, and missing, null and present members stay apart ([`Field`](crate::Field)). Written again, a payload is
//! the JSON that it was read from, but for the order of members.
//!
//! Servers leave members out, so every member may be [`Field::Absent`](crate::Field::Absent). A member that is there
//! must have the documented shape; else decoding fails with a [`DecodeError`] that names the place.
//!
//! ```
//! use ftrack_hub::events::{Action, Payload, Update};
//! use ftrack_hub::Event;
//! use serde_json::json;
//!
//! let event = Event::new("ftrack.update", &json!({"entities": [{
//!     "entityId": "a1b2", "entityType": "task", "action": "update",
//!     "changes": {"statusid": {"old": "1", "new": "2"}}, "novel": true,
//! }]}))?;
//! let update = Update::decode(&event)?;
//! let entity = &update.entities()[0];
//! assert_eq!(entity.action.value(), Some(&Action::Update));
//! assert_eq!(entity.change("statusid").and_then(|change| change.new_text()), Some("2"));
//! assert_eq!(entity.rest["novel"], true);
//! assert_eq!(update.to_event()?.data_value(), event.data_value());
//! # Ok::<(), ftrack_hub::Error>(())
//! ```

mod action;
mod decode;
mod names;
mod on;
mod service;
mod shape;
mod update;

use event_core::{Error, ErrorKind, Event, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use action::{
    ActionDiscover, ActionItem, ActionItems, ActionLaunch, ActionResult, DiscoverContext, Selected,
    TriggerUserInterface,
};
pub(crate) use decode::from_value;
pub use event_core::DecodeError;
pub use names::{
    Action, ActionIdentifier, ClientToken, ComponentId, EntityId, EntityType, LocationId, ObjectTypeId,
    PushToken, UserId,
};
pub use on::{On, TypedDelivery, TypedStream};
pub use service::{
    Choice, Choices, ComponentAdded, ComponentRemoved, ConfigureLocation, Connect, ConstructEntityType,
    DynamicEnumerator, EntityReference, EnumeratorRecord, FileTypeFromString, MetaConnected,
    MetaDisconnected, MetaReply, MetaSubscribe, MetaUnsubscribe, RequestResolve, ResolvedPath, SessionReady,
    SessionReset,
};
pub use update::{Ancestor, Author, Change, Entity, Update};

/// The data of one topic.
///
/// Implement it for a topic of your own:
///
/// ```
/// use ftrack_hub::events::Payload;
/// use ftrack_hub::{Error, Event, EventHub};
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct RenderDone {
///     shot: String,
///     frames: u32,
/// }
///
/// impl Payload for RenderDone {
///     const TOPIC: &'static str = "studio.render.done";
/// }
///
/// async fn listen(hub: &EventHub) -> Result<(), Error> {
///     hub.on::<RenderDone>()
///         .handle(async |done: RenderDone, _event: Event| println!("{}: {} frames", done.shot, done.frames))
///         .await?;
///     hub.publish(RenderDone { shot: "sh010".to_owned(), frames: 96 }.to_event()?).await?;
///     Ok(())
/// }
/// ```
pub trait Payload: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The topic, without a wildcard.
    const TOPIC: &'static str;

    /// The data of an event of this topic.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Decode`] with a [`DecodeError`] as its source; [`ErrorKind::InvalidInput`] for an event of
    /// another topic.
    ///
    /// ```
    /// use ftrack_hub::events::{DecodeError, Payload, Update};
    /// use ftrack_hub::{Event, ErrorKind};
    /// use serde_json::json;
    /// use std::error::Error;
    ///
    /// let event = Event::new("ftrack.update", &json!({"entities": [{"entityId": 7}]}))?;
    /// let error = Update::decode(&event).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Decode);
    /// let cause = error.source().and_then(|cause| cause.downcast_ref::<DecodeError>()).unwrap();
    /// assert_eq!(cause.path(), "entities[0].entityId");
    /// assert_eq!(cause.found(), "a number");
    /// # Ok::<(), ftrack_hub::Error>(())
    /// ```
    fn decode(event: &Event) -> Result<Self> {
        if event.topic() != Self::TOPIC {
            let message = format!("the event is on {}, not on {}", event.topic(), Self::TOPIC);
            return Err(Error::new(ErrorKind::InvalidInput, "decode event", message));
        }
        decode::decode(event)
    }

    /// A new event with this data.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] when the data has no JSON form.
    fn to_event(&self) -> Result<Event> {
        Event::new(Self::TOPIC, self)
    }
}

macro_rules! standard {
    ($($name:ident),* $(,)?) => {
        /// The data of any standard topic. It serialises as the data alone.
        #[derive(Clone, Debug, PartialEq, serde::Serialize)]
        #[serde(untagged)]
        #[non_exhaustive]
        pub enum Standard {
            $(
                #[doc = concat!("See [`", stringify!($name), "`](struct@", stringify!($name), ").")]
                $name($name),
            )*
        }

        impl Standard {
            /// The topics, as they are spelled.
            pub const TOPICS: &'static [&'static str] = &[$($name::TOPIC),*];

            /// The data of an event of a standard topic; `None` for other topics.
            ///
            /// # Errors
            ///
            /// Those of [`Payload::decode`].
            pub fn decode(event: &Event) -> Result<Option<Self>> {
                Ok(match event.topic().as_str() {
                    $($name::TOPIC => Some(Self::$name($name::decode(event)?)),)*
                    _ => None,
                })
            }

            /// A new event with this data.
            ///
            /// # Errors
            ///
            /// Those of [`Payload::to_event`].
            pub fn to_event(&self) -> Result<Event> {
                match self {
                    $(Self::$name(payload) => payload.to_event(),)*
                }
            }
        }
    };
}

standard!(
    Update,
    ActionDiscover,
    ActionLaunch,
    TriggerUserInterface,
    Connect,
    DynamicEnumerator,
    ComponentAdded,
    ComponentRemoved,
    RequestResolve,
    MetaSubscribe,
    MetaUnsubscribe,
    MetaReply,
    MetaConnected,
    MetaDisconnected,
    ConstructEntityType,
    ConfigureLocation,
    SessionReady,
    SessionReset,
    FileTypeFromString,
);
