//! The layer over the bus in memory, with a store in memory: no threads, paused time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use event_core::memory::MemoryHub;
use event_core::transport::{Inbound, SendTerms, Settlement};
use event_core::{Error, ErrorKind, Event, EventHub, Expression};
use event_journal::{Cause, GAP_TOPIC, Journal, Journaled, Start};

use super::support::{Rig, config, durable, event, number};

const COMPLETE: Settlement = Settlement::Complete;
const ABANDON: Settlement = Settlement::Abandon { delay: None };

fn journal() -> Journal {
    Journal::in_memory(config()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_consumer_goes_on_where_it_was() {
    let (bus, journal) = (MemoryHub::new(), journal());
    let mut rig = Rig::up(&bus, &journal).await;
    rig.subscribe(&durable("c", "topic=t")).await;
    for n in 0..5 {
        bus.inject(&event(n));
    }
    for n in 0..3 {
        let delivery = rig.delivery().await;
        assert_eq!((number(&delivery.event), delivery.attempt), (n, 1));
        if n < 2 {
            rig.tx.settle(delivery.token.unwrap(), COMPLETE).await.unwrap();
        }
    }
    drop(rig);
    // Offline: the backlog is worked off without a connection.
    bus.refuse_connections(Some((ErrorKind::Unreachable, "away")));
    let mut rig = Rig::open(&bus, &journal).await;
    rig.tx.subscribe(&durable("c", "topic=t")).await.unwrap();
    let mut came = Vec::new();
    for _ in 0..3 {
        let delivery = rig.delivery().await;
        came.push((number(&delivery.event), delivery.attempt));
        rig.tx.settle(delivery.token.unwrap(), COMPLETE).await.unwrap();
    }
    assert_eq!(came, [(2, 2), (3, 2), (4, 2)]);
    let consumer = &journal.consumers()[0];
    assert_eq!((consumer.name.as_str(), consumer.open, consumer.behind, consumer.in_use), ("c", 0, 0, true));
}

#[tokio::test(start_paused = true)]
async fn what_fails_comes_again_later_and_at_last_is_a_dead_letter_with_its_reason() {
    let (bus, journal) = (MemoryHub::new(), journal());
    let mut rig = Rig::up(&bus, &journal).await;
    rig.subscribe(&durable("c", "topic=t")).await;
    bus.inject(&event(1));
    for (attempt, pause) in [(1, 0), (2, 100), (3, 200)] {
        let before = tokio::time::Instant::now();
        let delivery = rig.delivery().await;
        assert_eq!(delivery.attempt, attempt);
        assert!(before.elapsed() >= Duration::from_millis(pause), "{:?}", before.elapsed());
        let token = delivery.token.unwrap().because("handle event: no such shot");
        rig.tx.settle(token, ABANDON).await.unwrap();
    }
    let letters = journal.dead_letters("c").await.unwrap();
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].cause, letters[0].attempts), (Cause::DeliveryLimit, 3));
    assert_eq!(letters[0].reason.as_deref(), Some("handle event: no such shot"));
    assert_eq!(letters[0].event.to_json(), event(1).to_json());
    // It can be had again.
    assert!(journal.redeliver("c", letters[0].sequence).await.unwrap());
    let delivery = rig.delivery().await;
    assert_eq!((number(&delivery.event), delivery.attempt), (1, 1));
    rig.tx.settle(delivery.token.unwrap(), Settlement::Reject).await.unwrap();
    let letters = journal.dead_letters("c").await.unwrap();
    assert_eq!(letters.iter().map(|letter| letter.cause).collect::<Vec<_>>(), [Cause::Rejected]);
    assert_eq!(journal.stats().dead_letters, 2);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_comes_again_within_the_window_is_dropped() {
    let (bus, journal) = (MemoryHub::new(), journal());
    let mut rig = Rig::up(&bus, &journal).await;
    rig.subscribe(&durable("c", "topic=t")).await;
    for n in [1, 1, 2, 1] {
        bus.inject(&event(n));
    }
    let (first, second) = (rig.delivery().await, rig.delivery().await);
    assert_eq!((number(&first.event), number(&second.event)), (1, 2));
    assert_eq!(journal.stats().repeats, 2);
    assert_eq!(journal.stats().appended, 2);
}

