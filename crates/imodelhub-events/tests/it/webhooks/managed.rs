//! Webhooks from their creation to their end, and what the platform does when a delivery goes wrong.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use http::StatusCode;
use http_body_util::Full;
use hub_emulator::imodelhub::{WebhookAction, WebhookFault};
use hub_emulator::{Builder, Emulator};
use imodelhub_events::webhooks::{
    NewWebhook, ReceiverStats, SigningKeys, WebhookClient, WebhookEventType, WebhookReceiver, WebhookScope,
};
use imodelhub_events::{
    AccessToken, Environment, ErrorClass, ErrorKind, HttpExchange, HubEvent, service_error,
};
use serde_json::json;
use transport_longpoll::exchange::{ExchangeError, Request, Response};

use super::sending::{SECRET, receiver};
use crate::support::{IMODEL, Log};

const ITWIN: &str = "ce40a55a-6954-4de3-85c7-f796c3e423d9";

fn manager(emulator: &Emulator) -> WebhookClient {
    let environment = Environment::Url(emulator.imodelhub_url());
    WebhookClient::builder(environment, AccessToken::bearer("marked-jwt")).build().unwrap()
}

fn versions(url: &str) -> NewWebhook {
    NewWebhook::new(url, WebhookScope::ITwin(ITWIN.to_owned()), [WebhookEventType::NamedVersionCreated])
}

async fn served(receiver: &WebhookReceiver) -> (String, tokio::task::JoinHandle<()>) {
    let port = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/webhooks", port.local_addr().unwrap());
    let app: axum::Router = axum::Router::new().route_service("/webhooks", receiver.service());
    (url, tokio::spawn(async move { axum::serve(port, app).await.unwrap() }))
}

#[tokio::test]
async fn a_webhook_is_created_activated_told_of_events_and_deleted() {
    let emulator = Emulator::start().await.unwrap();
    let client = manager(&emulator);
    // The platform makes the secret; the receiver is made with it.
    let created = client.create(&versions("http://127.0.0.1:9/webhooks")).await.unwrap();
    let id = created.webhook.id.clone();
    client.delete(&id).await.unwrap();
    assert_eq!(client.list().await.unwrap(), []);
    let receiver = WebhookReceiver::builder(SigningKeys::new([SECRET]).unwrap()).build().unwrap();
    let log = Log::default();
    let handled = log.clone();
    let _listener = receiver
        .create_listener()
        .handle(move |event: HubEvent| {
            handled.add(format!("{} {}", event.event_type(), event.event_topic().unwrap_or_default()));
            async {}
        })
        .await
        .unwrap();
    let (url, server) = served(&receiver).await;

    let created = client.create(&versions(&url).secret(SECRET)).await.unwrap();
    let webhook = created.webhook;
    assert_eq!(created.secret.expose(), SECRET);
    assert_eq!(webhook.scope, Some(WebhookScope::ITwin(ITWIN.to_owned())));
    assert_eq!(webhook.event_types, [WebhookEventType::NamedVersionCreated]);
    assert!(!webhook.active && webhook.created.is_some());
    assert_eq!(client.list().await.unwrap(), std::slice::from_ref(&webhook));
    assert_eq!(client.get(&webhook.id).await.unwrap(), webhook);

    // Nothing is sent before it is active, nor of other types.
    emulator.publish_imodel_event(IMODEL, "VersionEvent", None);
    client.activate(&webhook.id).await.unwrap();
    assert!(client.get(&webhook.id).await.unwrap().active);
    emulator.publish_imodel_event(IMODEL, "iModelDeletedEvent", None);
    emulator.publish_imodel_event(IMODEL, "VersionEvent", None);
    let told = format!("iModels.namedVersionCreated.v1 {IMODEL}");
    assert_eq!(log.wait_for(1).await, [told.as_str()]);
    let named = WebhookEventType::NamedVersionCreated;
    assert_eq!(emulator.publish_webhook_event(named.as_str(), Some("another iTwin"), &json!({})), 0);
    assert_eq!(emulator.publish_webhook_event(named.as_str(), Some(ITWIN), &json!({"imodelId": "i"})), 1);
    assert_eq!(log.wait_for(2).await[1], "iModels.namedVersionCreated.v1 i");
    let state = emulator.wait_for_imodelhub(|state| state.stats.webhooks_acknowledged == 2).await;
    assert_eq!((state.stats.webhooks_told, state.stats.webhooks_sent), (2, 2));

    client.deactivate(&webhook.id).await.unwrap();
    emulator.publish_imodel_event(IMODEL, "VersionEvent", None);
    client.delete(&webhook.id).await.unwrap();
    let gone = client.get(&webhook.id).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
    assert_eq!(service_error(&gone).unwrap().error_id.as_deref(), Some("WebhookNotFound"));
    assert_eq!(emulator.imodelhub_stats().webhooks_told, 2);
    server.abort();
}

