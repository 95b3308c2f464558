//! Several changes of one entity as one: what is pending, and when it is due. Pure.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use event_core::{Event, Field};

use crate::events::{Action, Entity, EntityId};

/// How changes of one entity are put together.
///
/// A change waits until its entity has been quiet for [`quiet`](Debounce::quiet), and at most for
/// [`at_most`](Debounce::at_most) since the first of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Debounce {
    quiet: Duration,
    at_most: Duration,
    entities: usize,
}

impl Debounce {
    /// Waits for this much quiet; at most ten times as long, and with at most 4,096 entities waiting.
    pub fn quiet(quiet: Duration) -> Self {
        Self { quiet, at_most: quiet.saturating_mul(10), entities: 4096 }
    }

    /// The longest that a change waits while others keep coming.
    pub fn at_most(mut self, at_most: Duration) -> Self {
        self.at_most = at_most;
        self
    }

    /// How many entities may wait at a time; when one more comes, the one that has waited longest is handed out
    /// early. At least 1.
    pub fn entities(mut self, entities: usize) -> Self {
        self.entities = entities.max(1);
        self
    }
}

/// What became of one entity since it was handed out last.
#[derive(Clone, Debug)]
pub(super) struct Settled<T> {
    pub(super) entity: Entity,
    /// The last event that changed it.
    pub(super) event: Event,
    /// What the caller gave with that event.
    pub(super) with: T,
    /// How many changes went into it.
    pub(super) changes: u64,
}

struct Pending<T> {
    settled: Settled<T>,
    first: Instant,
    /// Its place in `due`.
    due: (Instant, u64),
}

/// Entities that wait, by when they are due.
pub(super) struct Coalescer<T> {
    debounce: Debounce,
    pending: HashMap<EntityId, Pending<T>>,
    /// When each is due; the number tells those of one moment apart.
    due: BTreeSet<(Instant, u64)>,
    /// Whose place in `due` it is.
    owners: HashMap<u64, EntityId>,
    /// Since when each has waited.
    ages: BTreeSet<(Instant, u64)>,
    next: u64,
}

impl<T> Coalescer<T> {
    pub(super) fn new(debounce: Debounce) -> Self {
        Self {
            debounce,
            pending: HashMap::new(),
            due: BTreeSet::new(),
            owners: HashMap::new(),
            ages: BTreeSet::new(),
            next: 0,
        }
    }

    /// How many entities wait.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.pending.len()
    }

    /// Takes a change; gives back what must go out at once: the entity that has waited longest, for want of room, or
    /// this one, if it has no id to wait under.
    pub(super) fn push(&mut self, now: Instant, entity: Entity, event: Event, with: T) -> Option<Settled<T>> {
        let Some(id) = entity.id.value().cloned() else {
            return Some(Settled { entity, event, with, changes: 1 });
        };
        if let Some(pending) = self.pending.get_mut(&id) {
            self.due.remove(&pending.due);
            pending.due.0 = (now + self.debounce.quiet).min(pending.first + self.debounce.at_most);
            self.due.insert(pending.due);
            let settled = &mut pending.settled;
            merge(&mut settled.entity, entity);
            (settled.event, settled.with) = (event, with);
            settled.changes += 1;
            return None;
        }
        let early = if self.pending.len() < self.debounce.entities {
            None
        } else {
            self.ages.first().copied().and_then(|(_, number)| self.take(number))
        };
        let number = self.next;
        self.next += 1;
        let due = (now + self.debounce.quiet.min(self.debounce.at_most), number);
        self.due.insert(due);
        self.ages.insert((now, number));
        self.owners.insert(number, id.clone());
        let settled = Settled { entity, event, with, changes: 1 };
        self.pending.insert(id, Pending { settled, first: now, due });
        early
    }

    /// When to call [`Coalescer::pop_due`] next.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// The next entity that is due.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<Settled<T>> {
        let (at, number) = *self.due.first()?;
        if at <= now { self.take(number) } else { None }
    }

    /// The next entity, due or not.
    pub(super) fn pop(&mut self) -> Option<Settled<T>> {
        let (_, number) = *self.due.first()?;
        self.take(number)
    }

    fn take(&mut self, number: u64) -> Option<Settled<T>> {
        let pending = self.pending.remove(&self.owners.remove(&number)?)?;
        self.due.remove(&pending.due);
        self.ages.remove(&(pending.first, number));
        Some(pending.settled)
    }
}

/// Puts a later change of an entity into an earlier one: the oldest `old`, the newest everything else.
fn merge(earlier: &mut Entity, later: Entity) {
    let Entity { id, kind, schema, action, keys, changes, object_type_id, parent_id, parents, rest, .. } =
        later;
    replace(&mut earlier.kind, kind);
    replace(&mut earlier.schema, schema);
    replace(&mut earlier.id, id);
    replace(&mut earlier.object_type_id, object_type_id);
    replace(&mut earlier.parent_id, parent_id);
    replace(&mut earlier.parents, parents);
    // What was made and then changed is new to whoever has not seen it yet.
    let is_new =
        matches!((earlier.action.value(), action.value()), (Some(Action::Add), Some(Action::Update)));
    if !is_new {
        replace(&mut earlier.action, action);
    }
    if let Field::Value(later) = changes {
        match &mut earlier.changes {
            Field::Value(changes) => {
                for (key, mut change) in later {
                    if let Some(before) = changes.get(&key) {
                        change.old = before.old.clone();
                    }
                    changes.insert(key, change);
                }
            }
            none => *none = Field::Value(later),
        }
    }
    if let Field::Value(later) = keys {
        match &mut earlier.keys {
            Field::Value(keys) => {
                for key in later {
                    if !keys.contains(&key) {
                        keys.push(key);
                    }
                }
            }
            none => *none = Field::Value(later),
        }
    }
    earlier.rest.extend(rest);
}

