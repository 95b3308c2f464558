//! The transport and its settings.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use event_core::transport::{
    Attempt, Capabilities, Continuity, Guarantee, Guarantees, Link, LinkInfo, Transport,
};
use event_core::{Error, ErrorKind, Result, SubscriptionId};
use parking_lot::Mutex;

use crate::address::Address;
use crate::bucket::{Bucket, NewBucket};
use crate::credentials::Credentials;
use crate::dial::Dial;
use crate::jetstream::JetStream;
use crate::link;
use crate::link::stream::StreamFacts;
use crate::stats::{Counters, Stats};
use crate::subject::Subjects;
use crate::tls::Tls;

/// Events over NATS.
///
/// # Delivery
///
/// Over core NATS at most once: a subscription gets what is published while it stands. With [`JetStream`], a subscription
/// that [requires](event_core::hub::Subscribe::require) [`Guarantee::AtLeastOnce`] or is
/// [durable](event_core::hub::Subscribe::durable) reads the stream through a consumer, under locks; the others are as over
/// core NATS. Publishes are confirmed by the server, or by the stream.
///
/// The [address](event_core::hub::Subscribe::address) of an at-most-once subscription is the name of its queue group: of
/// all subscriptions in a group one gets each event. Durable subscriptions of one name share their events.
///
/// # Recovery
///
/// A link ends with its connection; [`Supervised`](event_core::supervisor::Supervised) makes the next one, to any of the
/// servers. What was published meanwhile is missed by at-most-once subscriptions, and told as a gap. In a cluster, core NATS
/// passes on what it can: what is published at a server that is just back, and does not know yet who listens at the
/// others, is missed there, and nobody can tell. What must not be missed is read from a stream.
pub struct NatsTransport {
    config: Arc<Config>,
}

/// What links need to know.
pub(crate) struct Config {
    pub(crate) dial: Dial,
    pub(crate) subjects: Subjects,
    pub(crate) jetstream: Option<JetStream>,
    pub(crate) max_payload: usize,
    pub(crate) window: usize,
    pub(crate) answer_timeout: Duration,
    pub(crate) counters: Counters,
    /// What was there when a link last looked: a link that comes after it need not wait for a leader to tell.
    pub(crate) known: Mutex<Known>,
    /// Tells the consumers of this transport's unnamed subscriptions from those of others.
    pub(crate) own: String,
    /// What events that are passed on are marked with.
    pub(crate) origin: Option<String>,
}

/// What is known to be there.
#[derive(Default)]
pub(crate) struct Known {
    /// The stream.
    pub(crate) stream: Option<StreamFacts>,
    /// Consumers, with the settings they have.
    pub(crate) consumers: HashMap<String, String>,
}

/// Describes a [`NatsTransport`].
#[must_use = "a builder does nothing until it is built"]
pub struct NatsTransportBuilder {
    addresses: Vec<String>,
    credentials: Option<Credentials>,
    prefix: String,
    jetstream: Option<JetStream>,
    max_payload: usize,
    window: usize,
    answer_timeout: Duration,
    tls: Option<Tls>,
    tls_first: bool,
    name: String,
    origin: Option<String>,
    connect_timeout: Duration,
    ping_interval: Duration,
    buffer: usize,
}

impl NatsTransport {
    /// Starts describing a transport to one server, or to the servers of a cluster: `nats://host:4222`, `tls://..` or
    /// `host`. User and password, or a token, may stand in an address; they are shown nowhere.
    ///
    /// ```
    /// use transport_nats::{Credentials, NatsTransport};
    ///
    /// let transport = NatsTransport::builder(["tls://n1.example.com", "tls://n2.example.com"])
    ///     .credentials(Credentials::user_password("farm", "not-shown-anywhere"))
    ///     .prefix("studio.events")
    ///     .build()?;
    /// assert!(!format!("{transport:?}").contains("not-shown-anywhere"));
    /// # Ok::<(), event_core::Error>(())
    /// ```
    pub fn builder<A: Into<String>>(servers: impl IntoIterator<Item = A>) -> NatsTransportBuilder {
        NatsTransportBuilder {
            addresses: servers.into_iter().map(Into::into).collect(),
            credentials: None,
            prefix: "events".to_owned(),
            jetstream: None,
            max_payload: 1_000_000,
            window: 512,
            answer_timeout: Duration::from_secs(10),
            tls: None,
            tls_first: false,
            name: concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")).to_owned(),
            origin: None,
            connect_timeout: Duration::from_secs(5),
            ping_interval: Duration::from_secs(15),
            buffer: 16_384,
        }
    }

    /// Opens a few values under keys, on a connection of its own; creates what keeps them if it is not there.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] for a name that cannot be used, [`ErrorKind::Unsupported`] without JetStream, and those
    /// of connecting.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave the empty bucket behind, and nothing else.
    pub async fn bucket(&self, wanted: &NewBucket) -> Result<Bucket> {
        let domain = self.config.jetstream.as_ref().and_then(|settings| settings.domain.as_deref());
        Bucket::open(self.config.dial.connect().await?, domain, self.config.answer_timeout, wanted).await
    }

    /// What has been counted so far, over all links.
    pub fn stats(&self) -> Stats {
        self.config.counters.read()
    }
}