#[tokio::test]
async fn refusals_are_typed_and_say_what_is_wrong_with_the_request() {
    let emulator = Emulator::builder().access_token("good").start().await.unwrap();
    let environment = || Environment::Url(emulator.imodelhub_url());
    let client = WebhookClient::builder(environment(), AccessToken::bearer("good")).build().unwrap();
    let url = "http://127.0.0.1:9/";
    for new in [
        NewWebhook::new(url, WebhookScope::Account, []),
        NewWebhook::new(url, WebhookScope::Account, [WebhookEventType::from(" ")]),
        NewWebhook::new(url, WebhookScope::ITwin(String::new()), [WebhookEventType::IModelCreated]),
        versions(url).secret("marked, too short"),
    ] {
        let error = client.create(&new).await.unwrap_err();
        assert_eq!((error.kind(), service_error(&error)), (ErrorKind::InvalidInput, None));
        assert!(!format!("{error} {new:?}").contains("marked"));
    }
    for id in ["", "../admin", "a/b", "a b"] {
        assert_eq!(client.get(id).await.unwrap_err().kind(), ErrorKind::InvalidInput, "{id}");
    }
    let error = client.create(&versions("ftp://example.com")).await.unwrap_err();
    let refusal = service_error(&error).unwrap();
    assert_eq!(
        (error.kind(), refusal.status, refusal.class()),
        (ErrorKind::InvalidInput, 422, ErrorClass::Fatal)
    );
    assert_eq!(refusal.error_id.as_deref(), Some("InvalidWebhooksRequest"));
    assert_eq!(refusal.details[0].target.as_deref(), Some("callbackUrl"));
    assert!(error.to_string().contains("callbackUrl: "), "{error}");

    let stranger = WebhookClient::builder(environment(), AccessToken::bearer("marked-jwt")).build().unwrap();
    let error = stranger.list().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert!(!format!("{error} {error:?} {stranger:?}").contains("marked"));
}

