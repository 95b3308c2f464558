//! The listening socket, and the tasks that hang on it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Hub, http};
use crate::error::Error;

/// How long a client may take to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// The pause after the system had no more sockets to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a task needs to start others and to know when to end.
#[derive(Clone, Debug)]
pub(super) struct Tasks {
    pub(super) tracker: TaskTracker,
    pub(super) stop: CancellationToken,
}

/// A running server. Dropping it closes the listening socket at once, and ends every task soon after.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    hub: Arc<Hub>,
    listener: Arc<Listener>,
    tasks: Tasks,
}

/// The socket is taken out to close it, whatever the accepting task is doing.
type Listener = Mutex<Option<TcpListener>>;

impl Server {
    pub(crate) async fn start(hub: Arc<Hub>, address: SocketAddr) -> Result<Self, Error> {
        let listener = TcpListener::bind(address).await.map_err(|cause| Error::bind(address, cause))?;
        let address = listener.local_addr().map_err(|cause| Error::bind(address, cause))?;
        let listener = Arc::new(Mutex::new(Some(listener)));
        let tasks = Tasks { tracker: TaskTracker::new(), stop: CancellationToken::new() };
        hub.set_running(true);
        tasks.tracker.spawn(accept(Arc::clone(&hub), Arc::clone(&listener), tasks.clone()));
        tasks.tracker.spawn(forget_handshakes(Arc::clone(&hub), tasks.stop.clone()));
        tracing::info!(%address, "listening");
        Ok(Self { address, hub, listener, tasks })
    }

    /// Ends, and waits until no task is left.
    pub(crate) async fn stop(self) {
        self.end();
        self.tasks.tracker.wait().await;
    }

    fn end(&self) {
        self.tasks.stop.cancel();
        self.tasks.tracker.close();
        let listener = self.listener.lock().take();
        if listener.is_some() {
            self.hub.set_running(false);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

async fn accept(hub: Arc<Hub>, listener: Arc<Listener>, tasks: Tasks) {
    let site = http::site(hub, tasks.clone());
    loop {
        let accepted = tokio::select! {
            () = tasks.stop.cancelled() => return,
            accepted = next(&listener) => accepted,
        };
        match accepted {
            Ok(stream) => {
                let _ = stream.set_nodelay(true);
                let stop = tasks.stop.clone();
                let site = site.clone();
                tasks.tracker.spawn(async move {
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = serve(stream, site) => {}
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn next(listener: &Listener) -> std::io::Result<TcpStream> {
    std::future::poll_fn(|cx| match listener.lock().as_ref() {
        Some(listener) => listener.poll_accept(cx).map_ok(|(stream, _)| stream),
        // Closed: the stop token ends the task.
        None => Poll::Pending,
    })
    .await
}

async fn serve(stream: TcpStream, site: axum::Router) {
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(site))
        .with_upgrades()
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "an HTTP connection failed");
    }
}

async fn forget_handshakes(hub: Arc<Hub>, stop: CancellationToken) {
    let period = (hub.config.handshake_timeout / 4).clamp(Duration::from_millis(10), Duration::from_secs(1));
    let mut turns = interval(period);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = turns.tick() => hub.expire_handshakes(),
        }
    }
}
