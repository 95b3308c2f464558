//! The ftrack side: a whole life, everything that is refused, every fault of a link.

use std::time::Duration;

use ftrack_hub::dial::TcpDialer;
use ftrack_hub::{
    ConnectionState, Credentials, Event, Json, ReconnectPolicy, Secret, Session, SessionBuilder, Tls,
};
use hub_emulator::ftrack::{Action, Fault, Malformed};
use hub_emulator::{Defect, Emulator};
use serde_json::json;

use super::Shown;
use crate::figures::{Broken, ensure};
use crate::marks::marked;
use crate::scenes::stage::broken;

const WITHIN: Duration = Duration::from_secs(20);

fn quick() -> ReconnectPolicy {
    let mut policy = ReconnectPolicy::default();
    policy.first = Duration::from_millis(10);
    policy.max = Duration::from_millis(50);
    policy.attempt_timeout = Duration::from_secs(2);
    policy
}

fn session(url: impl Into<String>) -> SessionBuilder {
    Session::builder(url, "ann", marked("key"))
        .header("Cookie", marked("cookie"))
        .publish_timeout(Duration::from_millis(200))
        .request_timeout(Duration::from_millis(100))
        .close_timeout(Duration::from_millis(500))
        .reconnect(quick())
}

pub(super) async fn play(shown: &mut Shown) -> Result<(), Broken> {
    let emulator = Emulator::builder()
        .user("ann", marked("key"))
        .without_imodelhub()
        .start()
        .await
        .map_err(broken("start the emulator"))?;
    shown.debug(&emulator);
    life(shown, &emulator).await?;
    refused(shown, &emulator).await;
    faults(shown, &emulator).await?;
    Ok(())
}

fn event(topic: &str, n: usize) -> Result<Event, Broken> {
    Event::new(topic, &json!({"n": n})).map_err(broken("make an event"))
}

/// Waits for a state of the hub.
async fn state(session: &Session, fits: impl FnMut(&ConnectionState) -> bool) -> Result<(), Broken> {
    tokio::time::timeout(WITHIN, session.event_hub().wait_for_state(fits))
        .await
        .map(drop)
        .map_err(|_| Broken::new(format!("the hub stays {}", session.event_hub().state())))
}

/// Connect, publish, ask, fail, break, connect again, leave.
async fn life(shown: &mut Shown, emulator: &Emulator) -> Result<(), Broken> {
    let builder = session(emulator.ftrack_url());
    shown.debug(&builder);
    shown.debug(&Credentials::new("ann", marked("key")));
    shown.debug(&Secret::new(marked("secret")));
    let session = builder.build().map_err(broken("build a session"))?;
    let hub = session.event_hub();
    shown.debug(&session);
    hub.connect().await.map_err(broken("connect"))?;
    let answering = hub
        .subscribe("topic=ask")
        .handle(async |_: Event| Json("answer"))
        .await
        .map_err(broken("subscribe"))?;
    let reply = hub.publish_and_wait_for_reply(event("ask", 1)?).await.map_err(broken("ask"))?;
    let stream = hub.subscribe("topic=t").stream().await.map_err(broken("subscribe"))?;
    for thing in [
        &session as &dyn std::fmt::Debug,
        &hub,
        &hub.engine(),
        &hub.stats(),
        &hub.health(),
        &answering,
        &stream,
        &reply,
        &hub.state(),
        &hub.subscribe("topic=t"),
        &hub.lifecycle(),
        &session.server_url(),
    ] {
        shown.debug(thing);
    }
    let publish = hub.publish(event("ftrack.meta.subscribe", 1)?);
    shown.debug(&publish);
    shown.outcome(publish.await);
    let request = hub.publish_and_wait_for_reply(event("nobody", 1)?);
    shown.debug(&request);
    shown.outcome(request.await);
    shown.outcome(hub.subscribe("topic=").stream().await);
    shown.outcome(hub.unsubscribe("nobody").await);
    for way in [Emulator::cut_all, Emulator::disconnect_all] {
        way(emulator);
        state(&session, |state| !state.is_connected()).await?;
        shown.debug(hub);
        shown.debug(&hub.health());
        state(&session, ConnectionState::is_connected).await?;
    }
    // Nobody acknowledges.
    emulator.set_defect(Defect::AckDropped, true);
    shown.outcome(hub.publish(event("t", 2)?).await);
    emulator.set_defect(Defect::AckDropped, false);
    shown.debug(&hub.drain(Duration::from_secs(1)).await);
    shown.outcome(hub.publish(event("t", 3)?).await);
    Ok(())
}