/// Answers everything with the same, and remembers what was asked.
#[derive(Clone)]
struct Always(u16, &'static str, Log);

#[async_trait]
impl HttpExchange for Always {
    async fn exchange(&self, request: Request) -> Result<Response, ExchangeError> {
        let accept = request.headers["accept"].to_str().unwrap();
        self.2.add(format!("{} {} {accept}", request.method, request.url));
        Ok(Response::new(StatusCode::from_u16(self.0).unwrap(), http::HeaderMap::new(), self.1))
    }
}

#[tokio::test]
async fn answers_are_read_with_and_without_an_envelope() {
    let client = |status, answer| {
        let log = Log::default();
        let builder = WebhookClient::builder(Environment::Production, AccessToken::bearer("jwt"));
        (builder.exchange(Always(status, answer, log.clone())).build().unwrap(), log)
    };
    let bare = r#"{"id":"7","secret":"the platform's","callbackUrl":"https://example.com/","scope":"Moon","scopeId":"5","eventTypes":["new.event.v1"],"active":true,"created":"11/3/2023 8:07:01 PM"}"#;
    let (bare, log) = client(201, bare);
    let created = bare.create(&versions("https://example.com/")).await.unwrap();
    assert_eq!((created.webhook.id.as_str(), created.secret.expose()), ("7", "the platform's"));
    assert_eq!(created.webhook.scope, Some(WebhookScope::Other("Moon".to_owned(), Some("5".to_owned()))));
    assert_eq!(created.webhook.event_types, [WebhookEventType::from("new.event.v1")]);
    assert!(
        created.webhook.active && created.webhook.created.is_some() && created.webhook.modified.is_none()
    );
    let asked = "POST https://api.bentley.com/webhooks/ application/vnd.bentley.itwin-platform.v2+json";
    assert_eq!(log.wait_for(1).await, [asked]);
    // The first version answers a creation with id and secret alone: the rest is asked for.
    let (short, log) = client(200, r#"{"webhook":{"id":"8","secret":"the platform's"}}"#);
    assert_eq!(short.create(&versions("https://example.com/")).await.unwrap().webhook.id, "8");
    assert!(log.wait_for(2).await[1].starts_with("GET https://api.bentley.com/webhooks/8 "));
    let (none, _) = client(200, r#"{"webhook":{"id":"9"}}"#);
    assert_eq!(none.create(&versions("https://a/")).await.unwrap_err().kind(), ErrorKind::Protocol);
    let given = none.create(&versions("https://a/").secret(SECRET)).await.unwrap();
    assert_eq!(given.secret.expose(), SECRET);
    assert_eq!(client(200, "[]").0.list().await.unwrap(), []);
    for rubbish in ["", "{}", "<html>", r#"{"webhooks":[{}]}"#] {
        assert_eq!(client(200, rubbish).0.list().await.unwrap_err().kind(), ErrorKind::Protocol, "{rubbish}");
    }
    let (busy, _) = client(429, r#"{"error":{"code":"TooManyRequests","message":"Later."}}"#);
    let error = busy.activate("7").await.unwrap_err();
    assert_eq!(service_error(&error).unwrap().class(), ErrorClass::Retryable);
    let (forbidden, _) = client(403, r#"{"error":{"code":"InsufficientPermissions","message":"No."}}"#);
    assert_eq!(forbidden.list().await.unwrap_err().kind(), ErrorKind::PermissionDenied);
    client(204, "").0.delete("7").await.unwrap();
}

/// An emulator that posts into a receiver of this process, without a socket; its first answers can be held back.
async fn wired(
    change: impl FnOnce(Builder) -> Builder,
    receiver: WebhookReceiver,
    silent: usize,
) -> (Emulator, WebhookClient) {
    let left = Arc::new(AtomicUsize::new(silent));
    let poster = move |request: http::Request<bytes::Bytes>| {
        let (receiver, left) = (receiver.clone(), Arc::clone(&left));
        async move {
            if left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok() {
                std::future::pending::<()>().await;
            }
            receiver.answer(request.map(Full::<bytes::Bytes>::from)).await.status()
        }
    };
    let emulator = change(Emulator::builder().in_memory().webhook_poster(poster)).start().await.unwrap();
    let environment = Environment::Url(emulator.imodelhub_url());
    let builder = WebhookClient::builder(environment, AccessToken::bearer("jwt"));
    let client = builder.exchange(emulator.imodelhub_http()).build().unwrap();
    let created = client.create(&versions("https://example.com/hook").secret(SECRET)).await.unwrap();
    client.activate(&created.webhook.id).await.unwrap();
    (emulator, client)
}

type Counter = fn(&ReceiverStats) -> u64;

#[tokio::test(start_paused = true)]
async fn what_goes_wrong_on_the_way_is_refused_sent_again_and_handled_once() {
    let cases: [(WebhookAction, Counter); 8] = [
        (WebhookAction::BadSignature, |stats| stats.signature_wrong),
        (WebhookAction::Tampered, |stats| stats.signature_wrong),
        (WebhookAction::Unsigned, |stats| stats.signature_missing),
        (WebhookAction::ContentType, |stats| stats.wrong_content_type),
        (WebhookAction::Oversized { bytes: 2_000 }, |stats| stats.too_large),
        (WebhookAction::Stale { by_ms: 601_000 }, |stats| stats.stale),
        (WebhookAction::Repeat, |stats| stats.repeats),
        (WebhookAction::LoseAnswer, |stats| stats.repeats),
    ];
    for (action, counter) in cases {
        let receiver = receiver(|builder| {
            builder
                .max_body(1_000)
                .stale_after(Duration::from_secs(600))
                .wall_clock(super::sending::when_sent)
        });
        let log = Log::default();
        let handled = log.clone();
        let _listener = receiver
            .create_listener()
            .handle(move |event: HubEvent| {
                handled.add(event.message_id().unwrap());
                async {}
            })
            .await
            .unwrap();
        let (emulator, _) =
            wired(|builder| builder.starts_at(super::sending::when_sent()), receiver.clone(), 0).await;
        emulator.add_webhook_fault(WebhookFault::new(action)).unwrap();
        emulator.publish_imodel_event(IMODEL, "VersionEvent", None);
        let state = emulator.wait_for_imodelhub(|state| state.stats.webhooks_acknowledged == 1).await;
        assert_eq!((state.stats.webhooks_sent, state.stats.webhooks_resent), (2, 1), "{action:?}");
        assert_eq!(log.wait_for(1).await.len(), 1);
        let counted = receiver.stats();
        assert_eq!((counter(&counted), counted.accepted), (1, 1), "{action:?}: {counted:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_callback_is_sent_to_again_after_5_seconds_and_a_pause() {
    let receiver = receiver(|builder| builder);
    let _listener = receiver.create_listener().handle(async |_event: HubEvent| {}).await.unwrap();
    let (emulator, _) = wired(|builder| builder, receiver.clone(), 2).await;
    let begun = tokio::time::Instant::now();
    emulator.publish_imodel_event(IMODEL, "VersionEvent", None);
    let state = emulator.wait_for_imodelhub(|state| state.stats.webhooks_acknowledged == 1).await;
    // Twice 5 s of silence, pauses of 1 s and 2 s.
    assert_eq!(begun.elapsed().as_secs(), 13);
    assert_eq!((state.stats.webhooks_sent, state.stats.webhooks_refused), (3, 2));
    assert_eq!(receiver.stats().accepted, 1);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_is_never_acknowledged_is_given_up_and_counted() {
    // Nobody listens: 503.
    let receiver = receiver(|builder| builder);
    let pauses = |builder: Builder| builder.webhook_resending(3, Duration::from_secs(40));
    let (emulator, client) = wired(pauses, receiver.clone(), 0).await;
    let begun = tokio::time::Instant::now();
    emulator.publish_imodel_event(IMODEL, "VersionEvent", None);
    let state = emulator.wait_for_imodelhub(|state| state.stats.webhooks_given_up == 1).await;
    assert_eq!(begun.elapsed().as_secs(), 100, "40 s, and 60 s, which is the longest");
    assert_eq!((state.stats.webhooks_sent, receiver.stats().nobody_listens), (3, 3));
    // One that was deleted meanwhile is not sent to again.
    emulator.publish_imodel_event(IMODEL, "VersionEvent", None);
    emulator.wait_for_imodelhub(|state| state.stats.webhooks_refused == 4).await;
    let id = client.list().await.unwrap().remove(0).id;
    client.delete(&id).await.unwrap();
    let state = emulator.wait_for_imodelhub(|state| state.stats.webhooks_given_up == 2).await;
    assert_eq!(state.stats.webhooks_sent, 4);
}
