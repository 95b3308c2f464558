//! F6: what comes does not fit the protocol. What must hold is read from the tables of the documentation.

use std::sync::Arc;
use std::time::Duration;

use event_core::hub::{LifecycleStream, Report};
use event_core::transport::Guarantee;
use event_core::{Event, EventHub, Lifecycle};
use hub_emulator::Emulator;
use hub_emulator::ftrack::{Action, Malformed};
use hub_emulator::imodelhub::{Action as Spoil, Fault as Trouble};
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::documented::table;
use super::services::{Pushing, Queues, Service, event, number};
use super::stage::{self, broken};
use super::watch::{tasks, until};
use crate::fault::{Clock, Fault, Playing, Run};
use crate::figures::{Broken, Figures, ensure};

pub(super) const FAULT: Fault = Fault {
    id: "F6",
    what: "malformed input: truncated, 16 MiB, wrong arity, bad UTF-8, unknown codes, wrong acknowledgements",
    holds: "no panic, no leak; link kept or closed as the documentation says, row by row",
    clock: Clock::Paused,
    play: |run| -> Playing { Box::pin(play(run)) },
};

const FTRACK: &str = include_str!("../../../../docs/protocols/ftrack.md");
const IMODELHUB: &str = include_str!("../../../../docs/protocols/imodelhub.md");
const HEADING: &str = "## What does not fit";
const SOON: Duration = Duration::from_secs(300);
const TOO_LARGE: usize = 16 * 1024 * 1024 + 1;

async fn play(run: Run) -> Result<Figures, Broken> {
    let rounds = run.pick(1, 20);
    let (rows, spoilt) = (table(FTRACK, HEADING)?, table(IMODELHUB, HEADING)?);
    for kind in Malformed::ALL {
        let name = serde_json::to_value(kind).map_err(broken("name a kind"))?;
        ensure(rows.iter().any(|row| name == row[0].as_str()), || format!("{name} is not documented"))?;
    }
    let service = Pushing::ftrack(64).await?;
    let Service::Ftrack(emulator) = &service.service else { return Err(Broken::new("no emulator")) };
    let before = tasks();
    for round in 0..rounds {
        for (at, row) in rows.iter().enumerate() {
            let probe = (round * rows.len() + at) as u64;
            let within = |what: Broken| Broken::new(format!("ws, {}: {what}", row[0]));
            malformed(&service, emulator, row, probe).await.map_err(within)?;
        }
    }
    until("nothing is left", SOON, || service.connections() == 0 && tasks() <= before).await?;
    for row in &spoilt {
        let within = |what: Broken| Broken::new(format!("longpoll, {}: {what}", row[0]));
        for (guarantee, wanted) in [(Guarantee::AtLeastOnce, &row[2]), (Guarantee::AtMostOnce, &row[3])] {
            polled(run.seed, &row[0], guarantee, wanted).await.map_err(within)?;
        }
        called(run.seed, &row[0], &row[4]).await.map_err(within)?;
    }
    Ok(Figures::new()
        .with("ws rows", rows.len())
        .with("rounds", rounds)
        .with("kept", rows.iter().filter(|row| row[2] == "kept").count() * rounds)
        .with("closed", rows.iter().filter(|row| row[2] == "closed").count() * rounds)
        .with("longpoll and REST rows", spoilt.len() * 3)
        .with("tasks left", 0))
}

