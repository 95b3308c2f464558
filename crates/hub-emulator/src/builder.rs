//! Settings of an emulator.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use event_core::{Event, Secret};

use crate::Emulator;
use crate::clock::Source;
use crate::emulator::Services;
use crate::error::{Error, ErrorKind};
use crate::faults::{Bugginess, Defect, Defects};
use crate::ftrack::{Config, Users, Witness};
use crate::imodelhub;
#[cfg(feature = "tls")]
use crate::net::Secure;
use crate::origin::Policy;

const MIB: usize = 1024 * 1024;

/// Sets up an [`Emulator`]; made by [`Emulator::builder`]. Settings without a service in their text are for both.
///
/// Durations may be fractions of a second, for tests. The handshake announces whole seconds, rounded up.
#[derive(Clone, Debug)]
#[must_use = "nothing listens before `start`"]
#[expect(clippy::struct_excessive_bools, reason = "switches that have nothing to do with each other")]
pub struct Builder {
    config: Config,
    pub(crate) imodelhub: imodelhub::Config,
    policy: Policy,
    allow_remote: bool,
    with_ftrack: bool,
    pub(crate) with_imodelhub: bool,
    in_memory: bool,
    clock: Option<Source>,
    defects: Vec<Defect>,
    bugginess: Option<Bugginess>,
    #[cfg(feature = "tls")]
    tls: Option<crate::secure::TlsCertificate>,
    invalid: Option<String>,
}

impl Builder {
    pub(crate) fn new() -> Self {
        let config = Config {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            users: Users::default(),
            policy: Policy::default(),
            heartbeat_interval: Duration::from_secs(10),
            heartbeat_timeout: Duration::from_secs(60),
            close_timeout: Duration::from_secs(60),
            handshake_timeout: Duration::from_secs(30),
            max_frame: 64 * MIB,
            queue_frames: 16_384,
            queue_bytes: 64 * MIB,
            repeat_window: Duration::from_secs(600),
            repeat_ids: 100_000,
            max_connections: 16_384,
            max_subscriptions: 1_000_000,
            witness: None,
        };
        Self {
            config,
            imodelhub: imodelhub::Config::default(),
            policy: Policy::default(),
            allow_remote: false,
            with_ftrack: true,
            with_imodelhub: true,
            in_memory: false,
            clock: None,
            defects: Vec::new(),
            bugginess: None,
            #[cfg(feature = "tls")]
            tls: None,
            invalid: None,
        }
    }

    /// Where the ftrack side listens. Default: `127.0.0.1`, a free port.
    pub fn ftrack_addr(mut self, address: SocketAddr) -> Self {
        self.config.address = address;
        self
    }

    /// Does not listen for ftrack clients; [`Emulator::ftrack_url`] leads nowhere then.
    pub fn without_ftrack(mut self) -> Self {
        self.with_ftrack = false;
        self
    }

    /// Opens no socket at all: clients come by [`Emulator::ftrack_dialer`], [`Emulator::ftrack_stream`],
    /// [`Emulator::imodelhub_http`] and [`Emulator::imodelhub_stream`], which work beside sockets too. Time is tokio's
    /// alone, so on a current-thread runtime with a paused clock every run is the same. The URLs keep their form, and
    /// lead nowhere. Default: it listens.
    pub fn in_memory(mut self) -> Self {
        self.in_memory = true;
        self
    }

    /// The time at the start; from there on it goes as tokio's clock does. Default: the machine's time.
    pub fn starts_at(mut self, time: SystemTime) -> Self {
        self.clock = Some(Source::From(time));
        self
    }

    /// What time it is, asked whenever it matters: ages of handshakes, event ids, locks, tokens and subscriptions,
    /// and dates. It should not go back. Waiting is in tokio's time all the same. Default: as for
    /// [`Builder::starts_at`].
    pub fn clock(mut self, clock: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        self.clock = Some(Source::Asked(Arc::new(clock)));
        self
    }

    /// Starts with this flaw; repeat it for several. Default: none. See also [`Emulator::set_defect`].
    pub fn defect(mut self, defect: Defect) -> Self {
        self.defects.push(defect);
        self
    }

