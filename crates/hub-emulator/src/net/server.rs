//! A listening socket, a door for streams without one, and the tasks that hang on both. Each service stands on one
//! of these.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Secure;
use super::carrier::{Untold, Wire};
use super::memory::{MemoryStream, pair};
use super::socket::Socket;
use super::valve::{Fate, Rate, Valve};
use crate::error::Error;

/// The pause after the system had no more sockets to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a task needs to start others and to know when to end.
#[derive(Clone, Debug)]
pub(crate) struct Tasks {
    pub(crate) tracker: TaskTracker,
    pub(crate) stop: CancellationToken,
}

/// In the extensions of a request: ends its connection.
#[derive(Clone, Debug)]
pub(crate) struct Ending {
    pub(crate) valve: Arc<Valve>,
    now: CancellationToken,
}

impl Ending {
    /// Ends it so. What answers the request is dropped with it.
    pub(crate) fn end(&self, fate: Fate) {
        self.valve.turn(fate);
        self.now.cancel();
    }
}

/// What goes wrong with a connection before anything is read from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    Refuse,
    Delay(Duration),
    End(Fate),
    Reads(Rate),
    Writes(Rate),
}

/// Asked for every new connection.
pub(crate) type Gate = Arc<dyn Fn() -> Vec<Trouble> + Send + Sync>;

/// Where a server is reached.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// Over TCP at this address, perhaps with TLS, and in memory.
    Listening(SocketAddr, Option<Secure>),
    /// In memory only. The address is what clients are told.
    InMemory(SocketAddr),
}

/// The way in without a socket. It stays the same over restarts.
#[derive(Clone, Default)]
pub(crate) struct Door(Arc<Mutex<Option<Host>>>);

/// Who serves streams.
#[derive(Clone)]
struct Host {
    site: Router,
    gate: Gate,
    head_timeout: Duration,
    /// Who it is to clients that come over TCP, if that is with TLS.
    secure: Option<Secure>,
    /// Whether answers say the machine's time.
    dated: bool,
    tasks: Tasks,
    untold: Untold,
}

/// A running server. Dropping it closes the listening socket at once, and ends every task soon after.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    listener: Arc<Listener>,
    door: Door,
    tasks: Tasks,
    untold: Untold,
}

/// The socket is taken out to close it, whatever the accepting task is doing.
type Listener = Mutex<Option<TcpListener>>;

impl Server {
    /// Serves what `site` makes. A client has `head_timeout` to send the head of a request.
    pub(crate) async fn start(
        place: Place,
        door: &Door,
        head_timeout: Duration,
        gate: Gate,
        site: impl FnOnce(&Tasks, SocketAddr) -> Router,
    ) -> Result<Self, Error> {
        let (listener, address, secure) = match place {
            Place::Listening(address, secure) => {
                let bound = |cause| Error::bind(address, cause);
                let listener = TcpListener::bind(address).await.map_err(bound)?;
                let address = listener.local_addr().map_err(bound)?;
                tracing::info!(%address, "listening");
                (Some(listener), address, secure)
            }
            Place::InMemory(address) => (None, address, None),
        };
        let tasks = Tasks { tracker: TaskTracker::new(), stop: CancellationToken::new() };
        let untold = Untold::default();
        let host = Host {
            site: site(&tasks, address),
            gate,
            head_timeout,
            secure,
            dated: listener.is_some(),
            tasks: tasks.clone(),
            untold: untold.clone(),
        };
        let listens = listener.is_some();
        let listener = Arc::new(Mutex::new(listener));
        if listens {
            tasks.tracker.spawn(accept(host.clone(), Arc::clone(&listener)));
        }
        *door.0.lock() = Some(host);
        Ok(Self { address, listener, door: door.clone(), tasks, untold })
    }

    /// Ends; says whether it had not ended before.
    pub(crate) fn end(&self) -> bool {
        let first = !self.tasks.stop.is_cancelled();
        self.tasks.stop.cancel();
        self.tasks.tracker.close();
        self.listener.lock().take();
        if first {
            self.door.0.lock().take();
            self.untold.end();
        }
        first
    }

