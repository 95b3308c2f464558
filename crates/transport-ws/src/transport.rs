//! The transport: a thin shell that moves bytes between a websocket and the session machine.
#![expect(clippy::disallowed_methods, reason = "a shell: it reads tokio's clock")]

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Waker;

use async_trait::async_trait;
use event_core::transport::{
    Acknowledgement, Attempt, Capabilities, Confirmation, Confirmer, Guarantee, Guarantees, Link, LinkInfo,
    LinkSender, NotSent, Transport,
};
use event_core::{Error, ErrorKind, Event, RawJson, Result, SubscriptionSpec};
use http::header::{HeaderMap, HeaderValue, USER_AGENT};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_tungstenite::client_async_with_config;
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use crate::credentials::{self, HandshakeCredentials};
use crate::dial::{BoxedIo, Dialer, Endpoint, HeadFirst, ReadAhead, TcpDialer, Unlogged};
use crate::errors;
use crate::handshake::{Handshake, HandshakeError, PathPrefix, Request, ResponseParser, websocket_path};
use crate::rising::Rising;
use crate::session::{EmitError, Session, SessionConfig};
use crate::shell::Shell;

/// Events over Socket.IO 0.9: one event name, one JSON argument, every publish acknowledged.
///
/// Each connection is a fresh handshake (a session id is good for one websocket only), then a websocket.
/// Credentials travel as headers of the handshake alone, never in a URL. No websocket ping, unsolicited pong or
/// fragment is ever sent, because the server measured breaks on them; liveness is judged by whatever arrives.
///
/// # Delivery
///
/// At most once. Events arrive in the order in which the server sent them; subscriptions are matched by the hub.
///
/// # Recovery
///
/// A link ends with its connection; [`Supervised`](event_core::supervisor::Supervised) makes the next one.
pub struct WsTransport {
    config: Arc<Config>,
}

/// What the websocket library reads at a time, out of what was read [ahead](ReadAhead). It fills its buffer with zeros
/// before each read.
const READ_BUFFER: usize = 4 * 1024;
const BUILD: &str = "build transport";
/// What a transport calls itself unless told otherwise.
const AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));

struct Config {
    endpoint: Endpoint,
    prefix: PathPrefix,
    event_name: String,
    /// Sent with the handshake only.
    secret_headers: HeaderMap,
    /// The same, asked for at every attempt.
    credentials: Option<Box<dyn HandshakeCredentials>>,
    /// Sent with the handshake and the websocket request.
    headers: HeaderMap,
    session: SessionConfig,
    dialer: Box<dyn Dialer>,
}

/// Describes a [`WsTransport`].
#[must_use = "a builder does nothing until it is built"]
pub struct WsTransportBuilder {
    config: Config,
    failure: Option<Error>,
}

impl WsTransport {
    /// Starts describing a transport to a server, for the Socket.IO events of this name.
    ///
    /// ```
    /// use transport_ws::{Endpoint, WsTransport};
    ///
    /// let transport = WsTransport::builder(Endpoint::new("ftrack.example.com", 443, true), "ftrack.event")
    ///     .secret_header("ftrack-user", "jane")
    ///     .secret_header("ftrack-api-key", "not-shown-anywhere")
    ///     .window(32)
    ///     .build()?;
    /// assert!(!format!("{transport:?}").contains("not-shown-anywhere"));
    /// # Ok::<(), event_core::Error>(())
    /// ```
    pub fn builder(endpoint: Endpoint, event_name: impl Into<String>) -> WsTransportBuilder {
        let config = Config {
            endpoint,
            prefix: PathPrefix::default(),
            event_name: event_name.into(),
            secret_headers: HeaderMap::new(),
            credentials: None,
            headers: HeaderMap::new(),
            session: SessionConfig::default(),
            dialer: Box::new(TcpDialer::default()),
        };
        WsTransportBuilder { config, failure: None }
    }
}

impl WsTransportBuilder {
    /// The path under which a reverse proxy puts the server. Default none.
    pub fn path_prefix(mut self, prefix: &str) -> Self {
        match PathPrefix::new(prefix) {
            Ok(prefix) => self.config.prefix = prefix,
            Err(cause) => {
                let message = "the path prefix is not a plain URL path; percent-encode what is special in it";
                self.fail(Error::new(ErrorKind::InvalidUrl, "build transport", message).with_source(cause));
            }
        }
        self
    }