#[tokio::test(start_paused = true)]
async fn a_gap_comes_in_its_place_to_those_who_ask_for_gaps() {
    let (bus, journal) = (MemoryHub::new(), journal());
    let mut rig = Rig::up(&bus, &journal).await;
    rig.subscribe(&durable("told", &format!("topic=t or topic={GAP_TOPIC}"))).await;
    rig.subscribe(&durable("plain", "topic=t")).await;
    bus.inject(&event(1));
    let before: Vec<_> = [rig.delivery().await, rig.delivery().await].map(|it| number(&it.event)).into();
    assert_eq!(before, [1, 1]);
    bus.cut();
    rig.restored().await;
    bus.inject(&event(2));
    let mut told = Vec::new();
    for _ in 0..3 {
        let delivery = rig.delivery().await;
        if delivery.route == event_core::transport::Route::Direct("told-1".into()) {
            told.push(delivery.event.topic().as_str().to_owned());
        } else {
            assert_eq!(number(&delivery.event), 2);
        }
    }
    assert_eq!(told, [GAP_TOPIC, "t"]);
    assert_eq!(journal.stats().gaps, 1);
}

#[tokio::test(start_paused = true)]
async fn publishes_are_taken_offline_and_go_out_in_order_with_the_connection() {
    let (mut config, wall) = (config(), Arc::new(AtomicU64::new(1_000)));
    let clock = Arc::clone(&wall);
    config.clock = Arc::new(move || UNIX_EPOCH + Duration::from_millis(clock.load(Ordering::SeqCst)));
    let (bus, journal) = (MemoryHub::new(), Journal::in_memory(config).unwrap());
    let listener = EventHub::builder(bus.transport()).connect().await.unwrap();
    let mut heard = listener.subscribe("topic=t").stream().await.unwrap();
    bus.refuse_connections(Some((ErrorKind::Unreachable, "away")));
    let mut rig = Rig::open(&bus, &journal).await;
    for n in 0..5 {
        rig.tx.send(event(n)).unwrap().await.unwrap();
    }
    let soon = SendTerms::within(Duration::from_secs(60));
    rig.tx.send_with(event(9), soon).unwrap().await.unwrap();
    let refused = rig.tx.send_with(event(7), SendTerms::default().once()).unwrap_err();
    assert_eq!(refused.error.kind(), ErrorKind::NotConnected, "what must not be sent twice is not kept");
    assert_eq!(journal.stats().outbox, 6);
    wall.store(61_000, Ordering::SeqCst);
    bus.refuse_connections(None);
    rig.restored().await;
    let tx = Arc::clone(&rig.tx);
    rig.during(tx.flush()).await.unwrap();
    let mut numbers = Vec::new();
    while numbers.len() < 5 {
        numbers.push(number(heard.next().await.unwrap().unwrap().event()));
    }
    assert_eq!(numbers, [0, 1, 2, 3, 4], "the sixth expired");
    assert_eq!(journal.stats().outbox, 0);
    let unsent = journal.unsent().await.unwrap();
    assert_eq!(
        unsent.iter().map(|letter| (letter.cause, number(&letter.event))).collect::<Vec<_>>(),
        [(Cause::Expired, 9)]
    );
}

#[tokio::test(start_paused = true)]
async fn a_publish_that_the_service_refuses_is_a_dead_letter() {
    let (bus, journal) = (MemoryHub::new(), journal());
    let mut rig = Rig::up(&bus, &journal).await;
    bus.refuse_events(Some(ErrorKind::Refused));
    rig.tx.send(event(1)).unwrap().await.unwrap();
    let tx = Arc::clone(&rig.tx);
    rig.during(tx.flush()).await.unwrap();
    let unsent = journal.unsent().await.unwrap();
    assert_eq!(
        unsent.iter().map(|letter| (letter.cause, letter.attempts)).collect::<Vec<_>>(),
        [(Cause::Refused, 1)]
    );
    assert!(unsent[0].reason.as_deref().unwrap().contains("refuses"), "{unsent:?}");
}

#[tokio::test(start_paused = true)]
async fn what_was_under_way_when_the_link_broke_is_sent_again_in_order() {
    let (bus, journal) = (MemoryHub::new(), journal());
    let mut rig = Rig::up(&bus, &journal).await;
    bus.hold_acknowledgements(true);
    for n in 0..3 {
        rig.tx.send(event(n)).unwrap().await.unwrap();
    }
    while bus.published() < 3 {
        rig.during(tokio::task::yield_now()).await;
    }
    bus.cut();
    bus.hold_acknowledgements(false);
    rig.restored().await;
    let tx = Arc::clone(&rig.tx);
    rig.during(tx.flush()).await.unwrap();
    assert_eq!((bus.published(), journal.stats().outbox), (6, 0));
}

