//! Queues over HTTP long polling, to the embedded emulator called directly: no sockets, paused time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use event_core::transport::{Guarantee, Transport};
use event_core::{Event, Subscriber, SubscriptionSpec};
use hub_emulator::Emulator;
use serde_json::{Value, json};
use tokio::sync::Notify;
use transport_longpoll::auth::{Authorization, QueueAuth};
use transport_longpoll::exchange::{ExchangeError, ExchangeErrorKind, Request, Response};
use transport_longpoll::{HttpExchange, LongPollTransport};

use crate::subject::{Bench, OTHER_TOPIC, Subject, TOPIC};
use crate::verdict::{Broken, Verdict};

const IMODEL: &str = "8585af91-74e6-4159-a172-dbb08f66d0fd";
const HOST: &str = "127.0.0.1:7001";
/// Longer than any behaviour takes.
const LONG: Duration = Duration::from_secs(365 * 24 * 3_600);

/// The long-poll transport, and the iModelHub side of an emulator.
pub struct Queues {
    emulator: Arc<Emulator>,
    cut: Arc<Notify>,
    flying: Arc<AtomicUsize>,
    base: String,
    transport: Arc<dyn Transport>,
}

impl Queues {
    /// Starts an emulator that listens nowhere.
    pub async fn start() -> Verdict<Bench> {
        let builder = Emulator::builder().without_ftrack().without_imodelhub();
        let builder = builder.event_type(TOPIC).event_type(OTHER_TOPIC);
        let builder = builder.sas_lifetime(LONG).subscription_idle(LONG).seed(1);
        let emulator = builder
            .start()
            .await
            .map_err(|error| Broken::promise(format!("the emulator does not start: {error}")))?;
        let emulator = Arc::new(emulator);
        let sas = rest(&emulator, "EventSAS", &json!({})).await?;
        let (base, token) =
            (text(&sas, "/properties/BaseAddress")?, text(&sas, "/properties/EventServiceSASToken")?);
        let cut = Arc::new(Notify::new());
        let flying = Arc::new(AtomicUsize::new(0));
        let exchange =
            Direct { emulator: Arc::clone(&emulator), cut: Arc::clone(&cut), flying: Arc::clone(&flying) };
        let transport = LongPollTransport::builder(exchange, Token(token)).build()?;
        Ok(Arc::new(Self { emulator, cut, flying, base, transport: Arc::new(transport) }))
    }
}

#[async_trait]
impl Subject for Queues {
    fn transport(&self) -> Arc<dyn Transport> {
        Arc::clone(&self.transport)
    }

    async fn deliver(&self, event: &Event) -> Verdict {
        let body = event.data_value().clone();
        self.emulator.publish_imodel_event(IMODEL, event.topic().as_str(), Some(body));
        Ok(())
    }

    async fn spec(&self, id: &str, require: Guarantee) -> Verdict<SubscriptionSpec> {
        let properties = json!({ "EventTypes": [TOPIC] });
        let made = rest(&self.emulator, "EventSubscription", &properties).await?;
        let mut spec = SubscriptionSpec::new(Subscriber::new(id), None);
        spec.address = Some(format!("{}/Subscriptions/{}", self.base, text(&made, "/instanceId")?));
        spec.require = require;
        Ok(spec)
    }

    async fn cut(&self) -> Verdict {
        // With nothing in flight, the next request is the one that breaks.
        if self.flying.load(Ordering::SeqCst) > 0 {
            self.cut.notify_waiters();
        } else {
            self.cut.notify_one();
        }
        Ok(())
    }

    async fn withhold(&self, _withhold: bool) -> Verdict {
        // Nothing is published, so nothing is acknowledged.
        Ok(())
    }

    fn refused_event(&self, _refuse: bool) -> Verdict<Event> {
        crate::rig::event(0)
    }
}

/// Makes something on the REST side, and gives it as it is then.
async fn rest(emulator: &Emulator, class: &str, properties: &Value) -> Verdict<Value> {
    let path = format!("/sv1.1/Repositories/iModel--{IMODEL}/iModelScope/{class}/");
    let body = json!({"instance": {"properties": properties}}).to_string();
    let request = http::Request::builder()
        .method(http::Method::POST)
        .uri(path)
        .header("host", HOST)
        .header("authorization", "Bearer jwt")
        .body(Bytes::from(body))
        .map_err(|error| Broken::promise(error.to_string()))?;
    let answer =
        emulator.imodelhub_exchange(request).await.map_err(|error| Broken::promise(error.to_string()))?;
    let answer: Value =
        serde_json::from_slice(answer.body()).map_err(|error| Broken::promise(error.to_string()))?;
    Ok(answer["changedInstance"]["instanceAfterChange"].clone())
}

fn text(value: &Value, pointer: &str) -> Verdict<String> {
    let text = value.pointer(pointer).and_then(Value::as_str);
    text.map(str::to_owned).ok_or_else(|| Broken::promise(format!("the emulator made no {pointer}: {value}")))
}

struct Token(String);

#[async_trait]
impl QueueAuth for Token {
    async fn authorization(&self, _refused: Option<&Authorization>) -> event_core::Result<Authorization> {
        Ok(Authorization::new(self.0.clone()))
    }
}

/// Gives requests to the emulator as they are; a cut ends those in flight.
struct Direct {
    emulator: Arc<Emulator>,
    cut: Arc<Notify>,
    flying: Arc<AtomicUsize>,
}

/// A request in flight.
struct Flying<'a>(&'a AtomicUsize);

impl<'a> Flying<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Flying<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl HttpExchange for Direct {
    async fn exchange(&self, request: Request) -> Result<Response, ExchangeError> {
        let broken = || ExchangeError::new(ExchangeErrorKind::Broken, "the connection was reset");
        let mut asked = http::Request::new(request.body);
        *asked.method_mut() = request.method;
        *asked.uri_mut() = request.url.parse().map_err(|_| broken())?;
        *asked.headers_mut() = request.headers;
        let _flying = Flying::new(&self.flying);
        tokio::select! {
            biased;
            () = self.cut.notified() => Err(broken()),
            answer = self.emulator.imodelhub_exchange(asked) => {
                let (head, body) = answer.map_err(|_| broken())?.into_parts();
                Ok(Response::new(head.status, head.headers, body))
            }
        }
    }
}