    /// A header of the handshake that holds a credential. It is not sent with the websocket request. When the
    /// server refuses it, that is final.
    pub fn secret_header(mut self, name: &str, value: &str) -> Self {
        match credentials::parse(name, value, ErrorKind::InvalidCredentials, BUILD) {
            Ok((name, value)) => _ = self.config.secret_headers.append(name, value),
            Err(error) => self.fail(error),
        }
        self
    }

    /// Asks for the credentials of the handshake at every attempt. When the server refuses them, the error advises
    /// [`Retry::AfterReauth`](event_core::Retry::AfterReauth), and the attempt that follows asks for others.
    pub fn credentials(mut self, credentials: impl HandshakeCredentials) -> Self {
        self.config.credentials = Some(Box::new(credentials));
        self
    }

    /// A header of both requests, a cookie for instance. Its value is not shown in `Debug` or in logs either.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        match credentials::parse(name, value, ErrorKind::InvalidInput, BUILD) {
            Ok((name, value)) => _ = self.config.headers.append(name, value),
            Err(error) => self.fail(error),
        }
        self
    }

    /// What this program calls itself, in both requests. Default `transport-ws/` and its version.
    pub fn user_agent(mut self, agent: &str) -> Self {
        match credentials::parse(USER_AGENT.as_str(), agent, ErrorKind::InvalidInput, BUILD) {
            Ok((name, value)) => _ = self.config.headers.insert(name, value),
            Err(error) => self.fail(error),
        }
        self
    }

    /// How many publishes may wait for their acknowledgement. Default 64; see
    /// [`SessionConfig::window`](crate::session::SessionConfig::window) for what the measured server makes of
    /// it.
    pub fn window(mut self, publishes: usize) -> Self {
        self.config.session = self.config.session.window(publishes);
        self
    }

    /// The largest message accepted, in bytes; a larger one ends the link. Default 16 MiB.
    pub fn max_frame(mut self, bytes: usize) -> Self {
        self.config.session = self.config.session.max_frame(bytes);
        self
    }

    /// What carries the bytes. Default [`TcpDialer`].
    pub fn dialer(self, dialer: impl Dialer) -> Self {
        self.boxed_dialer(Box::new(dialer))
    }

    /// The same for a dialer that is boxed already.
    pub fn boxed_dialer(mut self, dialer: Box<dyn Dialer>) -> Self {
        self.config.dialer = dialer;
        self
    }

    /// The transport.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidCredentials`], [`ErrorKind::InvalidInput`] or [`ErrorKind::InvalidUrl`] for a header or
    /// prefix that cannot be sent.
    pub fn build(mut self) -> Result<WsTransport> {
        self.config.headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(AGENT));
        match self.failure {
            Some(failure) => Err(failure),
            None => Ok(WsTransport { config: Arc::new(self.config) }),
        }
    }

    fn fail(&mut self, error: Error) {
        self.failure.get_or_insert(error);
    }
}

#[async_trait]
impl Transport for WsTransport {
    fn name(&self) -> &'static str {
        "ws"
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.publish = true;
        capabilities.publish_receipt = true;
        capabilities.reply = true;
        capabilities.server_filter = true;
        capabilities.guarantees = Guarantees::only(Guarantee::AtMostOnce);
        capabilities.window = Some(self.config.session.window);
        capabilities
    }

    async fn connect(&self, attempt: Attempt) -> Result<Link> {
        let config = &self.config;
        let handshake = config.handshake(attempt.refused).await?;
        let websocket = config.websocket(&handshake).await?;
        let session = SessionConfig { ..config.session };
        let session = match handshake.heartbeat_timeout {
            Some(timeout) => session.heartbeat_timeout(timeout),
            None => session,
        };
        let shared = Arc::new(Shared {
            event_name: config.event_name.clone(),
            renews: config.credentials.is_some(),
            wire: Mutex::new(Wire {
                session: Session::new(session, Instant::now().into_std()),
                confirmers: Rising::new(),
                shell: None,
                emitted: 0,
                flushed: 0,
                ended: false,
            }),
            changed: Notify::new(),
        });
        let mut shell = Shell::new(websocket, Arc::clone(&shared));
        poll_fn(|cx| shell.poll_connected(cx)).await?;
        tracing::debug!(endpoint = %config.endpoint, attempt = attempt.number, "websocket session stands");
        Ok(Link {
            info: LinkInfo::ready(config.endpoint.to_string()),
            tx: Box::new(WsSender(shared)),
            rx: Box::pin(shell),
        })
    }
}

