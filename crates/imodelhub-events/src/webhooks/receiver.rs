//! The receiver: its settings, and what it can be asked.
#![expect(clippy::disallowed_methods, reason = "a shell: names the system's clock as the default")]

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use event_core::hub::DrainReport;
use event_core::{Error, ErrorKind, EventHub, Result};
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::gate::Gate;
use super::listener::WebhookListenerBuilder;
use super::refusal::ReceiverStats;
use super::rules::Rules;
use super::service::{WebhookService, answer};
use super::signature::SigningKeys;
use super::transport::WebhookTransport;
use crate::listener::{Layer, ListenerState};

/// The most events that may be accepted and not handled.
const MOST: usize = 1_000_000;
/// The platform gives up an answer after this.
const PATIENCE: Duration = Duration::from_secs(5);

/// When a request is answered with 200.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Acknowledge {
    /// At once, when it is accepted. An event whose handler fails, and one that waits when the process ends, is lost.
    #[default]
    Accepted,
    /// When every handler is done with it: at least once. Handlers must be faster than
    /// [`ReceiverBuilder::answer_within`], or the platform sends again what is being handled; it is not handled twice.
    Settled,
}

/// Receives webhooks. A clone is the same receiver.
///
/// It opens no port: it is mounted where a program serves HTTP, by [`WebhookReceiver::service`].
///
/// ```
/// use http::{Request, StatusCode};
/// use imodelhub_events::HubEvent;
/// use imodelhub_events::webhooks::{SIGNATURE, SigningKeys, WebhookReceiver};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let keys = SigningKeys::new(["the secret that the platform gave out"])?;
/// let receiver = WebhookReceiver::builder(keys.clone()).build()?;
/// let listener = receiver
///     .create_listener()
///     .handle(async |event: HubEvent| println!("{}: {:?}", event.event_type(), event.imodel()))
///     .await?;
/// let app: axum::Router = axum::Router::new().route_service("/webhooks", receiver.service());
/// // axum::serve(tcp_listener, app).await?;
///
/// // What the platform does; here without a socket.
/// let body = r#"{"eventType":"iModels.iModelDeleted.v1","content":{},"messageId":"1"}"#;
/// let request = Request::post("/webhooks").header("content-type", "application/json");
/// let signed = request.header(SIGNATURE, keys.sign(body.as_bytes())).body(body.to_owned())?;
/// assert_eq!(receiver.answer(signed).await.status(), StatusCode::OK);
/// # drop((listener, app));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct WebhookReceiver(Arc<Inner>);

struct Inner {
    gate: Arc<Gate>,
    hub: Mutex<Option<EventHub>>,
    /// What goes between the hub and its transport, until the hub is made.
    layer: Mutex<Option<Layer>>,
    durable: bool,
    state: watch::Sender<ListenerState>,
    setting_up: tokio::sync::Mutex<()>,
}

/// Describes a receiver.
#[must_use = "a builder does nothing until it is built"]
pub struct ReceiverBuilder {
    keys: SigningKeys,
    capacity: usize,
    max_body: usize,
    answer_within: Duration,
    acknowledge: Acknowledge,
    repeats: (Duration, usize),
    stale_after: Option<Duration>,
    wall_clock: fn() -> SystemTime,
    #[cfg(feature = "journal")]
    journal: Option<event_journal::Journal>,
}

impl WebhookReceiver {
    /// Starts describing a receiver of what is signed with these secrets.
    pub fn builder(keys: SigningKeys) -> ReceiverBuilder {
        ReceiverBuilder {
            keys,
            capacity: 1_024,
            max_body: 1024 * 1024,
            answer_within: Duration::from_secs(4),
            acknowledge: Acknowledge::default(),
            repeats: (Duration::from_secs(24 * 3_600), 100_000),
            stale_after: None,
            wall_clock: SystemTime::now,
            #[cfg(feature = "journal")]
            journal: None,
        }
    }

    /// The receiver as a service, for `axum::Router::route_service` and the like. The receiver lives as long as any of
    /// its services and listeners.
    pub fn service(&self) -> WebhookService {
        WebhookService(self.clone())
    }

    /// Answers a request: what [the service](WebhookReceiver::service) does.
    ///
    /// # Cancel safety
    ///
    /// What was accepted is handled even if the future is dropped.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<Full<Bytes>>
    where
        B: Body<Data: Send, Error: Into<Box<dyn StdError + Send + Sync>>> + Send + 'static,
    {
        answer(&self.0.gate, request).await
    }

    /// What comes, as a transport for a hub of the caller's, instead of listeners. One hub can have it.
    pub fn transport(&self) -> WebhookTransport {
        WebhookTransport(Arc::clone(&self.0.gate))
    }

    /// Describes a listener: the same that a [subscription of iModelHub](crate::IModelHubClient::create_listener) has.
    /// Until there is one, requests are refused, so that the platform sends them again.
    pub fn create_listener(&self) -> WebhookListenerBuilder {
        WebhookListenerBuilder::new(self.clone())
    }

    /// What has been done so far.
    pub fn stats(&self) -> ReceiverStats {
        self.0.gate.stats()
    }