fn replace<T>(old: &mut Field<T>, new: Field<T>) {
    if !new.is_absent() {
        *old = new;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    const MS: Duration = Duration::from_millis(1);

    #[expect(clippy::disallowed_methods, reason = "any moment to count from")]
    fn start() -> Instant {
        Instant::now()
    }

    fn entity(value: Value) -> Entity {
        serde_json::from_value(value).unwrap()
    }

    fn status(id: &str, old: &str, new: &str) -> Entity {
        entity(json!({"entityId": id, "action": "update", "keys": ["statusid"],
            "changes": {"statusid": {"old": old, "new": new}}}))
    }

    fn event() -> Event {
        Event::new("ftrack.update", &json!({})).unwrap()
    }

    fn machine(quiet: u32, at_most: u32, entities: usize) -> Coalescer<()> {
        Coalescer::new(Debounce::quiet(quiet * MS).at_most(at_most * MS).entities(entities))
    }

    #[test]
    fn changes_of_an_entity_wait_for_quiet_and_come_as_one() {
        let (t, mut machine) = (start(), machine(10, 1000, 9));
        assert!(machine.push(t, status("t1", "a", "b"), event(), ()).is_none());
        assert!(machine.push(t + 6 * MS, status("t1", "b", "c"), event(), ()).is_none());
        assert_eq!(machine.next_due(), Some(t + 16 * MS));
        assert!(machine.pop_due(t + 15 * MS).is_none());
        let settled = machine.pop_due(t + 16 * MS).unwrap();
        let change = settled.entity.change("statusid").unwrap();
        assert_eq!((change.old_text(), change.new_text(), settled.changes), (Some("a"), Some("c"), 2));
        assert_eq!(settled.entity.keys.value().unwrap(), &["statusid"]);
        assert_eq!((machine.len(), machine.next_due()), (0, None));
    }

    #[test]
    fn an_entity_that_never_rests_comes_at_the_latest_after_the_limit() {
        let (t, mut machine) = (start(), machine(10, 25, 9));
        for n in 0..4 {
            machine.push(t + n * 8 * MS, status("t1", "a", &n.to_string()), event(), ());
        }
        assert_eq!(machine.next_due(), Some(t + 25 * MS));
        assert_eq!(machine.pop_due(t + 25 * MS).unwrap().changes, 4);
    }

    #[test]
    fn one_entity_too_many_puts_out_the_one_that_has_waited_longest() {
        let (t, mut machine) = (start(), machine(10, 1000, 2));
        machine.push(t, status("old", "a", "b"), event(), ());
        machine.push(t + MS, status("new", "a", "b"), event(), ());
        machine.push(t + 2 * MS, status("old", "b", "c"), event(), ());
        let early = machine.push(t + 3 * MS, status("third", "a", "b"), event(), ()).unwrap();
        assert_eq!((early.entity.id.value().unwrap().as_str(), early.changes, machine.len()), ("old", 2, 2));
        let anonymous = machine.push(t, entity(json!({"action": "add"})), event(), ()).unwrap();
        assert_eq!((anonymous.changes, machine.len()), (1, 2));
    }

    #[test]
    fn later_changes_complete_earlier_ones() {
        let mut made = entity(json!({"entityId": "v1", "action": "add", "keys": null, "one": 1,
            "changes": {"name": {"old": null, "new": "a"}}}));
        merge(
            &mut made,
            entity(json!({"entityId": "v1", "entityType": "assetversion", "action": "update", "two": 2,
            "keys": ["name", "sort"], "changes": {"name": {"old": "a", "new": "b"}, "sort": {"old": 1, "new": 2}}})),
        );
        assert_eq!(
            serde_json::to_value(&made).unwrap(),
            json!({"entityId": "v1", "entityType": "assetversion", "action": "add", "one": 1, "two": 2,
                "keys": ["name", "sort"],
                "changes": {"name": {"old": null, "new": "b"}, "sort": {"old": 1, "new": 2}}})
        );
        merge(&mut made, entity(json!({"action": "remove", "changes": null})));
        assert_eq!((made.action.value(), made.changes().count()), (Some(&Action::Remove), 2));
        let mut back = status("t1", "a", "b");
        merge(&mut back, status("t1", "b", "a"));
        assert!(back.change("statusid").unwrap().is_none(), "there and back is no change");
    }

    proptest! {
        /// Against a list of what went in: nothing is lost, nothing comes twice, nothing waits too long, the bound
        /// holds.
        #[test]
        fn every_change_comes_out_once_and_in_time(
            steps in prop::collection::vec((0u8..6, 0u32..30), 1..60), entities in 1usize..5,
        ) {
            let (mut now, mut machine) = (start(), machine(10, 40, entities));
            let (mut put, mut got) = (0, 0);
            for (id, pause) in steps {
                now += pause * MS;
                while let Some(settled) = machine.pop_due(now) {
                    got += settled.changes;
                }
                put += 1;
                got += machine.push(now, status(&id.to_string(), "a", "b"), event(), ()).map_or(0, |early| early.changes);
                prop_assert!(machine.len() <= entities);
                prop_assert_eq!(machine.len(), machine.due.len());
                prop_assert_eq!(machine.len(), machine.ages.len());
                for pending in machine.pending.values() {
                    prop_assert!(pending.due.0 > now && pending.due.0 <= pending.first + 40 * MS);
                }
            }
            while let Some(settled) = machine.pop() {
                got += settled.changes;
            }
            prop_assert_eq!((put, machine.owners.len()), (got, 0));
        }
    }
}
