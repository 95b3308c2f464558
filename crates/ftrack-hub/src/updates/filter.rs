//! Which entities of an update somebody wants.

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::events::{Action, Entity, EntityId, UserId};

/// A condition on one entity of an update, which expressions cannot state: they do not look into lists.
///
/// Pure, and cheap to clone. Put together with [`and`](Filter::and), [`or`](Filter::or) and `!`.
///
/// ```
/// use ftrack_hub::updates::Filter;
///
/// let approved = Filter::kind(["Task"]).and(Filter::status_changed_to("approved-id"));
/// let wanted = approved.or(Filter::version_published()) & !Filter::in_projects(["archive-id"]);
/// # let _ = wanted;
/// ```
#[derive(Clone)]
pub struct Filter {
    test: Arc<dyn Fn(&Entity) -> bool + Send + Sync>,
    words: Arc<str>,
}

impl Filter {
    /// Every entity.
    pub fn any() -> Self {
        Self::named("any", |_| true)
    }

    /// Entities for which a function holds.
    pub fn when(test: impl Fn(&Entity) -> bool + Send + Sync + 'static) -> Self {
        Self::named("when(..)", test)
    }

    /// Entities of one of these types; see [`Entity::is`].
    pub fn kind<T: Into<String>>(kinds: impl IntoIterator<Item = T>) -> Self {
        let kinds: Vec<String> = kinds.into_iter().map(Into::into).collect();
        Self::named(format!("kind({})", kinds.join(", ")), move |entity| {
            kinds.iter().any(|kind| entity.is(kind))
        })
    }

    /// Entities to which this happened.
    pub fn action(action: Action) -> Self {
        Self::named(format!("action({action})"), move |entity| entity.action.value() == Some(&action))
    }

    /// Entities in one of these projects, as far as the update says where they are.
    pub fn in_projects<T: Into<EntityId>>(projects: impl IntoIterator<Item = T>) -> Self {
        let projects: Vec<EntityId> = projects.into_iter().map(Into::into).collect();
        Self::named("in_projects(..)", move |entity| {
            entity.project().is_some_and(|own| projects.contains(own))
        })
    }

    /// Entities below this one, or this one itself, as far as the update says where they are.
    pub fn under(ancestor: impl Into<EntityId>) -> Self {
        let ancestor = ancestor.into();
        Self::named("under(..)", move |entity| {
            let parents = entity.parents.value().into_iter().flatten();
            entity.id.value() == Some(&ancestor)
                || parents.into_iter().any(|own| own.id.value() == Some(&ancestor))
        })
    }

    /// Entities whose attribute changed, to whatever. Attributes are spelled as in events: `statusid`, `assigneeid`.
    pub fn changed(key: impl Into<String>) -> Self {
        let key = key.into();
        Self::named(format!("changed({key})"), move |entity| {
            entity.change(&key).is_some_and(|change| !change.is_none())
        })
    }

    /// Entities whose attribute changed to this value.
    pub fn changed_to(key: impl Into<String>, new: impl Into<Value>) -> Self {
        let (key, new) = (key.into(), new.into());
        Self::named(format!("changed_to({key}, ..)"), move |entity| {
            entity.change(&key).is_some_and(|change| !change.is_none() && change.new.value() == Some(&new))
        })
    }

    /// Entities whose attribute changed from this value.
    pub fn changed_from(key: impl Into<String>, old: impl Into<Value>) -> Self {
        let (key, old) = (key.into(), old.into());
        Self::named(format!("changed_from({key}, ..)"), move |entity| {
            entity.change(&key).is_some_and(|change| !change.is_none() && change.old.value() == Some(&old))
        })
    }

    /// Entities whose status changed.
    pub fn status_changed() -> Self {
        Self::changed(STATUS)
    }

    /// Entities whose status changed to the one with this id.
    pub fn status_changed_to(new: impl Into<String>) -> Self {
        Self::changed_to(STATUS, new.into())
    }

