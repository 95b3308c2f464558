//! The handle that users hold.

use std::borrow::Borrow;
use std::net::SocketAddr;
use std::sync::Arc;

use event_core::Event;
use tokio::sync::Mutex;

use crate::builder::Builder;
use crate::clock::{Clock, Source};
use crate::error::Error;
use crate::faults::Defects;
use crate::ftrack::{Config, Hub, Server};
use crate::imodelhub;
use crate::net::{Door, Place, Secure};
use crate::state::{ConnectionInfo, Published, State, Stats};

/// Ports on which no machine listens these days.
const NOMINAL_FTRACK_PORT: u16 = 1;
const NOMINAL_IMODELHUB_PORT: u16 = 2;

/// Running event hubs: the ftrack side and the iModelHub side, each on its own port.
///
/// What has no service in its name is about the ftrack side. Dropping the emulator closes the ports at once, and ends every connection and task soon after.
///
/// Methods take `&self`; share it in an `Arc` if several tasks need it.
#[derive(Debug)]
pub struct Emulator {
    pub(crate) hub: Arc<Hub>,
    pub(crate) imodelhub: Arc<imodelhub::Hub>,
    address: SocketAddr,
    pub(crate) imodelhub_address: SocketAddr,
    with: Services,
    pub(crate) doors: Doors,
    pub(crate) defects: Defects,
    secure: Option<Secure>,
    servers: Mutex<Servers>,
}

/// Which services are there, and how they are reached.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Services {
    pub(crate) ftrack: bool,
    pub(crate) imodelhub: bool,
    pub(crate) in_memory: bool,
}

/// The ways in without a socket. They outlive restarts.
#[derive(Debug, Default)]
pub(crate) struct Doors {
    pub(crate) ftrack: Door,
    pub(crate) imodelhub: Door,
}

impl Services {
    fn place(self, address: SocketAddr, secure: Option<&Secure>) -> Place {
        if self.in_memory { Place::InMemory(address) } else { Place::Listening(address, secure.cloned()) }
    }

    /// What stands in URLs when nothing listens: some port, since clients take no 0.
    fn named(self, mut address: SocketAddr, port: u16) -> SocketAddr {
        if self.in_memory && address.port() == 0 {
            address.set_port(port);
        }
        address
    }
}

/// Those that run just now.
#[derive(Debug, Default)]
struct Servers {
    ftrack: Option<Server>,
    imodelhub: Option<imodelhub::Server>,
}

impl Servers {
    async fn stop(&mut self) {
        let (ftrack, imodelhub) = (self.ftrack.take(), self.imodelhub.take());
        if let Some(server) = ftrack {
            server.stop().await;
        }
        if let Some(server) = imodelhub {
            server.stop().await;
        }
    }
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

    pub(crate) async fn with_config(
        (ftrack, imodelhub): (Config, imodelhub::Config),
        with: Services,
        secure: Option<Secure>,
        source: Source,
        defects: Defects,
    ) -> Result<Self, Error> {
        let clock = Arc::new(Clock::new(source));
        let mut emulator = Self {
            address: with.named(ftrack.address, NOMINAL_FTRACK_PORT),
            imodelhub_address: with.named(imodelhub.address, NOMINAL_IMODELHUB_PORT),
            hub: Hub::new(ftrack, Arc::clone(&clock), defects.clone()),
            imodelhub: imodelhub::Hub::new(imodelhub, clock, defects.clone()),
            defects,
            secure,
            with,
            doors: Doors::default(),
            servers: Mutex::default(),
        };
        let servers = emulator.listen().await?;
        if let Some(server) = &servers.ftrack {
            emulator.address = server.address;
        }
        if let Some(server) = &servers.imodelhub {
            emulator.imodelhub_address = server.address;
        }
        *emulator.servers.get_mut() = servers;
        Ok(emulator)
    }

    async fn listen(&self) -> Result<Servers, Error> {
        let mut servers = Servers::default();
        if self.with.ftrack {
            let (hub, place) = (Arc::clone(&self.hub), self.with.place(self.address, self.secure.as_ref()));
            servers.ftrack = Some(Server::start(hub, place, &self.doors.ftrack).await?);
        }
        if self.with.imodelhub {
            let (hub, place) =
                (Arc::clone(&self.imodelhub), self.with.place(self.imodelhub_address, self.secure.as_ref()));
            let door = &self.doors.imodelhub;
            servers.imodelhub = Some(imodelhub::Server::start(hub, place, door).await?);
        }
        Ok(servers)
    }

    /// What URLs begin with.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.secure.is_some() { "https" } else { "http" }
    }

    /// The certificate of the authority that signed the emulator's, in PEM; `None` without
    /// [TLS](Builder::tls). It stays the same over restarts.
    #[cfg(feature = "tls")]
    pub fn root_certificate_pem(&self) -> Option<String> {
        self.secure.as_ref().map(Secure::root_pem)
    }

    /// The same in DER.
    #[cfg(feature = "tls")]
    pub fn root_certificate_der(&self) -> Option<Vec<u8>> {
        self.secure.as_ref().map(|secure| secure.root.clone())
    }

    /// The server URL to give to a client, such as `http://127.0.0.1:41234`. It stays the same over restarts.
    pub fn ftrack_url(&self) -> String {
        format!("{}://{}", self.scheme(), self.address)
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

    /// Closes the ports and every connection, without a word, and returns when no task is left. The addresses are
    /// kept for [`Emulator::restart`]. Stopping twice is fine.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves the emulator stopped, or as it was if it was not polled.
    pub async fn stop(&self) {
        self.servers.lock().await.stop().await;
    }

    /// Stops, if it runs, and starts again on the same ports. The ftrack side has nothing in memory but the counters
    /// then: no handshake, no subscription, no event id. The iModelHub side keeps subscriptions, queues and tokens,
    /// as the real broker does.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::AddressInUse`](crate::ErrorKind::AddressInUse) when another program took a port meanwhile;
    /// the emulator is stopped then, and restarting can be tried again.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves the emulator stopped or restarted.
    pub async fn restart(&self) -> Result<(), Error> {
        let mut servers = self.servers.lock().await;
        servers.stop().await;
        *servers = self.listen().await?;
        Ok(())
    }
}
