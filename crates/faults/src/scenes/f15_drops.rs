//! F15: things are dropped at every moment and in every place.

use std::future::IntoFuture;
use std::pin::pin;
use std::time::Duration;

use event_core::{Event, EventHub};
use futures_util::poll;
use hub_emulator::ftrack::{Action, Fault as Trouble, Stage};
use imodelhub_events::{GlobalEventType, GlobalSubscriptionKey, HubEvent, ReceiveMode};

use super::services::{Pushing, Queues, Service, event};
use super::stage::{self, broken};
use super::watch::{tasks, until};
use crate::fault::{Clock, Fault, Playing, Run};
use crate::figures::{Broken, Figures, ensure};

pub(super) const FAULT: Fault = Fault {
    id: "F15",
    what: "drops outside a runtime, amid connecting, and of every public future after n polls",
    holds: "no panic, no task left, no slot left, no connection left",
    clock: Clock::Paused,
    play: |run| -> Playing { Box::pin(play(run)) },
};

const SOON: Duration = Duration::from_secs(300);

async fn play(run: Run) -> Result<Figures, Broken> {
    let polls = run.pick(4, 40);
    let mut dropped = 0;
    let mut amid = 0;
    for service in Pushing::each(64).await? {
        outside(&service).await?;
        amid += connecting(&service, polls).await?;
        dropped += hub_futures(&service, polls).await?;
        dropped += ending_futures(&service, polls).await?;
        dropped += handler_futures(&service, polls).await?;
    }
    dropped += queue_futures(run.seed, polls).await?;
    dropped += listener_futures(run.seed, polls).await?;
    Ok(Figures::new()
        .with("futures dropped", dropped)
        .with("polls each, up to", polls)
        .with("hubs dropped amid connecting", amid)
        .with("tasks left", 0)
        .with("slots left", 0)
        .with("connections left", 0))
}

/// Polls a future so many times, letting others go on in between, and drops it.
async fn poll_and_drop<F: IntoFuture>(what: F, times: usize) {
    let mut future = pin!(what.into_future());
    for _ in 0..times {
        if poll!(future.as_mut()).is_ready() {
            break;
        }
        tokio::task::yield_now().await;
    }
}

/// Drops something on a thread without a runtime.
fn drop_elsewhere(thing: impl Send + 'static) -> Result<(), Broken> {
    std::thread::spawn(move || drop(thing))
        .join()
        .map_err(|_| Broken::new("a drop outside a runtime panicked"))
}

/// Waits until there are no more tasks than before, and no connection.
async fn gone(what: &str, service: &Pushing, before: usize) -> Result<(), Broken> {
    until(&format!("{what} leaves nothing"), SOON, || service.connections() == 0 && tasks() <= before)
        .await
        .map_err(|_| {
            let (tasks, links) = (tasks(), service.connections());
            Broken::new(format!(
                "{}: {what} leaves {tasks} tasks where {before} were, and {links} connections",
                service.name()
            ))
        })
}

async fn outside(service: &Pushing) -> Result<(), Broken> {
    let before = tasks();
    let hub = service.connected("ann").await?;
    let handled =
        hub.subscribe("topic=t").handle(async |_event: Event| {}).await.map_err(broken("subscribe"))?;
    let mut stream = hub.subscribe("topic=t").stream().await.map_err(broken("subscribe"))?;
    service.inject(&event(1)?)?;
    let delivery =
        stream.next().await.ok_or_else(|| Broken::new("the stream ended"))?.map_err(broken("read"))?;
    let replies = hub.request(event(2)?).replies().await.map_err(broken("ask"))?;
    let publishing = hub.publish(event(3)?).into_future();
    drop_elsewhere((delivery, handled))?;
    drop_elsewhere((stream, replies, publishing))?;
    until("what was asked is forgotten", SOON, || hub.stats().open_requests == 0).await?;
    until("the stream is unsubscribed", SOON, || hub.stats().subscriptions == 1).await?;
    drop_elsewhere(hub)?;
    gone("a drop outside a runtime", service, before).await
}

/// Drops a hub after each number of polls of its connecting, at each place where the service is slow.
async fn connecting(service: &Pushing, polls: usize) -> Result<usize, Broken> {
    let before = tasks();
    let mut dropped = 0;
    let slow = |stage| Trouble::new(Action::Delay { ms: 5_000 }).at(stage);
    let halves = |stage| Trouble::new(Action::HalfOpen).at(stage);
    let troubles = match &service.service {
        Service::Bus(_) => vec![None],
        Service::Ftrack(_) => [Stage::Connect, Stage::Handshake, Stage::Upgrade]
            .into_iter()
            .flat_map(|stage| [Some(slow(stage)), Some(halves(stage))])
            .chain([None])
            .collect(),
    };
    for trouble in troubles {
        for times in 1..=polls {
            if let (Service::Ftrack(emulator), Some(trouble)) = (&service.service, &trouble) {
                emulator.ftrack_faults().set(vec![trouble.clone()]).map_err(broken("fault"))?;
            }
            let hub = service.client("ann")?;
            hub.subscribe("topic=t").handle(async |_event: Event| {}).await.map_err(broken("subscribe"))?;
            if times % 2 == 0 {
                poll_and_drop(hub.connect(), times).await;
            } else {
                hub.start_connecting().map_err(broken("connect"))?;
                for _ in 0..times {
                    tokio::task::yield_now().await;
                }
            }
            drop(hub);
            dropped += 1;
        }
    }
    if let Service::Ftrack(emulator) = &service.service {
        emulator.ftrack_faults().clear();
    }
    gone("a hub dropped amid connecting", service, before).await?;
    Ok(dropped)
}