    /// Makes faults strike by chance, on both sides. Default: none does. See also [`Emulator::bugginess`].
    pub fn bugginess(mut self, bugginess: Bugginess) -> Self {
        if bugginess.check().is_err() {
            self.refuse("a probability is 0 to 1");
        }
        self.bugginess = Some(bugginess);
        self
    }

    /// Adds a user that may connect; repeat it for several. Default: every name and key that are not empty.
    pub fn user(mut self, name: impl Into<String>, key: impl Into<Secret>) -> Self {
        let (name, key) = (name.into(), key.into());
        if name.is_empty() || key.is_empty() {
            self.refuse("a user has an empty name or key");
        }
        self.config.users.add(name, key);
        self
    }

    /// The time between heartbeats to a client. Default 10 s; the JavaScript client gives up after 15 s without.
    pub fn heartbeat_interval(mut self, interval: Duration) -> Self {
        self.config.heartbeat_interval = interval;
        self.positive(interval, "heartbeat_interval");
        self
    }

    /// How long nothing may come from a client before it is cut; announced in the handshake. Default 60 s.
    pub fn heartbeat_timeout(mut self, timeout: Duration) -> Self {
        self.config.heartbeat_timeout = timeout;
        self.positive(timeout, "heartbeat_timeout");
        self
    }

    /// The second time that the handshake announces; nothing else depends on it. Default 60 s.
    pub fn close_timeout(mut self, timeout: Duration) -> Self {
        self.config.close_timeout = timeout;
        self
    }

