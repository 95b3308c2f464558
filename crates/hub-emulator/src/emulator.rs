//! The handle that users hold.

use std::borrow::Borrow;
use std::net::SocketAddr;
use std::sync::Arc;

use event_core::Event;
use tokio::sync::Mutex;

use crate::builder::Builder;
use crate::error::Error;
use crate::ftrack::{Config, Hub, Server};
use crate::state::{ConnectionInfo, Published, State, Stats};

/// A running event hub. Dropping it closes the port at once, and ends every connection and task soon after.
///
/// Methods take `&self`; share it in an `Arc` if several tasks need it.
#[derive(Debug)]
pub struct Emulator {
    hub: Arc<Hub>,
    address: SocketAddr,
    server: Mutex<Option<Server>>,
}

impl Emulator {
    /// Starts with the defaults: `127.0.0.1`, a free port, any user and key.
    ///
    /// # Errors
    ///
    /// As for [`Builder::start`].
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves nothing behind.
    pub async fn start() -> Result<Self, Error> {
        Self::builder().start().await
    }

    /// Starts with other settings.
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(crate) async fn with_config(config: Config) -> Result<Self, Error> {
        let address = config.address;
        let hub = Hub::new(config);
        let server = Server::start(Arc::clone(&hub), address).await?;
        Ok(Self { hub, address: server.address, server: Mutex::new(Some(server)) })
    }

    /// The server URL to give to a client, such as `http://127.0.0.1:41234`. It stays the same over restarts.
    pub fn ftrack_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address listened on.
    pub fn ftrack_addr(&self) -> SocketAddr {
        self.address
    }

    /// A snapshot in numbers.
    pub fn state(&self) -> State {
        self.hub.state()
    }

    /// The counters of [`Emulator::state`].
    pub fn stats(&self) -> Stats {
        self.hub.state().stats
    }

    /// The open connections and their subscriptions, oldest first.
    pub fn connections(&self) -> Vec<ConnectionInfo> {
        self.hub.connections()
    }

    /// Resolves with the first state for which `condition` holds; at once, if it does already. It has no deadline:
    /// wrap it in `tokio::time::timeout`. Conditions on single subscriptions can ask [`Emulator::connections`].
    ///
    /// A state that lasts for less than it takes to look may be missed; counters never go down and cannot be.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn wait_for(&self, condition: impl FnMut(&State) -> bool) -> State {
        self.hub.wait_for(condition).await
    }

    /// Routes an event as if a client had published it, and says for how many connections it was queued. An event
    /// id that came before is dropped like any repeat.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidEvent`](crate::ErrorKind::InvalidEvent) for `ftrack.meta.subscribe` and
    /// `ftrack.meta.unsubscribe`, which only a connection can send.
    pub fn publish(&self, event: impl Borrow<Event>) -> Result<Published, Error> {
        self.hub.publish(event.borrow())
    }

    /// Puts every client out the way the real server does: `0::`, then the end of the TCP connection. Says how
    /// many there were. They are gone from [`Emulator::state`] when this returns.
    pub fn disconnect_all(&self) -> usize {
        self.hub.disconnect_all()
    }

    /// Ends every client's TCP connection without a word; what was queued for them is lost. Says how many there
    /// were. They are gone from [`Emulator::state`] when this returns.
    pub fn cut_all(&self) -> usize {
        self.hub.cut_all()
    }

    /// Closes the port and every connection, without a word, and returns when no task is left. The address is kept
    /// for [`Emulator::restart`]. Stopping twice is fine.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves the emulator stopped, or as it was if it was not polled.
    pub async fn stop(&self) {
        let server = self.server.lock().await.take();
        if let Some(server) = server {
            server.stop().await;
        }
    }

    /// Stops, if it runs, and starts again on the same port with nothing in memory but the counters: no handshake,
    /// no subscription, no event id.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::AddressInUse`](crate::ErrorKind::AddressInUse) when another program took the port meanwhile;
    /// the emulator is stopped then, and restarting can be tried again.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves the emulator stopped or restarted.
    pub async fn restart(&self) -> Result<(), Error> {
        let mut server = self.server.lock().await;
        if let Some(old) = server.take() {
            old.stop().await;
        }
        *server = Some(Server::start(Arc::clone(&self.hub), self.address).await?);
        Ok(())
    }
}