impl NatsTransportBuilder {
    /// Who connects. Default: whoever stands in an address, or nobody.
    pub fn credentials(mut self, credentials: Credentials) -> Self {
        self.credentials = Some(credentials);
        self
    }

    /// Below which subject the events are; see [`Subjects`]. Default `events`.
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Publishes into a stream, and delivers from it at least once. Default: core NATS alone.
    pub fn jetstream(mut self, jetstream: JetStream) -> Self {
        self.jetstream = Some(jetstream);
        self
    }

    /// The largest event that is carried, in bytes of JSON. Default 1,000,000, which leaves room for headers where the
    /// server takes the usual 1 MiB. A server that takes less refuses less large events, too.
    pub fn max_payload(mut self, bytes: usize) -> Self {
        self.max_payload = bytes;
        self
    }

    /// How many publishes may wait for their confirmation. Default 512.
    pub fn window(mut self, publishes: usize) -> Self {
        self.window = publishes.max(1);
        self
    }

    /// How long the server may take for an answer: to a publish, a settlement, a request of JetStream. Default 10 s.
    pub fn answer_timeout(mut self, timeout: Duration) -> Self {
        self.answer_timeout = timeout;
        self
    }

    /// Speaks TLS, whatever the addresses say. Default: with servers whose address begins with `tls://`.
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Speaks TLS from the first byte on, as servers with `handshake_first` want it.
    pub fn tls_first(mut self) -> Self {
        self.tls_first = true;
        self
    }

    /// What this connection is called in the server's monitoring.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Marks what is published with this name, in a header, and leaves out what comes with it: from a stream it is
    /// completed at once. For whoever passes events on between NATS and something else, so that none goes in circles.
    /// Default: no mark, and everything comes.
    pub fn origin(mut self, name: impl Into<String>) -> Self {
        self.origin = Some(name.into());
        self
    }

    /// How long one server may take to let us in. Default 5 s.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// After how long a silence the server is asked whether it lives; after two unanswered questions the link ends.
    /// Default 15 s.
    pub fn ping_interval(mut self, interval: Duration) -> Self {
        self.ping_interval = interval;
        self
    }

    /// How many messages of one subscription wait to be read, at most; more are dropped, counted, and told as a gap.
    /// Default 16,384.
    pub fn buffer(mut self, messages: usize) -> Self {
        self.buffer = messages.max(1);
        self
    }

    /// The transport. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidUrl`] for an address, [`ErrorKind::InvalidInput`] for a prefix or a setting that cannot be
    /// used.
    pub fn build(self) -> Result<NatsTransport> {
        let mut credentials = self.credentials;
        let mut addresses = Vec::new();
        for text in &self.addresses {
            let (address, within) = Address::parse(text)?;
            if credentials.is_none() {
                credentials = within;
            }
            addresses.push(address);
        }
        if addresses.is_empty() {
            let message = "there is no server to connect to; give an address such as nats://host:4222";
            return Err(Error::new(ErrorKind::InvalidInput, "build transport", message));
        }
        if let Some(jetstream) = &self.jetstream {
            jetstream.check()?;
        }
        let dial = Dial {
            addresses,
            credentials,
            tls: self.tls,
            tls_first: self.tls_first,
            name: self.name,
            connect_timeout: self.connect_timeout,
            ping_interval: self.ping_interval,
            buffer: self.buffer,
        };
        let config = Config {
            dial,
            subjects: Subjects::new(self.prefix)?,
            jetstream: self.jetstream,
            max_payload: self.max_payload,
            window: self.window,
            answer_timeout: self.answer_timeout,
            counters: Counters::default(),
            known: Mutex::default(),
            own: SubscriptionId::random().as_str().to_owned(),
            origin: self.origin,
        };
        Ok(NatsTransport { config: Arc::new(config) })
    }
}

#[async_trait]
impl Transport for NatsTransport {
    fn name(&self) -> &'static str {
        "nats"
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.publish = true;
        capabilities.publish_receipt = true;
        capabilities.reply = true;
        capabilities.server_filter = true;
        capabilities.own_verbs = true;
        capabilities.guarantees = Guarantees::only(Guarantee::AtMostOnce);
        capabilities.max_payload = Some(self.config.max_payload);
        capabilities.window = Some(self.config.window);
        if self.config.jetstream.is_some() {
            capabilities.guarantees = Guarantees::both();
            capabilities.continuity = Continuity::Resumes;
            capabilities.nack = true;
            capabilities.extend_lock = true;
            capabilities.durable = true;
        }
        capabilities
    }

    async fn connect(&self, attempt: Attempt) -> Result<Link> {
        let dialled = self.config.dial.connect().await?;
        let peer = dialled.peer.clone();
        tracing::debug!(%peer, attempt = attempt.number, "connected");
        let (tx, rx) = link::open(Arc::clone(&self.config), dialled).await?;
        Ok(Link { info: LinkInfo::ready(peer), tx: Box::new(tx), rx: Box::pin(rx) })
    }
}

impl fmt::Debug for NatsTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsTransport")
            .field("servers", &self.config.dial.addresses)
            .field("prefix", &self.config.subjects.prefix())
            .field("jetstream", &self.config.jetstream)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for NatsTransportBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsTransportBuilder")
            .field("servers", &self.addresses.len())
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}
