//! The transport seam: what the engine asks of a transport, and what it does with its answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use event_core::dialect::Dialect;
use event_core::transport::{
    Acknowledgement, Attempt, Capabilities, Confirmation, Guarantee, Guarantees, Inbound, Link, LinkInfo,
    LinkSender, NotSent, RawDelivery, Transport,
};
use event_core::{Error, ErrorKind, Event, EventHub, RawJson, Result, SubscriptionSpec};
use futures_util::StreamExt;
use mockall::mock;
use serde_json::json;

use crate::support::event;

mock! {
    Wire {}

    #[async_trait]
    impl Transport for Wire {
        fn name(&self) -> &'static str;
        fn capabilities(&self) -> Capabilities;
        async fn connect(&self, attempt: Attempt) -> Result<Link>;
    }
}

mock! {
    Sender {}

    #[async_trait]
    impl LinkSender for Sender {
        fn send(&self, event: Event) -> Result<Confirmation, NotSent>;
        async fn ready(&self);
        async fn subscribe(&self, spec: &SubscriptionSpec) -> Result<()>;
        async fn unsubscribe(&self, spec: &SubscriptionSpec) -> Result<()>;
        async fn flush(&self) -> Result<()>;
        async fn close(&self);
    }
}

fn able() -> Capabilities {
    let mut capabilities = Capabilities::default();
    capabilities.publish = true;
    capabilities.guarantees = Guarantees::only(Guarantee::AtMostOnce);
    capabilities
}

fn wire(tx: MockSender, arriving: Vec<Inbound>) -> MockWire {
    wire_that_can(able(), tx, arriving)
}

fn wire_that_can(capabilities: Capabilities, tx: MockSender, arriving: Vec<Inbound>) -> MockWire {
    let mut wire = MockWire::new();
    wire.expect_name().return_const("mock");
    wire.expect_capabilities().return_const(capabilities);
    let link = std::sync::Mutex::new(Some((tx, arriving)));
    wire.expect_connect().times(1).returning(move |_| {
        let (tx, arriving) = link.lock().unwrap().take().unwrap();
        let rx =
            futures_util::stream::iter(arriving.into_iter().map(Ok)).chain(futures_util::stream::pending());
        Ok(Link { info: LinkInfo::ready("mock"), tx: Box::new(tx), rx: Box::pin(rx) })
    });
    wire
}

#[tokio::test]
async fn the_engine_subscribes_by_the_transports_verb_and_closes_politely() {
    let mut tx = MockSender::new();
    tx.expect_subscribe().times(1).withf(|spec| spec.id == "s").returning(|_| Ok(()));
    tx.expect_unsubscribe().times(1).withf(|spec| spec.id == "s").returning(|_| Ok(()));
    tx.expect_flush().times(1).returning(|| Ok(()));
    tx.expect_close().times(1).return_const(());
    let hub = EventHub::builder(wire(tx, Vec::new())).connect().await.unwrap();
    hub.subscribe("topic=t").id("s").handle(async |_event: Event| {}).await.unwrap();
    hub.close().await;
}

/// Subscribes by an event, as the ftrack hub does, and reads refusals out of acknowledgements.
struct ByEvent;

impl Dialect for ByEvent {
    fn subscribe(&self, spec: &SubscriptionSpec) -> Option<Event> {
        Event::new("meta.subscribe", &json!({"id": spec.id.as_str()})).ok()
    }

    fn acknowledged(&self, acknowledgement: &Acknowledgement) -> Result<()> {
        match &acknowledgement.data {
            Some(words) => Err(Error::new(ErrorKind::Refused, "ask", words.as_str().to_owned())),
            None => Ok(()),
        }
    }
}

#[tokio::test]
async fn a_dialect_may_subscribe_by_an_event_and_its_refusal_is_the_subscribers() {
    let mut tx = MockSender::new();
    let sent = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&sent);
    tx.expect_send().times(2).returning(move |event| {
        assert_eq!(event.topic(), &"meta.subscribe");
        counting.fetch_add(1, Ordering::SeqCst);
        let (confirmer, confirmation) = Confirmation::channel();
        let refused = event.data_value()["id"] == "bad";
        confirmer.confirm(Acknowledgement::with_data(refused.then(|| RawJson::from_text("\"no\"").unwrap())));
        Ok(confirmation)
    });
    let hub = EventHub::builder(wire(tx, Vec::new())).dialect(ByEvent).connect().await.unwrap();
    hub.subscribe("topic=t").id("good").handle(async |_event: Event| {}).await.unwrap();
    let error = hub.subscribe("topic=t").id("bad").handle(async |_event: Event| {}).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert_eq!((sent.load(Ordering::SeqCst), hub.stats().subscriptions), (2, 1));
}

