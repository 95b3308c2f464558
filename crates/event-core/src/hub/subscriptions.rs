//! The engine's part in subscriptions: made, confirmed, lost, given up.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::engine::{Engine, SubscribeDone};
use super::lifecycle::Lifecycle;
use super::link::LinkState;
use super::run;
use super::shared::Orphan;
use crate::dispatch::Entry;
use crate::{Error, ErrorKind, Result, SubscriptionId};

impl Engine {
    pub(super) fn subscribe(&mut self, build: Box<dyn FnOnce(u64) -> Entry + Send>, done: SubscribeDone) {
        if done.is_closed() {
            // Whoever asked has given up.
            return;
        }
        let inserted = self.shared.registry.lock().insert(build);
        let entry = match inserted {
            Ok(entry) => entry,
            Err(id) => {
                let _ = done.send(Err(duplicate(&id)));
                return;
            }
        };
        if entry.handler.is_some() {
            self.shared.tasks.spawn(run::lane(Arc::clone(&self.shared), Arc::clone(&entry)));
        }
        match &mut self.link {
            // Kept, and made with the connection.
            LinkState::None => {
                let _ = done.send(Ok(entry));
                return;
            }
            // Asked for with all others when the link stands.
            LinkState::Connecting(_) => {}
            LinkState::Linked(linked) => {
                linked.ask_subscribe(entry.spec.clone(), Some(Arc::clone(&entry)), false, false);
            }
        }
        self.subscribing.insert(entry.id().clone(), (entry, done));
    }

    pub(super) fn unsubscribe(&mut self, id: &SubscriptionId, done: Option<oneshot::Sender<Result<()>>>) {
        let Some(entry) = self.shared.registry.lock().remove(id) else {
            if let Some(done) = done {
                let error =
                    Error::new(ErrorKind::NotFound, "unsubscribe", format!("no subscription \"{id}\" here"));
                let _ = done.send(Err(error));
            }
            return;
        };
        entry.abandon();
        self.subscribing.remove(id);
        match &mut self.link {
            LinkState::Linked(linked) => linked.ask_unsubscribe(entry.spec.clone(), done),
            LinkState::None | LinkState::Connecting(_) => {
                if let Some(done) = done {
                    let _ = done.send(Ok(()));
                }
            }
        }
        self.retire(entry);
    }

    /// Unsubscribes what nobody holds any more.
    pub(super) fn reap_orphans(&mut self) {
        let orphans = std::mem::take(&mut *self.shared.orphans.lock());
        for orphan in orphans {
            let gone = match &orphan {
                Orphan::Ended(entry) => self.holds(entry),
                // If it has had its answer, it is not here any more.
                Orphan::Subscribing(id) => self.subscribing.get(id).is_some_and(|(_, done)| done.is_closed()),
            };
            if gone {
                self.unsubscribe(orphan.id(), None);
            }
        }
    }

    /// The link answered one of its subscriptions.
    pub(super) fn subscribed(&mut self, entry: &Arc<Entry>, outcome: Result<()>) {
        let waiting = match self.subscribing.get(entry.id()) {
            Some((waiting, _)) if Arc::ptr_eq(waiting, entry) => self.subscribing.remove(entry.id()),
            _ => None,
        };
        match (outcome, waiting) {
            (Ok(()), Some((entry, done))) => {
                // Whoever asked may have given up: then nobody would ever unsubscribe.
                if let Err(Ok(entry)) = done.send(Ok(entry)) {
                    self.unsubscribe(&entry.id().clone(), None);
                }
            }
            (Err(error), Some((entry, done))) => {
                if self.holds(&entry) {
                    self.shared.registry.lock().remove(entry.id());
                }
                entry.abandon();
                let _ = done.send(Err(error));
            }
            // Another subscription may have the id by now.
            (Err(error), None) if self.holds(entry) => self.lost(&entry.id().clone(), error),
            (_, None) => {}
        }
    }

    /// The service dropped a subscription.
    pub(super) fn lost(&mut self, id: &SubscriptionId, error: Error) {
        if self.shared.inbox.as_ref().is_some_and(|inbox| inbox.id == *id) {
            // As on the first connection: better no link than a deaf one.
            return self.failed(error);
        }
        let error = Arc::new(error);
        let entry = self.shared.registry.lock().remove(id);
        if let Some(entry) = entry {
            entry.lane.fail(Arc::clone(&error));
            self.retire(entry);
        }
        self.shared.report(Lifecycle::SubscriptionLost { id: id.clone(), error });
    }

    /// Whether this very subscription is registered, and not another one of its id.
    fn holds(&self, entry: &Arc<Entry>) -> bool {
        self.shared.registry.lock().get(entry.id()).is_some_and(|held| Arc::ptr_eq(held, entry))
    }

    /// Keeps an ended subscription in mind while a handler still works for it: a drain waits for it.
    fn retire(&mut self, entry: Arc<Entry>) {
        self.retired.retain(|retired| retired.open() > 0);
        if entry.open() > 0 {
            self.retired.push(entry);
        }
    }
}

fn duplicate(id: &SubscriptionId) -> Error {
    Error::new(
        ErrorKind::Duplicate,
        "subscribe",
        format!("a subscription with the id \"{id}\" exists on this hub; choose another id or leave it out"),
    )
}
