//! What the tests share: recordings, a scripted service, a link to it.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use base64::Engine;
use bytes::Bytes;
use event_core::transport::{Attempt, Guarantee, Inbound, Link, RawDelivery, Transport};
use event_core::{Error, Subscriber, SubscriptionSpec};
use futures_util::StreamExt;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::Value;
use tokio::sync::{Mutex, mpsc, oneshot};
use transport_longpoll::auth::{Authorization, QueueAuth};
use transport_longpoll::exchange::{ExchangeErrorKind, Request, Response};
use transport_longpoll::{ExchangeError, HttpExchange, LongPollTransport, LongPollTransportBuilder};

pub(crate) const QUEUE: &str = "https://bus.example.com/topic/Subscriptions/s1";

/// One exchange of a recording.
pub(crate) struct Record(pub(crate) Value);

impl Record {
    pub(crate) fn method(&self) -> &str {
        self.0["request"]["method"].as_str().unwrap()
    }

    pub(crate) fn url(&self) -> &str {
        self.0["request"]["url"].as_str().unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.0["request"]["headers"][name].as_str()
    }

    pub(crate) fn is_to_a_queue(&self) -> bool {
        self.url().to_ascii_lowercase().starts_with("/bus/")
    }

    pub(crate) fn label(&self) -> &str {
        self.0["label"].as_str().unwrap_or("")
    }

    /// The answer, with its exact body where the recording has it.
    pub(crate) fn response(&self) -> Option<Response> {
        let response = self.0.get("response")?;
        let headers = response["headers"].as_object().unwrap();
        let headers: Vec<_> = headers.iter().map(|(k, v)| (k.as_str(), v.as_str().unwrap())).collect();
        let body = match response["bodyBase64"].as_str() {
            Some(text) => base64::engine::general_purpose::STANDARD.decode(text).unwrap(),
            None => response["body"].as_str().unwrap_or("").as_bytes().to_vec(),
        };
        let status = u16::try_from(response["status"].as_u64().unwrap()).unwrap();
        Some(Response::new(StatusCode::from_u16(status).unwrap(), header_map(&headers), body))
    }
}

pub(crate) fn records(name: &str) -> Vec<Record> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(format!("{name}.jsonl"));
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| Record(serde_json::from_str(line).unwrap())).collect()
}

pub(crate) fn header_map(headers: &[(&str, &str)]) -> HeaderMap {
    let parse = |(name, value): &(&str, &str)| {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        (name, HeaderValue::from_bytes(value.as_bytes()).unwrap())
    };
    headers.iter().map(parse).collect()
}

