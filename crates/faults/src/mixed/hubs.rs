//! The ftrack side of a run: publishers, subscribers, and those who ask.

use std::time::Duration;

use ftrack_hub::hub::Report;
use ftrack_hub::{ErrorKind, Event, EventHub, Json, Lifecycle, ReconnectPolicy, Resend, Session};
use hub_emulator::Emulator;
use serde_json::json;
use tokio::task::JoinHandle;

use super::Without;
use super::world::World;
use crate::dice::Dice;
use crate::figures::{Broken, ensure};
use crate::scenes::stage::{self, broken};

/// Events that are published, the last ones of each publisher aside.
pub(super) const PUBLISHES: u64 = 200;
/// Requests that are made.
const REQUESTS: u64 = 12;
/// Hubs that publish, and hubs that subscribe.
const PUBLISHERS: [&str; 2] = ["ann", "cyd"];
const SUBSCRIBERS: [&str; 3] = ["ben", "dan", "eve"];
/// How long a patient publish may take: longer than anything goes wrong.
const PATIENCE: Duration = Duration::from_secs(600);

/// Everybody.
pub(super) struct Hubs {
    publishers: Vec<Session>,
    subscribers: Vec<Session>,
    /// Tasks that write down what happens to the hubs.
    watching: Vec<JoinHandle<()>>,
    without: Option<Without>,
}

/// Subscribers in a run.
pub(super) const fn subscribers() -> usize {
    SUBSCRIBERS.len()
}

impl Hubs {
    /// Connects everybody.
    pub(super) async fn connect(
        world: &World,
        emulator: &Emulator,
        dice: &mut Dice,
        without: Option<Without>,
    ) -> Result<Self, Broken> {
        let mut hubs = Self { publishers: vec![], subscribers: vec![], watching: vec![], without };
        for (number, user) in SUBSCRIBERS.into_iter().enumerate() {
            let session = hub(emulator, user, dice)?;
            hubs.watch(world, user, session.event_hub(), Some(number));
            session.event_hub().connect().await.map_err(broken("connect"))?;
            see(world, session.event_hub(), number).await?;
            if number == 0 {
                answer(session.event_hub()).await?;
            }
            hubs.subscribers.push(session);
        }
        for user in PUBLISHERS {
            let session = hub(emulator, user, dice)?;
            hubs.watch(world, user, session.event_hub(), None);
            session.event_hub().connect().await.map_err(broken("connect"))?;
            hubs.publishers.push(session);
        }
        Ok(hubs)
    }

    /// Writes down what happens to a hub, and the gaps it reports in a subscriber's column.
    fn watch(&mut self, world: &World, user: &'static str, hub: &EventHub, column: Option<usize>) {
        let (world, mut reports) = (world.clone(), hub.lifecycle());
        let deaf = self.without == Some(Without::Gap);
        self.watching.push(tokio::spawn(async move {
            while let Some(report) = reports.next().await {
                match &report {
                    Report::Happened(change) => {
                        note(&world, user, change);
                        if let (Lifecycle::Gap(gap), Some(column), false) = (change, column, deaf) {
                            world.write(|book, now| book.columns[column].gap(gap.lasted, now));
                        }
                    }
                    Report::Missed(reports) => {
                        world.broken(|| format!("{user}: {reports} reports came faster than they were read"));
                    }
                    _ => {}
                }
            }
        }));
    }

