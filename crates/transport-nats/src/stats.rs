//! What a transport has counted, over all its links.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of a transport since it was built, over all its links.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Events handed to the server.
    pub published: u64,
    /// Publishes that the server or the stream refused.
    pub refused: u64,
    /// Publishes that a stream had already, by their id.
    pub duplicates: u64,
    /// Messages that are no events: their subject, payload or topic cannot be used.
    pub undecodable: u64,
    /// How often the library reported that it dropped messages because the link was not read fast enough. One report
    /// stands for one message or more.
    pub overruns: u64,
    /// Deliveries that came again.
    pub redelivered: u64,
    /// Events given up after their last delivery, or rejected.
    pub given_up: u64,
    /// Those of them that were published as dead letters.
    pub dead_letters: u64,
    /// Consumers that were gone while they were used.
    pub lost_consumers: u64,
    /// Events that came with the [origin](crate::NatsTransportBuilder::origin) of this transport, and were left out.
    pub own: u64,
    /// How often a consumer was silent for so long that it was asked anew.
    pub silences: u64,
}

macro_rules! counters {
    ($($name:ident),*) => {
        /// The counters as they are counted.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: AtomicU64,)*
        }

        impl Counters {
            pub(crate) fn read(&self) -> Stats {
                Stats { $($name: self.$name.load(Ordering::Relaxed),)* }
            }
        }
    };
}

counters!(
    published,
    refused,
    duplicates,
    undecodable,
    overruns,
    redelivered,
    given_up,
    dead_letters,
    lost_consumers,
    own,
    silences
);

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
