//! What several tests need.

use std::sync::Arc;

use event_core::memory::MemoryHub;
use event_core::{Event, EventHub};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::Notify;

/// A bus with one hub on it.
pub(crate) async fn one_hub() -> (MemoryHub, EventHub) {
    let bus = MemoryHub::new();
    let hub = EventHub::builder(bus.transport()).connect().await.unwrap();
    (bus, hub)
}

pub(crate) fn event(topic: &str) -> Event {
    Event::new(topic, &Value::Null).unwrap()
}

/// A notebook that handlers write into and tests wait on.
#[derive(Clone, Default)]
pub(crate) struct Log {
    lines: Arc<Mutex<Vec<String>>>,
    changed: Arc<Notify>,
}

impl Log {
    pub(crate) fn add(&self, line: impl Into<String>) {
        self.lines.lock().push(line.into());
        self.changed.notify_waiters();
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().clone()
    }

    /// Waits until there are so many lines, and returns them.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<String> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let lines = self.lines();
            if lines.len() >= count {
                return lines;
            }
            changed.await;
        }
    }
}

/// Waits until so many handlers of a subscription are at work.
pub(crate) async fn running(subscription: &event_core::Subscription, handlers: usize) {
    while subscription.stats().running != handlers {
        tokio::task::yield_now().await;
    }
}
