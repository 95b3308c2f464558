//! The iModelHub side of a run: one subscription read under a lock, one destructively.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use event_core::supervisor::{Jitter, ReconnectPolicy};
use hub_emulator::Emulator;
use imodelhub_events::{
    AccessToken, AccessTokenProvider, Environment, EventSubscription, EventType, HubEvent, IModelHubClient,
    IModelId, Listener, ListenerState, ReceiveMode,
};
use serde_json::json;
use tokio::task::JoinHandle;

use super::clock;
use super::queue_column::Told;
use super::world::{Book, World};
use crate::dice::Dice;
use crate::figures::Broken;
use crate::scenes::stage::{self, broken};

/// Events that come over the minute.
const EVENTS: u64 = 40;
const IMODEL: &str = "0a1b2c3d-1111-2222-3333-444455556666";
/// How long a message stays locked; how long a token for the queues is good; how long a poll is held.
pub(super) const LOCK: Duration = Duration::from_secs(10);
pub(super) const SAS: Duration = Duration::from_secs(25);
const POLL: Duration = Duration::from_secs(8);

/// The listeners, and who they belong to.
pub(super) struct Queues {
    emulator: Arc<Emulator>,
    listeners: [Arc<Listener>; 2],
    watching: [JoinHandle<()>; 2],
    client: IModelHubClient,
    published: AtomicU64,
}

/// Gives a new token each time and tells the emulator that it is good.
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

impl Queues {
    /// Subscribes and listens, both ways.
    pub(super) async fn listen(
        world: &World,
        emulator: &Arc<Emulator>,
        dice: &mut Dice,
    ) -> Result<Self, Broken> {
        let mut policy = ReconnectPolicy::default();
        policy.max = Duration::from_secs(4);
        policy.jitter = Jitter::Seeded(dice.below(u64::MAX));
        let tokens = Tokens { emulator: Arc::clone(emulator), given: AtomicU64::new(0) };
        let client = IModelHubClient::builder(Environment::Url(emulator.imodelhub_url()), tokens)
            .exchange(emulator.imodelhub_http())
            .long_poll(POLL)
            .backoff(policy)
            .wall_clock(clock::wall)
            .build()
            .map_err(broken("build a client"))?;
        let imodel = IModelId::new(IMODEL).map_err(broken("name an iModel"))?;
        let subscribe = async || {
            let made = client.create_subscription(&imodel, &[EventType::Version]).await;
            made.map_err(broken("create a subscription"))
        };
        let (locked, destructive) = (subscribe().await?, subscribe().await?);
        let listeners = [
            Arc::new(read_locked(world, &client, &locked, dice.branch()).await?),
            Arc::new(read_destructively(world, &client, &destructive).await?),
        ];
        let watching =
            listeners.each_ref().map(|listener| tokio::spawn(watch(world.clone(), Arc::clone(listener))));
        let emulator = Arc::clone(emulator);
        Ok(Self { emulator, listeners, watching, client, published: AtomicU64::new(0) })
    }

    /// Stops listening.
    pub(super) fn stop(self) {
        self.watching.iter().for_each(JoinHandle::abort);
        drop((self.listeners, self.client));
    }

    /// Events come, over a minute.
    pub(super) async fn publish(&self, world: &World, dice: &mut Dice) {
        for _ in 0..EVENTS {
            stage::pause(dice.millis(0, 3_000)).await;
            self.publish_one(world);
        }
    }

    fn publish_one(&self, world: &World) {
        let n = self.published.fetch_add(1, Ordering::Relaxed) + 1;
        world.note(format_args!("queued {n}"));
        self.emulator.publish_imodel_event(
            IMODEL,
            "VersionEvent",
            Some(json!({"VersionName": n.to_string()})),
        );
    }

    /// When nothing goes wrong any more, both listeners get the same event again, and everything is completed. A
    /// request that was struck before may still take one of these with it, reported.
    pub(super) async fn recover(&self, world: &World) -> Result<u64, Broken> {
        const ROUNDS: usize = 10;
        const LIMIT: Duration = Duration::from_secs(600);
        for _ in 0..ROUNDS {
            self.publish_one(world);
            let published = self.published.load(Ordering::Relaxed);
            let last = |told: &Told| matches!(told, Told::Event { place, .. } if *place == published);
            let everywhere = |book: &Book| book.locked.iter().any(last) && book.destructive.iter().any(last);
            if world.until("the last event at both listeners", LOCK * 6, everywhere).await.is_err() {
                continue;
            }
            let empty = self.emulator.wait_for_imodelhub(|state| state.queued() == 0 && state.locked() == 0);
            let empty = tokio::time::timeout(LIMIT, empty).await;
            return empty.map(|_| published).map_err(|_| {
                Broken::new(format!("the queues are not empty {LIMIT:?} after the last event was taken"))
            });
        }
        Err(Broken::new(format!("in {ROUNDS} rounds of {:?} no event reached both listeners", LOCK * 6)))
    }
}

/// No listener may end by itself: nothing in a run is for good.
async fn watch(world: World, listener: Arc<Listener>) {
    if let ListenerState::Ended(reason) = listener.wait_for_state(|_| false).await {
        world.broken(|| format!("the listener by {:?} has ended: {reason:?}", listener.mode()));
    }
}

async fn read_locked(
    world: &World,
    client: &IModelHubClient,
    subscription: &EventSubscription,
    dice: Dice,
) -> Result<Listener, Broken> {
    let (world, dice) = (world.clone(), Arc::new(parking_lot::Mutex::new(dice)));
    let handler = move |event: HubEvent| {
        let (world, dice) = (world.clone(), Arc::clone(&dice));
        async move {
            let told = told(&event);
            world.note(format_args!("locked: {told:?}"));
            world.write(|book, _| book.locked.push(told));
            let (works, fails) = {
                let mut dice = dice.lock();
                (dice.millis(0, 1_500), dice.percent(10))
            };
            stage::pause(works).await;
            if fails { Err("not this time") } else { Ok(()) }
        }
    };
    client.create_listener(subscription).handle(handler).await.map_err(broken("listen"))
}

async fn read_destructively(
    world: &World,
    client: &IModelHubClient,
    subscription: &EventSubscription,
) -> Result<Listener, Broken> {
    let (losses, events) = (world.clone(), world.clone());
    let handler = move |event: HubEvent| {
        let told = told(&event);
        events.note(format_args!("destructive: {told:?}"));
        events.write(|book, _| book.destructive.push(told));
        async {}
    };
    client
        .create_listener(subscription)
        .mode(ReceiveMode::ReceiveAndDelete)
        .on_possible_loss(move |reason| {
            losses.note(format_args!("possible loss: {:?}", reason.kind()));
            losses.write(|book, _| book.destructive.push(Told::PossibleLoss));
        })
        .handle(handler)
        .await
        .map_err(broken("listen"))
}

/// Its place in the queue is in the headers, so that bodies may be spoilt.
fn told(event: &HubEvent) -> Told {
    Told::Event { place: event.sequence_number().unwrap_or(0), delivery: event.delivery_count().unwrap_or(0) }
}
