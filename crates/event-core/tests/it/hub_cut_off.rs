//! A hub whose engine is cut off says so; nobody waits for it.

use std::time::Duration;

use async_trait::async_trait;
use event_core::hub::Report;
use event_core::memory::MemoryHub;
use event_core::transport::{Attempt, Capabilities, Link, Transport};
use event_core::{ConnectionState, ErrorKind, Event, EventHub, Lifecycle, Result};

/// A transport that panics when it should connect.
struct Panicking;

#[async_trait]
impl Transport for Panicking {
    fn name(&self) -> &'static str {
        "panicking"
    }

    fn capabilities(&self) -> Capabilities {
        MemoryHub::new().transport().capabilities()
    }

    async fn connect(&self, _attempt: Attempt) -> Result<Link> {
        std::panic::resume_unwind(Box::new("on purpose"))
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_transport_closes_the_hub_and_tells_everybody() {
    let hub = EventHub::builder(Panicking).build().unwrap();
    let mut lifecycle = hub.lifecycle();
    let subscription = hub.subscribe("topic=t").handle(async |_event: Event| {}).await.unwrap();
    let publishing = tokio::spawn(hub.publish(Event::new("t", &1).unwrap()).into_future());
    tokio::task::yield_now().await;
    assert_eq!(hub.connect().await.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(publishing.await.unwrap().unwrap_err().kind(), ErrorKind::Closed);
    assert!(matches!(hub.state(), ConnectionState::Closed), "{:?}", hub.state());
    let mut told = Vec::new();
    while let Some(report) = lifecycle.next().await {
        told.push(report);
    }
    let Some(Report::Happened(Lifecycle::Problem(error))) = told.first() else { panic!("{told:?}") };
    assert!(error.to_string().contains("panicked"), "{error}");
    assert!(matches!(told.last(), Some(Report::Happened(Lifecycle::Closed))), "{told:?}");
    assert_eq!(subscription.unsubscribe().await.unwrap_err().kind(), ErrorKind::Closed);
    assert!(!hub.drain(Duration::from_secs(1)).await.timed_out);
}

#[test]
fn a_hub_whose_runtime_has_ended_is_closed() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (one, other) = (runtime(), runtime());
    let bus = MemoryHub::new();
    let hub = one.block_on(EventHub::builder(bus.transport()).connect()).unwrap();
    drop(one);
    assert!(matches!(hub.state(), ConnectionState::Closed), "{:?}", hub.state());
    let publishing = hub.publish(Event::new("t", &1).unwrap()).into_future();
    assert_eq!(other.block_on(publishing).unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(bus.links(), 0);
}
