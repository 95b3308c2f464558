//! Refused credentials: other ones are asked for once and at once, then it is over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use event_core::hub::Report;
use event_core::memory::{MemoryHub, MemoryTransport};
use event_core::transport::{Attempt, Capabilities, Link, Transport};
use event_core::{ConnectionState, Error, ErrorKind, EventHub, Lifecycle, Result, Retry};
use parking_lot::Mutex;
use tokio::time::Instant;

/// A bus behind a door whose key changes: the old one is refused until a caller is told to ask for another.
#[derive(Clone)]
struct Door {
    bus: MemoryTransport,
    changed: Arc<AtomicBool>,
    /// No key helps any more.
    shut: Arc<AtomicBool>,
    /// What each attempt knew.
    knocks: Arc<Mutex<Vec<bool>>>,
}

#[async_trait]
impl Transport for Door {
    fn name(&self) -> &'static str {
        "door"
    }

    fn capabilities(&self) -> Capabilities {
        self.bus.capabilities()
    }

    async fn connect(&self, attempt: Attempt) -> Result<Link> {
        self.knocks.lock().push(attempt.refused);
        if attempt.refused {
            self.changed.store(false, Ordering::SeqCst);
        }
        if self.shut.load(Ordering::SeqCst) || self.changed.load(Ordering::SeqCst) {
            let refused = Error::new(ErrorKind::Unauthenticated, "connect", "the key does not fit");
            return Err(refused.with_retry(Retry::AfterReauth));
        }
        self.bus.connect(attempt).await
    }
}

fn door() -> (MemoryHub, Door) {
    let bus = MemoryHub::new();
    let door =
        Door { bus: bus.transport(), changed: Arc::default(), shut: Arc::default(), knocks: Arc::default() };
    (bus, door)
}

#[tokio::test(start_paused = true)]
async fn a_refusal_at_the_first_connect_asks_for_others_once() {
    let (_bus, door) = door();
    door.changed.store(true, Ordering::SeqCst);
    let hub = EventHub::builder(door.clone()).connect().await.unwrap();
    assert!(hub.state().is_connected());
    assert_eq!(*door.knocks.lock(), [false, true]);
}

#[tokio::test(start_paused = true)]
async fn a_second_refusal_is_for_good() {
    let (_bus, door) = door();
    door.shut.store(true, Ordering::SeqCst);
    let hub = EventHub::builder(door.clone()).build().unwrap();
    assert_eq!(hub.connect().await.unwrap_err().kind(), ErrorKind::Unauthenticated);
    assert_eq!(*door.knocks.lock(), [false, true]);
    // In the background it is the same.
    let error = hub.connect_persistently().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert_eq!(*door.knocks.lock(), [false, true, false, true]);
    assert!(matches!(hub.state(), ConnectionState::Failed { .. }));
}

#[tokio::test(start_paused = true)]
async fn after_a_break_one_refresh_gets_through_without_a_pause_and_is_told() {
    let (bus, door) = door();
    let hub = EventHub::builder(door.clone()).connect().await.unwrap();
    for _ in 0..3 {
        let mut lifecycle = hub.lifecycle();
        door.knocks.lock().clear();
        door.changed.store(true, Ordering::SeqCst);
        bus.cut();
        let mut told = 0;
        loop {
            match lifecycle.next().await.unwrap() {
                Report::Happened(Lifecycle::Reauthenticated { id: None }) => told += 1,
                Report::Happened(Lifecycle::Connected { .. }) => break,
                Report::Happened(_) => {}
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((told, door.knocks.lock().as_slice()), (1, [false, true].as_slice()));
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_break_a_permanent_refusal_stops_after_one_refresh() {
    let (bus, door) = door();
    let hub = EventHub::builder(door.clone()).connect().await.unwrap();
    door.shut.store(true, Ordering::SeqCst);
    door.knocks.lock().clear();
    let started = Instant::now();
    bus.cut();
    let state = hub.wait_for_state(|state| matches!(state, ConnectionState::Failed { .. })).await;
    let ConnectionState::Failed { reason } = state else { panic!("{state:?}") };
    assert_eq!(reason.kind(), ErrorKind::Unauthenticated);
    assert_eq!(*door.knocks.lock(), [false, true]);
    assert!(started.elapsed().as_millis() <= 500, "the first pause only: {:?}", started.elapsed());
}
