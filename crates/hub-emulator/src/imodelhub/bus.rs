//! Subscriptions and their queues: the service without HTTP. Pure; times are arguments.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::events::IMODEL_DELETED;
use super::ids::Ids;
use super::queue::{Delivery, End, Event, Mode, Queue, Returned, Settle};
use super::state::{Stats, SubscriptionInfo};
use super::topic::Topic;
use crate::faults::{Defect, Defects};

/// What can be set about subscriptions.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) lock: Duration,
    pub(crate) max_deliveries: u32,
    pub(crate) idle: Duration,
    /// `None`: global subscriptions do not expire.
    pub(crate) global_idle: Option<Duration>,
    /// How long subscriptions outlive their iModel.
    pub(crate) after_deletion: Duration,
    pub(crate) max_subscriptions: usize,
    pub(crate) max_queued: usize,
}

/// Every subscription.
#[derive(Debug)]
pub(super) struct Bus {
    pub(super) rules: Rules,
    pub(super) stats: Stats,
    pub(super) ids: Ids,
    /// By id in lower case.
    subscriptions: BTreeMap<String, Subscription>,
    created: u64,
    defects: Defects,
}

/// One subscription.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) id: String,
    pub(super) topic: Topic,
    pub(super) types: Vec<String>,
    /// The id that the caller gave to a global one.
    pub(super) given_id: Option<String>,
    number: u64,
    queue: Queue,
    active: Duration,
    /// When it goes because its iModel did.
    ends: Option<Duration>,
    waiting: usize,
    delivered: u64,
}

/// No such subscription: never there, deleted or expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gone;

/// Why a message could not be settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotSettled {
    Gone,
    NoSuchLock,
}

impl Bus {
    pub(super) fn new(rules: Rules, ids: Ids, defects: Defects) -> Self {
        Self { rules, stats: Stats::default(), ids, subscriptions: BTreeMap::new(), created: 0, defects }
    }

    /// A new subscription; `None` when there are too many.
    pub(super) fn create(
        &mut self,
        topic: Topic,
        types: Vec<String>,
        given_id: Option<String>,
        now: Duration,
    ) -> Option<&Subscription> {
        if self.subscriptions.len() >= self.rules.max_subscriptions {
            return None;
        }
        let id = self.ids.guid();
        self.created += 1;
        self.stats.subscriptions_created += 1;
        let subscription = Subscription {
            id: id.clone(),
            topic,
            types,
            given_id,
            number: self.created,
            queue: Queue::default(),
            active: now,
            ends: None,
            waiting: 0,
            delivered: 0,
        };
        Some(self.subscriptions.entry(id).or_insert(subscription))
    }

    /// The global subscription that was created with this id.
    pub(super) fn with_given_id(&mut self, id: &str, now: Duration) -> Option<&Subscription> {
        let given = |subscription: &&Subscription| {
            subscription.given_id.as_ref().is_some_and(|known| same(known, id))
        };
        let key = self.subscriptions.values().find(given)?.id.clone();
        self.get(&Topic::Global, &key, now).ok().map(|found| &*found)
    }

    /// Changes what a subscription wants. Messages in its queue stay.
    pub(super) fn update(
        &mut self,
        topic: &Topic,
        id: &str,
        types: Vec<String>,
        now: Duration,
    ) -> Result<&Subscription, Gone> {
        let subscription = self.get(topic, id, now)?;
        subscription.active = now;
        subscription.types = types;
        self.stats.subscriptions_updated += 1;
        self.subscriptions.get(&id.to_ascii_lowercase()).ok_or(Gone)
    }

    pub(super) fn delete(&mut self, topic: &Topic, id: &str, now: Duration) -> Result<(), Gone> {
        self.get(topic, id, now)?;
        self.subscriptions.remove(&id.to_ascii_lowercase());
        self.stats.subscriptions_deleted += 1;
        Ok(())
    }

    /// Ends a subscription before its time.
    pub(super) fn expire(&mut self, topic: &Topic, id: &str, now: Duration) {
        if let Ok(subscription) = self.get(topic, id, now) {
            subscription.ends = Some(now);
        }
    }

    /// Queues an event for every subscription that wants it; gives their ids.
    pub(super) fn publish(
        &mut self,
        topic: &Topic,
        name: &Arc<str>,
        body: bytes::Bytes,
        now: Duration,
    ) -> Vec<String> {
        let event =
            Event { name: Arc::clone(name), message_id: self.ids.message_id().into(), body, enqueued: now };
        let mut reached = Vec::new();
        let unfiltered = self.defects.has(Defect::TypeFilterIgnored);
        self.stats.events_published += 1;
        for (key, subscription) in self.subscriptions.iter_mut().filter(|(_, known)| known.topic == *topic) {
            if unfiltered || subscription.types.iter().any(|wanted| **wanted == **name) {
                if subscription.queue.ready() >= self.rules.max_queued {
                    self.stats.events_over_limit += 1;
                } else {
                    subscription.queue.push(event.clone());
                    self.stats.events_queued += 1;
                    reached.push(key.clone());
                }
            }
            if **name == *IMODEL_DELETED {
                subscription.ends.get_or_insert(now.saturating_add(self.rules.after_deletion));
            }
        }
        reached
    }

    /// Takes the message in front of a queue, if there is one.
    pub(super) fn receive(
        &mut self,
        topic: &Topic,
        id: &str,
        lock: bool,
        now: Duration,
    ) -> Result<Option<Delivery>, Gone> {
        let mode = if lock { Mode::Lock(self.rules.lock) } else { Mode::Destructive };
        self.get(topic, id, now)?;
        let Some(subscription) = self.subscriptions.get_mut(&id.to_ascii_lowercase()) else {
            return Err(Gone);
        };
        subscription.active = now;
        let end = if self.defects.has(Defect::LifoQueue) { End::Last } else { End::First };
        let delivery = subscription.queue.take(mode, end, now, &mut self.ids);
        if let Some(delivery) = &delivery {
            subscription.delivered += 1;
            self.stats.deliveries += 1;
            self.stats.redeliveries += u64::from(delivery.count > 1);
        }
        Ok(delivery)
    }