#[tokio::test(start_paused = true)]
async fn records_are_read_again_from_a_place_or_by_an_expression() {
    let (bus, journal) = (MemoryHub::new(), journal());
    let mut rig = Rig::up(&bus, &journal).await;
    rig.subscribe(&durable("c", "topic=t")).await;
    for n in 0..10 {
        bus.inject(&event(n));
        let delivery = rig.delivery().await;
        rig.tx.settle(delivery.token.unwrap(), COMPLETE).await.unwrap();
    }
    let read = async |start, expression: Option<&str>| {
        let mut replay = journal.replay(start).await.unwrap();
        if let Some(expression) = expression {
            replay = replay.matching(Expression::parse(expression).unwrap());
        }
        let mut numbers = Vec::new();
        while let Some(record) = replay.next().await {
            numbers.push(number(&record.unwrap().event));
        }
        numbers
    };
    assert_eq!(read(Start::Beginning, None).await, (0..10).collect::<Vec<_>>());
    assert_eq!(read(Start::Sequence(9), None).await, [8, 9]);
    assert_eq!(read(Start::Beginning, Some("data.n>=8")).await, [8, 9]);
    assert_eq!(read(Start::Match(Expression::parse("data.n=7").unwrap()), None).await, [7, 8, 9]);
    assert_eq!(read(Start::End, None).await, [0_u64; 0]);
    // A consumer is put back.
    assert_eq!(journal.rewind("c", Start::Beginning).await.unwrap_err().kind(), ErrorKind::Duplicate);
    drop(rig);
    journal.rewind("c", Start::Sequence(10)).await.unwrap();
    let mut rig = Rig::open(&bus, &journal).await;
    rig.tx.subscribe(&durable("c", "topic=t")).await.unwrap();
    assert_eq!(number(&rig.delivery().await.event), 9);
}

#[tokio::test(start_paused = true)]
async fn a_durable_consumer_has_one_holder() {
    let (bus, journal) = (MemoryHub::new(), journal());
    let mut first = Rig::up(&bus, &journal).await;
    first.subscribe(&durable("c", "topic=t")).await;
    let mut second = Rig::up(&bus, &journal).await;
    let tx = Arc::clone(&second.tx);
    let refused = second.during(tx.subscribe(&durable("c", "topic=t"))).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Duplicate);
    assert_eq!(journal.forget("c").await.unwrap_err().kind(), ErrorKind::Duplicate);
    drop(first);
    second.subscribe(&durable("c", "topic=t")).await;
    drop(second);
    assert!(journal.forget("c").await.unwrap());
    assert!(!journal.forget("c").await.unwrap() && journal.consumers().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_for_good_ends_the_link_with_its_reason() {
    let (bus, journal) = (MemoryHub::new(), journal());
    bus.refuse_connections(Some((ErrorKind::Unauthenticated, "bad key")));
    let mut rig = Rig::open(&bus, &journal).await;
    rig.tx.subscribe(&durable("c", "topic=t")).await.unwrap();
    let mut end = None;
    while let Some(item) = futures_util::StreamExt::next(&mut rig.rx).await {
        if let Err(error) = item {
            end = Some(error.kind());
        } else if let Ok(Inbound::Subscription { .. }) = item {
            panic!("{item:?}");
        }
    }
    assert_eq!(end, Some(ErrorKind::Unauthenticated));
    let refused = rig.tx.send(event(1)).unwrap_err();
    assert_eq!(refused.error.kind(), ErrorKind::NotConnected);
}

#[tokio::test(start_paused = true)]
async fn a_subscription_noted_offline_that_is_refused_for_the_moment_is_asked_for_again() {
    let (bus, journal) = (MemoryHub::new(), journal());
    bus.refuse_subscription("c-1", Some(ErrorKind::Timeout));
    let mut rig = Rig::open(&bus, &journal).await;
    rig.tx.subscribe(&durable("c", "topic=t")).await.unwrap();
    let mut problems = 0;
    while problems < 2 {
        match rig.next().await {
            Inbound::Problem(error) => {
                assert_eq!(error.kind(), ErrorKind::Timeout);
                problems += 1;
            }
            Inbound::Subscription { change, .. } => panic!("{change:?}"),
            _ => {}
        }
    }
    bus.refuse_subscription("c-1", None);
    let subscribed = async {
        while bus.subscriptions() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await; // paused
        }
    };
    rig.during(subscribed).await;
    bus.inject(&event(1));
    assert_eq!(number(&rig.delivery().await.event), 1);
}

