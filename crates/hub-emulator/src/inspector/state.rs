//! What the inspector shares between requests, and what the hubs say when they are asked.

use std::sync::Arc;

use event_core::Event;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};

use super::door::Door;
use super::log::{Limits, Log};
use super::rows::in_millis;
use crate::faults::{Defect, Defects, Turned};
use crate::ftrack::{self, Seen, Watch};
use crate::imodelhub::{self, MessageView, QueueView};
use crate::{ConnectionInfo, Emulator, Error, Published};

/// The most pages that follow at a time.
const FOLLOWERS: usize = 64;
/// The most connections, subscriptions of one, queues and messages of one that are shown.
const CONNECTIONS: usize = 200;
const SUBSCRIPTIONS: usize = 50;
const QUEUES: usize = 100;
const MESSAGES: usize = 25;
/// The most threads that are shown.
pub(super) const THREADS: usize = 100;

/// What all requests share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) door: Door,
    pub(super) log: Mutex<Log>,
    /// The number of the newest event.
    news: watch::Sender<u64>,
    pub(super) followers: Arc<Semaphore>,
    /// New at each start: numbers of events begin again then.
    run: String,
    hub: Arc<ftrack::Hub>,
    imodelhub: Arc<imodelhub::Hub>,
    defects: Defects,
    urls: (String, String),
}

/// Sees what the hub takes.
impl Watch for Shared {
    fn see(&self, seen: &Seen<'_>) {
        let sequence = self.log.lock().push(seen);
        self.news.send_replace(sequence);
    }
}

impl Shared {
    pub(super) fn new(emulator: &Emulator, door: Door, limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            door,
            log: Mutex::new(Log::new(limits)),
            news: watch::Sender::new(0),
            followers: Arc::new(Semaphore::new(FOLLOWERS)),
            run: uuid::Uuid::new_v4().simple().to_string(),
            hub: Arc::clone(&emulator.hub),
            imodelhub: Arc::clone(&emulator.imodelhub),
            defects: emulator.defects.clone(),
            urls: (emulator.ftrack_url(), emulator.imodelhub_url()),
        })
    }

    pub(super) fn watch(self: &Arc<Self>) {
        let watcher: Arc<dyn Watch> = Arc::<Self>::clone(self);
        self.hub.watch(Arc::downgrade(&watcher));
    }

    /// A place in the events as browsers keep it, which says the run, too.
    pub(super) fn name_of(&self, sequence: u64) -> String {
        format!("{}.{sequence}", self.run)
    }

    /// The number in the name of a place; `None` for one of another run.
    pub(super) fn place(&self, name: &str) -> Option<u64> {
        name.strip_prefix(&self.run)?.strip_prefix('.')?.parse().ok()
    }

    /// Told of every event.
    pub(super) fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    pub(super) fn publish(&self, event: &Event) -> Result<Published, Error> {
        self.hub.publish(event)
    }

    /// For how many queues; `None`: no such type.
    pub(super) fn publish_imodel(
        &self,
        topic: &imodelhub::Topic,
        name: &str,
        body: Option<&str>,
        count: u64,
    ) -> Option<usize> {
        self.imodelhub.publish(topic, name, body, count)
    }

    pub(super) fn ftrack_faults(&self) -> ftrack::Faults {
        ftrack::Faults::new(Arc::clone(&self.hub))
    }

    pub(super) fn imodelhub_faults(&self) -> imodelhub::Faults {
        imodelhub::Faults::new(Arc::clone(&self.imodelhub))
    }

    pub(super) fn set_defect(&self, defect: Defect, on: bool) {
        self.defects.set(defect, on);
    }

    /// Who this is, which does not change.
    pub(super) fn about(&self) -> Value {
        json!({
            "run": self.run,
            "version": env!("CARGO_PKG_VERSION"),
            "readOnly": self.door.read_only,
            "ftrack": self.urls.0,
            "imodelhub": self.urls.1,
        })
    }

    /// The counters of both hubs, and of the view.
    pub(super) fn counts(&self) -> Value {
        let state = self.hub.state();
        let (log, threads, left) = {
            let log = self.log.lock();
            (log.counts(), log.threads().len(), log.threads().left_view())
        };
        json!({
            "log": log,
            "threads": {"kept": threads, "leftView": left},
            "ftrack": state,
            "imodelhub": self.imodelhub.state().stats,
        })
    }

    /// The open connections with their subscriptions.
    pub(super) fn connections(&self) -> Value {
        let (connections, left_out) = self.hub.view(CONNECTIONS, SUBSCRIPTIONS);
        let shown: Vec<Value> = connections.iter().map(connection).collect();
        json!({"connections": shown, "leftOut": left_out})
    }

    /// The queues with their messages.
    pub(super) fn queues(&self) -> Value {
        let (queues, left_out) = self.imodelhub.queues(QUEUES, MESSAGES);
        let shown: Vec<Value> = queues.iter().map(queue).collect();
        json!({"queues": shown, "leftOut": left_out})
    }

    pub(super) fn threads(&self) -> Value {
        let log = self.log.lock();
        let threads = log.threads().newest(THREADS);
        let left_out = log.threads().len() - threads.len();
        json!({"threads": threads, "leftOut": left_out, "leftView": log.threads().left_view()})
    }

    /// What is to go wrong, what did, and which flaws are on.
    pub(super) fn faults(&self) -> Value {
        json!({
            "ftrack": dial(&self.ftrack_faults()),
            "imodelhub": dial(&self.imodelhub_faults()),
            "defects": {"on": self.defects.all(), "known": Defect::ALL},
        })
    }
}

fn connection((info, left_out): &(ConnectionInfo, usize)) -> Value {
    json!({
        "id": info.id, "user": info.user, "queuedBytes": info.queued_bytes,
        "subscriptions": info.subscriptions, "leftOut": left_out,
    })
}

fn queue(view: &QueueView) -> Value {
    let mut shown = json!(view.subscription);
    shown["messages"] = view.messages.iter().map(message).collect();
    shown["leftOut"] = view.more.into();
    shown
}

fn message(message: &MessageView) -> Value {
    json!({
        "sequence": message.sequence, "type": message.event_type, "messageId": message.message_id,
        "deliveries": message.deliveries, "size": message.size, "enqueued": in_millis(message.enqueued),
        "lockedUntil": message.locked_until.map(in_millis),
    })
}

fn dial<T: Turned>(faults: &T) -> Value {
    json!({"waiting": faults.waiting(), "fired": faults.fired(), "chance": faults.bugginess()})
}