    /// Settles a locked message, by its sequence number or message id.
    pub(super) fn settle(
        &mut self,
        topic: &Topic,
        id: &str,
        (key, token): (&str, &str),
        settle: Settle,
        now: Duration,
    ) -> Result<(), NotSettled> {
        let max = self.rules.max_deliveries;
        let subscription = self.get(topic, id, now).map_err(|Gone| NotSettled::Gone)?;
        subscription.active = now;
        let settled = subscription.queue.settle(key, token, settle, now, max);
        let returned = settled.ok_or(NotSettled::NoSuchLock)?;
        self.stats.dead_lettered += returned.dead;
        match settle {
            Settle::Complete => self.stats.completed += 1,
            Settle::Unlock => self.stats.unlocked += 1,
            Settle::Renew(_) => self.stats.renewed += 1,
        }
        Ok(())
    }

    /// When a lock of this subscription ends next, or the subscription itself does.
    pub(super) fn next_end(&self, id: &str) -> Option<Duration> {
        let subscription = self.subscriptions.get(&id.to_ascii_lowercase())?;
        let lock = subscription.queue.next_end().filter(|_| !self.defects.has(Defect::LocksNeverLapse));
        lock.into_iter().chain(subscription.ends).min()
    }

    /// A long poll begins, or ends. While there is one, the subscription is in use.
    pub(super) fn waiting(&mut self, id: &str, begins: bool, now: Duration) {
        if let Some(subscription) = self.subscriptions.get_mut(&id.to_ascii_lowercase()) {
            subscription.active = now;
            subscription.waiting =
                if begins { subscription.waiting + 1 } else { subscription.waiting.saturating_sub(1) };
        }
    }

    /// Ends locks and subscriptions whose time is over; gives the ids of the subscriptions that ended, and of those
    /// that have messages again.
    pub(super) fn tick(&mut self, now: Duration) -> Vec<String> {
        let max = self.rules.max_deliveries;
        let lasting = self.defects.has(Defect::LocksNeverLapse);
        let mut changed = Vec::new();
        for (key, subscription) in &mut self.subscriptions {
            let returned = if lasting { Returned::default() } else { subscription.queue.lapse(now, max) };
            note(&mut self.stats, returned);
            if returned != Returned::default() {
                changed.push(key.clone());
            }
        }
        let (rules, stats) = (&self.rules, &mut self.stats);
        self.subscriptions.retain(|key, subscription| {
            let over = subscription.is_over(rules, now);
            if over {
                stats.subscriptions_expired += 1;
                changed.push(key.clone());
            }
            !over
        });
        changed
    }

    /// Oldest first.
    pub(super) fn infos(&self) -> Vec<SubscriptionInfo> {
        let mut all: Vec<&Subscription> = self.subscriptions.values().collect();
        all.sort_by_key(|subscription| subscription.number);
        all.into_iter().map(Subscription::info).collect()
    }

    /// The oldest subscriptions with the oldest messages of their queues, and how many more there are.
    #[cfg(feature = "inspector")]
    pub(super) fn view(&self, most: usize, messages: usize) -> (Vec<super::QueueView>, usize) {
        let mut all: Vec<&Subscription> = self.subscriptions.values().collect();
        all.sort_by_key(|subscription| subscription.number);
        let left_out = all.len().saturating_sub(most);
        let view = |subscription: &Subscription| {
            let (messages, more) = subscription.queue.view(messages);
            super::QueueView { subscription: subscription.info(), messages, more }
        };
        (all.into_iter().take(most).map(view).collect(), left_out)
    }

    fn get(&mut self, topic: &Topic, id: &str, now: Duration) -> Result<&mut Subscription, Gone> {
        let key = id.to_ascii_lowercase();
        let subscription = self.subscriptions.get(&key).filter(|known| known.topic == *topic).ok_or(Gone)?;
        if subscription.is_over(&self.rules, now) {
            self.subscriptions.remove(&key);
            self.stats.subscriptions_expired += 1;
            return Err(Gone);
        }
        let subscription = self.subscriptions.get_mut(&key).ok_or(Gone)?;
        if !self.defects.has(Defect::LocksNeverLapse) {
            note(&mut self.stats, subscription.queue.lapse(now, self.rules.max_deliveries));
        }
        Ok(subscription)
    }
}

impl Subscription {
    fn is_over(&self, rules: &Rules, now: Duration) -> bool {
        let idle = if self.topic == Topic::Global { rules.global_idle } else { Some(rules.idle) };
        let unused = self.waiting == 0 && idle.is_some_and(|idle| self.active.saturating_add(idle) <= now);
        unused || self.ends.is_some_and(|end| end <= now)
    }

    fn info(&self) -> SubscriptionInfo {
        SubscriptionInfo {
            id: self.id.clone(),
            imodel_id: if let Topic::IModel(id) = &self.topic { Some(id.clone()) } else { None },
            given_id: self.given_id.clone(),
            event_types: self.types.clone(),
            queued: self.queue.ready(),
            locked: self.queue.locked(),
            waiting: self.waiting,
            delivered: self.delivered,
        }
    }
}

fn note(stats: &mut Stats, returned: Returned) {
    stats.locks_lapsed += returned.to_queue + returned.dead;
    stats.dead_lettered += returned.dead;
}

fn same(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}
