//! The emulator called without a socket, in paused time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use hub_emulator::Emulator;
use imodelhub_events::{AccessToken, Environment, EventType, HttpExchange, HubEvent, IModelHubClient};
use transport_longpoll::exchange::{ExchangeError, ExchangeErrorKind, Request, Response};

use crate::support::{IMODEL, Log, imodel};

/// Gives requests to the emulator as they are.
struct Direct(Arc<Emulator>);

#[async_trait]
impl HttpExchange for Direct {
    async fn exchange(&self, request: Request) -> Result<Response, ExchangeError> {
        let mut asked =
            http::Request::builder().method(request.method).uri(request.url).body(request.body).unwrap();
        *asked.headers_mut() = request.headers;
        match self.0.imodelhub_exchange(asked).await {
            Ok(answer) => {
                let (head, body) = answer.into_parts();
                Ok(Response::new(head.status, head.headers, body))
            }
            Err(_) => Err(ExchangeError::new(ExchangeErrorKind::Broken, "the connection was reset")),
        }
    }
}

/// The same, of a service that moves its queues.
struct Moving {
    inner: Direct,
    before: String,
    has_moved: Arc<AtomicBool>,
    polled: Log,
}

const AFTER: &str = "http://moved.example.com";

#[async_trait]
impl HttpExchange for Moving {
    async fn exchange(&self, mut request: Request) -> Result<Response, ExchangeError> {
        if request.url.contains("/messages/head") {
            self.polled.add(request.url.clone());
        }
        request.url = request.url.replace(AFTER, &self.before);
        let answer = self.inner.exchange(request).await?;
        if !self.has_moved.load(Ordering::Relaxed) {
            return Ok(answer);
        }
        let body = String::from_utf8_lossy(&answer.body).replace(&self.before, AFTER);
        Ok(Response::new(answer.status, answer.headers, body))
    }
}

#[tokio::test(start_paused = true)]
async fn events_are_read_where_the_last_token_says_that_the_queues_are() {
    let emulator = Arc::new(Emulator::builder().start().await.unwrap());
    let before = emulator.imodelhub_url();
    let (has_moved, polled) = (Arc::new(AtomicBool::new(false)), Log::default());
    let exchange = Moving {
        inner: Direct(Arc::clone(&emulator)),
        before: before.clone(),
        has_moved: Arc::clone(&has_moved),
        polled: polled.clone(),
    };
    let client = IModelHubClient::builder(Environment::Url(before.clone()), AccessToken::bearer("t"));
    let client = client.exchange(exchange).wall_clock(paused_clock).build().unwrap();
    let subscription = client.create_subscription(&imodel(), &[EventType::Version]).await.unwrap();
    for moved in [false, false, true, true] {
        if has_moved.swap(moved, Ordering::Relaxed) != moved {
            client.get_sas_token(&imodel()).await.unwrap();
        }
        assert!(client.get_event(&subscription, None).await.unwrap().is_none());
        let at = polled.wait_for(1).await.last().cloned().unwrap();
        assert!(at.starts_with(if moved { AFTER } else { &before }), "{at}");
    }
}

static STARTED: OnceLock<(tokio::time::Instant, SystemTime)> = OnceLock::new();

/// The system's clock at the start, and tokio's time from there on.
fn paused_clock() -> SystemTime {
    let (then, wall) = STARTED.get_or_init(|| (tokio::time::Instant::now(), SystemTime::now()));
    *wall + then.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_sas_token_is_replaced_before_it_lapses_and_no_poll_is_ever_refused() {
    let emulator =
        Arc::new(Emulator::builder().sas_lifetime(Duration::from_secs(600)).start().await.unwrap());
    let environment = Environment::Url(emulator.imodelhub_url());
    let exchange = Direct(Arc::clone(&emulator));
    let client = IModelHubClient::builder(environment, AccessToken::bearer("t"));
    let client = client.exchange(exchange).wall_clock(paused_clock).build().unwrap();
    let subscription = client.create_subscription(&imodel(), &[EventType::Version]).await.unwrap();
    let log = Log::default();
    let writing = log.clone();
    let started = tokio::time::Instant::now();
    let _listener = client
        .create_listener(&subscription)
        .handle(move |event: HubEvent| {
            let log = writing.clone();
            async move { log.add(event.event_type().to_owned()) }
        })
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(3_600)).await; // paused
    emulator.publish_imodel_event(IMODEL, "VersionEvent", None);
    log.wait_for(1).await;
    let stats = emulator.imodelhub_stats();
    assert_eq!(stats.sas_refused, 0);
    assert!((6..=8).contains(&stats.sas_issued), "{} tokens in an hour", stats.sas_issued);
    assert!(started.elapsed() < Duration::from_secs(3_700));
}
