//! Webhooks of the iTwin Platform from beginning to end: create one, receive, be sent what was refused again, delete.
//!
//! Without settings it plays the whole story with an emulator inside this process. With `WEBHOOK_SECRET` set, it only
//! receives, on the port `WEBHOOK_PORT` (8080 if that is not set), until it is interrupted: put a public https address in
//! front of it, and give that to the platform as the callback.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use axum::Router;
use hub_emulator::Emulator;
use hub_emulator::imodelhub::{WebhookAction, WebhookFault};
use imodelhub_events::webhooks::{
    NewWebhook, SigningKeys, WebhookClient, WebhookContent, WebhookEventType, WebhookReceiver, WebhookScope,
};
use imodelhub_events::{AccessToken, Environment, Error, HubEvent, Listener};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

type Failure = Box<dyn std::error::Error>;

const IMODEL: &str = "0a1b2c3d-1111-2222-3333-444455556666";
const PATH: &str = "/webhooks";

#[tokio::main]
async fn main() -> Result<(), Failure> {
    match std::env::var("WEBHOOK_SECRET") {
        Ok(secret) => receive(secret).await,
        Err(_) => story().await,
    }
}

/// What is done with an event.
fn work_on(event: &HubEvent) -> Result<(), Error> {
    let envelope = event.webhook()?;
    match envelope.content()? {
        WebhookContent::NamedVersionCreated(version) => {
            println!("   version {} of the iModel {}", version.version_id, version.imodel_id);
        }
        WebhookContent::IModelDeleted(deleted) => println!("   the iModel {} was deleted", deleted.imodel_id),
        _ => println!("   {}: {}", event.event_type(), event.body()),
    }
    Ok(())
}

async fn listen(receiver: &WebhookReceiver) -> Result<Listener, Error> {
    receiver.create_listener().handle(|event: HubEvent| std::future::ready(work_on(&event))).await
}

fn serve(receiver: &WebhookReceiver, port: TcpListener) -> JoinHandle<std::io::Result<()>> {
    let app: Router = Router::new().route_service(PATH, receiver.service());
    tokio::spawn(async move { axum::serve(port, app).await })
}

/// Receives until somebody ends the process.
async fn receive(secret: String) -> Result<(), Failure> {
    let port = std::env::var("WEBHOOK_PORT").map_or(Ok(8080), |text| text.parse::<u16>())?;
    let receiver = WebhookReceiver::builder(SigningKeys::new([secret])?).build()?;
    let _listener = listen(&receiver).await?;
    let port = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("receiving on http://{}{PATH}", port.local_addr()?);
    let server = serve(&receiver, port);
    tokio::signal::ctrl_c().await?;
    println!("{}", receiver.drain(Duration::from_secs(10)).await);
    server.abort();
    println!("{:#?}", receiver.stats());
    Ok(())
}

async fn story() -> Result<(), Failure> {
    let emulator = Emulator::builder().webhook_resending(5, Duration::from_millis(100)).start().await?;
    let environment = Environment::Url(emulator.imodelhub_url());
    let client = WebhookClient::builder(environment, AccessToken::bearer("any-token-will-do")).build()?;
    let port = TcpListener::bind("127.0.0.1:0").await?;
    let callback = format!("http://{}{PATH}", port.local_addr()?);

    println!("1. create a webhook; the platform makes its secret");
    let types = [WebhookEventType::NamedVersionCreated, WebhookEventType::IModelDeleted];
    let created = client.create(&NewWebhook::new(callback, WebhookScope::Account, types)).await?;
    let id = created.webhook.id;
    println!("   {id}, which is not active yet");

    println!("2. receive with that secret, and activate the webhook");
    let receiver = WebhookReceiver::builder(SigningKeys::new([created.secret])?).build()?;
    let listener = listen(&receiver).await?;
    let server = serve(&receiver, port);
    client.activate(&id).await?;
    emulator.publish_imodel_event(IMODEL, "VersionEvent", None);
    emulator.wait_for_imodelhub(|state| state.stats.webhooks_acknowledged == 1).await;

    println!("3. what has a bad signature is refused; what comes twice is handled once");
    for action in [WebhookAction::BadSignature, WebhookAction::Repeat] {
        emulator.add_webhook_fault(WebhookFault::new(action))?;
    }
    emulator.publish_imodel_event(IMODEL, "iModelDeletedEvent", None);
    emulator.wait_for_imodelhub(|state| state.stats.webhooks_acknowledged == 2).await;

    println!("4. let handlers finish, and delete the webhook");
    println!("   {}", receiver.drain(Duration::from_secs(10)).await);
    drop(listener);
    client.delete(&id).await?;
    server.abort();
    let stats = receiver.stats();
    println!(
        "done; {} handled, {} refused, {} repeat(s); the platform sent {} request(s)",
        stats.handled,
        stats.refused(),
        stats.repeats,
        emulator.imodelhub_stats().webhooks_sent
    );
    Ok(())
}