#[tokio::test]
async fn a_transport_with_verbs_of_its_own_is_sent_no_event_that_subscribes() {
    let mut tx = MockSender::new();
    // Nothing is expected to be sent.
    tx.expect_subscribe().times(1).withf(|spec| spec.id == "s").returning(|_| Ok(()));
    tx.expect_unsubscribe().times(1).withf(|spec| spec.id == "s").returning(|_| Ok(()));
    tx.expect_flush().returning(|| Ok(()));
    tx.expect_close().return_const(());
    let mut capabilities = able();
    capabilities.own_verbs = true;
    let wire = wire_that_can(capabilities, tx, Vec::new());
    let hub = EventHub::builder(wire).dialect(ByEvent).connect().await.unwrap();
    hub.subscribe("topic=t").id("s").handle(async |_event: Event| {}).await.unwrap();
    hub.close().await;
}

#[tokio::test]
async fn a_full_window_makes_the_engine_wait_for_room_and_lose_nothing() {
    let mut tx = MockSender::new();
    let tries = Arc::new(AtomicUsize::new(0));
    let counting = Arc::clone(&tries);
    tx.expect_send().returning(move |event| {
        if counting.fetch_add(1, Ordering::SeqCst) == 0 {
            return Err(NotSent::new(event, Error::new(ErrorKind::Full, "send", "window full")));
        }
        let (confirmer, confirmation) = Confirmation::channel();
        confirmer.confirm(Acknowledgement::default());
        Ok(confirmation)
    });
    tx.expect_ready().times(1..).return_const(());
    let hub = EventHub::builder(wire(tx, Vec::new())).connect().await.unwrap();
    hub.publish(event("t")).await.unwrap();
    assert_eq!(tries.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn what_a_transport_cannot_do_fails_at_once_with_its_reason() {
    let mut tx = MockSender::new();
    tx.expect_send()
        .returning(|event| Err(NotSent::new(event, Error::new(ErrorKind::Unsupported, "send", "read-only"))));
    let hub = EventHub::builder(wire(tx, Vec::new())).connect().await.unwrap();
    assert_eq!(hub.publish(event("t")).await.unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(hub.reply(&event("t"), &1).await.unwrap_err().kind(), ErrorKind::Unsupported);
}

#[tokio::test]
async fn a_direct_delivery_reaches_its_subscription_only_and_is_still_filtered_unless_exact() {
    let mut tx = MockSender::new();
    tx.expect_subscribe().returning(|_| Ok(()));
    let (go, gone) = tokio::sync::oneshot::channel::<()>();
    let mut wire = MockWire::new();
    wire.expect_name().return_const("mock");
    wire.expect_capabilities().returning(able);
    let parts = std::sync::Mutex::new(Some((tx, gone)));
    wire.expect_connect().returning(move |_| {
        let (tx, gone) = parts.lock().unwrap().take().unwrap();
        let direct = |n: u8, exact: bool| {
            let event = Event::new(if n == 2 { "t" } else { "u" }, &n).unwrap();
            let mut delivery = RawDelivery::direct(event, "a".into());
            delivery.filter_is_exact = exact;
            Ok(Inbound::Delivery(delivery))
        };
        // After the subscriptions stand: not matching, matching, not matching but vouched for.
        let rx = futures_util::stream::once(async move {
            let _ = gone.await;
        })
        .flat_map(move |()| futures_util::stream::iter([direct(1, false), direct(2, false), direct(3, true)]))
        .chain(futures_util::stream::pending());
        Ok(Link { info: LinkInfo::ready("mock"), tx: Box::new(tx), rx: Box::pin(rx) })
    });
    let hub = EventHub::builder(wire).connect().await.unwrap();
    let mut chosen = hub.subscribe("topic=t").id("a").stream().await.unwrap();
    let other = hub.subscribe("topic=*").id("b").stream().await.unwrap();
    go.send(()).unwrap();
    let mut seen = Vec::new();
    for _ in 0..2 {
        seen.push(chosen.next().await.unwrap().unwrap().event().data_value().as_u64());
    }
    assert_eq!(seen, [Some(2), Some(3)]);
    assert_eq!((other.stats().delivered, hub.stats().unmatched), (0, 1));
}
