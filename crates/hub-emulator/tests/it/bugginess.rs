//! Faults by chance.

use std::collections::BTreeMap;
use std::time::Duration;

use event_core::transport::{Attempt, Transport};
use futures_util::StreamExt;
use hub_emulator::{Bugginess, Emulator};
use tokio::time::timeout;
use transport_longpoll::exchange::{HttpExchange, Request};
use transport_ws::{Endpoint, WsTransport};

/// What fired while a client connected and published again and again, and how far it came.
fn run(bugginess: Bugginess) -> (BTreeMap<String, u64>, u64, Duration) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let emulator = Emulator::builder().in_memory().bugginess(bugginess).seed(1).start().await.unwrap();
        let transport = WsTransport::builder(Endpoint::new("localhost", 80, false), "ftrack.event")
            .secret_header("ftrack-user", "ann")
            .secret_header("ftrack-api-key", "key")
            .dialer(emulator.ftrack_dialer())
            .build()
            .unwrap();
        let exchange = emulator.imodelhub_http();
        #[expect(clippy::disallowed_methods, reason = "paused time is measured")]
        let start = tokio::time::Instant::now();
        for round in 0..60 {
            let asked = Request::new(http::Method::GET, "http://localhost/x", Duration::from_secs(9));
            let _ = timeout(Duration::from_secs(9), exchange.exchange(asked)).await;
            let Ok(Ok(mut link)) = timeout(Duration::from_secs(5), transport.connect(Attempt::first())).await
            else {
                continue;
            };
            for n in 0..10 {
                let event = event_core::Event::builder("a").id(format!("{round}-{n}")).data(&n).build();
                let Ok(confirmation) = link.tx.send(event.unwrap()) else { break };
                let _ = timeout(Duration::from_secs(2), async {
                    tokio::select! {
                        biased;
                        _ = confirmation => {}
                        () = async { while let Some(Ok(_)) = link.rx.next().await {} } => {}
                    }
                })
                .await;
            }
        }
        (emulator.fired(), emulator.stats().events_received, start.elapsed())
    })
}

#[test]
fn the_same_seed_fires_the_same_faults_and_another_seed_others() {
    let first = run(Bugginess::new(0.15, 7));
    assert_eq!(first, run(Bugginess::new(0.15, 7)));
    assert_ne!(first.0, run(Bugginess::new(0.15, 8)).0);
    assert!(first.0.len() > 10, "{:?}", first.0);
    for never in ["ftrack.malformed", "ftrack.close", "ftrack.refuse_acks", "imodelhub.expire_subscription"] {
        assert!(!first.0.contains_key(never), "{:?}", first.0);
    }
}

#[test]
fn only_what_is_asked_for_strikes_and_never_without_a_chance() {
    let names: Vec<String> = run(Bugginess::new(0.2, 3).only(["reset", "malformed"])).0.into_keys().collect();
    assert_eq!(names, ["ftrack.malformed", "ftrack.reset", "imodelhub.reset"]);
    let (fired, events, _) = run(Bugginess::new(0.0, 3));
    assert_eq!((fired.len(), events), (0, 600));
}

#[tokio::test(start_paused = true)]
async fn a_probability_is_0_to_1() {
    for wrong in [-0.1, 1.1, f64::NAN] {
        assert!(Emulator::builder().in_memory().bugginess(Bugginess::new(wrong, 1)).start().await.is_err());
    }
}
