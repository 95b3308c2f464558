//! What the scenes share: services and clients in memory.

use std::time::Duration;

use ftrack_hub::{Session, SessionBuilder};
use hub_emulator::{Builder, Emulator};
use nats_server::NatsServer;

use crate::figures::{Broken, Figures, ensure};
use crate::marks::marked;

/// An emulator of both services that is reached in memory.
pub(crate) async fn emulator(set_up: impl FnOnce(Builder) -> Builder) -> Result<Emulator, Broken> {
    set_up(Emulator::builder().in_memory()).start().await.map_err(broken("start the emulator"))
}

/// A session with its ftrack side, not connected yet.
pub(crate) fn session(
    emulator: &Emulator,
    user: &str,
    set_up: impl FnOnce(SessionBuilder) -> SessionBuilder,
) -> Result<Session, Broken> {
    let builder =
        Session::builder(emulator.ftrack_url(), user, marked("key")).dialer(emulator.ftrack_dialer());
    set_up(builder).build().map_err(broken("build a session"))
}

/// The scene's time.
#[expect(clippy::disallowed_methods, reason = "scenes measure time")]
pub(crate) fn now() -> tokio::time::Instant {
    tokio::time::Instant::now()
}

/// Lets so much time pass; in paused time, at once.
pub(crate) async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}

/// Turns an error of a step into what is broken.
pub(crate) fn broken<E: std::fmt::Display>(step: &'static str) -> impl Fn(E) -> Broken {
    move |error| Broken::new(format!("{step}: {error}"))
}

/// What a scene says that needs `nats-server` where there is none.
pub(crate) fn without_nats_server(id: &str) -> Result<Option<Figures>, Broken> {
    if NatsServer::find().is_some() {
        return Ok(None);
    }
    let required = std::env::var("NATS_SERVER").is_ok_and(|value| value == "required");
    ensure(!required, || format!("{id} needs nats-server ({})", nats_server::HOW))?;
    Ok(Some(Figures::new().with(format!("skipped, {id} needs nats-server:"), nats_server::HOW)))
}