    /// Waits until no task is left.
    pub(crate) async fn ended(&self) {
        self.tasks.tracker.wait().await;
        self.untold.end();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

impl Door {
    /// A connection without a socket, served like one over TCP.
    ///
    /// # Errors
    ///
    /// Refused when no server runs, or a fault says so.
    pub(crate) fn open(&self) -> io::Result<MemoryStream> {
        let host = self.0.lock().clone().ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::ConnectionRefused,
                "the emulator does not serve; start or restart it",
            )
        })?;
        let troubles = (host.gate)();
        if troubles.contains(&Trouble::Refuse) {
            return Err(io::Error::new(io::ErrorKind::ConnectionRefused, "refused on demand"));
        }
        let (client, server) = pair();
        host.welcome(Wire::Memory(server), troubles);
        Ok(client)
    }
}

/// Whether it is open.
impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").field("open", &self.0.lock().is_some()).finish()
    }
}

impl Host {
    /// Serves a stream in a task of its own.
    fn welcome(&self, wire: Wire, troubles: Vec<Trouble>) {
        let host = self.clone();
        let stop = self.tasks.stop.clone();
        self.tasks.tracker.spawn(async move {
            let receiving = async {
                let wire =
                    if troubles.contains(&Trouble::Refuse) { Some(wire) } else { host.secured(wire).await };
                if let Some(wire) = wire {
                    let socket = Socket::new(wire, host.untold.clone());
                    host.receive(socket, troubles).await;
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = receiving => {}
            }
        });
    }

    /// The stream after the TLS handshake, if there is to be one; `None` if it failed.
    #[cfg(feature = "tls")]
    async fn secured(&self, wire: Wire) -> Option<Wire> {
        match (wire, &self.secure) {
            (Wire::Tcp(stream), Some(secure)) => {
                match tokio::time::timeout(self.head_timeout, secure.accept(stream)).await {
                    Ok(Ok(stream)) => Some(Wire::Tls(Box::new(stream))),
                    Ok(Err(error)) => {
                        tracing::debug!(%error, "a TLS handshake failed");
                        None
                    }
                    Err(_) => None,
                }
            }
            (wire, _) => Some(wire),
        }
    }

    #[cfg(not(feature = "tls"))]
    #[expect(clippy::unused_async, reason = "there is nothing to await without TLS")]
    async fn secured(&self, wire: Wire) -> Option<Wire> {
        match &self.secure {
            None => Some(wire),
            Some(never) => match *never {},
        }
    }

    async fn receive(self, socket: Socket, troubles: Vec<Trouble>) {
        let valve = Arc::clone(socket.valve());
        for trouble in troubles {
            match trouble {
                Trouble::Refuse => valve.turn(Fate::Reset),
                Trouble::Delay(by) => sleep(by).await,
                Trouble::End(fate) => valve.turn(fate),
                Trouble::Reads(rate) => valve.limit_reads(rate),
                Trouble::Writes(rate) => valve.limit_writes(rate),
            }
        }
        if !matches!(valve.fate(), Fate::Fin | Fate::Reset) {
            self.serve(socket).await;
        }
    }

    async fn serve(self, socket: Socket) {
        let ending = Ending { valve: Arc::clone(socket.valve()), now: CancellationToken::new() };
        let ended = ending.now.clone();
        let routes = TowerToHyperService::new(self.site);
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ending.clone());
            routes.call(request)
        });
        let mut connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.head_timeout)
            .auto_date_header(self.dated)
            .serve_connection(TokioIo::new(socket), service)
            .with_upgrades();
        tokio::select! {
            biased;
            () = ended.cancelled() => {}
            served = &mut connection => {
                if let Err(error) = served {
                    tracing::debug!(%error, "an HTTP connection failed");
                }
            }
        }
    }
}

async fn accept(host: Host, listener: Arc<Listener>) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = host.tasks.stop.cancelled() => return,
            accepted = next(&listener) => accepted,
        };
        match accepted {
            Ok(stream) => {
                let _ = stream.set_nodelay(true);
                host.welcome(Wire::Tcp(stream), (host.gate)());
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn next(listener: &Listener) -> io::Result<TcpStream> {
    std::future::poll_fn(|cx| match listener.lock().as_ref() {
        Some(listener) => listener.poll_accept(cx).map_ok(|(stream, _)| stream),
        // Closed: the stop token ends the task.
        None => Poll::Pending,
    })
    .await
}