    /// Entities whose status changed from one to another, by their ids.
    pub fn status_changed_between(old: impl Into<String>, new: impl Into<String>) -> Self {
        Self::changed_from(STATUS, old.into()).and(Self::changed_to(STATUS, new.into()))
    }

    /// Asset versions that were published: made, unless they say that they are not published yet, or marked as
    /// published later.
    pub fn version_published() -> Self {
        Self::named("version_published", |entity| {
            let published =
                ["ispublished", "is_published"].iter().find_map(|key| entity.change(key)?.new.value());
            entity.is("AssetVersion")
                && match entity.action.value() {
                    Some(Action::Add) => published.is_none_or(is_yes),
                    Some(Action::Update) => published.is_some_and(is_yes),
                    _ => false,
                }
        })
    }

    /// Assignments of this user to something, as they are made. ftrack sends them as entities of their own, of type
    /// `Appointment`; [`assigned_task`](super::assigned_task) gives the task.
    pub fn assigned_to(user: impl Into<UserId>) -> Self {
        let user = user.into();
        Self::named("assigned_to(..)", move |entity| {
            entity.action.value() == Some(&Action::Add)
                && is_assignment(entity)
                && assignment(entity, ["resource_id", "resourceid", "userid"]) == Some(user.as_str())
        })
    }

    /// Both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let words = format!("({self} and {other})");
        Self::named(words, move |entity| self.matches(entity) && other.matches(entity))
    }

    /// At least one of the two.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        let words = format!("({self} or {other})");
        Self::named(words, move |entity| self.matches(entity) || other.matches(entity))
    }

    /// Whether the entity is wanted.
    pub fn matches(&self, entity: &Entity) -> bool {
        (self.test)(entity)
    }

    fn named(words: impl Into<Arc<str>>, test: impl Fn(&Entity) -> bool + Send + Sync + 'static) -> Self {
        Self { test: Arc::new(test), words: words.into() }
    }
}

/// The attribute that holds the status, as events spell it.
const STATUS: &str = "statusid";

/// The task of an assignment that [`Filter::assigned_to`] found.
pub fn assigned_task(entity: &Entity) -> Option<EntityId> {
    let task = is_assignment(entity).then(|| assignment(entity, ["context_id", "contextid", "taskid"]))?;
    task.map(EntityId::from)
}

fn is_assignment(entity: &Entity) -> bool {
    let kind = entity.change("type").and_then(|change| change.new_text().or(change.old_text()));
    entity.is("Appointment") && kind.is_none_or(|kind| kind.eq_ignore_ascii_case("assignment"))
}

/// A member of an assignment, by any of the names that it has.
fn assignment<'e>(entity: &'e Entity, keys: [&str; 3]) -> Option<&'e str> {
    keys.iter().find_map(|key| entity.change(key)).and_then(|change| change.new_text().or(change.old_text()))
}

/// Whether a value means yes.
fn is_yes(value: &Value) -> bool {
    match value {
        Value::Bool(yes) => *yes,
        Value::Number(number) => number.as_i64() == Some(1),
        Value::String(text) => text == "1" || text.eq_ignore_ascii_case("true"),
        _ => false,
    }
}

impl std::ops::Not for Filter {
    type Output = Self;

    fn not(self) -> Self {
        let words = format!("not {self}");
        Self::named(words, move |entity| !self.matches(entity))
    }
}

impl std::ops::BitAnd for Filter {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        self.and(other)
    }
}

impl std::ops::BitOr for Filter {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.or(other)
    }
}