impl Config {
    /// The HTTP exchange that gives a session id.
    async fn handshake(&self, refused: bool) -> Result<Handshake> {
        let mut headers = self.headers.clone();
        headers.extend(self.secret_headers.clone());
        if let Some(credentials) = &self.credentials {
            headers.extend(credentials.headers(refused).await?.into_map());
        }
        let failed = |cause| errors::handshake(&self.endpoint, cause, self.credentials.is_some());
        let request = Request::new(self.endpoint.authority()).prefix(self.prefix.clone()).headers(headers);
        let bytes = request.to_bytes().map_err(failed)?;
        let mut io = self.dialer.dial(&self.endpoint).await?;
        let response = exchange(&mut io, &bytes).await.map_err(|failure| match failure {
            Exchange::Io(cause) => {
                let message = format!("{} broke off during the handshake: {cause}", self.endpoint);
                Error::new(ErrorKind::Unreachable, "connect", message).with_source(cause)
            }
            Exchange::Answer(cause) => failed(cause),
        })?;
        Handshake::from_response(&response)
            .and_then(|handshake| {
                if handshake.supports_websocket() { Ok(handshake) } else { Err(HandshakeError::NoWebsocket) }
            })
            .map_err(failed)
    }

    /// The websocket of a session.
    async fn websocket(
        &self,
        handshake: &Handshake,
    ) -> Result<tokio_tungstenite::WebSocketStream<ReadAhead>> {
        let scheme = if self.endpoint.tls() { "wss" } else { "ws" };
        let path = websocket_path(&self.prefix, &handshake.sid);
        let url = format!("{scheme}://{}{path}", self.endpoint.authority());
        let mut request =
            url.into_client_request().map_err(|cause| errors::upgrade(&self.endpoint, &cause))?;
        // What the caller gave may be secret, and tungstenite logs what it writes. It keeps what it needs to know.
        let mut unlogged = self.headers.clone();
        for (name, known) in request.headers_mut() {
            if let Some(value) = unlogged.remove(name) {
                *known = value;
            }
        }
        let io = Unlogged::new(self.dialer.dial(&self.endpoint).await?, &unlogged);
        let io = ReadAhead::new(Box::new(HeadFirst::new(Box::new(io))));
        // The limit is the session's business, which says so; here it keeps memory bounded.
        let limits = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .max_message_size(Some(self.session.max_frame))
            .max_frame_size(Some(self.session.max_frame));
        let (websocket, _response) = client_async_with_config(request, io, Some(limits))
            .await
            .map_err(|cause| errors::upgrade(&self.endpoint, &cause))?;
        Ok(websocket)
    }
}

enum Exchange {
    Io(std::io::Error),
    Answer(HandshakeError),
}

/// Writes a request and reads its answer.
async fn exchange(io: &mut BoxedIo, request: &[u8]) -> Result<crate::handshake::Response, Exchange> {
    io.write_all(request).await.map_err(Exchange::Io)?;
    io.flush().await.map_err(Exchange::Io)?;
    let mut parser = ResponseParser::new();
    let mut buffer = [0; 4096];
    loop {
        let read = io.read(&mut buffer).await.map_err(Exchange::Io)?;
        if read == 0 {
            return parser.finish().map_err(Exchange::Answer);
        }
        if let Some(response) = parser.feed(&buffer[..read]).map_err(Exchange::Answer)? {
            return Ok(response);
        }
    }
}

/// What the two halves of a link share.
pub(crate) struct Shared {
    pub(crate) event_name: String,
    /// Other credentials can be asked for when these are refused.
    pub(crate) renews: bool,
    pub(crate) wire: Mutex<Wire>,
    /// Told when there may be room in the window, when everything is flushed, and at the end.
    pub(crate) changed: Notify,
}

