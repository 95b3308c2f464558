//! A proxy for tests: HTTP and SOCKS5 on one port, with faults, and a list of what it was asked for.

mod fault;
mod http;
mod passage;
mod socks5;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use event_core::Secret;
use parking_lot::Mutex;
use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use self::fault::ProxyFault;
pub use self::passage::{Passage, PassageEnd, ProxyProtocol};

use crate::error::{Error, ErrorKind};

/// The pause after the system had no more sockets to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// The most passages that are kept; the oldest are forgotten beyond.
const MAX_PASSAGES: usize = 10_000;

/// A proxy on a loopback port, for tests of clients: `CONNECT` and forwarding of HTTP, and SOCKS5, on the same port.
///
/// It leads to this machine only; [`ProxyBuilder::route`] gives names to servers here. Dropping it closes the port and
/// every connection.
///
/// ```
/// use hub_emulator::{Emulator, PassageEnd, Proxy};
/// # use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let emulator = Emulator::start().await?;
/// let proxy = Proxy::builder().user("jane", "secret").route("hub.example", emulator.ftrack_addr()).start().await?;
///
/// // A client would be given `http://jane:secret@..`. This one forgets to say who it is:
/// let mut client = tokio::net::TcpStream::connect(proxy.addr()).await?;
/// client.write_all(b"CONNECT hub.example:80 HTTP/1.1\r\nHost: hub.example:80\r\n\r\n").await?;
/// let mut answer = String::new();
/// client.read_to_string(&mut answer).await?;
/// assert!(answer.starts_with("HTTP/1.1 407 "));
/// assert_eq!(proxy.passages()[0].end, PassageEnd::NoCredentials);
/// # Ok(())
/// # }
/// ```
pub struct Proxy {
    shared: Arc<Shared>,
    address: SocketAddr,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// Sets up a [`Proxy`].
#[derive(Debug, Default)]
#[must_use = "nothing listens before `start`"]
pub struct ProxyBuilder {
    user: Option<(String, Secret)>,
    routes: HashMap<String, SocketAddr>,
}

struct Shared {
    user: Option<(String, Secret)>,
    routes: HashMap<String, SocketAddr>,
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    fault: Option<ProxyFault>,
    passages: Vec<Passage>,
    /// Ends the connections there are.
    cut: CancellationToken,
}

impl ProxyBuilder {
    /// The user that may pass. Default: everybody, with and without credentials.
    pub fn user(mut self, name: impl Into<String>, password: impl Into<Secret>) -> Self {
        self.user = Some((name.into(), password.into()));
        self
    }

    /// Leads to this address, on whatever port, when a client asks for `host`; repeat it for several.
    pub fn route(mut self, host: impl AsRef<str>, address: SocketAddr) -> Self {
        self.routes.insert(host.as_ref().to_ascii_lowercase(), address);
        self
    }

    /// Starts listening on a free port of `127.0.0.1`.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Bind`], or [`ErrorKind::NotLoopback`] for a route to another machine.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves nothing behind.
    pub async fn start(self) -> Result<Proxy, Error> {
        if let Some(address) = self.routes.values().find(|address| !address.ip().is_loopback()) {
            let message = format!("{address} is another machine; the proxy leads to this one only");
            return Err(Error::new(ErrorKind::NotLoopback, message));
        }
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let bound = |cause| Error::bind(address, cause);
        let listener = TcpListener::bind(address).await.map_err(bound)?;
        let address = listener.local_addr().map_err(bound)?;
        let state = State { fault: None, passages: Vec::new(), cut: CancellationToken::new() };
        let shared = Arc::new(Shared {
            user: self.user,
            routes: self.routes,
            state: Mutex::new(state),
            changed: Notify::new(),
        });
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        tasks.spawn(accept(listener, Arc::clone(&shared), stop.clone(), tasks.clone()));
        Ok(Proxy { shared, address, stop, tasks })
    }
}

impl Proxy {
    /// Starts one that lets everybody pass.
    ///
    /// # Errors
    ///
    /// As for [`ProxyBuilder::start`].
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves nothing behind.
    pub async fn start() -> Result<Self, Error> {
        Self::builder().start().await
    }

    /// Starts describing one.
    pub fn builder() -> ProxyBuilder {
        ProxyBuilder::default()
    }

