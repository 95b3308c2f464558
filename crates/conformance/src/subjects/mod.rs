//! The transports of this workspace, each with a hand on its service.

mod journaled;
mod longpoll;
mod memory;
mod nats;
mod ws;

use std::time::Duration;

use event_core::supervisor::{ReconnectPolicy, Supervised};

use crate::subject::{Bench, Entry, Layered, Tool};
use crate::verdict::Verdict;

pub use longpoll::Queues;
pub use memory::{Memory, able};
pub use nats::Nats;
pub use ws::Websocket;

/// Every transport that is judged. A new one joins here, by one line.
pub const TRANSPORTS: &[Entry] = &[
    Entry::new("memory", || Box::pin(async { Ok(Memory::start(able())) })),
    Entry::new("memory_limited", || Box::pin(async { Ok(Memory::start(memory::limited())) })),
    Entry::new("memory_read_only", || Box::pin(async { Ok(Memory::start(memory::read_only())) })),
    Entry::new("supervised_memory", || Box::pin(async { Ok(supervised(Memory::start(able()))) })),
    Entry::new("ws", || Box::pin(Websocket::start())).in_real_time(),
    Entry::new("longpoll", || Box::pin(Queues::start())).without(&[Tool::RefuseConnections]),
    Entry::new("supervised_longpoll", || Box::pin(supervised_queues())).without(&[Tool::RefuseConnections]),
    Entry::new("journaled_memory", || Box::pin(async { journaled::in_memory(Memory::start(able())) })),
    Entry::new("journaled_memory_file", || {
        Box::pin(async { journaled::in_file(Memory::start(able())).await })
    })
    .in_real_time(),
    Entry::new("journaled_ws", || Box::pin(async { journaled::in_file(Websocket::start().await?).await }))
        .in_real_time(),
    Entry::new("journaled_longpoll", || Box::pin(async { journaled::in_memory(Queues::start().await?) }))
        .without(&[Tool::RefuseConnections]),
    Entry::new("nats", || Box::pin(Nats::core()))
        .in_real_time()
        .without(&[Tool::RefuseEvents])
        .needing(nats::missing),
    Entry::new("jetstream", || Box::pin(Nats::jetstream())).in_real_time().needing(nats::missing),
    Entry::new("supervised_jetstream", || Box::pin(async { Ok(supervised(Nats::jetstream().await?)) }))
        .in_real_time()
        .needing(nats::missing),
    Entry::new("journaled_nats", || Box::pin(async { journaled::in_file(Nats::core().await?).await }))
        .in_real_time()
        .without(&[Tool::RefuseEvents])
        .needing(nats::missing),
    Entry::new("journaled_jetstream", || {
        Box::pin(async { journaled::in_file(Nats::jetstream().await?).await })
    })
    .in_real_time()
    .needing(nats::missing),
];

/// A subject's transport inside [`Supervised`], with short pauses.
pub fn supervised(inner: Bench) -> Bench {
    Layered::wrap(inner, |transport| Supervised::new(transport, short_pauses()))
}

fn short_pauses() -> ReconnectPolicy {
    let mut policy = ReconnectPolicy::default();
    policy.first = Duration::from_millis(5);
    policy.max = Duration::from_millis(20);
    policy
}

async fn supervised_queues() -> Verdict<Bench> {
    Ok(supervised(Queues::start().await?))
}
