//! Reaching the services without a socket.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use transport_longpoll::exchange::{ExchangeError, ExchangeErrorKind, HttpExchange, Request, Response};
use transport_ws::dial::{BoxedIo, Dialer, Endpoint};

use crate::Emulator;
use crate::imodelhub::{Hub, NoAnswer};
use crate::net::{Door, MemoryStream};

const OP: &str = "connect";

/// Leads a `transport-ws` or `ftrack-hub` client to an emulator's ftrack side in memory, whatever endpoint it asks
/// for. It works over restarts, refuses while the emulator is stopped or dropped, and keeps nothing alive.
#[derive(Clone, Debug)]
pub struct FtrackDialer(Door);

#[async_trait]
impl Dialer for FtrackDialer {
    async fn dial(&self, endpoint: &Endpoint) -> event_core::Result<BoxedIo> {
        if endpoint.tls() {
            let message = format!("{endpoint}: the in-memory stream speaks no TLS; use an http URL");
            return Err(event_core::Error::new(event_core::ErrorKind::Tls, OP, message));
        }
        match self.0.open() {
            Ok(stream) => Ok(Box::new(stream)),
            Err(cause) => {
                let message = format!("cannot reach {endpoint} in memory: {cause}");
                Err(event_core::Error::new(event_core::ErrorKind::Unreachable, OP, message)
                    .with_source(cause))
            }
        }
    }
}

/// Leads a `transport-longpoll` or `imodelhub-events` client to an emulator's iModelHub side in memory, whatever host
/// it asks for. It works over restarts, and refuses while the emulator is stopped; it does not keep the emulator
/// running.
#[derive(Clone, Debug)]
pub struct IModelHubExchange(Arc<Hub>);

#[async_trait]
impl HttpExchange for IModelHubExchange {
    async fn exchange(&self, request: Request) -> Result<Response, ExchangeError> {
        let error = |kind, what: &str| ExchangeError::new(kind, format!("the emulator in memory: {what}"));
        let mut asked =
            http::Request::builder().method(request.method).uri(request.url).body(request.body).map_err(
                |cause| error(ExchangeErrorKind::InvalidRequest, "no such URL").with_source(cause),
            )?;
        *asked.headers_mut() = request.headers;
        if !self.0.is_running() {
            return Err(error(ExchangeErrorKind::Connect, "it is stopped; restart it"));
        }
        let broken = || error(ExchangeErrorKind::Broken, "the connection was reset");
        let outcome = tokio::select! {
            biased;
            () = self.0.stopped() => return Err(broken()),
            outcome = self.0.exchange(asked) => outcome,
        };
        match outcome.direct().await {
            Ok(answer) => {
                let (head, body) = answer.into_parts();
                Ok(Response::new(head.status, head.headers, body))
            }
            Err(NoAnswer::Refused) => Err(error(ExchangeErrorKind::Connect, "refused on demand")),
            Err(NoAnswer::Broken) => Err(broken()),
        }
    }
}

/// Without a socket.
impl Emulator {
    /// A fresh connection to the ftrack side: HTTP first, then a websocket, as over TCP.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::ConnectionRefused`] while the emulator is stopped, or was built without this side.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn ftrack_stream(&self) -> io::Result<MemoryStream> {
        self.doors.ftrack.open()
    }

    /// Makes clients connect to the ftrack side in memory.
    pub fn ftrack_dialer(&self) -> FtrackDialer {
        FtrackDialer(self.doors.ftrack.clone())
    }

    /// A fresh connection to the iModelHub side, for HTTP.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::ConnectionRefused`] while the emulator is stopped, or was built without this side.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn imodelhub_stream(&self) -> io::Result<MemoryStream> {
        self.doors.imodelhub.open()
    }

    /// Makes clients talk to the iModelHub side in memory, one function call per exchange, as
    /// [`Emulator::imodelhub_exchange`] does.
    pub fn imodelhub_http(&self) -> IModelHubExchange {
        IModelHubExchange(Arc::clone(&self.imodelhub))
    }
}