    /// Publishes and asks at times of chance, for at least as long as this.
    pub(super) async fn work(&self, world: &World, dice: &mut Dice, least: Duration) -> Result<(), Broken> {
        let began = world.now();
        let mut calls = Vec::new();
        let (mut published, mut asked) = (0, 0);
        while published < PUBLISHES {
            // Bursts, and pauses that make the whole last about a minute.
            if !dice.percent(40) {
                stage::pause(dice.millis(0, 1_100)).await;
            } else if dice.percent(50) {
                tokio::task::yield_now().await;
            }
            let session = &self.publishers[dice.index(self.publishers.len())];
            if asked < REQUESTS && dice.percent(8) {
                asked += 1;
                calls.push(tokio::spawn(ask(world.clone(), session.clone(), dice.millis(1_000, 10_000))));
            }
            published += 1;
            let hurried = dice.percent(20).then(|| dice.millis(500, 8_000));
            let call = publish(world.clone(), session.clone(), published, hurried, self.without)?;
            calls.push(tokio::spawn(call));
        }
        stage::pause(least.saturating_sub(world.now().saturating_sub(began))).await;
        for call in calls {
            call.await.map_err(broken("a caller"))?;
        }
        Ok(())
    }

    /// When nothing goes wrong any more, everybody gets the same event of each publisher again. What has struck a
    /// connection stays with it, so the first ones may still fall into reported gaps.
    pub(super) async fn recover(&self, world: &World) -> Result<(), Broken> {
        const ROUNDS: usize = 20;
        let mut last = PUBLISHES;
        for _ in 0..ROUNDS {
            let first = last + 1;
            for publisher in &self.publishers {
                last += 1;
                publish(world.clone(), publisher.clone(), last, None, None)?.await;
            }
            let everywhere = |book: &super::world::Book| {
                book.columns.iter().all(|column| (first..=last).all(|event| column.has(event)))
            };
            if world.until("the last events everywhere", Duration::from_secs(15), everywhere).await.is_ok() {
                return Ok(());
            }
        }
        Err(Broken::new(format!("in {ROUNDS} rounds of 15 s no event of each publisher reached everybody")))
    }

    /// Nothing waits, nothing is open; then all are closed.
    pub(super) async fn close(self, world: &World) -> Result<(), Broken> {
        for session in self.publishers.iter().chain(&self.subscribers) {
            let user = session.api_user();
            // What callers do not wait for any more, and replies: their time, and that of an acknowledgement.
            let flushed = tokio::time::timeout(Duration::from_secs(60), session.event_hub().flush()).await;
            let flushed =
                flushed.map_err(|_| Broken::new(format!("{user}: events wait longer than their time")))?;
            flushed.map_err(broken("flush"))?;
            let stats = session.event_hub().stats();
            ensure(stats.open_requests == 0, || {
                format!("{user}: {} requests are open", stats.open_requests)
            })?;
            ensure(stats.outstanding == 0, || format!("{user}: {} events wait", stats.outstanding))?;
            let began = world.now();
            session.event_hub().close().await;
            // 5 s to drain, unless told otherwise.
            world.held("close", began, Duration::from_secs(5));
        }
        drop((self.publishers, self.subscribers));
        for watching in self.watching {
            watching.await.map_err(broken("watch a hub"))?;
        }
        Ok(())
    }
}

fn hub(emulator: &Emulator, user: &str, dice: &mut Dice) -> Result<Session, Broken> {
    let mut policy = ReconnectPolicy::default();
    policy.max = Duration::from_secs(4);
    policy.stable_after = Duration::from_secs(10);
    policy.jitter = event_core::supervisor::Jitter::Seeded(dice.below(u64::MAX));
    stage::session(emulator, user, |builder| builder.reconnect(policy))
}

async fn see(world: &World, hub: &EventHub, column: usize) -> Result<(), Broken> {
    let world = world.clone();
    hub.subscribe("topic=mixed")
        .id(format!("sees-{column}"))
        .handle(move |event: Event| {
            let n = event.data_value()["n"].as_u64().unwrap_or(0);
            world.note(format_args!("{} sees {n}", SUBSCRIBERS[column]));
            world.write(|book, now| book.columns[column].saw(n, now));
            async {}
        })
        .await
        .map_err(broken("subscribe"))?;
    Ok(())
}