/// Whatever cannot be built or connected.
async fn refused(shown: &mut Shown, emulator: &Emulator) {
    let (url, key) = (emulator.ftrack_url(), marked("key"));
    let encoded = key.replace('+', "%2B").replace('/', "%2F");
    let secure = url.replace("http://", "https://");
    let describe = |url: String, user: &str, key: String| {
        Session::builder(url, user, key).reconnect(quick()).publish_timeout(Duration::from_millis(50))
    };
    for builder in [
        describe(url.clone(), "mallory", key.clone()),
        describe(url.clone(), "ann", marked("wrong")),
        describe("http://127.0.0.1:1".to_owned(), "ann", key.clone()),
        // TLS towards a server that speaks none.
        describe(secure.clone(), "ann", key.clone()),
        describe(secure, "ann", key.clone()).dialer(TcpDialer::new(Tls::default())),
        describe(url.clone(), "ann", format!("{key}\n")),
        describe(url.clone(), "", key.clone()),
        describe(url.clone(), "ann", key.clone()).header("bad name", key.clone()),
        describe(url.clone(), "ann", key.clone()).user_agent("bad\nagent"),
        describe(String::new(), "ann", key.clone()),
        describe("ftp://a.b".to_owned(), "ann", key.clone()),
        describe(format!("http://ann:{encoded}@127.0.0.1"), "ann", key.clone()),
        describe(format!("http://127.0.0.1/?api_key={encoded}"), "ann", key.clone()),
        describe(format!("http://127.0.0.1/{key}\u{7f} "), "ann", key),
    ] {
        shown.debug(&builder);
        let Some(session) = shown.outcome(builder.build()) else {
            continue;
        };
        let hub = session.event_hub();
        shown.outcome(hub.connect().await);
        shown.debug(&session);
        shown.debug(&hub.health());
        if let Ok(event) = event("t", 1) {
            shown.outcome(hub.publish(event).await);
        }
        hub.close().await;
    }
}

/// Every fault of a link, and everything malformed.
async fn faults(shown: &mut Shown, emulator: &Emulator) -> Result<(), Broken> {
    // 16 MiB of rubbish would be most of the log, and say nothing.
    let kinds = Malformed::ALL.iter().filter(|kind| **kind != Malformed::Huge);
    let malformed = kinds.map(|kind| Action::Malformed { kind: *kind });
    let actions = malformed.chain([
        Action::Fin,
        Action::Reset,
        Action::Disconnect,
        Action::ErrorPacket { packet: "7:::1+0".to_owned(), stays: false },
        Action::Close { code: 1001 },
        Action::WithholdAcks { count: 0 },
        Action::RefuseAcks { count: 0, every: 1 },
        Action::Trickle { bytes: 64, pause_ms: 0 },
        Action::Silent,
    ]);
    let statuses = [401, 403, 429, 500, 503].map(|status| Action::Status { status, body: marked("body") });
    let mut struck = 0;
    for action in actions {
        let session = session(emulator.ftrack_url()).build().map_err(broken("build a session"))?;
        let hub = session.event_hub();
        hub.connect().await.map_err(broken("connect"))?;
        struck += emulator.ftrack_faults().fire(action).map_err(broken("fire"))?;
        shown.outcome(hub.publish(event("t", 1)?).await);
        shown.outcome(hub.publish_and_wait_for_reply(event("t", 2)?).await);
        shown.debug(&session);
        shown.debug(&hub.health());
        hub.close().await;
    }
    ensure(struck + 1 >= Malformed::ALL.len(), || format!("only {struck} faults struck"))?;
    for action in statuses {
        emulator.ftrack_faults().add(Fault::new(action)).map_err(broken("add"))?;
        let session = session(emulator.ftrack_url()).build().map_err(broken("build a session"))?;
        shown.outcome(session.event_hub().connect().await);
        shown.debug(&session.event_hub().health());
    }
    Ok(())
}
