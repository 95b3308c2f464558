//! Subscriptions, tokens, single events: what the service's guide describes, against the emulator.

use std::sync::Arc;
use std::time::Duration;

use hub_emulator::Emulator;
use imodelhub_events::{
    AccessToken, Environment, ErrorClass, ErrorKind, EventType, GlobalChange, GlobalEventType,
    GlobalSubscriptionKey, IModelEvent, IModelHubClient, service_error,
};

use crate::support::{IMODEL, client, imodel};

#[tokio::test]
async fn a_subscription_is_created_read_changed_and_deleted() {
    let emulator = Arc::new(Emulator::start().await.unwrap());
    let (client, tokens) = client(&emulator);
    let types = [EventType::Version, EventType::Lock];
    let subscription = client.create_subscription(&imodel(), &types).await.unwrap();
    assert_eq!(subscription.event_types, ["VersionEvent", "LockEvent"]);
    assert!(client.get_event(&subscription, None).await.unwrap().is_none(), "at once, when there is nothing");

    emulator.publish_imodel_event(IMODEL, "VersionEvent", None);
    emulator.publish_imodel_event(IMODEL, "CodeEvent", None);
    let event = client.get_event(&subscription, None).await.unwrap().unwrap();
    assert!(matches!(event.imodel().unwrap(), IModelEvent::Version(_)));
    assert_eq!(event.event_topic(), Some(IMODEL));
    assert!(
        client.get_event(&subscription, None).await.unwrap().is_none(),
        "codes were not asked for; the event is gone"
    );

    let changed = client.update_subscription(&subscription, &[EventType::Code]).await.unwrap();
    assert_eq!((changed.id.as_str(), changed.event_types.len()), (subscription.id.as_str(), 1));
    client.delete_subscription(&changed).await.unwrap();
    let gone = client.get_event(&changed, None).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound, "{gone}");
    assert_eq!(tokens.given(), 1);
}

#[tokio::test]
async fn a_long_poll_brings_an_event_that_arrives_later() {
    let emulator = Arc::new(Emulator::start().await.unwrap());
    let (client, _) = client(&emulator);
    let subscription = client.create_subscription(&imodel(), &[EventType::Version]).await.unwrap();
    let waiting = client.get_event(&subscription, Some(Duration::from_secs(30)));
    let publishing = async {
        emulator.wait_for_imodelhub(|state| state.waiting() == 1).await;
        emulator.publish_imodel_event(IMODEL, "VersionEvent", None);
    };
    let (event, ()) = tokio::join!(waiting, publishing);
    assert_eq!(event.unwrap().unwrap().event_type(), "VersionEvent");
}

#[tokio::test]
async fn a_sas_token_says_where_the_queues_are_and_how_long_it_lasts() {
    let emulator = Arc::new(Emulator::start().await.unwrap());
    let (client, _) = client(&emulator);
    let sas = client.get_sas_token(&imodel()).await.unwrap();
    assert!(sas.base_address.starts_with(&emulator.imodelhub_url()) && sas.expires.is_some());
    assert!(sas.token.expose().starts_with("SharedAccessSignature "));
    assert!(!format!("{sas:?}").contains("sig="));
}

#[tokio::test]
async fn a_global_event_is_locked_and_then_deleted_or_given_back() {
    let emulator = Arc::new(Emulator::start().await.unwrap());
    let (client, _) = client(&emulator);
    let key = GlobalSubscriptionKey::new(IMODEL).unwrap();
    let subscription =
        client.create_global_subscription(&key, &[GlobalEventType::IModelCreated]).await.unwrap();
    emulator.publish_global_event("iModelCreatedEvent", None);
    let peeked = client.peek_event(&subscription, None).await.unwrap().unwrap();
    assert_eq!(peeked.event().global().unwrap().change, GlobalChange::IModelCreated);
    assert!(client.peek_event(&subscription, None).await.unwrap().is_none(), "locked");
    peeked.abandon().await.unwrap();
    let again = client.peek_event(&subscription, None).await.unwrap().unwrap();
    assert_eq!(again.event().delivery_count(), Some(2));
    again.renew().await.unwrap();
    again.delete().await.unwrap();
    assert_eq!(again.delete().await.unwrap_err().kind(), ErrorKind::LockLost);
    assert!(client.peek_event(&subscription, None).await.unwrap().is_none());
    client.delete_subscription(&subscription).await.unwrap();
}

#[tokio::test]
async fn bad_arguments_are_refused_before_anything_is_sent() {
    let emulator = Arc::new(Emulator::start().await.unwrap());
    let (client, _) = client(&emulator);
    let none = client.create_subscription(&imodel(), &[]).await.unwrap_err();
    let empty = client.create_subscription(&imodel(), &[EventType::from("")]).await.unwrap_err();
    assert_eq!((none.kind(), empty.kind()), (ErrorKind::InvalidInput, ErrorKind::InvalidInput));
    assert_eq!(emulator.imodelhub_stats().requests, 0);
    let subscription = client.create_subscription(&imodel(), &[EventType::Version]).await.unwrap();
    for wrong in [Duration::ZERO, Duration::from_millis(1_500), Duration::from_secs(231)] {
        let error = client.get_event(&subscription, Some(wrong)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{wrong:?}");
    }
    assert_eq!(emulator.imodelhub_stats().receives, 0);
    for url in ["", "hub.example", "ftp://hub", "https://", "https://u:p@hub", "https://hub/?a=b"] {
        let built =
            IModelHubClient::builder(Environment::Url(url.to_owned()), AccessToken::bearer("t")).build();
        assert_eq!(built.unwrap_err().kind(), ErrorKind::InvalidUrl, "{url}");
    }
}

#[tokio::test]
async fn a_refusal_carries_the_services_name_for_it() {
    let emulator = Arc::new(Emulator::start().await.unwrap());
    let (client, _) = client(&emulator);
    let error = client.create_subscription(&imodel(), &[EventType::from("NoSuchEvent")]).await.unwrap_err();
    let service = service_error(&error).unwrap();
    assert_eq!(service.error_id.as_deref(), Some("iModelHub.EventTypeDoesNotExist"));
    assert_eq!(
        (service.number(), service.class(), error.kind()),
        (Some(102_432), ErrorClass::Fatal, ErrorKind::InvalidInput)
    );
}

#[tokio::test]
async fn a_login_of_an_imodelbank_is_sent_as_basic() {
    let password = imodelhub_events::Secret::new("pass");
    let emulator = Emulator::builder().basic_login("ann", &password).start().await.unwrap();
    let environment = || Environment::Url(emulator.imodelhub_url());
    let client = IModelHubClient::builder(environment(), AccessToken::basic("ann", "pass")).build().unwrap();
    client.create_subscription(&imodel(), &[EventType::Version]).await.unwrap();
    let wrong =
        IModelHubClient::builder(environment(), AccessToken::basic("ann", "marked-wrong")).build().unwrap();
    let error = wrong.create_subscription(&imodel(), &[EventType::Version]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert!(!format!("{error:?}{error} {wrong:?}").contains("marked"));
}
