//! The shell, with a scripted service at the other end and paused time: reading.

use std::sync::Arc;

use event_core::supervisor::{Jitter, ReconnectPolicy};
use event_core::transport::{
    Continuity, Flow, Guarantee, Inbound, Link, Route, SubscriptionChange, Transport,
};
use event_core::{ErrorKind, Event, Retry};
use futures_util::StreamExt;
use parking_lot::Mutex;
use tokio::time::Instant;
use transport_longpoll::auth::{Authorization, QueueAuth, SharedAuth};
use transport_longpoll::exchange::ExchangeErrorKind;
use transport_longpoll::outcome::{Class, Failure};
use transport_longpoll::{LongPollTransport, LongPollTransportBuilder, QueueState};

use crate::support::*;

/// A link with one subscription, "s1", and credit for so many messages.
async fn reading(builder: LongPollTransportBuilder, require: Guarantee, credit: u32) -> Link {
    let (_, link) = connect(builder).await;
    link.tx.subscribe(&spec("s1", QUEUE, require)).await.unwrap();
    link.tx.grant(&"s1".into(), credit);
    link
}

#[tokio::test(start_paused = true)]
async fn what_it_can_do_and_what_it_cannot() {
    let (_service, _, builder) = builder();
    let (transport, link) = connect(builder).await;
    let can = transport.capabilities();
    assert_eq!((can.flow, can.continuity), (Flow::Credit, Continuity::SelfHealing));
    assert!(can.nack && can.extend_lock && !can.publish && !can.reply);
    assert!(
        can.guarantees.contains(Guarantee::AtMostOnce) && can.guarantees.contains(Guarantee::AtLeastOnce)
    );
    assert!(link.info.ready);
    let refused = link.tx.send(Event::new("t", &1).unwrap()).unwrap_err();
    assert_eq!(refused.error.kind(), ErrorKind::Unsupported);
    link.tx.ready().await;
    link.tx.flush().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn no_credit_no_poll_and_one_message_each() {
    let (service, tokens, builder) = builder();
    let (transport, mut link) = connect(builder).await;
    link.tx.subscribe(&spec("s1", QUEUE, Guarantee::AtMostOnce)).await.unwrap();
    settle_down(&mut link).await;
    assert!(service.is_quiet());
    link.tx.grant(&"s1".into(), 2);
    let mut ids = Vec::new();
    for n in 1..=2 {
        settle_down(&mut link).await;
        let call = service.call().await;
        assert!(service.is_quiet(), "one poll in flight");
        assert_eq!(call.line(), "DELETE /messages/head?timeout=60");
        assert_eq!(call.header("authorization"), "token-0");
        assert!(!format!("{:?}", call.request).contains("token-0"));
        ids.push(call.header("x-correlation-id").to_owned());
        call.answer(event(&format!("m{n}")));
        let delivery = delivery(&mut link).await;
        assert_eq!(delivery.event.id().unwrap().as_str(), format!("m{n}"));
        assert_eq!((delivery.event.topic().as_str(), delivery.attempt), ("VersionEvent", 1));
        assert_eq!(delivery.route, Route::Direct("s1".into()));
        assert!(delivery.token.is_none() && delivery.lock.is_none());
    }
    settle_down(&mut link).await;
    assert!(service.is_quiet());
    assert_ne!(ids[0], ids[1]);
    assert_eq!(tokens.given.load(std::sync::atomic::Ordering::SeqCst), 2);
    assert_eq!((transport.stats().polls, transport.stats().messages), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_hung_poll_is_dropped_five_seconds_after_it_should_have_ended() {
    let (service, _, builder) = builder();
    let mut link = reading(builder.long_poll(secs(20)), Guarantee::AtLeastOnce, 1).await;
    let started = Instant::now();
    let error = problem(&mut link).await;
    assert_eq!((started.elapsed(), error.kind()), (secs(25), ErrorKind::Timeout));
    let call = service.call().await;
    assert_eq!(call.line(), "POST /messages/head?timeout=20");
    assert!(call.is_dropped());
}

/// What kills the official client's listener for good, without a word.
#[tokio::test(start_paused = true)]
async fn no_failure_is_silent_what_may_pass_goes_on_and_what_cannot_is_told() {
    enum Then {
        GoesOn(ErrorKind),
        Ends(ErrorKind),
        Delivers(&'static str),
    }
    use Then::{Delivers, Ends, GoesOn};
    let retry_after = answer(503, &[("retry-after", "7")], "");
    let typed = |kind: &str, body: &'static str| answer(200, &[("content-type", kind)], body);
    let cases = [
        ("400", Ok(status(400)), Ends(ErrorKind::Refused)),
        ("403", Ok(status(403)), Ends(ErrorKind::PermissionDenied)),
        ("404", Ok(status(404)), Ends(ErrorKind::NotFound)),
        ("410", Ok(status(410)), Ends(ErrorKind::NotFound)),
        (
            "302",
            Ok(answer(302, &[("location", "https://ims.bentley.com")], "")),
            Ends(ErrorKind::Unauthenticated),
        ),
        ("429", Ok(status(429)), GoesOn(ErrorKind::Unreachable)),
        ("500", Ok(status(500)), GoesOn(ErrorKind::Unreachable)),
        ("503", Ok(retry_after), GoesOn(ErrorKind::Unreachable)),
        ("202", Ok(status(202)), GoesOn(ErrorKind::Protocol)),
        ("reset", Err(ExchangeErrorKind::Broken), GoesOn(ErrorKind::Disconnected)),
        ("refused", Err(ExchangeErrorKind::Connect), GoesOn(ErrorKind::Unreachable)),
        ("certificate", Err(ExchangeErrorKind::Tls), Ends(ErrorKind::Tls)),
        ("too large", Err(ExchangeErrorKind::TooLarge), GoesOn(ErrorKind::TooLarge)),
        ("truncated body", Ok(typed("VersionEvent", "{\"a\":")), Delivers("VersionEvent")),
        ("bad JSON", Ok(typed("VersionEvent", "{a}")), Delivers("VersionEvent")),
        ("no braces", Ok(typed("VersionEvent", "hello")), Delivers("VersionEvent")),
        ("empty", Ok(typed("VersionEvent", "")), Delivers("VersionEvent")),
        ("unknown type", Ok(typed("NewEvent", "{}")), Delivers("NewEvent")),
        ("charset", Ok(typed("VersionEvent; charset=utf-8", "{}")), Delivers("VersionEvent")),
        ("no content type", Ok(answer(200, &[], "{}")), Delivers("untyped")),
        ("missing fields", Ok(typed("LockEvent", "{}")), Delivers("LockEvent")),
    ];
    for (name, given, then) in cases {
        let (service, _, builder) = builder();
        let mut link = reading(builder, Guarantee::AtMostOnce, 2).await;
        settle_down(&mut link).await;
        let call = service.call().await;
        match given {
            Ok(response) => call.answer(response),
            Err(kind) => call.fail(kind),
        }
        let mut said = next(&mut link).await;
        let lost = matches!(said, Inbound::Subscription { change: SubscriptionChange::PossibleLoss(_), .. });
        assert_eq!(lost, ["500", "202", "reset", "too large"].contains(&name), "{name}");
        if lost {
            said = next(&mut link).await;
        }
        match (then, said) {
            (GoesOn(kind), Inbound::Problem(error)) => assert_eq!(error.kind(), kind, "{name}"),
            (Delivers(topic), Inbound::Delivery(delivery)) => {
                assert_eq!(delivery.event.topic(), &topic, "{name}");
            }
            (Ends(kind), Inbound::Subscription { id, change: SubscriptionChange::Lost(error) }) => {
                assert_eq!((id.as_str(), error.kind(), error.retry()), ("s1", kind, Retry::Never), "{name}");
                settle_down(&mut link).await;
                assert!(service.is_quiet(), "{name}");
                continue;
            }
            (_, other) => panic!("{name}: {other:?}"),
        }
        let asked = Instant::now();
        tokio::select! {
            call = service.call() => assert_eq!(call.line(), "DELETE /messages/head?timeout=60", "{name}"),
            other = link.rx.next() => panic!("{name}: {other:?}"),
        }
        let waited = asked.elapsed();
        assert!(waited >= secs(if name == "503" { 7 } else { 0 }) && waited <= secs(8), "{name}: {waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_waited_for() {
    let (service, _, builder) = builder();
    let mut link = reading(builder, Guarantee::AtMostOnce, 1).await;
    settle_down(&mut link).await;
    service.call().await.answer(answer(429, &[("retry-after", "40")], ""));
    let error = problem(&mut link).await;
    assert_eq!(error.retry(), Retry::After(secs(40)));
    assert_eq!(Failure::of(&error).unwrap().class, Class::Throttled);
    let started = Instant::now();
    let call = tokio::select! {
        call = service.call() => call,
        _ = link.rx.next() => panic!("nothing to tell"),
    };
    let waited = started.elapsed();
    assert!(waited >= secs(40) && waited <= secs(41), "{waited:?}");
    call.answer(event("m"));
    delivery(&mut link).await;
}

#[tokio::test(start_paused = true)]
async fn the_failure_of_one_queue_is_not_that_of_another() {
    let (service, _, builder) = builder();
    let mut link = reading(builder, Guarantee::AtMostOnce, 1).await;
    settle_down(&mut link).await;
    let gone = service.call().await;
    let other = "https://bus.example.com/topic/Subscriptions/s2";
    link.tx.subscribe(&spec("s2", other, Guarantee::AtLeastOnce)).await.unwrap();
    link.tx.grant(&"s2".into(), 1);
    settle_down(&mut link).await;
    let good = service.call().await;
    gone.answer(status(410));
    let lost = next(&mut link).await;
    assert!(matches!(lost, Inbound::Subscription { id, change: SubscriptionChange::Lost(_) } if id == "s1"));
    good.answer(locked("m", 3));
    let delivery = delivery(&mut link).await;
    assert_eq!((delivery.route, delivery.attempt), (Route::Direct("s2".into()), 3));
    // A lost subscription can be made anew, on a queue that exists.
    link.tx.subscribe(&spec("s1", QUEUE, Guarantee::AtMostOnce)).await.unwrap();
    link.tx.grant(&"s1".into(), 1);
    settle_down(&mut link).await;
    service.call().await.answer(event("again"));
    assert!(matches!(next(&mut link).await, Inbound::Delivery(_)));
}

#[tokio::test(start_paused = true)]
async fn a_persistent_refusal_takes_two_polls_and_one_fresh_token() {
    let (service, tokens, builder) = builder();
    let mut link = reading(builder, Guarantee::AtMostOnce, 1).await;
    for n in 0..2 {
        settle_down(&mut link).await;
        let call = service.call().await;
        assert_eq!(call.header("authorization"), format!("token-{n}"));
        call.answer(status(401));
    }
    match next(&mut link).await {
        Inbound::Subscription { change: SubscriptionChange::Lost(error), .. } => {
            assert_eq!((error.kind(), error.retry()), (ErrorKind::Unauthenticated, Retry::Never));
            assert!(!error.to_string().contains("token-"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    let given = tokens.given.load(std::sync::atomic::Ordering::SeqCst);
    println!("a persistent 401: {} polls and {given} tokens, {} requests in all", 2, 2 + given);
    assert_eq!((given, service.is_quiet()), (2, true));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_loses_nothing_and_the_fresh_token_is_told() {
    let (service, tokens, builder) = builder();
    let mut link = reading(builder, Guarantee::AtMostOnce, 500).await;
    // Each token is good for three polls.
    let mut uses = 0;
    let (mut events, mut renewals) = (0, 0);
    while events < 500 {
        let inbound = tokio::select! {
            inbound = link.rx.next() => inbound.unwrap().unwrap(),
            call = service.call() => {
                if uses == 3 {
                    uses = 0;
                    call.answer(status(401));
                } else {
                    uses += 1;
                    call.answer(event(&events.to_string()));
                }
                continue;
            }
        };
        match inbound {
            Inbound::Delivery(delivery) => {
                assert_eq!(delivery.event.id().unwrap().as_str(), events.to_string());
                events += 1;
            }
            Inbound::Subscription { change: SubscriptionChange::Reauthenticated, .. } => renewals += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((renewals, tokens.refused.load(std::sync::atomic::Ordering::SeqCst)), (166, 166));
}

/// Gives one token, then fails once when that was refused, then gives another.
#[derive(Default)]
struct Stumbling(std::sync::atomic::AtomicU32);

#[async_trait::async_trait]
impl QueueAuth for Stumbling {
    async fn authorization(&self, refused: Option<&Authorization>) -> event_core::Result<Authorization> {
        let Some(refused) = refused else { return Ok(Authorization::new("old")) };
        assert_eq!(refused.value.expose(), "old");
        match self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => Err(event_core::Error::new(ErrorKind::Unreachable, "authorize", "not now")),
            _ => Ok(Authorization::new("new")),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_that_fails_is_asked_again_with_the_refused_one() {
    let (service, wire) = Service::new();
    let builder = LongPollTransport::builder(wire, SharedAuth::new(Stumbling::default()));
    let mut link = reading(builder, Guarantee::AtMostOnce, 1).await;
    settle_down(&mut link).await;
    let call = service.call().await;
    assert_eq!(call.header("authorization"), "old");
    call.answer(status(401));
    assert_eq!(problem(&mut link).await.op(), "authorize");
    let call = tokio::select! {
        call = service.call() => call,
        other = link.rx.next() => panic!("{other:?}"),
    };
    assert_eq!(call.header("authorization"), "new");
    call.answer(event("m"));
    assert!(matches!(
        next(&mut link).await,
        Inbound::Delivery(_) | Inbound::Subscription { change: SubscriptionChange::Reauthenticated, .. }
    ));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_subscribed_is_refused_before_anything_is_sent() {
    let (_service, _, builder) = builder();
    let (_, link) = connect(builder).await;
    let mut nowhere = spec("s1", QUEUE, Guarantee::AtMostOnce);
    nowhere.address = None;
    assert_eq!(link.tx.subscribe(&nowhere).await.unwrap_err().kind(), ErrorKind::InvalidInput);
    let bad = spec("s1", "https://h/q?sig=1", Guarantee::AtMostOnce);
    assert_eq!(link.tx.subscribe(&bad).await.unwrap_err().kind(), ErrorKind::InvalidUrl);
    link.tx.subscribe(&spec("s1", QUEUE, Guarantee::AtMostOnce)).await.unwrap();
    let same_id = spec("s1", "https://h/q", Guarantee::AtMostOnce);
    assert_eq!(link.tx.subscribe(&same_id).await.unwrap_err().kind(), ErrorKind::Duplicate);
    let same_queue = spec("s2", QUEUE, Guarantee::AtMostOnce);
    assert_eq!(link.tx.subscribe(&same_queue).await.unwrap_err().kind(), ErrorKind::Duplicate);
    link.tx.grant(&"nobody".into(), 1);
    for length in [secs(0), secs(231)] {
        let (_service, _, builder) = crate::support::builder();
        assert_eq!(builder.long_poll(length).build().unwrap_err().kind(), ErrorKind::InvalidInput);
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_watches_sees_every_state() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let watch = Arc::clone(&seen);
    let (service, _, builder) = builder();
    let builder = builder.watch(move |id, state| {
        let state = match state {
            QueueState::Idle => "idle",
            QueueState::Renewing => "renewing",
            QueueState::Polling => "polling",
            QueueState::PossibleLoss(_) => "possible loss",
            QueueState::Retrying { attempt: 1, .. } => "retrying",
            QueueState::Stopped(Some(_)) => "stopped",
            other => panic!("{other:?}"),
        };
        watch.lock().push(format!("{id} {state}"));
    });
    let mut link = reading(builder, Guarantee::AtMostOnce, 1).await;
    let answers = [status(401), event("m"), status(500), status(410)];
    for response in answers {
        tokio::select! {
            call = service.call() => call.answer(response),
            () = async { while link.rx.next().await.is_some() {} } => {}
        }
        if let Some(Some(Ok(Inbound::Subscription { .. } | Inbound::Delivery(_)))) =
            futures_util::FutureExt::now_or_never(link.rx.next())
        {
            settle_down_loosely(&mut link).await;
            link.tx.grant(&"s1".into(), 1);
        }
    }
    settle_down_loosely(&mut link).await;
    let expected = [
        "polling",
        "renewing",
        "polling",
        "idle",
        "polling",
        "possible loss",
        "retrying",
        "polling",
        "stopped",
    ];
    assert_eq!(*seen.lock(), expected.map(|state| format!("s1 {state}")));
}

/// Reads what there is to read now.
async fn settle_down_loosely(link: &mut Link) {
    for _ in 0..10 {
        let _ = futures_util::poll!(link.rx.next());
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_mapper_makes_the_event_and_its_failure_loses_nothing() {
    let (service, _, builder) = builder();
    let builder = builder.mapper(|message| match message.broker.message_id.as_deref() {
        Some("good") => message.to_event_as("mapped"),
        _ => Err(event_core::Error::new(ErrorKind::Decode, "map", "not mine")),
    });
    let mut link = reading(builder, Guarantee::AtMostOnce, 2).await;
    settle_down(&mut link).await;
    service.call().await.answer(event("good"));
    assert_eq!(delivery(&mut link).await.event.topic(), &"mapped");
    settle_down(&mut link).await;
    service.call().await.answer(event("bad"));
    assert_eq!(problem(&mut link).await.kind(), ErrorKind::Decode);
    assert_eq!(delivery(&mut link).await.event.topic(), &"VersionEvent");
}

/// Gives nothing but a panic.
struct Panicking;

#[async_trait::async_trait]
impl QueueAuth for Panicking {
    async fn authorization(&self, _refused: Option<&Authorization>) -> event_core::Result<Authorization> {
        std::panic::resume_unwind(Box::new("on purpose"))
    }
}

#[tokio::test(start_paused = true)]
async fn a_source_of_authorizations_that_panics_ends_its_queue_with_a_reason_and_no_other() {
    let (service, tokens, builder) = builder();
    let builder = builder.auth_of(move |address| -> Arc<dyn QueueAuth> {
        if address.as_str() == QUEUE { Arc::new(Panicking) } else { Arc::clone(&tokens) as _ }
    });
    let (_, mut link) = connect(builder).await;
    let other = QUEUE.replace("s1", "s2");
    link.tx.subscribe(&spec("s1", QUEUE, Guarantee::AtMostOnce)).await.unwrap();
    link.tx.subscribe(&spec("s2", &other, Guarantee::AtMostOnce)).await.unwrap();
    link.tx.grant(&"s1".into(), 1);
    link.tx.grant(&"s2".into(), 1);
    let Inbound::Subscription { id, change: SubscriptionChange::Lost(error) } = next(&mut link).await else {
        panic!("the queue is lost")
    };
    assert_eq!((id.as_str(), error.kind()), ("s1", ErrorKind::Unauthenticated));
    assert!(error.message().contains("panicked"), "{error}");
    settle_down(&mut link).await;
    service.call().await.answer(event("m1"));
    assert_eq!(delivery(&mut link).await.route, Route::Direct("s2".into()));
}

#[tokio::test(start_paused = true)]
async fn a_destructive_read_that_breaks_off_is_told_before_what_comes_next() {
    let (service, _, builder) = builder();
    let (transport, mut link) = connect(builder).await;
    link.tx.subscribe(&spec("s1", QUEUE, Guarantee::AtMostOnce)).await.unwrap();
    link.tx.grant(&"s1".into(), 1);
    settle_down(&mut link).await;
    service.call().await.fail(ExchangeErrorKind::Broken);
    match next(&mut link).await {
        Inbound::Subscription { id, change: SubscriptionChange::PossibleLoss(error) } => {
            assert_eq!((id.as_str(), error.kind()), ("s1", ErrorKind::Disconnected));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(problem(&mut link).await.kind(), ErrorKind::Disconnected);
    assert_eq!(transport.stats().possible_losses, 1);
    // Nobody hears of the last one: it is counted.
    let polls = async { while let Some(Ok(_)) = link.rx.next().await {} };
    tokio::select! {
        _call = service.call() => {}
        () = polls => panic!("the link ended"),
    }
    drop(link);
    assert_eq!(transport.stats().possible_losses, 2);
}

#[tokio::test(start_paused = true)]
async fn seeded_pauses_are_the_same_in_every_run() {
    let mut runs = Vec::new();
    for seed in [7, 7, 8] {
        let mut policy = ReconnectPolicy::default();
        policy.jitter = Jitter::Seeded(seed);
        let (service, _, builder) = builder();
        let mut link = reading(builder.backoff(policy), Guarantee::AtLeastOnce, 1).await;
        let started = Instant::now();
        let mut at = Vec::new();
        for _ in 0..5 {
            let failing = async { service.call().await.answer(status(500)) };
            tokio::select! {
                () = async { while !matches!(link.rx.next().await, Some(Ok(Inbound::Problem(_)))) {} } => {}
                () = async { failing.await; std::future::pending().await } => {}
            }
            at.push(started.elapsed());
        }
        runs.push(at);
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
}

/// Found by the fault suite: a poll was refused after another queue had renewed the shared token, and that one was
/// revoked as well.
#[tokio::test(start_paused = true)]
async fn a_kept_token_that_is_refused_after_an_older_one_is_replaced_before_the_refusal_counts() {
    let (service, wire) = Service::new();
    let tokens = Arc::new(Tokens::default());
    let shared = Arc::new(SharedAuth::new(Arc::clone(&tokens)));
    let builder = LongPollTransport::builder(wire, Arc::clone(&shared));
    let mut link = reading(builder, Guarantee::AtLeastOnce, 1).await;
    settle_down(&mut link).await;
    let mut call = service.call().await;
    // Somebody else is refused the same token meanwhile, and gets another.
    shared.authorization(Some(&Authorization::new("token-0"))).await.unwrap();
    for token in ["token-0", "token-1"] {
        assert_eq!(call.header("authorization"), token);
        call.answer(status(401));
        settle_down(&mut link).await;
        call = service.call().await;
    }
    assert_eq!(call.header("authorization"), "token-2");
    // This one was asked for because of a refusal: the next one is for good.
    call.answer(status(401));
    match next(&mut link).await {
        Inbound::Subscription { change: SubscriptionChange::Lost(error), .. } => {
            assert_eq!((error.kind(), error.retry()), (ErrorKind::Unauthenticated, Retry::Never));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(tokens.refused.load(std::sync::atomic::Ordering::SeqCst), 2);
}