    /// The address listened on.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// What goes wrong from the next connection on; `None` ends it.
    pub fn set_fault(&self, fault: impl Into<Option<ProxyFault>>) {
        self.shared.state.lock().fault = fault.into();
    }

    /// What it was asked for so far, the oldest first; the last 10,000. Credentials are not among it.
    pub fn passages(&self) -> Vec<Passage> {
        self.shared.state.lock().passages.clone()
    }

    /// Resolves with the first list of passages for which `condition` holds. It has no deadline: wrap it in
    /// `tokio::time::timeout`.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn wait_for(&self, mut condition: impl FnMut(&[Passage]) -> bool) -> Vec<Passage> {
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let passages = self.passages();
            if condition(&passages) {
                return passages;
            }
            changed.await;
        }
    }

    /// Ends every connection through it, without a word.
    pub fn cut_all(&self) {
        let cut = std::mem::take(&mut self.shared.state.lock().cut);
        cut.cancel();
    }

    /// Closes the port and every connection, and returns when no task is left. Stopping twice is fine.
    ///
    /// # Cancel safety
    ///
    /// A dropped future leaves the proxy ending, or as it was if it was not polled.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("address", &self.address).finish_non_exhaustive()
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, stop: CancellationToken, tasks: TaskTracker) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((client, _)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (shared, stop) = (Arc::clone(&shared), stop.clone());
        let (cut, fault) = {
            let state = shared.state.lock();
            (state.cut.clone(), state.fault.clone())
        };
        tasks.spawn(async move {
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = cut.cancelled() => {}
                served = serve(&shared, client, fault) => {
                    if let Err(error) = served {
                        tracing::debug!(%error, "a connection through the proxy failed");
                    }
                }
            }
        });
    }
}

/// The first byte says which protocol it is.
async fn serve(shared: &Shared, client: TcpStream, fault: Option<ProxyFault>) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut first = [0];
    if client.peek(&mut first).await? == 0 {
        return Ok(());
    }
    let passing = Passing { shared, client, fault };
    if first[0] == socks5::VERSION { socks5::serve(passing).await } else { http::serve(passing).await }
}

/// One connection at work.
struct Passing<'a> {
    shared: &'a Shared,
    client: TcpStream,
    fault: Option<ProxyFault>,
}

/// How a way to a server was found.
enum Way {
    To(TcpStream),
    Forbidden,
    Unreachable,
}

impl Passing<'_> {
    /// Writes an answer of the proxy, in pieces if that is the fault.
    async fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        if !matches!(self.fault, Some(ProxyFault::Pieces)) {
            return self.client.write_all(bytes).await;
        }
        for byte in bytes {
            self.client.write_all(std::slice::from_ref(byte)).await?;
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Says something, and ends the connection without a reset.
    async fn say_last(mut self, bytes: &[u8]) -> io::Result<()> {
        self.say(bytes).await?;
        self.client.shutdown().await?;
        self.drain().await
    }

    /// Reads until the client goes.
    async fn drain(mut self) -> io::Result<()> {
        tokio::io::copy(&mut self.client, &mut tokio::io::sink()).await.map(drop)
    }

    fn note(&self, protocol: ProxyProtocol, target: &str, end: PassageEnd) {
        let mut state = self.shared.state.lock();
        if state.passages.len() >= MAX_PASSAGES {
            state.passages.remove(0);
        }
        state.passages.push(Passage { protocol, target: target.to_owned(), end });
        drop(state);
        self.shared.changed.notify_waiters();
    }

    async fn way(&self, host: &str, port: u16) -> Way {
        let address = match self.shared.routes.get(&host.to_ascii_lowercase()) {
            Some(address) => *address,
            None if host.eq_ignore_ascii_case("localhost") => SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
            None => match host.parse::<IpAddr>() {
                Ok(ip) if ip.is_loopback() => SocketAddr::new(ip, port),
                Ok(_) => return Way::Forbidden,
                // Nobody's name is looked up.
                Err(_) => return Way::Unreachable,
            },
        };
        match TcpStream::connect(address).await {
            Ok(server) => {
                let _ = server.set_nodelay(true);
                Way::To(server)
            }
            Err(_) => Way::Unreachable,
        }
    }

    /// Carries bytes both ways until both ends are done.
    async fn carry(mut self, mut server: TcpStream) -> io::Result<()> {
        copy_bidirectional(&mut self.client, &mut server).await.map(drop)
    }
}
