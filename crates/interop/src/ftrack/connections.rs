//! Connections of the official clients: restarts, cuts, silence, several hubs, the end.

use std::time::Duration;

use event_core::Event;
use hub_emulator::ftrack::{Action, Fault};
use serde_json::json;
use tokio::time::timeout;

use super::{KEY, Scene, USER, WATCHER, connect, session, within};
use crate::{Failure, ensure};

pub(super) async fn has_two_hubs_at_once(scene: Scene) -> Result<(), Failure> {
    // The JavaScript client shares one socket for one user: another user makes a second one in both.
    let second = json!({"hub": "b", "url": scene.emulator.ftrack_url(), "user": USER, "key": KEY});
    scene.theirs.call("connect", second).await?;
    let before = scene.emulator.stats().subscribed;
    let args = json!({"hub": "b", "expression": "topic=interop.two"});
    scene.theirs.call("subscribe", args).await?;
    within(scene.emulator.wait_for(|state| state.stats.subscribed > before)).await?;
    scene.theirs.call("publish", json!({"hub": "a", "topic": "interop.two", "data": 2})).await?;
    scene.theirs.event_on("interop.two").await.map(drop)
}

pub(super) async fn comes_back_after_a_restart_with_its_subscriptions(scene: Scene) -> Result<(), Failure> {
    scene.they_subscribe(json!({"expression": "topic=interop.back"})).await?;
    let Scene { emulator, theirs, ours, .. } = scene;
    let before = emulator.stats();
    emulator.restart().await?;
    within(
        emulator.wait_for(|state| state.connections >= 2 && state.stats.subscribed >= before.subscribed + 3),
    )
    .await?;
    ours.event_hub().publish(Event::new("interop.back", &json!(1))?).await?;
    theirs.event_on("interop.back").await.map(drop)
}

pub(super) async fn publishes_of_the_time_away_arrive(scene: Scene) -> Result<(), Failure> {
    let watcher = session(&scene.emulator, WATCHER).await?;
    let mut stream = watcher.event_hub().subscribe("topic=interop.queued").stream().await?;
    scene.emulator.stop().await;
    let mut down = json!({"hub": "a"});
    for _ in 0..500 {
        down = scene.theirs.call("connected", json!({"hub": "a"})).await?;
        if down["connected"] == false {
            break;
        }
    }
    ensure(down["connected"] == false, || "it does not notice that the server is away".to_owned())?;
    for n in 0..3 {
        scene
            .theirs
            .call("publish_later", json!({"hub": "a", "topic": "interop.queued", "data": {"n": n}}))
            .await?;
    }
    // What nobody subscribes to is lost: they are kept out until one who subscribes is there.
    let out = Action::Status { status: 503, body: String::new() };
    scene.emulator.ftrack_faults().add(Fault::new(out).user(USER).times(0))?;
    scene.emulator.restart().await?;
    within(watcher.event_hub().wait_for_state(event_core::ConnectionState::is_connected)).await?;
    scene.emulator.ftrack_faults().clear();
    for n in 0..3 {
        let delivery = within(stream.next()).await?.ok_or_else(|| Failure::new("the stream ended"))?;
        let Ok(delivery) = delivery else { return Err(Failure::new("the hub gave up")) };
        ensure(delivery.event().data_value()["n"] == n, || format!("{:?} instead of {n}", delivery.event()))?;
    }
    Ok(())
}

pub(super) async fn comes_back_after_being_cut_off(scene: Scene) -> Result<(), Failure> {
    scene.they_subscribe(json!({"expression": "topic=interop.cut"})).await?;
    let before = scene.emulator.stats();
    scene.emulator.cut_all();
    within(
        scene
            .emulator
            .wait_for(|state| state.connections >= 2 && state.stats.subscribed >= before.subscribed + 3),
    )
    .await?;
    scene.we_publish("interop.cut", &json!(1)).await?;
    scene.theirs.event_on("interop.cut").await.map(drop)
}

pub(super) async fn leaves_politely(scene: Scene) -> Result<(), Failure> {
    scene.they_subscribe(json!({"expression": "topic=interop.bye"})).await?;
    scene.theirs.call("disconnect", json!({"hub": "a"})).await?;
    let state = within(scene.emulator.wait_for(|state| state.connections == 1)).await?;
    ensure(state.stats.cut_silent == 0 && state.stats.events_malformed == 0, || format!("{state:?}"))
}

pub(super) async fn is_put_out_by_a_disconnect_packet_and_returns(scene: Scene) -> Result<(), Failure> {
    scene.they_subscribe(json!({"expression": "topic=interop.out"})).await?;
    let before = scene.emulator.stats();
    scene.emulator.disconnect_all();
    within(
        scene
            .emulator
            .wait_for(|state| state.connections >= 2 && state.stats.subscribed >= before.subscribed + 3),
    )
    .await?;
    scene.we_publish("interop.out", &json!(1)).await?;
    scene.theirs.event_on("interop.out").await.map(drop)
}

/// Longer than the JavaScript client waits for a heartbeat, which is 15 s whatever the handshake says.
pub(super) async fn stays_connected_while_nothing_happens(scene: Scene) -> Result<(), Failure> {
    scene.they_subscribe(json!({"expression": "topic=interop.quiet"})).await?;
    let before = scene.emulator.stats();
    let ends = scene.emulator.wait_for(|state| state.stats.connections_closed > before.connections_closed);
    ensure(timeout(Duration::from_secs(17), ends).await.is_err(), || "a connection ended".to_owned())?;
    let after = scene.emulator.stats();
    ensure(after.heartbeats_received >= before.heartbeats_received + 2, || format!("{after:?}"))?;
    scene.we_publish("interop.quiet", &json!(1)).await?;
    scene.theirs.event_on("interop.quiet").await.map(drop)
}

/// The JavaScript client shares a connection between hubs of one user; this one does not.
pub(super) async fn has_two_hubs_of_one_user(scene: Scene) -> Result<(), Failure> {
    connect(&scene.theirs, "b", &scene.emulator).await?;
    ensure(scene.emulator.state().connections == 3, || format!("{:?}", scene.emulator.state()))?;
    let before = scene.emulator.stats().subscribed;
    let args = json!({"hub": "b", "expression": "topic=interop.two", "answer": "echo"});
    scene.theirs.call("subscribe", args).await?;
    within(scene.emulator.wait_for(|state| state.stats.subscribed > before)).await?;
    let args = json!({"hub": "a", "topic": "interop.two", "data": 2});
    let got = scene.theirs.call("request", args).await?;
    ensure(got["reply"]["data"] == json!({"echo": 2}), || got.to_string())
}
