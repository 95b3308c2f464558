//! Transports that claim what they ignore: the list must notice each.

use std::sync::Arc;

use async_trait::async_trait;
use conformance::subjects::{Memory, able};
use conformance::{BEHAVIOURS, Bench, Entry, Layered, judge};
use event_core::Result;
use event_core::transport::{Attempt, Capabilities, Flow, Guarantees, Link, Transport};

/// The bus in memory, which says of itself what it is told to.
struct Liar {
    inner: Arc<dyn Transport>,
    lie: fn(&mut Capabilities),
}

#[async_trait]
impl Transport for Liar {
    fn name(&self) -> &'static str {
        "liar"
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = self.inner.capabilities();
        (self.lie)(&mut capabilities);
        capabilities
    }

    async fn connect(&self, attempt: Attempt) -> Result<Link> {
        self.inner.connect(attempt).await
    }
}

fn liar(lie: fn(&mut Capabilities)) -> Bench {
    Layered::wrap(Memory::start(able()), |inner| Liar { inner, lie })
}

/// Each lie, and a behaviour that must notice it.
pub(crate) const LIES: &[(Entry, &str)] = &[
    (
        Entry::new("claims_credit", || Box::pin(async { Ok(liar(|can| can.flow = Flow::Credit)) })),
        "nothing_is_delivered_without_credit",
    ),
    (
        Entry::new("claims_locks", || {
            Box::pin(async {
                Ok(liar(|can| {
                    can.guarantees = Guarantees::both();
                    can.nack = true;
                    can.extend_lock = true;
                }))
            })
        }),
        "at_least_once_gives_a_token_and_a_lock",
    ),
    (
        Entry::new("claims_a_small_window", || Box::pin(async { Ok(liar(|can| can.window = Some(4))) })),
        "a_full_window_gives_the_event_back_and_says_when_there_is_room",
    ),
    (
        Entry::new("claims_a_limit", || {
            Box::pin(async { Ok(liar(|can| can.max_payload = Some(1_000_000))) })
        }),
        "a_payload_over_the_limit_is_refused_and_given_back",
    ),
    (
        Entry::new("denies_publishing", || Box::pin(async { Ok(liar(|can| can.publish = false)) })),
        "publish_reaches_subscribers",
    ),
];

/// Whether a lie is noticed by the behaviour that is there for it.
pub(crate) fn noticed(entry: &Entry, by: &str) -> std::result::Result<(), String> {
    let behaviour = BEHAVIOURS.iter().find(|behaviour| behaviour.name == by).ok_or("no such behaviour")?;
    match judge(entry, behaviour) {
        Err(_) => Ok(()),
        Ok(judgement) => Err(format!("{} passes as {judgement:?}", entry.name)),
    }
}