/// How the emulator sends what a row is about.
fn action(name: &str) -> Result<Action, Broken> {
    let args = |args: &str| format!(r#"5:::{{"name":"ftrack.event","args":[{args}]}}"#);
    let packet = match name {
        "too_large" => "x".repeat(TOO_LARGE),
        "many_arguments" => args(&vec!["1"; 257].join(",")),
        "many_members" => {
            let members: Vec<String> = (0..256).map(|n| format!(r#""m{n}":1"#)).collect();
            args(&format!(r#"{{"topic":"u",{}}}"#, members.join(",")))
        }
        "no_topic" => args(r#"{"id":"1","data":{}}"#),
        "foreign_endpoint" => "5::/elsewhere:{}".to_owned(),
        "repeated_connect" => "1::".to_owned(),
        "message" => "3:::hello".to_owned(),
        _ => {
            let kind = serde_json::from_value(json!(name)).map_err(broken("no such kind"))?;
            return Ok(Action::Malformed { kind });
        }
    };
    Ok(Action::ErrorPacket { packet, stays: true })
}

async fn malformed(service: &Pushing, emulator: &Emulator, row: &[String], probe: u64) -> Result<(), Broken> {
    let [name, _, link, told] = row else { return Err(Broken::new("a row has four cells")) };
    let hub = service.connected("ann").await?;
    let mut stream = hub.subscribe("topic=t").stream().await.map_err(broken("subscribe"))?;
    let mut reports = hub.lifecycle();
    let id = emulator.connections()[0].id;
    emulator.ftrack_faults().fire_at(id, action(name)?).map_err(broken("fire"))?;
    match link.as_str() {
        "kept" => stage::pause(Duration::from_secs(1)).await,
        "closed" => {
            let reason = disconnected(&mut reports).await?;
            ensure(reason == *told, || format!("closed by {reason}"))?;
            until("another link", SOON, || hub.state().is_connected()).await?;
        }
        other => return Err(Broken::new(format!("a link is kept or closed, not {other}"))),
    }
    service.inject(&event(probe)?)?;
    let next = tokio::time::timeout(SOON, stream.next()).await;
    let delivery = next.map_err(|_| Broken::new("what comes next does not arrive"))?;
    let delivery = delivery.ok_or_else(|| Broken::new("the stream ended"))?.map_err(broken("read"))?;
    ensure(number(delivery.event()) == probe, || "something else arrived".to_owned())?;
    let stays = emulator.connections()[0].id == id;
    ensure(stays == (link == "kept"), || format!("the link is {}", if stays { "kept" } else { "closed" }))?;
    if link == "kept" {
        let problems = problems(&hub, &mut reports).await?;
        let wanted: &[&str] = if told == "nothing" { &[] } else { &[told.as_str()] };
        ensure(problems == wanted, || format!("told as {problems:?}"))?;
        ensure(hub.stats().problems == wanted.len() as u64, || format!("{:?}", hub.stats()))?;
    }
    hub.publish(event(1_000_000 + probe)?).await.map_err(broken("publish"))?;
    hub.close().await;
    Ok(())
}

/// Why the link ended.
async fn disconnected(reports: &mut LifecycleStream) -> Result<String, Broken> {
    let looking = async {
        while let Some(report) = reports.next().await {
            if let Report::Happened(Lifecycle::Disconnected { reason: Some(reason) }) = report {
                return Some(format!("{:?}", reason.kind()));
            }
        }
        None
    };
    let found = tokio::time::timeout(SOON, looking).await.ok().flatten();
    found.ok_or_else(|| Broken::new("the link is not closed"))
}

/// The kinds of the problems told so far.
async fn problems(hub: &EventHub, reports: &mut LifecycleStream) -> Result<Vec<String>, Broken> {
    let mut kinds = Vec::new();
    while let Ok(Some(report)) = tokio::time::timeout(Duration::from_millis(1), reports.next()).await {
        if let Report::Happened(Lifecycle::Problem(error)) = report {
            kinds.push(format!("{:?}", error.kind()));
        }
    }
    ensure(hub.state().is_connected(), || format!("the hub is {}", hub.state()))?;
    Ok(kinds)
}

fn spoil(name: &str) -> Result<Spoil, Broken> {
    serde_json::from_value(json!({ "do": name })).map_err(broken("no such fault"))
}

/// The answer to one poll is spoilt.
async fn polled(seed: u64, name: &str, guarantee: Guarantee, wanted: &str) -> Result<(), Broken> {
    let queues = Queues::start(seed).await?;
    let subscription = queues.subscription().await?;
    let address = queues.address(&subscription).await?;
    let hub = queues.hub().await?;
    let noted = Arc::new(Mutex::new(Vec::<(Value, u32)>::new()));
    let noting = Arc::clone(&noted);
    queues.emulator.add_fault(Trouble::new(spoil(name)?).path("messages/head")).map_err(broken("fault"))?;
    hub.subscribe("topic=*")
        .address(address)
        .require(guarantee)
        .handle_ctx(move |event: Event, context| {
            noting.lock().push((event.data_value()["n"].clone(), context.attempt()));
            async {}
        })
        .await
        .map_err(broken("subscribe"))?;
    queues.publish(1);
    stage::pause(Duration::from_secs(90)).await;
    queues.publish(2);
    until("what comes next arrives", SOON, || noted.lock().iter().any(|(n, _)| *n == 2)).await?;
    let first: Vec<(Value, u32)> = noted.lock().iter().filter(|(n, _)| *n != 2).cloned().collect();
    let came = match first.as_slice() {
        [] => "lost",
        [(n, 1)] if *n == 1 => "delivered",
        [(Value::Null, 1)] => "as it came",
        [(n, 2)] if *n == 1 => "again",
        _ => "in some other way",
    };
    ensure(came == wanted, || format!("{guarantee:?}: {came}, {wanted} is documented: {first:?}"))?;
    let told = hub.stats().problems > 0;
    ensure(told == matches!(wanted, "again" | "lost"), || format!("{:?}", hub.stats()))?;
    ensure(hub.state().is_connected(), || format!("the hub is {}", hub.state()))?;
    let fired = queues.emulator.imodelhub_faults().fired().values().sum::<u64>();
    ensure(fired == 1, || format!("the fault fired {fired} times"))?;
    hub.close().await;
    Ok(())
}

/// The answers to a call that subscribes and to one for a token are spoilt.
async fn called(seed: u64, name: &str, wanted: &str) -> Result<(), Broken> {
    let queues = Queues::start(seed).await?;
    let trouble = || -> Result<(), Broken> {
        queues.emulator.add_fault(Trouble::new(spoil(name)?)).map_err(broken("fault"))
    };
    trouble()?;
    let kind = |outcome: Result<(), imodelhub_events::Error>| match outcome {
        Ok(()) => "fine".to_owned(),
        Err(error) => format!("{:?}", error.kind()),
    };
    let types = [imodelhub_events::EventType::Version];
    let created = queues.client.create_subscription(&queues.imodel, &types).await;
    let created = kind(created.map(drop));
    ensure(created == wanted, || format!("creating a subscription: {created}"))?;
    trouble()?;
    let token = kind(queues.client.get_sas_token(&queues.imodel).await.map(drop));
    ensure(token == wanted, || format!("asking for a token: {token}"))?;
    // The client goes on.
    queues.subscription().await.map(drop)
}
