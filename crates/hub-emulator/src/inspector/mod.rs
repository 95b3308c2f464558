//! A page that shows what the hubs see, live, and the same as JSON. Feature `inspector`.
//!
//! An [`Inspector`] listens on an address of its own, so that faults of the services do not strike it. What it has in
//! view is bounded: 10,000 events and 64 MiB of their texts, 200 request-reply threads; what left the view is counted
//! and shown. The routes are in `docs/guides/inspector.md` of the repository.
//!
//! Inside: `log`, `threads`, `rows`, `summary`, `door` and `query` are pure; `state` asks the hubs; `read`, `change` and
//! `stream` are the routes, `site` puts them together, `page` is what a browser loads.

mod change;
mod door;
mod log;
mod page;
mod query;
mod read;
mod rows;
mod site;
mod state;
mod stream;
mod summary;
mod threads;

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use event_core::Secret;

use self::door::Door;
use self::log::Limits;
use self::state::Shared;
use crate::Emulator;
use crate::error::{Error, ErrorKind};
use crate::net::{Door as Way, Gate, Place, Server};
use crate::origin::Policy;

/// How long a client may take to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);

/// What is kept in view.
const LIMITS: Limits = Limits { events: 10_000, bytes: 64 * 1024 * 1024, threads: 200 };

/// A page about an [`Emulator`], served until this is dropped. It outlives restarts of the emulator.
///
/// ```
/// use hub_emulator::Emulator;
/// use hub_emulator::inspector::Inspector;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let emulator = Emulator::start().await?;
/// let inspector = Inspector::builder().start(&emulator).await?;
/// assert!(inspector.url().starts_with("http://127.0.0.1:"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Inspector {
    server: Server,
    shared: Arc<Shared>,
}

/// Sets up an [`Inspector`]; made by [`Inspector::builder`].
#[derive(Clone)]
#[must_use = "nothing listens before `start`"]
pub struct InspectorBuilder {
    address: SocketAddr,
    policy: Policy,
    token: Option<Secret>,
    read_only: bool,
    allow_remote: bool,
    limits: Limits,
    invalid: Option<String>,
}

impl Inspector {
    /// Starts with other settings.
    pub fn builder() -> InspectorBuilder {
        InspectorBuilder {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            policy: Policy::default(),
            token: None,
            read_only: false,
            allow_remote: false,
            limits: LIMITS,
            invalid: None,
        }
    }

    /// The address of the page, such as `http://127.0.0.1:7012/`.
    pub fn url(&self) -> String {
        format!("http://{}/", self.server.address)
    }

    /// The address listened on.
    pub fn addr(&self) -> SocketAddr {
        self.server.address
    }

    /// The token that requests need, if they need one. A page takes it from its fragment: `http://HOST:PORT/#TOKEN`.
    pub fn token(&self) -> Option<&Secret> {
        self.shared.door.token.as_ref()
    }

    /// Closes the port and every connection, and returns when no task is left.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves the inspector stopped.
    pub async fn stop(self) {
        self.server.end();
        self.server.ended().await;
    }
}

impl InspectorBuilder {
    /// Where the page is served. Default: `127.0.0.1`, a free port.
    pub fn addr(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// Whether nothing can be published and no fault set from the page. Default: both can. It says nothing about the
    /// admin routes of the services themselves.
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    /// The token that requests need: at least 16 of `A-Z a-z 0-9 - _ . ~`. Default: none on a loopback address, and a
    /// new one on any other.
    pub fn token(mut self, token: impl Into<Secret>) -> Self {
        let token = token.into();
        if !door::is_token(token.expose()) {
            self.refuse("a token has at least 16 characters, of A-Z a-z 0-9 - _ . ~");
        }
        self.token = Some(token);
        self
    }

    /// Accepts requests for this host name; repeat it for several. Default: `localhost` and loopback addresses, and
    /// any address when it is not loopback that is listened on.
    pub fn allow_host(mut self, host: impl AsRef<str>) -> Self {
        let host = host.as_ref();
        if self.policy.allow_host(host).is_none() {
            self.refuse(format!("{host:?} is not a host name; give it without scheme and port"));
        }
        self
    }

    /// Lets it listen on an address that other machines reach; then requests need a token, and nothing is encrypted.
    /// Default: it refuses to.
    pub fn allow_remote(mut self, allow: bool) -> Self {
        self.allow_remote = allow;
        self
    }

    /// How many events stay in view, and how many bytes of their texts. Default 10,000 and 64 MiB.
    pub fn keep(mut self, events: usize, bytes: usize) -> Self {
        if events.min(bytes) == 0 {
            self.refuse("keep is zero; give it positive numbers");
        }
        self.limits = Limits { events, bytes, ..self.limits };
        self
    }

    /// Begins to watch, and to listen.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidSetting`], [`ErrorKind::NotLoopback`], [`ErrorKind::AddressInUse`] or [`ErrorKind::Bind`].
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves nothing behind.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with I/O and time enabled.
    pub async fn start(mut self, emulator: &Emulator) -> Result<Inspector, Error> {
        if let Some(message) = self.invalid {
            return Err(Error::new(ErrorKind::InvalidSetting, message));
        }
        if !self.address.ip().is_loopback() {
            if !self.allow_remote {
                let message = format!(
                    "{} is reached from other machines; use 127.0.0.1, or allow remote",
                    self.address
                );
                return Err(Error::new(ErrorKind::NotLoopback, message));
            }
            self.policy.allow_any_address();
            self.token.get_or_insert_with(|| uuid::Uuid::new_v4().simple().to_string().into());
        }
        let door = Door { policy: self.policy, token: self.token, read_only: self.read_only };
        let shared = Shared::new(emulator, door, self.limits);
        let gate: Gate = Arc::new(Vec::new);
        let site = site::site(&shared);
        let place = Place::Listening(self.address, None);
        let server = Server::start(place, &Way::default(), HEAD_TIMEOUT, gate, |_, _| site).await?;
        shared.watch();
        Ok(Inspector { server, shared })
    }

    fn refuse(&mut self, message: impl Into<String>) {
        self.invalid.get_or_insert(message.into());
    }
}

/// Without the token.
impl fmt::Debug for InspectorBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InspectorBuilder")
            .field("address", &self.address)
            .field("read_only", &self.read_only)
            .field("token", &self.token.is_some())
            .finish_non_exhaustive()
    }
}
