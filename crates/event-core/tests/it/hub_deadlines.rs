//! Deadlines of publishes: whoever waits hears in time, wherever the event is.

use std::future::IntoFuture;
use std::time::Duration;

use async_trait::async_trait;
use event_core::memory::{MemoryHub, MemoryTransport};
use event_core::transport::{Attempt, Capabilities, Confirmation, Link, LinkSender, NotSent, Transport};
use event_core::{Error, ErrorKind, Event, EventHub, Receipt, Result, SubscriptionSpec};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::support::{event, one_hub};

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Publishes, and says what came of it after how many seconds.
fn publish(hub: &EventHub, timeout: u64) -> JoinHandle<(Result<Receipt>, u64)> {
    let publishing = hub.publish(event("t")).timeout(secs(timeout)).into_future();
    tokio::spawn(async move {
        let began = Instant::now();
        (publishing.await, began.elapsed().as_secs())
    })
}

async fn times_out(publishing: JoinHandle<(Result<Receipt>, u64)>) -> (Error, u64) {
    let (outcome, after) = publishing.await.unwrap();
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    (error, after)
}

#[tokio::test(start_paused = true)]
async fn an_event_without_its_acknowledgement_may_land_after_its_publisher_was_told() {
    let (bus, hub) = one_hub().await;
    bus.hold_acknowledgements(true);
    let (error, after) = times_out(publish(&hub, 3)).await;
    assert_eq!(after, 3);
    assert!(error.to_string().contains("within 3s (the hub is connected)"), "{error}");
    assert_eq!((hub.stats().outstanding, hub.stats().published, hub.stats().expired), (1, 0, 0));
    bus.hold_acknowledgements(false);
    hub.flush().await.unwrap();
    assert_eq!((hub.stats().outstanding, hub.stats().published, bus.published()), (0, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn every_event_on_its_way_has_a_deadline_of_its_own() {
    let (bus, hub) = one_hub().await;
    bus.hold_acknowledgements(true);
    let waiting: Vec<_> = [5, 1, 3, 9, 2, 4].map(|timeout| (timeout, publish(&hub, timeout))).into();
    for (timeout, publishing) in waiting {
        if timeout < 9 {
            assert_eq!(times_out(publishing).await.1, timeout);
        } else {
            bus.hold_acknowledgements(false);
            assert!(publishing.await.unwrap().0.is_ok());
            bus.hold_acknowledgements(true);
        }
    }
    // All places are free again.
    assert_eq!(times_out(publish(&hub, 1)).await.1, 1);
}

#[tokio::test(start_paused = true)]
async fn an_event_whose_link_broke_keeps_its_deadline() {
    let bus = MemoryHub::new();
    let hub = EventHub::builder(bus.transport()).connect().await.unwrap();
    bus.hold_acknowledgements(true);
    let publishing = publish(&hub, 7);
    while bus.published() == 0 {
        tokio::task::yield_now().await;
    }
    bus.refuse_connections(Some((ErrorKind::Unreachable, "away")));
    tokio::time::sleep(secs(2)).await; // paused
    bus.cut();
    let (error, after) = times_out(publishing).await;
    assert_eq!(after, 7, "{error}");
    assert_eq!(hub.stats().expired, 1);
}

/// A bus whose links never get everything on the wire.
struct Slow(MemoryTransport);

struct NeverFlushed(Box<dyn LinkSender>);

#[async_trait]
impl Transport for Slow {
    fn name(&self) -> &'static str {
        "slow"
    }

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    async fn connect(&self, attempt: Attempt) -> Result<Link> {
        let link = self.0.connect(attempt).await?;
        Ok(Link { tx: Box::new(NeverFlushed(link.tx)), ..link })
    }
}

#[async_trait]
impl LinkSender for NeverFlushed {
    fn send(&self, event: Event) -> Result<Confirmation, NotSent> {
        self.0.send(event)
    }

    async fn ready(&self) {
        self.0.ready().await;
    }

    async fn subscribe(&self, spec: &SubscriptionSpec) -> Result<()> {
        self.0.subscribe(spec).await
    }

    async fn unsubscribe(&self, spec: &SubscriptionSpec) -> Result<()> {
        self.0.unsubscribe(spec).await
    }

    async fn flush(&self) -> Result<()> {
        std::future::pending().await
    }

    async fn close(&self) {
        self.0.close().await;
    }
}

#[tokio::test(start_paused = true)]
async fn deadlines_are_kept_while_a_good_bye_takes_its_time() {
    let bus = MemoryHub::new();
    let hub = EventHub::builder(Slow(bus.transport())).close_timeout(secs(5)).connect().await.unwrap();
    bus.hold_acknowledgements(true);
    let on_its_way = publish(&hub, 1);
    while bus.published() == 0 {
        tokio::task::yield_now().await;
    }
    let began = Instant::now();
    let leaving = tokio::spawn({
        let hub = hub.clone();
        async move { hub.disconnect().await }
    });
    // The good-bye has begun.
    tokio::time::sleep(Duration::from_millis(10)).await; // paused
    let waiting = publish(&hub, 2);
    assert_eq!(times_out(on_its_way).await.1, 1);
    assert_eq!(times_out(waiting).await.1, 2);
    assert!(!leaving.is_finished());
    leaving.await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 5);
}
