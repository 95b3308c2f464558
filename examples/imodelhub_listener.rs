//! Events of an iModel from beginning to end: subscribe, get one event, wait for one, listen while tokens expire, delete.
//!
//! Without settings it runs against an emulator inside this process. With `IMODELHUB_URL` (without `/sv1.1`),
//! `IMODELHUB_TOKEN` and `IMODEL_ID` set, it talks to that service.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use hub_emulator::Emulator;
use imodelhub_events::{
    AccessToken, AccessTokenProvider, Environment, Error, ErrorKind, EventType, HubEvent, IModelEvent,
    IModelHubClient, IModelId, ListenerState, ListenerStream,
};
use serde_json::json;

const IMODEL: &str = "0a1b2c3d-1111-2222-3333-444455556666";

/// Where the events come from.
struct Hub {
    /// Stops when dropped.
    emulator: Option<Arc<Emulator>>,
    tokens: Tokens,
    client: IModelHubClient,
    imodel: IModelId,
}

/// Gives access tokens: fresh ones for the emulator, the one from the environment for a real service.
///
/// A program of yours asks its identity provider here; this is called again whenever the service refuses a token.
#[derive(Clone)]
struct Tokens {
    emulator: Option<Arc<Emulator>>,
    given: Arc<AtomicUsize>,
}

#[async_trait]
impl AccessTokenProvider for Tokens {
    async fn access_token(&self, refused: bool) -> Result<AccessToken, Error> {
        let number = self.given.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some(emulator) = &self.emulator {
            let token = format!("token-{number}");
            emulator.accept_token(token.as_str());
            return Ok(AccessToken::bearer(token));
        }
        if refused {
            let message = "the service refused IMODELHUB_TOKEN; log in again and set a fresh one";
            return Err(Error::new(ErrorKind::Unauthenticated, "authenticate", message));
        }
        variable("IMODELHUB_TOKEN").map(AccessToken::bearer)
    }
}

fn variable(name: &str) -> Result<String, Error> {
    std::env::var(name)
        .ok()
        .filter(|value| !value.is_empty())
        .ok_or_else(|| Error::new(ErrorKind::InvalidInput, "read environment", format!("{name} is not set")))
}

impl Hub {
    async fn start() -> Result<Self, Box<dyn std::error::Error>> {
        let url = variable("IMODELHUB_URL").ok();
        let emulator = match &url {
            Some(_) => None,
            None => Some(Arc::new(Emulator::start().await?)),
        };
        let tokens = Tokens { emulator: emulator.clone(), given: Arc::default() };
        let (url, imodel) = match (url, &emulator) {
            (None, Some(emulator)) => (emulator.imodelhub_url(), IMODEL.to_owned()),
            (url, _) => (url.unwrap_or_default(), variable("IMODEL_ID")?),
        };
        let client = IModelHubClient::builder(Environment::Url(url), tokens.clone()).build()?;
        Ok(Self { emulator, tokens, client, imodel: IModelId::new(imodel)? })
    }

    /// Makes an event: somebody creates a named version.
    fn name_version(&self, name: &str) {
        match &self.emulator {
            Some(emulator) => {
                let body =
                    json!({"EventTopic": self.imodel.as_str(), "VersionId": IMODEL, "VersionName": name});
                emulator.publish_imodel_event(self.imodel.as_str(), "VersionEvent", Some(body));
            }
            None => println!("   (create a named version of this iModel now)"),
        }
    }

    /// How long a read may wait: a person needs longer than the emulator.
    fn patience(&self) -> Duration {
        Duration::from_secs(if self.emulator.is_some() { 10 } else { 120 })
    }
}

fn describe(event: &HubEvent) -> String {
    match event.imodel() {
        Ok(IModelEvent::Version(version)) => format!("version \"{}\" was created", version.version_name),
        Ok(other) => format!("{other:?}"),
        Err(error) => format!("{} that cannot be read: {error}", event.event_type()),
    }
}

