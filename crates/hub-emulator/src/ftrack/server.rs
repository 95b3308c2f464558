//! The ftrack side's listening socket, and the memory that lives as long as it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{Hub, http};
use crate::error::Error;
use crate::net::{self, Door, Place};

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
        let socket = net::Server::start(place, door, HEAD_TIMEOUT, |tasks, _| {
            hub.set_running(true);
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
