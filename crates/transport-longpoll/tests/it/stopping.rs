//! The shell, with a scripted service at the other end and paused time: stopping.

use event_core::ErrorKind;
use event_core::transport::{Guarantee, Inbound, Link, Route, SubscriptionChange};
use futures_util::StreamExt;
use transport_longpoll::poll::StopPolicy;
use transport_longpoll::{LongPollTransport, LongPollTransportBuilder};

use crate::support::*;

/// A link with one poll in flight for "s1".
async fn polling(
    builder: LongPollTransportBuilder,
    require: Guarantee,
    service: &Service,
) -> (LongPollTransport, Link, Call) {
    let (transport, mut link) = connect(builder).await;
    link.tx.subscribe(&spec("s1", QUEUE, require)).await.unwrap();
    link.tx.grant(&"s1".into(), 5);
    settle_down(&mut link).await;
    let call = service.call().await;
    (transport, link, call)
}

#[tokio::test(start_paused = true)]
async fn unsubscribing_under_a_lock_ends_the_poll_at_once() {
    let (service, _, builder) = builder();
    let (transport, mut link, call) = polling(builder, Guarantee::AtLeastOnce, &service).await;
    let spec = spec("s1", QUEUE, Guarantee::AtLeastOnce);
    let started = tokio::time::Instant::now();
    tokio::select! {
        biased;
        done = link.tx.unsubscribe(&spec) => done.unwrap(),
        _ = link.rx.next() => panic!("nothing to tell"),
    }
    assert!(call.is_dropped() && started.elapsed().is_zero());
    assert_eq!(transport.stats().dropped, 1);
    // Twice is once.
    link.tx.unsubscribe(&spec).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn unsubscribing_a_destructive_reader_delivers_what_its_last_poll_brings() {
    let (service, _, builder) = builder();
    let (transport, mut link, call) = polling(builder, Guarantee::AtMostOnce, &service).await;
    let spec = spec("s1", QUEUE, Guarantee::AtMostOnce);
    {
        let Link { tx, rx, .. } = &mut link;
        let stopping = tx.unsubscribe(&spec);
        tokio::pin!(stopping);
        assert!(futures_util::poll!(stopping.as_mut()).is_pending());
        assert!(futures_util::poll!(rx.next()).is_pending());
        assert!(!call.is_dropped());
        call.answer(event("last"));
        let delivery = rx.next().await.unwrap().unwrap();
        assert!(matches!(delivery, event_core::transport::Inbound::Delivery(_)));
        tokio::select! {
            done = stopping => done.unwrap(),
            _ = rx.next() => panic!("nothing to tell"),
        }
    }
    settle_down(&mut link).await;
    assert!(service.is_quiet());
    assert_eq!((transport.stats().dropped, transport.stats().messages), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_destructive_reader_can_be_stopped_at_once_when_that_is_wanted() {
    let (service, _, builder) = builder();
    let builder = builder.stop(StopPolicy::DropPoll);
    let (transport, mut link, call) = polling(builder, Guarantee::AtMostOnce, &service).await;
    let spec = spec("s1", QUEUE, Guarantee::AtMostOnce);
    let told = {
        let unsubscribing = link.tx.unsubscribe(&spec);
        tokio::pin!(unsubscribing);
        assert!(futures_util::poll!(unsubscribing.as_mut()).is_pending());
        let told = link.rx.next().await.unwrap().unwrap();
        assert!(futures_util::poll!(link.rx.next()).is_pending());
        unsubscribing.await.unwrap();
        told
    };
    let possible_loss = |change: &SubscriptionChange| matches!(change, SubscriptionChange::PossibleLoss(_));
    assert!(matches!(told, Inbound::Subscription { change, .. } if possible_loss(&change)));
    assert!(call.is_dropped());
    assert_eq!((transport.stats().dropped, transport.stats().possible_losses), (1, 1));
}

/// The official client polls twice then, and the old listener steals the next event.
#[tokio::test(start_paused = true)]
async fn a_new_subscription_takes_over_the_last_poll_of_the_old_one() {
    let (service, _, builder) = builder();
    let (_, mut link, call) = polling(builder, Guarantee::AtMostOnce, &service).await;
    let old = spec("s1", QUEUE, Guarantee::AtMostOnce);
    {
        let Link { tx, rx, .. } = &mut link;
        let stopping = tx.unsubscribe(&old);
        tokio::pin!(stopping);
        assert!(futures_util::poll!(stopping.as_mut()).is_pending());
        assert!(futures_util::poll!(rx.next()).is_pending());
        tx.subscribe(&spec("s2", QUEUE, Guarantee::AtMostOnce)).await.unwrap();
        tx.grant(&"s2".into(), 1);
        stopping.await.unwrap();
    }
    settle_down(&mut link).await;
    assert!(service.is_quiet(), "no second poll");
    call.answer(event("m"));
    assert_eq!(delivery(&mut link).await.route, Route::Direct("s2".into()));
    settle_down(&mut link).await;
    assert!(service.is_quiet(), "the credit is used up");
    link.tx.grant(&"s2".into(), 1);
    settle_down(&mut link).await;
    assert_eq!(service.call().await.line(), "DELETE /messages/head?timeout=60");
}

#[tokio::test(start_paused = true)]
async fn closing_waits_for_the_last_destructive_poll_and_then_ends_the_stream() {
    let (service, _, builder) = builder();
    let (_, mut link, call) = polling(builder, Guarantee::AtMostOnce, &service).await;
    let other = "https://bus.example.com/topic/Subscriptions/s2";
    link.tx.subscribe(&spec("s2", other, Guarantee::AtLeastOnce)).await.unwrap();
    link.tx.grant(&"s2".into(), 1);
    settle_down(&mut link).await;
    let locked = service.call().await;
    let started = tokio::time::Instant::now();
    let reading = async {
        let mut told = 0;
        while link.rx.next().await.is_some() {
            told += 1;
        }
        told
    };
    let serving = async {
        tokio::time::sleep(secs(30)).await; // paused
        assert!(locked.is_dropped() && !call.is_dropped());
        call.answer(event("last"));
    };
    let ((), told, ()) = tokio::join!(link.tx.close(), reading, serving);
    assert_eq!((told, started.elapsed()), (1, secs(30)));
    let late = link.tx.subscribe(&spec("s3", QUEUE, Guarantee::AtMostOnce)).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::NotConnected);
    link.tx.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_dropped_receiving_half_ends_everything() {
    let (service, _, builder) = builder();
    let (_, link, call) = polling(builder, Guarantee::AtMostOnce, &service).await;
    let Link { tx, rx, .. } = link;
    drop(rx);
    assert!(call.is_dropped());
    tx.unsubscribe(&spec("s1", QUEUE, Guarantee::AtMostOnce)).await.unwrap();
    tx.close().await;
    let late = tx.subscribe(&spec("s2", QUEUE, Guarantee::AtMostOnce)).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::NotConnected);
}

/// A reader that is stopped at any step loses no event: each is delivered, or still in the queue, or locked.
#[tokio::test(start_paused = true)]
async fn stopped_at_any_point_under_a_lock_every_message_is_delivered_or_comes_back() {
    for stop_after in 0..40 {
        let (service, _, builder) = builder();
        let (transport, mut link) = connect(builder).await;
        let spec = spec("s1", QUEUE, Guarantee::AtLeastOnce);
        link.tx.subscribe(&spec).await.unwrap();
        link.tx.grant(&"s1".into(), 1000);
        let (mut dequeued, mut delivered) = (0, 0);
        for _ in 0..stop_after {
            tokio::select! {
                biased;
                call = service.call() => {
                    dequeued += 1;
                    call.answer(locked(&dequeued.to_string(), 1));
                }
                inbound = link.rx.next() => {
                    assert!(matches!(inbound, Some(Ok(event_core::transport::Inbound::Delivery(_)))));
                    delivered += 1;
                }
            }
        }
        let Link { tx, rx, .. } = &mut link;
        let stopping = async {
            tokio::select! {
                done = tx.unsubscribe(&spec) => done.unwrap(),
                () = async { while rx.next().await.is_some() { delivered += 1; } } => {}
            }
        };
        stopping.await;
        let stats = transport.stats();
        assert_eq!(stats.messages, delivered, "what the machine counts is delivered");
        // What was dequeued and not delivered is locked, and was counted as dropped.
        assert!(dequeued - delivered <= stats.dropped, "{dequeued} - {delivered} > {}", stats.dropped);
    }
}