/// Takes the next event of a listener, and says that it is handled.
async fn take(stream: &mut ListenerStream) -> Result<HubEvent, Box<dyn std::error::Error>> {
    let event = stream.next().await.ok_or("the listener ended")??.ack();
    println!("   {}", describe(&event));
    Ok(event)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let hub = Hub::start().await?;
    let client = &hub.client;

    println!("1. create a subscription");
    let subscription = client.create_subscription(&hub.imodel, &[EventType::Version]).await?;
    println!("   {} wants {:?}", subscription.id, subscription.event_types);

    // The steps are in a function of their own, so that the subscription is deleted however they end.
    let outcome = read(&hub, &subscription).await;

    println!("6. delete the subscription");
    client.delete_subscription(&subscription).await?;
    outcome?;
    println!("done; the token provider was asked {} time(s)", hub.tokens.given.load(Ordering::Relaxed));
    Ok(())
}

async fn read(
    hub: &Hub,
    subscription: &imodelhub_events::EventSubscription,
) -> Result<(), Box<dyn std::error::Error>> {
    let client = &hub.client;

    println!("2. get one event, which deletes it from the queue");
    hub.name_version("v1");
    // Without a timeout the service answers at once. The emulator has the event already, a person needs longer.
    let timeout = hub.emulator.is_none().then(|| hub.patience());
    match client.get_event(subscription, timeout).await? {
        Some(event) => println!("   {}", describe(&event)),
        None => println!("   none came"),
    }
    println!("   and then: {:?}", client.get_event(subscription, None).await?.map(|event| describe(&event)));

    println!("3. long-poll for one that arrives later");
    let waiting = client.get_event(subscription, Some(hub.patience()));
    let publishing = async {
        if let Some(emulator) = &hub.emulator {
            emulator.wait_for_imodelhub(|state| state.waiting() == 1).await;
            println!("   the poll waits at the service");
        }
        hub.name_version("v2");
    };
    let (event, ()) = tokio::join!(waiting, publishing);
    match event? {
        Some(event) => println!("   {}", describe(&event)),
        None => println!("   none came within {:?}", hub.patience()),
    }

    println!("4. listen; another listener on the same subscription shares its poll");
    let handled = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&handled);
    let mut stream = client.create_listener(subscription).stream().await?;
    let other = client
        .create_listener(subscription)
        .handle(move |_event: HubEvent| {
            count.fetch_add(1, Ordering::Relaxed);
            async {}
        })
        .await?;
    hub.name_version("v3");
    take(&mut stream).await?;

    if let Some(emulator) = &hub.emulator {
        println!("5. go on while tokens end");
        // Only a poll that comes after it notices: let the one that waits now bring its event first.
        emulator.wait_for_imodelhub(|state| state.waiting() == 1).await;
        let before = emulator.imodelhub_stats().sas_issued;
        println!("   {} SAS token(s) expire", emulator.expire_sas());
        hub.name_version("v4");
        take(&mut stream).await?;
        hub.name_version("v5");
        take(&mut stream).await?;
        println!("   SAS tokens asked for meanwhile: {}", emulator.imodelhub_stats().sas_issued - before);

        emulator.wait_for_imodelhub(|state| state.waiting() == 1).await;
        let before = hub.tokens.given.load(Ordering::Relaxed);
        println!("   {} access token(s) and the SAS token end", emulator.revoke_tokens());
        emulator.expire_sas();
        hub.name_version("v6");
        take(&mut stream).await?;
        hub.name_version("v7");
        take(&mut stream).await?;
        println!(
            "   access tokens asked for meanwhile: {}",
            hub.tokens.given.load(Ordering::Relaxed) - before
        );
    } else {
        println!("5. tokens are renewed by themselves when they expire; not waited for here");
    }
    if let ListenerState::Ended(reason) = stream.state() {
        println!("   the listener ended: {reason:?}");
    }
    drop(stream);
    drop(other);
    println!(
        "   both listeners are dropped, the poll with them; the other one counted {}",
        handled.load(Ordering::Relaxed)
    );
    Ok(())
}
