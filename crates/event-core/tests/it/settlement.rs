//! Transports that ask for settlement and deliver by credit: a queue in memory.

use std::collections::VecDeque;
use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use event_core::hub::Report;
use event_core::transport::{
    Attempt, Capabilities, Confirmation, Continuity, Flow, Guarantees, Inbound, Link, LinkInfo, LinkSender,
    NotSent, RawDelivery, SettleFailed, SettleToken, Settlement, Transport,
};
use event_core::{Error, ErrorKind, Event, EventHub, Lifecycle, Result, SubscriptionId, SubscriptionSpec};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::support::Log;

/// A service with one queue for each subscription; it hands out what there is credit for.
#[derive(Clone, Default)]
struct Queues(Arc<Inner>);

#[derive(Default)]
struct Inner {
    waiting: Mutex<VecDeque<(SubscriptionId, u32)>>,
    credit: AtomicUsize,
    granted: AtomicUsize,
    extended: AtomicUsize,
    extensions_allowed: AtomicUsize,
    /// So many attempts to extend fail, in a way that may pass.
    failing: AtomicUsize,
    changed: Notify,
    settled: Log,
}

impl Queues {
    fn put(&self, id: &str, count: u32) {
        self.0.waiting.lock().extend((0..count).map(|n| (SubscriptionId::from(id), n)));
        self.0.changed.notify_one();
    }

    async fn settled(&self, count: usize) -> Vec<String> {
        self.0.settled.wait_for(count).await
    }

    async fn next(self) -> Option<(Result<Inbound>, Self)> {
        loop {
            let credit = self.0.credit.load(Ordering::SeqCst);
            let next = if credit > 0 { self.0.waiting.lock().pop_front() } else { None };
            if let Some((id, n)) = next {
                self.0.credit.fetch_sub(1, Ordering::SeqCst);
                let event = Event::builder("t").id(n.to_string()).data(&n).build().unwrap();
                let delivery = RawDelivery::direct(event, id);
                let delivery = delivery.settled_by(SettleToken::new(n), Some(Duration::from_secs(60)));
                return Some((Ok(Inbound::Delivery(delivery)), self));
            }
            self.0.changed.notified().await;
        }
    }
}

#[async_trait]
impl Transport for Queues {
    fn name(&self) -> &'static str {
        "queues"
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.flow = Flow::Credit;
        capabilities.guarantees = Guarantees::both();
        capabilities.continuity = Continuity::SelfHealing;
        capabilities.nack = true;
        capabilities.extend_lock = true;
        capabilities
    }

    async fn connect(&self, _attempt: Attempt) -> Result<Link> {
        let rx = futures_util::stream::unfold(self.clone(), Self::next);
        Ok(Link { info: LinkInfo::ready("queues"), tx: Box::new(self.clone()), rx: Box::pin(rx) })
    }
}

#[async_trait]
impl LinkSender for Queues {
    fn send(&self, event: Event) -> Result<Confirmation, NotSent> {
        Err(NotSent::new(event, Error::new(ErrorKind::Unsupported, "send", "a queue is read")))
    }

    async fn ready(&self) {}

    async fn subscribe(&self, _spec: &SubscriptionSpec) -> Result<()> {
        Ok(())
    }

    async fn unsubscribe(&self, _spec: &SubscriptionSpec) -> Result<()> {
        Ok(())
    }

    fn grant(&self, _id: &SubscriptionId, credit: u32) {
        self.0.credit.fetch_add(credit as usize, Ordering::SeqCst);
        self.0.granted.fetch_add(credit as usize, Ordering::SeqCst);
        self.0.changed.notify_one();
    }

    async fn settle(&self, token: SettleToken, outcome: Settlement) -> Result<(), SettleFailed> {
        let n = *token.get::<u32>().unwrap();
        if n == 404 {
            return Err(SettleFailed::new(
                token,
                Error::new(ErrorKind::LockLost, "settle", "the lock lapsed"),
            ));
        }
        self.0.settled.add(format!("{n} {outcome:?}"));
        Ok(())
    }

