//! A session: which server, as whom, and its event hub.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use event_core::network::{Proxy, ProxySetting};
use event_core::supervisor::ReconnectPolicy;
use event_core::transport::Transport;
use event_core::{Error, ErrorKind, Result, Secret};
use transport_ws::dial::Dialer;
use transport_ws::{Tls, WsTransport};

use crate::EventHub;
use crate::credentials::{CredentialProvider, KEY, Provided, USER};
use crate::dialect::FtrackDialect;
use crate::event_hub::Whoami;
use crate::server_url::ServerUrl;

/// The name of the Socket.IO event that carries ftrack's events.
const EVENT_NAME: &str = "ftrack.event";
/// What a session calls itself unless told otherwise.
const APPLICATION_ID: &str = "ftrack.api.rust";
/// And to the server and the proxies on the way.
const AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

/// A session with an ftrack server.
///
/// ```
/// use ftrack_hub::Session;
///
/// # async fn example() -> Result<(), ftrack_hub::Error> {
/// let session = Session::builder("https://studio.ftrackapp.com", "jane.doe", "7545384e-a653-11e1")
///     .auto_connect_event_hub(true)
///     .application_id("studio.render-farm")
///     .build()?;
/// let hub = session.event_hub();
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Session {
    hub: EventHub,
    url: ServerUrl,
    user: String,
}

/// Describes a [`Session`].
#[must_use = "a builder does nothing until it is built"]
pub struct SessionBuilder {
    server_url: String,
    user: String,
    key: Secret,
    credentials: Option<Provided>,
    user_agent: String,
    application_id: String,
    auto_connect: bool,
    headers: Vec<(String, Secret)>,
    window: Option<usize>,
    max_frame: Option<usize>,
    publish_timeout: Option<Duration>,
    request_timeout: Option<Duration>,
    subscribe_timeout: Option<Duration>,
    close_timeout: Option<Duration>,
    outbox_capacity: Option<usize>,
    repeats: Option<(Duration, usize)>,
    reconnect: Option<ReconnectPolicy>,
    dialer: Option<Box<dyn Dialer>>,
    tls: Tls,
    proxy: Option<Result<ProxySetting>>,
    #[cfg(feature = "journal")]
    journal: Option<event_journal::Journal>,
    #[cfg(feature = "nats")]
    nats: Option<transport_nats::NatsTransport>,
}

impl Session {
    /// Starts describing a session. The key may be a [`Secret`] or text.
    pub fn builder(
        server_url: impl Into<String>,
        api_user: impl Into<String>,
        api_key: impl Into<Secret>,
    ) -> SessionBuilder {
        SessionBuilder {
            server_url: server_url.into(),
            user: api_user.into(),
            key: api_key.into(),
            credentials: None,
            user_agent: AGENT.to_owned(),
            application_id: APPLICATION_ID.to_owned(),
            auto_connect: false,
            headers: Vec::new(),
            window: None,
            max_frame: None,
            publish_timeout: None,
            request_timeout: None,
            subscribe_timeout: None,
            close_timeout: None,
            outbox_capacity: None,
            repeats: None,
            reconnect: None,
            dialer: None,
            tls: Tls::default(),
            proxy: None,
            #[cfg(feature = "journal")]
            journal: None,
            #[cfg(feature = "nats")]
            nats: None,
        }
    }

    /// Starts describing a session by the environment variables `FTRACK_SERVER`, `FTRACK_API_USER` and
    /// `FTRACK_API_KEY`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] that names the variables which are missing.
    pub fn from_env() -> Result<SessionBuilder> {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<SessionBuilder> {
        let names = ["FTRACK_SERVER", "FTRACK_API_USER", "FTRACK_API_KEY"];
        let found = names.map(|name| lookup(name).filter(|value| !value.is_empty()));
        if let [Some(server), Some(user), Some(key)] = found {
            return Ok(Self::builder(server, user, key));
        }
        let missing: Vec<&str> =
            names.iter().zip(&found).filter(|(_, value)| value.is_none()).map(|(name, _)| *name).collect();
        let message = format!("set the environment variable(s) {}", missing.join(", "));
        Err(Error::new(ErrorKind::InvalidInput, "read environment", message))
    }

    /// The session's event hub.
    pub fn event_hub(&self) -> &EventHub {
        &self.hub
    }

    /// The server's address.
    pub fn server_url(&self) -> &ServerUrl {
        &self.url
    }

    /// The API user.
    pub fn api_user(&self) -> &str {
        &self.user
    }
}

impl SessionBuilder {
    /// Connects the event hub in the background as soon as the session is built, trying until it succeeds or is
    /// refused for good. Default no: call [`EventHub::connect`].
    pub fn auto_connect_event_hub(mut self, connect: bool) -> Self {
        self.auto_connect = connect;
        self
    }

