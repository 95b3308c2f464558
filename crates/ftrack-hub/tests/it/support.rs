//! What several tests need.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ftrack_hub::hub::{LifecycleStream, Report};
use ftrack_hub::{
    ConnectionState, Error, Event, EventHub, Lifecycle, ReconnectPolicy, Session, SessionBuilder,
};
use hub_emulator::{Emulator, State};
use tokio::net::TcpSocket;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// Far longer than anything here takes; a test that reaches it has failed.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) async fn within<T>(future: impl IntoFuture<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it takes too long")
}

/// The emulator's state as soon as it fits.
pub(crate) async fn emulated(emulator: &Emulator, condition: impl FnMut(&State) -> bool) -> State {
    within(emulator.wait_for(condition)).await
}

/// Reconnecting without long pauses.
pub(crate) fn quick() -> ReconnectPolicy {
    let mut policy = ReconnectPolicy::default();
    policy.first = Duration::from_millis(5);
    policy.max = Duration::from_millis(50);
    policy
}

pub(crate) fn builder(emulator: &Emulator, user: &str) -> SessionBuilder {
    Session::builder(emulator.ftrack_url(), user, "any-key").reconnect(quick())
}

/// A session whose hub is connected.
pub(crate) async fn connected(emulator: &Emulator, user: &str) -> Session {
    connect(builder(emulator, user)).await
}

pub(crate) async fn connect(builder: SessionBuilder) -> Session {
    let session = builder.build().unwrap();
    within(session.event_hub().connect()).await.unwrap();
    session
}

/// An emulator and a connected session.
pub(crate) async fn one() -> (Emulator, Session) {
    let emulator = Emulator::start().await.unwrap();
    let session = connected(&emulator, "ann").await;
    (emulator, session)
}

/// An emulator and two connected sessions, of ann and of ben.
pub(crate) async fn two() -> (Emulator, Session, Session) {
    let (emulator, ann) = one().await;
    let ben = connected(&emulator, "ben").await;
    (emulator, ann, ben)
}

pub(crate) async fn state(hub: &EventHub, fits: impl FnMut(&ConnectionState) -> bool) -> ConnectionState {
    within(hub.engine().wait_for_state(fits)).await
}

/// The first report that `pick` takes.
pub(crate) async fn report<T>(
    lifecycle: &mut LifecycleStream,
    mut pick: impl FnMut(Lifecycle) -> Option<T>,
) -> T {
    within(async {
        loop {
            match lifecycle.next().await.expect("the hub goes on") {
                Report::Happened(change) => {
                    if let Some(picked) = pick(change) {
                        return picked;
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    })
    .await
}

/// Why the connection broke, when it does.
pub(crate) async fn break_reason(lifecycle: &mut LifecycleStream) -> Arc<Error> {
    report(lifecycle, |change| match change {
        Lifecycle::Disconnected { reason } => Some(reason.expect("a reason")),
        _ => None,
    })
    .await
}

/// A subscription as the emulator holds it.
pub(crate) fn holds(emulator: &Emulator, expression: &str) -> bool {
    emulator
        .connections()
        .iter()
        .flat_map(|connection| &connection.subscriptions)
        .any(|subscription| subscription.expression == expression)
}

pub(crate) fn event(topic: &str, data: impl serde::Serialize) -> Event {
    Event::new(topic, &data).unwrap()
}

/// A notebook that handlers write into and tests wait on.
#[derive(Clone, Default)]
pub(crate) struct Log {
    lines: Arc<Mutex<Vec<String>>>,
    changed: Arc<Notify>,
}

impl Log {
    pub(crate) fn add(&self, line: impl Into<String>) {
        self.lines.lock().unwrap().push(line.into());
        self.changed.notify_waiters();
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// Waits until there are so many lines, and returns them.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<String> {
        within(async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                let lines = self.lines();
                if lines.len() >= count {
                    return lines;
                }
                changed.await;
            }
        })
        .await
    }

    /// Subscribes; each event's data becomes a line.
    pub(crate) async fn follow(&self, hub: &EventHub, expression: &str) -> ftrack_hub::Subscription {
        let subscribing =
            hub.subscribe(expression).handle_with(self.clone(), async |event: Event, log: Log| {
                log.add(event.data_value().to_string());
            });
        within(subscribing).await.unwrap()
    }
}

/// Follows while the server may be away: the future is done when the subscription is confirmed.
pub(crate) fn following(hub: &EventHub, expression: &'static str) -> (Log, JoinHandle<()>) {
    let (log, hub) = (Log::default(), hub.clone());
    let task = tokio::spawn({
        let log = log.clone();
        async move { drop(log.follow(&hub, expression).await) }
    });
    (log, task)
}

/// A port on which nothing listens, and which nobody else is given meanwhile.
pub(crate) struct ClosedPort(TcpSocket);

impl ClosedPort {
    pub(crate) fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        Self(socket)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.local_addr().unwrap()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// An emulator listens here from now on.
    pub(crate) async fn open(self) -> Emulator {
        let address = self.address();
        drop(self);
        Emulator::builder().ftrack_addr(address).start().await.unwrap()
    }
}
