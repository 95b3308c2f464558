//! `ftrack.update`: entities were made, changed or deleted.

use std::collections::BTreeMap;

use event_core::Field;
use serde_json::Value;

use super::names::{Action, ClientToken, EntityId, EntityType, ObjectTypeId, PushToken, UserId};
use super::shape::{object, payload};

payload! {
    /// Entities were made, changed or deleted (`ftrack.update`).
    Update = "ftrack.update" {
        /// What happened, entity by entity.
        entities: Vec<Entity> = "entities",
        /// Who did it.
        user: Author = "user",
        /// The ids of the entities and of everything above them.
        parents: Vec<EntityId> = "parents",
        /// What the server calls this push of changes.
        push_token: PushToken = "pushToken",
        /// The web page from which it was done.
        client_token: ClientToken = "clientToken",
    }
}

object! {
    /// What happened to one entity.
    Entity {
        /// Its id.
        id: EntityId = "entityId",
        /// Its type, as events spell it: `task`, `show`, `assetversion`.
        kind: EntityType = "entityType",
        /// Its type in ftrack's schema, where it is sent: `Task`, `Shot`, `AssetVersion`.
        schema: EntityType = "entity_type",
        /// What happened to it.
        action: Action = "action",
        /// The attributes that changed, in the spelling of events: `statusid`, not `status_id`.
        keys: Vec<String> = "keys",
        /// By attribute: the values before and after.
        changes: BTreeMap<String, Change> = "changes",
        /// What it is.
        object_type_id: ObjectTypeId = "objectTypeId",
        /// The entity that it is in.
        parent_id: EntityId = "parentId",
        /// The entity itself and everything above it, up to the project, which is the last.
        parents: Vec<Ancestor> = "parents",
    }
}

object! {
    /// The value of an attribute before and after.
    Change {
        /// Before.
        old: Value = "old",
        /// After.
        new: Value = "new",
    }
}

object! {
    /// An entity above another, or the other itself.
    Ancestor {
        /// Its id.
        id: EntityId = "entityId",
        /// Its type, as events spell it.
        kind: EntityType = "entityType",
        /// Its type in ftrack's schema, where it is sent.
        schema: EntityType = "entity_type",
        /// The entity that it is in; null for a project.
        parent_id: EntityId = "parentId",
    }
}

object! {
    /// Who made a change.
    Author {
        /// The user's id.
        id: UserId = "userid",
        /// The name that people know.
        name: String = "name",
    }
}

impl Update {
    /// The entities; none when the member is missing or null.
    pub fn entities(&self) -> &[Entity] {
        self.entities.value().map_or(&[], Vec::as_slice)
    }
}

impl Entity {
    /// Whether it is of this type, by either of its types; see [`EntityType::is`]. Where the server sends the type
    /// in the schema, `Task` is only what is a task there, not every shot.
    pub fn is(&self, kind: &str) -> bool {
        match self.schema.value() {
            Some(schema) => {
                schema.as_str().eq_ignore_ascii_case(kind)
                    || (!kind.eq_ignore_ascii_case("task")
                        && self.kind.value().is_some_and(|own| own.is(kind)))
            }
            None => self.kind.value().is_some_and(|own| own.is(kind)),
        }
    }

    /// The changed attributes with their values; none when the member is missing or null.
    pub fn changes(&self) -> impl Iterator<Item = (&str, &Change)> {
        self.changes.value().into_iter().flatten().map(|(key, change)| (key.as_str(), change))
    }

    /// The change of one attribute, in the spelling of events (`statusid`).
    pub fn change(&self, key: &str) -> Option<&Change> {
        self.changes.value()?.get(key)
    }

    /// The id of the project that it is in, by its parents.
    pub fn project(&self) -> Option<&EntityId> {
        let parents = self.parents.value()?;
        let project =
            parents.iter().find(|parent| parent.kind.value().is_some_and(|kind| kind.is("Project")));
        project?.id.value()
    }
}

impl Change {
    /// The value before, if it is a text.
    pub fn old_text(&self) -> Option<&str> {
        self.old.value()?.as_str()
    }

    /// The value after, if it is a text.
    pub fn new_text(&self) -> Option<&str> {
        self.new.value()?.as_str()
    }

    /// Whether before and after are the same.
    pub fn is_none(&self) -> bool {
        fn value(field: &Field<Value>) -> Option<&Value> {
            field.value()
        }
        value(&self.old) == value(&self.new)
    }
}