    /// What this program calls itself in the source of its events, in its subscribers' metadata and, with the feature
    /// `metrics`, in the label `hub`. Default `ftrack.api.rust`.
    pub fn application_id(mut self, id: impl Into<String>) -> Self {
        self.application_id = id.into();
        self
    }

    /// Asks for user and key at every connect attempt, instead of using the ones given to
    /// [`Session::builder`] (whose user still stands in the source of published events). A key that was replaced
    /// meanwhile is used at the next attempt; a refused one is asked for anew once.
    pub fn credentials(mut self, provider: impl CredentialProvider) -> Self {
        self.credentials = Some(Provided::new(provider));
        self
    }

    /// What this program calls itself to the server, in the `User-Agent` header. Default `ftrack-hub/` and its
    /// version.
    pub fn user_agent(mut self, agent: impl Into<String>) -> Self {
        self.user_agent = agent.into();
        self
    }

    /// A header or cookie for every request to the server. Its value is shown nowhere.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Secret>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// How many publishes may wait for the server's acknowledgement at a time. Default 64.
    pub fn window(mut self, publishes: usize) -> Self {
        self.window = Some(publishes);
        self
    }

    /// The largest message accepted from the server, in bytes. Default 16 MiB.
    pub fn max_frame(mut self, bytes: usize) -> Self {
        self.max_frame = Some(bytes);
        self
    }

    /// How long a publish may wait for the connection and the acknowledgement. Default 30 s.
    pub fn publish_timeout(mut self, timeout: Duration) -> Self {
        self.publish_timeout = Some(timeout);
        self
    }

    /// How long to wait for a reply. Default 30 s.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = Some(timeout);
        self
    }

    /// How long a subscription waits for the server's confirmation. Default 30 s.
    pub fn subscribe_timeout(mut self, timeout: Duration) -> Self {
        self.subscribe_timeout = Some(timeout);
        self
    }

    /// How long closing the hub may take. Default 5 s.
    pub fn close_timeout(mut self, timeout: Duration) -> Self {
        self.close_timeout = Some(timeout);
        self
    }

    /// How many events may wait to be sent or acknowledged; more wait for room. Default 4,096.
    pub fn outbox_capacity(mut self, events: usize) -> Self {
        self.outbox_capacity = Some(events);
        self
    }

    /// Events that come again within this time, by their id, are dropped and counted; so many ids are remembered.
    /// Default 10 minutes and 100,000 ids, about 4 MB. Zero of either remembers none.
    pub fn repeats(mut self, window: Duration, ids: usize) -> Self {
        self.repeats = Some((window, ids));
        self
    }

    /// Pauses between connection attempts. Default: up to 0.5 s first, doubling up to 60 s, at random.
    pub fn reconnect(mut self, policy: ReconnectPolicy) -> Self {
        self.reconnect = Some(policy);
        self
    }

