//! Ids and words of ftrack's payloads.

use super::shape::{one_of, text};

text! {
    /// The id of an entity: of a task, a shot, an asset version, a project.
    EntityId,
    /// The id of a user.
    UserId,
    /// The id of an object type, such as that of all shots.
    ObjectTypeId,
    /// The id of a component, a file or a sequence of files.
    ComponentId,
    /// The id of a location, a place where components are.
    LocationId,
    /// What the server calls one push of changes.
    PushToken,
    /// What a web page calls itself.
    ClientToken,
    /// The name by which an action is launched, such as `studio.publish`.
    ActionIdentifier,
}

one_of! {
    /// What happened to an entity.
    Action {
        /// It was made.
        Add = "add",
        /// Some of its attributes were changed.
        Update = "update",
        /// It was deleted.
        Remove = "remove",
    }
}

text! {
    /// The type of an entity, in the spelling of events (`task`, `show`, `assetversion`) or of ftrack's schema
    /// (`Task`, `Project`, `AssetVersion`). Compare with [`EntityType::is`].
    EntityType,
}

impl EntityType {
    /// Whether it is this type, in either spelling.
    ///
    /// Case does not matter, and what events call by an older name is known by both: `show` is `Project`. In events,
    /// `task` stands for everything in the hierarchy of a project (shots, sequences, folders): it is `Task` and it
    /// is `TypedContext`. What kind of task it is says [`Entity::schema`](super::Entity::schema), where the server
    /// sends it.
    ///
    /// ```
    /// use ftrack_hub::events::EntityType;
    ///
    /// assert!(EntityType::from("assetversion").is("AssetVersion"));
    /// assert!(EntityType::from("show").is("Project"));
    /// assert!(!EntityType::from("task").is("Shot"));
    /// ```
    pub fn is(&self, name: &str) -> bool {
        let (own, name) = (self.as_str(), name.trim());
        own.eq_ignore_ascii_case(name) || modern(own).eq_ignore_ascii_case(modern(name))
    }
}

/// The name in ftrack's schema of what events call otherwise.
fn modern(name: &str) -> &str {
    if name.eq_ignore_ascii_case("show") {
        "Project"
    } else if name.eq_ignore_ascii_case("task") {
        "TypedContext"
    } else {
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_are_not_known_are_kept() {
        let action: Action = serde_json::from_str("\"archive\"").unwrap();
        assert_eq!(action, Action::Other("archive".to_owned()));
        assert_eq!(serde_json::to_string(&action).unwrap(), "\"archive\"");
        assert_eq!(serde_json::from_str::<Action>("\"add\"").unwrap(), Action::Add);
        assert!(serde_json::from_str::<Action>("7").is_err());
    }

    #[test]
    fn types_are_compared_in_both_spellings() {
        let is = |own: &str, name: &str| EntityType::from(own).is(name);
        assert!(
            is("show", "Project")
                && is("Project", "show")
                && is("task", "TypedContext")
                && is("task", "Task")
        );
        assert!(!is("show", "Task") && !is("assetversion", "Asset") && !is("", "Task"));
    }
}
