//! The shell, with a scripted service at the other end and paused time: completing, abandoning, renewing.

use std::sync::Arc;

use event_core::transport::{Guarantee, Inbound, Link, RawDelivery, SettleToken, Settlement};
use event_core::{ErrorKind, Retry};
use transport_longpoll::address::QueueAddress;
use transport_longpoll::exchange::{ExchangeErrorKind, Response};
use transport_longpoll::outcome::{Class, Failure};
use transport_longpoll::request::{LockAction, ReceiveMode};
use transport_longpoll::{LongPollTransport, QueueClient};

use crate::support::*;

/// A link with one delivery under a lock, and the service.
async fn holding(response: Response) -> (Service, Link, RawDelivery) {
    let (service, _, builder) = builder();
    let (_, mut link) = connect(builder).await;
    link.tx.subscribe(&spec("s1", QUEUE, Guarantee::AtLeastOnce)).await.unwrap();
    link.tx.grant(&"s1".into(), 1);
    settle_down(&mut link).await;
    let call = service.call().await;
    assert_eq!(
        (call.line().as_str(), call.header("content-length")),
        ("POST /messages/head?timeout=60", "0")
    );
    call.answer(response);
    let delivery = delivery(&mut link).await;
    (service, link, delivery)
}

#[tokio::test(start_paused = true)]
async fn a_delivery_says_how_long_it_is_locked_and_where_it_is_settled() {
    let (_service, _link, delivery) = holding(locked("m", 2)).await;
    assert_eq!((delivery.attempt, delivery.lock), (2, Some(secs(60))));
    let lock = LongPollTransport::lock_of(delivery.token.as_ref().unwrap()).unwrap();
    assert_eq!((lock.url.as_str(), lock.lasts), (&*format!("{QUEUE}/messages/7/t-m"), Some(secs(60))));
    assert!(lock.locked_until.is_some());
}