    /// How TLS is spoken. Default: rustls with the platform's certificates, where it is compiled in.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = tls;
        self
    }

    /// Connects through this proxy, whatever the environment says: `http://user:password@host:port`, `socks5://..`
    /// (this machine looks the server's name up), `socks5h://..` (the proxy does), or a [`Proxy`]. TLS is spoken with
    /// the server, through the proxy. User and password are shown nowhere.
    pub fn proxy<P>(mut self, proxy: P) -> Self
    where
        P: TryInto<Proxy>,
        Error: From<P::Error>,
    {
        self.proxy = Some(proxy.try_into().map(ProxySetting::through).map_err(Error::from));
        self
    }

    /// Connects directly, whatever the environment says.
    pub fn no_proxy(self) -> Self {
        self.proxy_setting(ProxySetting::direct())
    }

    /// Which proxy leads to the server. Default [`ProxySetting::environment`]: `HTTPS_PROXY`, `HTTP_PROXY`,
    /// `ALL_PROXY` and `NO_PROXY`, as they are when the session is built.
    pub fn proxy_setting(mut self, setting: ProxySetting) -> Self {
        self.proxy = Some(Ok(setting));
        self
    }

    /// What carries the bytes, instead of TCP, TLS and proxies.
    pub fn dialer(mut self, dialer: impl Dialer) -> Self {
        self.dialer = Some(Box::new(dialer));
        self
    }

    /// Keeps what comes and what is published in a journal: [durable](event_core::hub::Subscribe::durable)
    /// subscriptions get everything that was received, however often the program is started anew, and publishes are
    /// taken without a connection. A publish then returns when it is in the journal.
    ///
    /// ```
    /// use ftrack_hub::journal::{Config, Journal};
    /// use ftrack_hub::{Error, Event, Session};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let emulator = hub_emulator::Emulator::start().await?;
    /// # let folder = tempfile::tempdir()?;
    /// # let (url, path) = (emulator.ftrack_url(), folder.path().join("events.journal"));
    /// let journal = Journal::open(path, Config::default()).await?;
    /// let session = Session::builder(url, "jane.doe", "api-key").journal(journal.clone()).build()?;
    /// let hub = session.event_hub();
    /// hub.connect().await?;
    ///
    /// // Under this name the program goes on where it stopped. What fails comes again, and at last is kept apart.
    /// hub.subscribe("topic=my-company.render")
    ///     .durable("render-farm")
    ///     .handle(async |event: Event| println!("render {}", event.data_value()))
    ///     .await?;
    /// for letter in journal.dead_letters("render-farm").await? {
    ///     eprintln!("{letter:?}");
    /// }
    /// # hub.close().await;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "journal")]
    pub fn journal(mut self, journal: event_journal::Journal) -> Self {
        self.journal = Some(journal);
        self
    }

    /// Speaks with other sessions over NATS, and not with the ftrack server: the same events, targets, replies and
    /// actions among programs that share a NATS server, such as workers behind a bridge. Address and user stay what they
    /// are called by; the key is not used, nor is what concerns the connection to the ftrack server.
    ///
    /// ```no_run
    /// use ftrack_hub::nats::{JetStream, NatsTransport, NewStream};
    /// use ftrack_hub::{Error, Event, Session};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Error> {
    /// let nats = NatsTransport::builder(["nats://n1:4222", "nats://n2:4222", "nats://n3:4222"])
    ///     .jetstream(JetStream::new("EVENTS").create(NewStream::default().replicas(3)))
    ///     .build()?;
    /// let session = Session::builder("https://studio.ftrackapp.com", "farm", "").nats(nats).build()?;
    /// session.event_hub().connect().await?;
    ///
    /// // Every session that subscribes under this name takes part of the events.
    /// session.event_hub()
    ///     .subscribe("topic=ftrack.update")
    ///     .durable("farm")
    ///     .handle(async |event: Event| println!("{event:?}"))
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "nats")]
    pub fn nats(mut self, transport: transport_nats::NatsTransport) -> Self {
        self.nats = Some(transport);
        self
    }

    /// The session. Nothing is sent yet, except that
    /// [`auto_connect_event_hub`](Self::auto_connect_event_hub) starts connecting.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidUrl`] (also of a proxy), [`ErrorKind::InvalidCredentials`] for an empty or unsendable user or
    /// key, [`ErrorKind::NoRuntime`] outside a tokio runtime.
    pub fn build(mut self) -> Result<Session> {
        let url = ServerUrl::parse(&self.server_url)?;
        if self.user.trim().is_empty() {
            return Err(empty("user", "the name you log in with"));
        }
        let transport = self.transport(&url)?;
        let dialect = FtrackDialect::new(&self.user, &self.application_id, host_name());
        let id = dialect.hub_id().clone();
        let mut builder =
            event_core::EventHub::builder_over(transport).name(&self.application_id).dialect(dialect);
        if let Some(timeout) = self.publish_timeout {
            builder = builder.publish_timeout(timeout);
        }
        if let Some(timeout) = self.request_timeout {
            builder = builder.request_timeout(timeout);
        }
        if let Some(timeout) = self.subscribe_timeout {
            builder = builder.subscribe_timeout(timeout);
        }
        if let Some(timeout) = self.close_timeout {
            builder = builder.close_timeout(timeout);
        }
        if let Some(events) = self.outbox_capacity {
            builder = builder.outbox_capacity(events);
        }
        if let Some((window, ids)) = self.repeats {
            builder = builder.repeats(window, ids);
        }
        if let Some(policy) = self.reconnect {
            builder = builder.reconnect(policy);
        }
        #[cfg(feature = "journal")]
        if let Some(journal) = self.journal {
            builder = builder.layer(move |transport, dialect| {
                event_journal::Journaled::over(transport, journal).dialect(Arc::clone(dialect))
            });
        }
        let hub = if self.auto_connect { builder.connect_lazy()? } else { builder.build()? };
        let whoami = Whoami { user: self.user.clone(), application_id: self.application_id };
        Ok(Session { hub: EventHub::new(hub, id, whoami), url, user: self.user })
    }

    /// What carries the events.
    fn transport(&mut self, url: &ServerUrl) -> Result<Arc<dyn Transport>> {
        #[cfg(feature = "nats")]
        if let Some(nats) = self.nats.take() {
            return Ok(Arc::new(nats));
        }
        let mut transport = WsTransport::builder(url.endpoint().clone(), EVENT_NAME)
            .path_prefix(url.path_prefix())
            .user_agent(&self.user_agent);
        transport = match self.credentials.take() {
            Some(provided) => transport.credentials(provided),
            None if self.key.expose().trim().is_empty() => {
                let hint = "see the system settings of your ftrack server, or your account's security page";
                return Err(empty("key", hint));
            }
            None => transport.secret_header(USER, &self.user).secret_header(KEY, self.key.expose()),
        };
        for (name, value) in &self.headers {
            transport = transport.header(name, value.expose());
        }
        if let Some(window) = self.window {
            transport = transport.window(window);
        }
        if let Some(bytes) = self.max_frame {
            transport = transport.max_frame(bytes);
        }
        transport = if let Some(dialer) = self.dialer.take() {
            transport.boxed_dialer(dialer)
        } else {
            let proxy = self.proxy.take().transpose()?.unwrap_or_default();
            transport.dialer(transport_ws::TcpDialer::new(self.tls.clone()).proxy(proxy))
        };
        Ok(Arc::new(transport.build()?))
    }
}

