//! The iModelHub side's listening socket, and the task that ends what is over.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::webhooks::deliver;
use super::{Hub, http};
use crate::error::Error;
use crate::net::{self, Door, Place};

/// How long a client may take to send the head of a request, and keep an idle connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(300);

/// A running server. Dropping it closes the listening socket at once, and ends every task soon after.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    hub: Arc<Hub>,
    socket: net::Server,
}

impl Server {
    pub(crate) async fn start(hub: Arc<Hub>, place: Place, door: &Door) -> Result<Self, Error> {
        let socket = net::Server::start(place, door, HEAD_TIMEOUT, Arc::new(Vec::new), |tasks, address| {
            hub.set_running(true, Some(address.to_string()));
            tasks.tracker.spawn(end_what_is_over(Arc::clone(&hub), tasks.stop.clone()));
            tasks.tracker.spawn(deliver(Arc::clone(&hub), tasks.stop.clone(), tasks.tracker.clone()));
            http::site(&hub)
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
            self.hub.set_running(false, None);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// Locks and subscriptions end when somebody looks; this is for those who wait for a state.
async fn end_what_is_over(hub: Arc<Hub>, stop: CancellationToken) {
    loop {
        let shortest = hub.configure(|service| service.bus.rules.lock.min(service.bus.rules.idle));
        let period = (shortest / 4).clamp(Duration::from_millis(10), Duration::from_secs(1));
        tokio::select! {
            biased;
            () = stop.cancelled() => return,
            () = sleep(period) => hub.tick(),
        }
    }
}