/// What the filter asks for, without ids and values.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Filter({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn entity(value: Value) -> Entity {
        serde_json::from_value(value).unwrap()
    }

    fn status(old: &str, new: &str) -> Entity {
        entity(json!({
            "entityId": "t1", "entityType": "task", "entity_type": "Task", "action": "update",
            "changes": {"statusid": {"old": old, "new": new}, "sort": {"old": 1, "new": 1}},
            "parents": [{"entityId": "t1", "entityType": "task"}, {"entityId": "s1", "entityType": "task"},
                {"entityId": "p1", "entityType": "show"}],
        }))
    }

    #[test]
    fn a_status_is_followed_from_and_to() {
        let change = status("a", "b");
        for (filter, matches) in [
            (Filter::status_changed(), true),
            (Filter::status_changed_to("b"), true),
            (Filter::status_changed_to("a"), false),
            (Filter::status_changed_between("a", "b"), true),
            (Filter::status_changed_between("b", "a"), false),
            (Filter::changed("sort"), false),
            (Filter::changed_to("sort", 1), false),
            (Filter::changed("name"), false),
        ] {
            assert_eq!(filter.matches(&change), matches, "{filter}");
        }
        assert!(!Filter::status_changed_to("a").matches(&status("a", "a")), "nothing changed");
    }

    #[test]
    fn types_projects_and_places_are_told_apart() {
        let task = status("a", "b");
        for (filter, matches) in [
            (Filter::kind(["Task", "Shot"]), true),
            (Filter::kind(["Shot"]), false),
            (Filter::kind(["TypedContext"]), true),
            (Filter::in_projects(["p0", "p1"]), true),
            (Filter::in_projects(["s1"]), false),
            (Filter::under("s1"), true),
            (Filter::under("t1"), true),
            (Filter::under("s2"), false),
            (Filter::action(Action::Update), true),
            (Filter::action(Action::Add), false),
            (Filter::when(|entity| entity.rest.is_empty()), true),
        ] {
            assert_eq!(filter.matches(&task), matches, "{filter}");
            assert_eq!((!filter.clone()).matches(&task), !matches, "{filter}");
        }
        let nowhere = entity(json!({"entityType": "task"}));
        assert!(!Filter::in_projects(["p1"]).matches(&nowhere) && Filter::kind(["Task"]).matches(&nowhere));
    }

    #[test]
    fn a_version_is_published_when_it_is_made_or_marked() {
        let version = |action: &str, changes: Value| {
            entity(json!({"entityType": "assetversion", "action": action, "changes": changes}))
        };
        let published = |new: Value| json!({"ispublished": {"old": null, "new": new}});
        for (entity, matches) in [
            (version("add", json!(null)), true),
            (version("add", published(json!(true))), true),
            (version("add", published(json!(false))), false),
            (version("update", published(json!("True"))), true),
            (version("update", published(json!(1))), true),
            (version("update", json!({"comment": {"new": "x"}})), false),
            (version("remove", published(json!(true))), false),
            (entity(json!({"entityType": "asset", "action": "add"})), false),
        ] {
            assert_eq!(Filter::version_published().matches(&entity), matches, "{entity:?}");
        }
    }

    #[test]
    fn an_assignment_names_user_and_task() {
        let assigned = |action: &str, kind: &str| {
            entity(json!({"entityType": "appointment", "action": action, "changes": {
                "type": {"old": null, "new": kind}, "resource_id": {"old": null, "new": "u1"},
                "context_id": {"old": null, "new": "t1"}}}))
        };
        let to_u1 = Filter::assigned_to("u1");
        let one = assigned("add", "assignment");
        assert!(to_u1.matches(&one) && !Filter::assigned_to("u2").matches(&one));
        assert_eq!(assigned_task(&one), Some("t1".into()));
        assert!(
            !to_u1.matches(&assigned("remove", "assignment"))
                && !to_u1.matches(&assigned("add", "allocation"))
        );
        assert_eq!(assigned_task(&status("a", "b")), None);
    }

    #[test]
    fn filters_are_put_together_and_say_what_they_ask_without_ids() {
        let filter =
            (Filter::kind(["Task"]) & !Filter::status_changed_to("secret")) | Filter::version_published();
        assert_eq!(
            filter.to_string(),
            "((kind(Task) and not changed_to(statusid, ..)) or version_published)"
        );
        assert!(filter.matches(&status("a", "b")) && !filter.matches(&status("a", "secret")));
        assert!(Filter::any().matches(&Entity::default()));
    }
}
