//! A listening socket, and the tasks that hang on it. Both services stand on one of these.

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

use crate::error::Error;

/// The pause after the system had no more sockets to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a task needs to start others and to know when to end.
#[derive(Clone, Debug)]
pub(crate) struct Tasks {
    pub(crate) tracker: TaskTracker,
    pub(crate) stop: CancellationToken,
}

/// In the extensions of a request: resets its TCP connection when cancelled.
#[derive(Clone, Debug)]
pub(crate) struct Reset(pub(crate) CancellationToken);

/// A running server. Dropping it closes the listening socket at once, and ends every task soon after.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    listener: Arc<Listener>,
    tasks: Tasks,
}

/// The socket is taken out to close it, whatever the accepting task is doing.
type Listener = Mutex<Option<TcpListener>>;

impl Server {
    /// Listens, and serves what `site` makes. A client has `head_timeout` to send the head of a request.
    pub(crate) async fn start(
        address: SocketAddr,
        head_timeout: Duration,
        site: impl FnOnce(&Tasks, SocketAddr) -> Router,
    ) -> Result<Self, Error> {
        let listener = TcpListener::bind(address).await.map_err(|cause| Error::bind(address, cause))?;
        let address = listener.local_addr().map_err(|cause| Error::bind(address, cause))?;
        let listener = Arc::new(Mutex::new(Some(listener)));
        let tasks = Tasks { tracker: TaskTracker::new(), stop: CancellationToken::new() };
        let site = site(&tasks, address);
        tasks.tracker.spawn(accept(site, head_timeout, Arc::clone(&listener), tasks.clone()));
        tracing::info!(%address, "listening");
        Ok(Self { address, listener, tasks })
    }

    /// Ends; says whether it had not ended before.
    pub(crate) fn end(&self) -> bool {
        self.tasks.stop.cancel();
        self.tasks.tracker.close();
        self.listener.lock().take().is_some()
    }

    /// Waits until no task is left.
    pub(crate) async fn ended(&self) {
        self.tasks.tracker.wait().await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

async fn accept(site: Router, head_timeout: Duration, listener: Arc<Listener>, tasks: Tasks) {
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
                        () = serve(stream, site, head_timeout) => {}
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

async fn serve(stream: TcpStream, site: Router, head_timeout: Duration) {
    let reset = CancellationToken::new();
    let routes = TowerToHyperService::new(site);
    let extension = Reset(reset.clone());
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(extension.clone());
        routes.call(request)
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(head_timeout)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    tokio::select! {
        served = &mut connection => {
            if let Err(error) = served {
                tracing::debug!(%error, "an HTTP connection failed");
            }
        }
        () = reset.cancelled() => {
            if let Some(parts) = connection.into_parts() {
                // Closing then sends RST instead of FIN.
                let _ = parts.io.into_inner().set_zero_linger();
            }
        }
    }
}