/// The session and those who wait for it.
pub(crate) struct Wire {
    pub(crate) session: Session,
    pub(crate) confirmers: Rising<Confirmer>,
    /// Wakes the receiving half, which does the writing.
    pub(crate) shell: Option<Waker>,
    /// How many times the session had something to say to the server, and how many of these are on the wire.
    pub(crate) emitted: u64,
    pub(crate) flushed: u64,
    pub(crate) ended: bool,
}

impl Wire {
    pub(crate) fn is_unflushed(&self) -> bool {
        self.flushed != self.emitted
    }

    /// The session has something to say: the shell must look.
    fn wake(&mut self) -> Option<Waker> {
        self.emitted += 1;
        self.shell.take()
    }
}

/// Reads what an acknowledgement says: nothing, one value, or several.
pub(crate) fn acknowledgement<A: AsRef<[u8]>>(args: &[A]) -> Acknowledgement {
    let data = match args {
        [] => None,
        [arg] => RawJson::from_text(arg.as_ref().to_vec()).ok(),
        _ => {
            let mut list = vec![b'['];
            for (n, arg) in args.iter().enumerate() {
                if n > 0 {
                    list.push(b',');
                }
                list.extend_from_slice(arg.as_ref());
            }
            list.push(b']');
            RawJson::from_text(list).ok()
        }
    };
    Acknowledgement::with_data(data)
}

struct WsSender(Arc<Shared>);

impl WsSender {
    /// Waits until the wire is in a state.
    async fn until(&self, reached: impl Fn(&Wire) -> bool) {
        loop {
            let changed = self.0.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if reached(&self.0.wire.lock()) {
                return;
            }
            changed.await;
        }
    }
}

#[async_trait]
impl LinkSender for WsSender {
    fn send(&self, event: Event) -> Result<Confirmation, NotSent> {
        let (waker, confirmation) = {
            let mut wire = self.0.wire.lock();
            let emitted = if wire.ended {
                Err(EmitError::Closed)
            } else {
                let (now, name) = (Instant::now().into_std(), &self.0.event_name);
                wire.session.emit_with(now, name, event.json_size(), |frame| event.write_json(frame))
            };
            let id = match emitted {
                Ok(id) => id,
                Err(EmitError::WindowFull) => {
                    let message = "the window is full: wait for acknowledgements";
                    return Err(NotSent::new(event, Error::new(ErrorKind::Full, "send", message)));
                }
                Err(_) => {
                    let message = "the websocket session has ended";
                    return Err(NotSent::new(event, Error::new(ErrorKind::NotConnected, "send", message)));
                }
            };
            let (confirmer, confirmation) = Confirmation::channel();
            wire.confirmers.push(id, confirmer);
            (wire.wake(), confirmation)
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(confirmation)
    }

    async fn ready(&self) {
        self.until(|wire| wire.ended || wire.session.in_flight() < wire.session.config().window).await;
    }

    async fn subscribe(&self, _spec: &SubscriptionSpec) -> Result<()> {
        Err(by_event("subscribe"))
    }

    async fn unsubscribe(&self, _spec: &SubscriptionSpec) -> Result<()> {
        Err(by_event("unsubscribe"))
    }

    async fn flush(&self) -> Result<()> {
        // Not what others say from now on: there might always be something.
        let said = self.0.wire.lock().emitted;
        self.until(|wire| wire.ended || wire.flushed >= said).await;
        Ok(())
    }

    async fn close(&self) {
        let waker = {
            let mut wire = self.0.wire.lock();
            wire.session.close(Instant::now().into_std());
            wire.wake()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        self.until(|wire| wire.ended).await;
    }
}

fn by_event(op: &'static str) -> Error {
    let message = "Socket.IO has no verb for it; the dialect of the service must give an event that does";
    Error::new(ErrorKind::Unsupported, op, message)
}

impl fmt::Debug for WsTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WsTransport")
            .field("endpoint", &self.config.endpoint)
            .field("event_name", &self.config.event_name)
            .field("session", &self.config.session)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for WsTransportBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WsTransportBuilder").field("endpoint", &self.config.endpoint).finish_non_exhaustive()
    }
}

/// Re-exported for the errors module.
pub(crate) type WsError = tungstenite::Error;