    /// How long a handshake may be used. Default 30 s.
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.config.handshake_timeout = timeout;
        self.positive(timeout, "handshake_timeout");
        self
    }

    /// The largest packet a client may send, in bytes; one that sends a larger one is cut. Default 64 MiB.
    pub fn max_frame(mut self, bytes: usize) -> Self {
        self.config.max_frame = bytes;
        self.at_least_one(bytes, "max_frame");
        self
    }

    /// How many packets, and how many bytes of them, wait for a client before it is cut as too slow. Default
    /// 16,384 packets and 64 MiB. A packet larger than that is still sent to a client that has read all others.
    pub fn queue(mut self, packets: usize, bytes: usize) -> Self {
        self.config.queue_frames = packets;
        self.config.queue_bytes = bytes;
        self.at_least_one(packets.min(bytes), "queue");
        self
    }

    /// How long, and how many, event ids are remembered to drop repeats. Default 10 minutes and 100,000 ids; 0
    /// ids lets every repeat through.
    pub fn repeat_window(mut self, window: Duration, ids: usize) -> Self {
        self.config.repeat_window = window;
        self.config.repeat_ids = ids;
        self
    }

    /// The most connections, unused handshakes included; a handshake beyond gets status 503. Default 16,384.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.config.max_connections = connections;
        self
    }

    /// The most subscriptions of all connections; one beyond is acknowledged with a refusal. Default 1,000,000.
    pub fn max_subscriptions(mut self, subscriptions: usize) -> Self {
        self.config.max_subscriptions = subscriptions.min(u32::MAX as usize / 2);
        self
    }

    /// Shows every event that the ftrack side takes, repeats and meta events aside, and for how many connections it is
    /// queued, at the moment when it is taken: for books about what arrived. It must not block, nor use the emulator.
    /// Default: nobody sees them.
    pub fn witness(mut self, witness: impl Fn(&Event, usize) + Send + Sync + 'static) -> Self {
        self.config.witness = Some(Witness(Arc::new(witness)));
        self
    }

    /// Lets web pages of this origin in, such as `https://tool.example.com`; repeat it for several. Default: pages
    /// that came from this machine, on any port.
    pub fn allow_origin(mut self, origin: impl AsRef<str>) -> Self {
        let origin = origin.as_ref();
        if self.policy.allow_origin(origin).is_none() {
            self.refuse(format!("{origin:?} is not an origin such as \"https://tool.example.com\""));
        }
        self
    }

    /// Accepts requests for this host name, such as the name of a container; repeat it for several. Default:
    /// `localhost` and loopback addresses. Pages of that host are let in too.
    pub fn allow_host(mut self, host: impl AsRef<str>) -> Self {
        let host = host.as_ref();
        if self.policy.allow_host(host).is_none() {
            self.refuse(format!("{host:?} is not a host name; give it without scheme and port"));
        }
        self
    }

    /// Speaks TLS on both sides, with this certificate: URLs begin with `https` then, and clients are to trust
    /// [`Emulator::root_certificate_pem`]. Faults of connections are above TLS: all but a refusal strike after the TLS
    /// handshake. Not [in memory](Builder::in_memory). Default: no TLS.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, certificate: crate::secure::TlsCertificate) -> Self {
        self.tls = Some(certificate);
        self
    }

    /// Lets the emulator listen on an address that other machines reach. Default: it refuses to. Nothing is encrypted
    /// unless it speaks TLS, and the admin routes ask for no key.
    pub fn allow_remote(mut self, allow: bool) -> Self {
        self.allow_remote = allow;
        self
    }

    /// Starts listening, unless it is [in memory](Builder::in_memory).
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidSetting`], [`ErrorKind::NotLoopback`], [`ErrorKind::AddressInUse`] or
    /// [`ErrorKind::Bind`].
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves nothing behind.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with I/O (unless it is in memory) and time enabled.
    pub async fn start(mut self) -> Result<Emulator, Error> {
        if let Some(message) = self.invalid {
            return Err(Error::new(ErrorKind::InvalidSetting, message));
        }
        self.config.policy = self.policy_at(self.config.address, self.with_ftrack)?;
        self.imodelhub.policy = self.policy_at(self.imodelhub.address, self.with_imodelhub)?;
        let with =
            Services { ftrack: self.with_ftrack, imodelhub: self.with_imodelhub, in_memory: self.in_memory };
        #[cfg(feature = "tls")]
        let secure = self.identity()?;
        #[cfg(feature = "tls")]
        {
            self.imodelhub.settings.tls = secure.is_some();
        }
        #[cfg(not(feature = "tls"))]
        let secure = None;
        let defects = Defects::default();
        self.defects.iter().for_each(|defect| defects.set(*defect, true));
        let clock = self.clock.unwrap_or_else(Source::machine);
        let emulator =
            Emulator::with_config((self.config, self.imodelhub), with, secure, clock, defects).await?;
        if let Some(bugginess) = &self.bugginess {
            emulator.bugginess(bugginess)?;
        }
        Ok(emulator)
    }

    /// What is shown to clients that speak TLS.
    #[cfg(feature = "tls")]
    fn identity(&self) -> Result<Option<Secure>, Error> {
        match &self.tls {
            Some(_) if self.in_memory => {
                let message = "there is no TLS in memory; leave out one of the two";
                Err(Error::new(ErrorKind::InvalidSetting, message))
            }
            Some(certificate) => certificate.issue().map(Some),
            None => Ok(None),
        }
    }

    /// Who may come in at an address, if a service may listen there at all.
    fn policy_at(&self, address: SocketAddr, used: bool) -> Result<Policy, Error> {
        let mut policy = self.policy.clone();
        if used && !address.ip().is_loopback() {
            if !self.allow_remote {
                return Err(Error::new(
                    ErrorKind::NotLoopback,
                    format!(
                        "{address} is reached from other machines; use 127.0.0.1, or allow remote clients"
                    ),
                ));
            }
            policy.allow_any_address();
        }
        Ok(policy)
    }

    pub(crate) fn positive(&mut self, duration: Duration, name: &str) {
        if duration.is_zero() {
            self.refuse(format!("{name} is zero; give it a positive duration"));
        }
    }

    pub(crate) fn at_least_one(&mut self, number: usize, name: &str) {
        if number == 0 {
            self.refuse(format!("{name} is zero; give it a positive number"));
        }
    }

    /// Remembers the first thing that is wrong.
    pub(crate) fn refuse(&mut self, message: impl Into<String>) {
        self.invalid.get_or_insert(message.into());
    }
}
