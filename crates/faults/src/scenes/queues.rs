//! Listeners to queues of the iModelHub side, and the books about what they were told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use event_core::supervisor::{Jitter, ReconnectPolicy};
use hub_emulator::Emulator;
use imodelhub_events::{
    AccessToken, AccessTokenProvider, ClientBuilder, Environment, EventType, HubEvent, IModelHubClient,
    IModelId, Listener, ReceiveMode,
};
use parking_lot::Mutex;
use serde_json::json;

use super::stage::broken;
use crate::figures::{Broken, ensure};
use crate::mixed::clock;
use crate::mixed::queue_column::{self, Told};

/// The pause between attempts grows to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A queue that is listened to.
pub(super) struct Queue {
    pub(super) listener: Listener,
    imodel: String,
    told: Arc<Mutex<Vec<Told>>>,
    published: AtomicU64,
}

/// Counts the tokens that were asked for, and lets each in.
struct Tokens {
    emulator: Arc<Emulator>,
    given: AtomicU64,
}

#[async_trait]
impl AccessTokenProvider for Tokens {
    async fn access_token(&self, _refused: bool) -> imodelhub_events::Result<AccessToken> {
        let token = format!("token-{}", self.given.fetch_add(1, Ordering::Relaxed));
        self.emulator.accept_token(token.as_str());
        Ok(AccessToken::bearer(token))
    }
}

/// A client of the emulator, in memory. Its wall clock is the scene's.
pub(super) fn client(
    emulator: &Arc<Emulator>,
    seed: u64,
    set_up: impl FnOnce(ClientBuilder) -> ClientBuilder,
) -> Result<IModelHubClient, Broken> {
    let mut policy = ReconnectPolicy::default();
    policy.max = LONGEST_PAUSE;
    policy.jitter = Jitter::Seeded(seed);
    let tokens = Tokens { emulator: Arc::clone(emulator), given: AtomicU64::new(0) };
    let builder = IModelHubClient::builder(Environment::Url(emulator.imodelhub_url()), tokens)
        .exchange(emulator.imodelhub_http())
        .backoff(policy)
        .wall_clock(clock::wall);
    set_up(builder).build().map_err(broken("build a client"))
}

/// Listens under a lock, to an iModel of this number.
pub(super) async fn locked(client: &IModelHubClient, number: u64) -> Result<Queue, Broken> {
    listen(client, number, ReceiveMode::PeekLock).await
}

/// Listens in either way, to an iModel of this number.
pub(super) async fn listen(
    client: &IModelHubClient,
    number: u64,
    mode: ReceiveMode,
) -> Result<Queue, Broken> {
    let address = format!("0a1b2c3d-1111-2222-3333-{number:012x}");
    let id = IModelId::new(&address).map_err(broken("name an iModel"))?;
    let subscription = client
        .create_subscription(&id, &[EventType::Version])
        .await
        .map_err(broken("create a subscription"))?;
    let told = Arc::new(Mutex::new(Vec::new()));
    let (events, losses) = (Arc::clone(&told), Arc::clone(&told));
    let listener = client
        .create_listener(&subscription)
        .mode(mode)
        .on_possible_loss(move |_| losses.lock().push(Told::PossibleLoss))
        .handle(move |event: HubEvent| {
            let place = event.sequence_number().unwrap_or(0);
            let delivery = event.delivery_count().unwrap_or(0);
            events.lock().push(Told::Event { place, delivery });
            async {}
        })
        .await
        .map_err(broken("listen"))?;
    Ok(Queue { listener, imodel: address, told, published: AtomicU64::new(0) })
}

impl Queue {
    /// One more event.
    pub(super) fn publish(&self, emulator: &Emulator) {
        let n = self.published.fetch_add(1, Ordering::Relaxed) + 1;
        emulator.publish_imodel_event(
            &self.imodel,
            "VersionEvent",
            Some(json!({"VersionName": n.to_string()})),
        );
    }

    /// What was published, delivered again, lost, and reported as a possible loss.
    pub(super) fn audit(&self) -> Result<[u64; 4], Broken> {
        let (told, published) = (self.told.lock(), self.published.load(Ordering::Relaxed));
        let mode = self.listener.mode();
        let missed = match mode {
            ReceiveMode::PeekLock => queue_column::locked(&told, published),
            ReceiveMode::ReceiveAndDelete => queue_column::destructive(&told, published),
        };
        ensure(missed.unreported.is_empty(), || format!("{mode:?} lost {:?}", missed.unreported))?;
        ensure(missed.unmarked.is_empty(), || format!("{mode:?} repeated {:?} unmarked", missed.unmarked))?;
        let reports = told.iter().filter(|told| matches!(told, Told::PossibleLoss)).count() as u64;
        let deliveries = told.len() as u64 - reports;
        let lost = missed.lost.len() as u64;
        Ok([published, deliveries - (published - lost), lost, reports])
    }
}

/// Waits until every queue is empty, at both ends.
pub(super) async fn all_taken(emulator: &Emulator) -> Result<(), Broken> {
    const LIMIT: Duration = Duration::from_secs(600);
    let empty = emulator.wait_for_imodelhub(|state| {
        let polled = state.subscriptions.iter().all(|subscription| subscription.waiting > 0);
        state.queued() == 0 && state.locked() == 0 && polled
    });
    tokio::time::timeout(LIMIT, empty)
        .await
        .map(drop)
        .map_err(|_| Broken::new(format!("the queues are not empty after {LIMIT:?}")))
}
