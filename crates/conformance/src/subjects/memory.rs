//! The bus in memory.

use std::sync::Arc;

use async_trait::async_trait;
use event_core::memory::MemoryHub;
use event_core::transport::{Capabilities, Guarantee, Guarantees, Transport};
use event_core::{ErrorKind, Event};

use crate::rig::event;
use crate::subject::{Bench, Subject};
use crate::verdict::Verdict;

/// A bus in memory, with the capabilities that it is given.
pub struct Memory {
    hub: MemoryHub,
    transport: Arc<dyn Transport>,
}

impl Memory {
    /// A bus that can do this much.
    pub fn start(capabilities: Capabilities) -> Bench {
        let hub = MemoryHub::with_capabilities(capabilities);
        let transport = Arc::new(hub.transport());
        Arc::new(Self { hub, transport })
    }
}

/// What the bus can do by default.
pub fn able() -> Capabilities {
    MemoryHub::new().transport().capabilities()
}

/// The same, with a small window and a small limit.
pub(super) fn limited() -> Capabilities {
    let mut capabilities = able();
    capabilities.window = Some(8);
    capabilities.max_payload = Some(2_000_000);
    capabilities
}

/// Nobody publishes.
pub(super) fn read_only() -> Capabilities {
    let mut capabilities = Capabilities::default();
    capabilities.guarantees = Guarantees::only(Guarantee::AtMostOnce);
    capabilities
}

#[async_trait]
impl Subject for Memory {
    fn transport(&self) -> Arc<dyn Transport> {
        Arc::clone(&self.transport)
    }

    async fn deliver(&self, event: &Event) -> Verdict {
        self.hub.inject(event);
        Ok(())
    }

    async fn cut(&self) -> Verdict {
        self.hub.cut();
        Ok(())
    }

    async fn refuse_connections(&self, refuse: bool) -> Verdict {
        self.hub.refuse_connections(refuse.then_some((ErrorKind::Unreachable, "the bus is away")));
        Ok(())
    }

    fn attempts(&self) -> Verdict<u64> {
        Ok(self.hub.attempts())
    }

    async fn withhold(&self, withhold: bool) -> Verdict {
        self.hub.hold_acknowledgements(withhold);
        Ok(())
    }

    fn refused_event(&self, refuse: bool) -> Verdict<Event> {
        self.hub.refuse_events(refuse.then_some(ErrorKind::Refused));
        event(0)
    }
}
