//! Under the hub engine, with a scripted service at the other end and paused time.

use std::sync::Arc;

use event_core::transport::Guarantee;
use event_core::{Error, ErrorKind, Event, EventHub};
use parking_lot::Mutex;

use crate::support::*;

#[tokio::test(start_paused = true)]
async fn a_handled_message_is_completed_a_failed_one_abandoned_and_the_next_comes_after_that() {
    let (service, _, builder) = builder();
    let hub = EventHub::builder(builder.build().unwrap()).connect().await.unwrap();
    let handled = Arc::new(Mutex::new(Vec::<String>::new()));
    hub.subscribe("topic=*")
        .address(QUEUE)
        .require(Guarantee::AtLeastOnce)
        .handle_with(Arc::clone(&handled), async |event: Event, handled| {
            let id = event.id().unwrap().to_string();
            handled.lock().push(id.clone());
            if id == "bad" { Err(Error::new(ErrorKind::Handler, "test", "told to fail")) } else { Ok(()) }
        })
        .await
        .unwrap();
    for (id, method) in [("good", "DELETE"), ("bad", "PUT"), ("more", "DELETE")] {
        let poll = service.call().await;
        assert_eq!(poll.line(), "POST /messages/head?timeout=60");
        poll.answer(locked(id, 1));
        let (mut settled, mut next) = (None, None);
        while settled.is_none() || next.is_none() {
            let call = service.call().await;
            if call.line().contains("/head") {
                next = Some(call);
            } else {
                settled = Some(call.line());
                call.answer(status(200));
            }
        }
        assert_eq!(settled.unwrap(), format!("{method} /messages/7/t-{id}"));
        // The poll that credit brought back is answered empty-handed in its time; the loop takes the next one.
        next.unwrap().answer(status(500));
    }
    assert_eq!(*handled.lock(), ["good", "bad", "more"]);
    hub.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_lock_is_renewed_at_half_of_its_time_while_a_handler_works() {
    let (service, _, builder) = builder();
    let hub = EventHub::builder(builder.build().unwrap()).connect().await.unwrap();
    hub.subscribe("topic=*")
        .address(QUEUE)
        .require(Guarantee::AtLeastOnce)
        .handle(async |_: Event| tokio::time::sleep(secs(100)).await) // paused
        .await
        .unwrap();
    service.call().await.answer(locked("m", 1));
    let started = tokio::time::Instant::now();
    let mut lines = Vec::new();
    while lines.len() < 4 {
        let call = service.call().await;
        if !call.line().contains("/head") {
            lines.push((started.elapsed().as_secs(), call.request.method.to_string()));
            call.answer(status(200));
        }
    }
    let expected = [(30, "POST"), (60, "POST"), (90, "POST"), (100, "DELETE")];
    assert_eq!(lines, expected.map(|(at, method)| (at, method.to_owned())));
    hub.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_is_gone_is_a_lifecycle_event() {
    let (service, _, builder) = builder();
    let hub = EventHub::builder(builder.build().unwrap()).connect().await.unwrap();
    let mut lifecycle = hub.lifecycle();
    let _stream = hub.subscribe("topic=*").address(QUEUE).stream().await.unwrap();
    service.call().await.answer(status(410));
    let told = async {
        loop {
            let report = lifecycle.next().await.unwrap();
            if format!("{report:?}").contains("HTTP 410") {
                break;
            }
        }
    };
    tokio::time::timeout(secs(10), told).await.unwrap();
    hub.close().await;
}
