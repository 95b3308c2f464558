//! The ftrack side's listening socket, and the memory that lives as long as it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{Action, Hub, Stage, http, rounds};
use crate::error::Error;
use crate::net::{self, Door, Gate, Place, Trouble};

/// How long a client may take to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// A running server. Dropping it closes the listening socket at once, and ends every task soon after.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    hub: Arc<Hub>,
    socket: net::Server,
}

impl Server {
    pub(crate) async fn start(hub: Arc<Hub>, place: Place, door: &Door) -> Result<Self, Error> {
        let asked = Arc::clone(&hub);
        let gate: Gate = Arc::new(move || troubles(&asked));
        let socket = net::Server::start(place, door, HEAD_TIMEOUT, gate, |tasks, _| {
            hub.set_running(true);
            tasks.tracker.spawn(Arc::clone(&hub).run_schedule(tasks.stop.clone()));
            tasks.tracker.spawn(rounds::run(Arc::clone(&hub), tasks.stop.clone()));
            tasks.tracker.spawn(forget_handshakes(Arc::clone(&hub), tasks.stop.clone()));
            http::site(Arc::clone(&hub), tasks.clone())
        })
        .await?;
        Ok(Self { address: socket.address, hub, socket })
    }

    /// Ends, and waits until no task is left.
    pub(crate) async fn stop(self) {
        self.end();
        self.socket.ended().await;
    }

    fn end(&self) {
        if self.socket.end() {
            self.hub.set_running(false);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// What goes wrong with a new connection.
fn troubles(hub: &Hub) -> Vec<Trouble> {
    let mut troubles = Vec::new();
    for action in hub.strike(Stage::Connect, None) {
        let (reads, writes) = action.rates();
        troubles.extend(reads.map(Trouble::Reads));
        troubles.extend(writes.map(Trouble::Writes));
        troubles.extend(action.fate().map(Trouble::End));
        match action {
            Action::Refuse => troubles.push(Trouble::Refuse),
            Action::Delay { ms } => troubles.push(Trouble::Delay(Duration::from_millis(ms))),
            _ => {}
        }
    }
    troubles
}

async fn forget_handshakes(hub: Arc<Hub>, stop: CancellationToken) {
    let period = (hub.config.handshake_timeout / 4).clamp(Duration::from_millis(10), Duration::from_secs(1));
    let mut turns = interval(period);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            _ = turns.tick() => hub.expire_handshakes(),
        }
    }
}