    /// Accepts nothing more, lets handlers finish what they have, and ends every listener; what is not done within
    /// `limit` is cut off. It is final.
    ///
    /// # Cancel safety
    ///
    /// Once polled, nothing more is accepted, and the drain goes on even if the future is dropped.
    pub async fn drain(&self, limit: Duration) -> DrainReport {
        self.0.gate.close();
        let hub = self.0.hub.lock().clone();
        let report = match hub {
            Some(hub) => hub.drain(limit).await,
            None => DrainReport::default(),
        };
        self.0.state.send_replace(ListenerState::Ended(None));
        report
    }

    pub(super) fn is_durable(&self) -> bool {
        self.0.durable
    }

    /// Whether an answer waits until its event is settled.
    pub(super) fn waits(&self) -> bool {
        self.0.gate.acknowledge == Acknowledge::Settled
    }

    pub(super) fn capacity(&self) -> usize {
        self.0.gate.capacity
    }

    pub(super) fn states(&self) -> watch::Receiver<ListenerState> {
        self.0.state.subscribe()
    }

    /// The hub of the listeners, made when the first one needs it.
    pub(super) async fn hub(&self) -> Result<EventHub> {
        let _one_at_a_time = self.0.setting_up.lock().await;
        let made = self.0.hub.lock().clone();
        let hub = if let Some(hub) = made {
            hub
        } else {
            let builder = EventHub::builder(self.transport()).name("webhooks");
            let hub = match self.0.layer.lock().take() {
                Some(layer) => layer(builder),
                None => builder,
            }
            .build()?;
            self.0.hub.lock().insert(hub).clone()
        };
        hub.connect().await?;
        self.0.state.send_if_modified(|state| {
            let idle = matches!(state, ListenerState::Idle);
            if idle {
                *state = ListenerState::Listening;
            }
            idle
        });
        Ok(hub)
    }
}

impl ReceiverBuilder {
    /// How many events may be accepted and not handled yet; more are refused with 503, so that the platform sends them
    /// again. Default 1,024, at most a million. A hub of the caller's must have subscriptions with at least as large a buffer.
    pub fn capacity(mut self, events: usize) -> Self {
        self.capacity = events;
        self
    }

    /// The longest body, in bytes. Default 1 MiB.
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// How long an answer may take: for the body to arrive, and for [`Acknowledge::Settled`]. Default 4 s; the platform
    /// gives up after 5 s and sends again.
    pub fn answer_within(mut self, limit: Duration) -> Self {
        self.answer_within = limit;
        self
    }

    /// When a request is answered with 200. Default [`Acknowledge::Accepted`].
    pub fn acknowledge(mut self, acknowledge: Acknowledge) -> Self {
        self.acknowledge = acknowledge;
        self
    }

    /// For how long message ids are remembered, and how many, so that repeats are answered and not handled again.
    /// Default a day and 100,000. With either zero, only repeats of what is being handled are recognised.
    pub fn repeats(mut self, window: Duration, ids: usize) -> Self {
        self.repeats = (window, ids);
        self
    }

    /// Refuses events that were enqueued longer ago than this, or further in the future: a captured request cannot be
    /// replayed for ever. Default: any age is taken, because the platform does not document its time zone (UTC is
    /// assumed), nor for how long it sends again.
    pub fn stale_after(mut self, age: Duration) -> Self {
        self.stale_after = Some(age);
        self
    }

    /// The clock by which events are stale, for tests whose time is paused. Default the system's.
    pub fn wall_clock(mut self, clock: fn() -> SystemTime) -> Self {
        self.wall_clock = clock;
        self
    }

    /// Keeps what comes in a journal: a request is answered with 200 when its event is there, whatever handlers do then;
    /// they get it from there, again after a while when they fail, and after a restart. Repeats are recognised across
    /// restarts, too.
    #[cfg(feature = "journal")]
    pub fn journal(mut self, journal: event_journal::Journal) -> Self {
        self.journal = Some(journal);
        self
    }

    /// The receiver.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] for a capacity or body of nothing, a capacity of more than a million, or an answer that takes none or 5 s and more.
    pub fn build(self) -> Result<WebhookReceiver> {
        let wrong = if self.capacity == 0 || self.max_body == 0 || self.capacity > MOST {
            Some("a receiver takes one event of one byte at least, and a million events at most")
        } else if self.answer_within.is_zero() || self.answer_within >= PATIENCE {
            Some("an answer must come within 5 s, and takes more than no time")
        } else {
            None
        };
        if let Some(wrong) = wrong {
            return Err(Error::new(ErrorKind::InvalidInput, "build receiver", wrong));
        }
        #[cfg(feature = "journal")]
        let layer = self.journal.map(crate::listener::journaling);
        #[cfg(not(feature = "journal"))]
        let layer: Option<Layer> = None;
        let durable = layer.is_some();
        let acknowledge = if durable { Acknowledge::Settled } else { self.acknowledge };
        let rules = Rules { keys: self.keys, max_body: self.max_body, stale_after: self.stale_after };
        let gate =
            Gate::new(rules, (self.answer_within, acknowledge), self.capacity, self.repeats, self.wall_clock);
        Ok(WebhookReceiver(Arc::new(Inner {
            gate,
            hub: Mutex::new(None),
            layer: Mutex::new(layer),
            durable,
            state: watch::Sender::new(ListenerState::Idle),
            setting_up: tokio::sync::Mutex::new(()),
        })))
    }
}

impl fmt::Debug for WebhookReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookReceiver").field("stats", &self.stats()).finish_non_exhaustive()
    }
}

impl fmt::Debug for ReceiverBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceiverBuilder").field("keys", &self.keys).finish_non_exhaustive()
    }
}