    async fn extend(&self, _token: &mut SettleToken) -> Result<()> {
        let fails = |left: usize| left.checked_sub(1);
        if self.0.failing.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fails).is_ok() {
            return Err(Error::new(ErrorKind::Unreachable, "extend", "the service is busy"));
        }
        if self.0.extended.fetch_add(1, Ordering::SeqCst) < self.0.extensions_allowed.load(Ordering::SeqCst) {
            Ok(())
        } else {
            Err(Error::new(ErrorKind::LockLost, "extend", "the lock lapsed"))
        }
    }

    async fn flush(&self) -> Result<()> {
        Ok(())
    }

    async fn close(&self) {}
}

async fn hub() -> (Queues, EventHub) {
    let queues = Queues::default();
    queues.0.extensions_allowed.store(1_000, Ordering::SeqCst);
    let hub = EventHub::builder(queues.clone()).connect().await.unwrap();
    (queues, hub)
}

#[tokio::test(start_paused = true)]
async fn a_handlers_success_completes_and_its_failure_or_panic_abandons() {
    let (queues, hub) = hub().await;
    hub.subscribe("topic=*")
        .id("q")
        .handle(async |event: Event| match event.data::<u32>()? {
            0 => Ok(()),
            1 => Err(Error::new(ErrorKind::Handler, "test", "no")),
            _ => panic!("never"),
        })
        .await
        .unwrap();
    queues.put("q", 3);
    assert_eq!(
        queues.settled(3).await,
        ["0 Complete", "1 Abandon { delay: None }", "2 Abandon { delay: None }"]
    );
    assert_eq!((hub.stats().completed, hub.stats().abandoned, hub.stats().handler_failures), (1, 2, 2));
}

#[tokio::test(start_paused = true)]
async fn what_nobody_here_wants_is_completed_and_counted() {
    let (queues, hub) = hub().await;
    hub.subscribe("topic=other").id("q").handle(async |_event: Event| {}).await.unwrap();
    queues.put("q", 1);
    assert_eq!(queues.settled(1).await, ["0 Complete"]);
    assert_eq!(hub.stats().unmatched, 1);
}

#[tokio::test(start_paused = true)]
async fn credit_is_granted_as_deliveries_are_done_with_and_never_beyond() {
    let (queues, hub) = hub().await;
    let mut stream = hub.subscribe("topic=*").id("q").concurrency(2).stream().await.unwrap();
    queues.put("q", 10);
    let first = stream.next().await.unwrap().unwrap();
    let second = stream.next().await.unwrap().unwrap();
    assert!(
        futures_util::poll!(std::pin::pin!(stream.next())).is_pending(),
        "two are out, and no more are asked for"
    );
    assert_eq!(queues.0.waiting.lock().len(), 8);
    first.ack().await.unwrap();
    drop(first);
    let third = stream.next().await.unwrap().unwrap();
    second.nack(Some(Duration::from_secs(3))).await.unwrap();
    drop((second, third));
    assert_eq!(
        queues.settled(3).await,
        ["0 Complete", "1 Abandon { delay: Some(3s) }", "2 Abandon { delay: None }"]
    );
    drop(stream);
    assert!(queues.0.granted.load(Ordering::SeqCst) <= 5);
}