/// The futures of a hub that goes on.
async fn hub_futures(service: &Pushing, polls: usize) -> Result<usize, Broken> {
    let before = tasks();
    let hub = service.connected("ann").await?;
    let asked =
        Event::builder("t").id("asked").source_field("id", "somebody").build().map_err(broken("event"))?;
    let mut made = 0;
    for times in 1..=polls {
        let id = format!("s{times}");
        poll_and_drop(hub.connect(), times).await;
        poll_and_drop(hub.connect_persistently(), times).await;
        poll_and_drop(hub.publish(Event::new("u", &1).map_err(broken("event"))?), times).await;
        poll_and_drop(hub.publish(Event::new("u", &1).map_err(broken("event"))?).no_wait(), times).await;
        poll_and_drop(hub.request(Event::new("u", &1).map_err(broken("event"))?), times).await;
        poll_and_drop(hub.request(Event::new("u", &1).map_err(broken("event"))?).replies(), times).await;
        if let Ok(mut replies) = hub.request(Event::new("u", &1).map_err(broken("event"))?).replies().await {
            poll_and_drop(replies.next(), times).await;
        }
        poll_and_drop(hub.reply(&asked, &1), times).await;
        poll_and_drop(hub.publish_local(&asked), times).await;
        poll_and_drop(hub.wait_for_state(|_| false), times).await;
        poll_and_drop(hub.lifecycle().next(), times).await;
        poll_and_drop(hub.flush(), times).await;
        poll_and_drop(hub.subscribe("topic=t").id(id.as_str()).handle(async |_event: Event| {}), times).await;
        poll_and_drop(hub.unsubscribe(&id.as_str().into()), times).await;
        poll_and_drop(hub.subscribe("topic=t").stream(), times).await;
        streams(service, &hub, times).await?;
        made += 19;
    }
    for times in 1..=polls {
        poll_and_drop(hub.reconnect(), times).await;
        hub.connect().await.map_err(broken("connect"))?;
        poll_and_drop(hub.disconnect(), times).await;
        hub.connect().await.map_err(broken("connect"))?;
        made += 2;
    }
    until("nothing is open", SOON, || {
        let stats = hub.stats();
        stats.open_requests + stats.outstanding == 0
    })
    .await?;
    // Those polled to their end are subscribed, and can be unsubscribed.
    for times in 1..=polls {
        let _ = hub.unsubscribe(&format!("s{times}").as_str().into()).await;
    }
    until("no subscription is left", SOON, || hub.stats().subscriptions == 0).await.map_err(|_| {
        let left: Vec<usize> =
            (1..=polls).filter(|n| hub.subscription(&format!("s{n}").as_str().into()).is_some()).collect();
        Broken::new(format!(
            "{}: {} subscriptions are left, {left:?}",
            service.name(),
            hub.stats().subscriptions
        ))
    })?;
    let elsewhere = || match &service.service {
        Service::Bus(bus) => bus.subscriptions(),
        Service::Ftrack(emulator) => emulator.state().subscriptions,
    };
    // The hub's own, for replies.
    until("the service has none of them", SOON, || elsewhere() == 1).await?;
    drop(hub);
    gone("a hub whose futures were dropped", service, before).await?;
    Ok(made)
}

/// A stream's futures, and those of its deliveries and of a subscription.
async fn streams(service: &Pushing, hub: &EventHub, times: usize) -> Result<(), Broken> {
    let mut stream = hub.subscribe("topic=t").stream().await.map_err(broken("subscribe"))?;
    service
        .inject(&Event::builder("t").id(event_core::EventId::random()).build().map_err(broken("event"))?)?;
    let next = stream.next().await.ok_or_else(|| Broken::new("the stream ended"))?;
    let delivery = next.map_err(broken("read"))?;
    poll_and_drop(delivery.ack(), times).await;
    poll_and_drop(delivery.nack(None), times).await;
    poll_and_drop(stream.next(), times).await;
    poll_and_drop(stream.unsubscribe(), times).await;
    let handled =
        hub.subscribe("topic=t").handle(async |_event: Event| {}).await.map_err(broken("subscribe"))?;
    poll_and_drop(handled.unsubscribe(), times).await;
    let _ = handled.unsubscribe().await;
    Ok(())
}