pub(crate) fn answer(status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Response {
    Response::new(StatusCode::from_u16(status).unwrap(), header_map(headers), body)
}

/// A message that was read destructively.
pub(crate) fn event(id: &str) -> Response {
    let broker = format!(r#"{{"MessageId":"{id}","DeliveryCount":1,"SequenceNumber":7}}"#);
    let body = transport_longpoll::binary_xml::wrap(r#"{"a":1}"#);
    answer(200, &[("content-type", "VersionEvent"), ("brokerproperties", &broker)], body)
}

/// A message under a lock of 60 s.
pub(crate) fn locked(id: &str, count: u32) -> Response {
    let broker = format!(
        r#"{{"MessageId":"{id}","DeliveryCount":{count},"LockToken":"t-{id}","LockedUntilUtc":"Mon, 23 Nov 2026 14:52:46 GMT"}}"#
    );
    let headers = [
        ("content-type", "VersionEvent"),
        ("date", "Mon, 23 Nov 2026 14:51:46 GMT"),
        ("location", &format!("{QUEUE}/messages/7/t-{id}")),
        ("brokerproperties", &broker),
    ];
    answer(201, &headers, r#"{"a":1}"#)
}

pub(crate) fn nothing() -> Response {
    answer(204, &[], "")
}

pub(crate) fn status(status: u16) -> Response {
    answer(status, &[], "")
}

/// An exchange that waits for the test to answer it.
pub(crate) struct Call {
    pub(crate) request: Request,
    reply: oneshot::Sender<Result<Response, ExchangeError>>,
}

impl Call {
    pub(crate) fn answer(self, response: Response) {
        let _ = self.reply.send(Ok(response));
    }

    pub(crate) fn fail(self, kind: ExchangeErrorKind) {
        let _ = self.reply.send(Err(ExchangeError::new(kind, "scripted")));
    }

    /// Whether the client has dropped the exchange.
    pub(crate) fn is_dropped(&self) -> bool {
        self.reply.is_closed()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.request.headers.get(name).unwrap().to_str().unwrap()
    }

    /// `DELETE /messages/head?timeout=60`, without the queue.
    pub(crate) fn line(&self) -> String {
        let path = self.request.url.strip_prefix(QUEUE).unwrap_or(&self.request.url);
        format!("{} {path}", self.request.method)
    }
}

struct Wire(mpsc::Sender<Call>);

#[async_trait]
impl HttpExchange for Wire {
    async fn exchange(&self, request: Request) -> Result<Response, ExchangeError> {
        let (reply, answer) = oneshot::channel();
        let broken = || ExchangeError::new(ExchangeErrorKind::Broken, "the service went away");
        self.0.send(Call { request, reply }).await.map_err(|_| broken())?;
        answer.await.map_err(|_| broken())?
    }
}

/// The service's end.
pub(crate) struct Service(Mutex<mpsc::Receiver<Call>>);

impl Service {
    pub(crate) fn new() -> (Self, impl HttpExchange) {
        let (tx, rx) = mpsc::channel(64);
        (Self(Mutex::new(rx)), Wire(tx))
    }

    pub(crate) async fn call(&self) -> Call {
        self.0.lock().await.recv().await.unwrap()
    }

    /// Nothing has been asked that was not taken.
    pub(crate) fn is_quiet(&self) -> bool {
        self.0.try_lock().unwrap().is_empty()
    }
}

/// Numbered tokens; each refusal and each call counts.
#[derive(Default)]
pub(crate) struct Tokens {
    pub(crate) given: std::sync::atomic::AtomicU32,
    pub(crate) refused: std::sync::atomic::AtomicU32,
}

#[async_trait]
impl QueueAuth for Tokens {
    async fn authorization(&self, refused: Option<&Authorization>) -> event_core::Result<Authorization> {
        use std::sync::atomic::Ordering::SeqCst;
        if refused.is_some() {
            self.refused.fetch_add(1, SeqCst);
        }
        self.given.fetch_add(1, SeqCst);
        Ok(Authorization::new(format!("token-{}", self.refused.load(SeqCst))))
    }
}

pub(crate) fn builder() -> (Service, Arc<Tokens>, LongPollTransportBuilder) {
    let (service, wire) = Service::new();
    let tokens = Arc::new(Tokens::default());
    let builder = LongPollTransport::builder(wire, Arc::clone(&tokens));
    (service, tokens, builder)
}

pub(crate) async fn connect(builder: LongPollTransportBuilder) -> (LongPollTransport, Link) {
    let transport = builder.build().unwrap();
    let link = transport.connect(Attempt::first()).await.unwrap();
    (transport, link)
}

pub(crate) fn spec(id: &str, address: &str, require: Guarantee) -> SubscriptionSpec {
    let mut spec = SubscriptionSpec::new(Subscriber::new(id), None);
    spec.address = Some(address.to_owned());
    spec.require = require;
    spec
}

/// The next thing that a link has to tell.
pub(crate) async fn next(link: &mut Link) -> Inbound {
    link.rx.next().await.unwrap().unwrap()
}

pub(crate) async fn delivery(link: &mut Link) -> RawDelivery {
    match next(link).await {
        Inbound::Delivery(delivery) => delivery,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn problem(link: &mut Link) -> Error {
    match next(link).await {
        Inbound::Problem(error) => error,
        other => panic!("{other:?}"),
    }
}

/// Lets the link do what it can, with nothing to tell.
pub(crate) async fn settle_down(link: &mut Link) {
    for _ in 0..5 {
        assert!(futures_util::poll!(link.rx.next()).is_pending());
        tokio::task::yield_now().await;
    }
}

/// Some instant; tests make the others from it.
pub(crate) fn start() -> Instant {
    Instant::now()
}

pub(crate) const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