async fn answer(hub: &EventHub) -> Result<(), Broken> {
    hub.subscribe("topic=ask")
        .id("answers")
        .handle(|event: Event| async move { Json(json!({"n": event.data_value()["n"]})) })
        .await
        .map_err(broken("subscribe"))?;
    Ok(())
}

/// One publish, and what is made of its outcome. A hurried one may fail for its time; a patient one must be
/// acknowledged, or refused by the service.
fn publish(
    world: World,
    publisher: Session,
    n: u64,
    hurried: Option<Duration>,
    without: Option<Without>,
) -> Result<impl Future<Output = ()> + use<>, Broken> {
    let event = Event::builder("mixed").id(format!("event-{n}")).data(&json!({"n": n}));
    let event = event.build().map_err(broken("make an event"))?;
    let timeout = hurried.unwrap_or(PATIENCE);
    let resend = if without == Some(Without::Resend) { Resend::Never } else { Resend::UntilAcked };
    Ok(async move {
        let began = world.now();
        world.note(format_args!("{} publishes {n}", publisher.api_user()));
        let outcome = publisher.event_hub().publish(event).timeout(timeout).resend(resend).await;
        world.held("publish", began, timeout);
        match outcome {
            Ok(receipt) => {
                world.note(format_args!("{n} acknowledged after {}", receipt.attempts));
                if receipt.possible_duplicate != (receipt.attempts > 1) {
                    world.broken(|| {
                        format!("{n} was sent {} times and its receipt does not say so", receipt.attempts)
                    });
                }
                world.write(|book, _| {
                    book.acknowledged.insert(n);
                    book.resent += u64::from(receipt.attempts > 1);
                });
            }
            Err(error) => {
                world.note(format_args!("{n} failed: {:?}", error.kind()));
                match error.kind() {
                    ErrorKind::Refused => world.write(|book, _| book.refused += 1),
                    ErrorKind::Timeout if hurried.is_some() => world.write(|book, _| book.timed_out += 1),
                    _ => {
                        world.broken(|| format!("publish {n}, which had {timeout:?}, was given up: {error}"));
                    }
                }
            }
        }
    })
}

/// One request: whatever comes of it, it is not held for longer than it asked for.
async fn ask(world: World, asker: Session, timeout: Duration) {
    let began = world.now();
    let Ok(event) = Event::new("ask", &json!({"n": 1})) else { return };
    let outcome = asker.event_hub().publish_and_wait_for_reply(event).timeout(timeout).await;
    world.held("request", began, timeout);
    world.note(format_args!(
        "{} asked: {:?}",
        asker.api_user(),
        outcome.map(drop).map_err(|error| error.kind())
    ));
}

/// A line for what happened to a hub, without what differs between runs.
fn note(world: &World, user: &str, change: &Lifecycle) {
    match change {
        Lifecycle::Connected { subscriptions } => {
            world.note(format_args!("{user} connected, {subscriptions}"));
        }
        Lifecycle::Disconnected { reason } => {
            let reason = reason.as_ref().map(|reason| reason.kind());
            world.note(format_args!("{user} disconnected: {reason:?}"));
        }
        Lifecycle::Reconnecting { attempt, retry_in } => {
            world.note(format_args!("{user} reconnecting, {attempt} in {retry_in:?}"));
        }
        Lifecycle::Resubscribed { subscriptions } => {
            world.note(format_args!("{user} resubscribed {subscriptions}"));
        }
        Lifecycle::Gap(gap) => world.note(format_args!("{user} gap of {:?}", gap.lasted)),
        Lifecycle::Problem(error) => world.note(format_args!("{user} problem: {:?}", error.kind())),
        Lifecycle::ReplyFailed { error, .. } => {
            world.note(format_args!("{user} reply failed: {:?}", error.kind()));
        }
        Lifecycle::SubscriptionLost { id, error } => {
            world.broken(|| format!("{user} lost the subscription {id}: {error}"));
        }
        Lifecycle::Closed => world.note(format_args!("{user} closed")),
        _ => {}
    }
}
