//! The engine's part in publishing: from the outbox to the link, within the window, and back.

use std::sync::atomic::Ordering;

use super::engine::Engine;
use super::lifecycle::count;
use super::link::LinkState;
use crate::ErrorKind;
use crate::outbox::{Entry as Outgoing, Outbox};
use crate::transport::{Outcome, PublishError};

impl Engine {
    /// Sees to every event that has landed by now. `false` when there is none.
    pub(super) fn land(&mut self) -> bool {
        let mut words = std::mem::take(&mut self.words);
        self.flights.take_landed(&mut words);
        let any = !words.is_empty();
        for (place, outcome) in words.drain(..) {
            if let Some(outgoing) = self.flights.leave(place) {
                self.landed(outgoing, outcome);
            }
        }
        self.words = words;
        self.show_window();
        any
    }

    /// An event was acknowledged, refused, or its connection ended first.
    #[expect(clippy::disallowed_methods, reason = "a shell: it reads tokio's clock")]
    fn landed(&mut self, outgoing: Outgoing, outcome: Outcome) {
        let outcome =
            outcome.and_then(|acknowledgement| match self.shared.dialect.acknowledged(&acknowledgement) {
                Ok(()) => Ok(acknowledgement),
                Err(error) => Err(PublishError::Refused(error)),
            });
        let counters = &self.shared.counters;
        match &outcome {
            Ok(_) => {
                count(&counters.published);
                self.window.acknowledged();
            }
            Err(PublishError::Refused(_)) => {
                count(&counters.refused);
                self.window.acknowledged();
            }
            Err(PublishError::Unconfirmed) => {
                count(&counters.unconfirmed);
                self.unconfirmed += 1;
            }
        }
        self.shared.outbox.landed(outgoing, outcome, tokio::time::Instant::now);
    }

    /// Feeds the link from the outbox while it takes events and the window has room.
    #[expect(clippy::disallowed_methods, reason = "a shell: it reads tokio's clock")]
    pub(super) fn pump(&mut self) {
        let LinkState::Linked(linked) = &mut self.link else { return };
        if !linked.open || linked.blocked {
            return;
        }
        while self.flights.len() < self.window.limit() {
            let Some(outgoing) = self.shared.outbox.take(linked.up) else { break };
            let terms = Outbox::terms(&outgoing, tokio::time::Instant::now);
            match linked.tx.send_with(outgoing.event.clone(), terms) {
                Ok(confirmation) => self.flights.push(outgoing, confirmation),
                Err(refused) => match refused.error.kind() {
                    ErrorKind::Full | ErrorKind::NotConnected => {
                        self.shared.outbox.put_back(outgoing);
                        linked.blocked = true;
                        break;
                    }
                    _ => self.shared.outbox.settle(outgoing, Some(refused.error)),
                },
            }
        }
    }

    /// The connection broke: if it did with events in flight, and early, there will be fewer of them.
    pub(super) fn cut(&mut self) {
        // What a link takes without a connection says nothing about the connection.
        if self.offline {
            return;
        }
        self.window.cut(self.flights.len() + self.unconfirmed);
        self.show_window();
    }

    /// Lets readers of the counters see the window.
    pub(super) fn show_window(&self) {
        self.shared.window.store(self.window.limit(), Ordering::Relaxed);
    }
}