/// The futures with which a hub begins and ends, each on a hub of its own.
async fn ending_futures(service: &Pushing, polls: usize) -> Result<usize, Broken> {
    let before = tasks();
    for times in 1..=polls {
        for way in 0..2 {
            let hub = service.connected("ann").await?;
            drop(hub.publish(event(1)?));
            hub.subscribe("topic=t")
                .handle(async |_event: Event| stage::pause(Duration::from_millis(5)).await)
                .await
                .map_err(broken("subscribe"))?;
            service.inject(&event(1_000 + times as u64)?)?;
            match way {
                0 => poll_and_drop(hub.drain(Duration::from_secs(2)), times).await,
                _ => poll_and_drop(hub.close(), times).await,
            }
            // Once polled it goes on.
            let closed = tokio::time::timeout(Duration::from_secs(6), hub.wait_for_state(|_| false)).await;
            ensure(closed.is_ok(), || "a drain that was dropped stopped".to_owned())?;
        }
    }
    gone("a drain that was dropped", service, before).await?;
    Ok(2 * polls)
}

/// What a handler may do, dropped inside it.
async fn handler_futures(service: &Pushing, polls: usize) -> Result<usize, Broken> {
    let before = tasks();
    let hub = service.connected("ann").await?;
    let subscription = hub
        .subscribe("topic=t")
        .handle_ctx(move |_event: Event, context| async move {
            for times in 1..=polls {
                poll_and_drop(context.reply(&1), times).await;
                let Some(hub) = context.hub() else { return };
                if let Ok(question) = Event::new("u", &1) {
                    poll_and_drop(hub.request(question), times).await;
                }
            }
        })
        .await
        .map_err(broken("subscribe"))?;
    let asked =
        Event::builder("t").id("q").source_field("id", "somebody").build().map_err(broken("event"))?;
    service.inject(&asked)?;
    until("the handler is done", SOON, || subscription.stats().handled == 1).await?;
    until("nothing is open", SOON, || hub.stats().open_requests + hub.stats().outstanding == 0).await?;
    drop((subscription, hub));
    gone("a handler that dropped futures", service, before).await?;
    Ok(2 * polls)
}

/// The calls of an iModelHub client.
async fn queue_futures(seed: u64, polls: usize) -> Result<usize, Broken> {
    let queues = Queues::start(seed).await?;
    let before = tasks();
    let (client, imodel) = (&queues.client, &queues.imodel);
    let subscription = queues.subscription().await?;
    let key =
        GlobalSubscriptionKey::new("0a1b2c3d-1111-2222-3333-444455556666").map_err(broken("name a key"))?;
    let second = Some(Duration::from_secs(1));
    for times in 1..=polls {
        poll_and_drop(client.create_subscription(imodel, &[imodelhub_events::EventType::Version]), times)
            .await;
        let types = [GlobalEventType::HardIModelDelete];
        poll_and_drop(client.create_global_subscription(&key, &types), times).await;
        poll_and_drop(client.update_subscription(&subscription, &["VersionEvent"]), times).await;
        poll_and_drop(client.get_sas_token(imodel), times).await;
        poll_and_drop(client.get_global_sas_token(), times).await;
        poll_and_drop(client.get_event(&subscription, second), times).await;
        poll_and_drop(client.peek_event(&subscription, second), times).await;
        queues.publish(times as u64);
        if let Some(locked) = client.peek_event(&subscription, None).await.map_err(broken("peek"))? {
            poll_and_drop(locked.renew(), times).await;
            poll_and_drop(locked.abandon(), times).await;
            poll_and_drop(locked.delete(), times).await;
        }
        let gone = queues.subscription().await?;
        poll_and_drop(client.delete_subscription(&gone), times).await;
    }
    until("no call leaves a task", SOON, || tasks() <= before).await?;
    Ok(11 * polls)
}

/// Listeners, in both modes.
async fn listener_futures(seed: u64, polls: usize) -> Result<usize, Broken> {
    let queues = Queues::start(seed).await?;
    let before = tasks();
    let mut subscription = queues.subscription().await?;
    for mode in [ReceiveMode::PeekLock, ReceiveMode::ReceiveAndDelete] {
        for times in 1..=polls {
            let describe = || queues.client.create_listener(&subscription).mode(mode);
            poll_and_drop(describe().handle(async |_event: HubEvent| {}), times).await;
            poll_and_drop(describe().stream(), times).await;
            let listener = describe().handle(async |_event: HubEvent| {}).await.map_err(broken("listen"))?;
            poll_and_drop(listener.wait_for_state(|_| false), times).await;
            drop_elsewhere(listener)?;
            let mut stream = describe().stream().await.map_err(broken("listen"))?;
            poll_and_drop(stream.next(), times).await;
            drop_elsewhere(stream)?;
        }
        subscription = queues.subscription().await?;
    }
    let state = || queues.emulator.imodelhub_state();
    until("no poll is left", SOON, || state().waiting() == 0).await?;
    drop_elsewhere(queues.client.clone())?;
    let Queues { emulator, client, .. } = queues;
    drop_elsewhere(client)?;
    until("no listener leaves a task", SOON, || tasks() <= before).await?;
    drop(emulator);
    Ok(8 * polls)
}
