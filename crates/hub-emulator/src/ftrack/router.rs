//! Who gets which event. Pure: no sockets, no clock; the time is an argument and deliveries are a return value.
//!
//! The rules, as far as they are not obvious:
//! - a subscription belongs to a connection; the same subscriber id on two connections is two subscriptions;
//! - subscribing again with the same id on one connection replaces expression and metadata;
//! - an event goes once to each connection with at least one subscription whose expression matches the event and
//!   whose metadata matches the event's target, the publisher's own connection included;
//! - `ftrack.meta.subscribe` and `ftrack.meta.unsubscribe` are for the hub and not routed;
//! - an event with the id of a recent one is dropped.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bytes::Bytes;
use event_core::dispatch::Index;
use event_core::expression::{Node, Pattern};
use event_core::{Event, Expression, Subscriber, SubscriptionId};
use serde_json::{Map, Value};
use transport_ws::packet::Packet;

use super::envelope::known_members;
use super::repeats::Repeats;

/// The topic by which a client subscribes.
pub(super) const SUBSCRIBE: &str = "ftrack.meta.subscribe";
/// The topic by which a client takes a subscription back.
pub(super) const UNSUBSCRIBE: &str = "ftrack.meta.unsubscribe";
/// The Socket.IO event name that everything travels under.
pub(super) const EVENT_NAME: &str = "ftrack.event";

/// The number of a connection; later connections have larger ones.
pub(super) type ConnectionId = u64;

/// What an event does.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The sender has the subscription now.
    Subscribed,
    /// The sender does not have the subscription any more; maybe it never had.
    Unsubscribed,
    /// A meta event that cannot be obeyed, and why.
    Refused(String),
    /// An event with this id came before; nobody gets it again.
    Repeated,
    /// The target does not parse; nobody gets it.
    UnreadableTarget,
    /// This packet goes to these connections, in ascending order. No connections, no packet.
    Routed { to: Vec<ConnectionId>, packet: Bytes },
}

/// All connections and what they subscribed to.
#[derive(Debug)]
pub(super) struct Router {
    connections: HashMap<ConnectionId, BTreeMap<SubscriptionId, u32>>,
    slots: Vec<Option<Slot>>,
    free: Vec<u32>,
    by_id: HashMap<SubscriptionId, Vec<u32>>,
    /// How many subscriptions have an expression; equal ones share it.
    expressions: HashMap<Expression, usize>,
    index: Index,
    repeats: Repeats,
    limit: usize,
    candidates: Vec<u32>,
}

#[derive(Debug)]
struct Slot {
    connection: ConnectionId,
    expression: Expression,
    subscriber: Subscriber,
}

/// Whom an event is for.
enum Target {
    Everyone,
    /// Only subscribers with this id can match: what every reply says.
    Id(Expression, SubscriptionId),
    Matching(Expression),
}

impl Router {
    /// No connections; at most `limit` subscriptions in all.
    pub(super) fn new(repeats: Repeats, limit: usize) -> Self {
        Self {
            connections: HashMap::new(),
            slots: Vec::new(),
            free: Vec::new(),
            by_id: HashMap::new(),
            expressions: HashMap::new(),
            index: Index::new(),
            repeats,
            limit,
            candidates: Vec::new(),
        }
    }

    /// A connection without subscriptions.
    pub(super) fn connect(&mut self, connection: ConnectionId) {
        self.connections.entry(connection).or_default();
    }

    /// Forgets a connection and its subscriptions.
    pub(super) fn disconnect(&mut self, connection: ConnectionId) {
        for (id, number) in self.connections.remove(&connection).unwrap_or_default() {
            self.vacate(&id, number);
        }
    }