#[tokio::test(start_paused = true)]
async fn no_more_is_asked_for_than_handlers_work_on() {
    for concurrency in [1, 3] {
        let (queues, hub) = hub().await;
        let subscribe = hub.subscribe("topic=*").id("q").concurrency(concurrency);
        let handler = async |_event: Event| tokio::time::sleep(Duration::from_secs(10)).await; // paused
        let subscription = subscribe.handle(handler).await.unwrap();
        queues.put("q", 10);
        tokio::time::sleep(Duration::from_secs(5)).await; // paused
        let stats = subscription.stats();
        assert_eq!((stats.running, stats.waiting), (concurrency, 0));
        assert_eq!(queues.0.granted.load(Ordering::SeqCst), concurrency);
        tokio::time::sleep(Duration::from_secs(10)).await; // paused
        assert_eq!(queues.0.granted.load(Ordering::SeqCst), 2 * concurrency);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lock_is_prolonged_at_half_of_its_time_while_a_handler_works() {
    let (queues, hub) = hub().await;
    hub.subscribe("topic=*")
        .id("q")
        .handle(async |_event: Event| tokio::time::sleep(Duration::from_secs(100)).await) // paused
        .await
        .unwrap();
    queues.put("q", 1);
    assert_eq!(queues.settled(1).await, ["0 Complete"]);
    assert_eq!(queues.0.extended.load(Ordering::SeqCst), 3, "after 30, 60 and 90 seconds");
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_cannot_be_kept_is_told_and_so_is_whoever_acknowledges() {
    let (queues, hub) = hub().await;
    queues.0.extensions_allowed.store(1, Ordering::SeqCst);
    let mut lifecycle = hub.lifecycle();
    let mut stream = hub.subscribe("topic=*").id("q").stream().await.unwrap();
    queues.put("q", 1);
    let delivery = stream.next().await.unwrap().unwrap();
    let Some(Report::Happened(Lifecycle::LockLost { id, error })) = lifecycle.next().await else {
        panic!("the lock was lost")
    };
    assert_eq!((id.unwrap().as_str(), error.kind()), ("0", ErrorKind::LockLost));
    let refused = delivery.ack().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::LockLost, "{refused}");
    assert_eq!(refused.source().unwrap().to_string(), "extend: the lock lapsed");
    delivery.ack().await.unwrap();
    assert_eq!(hub.stats().settle_failures, 1);
}

#[tokio::test(start_paused = true)]
async fn whoever_gives_back_what_was_worked_on_for_too_long_hears_that_the_lock_is_lost() {
    let queues = Queues::default();
    queues.0.extensions_allowed.store(1_000, Ordering::SeqCst);
    let builder = EventHub::builder(queues.clone()).max_processing(Duration::from_secs(90));
    let hub = builder.connect().await.unwrap();
    let mut stream = hub.subscribe("topic=*").id("q").stream().await.unwrap();
    queues.put("q", 1);
    let delivery = stream.next().await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_secs(130)).await; // paused
    let refused = delivery.nack(None).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::LockLost, "{refused}");
    assert!(refused.source().unwrap().to_string().contains("90s"), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn whoever_acknowledges_after_the_connection_ended_hears_that_and_of_no_lock() {
    let (queues, hub) = hub().await;
    let mut stream = hub.subscribe("topic=*").id("q").stream().await.unwrap();
    queues.put("q", 1);
    let delivery = stream.next().await.unwrap().unwrap();
    hub.disconnect().await;
    let refused = delivery.ack().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Disconnected, "{refused}");
    assert!(refused.to_string().contains("connection") && !refused.to_string().contains("lock"), "{refused}");
    assert_eq!(queues.0.settled.lines(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_never_ends_keeps_its_lock_only_so_long() {
    let queues = Queues::default();
    queues.0.extensions_allowed.store(1_000, Ordering::SeqCst);
    let builder = EventHub::builder(queues.clone()).max_processing(Duration::from_secs(90));
    let hub = builder.connect().await.unwrap();
    let mut lifecycle = hub.lifecycle();
    hub.subscribe("topic=*")
        .id("q")
        .handle(async |_event: Event| std::future::pending::<()>().await)
        .await
        .unwrap();
    queues.put("q", 1);
    let report = lifecycle.next().await;
    assert!(matches!(report, Some(Report::Happened(Lifecycle::LockLost { .. }))), "{report:?}");
    assert_eq!(queues.0.extended.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn closing_settles_what_is_done_and_gives_back_what_is_not() {
    let (queues, hub) = hub().await;
    let stream = hub.subscribe("topic=*").id("unread").stream().await.unwrap();
    let log = Log::default();
    hub.subscribe("topic=*")
        .id("q")
        .handle_with(log.clone(), async |_event: Event, log: Log| {
            log.add("started");
            tokio::task::yield_now().await;
        })
        .await
        .unwrap();
    queues.put("q", 1);
    log.wait_for(1).await;
    queues.put("unread", 1);
    while stream.stats().waiting == 0 {
        tokio::task::yield_now().await;
    }
    drop(stream);
    hub.close().await;
    let mut settled = queues.settled(2).await;
    settled.sort();
    assert_eq!(settled, ["0 Abandon { delay: None }", "0 Complete"]);
}

#[tokio::test(start_paused = true)]
async fn a_lock_waits_in_a_buffer_for_as_long_as_its_reader_likes() {
    let queues = Queues::default();
    queues.0.extensions_allowed.store(1_000, Ordering::SeqCst);
    let builder = EventHub::builder(queues.clone()).max_processing(Duration::from_secs(90));
    let hub = builder.connect().await.unwrap();
    let mut stream = hub.subscribe("topic=*").id("q").stream().await.unwrap();
    queues.put("q", 1);
    tokio::time::sleep(Duration::from_secs(3_600)).await; // paused
    let delivery = stream.next().await.unwrap().unwrap();
    assert_eq!(hub.stats().settle_failures, 0, "the limit is for work, and none was done");
    tokio::time::sleep(Duration::from_secs(80)).await; // paused
    delivery.ack().await.unwrap();
    assert_eq!(queues.settled(1).await, ["0 Complete"]);
}

#[tokio::test(start_paused = true)]
async fn a_handler_may_put_off_the_beginning_of_its_work() {
    let queues = Queues::default();
    queues.0.extensions_allowed.store(1_000, Ordering::SeqCst);
    let builder = EventHub::builder(queues.clone()).max_processing(Duration::from_secs(90));
    let hub = builder.connect().await.unwrap();
    let mut lifecycle = hub.lifecycle();
    let handler = async |_event: Event, context: event_core::Context| {
        let deferred = context.defer();
        tokio::time::sleep(Duration::from_secs(3_600)).await; // paused
        deferred.begin();
        std::future::pending::<()>().await;
    };
    hub.subscribe("topic=*").id("q").handle_ctx(handler).await.unwrap();
    let start = tokio::time::Instant::now();
    queues.put("q", 1);
    let report = lifecycle.next().await;
    assert!(matches!(report, Some(Report::Happened(Lifecycle::LockLost { .. }))), "{report:?}");
    let lasted = start.elapsed().as_secs();
    assert!((3_690..=3_720).contains(&lasted), "the limit counts from the beginning of the work: {lasted} s");
}

#[tokio::test(start_paused = true)]
async fn prolonging_a_lock_that_fails_for_a_while_is_tried_again_while_the_lock_lasts() {
    let (queues, hub) = hub().await;
    queues.0.failing.store(3, Ordering::SeqCst);
    hub.subscribe("topic=*")
        .id("q")
        .handle(async |_event: Event| tokio::time::sleep(Duration::from_secs(100)).await) // paused
        .await
        .unwrap();
    queues.put("q", 1);
    assert_eq!(queues.settled(1).await, ["0 Complete"]);
    assert_eq!(hub.stats().settle_failures, 0);
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_cannot_be_prolonged_while_it_lasts_is_lost() {
    let (queues, hub) = hub().await;
    queues.0.failing.store(1_000, Ordering::SeqCst);
    let mut lifecycle = hub.lifecycle();
    let _stream = hub.subscribe("topic=*").id("q").stream().await.unwrap();
    let start = tokio::time::Instant::now();
    queues.put("q", 1);
    let Some(Report::Happened(Lifecycle::LockLost { error, .. })) = lifecycle.next().await else {
        panic!("the lock was lost")
    };
    assert_eq!(error.kind(), ErrorKind::Unreachable);
    let told = start.elapsed();
    assert!(told > Duration::from_secs(55) && told < Duration::from_secs(60), "{told:?}");
}
