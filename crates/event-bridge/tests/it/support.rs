//! What several tests need.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use event_bridge::{Bridge, BridgeBuilder, Gap, Report, Reports, Told};
use ftrack_hub::nats::{JetStream, NatsTransport, NatsTransportBuilder, NewStream};
use ftrack_hub::{Event, EventStream, ReconnectPolicy, Session};
use hub_emulator::Emulator;
use nats_server::{NatsServer, ServerConfig};
use serde_json::json;

/// Far longer than anything here takes; a test that reaches it has failed.
const PATIENCE: Duration = Duration::from_secs(60);
/// Short, and long enough for a busy machine.
pub(crate) const LEASE: Duration = Duration::from_secs(3);

pub(crate) async fn within<T>(future: impl IntoFuture<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it takes too long")
}

/// Waits until something is so that nobody tells.
pub(crate) async fn reached(condition: impl Fn() -> bool) {
    let mut look = tokio::time::interval(Duration::from_millis(5));
    within(async {
        while !condition() {
            look.tick().await;
        }
    })
    .await;
}

/// Both sides.
pub(crate) struct Stage {
    pub(crate) emulator: Emulator,
    pub(crate) server: NatsServer,
}

pub(crate) fn quick() -> ReconnectPolicy {
    let mut policy = ReconnectPolicy::default();
    policy.first = Duration::from_millis(5);
    policy.max = Duration::from_millis(50);
    policy
}

pub(crate) fn streaming(url: &str) -> NatsTransportBuilder {
    NatsTransport::builder([url])
        .jetstream(JetStream::new("EVENTS").create(NewStream::default()).ack_wait(Duration::from_secs(5)))
}

pub(crate) fn event(topic: &str, n: u64) -> Event {
    Event::new(topic, &json!({ "n": n })).unwrap()
}

pub(crate) fn wall() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

impl Stage {
    pub(crate) async fn set() -> Self {
        let server = NatsServer::start(ServerConfig::default()).await.unwrap();
        Self { emulator: Emulator::start().await.unwrap(), server }
    }

    /// A bridge that reaches NATS at this address.
    pub(crate) fn bridge_over(&self, nats: &str) -> BridgeBuilder {
        let url = self.emulator.ftrack_url();
        let service = move || {
            let session = Session::builder(&url, "bridge", "any-key").reconnect(quick()).build()?;
            Ok(session.event_hub().engine().clone())
        };
        Bridge::builder("ftrack", service, streaming(nats)).lease(LEASE)
    }

    pub(crate) fn bridge(&self) -> BridgeBuilder {
        self.bridge_over(&self.server.url())
    }

    /// Somebody at the service.
    pub(crate) async fn artist(&self) -> Session {
        let session = Session::builder(self.emulator.ftrack_url(), "ann", "any-key").build().unwrap();
        within(session.event_hub().connect()).await.unwrap();
        session
    }

    /// Somebody behind NATS.
    pub(crate) async fn worker(&self) -> Session {
        let nats = streaming(&self.server.url()).build().unwrap();
        let session = Session::builder("https://studio.example.com", "farm", "").nats(nats).build().unwrap();
        within(session.event_hub().connect()).await.unwrap();
        session
    }
}

/// A bridge that is active.
pub(crate) async fn started(builder: BridgeBuilder) -> (Bridge, Reports) {
    let bridge = builder.start().unwrap();
    let mut reports = bridge.reports();
    until(&mut reports, |report| matches!(report, Report::Active).then_some(())).await;
    (bridge, reports)
}

/// The first report from which something can be taken.
pub(crate) async fn until<T>(reports: &mut Reports, mut take: impl FnMut(&Report) -> Option<T>) -> T {
    within(async {
        loop {
            match reports.next().await.expect("the bridge is gone") {
                Told::Happened(report) => {
                    if let Some(taken) = take(&report) {
                        return taken;
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    })
    .await
}

pub(crate) fn gap_of(report: &Report) -> Option<Gap> {
    if let Report::Gap(gap) = report { Some(gap.clone()) } else { None }
}

/// What a worker gets of the stream, from now on.
pub(crate) async fn stored(worker: &Session, expression: &str) -> EventStream {
    within(worker.event_hub().subscribe(expression).durable("reader").any_target().stream()).await.unwrap()
}

pub(crate) async fn next(events: &mut EventStream) -> Event {
    let delivery = within(events.next()).await.unwrap().unwrap();
    delivery.ack().await.unwrap();
    delivery.event().clone()
}