    /// How many subscriptions there are.
    pub(super) fn subscriptions(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// The subscriptions of a connection, by id.
    pub(super) fn subscriptions_of(
        &self,
        connection: ConnectionId,
    ) -> impl Iterator<Item = (&SubscriptionId, &Expression)> {
        let slots = self.connections.get(&connection).into_iter().flatten();
        slots.filter_map(|(id, number)| Some((id, &self.slots.get(*number as usize)?.as_ref()?.expression)))
    }

    /// Obeys or routes an event. `from` is `None` for one that no client sent.
    pub(super) fn handle(&mut self, from: Option<ConnectionId>, event: &Event, now: Duration) -> Outcome {
        match event.topic().as_str() {
            SUBSCRIBE => self.subscribe(from, event).map_or_else(Outcome::Refused, |()| Outcome::Subscribed),
            UNSUBSCRIBE => {
                self.unsubscribe(from, event).map_or_else(Outcome::Refused, |()| Outcome::Unsubscribed)
            }
            _ => self.route(event, now),
        }
    }

    fn subscribe(&mut self, from: Option<ConnectionId>, event: &Event) -> Result<(), String> {
        let connection = self.sender(from)?;
        let subscriber = subscriber(event)?;
        let Some(text) = event.data_value().get("subscription").and_then(Value::as_str) else {
            return Err("\"data.subscription\" is not a string; put the expression there".to_owned());
        };
        let expression = Expression::parse(text).map_err(|error| error.to_string())?;
        let id = subscriber.id().clone();
        let held = self.connections.get(&connection).and_then(|own| own.get(&id)).copied();
        if let Some(number) = held {
            self.vacate(&id, number);
        } else if self.subscriptions() >= self.limit {
            return Err(format!("the hub has {} subscriptions, and takes no more", self.limit));
        }
        let expression = self.shared(expression);
        self.occupy(id, Slot { connection, expression, subscriber });
        Ok(())
    }

    fn unsubscribe(&mut self, from: Option<ConnectionId>, event: &Event) -> Result<(), String> {
        let connection = self.sender(from)?;
        let id = subscriber(event)?.id().clone();
        if let Some(number) = self.connections.get_mut(&connection).and_then(|own| own.remove(&id)) {
            self.vacate(&id, number);
        }
        Ok(())
    }

    fn sender(&self, from: Option<ConnectionId>) -> Result<ConnectionId, String> {
        from.filter(|connection| self.connections.contains_key(connection))
            .ok_or_else(|| "a subscription belongs to a connection; connect and publish it there".to_owned())
    }

    fn route(&mut self, event: &Event, now: Duration) -> Outcome {
        if event.id().is_some_and(|id| self.repeats.is_repeat(id, now)) {
            return Outcome::Repeated;
        }
        let Some(target) = Target::of(event) else { return Outcome::UnreadableTarget };
        let to = self.recipients(event, &target);
        let packet = if to.is_empty() { Bytes::new() } else { packet(event) };
        Outcome::Routed { to, packet }
    }

    fn recipients(&mut self, event: &Event, target: &Target) -> Vec<ConnectionId> {
        let mut found = std::mem::take(&mut self.candidates);
        let candidates = if let Target::Id(_, id) = target {
            self.by_id.get(id).map_or(&[][..], Vec::as_slice)
        } else {
            self.index.candidates(event, &mut found);
            &found
        };
        let mut to: Vec<ConnectionId> = Vec::with_capacity(candidates.len());
        // Subscriptions with one expression often stand beside each other: it is asked once.
        let mut asked: Option<(&Expression, bool)> = None;
        for slot in candidates.iter().filter_map(|number| self.slots.get(*number as usize)?.as_ref()) {
            let matches = match asked {
                Some((expression, matches)) if *expression == slot.expression => matches,
                _ => slot.expression.matches(event),
            };
            asked = Some((&slot.expression, matches));
            if matches && target.includes(&slot.subscriber) {
                to.push(slot.connection);
            }
        }
        to.sort_unstable();
        to.dedup();
        self.candidates = found;
        to
    }

    fn occupy(&mut self, id: SubscriptionId, slot: Slot) {
        let number = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            // The limit on subscriptions is far below 2^32.
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        });
        self.index.insert(number, &slot.expression);
        self.by_id.entry(id.clone()).or_default().push(number);
        self.connections.entry(slot.connection).or_default().insert(id, number);
        self.slots[number as usize] = Some(slot);
    }

    /// The same expression as other subscriptions have, counted.
    fn shared(&mut self, expression: Expression) -> Expression {
        match self.expressions.entry(expression) {
            Entry::Occupied(mut entry) => {
                *entry.get_mut() += 1;
                entry.key().clone()
            }
            Entry::Vacant(entry) => {
                let expression = entry.key().clone();
                entry.insert(1);
                expression
            }
        }
    }

    fn vacate(&mut self, id: &SubscriptionId, number: u32) {
        let Some(slot) = self.slots.get_mut(number as usize).and_then(Option::take) else { return };
        self.index.remove(number, &slot.expression);
        if let Some(count) = self.expressions.get_mut(&slot.expression) {
            *count -= 1;
            if *count == 0 {
                self.expressions.remove(&slot.expression);
            }
        }
        self.free.push(number);
        if let Some(numbers) = self.by_id.get_mut(id) {
            numbers.retain(|n| *n != number);
            if numbers.is_empty() {
                self.by_id.remove(id);
            }
        }
    }
}

impl Target {
    /// `None` when the target is not an expression.
    fn of(event: &Event) -> Option<Self> {
        if event.target().is_empty() {
            return Some(Self::Everyone);
        }
        let expression = Expression::parse(event.target()).ok()?;
        Some(match named_id(expression.node()) {
            Some(id) => Self::Id(expression, id),
            None => Self::Matching(expression),
        })
    }

    fn includes(&self, subscriber: &Subscriber) -> bool {
        match self {
            Self::Everyone => true,
            Self::Id(expression, _) | Self::Matching(expression) => expression.matches(subscriber),
        }
    }
}

/// The one subscriber id that an expression over metadata can match, if it implies one.
fn named_id(node: &Node) -> Option<SubscriptionId> {
    match node {
        Node::Condition(condition) => match (condition.segments(), condition.pattern()?) {
            ([field], Pattern::Exact(id)) if &**field == "id" => Some(id.into()),
            _ => None,
        },
        Node::All(parts) => parts.iter().find_map(named_id),
        _ => None,
    }
}

/// `data.subscriber` of a meta event.
fn subscriber(event: &Event) -> Result<Subscriber, String> {
    let metadata: &Map<String, Value> = event
        .data_value()
        .get("subscriber")
        .and_then(Value::as_object)
        .ok_or("\"data.subscriber\" is not an object; put at least the subscriber's id there")?;
    match metadata.get("id").and_then(Value::as_str) {
        Some(id) if !id.is_empty() => {
            let subscriber = Subscriber::new(id);
            Ok(metadata.iter().fold(subscriber, |all, (key, value)| all.with(key.as_str(), value.clone())))
        }
        _ => {
            Err("\"data.subscriber.id\" is not a string, or empty; give each subscriber its own id"
                .to_owned())
        }
    }
}

/// An event as clients get it: no packet id, one argument, the seven known members.
fn packet(event: &Event) -> Bytes {
    let json =
        if event.extras().next().is_none() { event.to_json() } else { known_members(&event.to_json()) };
    // An event was read from text or written by serde_json: it is UTF-8.
    let text = std::str::from_utf8(&json).unwrap_or_default();
    Packet::event(EVENT_NAME, vec![text]).encode().into()
}

#[cfg(test)]
#[path = "router_tests.rs"]
mod tests;