fn hub(bus: &MemoryHub, journal: &Journal) -> event_core::hub::HubBuilder {
    let journal = journal.clone();
    EventHub::builder(bus.transport())
        .layer(move |transport, dialect| Journaled::over(transport, journal).dialect(Arc::clone(dialect)))
}

#[tokio::test(start_paused = true)]
async fn a_hub_with_a_journal_works_as_before_and_keeps_places() {
    let (bus, journal) = (MemoryHub::new(), journal());
    let first = hub(&bus, &journal).connect().await.unwrap();
    let (seen, mut handled) = tokio::sync::mpsc::channel(64);
    let fails = seen.clone();
    let durable = first
        .subscribe("topic=t")
        .durable("worker")
        .handle(move |event: Event| {
            let seen = fails.clone();
            async move {
                seen.send(number(&event)).await.unwrap();
                if number(&event) == 2 {
                    return Err(Error::new(ErrorKind::Handler, "work", "not today"));
                }
                Ok(())
            }
        })
        .await
        .unwrap();
    // One that asks for no more than before gets what comes as it comes, and answers.
    first
        .subscribe("topic=ask")
        .handle(async |_: Event| event_core::Json(serde_json::json!(42)))
        .await
        .unwrap();
    first.wait_for_state(event_core::ConnectionState::is_connected).await;
    let reply = first.request(Event::new("ask", &1).unwrap()).await.unwrap();
    assert_eq!(reply.data_value(), 42);
    for n in 1..=3 {
        first.publish(event(n)).await.unwrap();
    }
    let mut numbers = Vec::new();
    while numbers.len() < 5 {
        numbers.push(handled.recv().await.unwrap());
    }
    assert_eq!(numbers, [1, 2, 3, 2, 2], "the one that fails comes again");
    durable.unsubscribe().await.unwrap();
    while journal.stats().dead_letters < 1 {
        tokio::time::sleep(Duration::from_millis(1)).await; // paused
    }
    let letters = journal.dead_letters("worker").await.unwrap();
    assert_eq!(letters[0].reason.as_deref(), Some("handle event: the handler failed: work: not today"));
    first.close().await;

    // Another process, later: nothing is handled twice, and what came meanwhile is not lost.
    let second = hub(&bus, &journal).connect().await.unwrap();
    let mut stream = second.subscribe("topic=t").durable("worker").stream().await.unwrap();
    second.publish(event(4)).await.unwrap();
    let delivery = stream.next().await.unwrap().unwrap();
    assert_eq!(number(delivery.event()), 4);
    delivery.ack().await.unwrap();
    second.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_hub_publishes_into_the_journal_while_the_service_is_away() {
    let (bus, journal) = (MemoryHub::new(), journal());
    bus.refuse_connections(Some((ErrorKind::Unreachable, "away")));
    let hub = hub(&bus, &journal).connect().await.unwrap();
    assert!(!hub.state().is_connected());
    hub.publish(event(1)).await.unwrap();
    let asked = hub.request(event(2)).timeout(Duration::from_secs(2)).await.unwrap_err();
    assert_eq!(asked.kind(), ErrorKind::Timeout);
    assert_eq!((journal.stats().outbox, bus.published()), (1, 0));
    bus.refuse_connections(None);
    hub.wait_for_state(event_core::ConnectionState::is_connected).await;
    while journal.stats().outbox > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await; // paused
    }
    assert_eq!(bus.published(), 1);
    hub.close().await;
}

#[tokio::test(start_paused = true)]
async fn without_a_journal_a_durable_subscription_is_refused() {
    let bus = MemoryHub::new();
    let hub = EventHub::builder(bus.transport()).connect().await.unwrap();
    let refused = hub.subscribe("topic=t").durable("c").stream().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsupported);
    hub.close().await;
}
