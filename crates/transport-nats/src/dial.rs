//! Connecting, by `async-nats`: one attempt, and a connection that does not repair itself.
//!
//! The library would connect again for ever, without jitter and without saying when; here that is the supervisor's
//! business. So every connection is made with a second address in its pool that leads nowhere: when the connection ends, the
//! library is sent there, is refused at once, and gives up.

use std::collections::VecDeque;
use std::future::ready;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event, ReconnectToServer, ServerAddr};
use event_core::{Error, ErrorKind, Result};
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;

use crate::address::Address;
use crate::credentials::Credentials;
use crate::errors;
use crate::tls::{self, Tls};

/// How many reports of the library wait at most; the link takes them at every turn.
const REPORTS: usize = 256;
/// Port 0 is nobody's.
const NOWHERE: &str = "nats://127.0.0.1:0";
/// Commands to the library that wait at most.
const COMMANDS: usize = 1_024;

/// What a connection needs.
#[derive(Clone, Debug)]
pub(crate) struct Dial {
    pub(crate) addresses: Vec<Address>,
    pub(crate) credentials: Option<Credentials>,
    pub(crate) tls: Option<Tls>,
    pub(crate) tls_first: bool,
    pub(crate) name: String,
    pub(crate) connect_timeout: Duration,
    pub(crate) ping_interval: Duration,
    pub(crate) buffer: usize,
}

/// A connection.
pub(crate) struct Dialled {
    pub(crate) client: Client,
    pub(crate) reports: Arc<Reports>,
    pub(crate) peer: String,
}

/// What the library reports besides messages.
#[derive(Default)]
pub(crate) struct Reports {
    queue: Mutex<VecDeque<Event>>,
    waker: Mutex<Option<Arc<AtomicWaker>>>,
}

impl Reports {
    fn push(&self, event: Event) {
        {
            let mut queue = self.queue.lock();
            // A thousand drops are told by the first of them.
            let repeated = matches!(event, Event::SlowConsumer(_)) && queue.contains(&event);
            if repeated || queue.len() >= REPORTS {
                return;
            }
            queue.push_back(event);
        }
        if let Some(waker) = &*self.waker.lock() {
            waker.wake();
        }
    }

    /// Whom to wake when there is a report.
    pub(crate) fn wakes(&self, waker: &Arc<AtomicWaker>) {
        *self.waker.lock() = Some(Arc::clone(waker));
    }

    pub(crate) fn take(&self) -> VecDeque<Event> {
        std::mem::take(&mut *self.queue.lock())
    }
}

impl Dial {
    /// Tries each address once, in random order, and gives the first connection.
    pub(crate) async fn connect(&self) -> Result<Dialled> {
        let hasher = RandomState::new();
        let mut addresses: Vec<&Address> = self.addresses.iter().collect();
        addresses.sort_by_cached_key(|address| hasher.hash_one(address.to_string()));
        let mut failures: Vec<Error> = Vec::new();
        for address in addresses {
            match self.connect_to(address).await {
                Ok(dialled) => return Ok(dialled),
                // Another server of the same cluster would say the same.
                Err(error) if refuses(&error) => return Err(error),
                Err(error) => failures.push(error),
            }
        }
        Err(together(failures))
    }

    async fn connect_to(&self, address: &Address) -> Result<Dialled> {
        let reports = Arc::new(Reports::default());
        let mut options = self.options(address)?;
        let (first, nowhere) = (address.server.clone(), nowhere()?);
        let pool = vec![first.clone(), nowhere.clone()];
        let connected = Mutex::new(false);
        options = options.reconnect_to_server_callback(move |_, _| {
            let again = std::mem::replace(&mut *connected.lock(), true);
            let addr = if again { nowhere.clone() } else { first.clone() };
            ready(Some(ReconnectToServer { addr, delay: Some(Duration::ZERO) }))
        });
        let told = Arc::clone(&reports);
        options = options.event_callback(move |event| {
            told.push(event);
            ready(())
        });
        if let Some(credentials) = &self.credentials {
            options = credentials.apply(options).await?;
        }
        let client = options.connect(pool).await.map_err(|cause| errors::connect(address, &cause))?;
        Ok(Dialled { client, reports, peer: address.to_string() })
    }

    fn options(&self, address: &Address) -> Result<ConnectOptions> {
        let config = match &self.tls {
            Some(tls) => tls.config()?,
            None if address.tls => Tls::default().config()?,
            None => tls::trusting_nobody()?,
        };
        let mut options = ConnectOptions::new()
            .name(&self.name)
            .max_reconnects(1)
            .ignore_discovered_servers()
            .connection_timeout(self.connect_timeout)
            .ping_interval(self.ping_interval)
            .subscription_capacity(self.buffer)
            .client_capacity(COMMANDS)
            .require_tls(self.tls.is_some() || address.tls)
            .tls_client_config(config);
        if self.tls_first {
            options = options.tls_first();
        }
        Ok(options)
    }
}

fn nowhere() -> Result<ServerAddr> {
    NOWHERE.parse().map_err(|cause: std::io::Error| {
        Error::new(ErrorKind::InvalidUrl, "connect", "the address that leads nowhere does not parse")
            .with_source(cause)
    })
}

fn refuses(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unauthenticated | ErrorKind::InvalidCredentials)
}

/// One error for several servers: that of the last, and what the others said.
fn together(mut failures: Vec<Error>) -> Error {
    let Some(last) = failures.pop() else {
        return Error::new(
            ErrorKind::InvalidInput,
            "connect",
            "there is no server to connect to; give an address",
        );
    };
    if failures.is_empty() {
        return last;
    }
    // Worth another attempt if one of them is.
    let kind = failures.iter().find(|error| error.is_transient()).map_or(last.kind(), Error::kind);
    let said: Vec<&str> = failures.iter().chain([&last]).map(Error::message).collect();
    let retry = failures.iter().chain([&last]).find(|error| error.is_transient()).map(Error::retry);
    let message = format!("none of {} servers: {}", said.len(), said.join("; "));
    let error = Error::new(kind, "connect", message);
    let error = match retry {
        Some(retry) => error.with_retry(retry),
        None => error,
    };
    error.with_source(last)
}
