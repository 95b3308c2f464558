//! A client with a journal: events are completed when they are kept, and handled from there.

use std::sync::Arc;

use hub_emulator::Emulator;
use imodelhub_events::journal::{Config, Journal};
use imodelhub_events::{
    AccessToken, AccessTokenProvider, Environment, ErrorKind, EventType, IModelHubClient, ReceiveMode, Result,
};
use serde_json::json;

use crate::support::{IMODEL, client, imodel};

struct Anybody;

#[async_trait::async_trait]
impl AccessTokenProvider for Anybody {
    async fn access_token(&self, _refused: bool) -> Result<AccessToken> {
        Ok(AccessToken::bearer("anybody"))
    }
}

fn keeping(emulator: &Emulator, journal: &Journal) -> IModelHubClient {
    let environment = Environment::Url(emulator.imodelhub_url());
    IModelHubClient::builder(environment, Anybody).journal(journal.clone()).build().unwrap()
}

fn publish(emulator: &Emulator, n: usize) {
    emulator.publish_imodel_event(IMODEL, "VersionEvent", Some(json!({"VersionName": n.to_string()})));
}

#[tokio::test]
async fn a_listener_goes_on_in_the_next_process_with_what_it_did_not_acknowledge() {
    let emulator = Arc::new(Emulator::start().await.unwrap());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.journal");
    let journal = Journal::open(&path, Config::default()).await.unwrap();
    let first = keeping(&emulator, &journal);
    let subscription = first.create_subscription(&imodel(), &[EventType::Version]).await.unwrap();
    let mut stream = first.create_listener(&subscription).durable("versions").stream().await.unwrap();
    for n in 0..5 {
        publish(&emulator, n);
    }
    let event = stream.next().await.unwrap().unwrap();
    assert_eq!(event.event().body()["VersionName"], "0");
    event.ack();
    // All are kept, and gone from the service, though one was handled.
    while journal.stats().appended < 5 || journal.consumers()[0].next_sequence < 2 {
        tokio::task::yield_now().await;
    }
    emulator.wait_for_imodelhub(|state| state.waiting() == 1).await;
    drop((stream, first));
    journal.close().await;

    let journal = Journal::open(&path, Config::default()).await.unwrap();
    let second = keeping(&emulator, &journal);
    let mut stream = second.create_listener(&subscription).durable("versions").stream().await.unwrap();
    publish(&emulator, 5);
    let mut names = Vec::new();
    while names.last().is_none_or(|name| name != "5") {
        let event = stream.next().await.unwrap().unwrap();
        names.push(event.event().body()["VersionName"].as_str().unwrap().to_owned());
        event.ack();
    }
    names.retain(|name| name != "0");
    assert_eq!(names, ["1", "2", "3", "4", "5"]);
}

#[tokio::test]
async fn a_place_without_a_journal_or_without_locks_is_refused() {
    let emulator = Arc::new(Emulator::start().await.unwrap());
    let (bare, _) = client(&emulator);
    let subscription = bare.create_subscription(&imodel(), &[EventType::Version]).await.unwrap();
    let refused = bare.create_listener(&subscription).durable("versions").stream().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsupported);
    let journal = Journal::in_memory(Config::default()).unwrap();
    let destructive = keeping(&emulator, &journal)
        .create_listener(&subscription)
        .mode(ReceiveMode::ReceiveAndDelete)
        .durable("versions")
        .stream()
        .await
        .unwrap_err();
    assert_eq!(destructive.kind(), ErrorKind::Unsupported);
}
