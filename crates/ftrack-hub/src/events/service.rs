//! The other standard topics: requests of the server, locations, the hub's own events, sessions.

use event_core::{IntoReply, Json, RawJson, Result};
use serde_json::{Map, Value};

use super::names::{ComponentId, EntityId, EntityType, LocationId};
use super::shape::{object, payload};

payload! {
    /// The server wants ftrack Connect to do something (`ftrack.connect`).
    Connect = "ftrack.connect" {
        /// What to do, such as `start`.
        action: String = "action",
        /// With which plugin, such as `publish`.
        plugin: String = "plugin",
        /// For which entity.
        entity: EntityReference = "entity",
    }
}

object! {
    /// An entity by id and type.
    EntityReference {
        /// Its id.
        id: EntityId = "entityId",
        /// Its type, as events spell it.
        kind: EntityType = "entityType",
    }
}

payload! {
    /// The server asks for the entries of a menu (`ftrack.dynamic-enumerator`). Answer with [`Choices`].
    DynamicEnumerator = "ftrack.dynamic-enumerator" {
        /// Of which attribute.
        attribute: String = "attributeName",
        /// For which entity, and what is changed in it.
        record: EnumeratorRecord = "recordData",
        /// What the user has typed.
        query: String = "query",
        /// How to sort.
        sorters: Vec<Value> = "sorters",
        /// How to group.
        groupers: Vec<Value> = "groupers",
        /// What to leave out.
        filters: Vec<Value> = "filters",
    }
}

object! {
    /// The entity whose attribute is chosen.
    EnumeratorRecord {
        /// The entity.
        entity: EntityReference = "entity",
        /// What is changed and not saved yet.
        changes: Map<String, Value> = "changes",
    }
}

object! {
    /// An entry of a menu.
    Choice {
        /// What the user reads.
        name: String = "name",
        /// What it stands for.
        value: Value = "value",
    }
}

/// The answer to [`DynamicEnumerator`]: entries of a menu.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Choices(pub Vec<Choice>);

payload! {
    /// A component was added to a location (`ftrack.location.component-added`).
    ComponentAdded = "ftrack.location.component-added" {
        /// Which component.
        component_id: ComponentId = "component_id",
        /// Which location.
        location_id: LocationId = "location_id",
    }
}

payload! {
    /// A component was removed from a location (`ftrack.location.component-removed`).
    ComponentRemoved = "ftrack.location.component-removed" {
        /// Which component.
        component_id: ComponentId = "component_id",
        /// Which location.
        location_id: LocationId = "location_id",
    }
}

payload! {
    /// Somebody asks for the path of a component (`ftrack.location.request-resolve`). Answer with a
    /// [`ResolvedPath`].
    RequestResolve = "ftrack.location.request-resolve" {
        /// Which component.
        component_id: ComponentId = "componentId",
        /// In which location; null: in any.
        location_name: String = "locationName",
        /// For which platform: `Windows`, `Linux`, `Darwin`.
        platform: String = "platform",
    }
}

object! {
    /// The answer to [`RequestResolve`].
    ResolvedPath {
        /// The path.
        path: String = "path",
    }
}

payload! {
    /// A hub subscribes (`ftrack.meta.subscribe`).
    MetaSubscribe = "ftrack.meta.subscribe" {
        /// Who: its id and metadata.
        subscriber: Map<String, Value> = "subscriber",
        /// To what: an expression.
        subscription: String = "subscription",
    }
}

payload! {
    /// A hub unsubscribes (`ftrack.meta.unsubscribe`).
    MetaUnsubscribe = "ftrack.meta.unsubscribe" {
        /// Who.
        subscriber: Map<String, Value> = "subscriber",
    }
}

payload! {
    /// This hub is connected (`ftrack.meta.connected`); made here, never sent.
    MetaConnected = "ftrack.meta.connected" {}
}

payload! {
    /// This hub is not connected any more (`ftrack.meta.disconnected`); made here, never sent.
    MetaDisconnected = "ftrack.meta.disconnected" {}
}

/// An answer to an event (`ftrack.meta.reply`): anything.
#[derive(Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct MetaReply(pub Value);

impl super::Payload for MetaReply {
    const TOPIC: &'static str = "ftrack.meta.reply";
}

impl std::fmt::Debug for MetaReply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MetaReply({})", super::DecodeError::kind_of(Some(&self.0)))
    }
}

payload! {
    /// A session asks how to make a class (`ftrack.api.session.construct-entity-type`); inside one process.
    ConstructEntityType = "ftrack.api.session.construct-entity-type" {
        /// The schema of the type.
        schema: Value = "schema",
        /// All schemas.
        schemas: Value = "schemas",
    }
}

payload! {
    /// A session lets locations be set up (`ftrack.api.session.configure-location`); inside one process.
    ConfigureLocation = "ftrack.api.session.configure-location" {}
}

payload! {
    /// A session is ready (`ftrack.api.session.ready`); inside one process.
    SessionReady = "ftrack.api.session.ready" {}
}

payload! {
    /// A session was reset (`ftrack.api.session.reset`); inside one process.
    SessionReset = "ftrack.api.session.reset" {}
}

payload! {
    /// A session asks for the extension of a file name (`ftrack.api.session.get-file-type-from-string`); inside one
    /// process. Answer with the extension.
    FileTypeFromString = "ftrack.api.session.get-file-type-from-string" {
        /// The path.
        file_path: String = "file_path",
    }
}

impl Choices {
    /// Entries by what the user reads and what each stands for.
    pub fn new<N: Into<String>, V: Into<Value>>(entries: impl IntoIterator<Item = (N, V)>) -> Self {
        let choice = |(name, value): (N, V)| Choice {
            name: Some(name.into()).into(),
            value: event_core::Field::Value(value.into()),
            rest: Map::new(),
        };
        Self(entries.into_iter().map(choice).collect())
    }
}

impl ResolvedPath {
    /// This path.
    pub fn new(path: impl Into<String>) -> Self {
        Self { path: Some(path.into()).into(), rest: Map::new() }
    }
}

impl IntoReply for Choices {
    fn into_reply(self) -> Result<Option<RawJson>> {
        Json(self).into_reply()
    }
}

impl IntoReply for ResolvedPath {
    fn into_reply(self) -> Result<Option<RawJson>> {
        Json(self).into_reply()
    }
}