#[tokio::test(start_paused = true)]
async fn complete_deletes_abandon_puts_and_renew_posts() {
    for (outcome, line) in [
        (Settlement::Complete, "DELETE /messages/7/t-m"),
        (Settlement::Abandon { delay: None }, "PUT /messages/7/t-m"),
        (Settlement::Abandon { delay: Some(secs(5)) }, "PUT /messages/7/t-m"),
    ] {
        let (service, link, delivery) = holding(locked("m", 1)).await;
        let mut token = delivery.token.unwrap();
        let renewing = async {
            let call = service.call().await;
            assert_eq!((call.line().as_str(), call.header("content-length")), ("POST /messages/7/t-m", "0"));
            call.answer(status(200));
        };
        let (renewed, ()) = tokio::join!(link.tx.extend(&mut token), renewing);
        renewed.unwrap();
        let settling = async {
            let call = service.call().await;
            assert_eq!(call.line(), line);
            call.answer(status(200));
        };
        let (settled, ()) = tokio::join!(link.tx.settle(token, outcome), settling);
        settled.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn reject_is_unsupported_and_gives_the_token_back() {
    let (service, link, delivery) = holding(locked("m", 1)).await;
    let failed = link.tx.settle(delivery.token.unwrap(), Settlement::Reject).await.unwrap_err();
    assert_eq!(failed.error.kind(), ErrorKind::Unsupported);
    assert!(LongPollTransport::lock_of(&failed.token).is_some() && service.is_quiet());
    let failed = link.tx.settle(SettleToken::new(()), Settlement::Complete).await.unwrap_err();
    assert_eq!(failed.error.kind(), ErrorKind::InvalidInput);
    assert!(LongPollTransport::lock_of(&failed.token).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_lapsed_lock_is_told_and_the_token_comes_back() {
    let (service, link, delivery) = holding(locked("m", 1)).await;
    let body = "<Error><Code>404</Code><Detail>The lock supplied is invalid.</Detail></Error>";
    let answering = async { service.call().await.answer(answer(404, &[], body)) };
    let (settled, ()) =
        tokio::join!(link.tx.settle(delivery.token.unwrap(), Settlement::Complete), answering);
    let failed = settled.unwrap_err();
    assert_eq!((failed.error.kind(), failed.error.retry()), (ErrorKind::LockLost, Retry::Never));
    assert_eq!(Failure::of(&failed.error).unwrap().class, Class::LockLost);
    assert!(failed.error.message().contains("The lock supplied is invalid."));
}

#[tokio::test(start_paused = true)]
async fn a_settlement_is_tried_three_times_and_with_a_fresh_token_once() {
    let (service, link, delivery) = holding(locked("m", 1)).await;
    let answering = async {
        let mut tokens = Vec::new();
        for response in [status(500), status(401), status(503), status(200)] {
            let call = service.call().await;
            tokens.push(call.header("authorization").to_owned());
            call.answer(response);
        }
        assert_eq!(tokens, ["token-0", "token-0", "token-1", "token-1"]);
    };
    let (settled, ()) =
        tokio::join!(link.tx.settle(delivery.token.unwrap(), Settlement::Complete), answering);
    settled.unwrap();

    let (service, link, delivery) = holding(locked("m", 1)).await;
    let answering = async {
        for _ in 0..3 {
            service.call().await.answer(status(500));
        }
    };
    let (settled, ()) =
        tokio::join!(link.tx.settle(delivery.token.unwrap(), Settlement::Complete), answering);
    let failed = settled.unwrap_err();
    assert_eq!((failed.error.kind(), failed.error.retry()), (ErrorKind::Unreachable, Retry::Backoff));
    // A lock is not waited away.
    let answering = async { service.call().await.answer(answer(503, &[("retry-after", "11")], "")) };
    let (settled, ()) = tokio::join!(link.tx.settle(failed.token, Settlement::Complete), answering);
    assert_eq!(settled.unwrap_err().error.retry(), Retry::After(secs(11)));
}

#[tokio::test(start_paused = true)]
async fn a_completion_that_may_have_arrived_is_done_when_its_repeat_finds_no_lock() {
    for (outcome, done) in [(Settlement::Complete, true), (Settlement::Abandon { delay: None }, false)] {
        let (service, link, delivery) = holding(locked("m", 1)).await;
        let answering = async {
            service.call().await.fail(ExchangeErrorKind::Broken);
            service.call().await.answer(status(404));
        };
        let (settled, ()) = tokio::join!(link.tx.settle(delivery.token.unwrap(), outcome), answering);
        assert_eq!(settled.is_ok(), done);
    }
}

#[tokio::test(start_paused = true)]
async fn a_persistent_refusal_of_a_settlement_ends_after_one_fresh_token() {
    let (service, link, delivery) = holding(locked("m", 1)).await;
    let answering = async {
        service.call().await.answer(status(401));
        service.call().await.answer(status(401));
    };
    let (settled, ()) =
        tokio::join!(link.tx.settle(delivery.token.unwrap(), Settlement::Complete), answering);
    let error = settled.unwrap_err().error;
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Unauthenticated, Retry::Never));
    assert!(service.is_quiet());
}

#[tokio::test(start_paused = true)]
async fn a_message_with_no_usable_lock_is_delivered_and_the_lock_reported() {
    for location in ["https://evil.example.com/steal/7/t", ""] {
        let (service, _, builder) = builder();
        let (_, mut link) = connect(builder).await;
        link.tx.subscribe(&spec("s1", QUEUE, Guarantee::AtLeastOnce)).await.unwrap();
        link.tx.grant(&"s1".into(), 1);
        settle_down(&mut link).await;
        service.call().await.answer(answer(201, &[("location", location)], "{}"));
        let error = problem(&mut link).await;
        assert_eq!((error.kind(), error.retry()), (ErrorKind::Protocol, Retry::Never));
        let Inbound::Delivery(delivery) = next(&mut link).await else { panic!("a delivery") };
        assert_eq!(delivery.lock, None);
        let failed = link.tx.settle(delivery.token.unwrap(), Settlement::Complete).await.unwrap_err();
        assert_eq!((failed.error.kind(), service.is_quiet()), (ErrorKind::Protocol, true));
    }
}

// ---- single requests --------------------------------------------------------------------------------------------

fn client() -> (Service, QueueClient) {
    let (service, wire) = Service::new();
    let tokens = Arc::new(Tokens::default());
    (service, QueueClient::new(QueueAddress::parse(QUEUE).unwrap(), Arc::new(wire), tokens))
}

#[tokio::test(start_paused = true)]
async fn one_message_is_read_with_and_without_waiting() {
    let (service, client) = client();
    for (mode, timeout, line) in [
        (ReceiveMode::ReceiveAndDelete, None, "DELETE /messages/head"),
        (ReceiveMode::ReceiveAndDelete, Some(secs(2)), "DELETE /messages/head?timeout=2"),
        (ReceiveMode::PeekLock, Some(secs(230)), "POST /messages/head?timeout=230"),
    ] {
        let answering = async {
            let call = service.call().await;
            assert_eq!(call.line(), line);
            call.answer(locked("m", 1));
        };
        let (message, ()) = tokio::join!(client.receive(mode, timeout), answering);
        let message = message.unwrap().unwrap();
        assert_eq!(message.content_type.as_deref(), Some("VersionEvent"));
        let lock = client.lock_of(&message).unwrap();
        let answering = async { service.call().await.answer(status(200)) };
        tokio::join!(client.settle(&lock, LockAction::Complete), answering).0.unwrap();
    }
    let answering = async { service.call().await.answer(nothing()) };
    let (message, ()) = tokio::join!(client.receive(ReceiveMode::PeekLock, None), answering);
    assert!(message.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_single_read_refuses_bad_timeouts_and_replaces_a_refused_token_once() {
    let (service, client) = client();
    for timeout in [secs(0), secs(231)] {
        let error = client.receive(ReceiveMode::PeekLock, Some(timeout)).await.unwrap_err();
        assert_eq!((error.kind(), service.is_quiet()), (ErrorKind::InvalidInput, true));
    }
    let answering = async {
        service.call().await.answer(status(401));
        service.call().await.answer(event("m"));
    };
    let (message, ()) = tokio::join!(client.receive(ReceiveMode::ReceiveAndDelete, None), answering);
    assert!(message.unwrap().is_some());
    let answering = async {
        service.call().await.answer(status(401));
        service.call().await.answer(status(401));
    };
    let (refused, ()) = tokio::join!(client.receive(ReceiveMode::ReceiveAndDelete, None), answering);
    let error = refused.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Unauthenticated, Retry::Never));
}

#[tokio::test(start_paused = true)]
async fn a_single_read_that_hangs_is_given_up_after_its_timeout_and_margin() {
    let (_service, client) = client();
    let started = tokio::time::Instant::now();
    let error = client.receive(ReceiveMode::PeekLock, Some(secs(5))).await.unwrap_err();
    assert_eq!((error.kind(), started.elapsed()), (ErrorKind::Timeout, secs(15)));
    let client = client.margin(secs(1));
    let started = tokio::time::Instant::now();
    client.receive(ReceiveMode::PeekLock, None).await.unwrap_err();
    assert_eq!(started.elapsed(), secs(1));
}
