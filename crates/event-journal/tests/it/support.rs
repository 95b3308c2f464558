//! What the tests share.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use event_core::memory::MemoryHub;
use event_core::supervisor::{ReconnectPolicy, Supervised};
use event_core::transport::{Attempt, Inbound, Inbounds, LinkSender, RawDelivery, Transport};
use event_core::{Event, Expression, Subscriber, SubscriptionSpec};
use event_journal::{Config, Journal, Journaled};
use futures_util::StreamExt;

pub(crate) fn event(n: u64) -> Event {
    Event::builder("t").id(format!("id-{n}")).data(&serde_json::json!({ "n": n })).build().unwrap()
}

pub(crate) fn number(event: &Event) -> u64 {
    event.data_value()["n"].as_u64().unwrap_or(u64::MAX)
}

pub(crate) fn durable(name: &str, expression: &str) -> SubscriptionSpec {
    let mut spec = SubscriptionSpec::new(
        Subscriber::new(format!("{name}-1")),
        Some(Expression::parse(expression).unwrap()),
    );
    spec.durable = Some(name.to_owned());
    spec.require = event_core::transport::Guarantee::AtLeastOnce;
    spec
}

pub(crate) fn over(bus: &MemoryHub, journal: &Journal) -> Journaled<impl Transport + use<>> {
    let mut policy = ReconnectPolicy::default();
    policy.first = Duration::from_millis(5);
    policy.max = Duration::from_millis(20);
    Journaled::new(Supervised::new(Arc::new(bus.transport()), policy), journal.clone())
}

/// A link and what it said.
pub(crate) struct Rig {
    pub(crate) tx: Arc<dyn LinkSender>,
    pub(crate) rx: Inbounds,
    /// Deliveries that came while something else was waited for.
    heard: VecDeque<RawDelivery>,
}

impl Rig {
    /// A link, not connected yet.
    pub(crate) async fn open(bus: &MemoryHub, journal: &Journal) -> Self {
        let link = over(bus, journal).connect(Attempt::first()).await.unwrap();
        Self { tx: Arc::from(link.tx), rx: link.rx, heard: VecDeque::new() }
    }

    /// A link that is up.
    pub(crate) async fn up(bus: &MemoryHub, journal: &Journal) -> Self {
        let mut rig = Self::open(bus, journal).await;
        rig.restored().await;
        rig
    }

    pub(crate) async fn restored(&mut self) {
        while !matches!(self.next().await, Inbound::Restored { .. }) {}
    }

    pub(crate) async fn next(&mut self) -> Inbound {
        let item = tokio::time::timeout(Duration::from_secs(600), self.rx.next()).await;
        item.expect("nothing comes").expect("the link ended").unwrap()
    }

    pub(crate) async fn delivery(&mut self) -> RawDelivery {
        if let Some(heard) = self.heard.pop_front() {
            return heard;
        }
        loop {
            if let Inbound::Delivery(delivery) = self.next().await {
                return delivery;
            }
        }
    }

    /// Does something while the link is read.
    pub(crate) async fn during<T>(&mut self, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                item = self.rx.next() => {
                    if let Inbound::Delivery(delivery) = item.expect("the link ended").unwrap() {
                        self.heard.push_back(delivery);
                    }
                }
            }
        }
    }

    pub(crate) async fn subscribe(&mut self, spec: &SubscriptionSpec) {
        let tx = Arc::clone(&self.tx);
        self.during(tx.subscribe(spec)).await.unwrap();
    }
}

pub(crate) fn config() -> Config {
    let mut config = Config::default();
    config.retry.first = Duration::from_millis(100);
    config.retry.deliveries = 3;
    config
}