fn empty(what: &str, hint: &str) -> Error {
    let message = format!("the API {what} is empty; give {hint}");
    Error::new(ErrorKind::InvalidCredentials, "build session", message)
}

#[cfg(feature = "hostname")]
fn host_name() -> Option<String> {
    gethostname::gethostname().into_string().ok().filter(|name| !name.is_empty())
}

#[cfg(not(feature = "hostname"))]
fn host_name() -> Option<String> {
    None
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("url", &self.url)
            .field("user", &self.user)
            .field("hub", &self.hub)
            .finish()
    }
}

impl fmt::Debug for SessionBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The address may hold a secret that building would refuse.
        f.debug_struct("SessionBuilder")
            .field("user", &self.user)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_empty_user_or_key_and_unsendable_ones_are_refused_before_sending() {
        for (user, key) in [("", "k"), ("  ", "k"), ("u", ""), ("u", " "), ("u\n", "k"), ("u", "k\0secret")] {
            let error = Session::builder("http://localhost:1", user, key).build().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidCredentials, "{user:?} {key:?}");
            assert!(!format!("{error:?}").contains("secret"));
        }
    }

    #[test]
    fn without_a_runtime_the_error_says_so() {
        let error = Session::builder("http://localhost:1", "u", "k").build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoRuntime);
    }

    #[tokio::test]
    async fn the_key_never_shows_in_debug() {
        let builder =
            Session::builder("http://localhost:1", "u", "marked-4711").header("cookie", "marked-4711");
        let builder_debug = format!("{builder:?}");
        let session = builder.build().unwrap();
        assert!(!format!("{builder_debug} {session:?} {:?}", session.event_hub().engine()).contains("4711"));
    }

    #[test]
    fn missing_environment_variables_are_named() {
        let error = Session::from_lookup(|name| (name == "FTRACK_SERVER").then(|| "http://h".to_owned()))
            .unwrap_err();
        assert!(error.to_string().contains("FTRACK_API_USER, FTRACK_API_KEY"), "{error}");
        assert!(!error.to_string().contains("FTRACK_SERVER"), "{error}");
        let builder = Session::from_lookup(|_| Some("http://h".to_owned())).unwrap();
        assert_eq!(builder.user, "http://h");
    }
}
