//! Priorities and stopping, shared state in handlers, and a publish that stays in this process.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use examples::Server;
use ftrack_hub::{Context, Event, EventId, Json};
use serde_json::json;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::start().await?;
    let topic = format!("my-company.priorities.{}", EventId::random());
    let session = server.session()?.build()?;
    let hub = session.event_hub();
    hub.connect().await?;

    // Smaller numbers come first, and may keep an event from the others.
    hub.subscribe(format!("topic={topic}"))
        .priority(10)
        .handle_ctx(async |event: Event, context: Context| {
            if event.data_value()["secret"] == true {
                println!("the guard stops {}", event.data_value());
                context.stop();
            }
        })
        .await?;

    // State that is shared between calls is given to each of them.
    let seen = Arc::new(AtomicUsize::new(0));
    hub.subscribe(format!("topic={topic}"))
        .priority(20)
        .handle_with(Arc::clone(&seen), async |event: Event, seen: Arc<AtomicUsize>| {
            let count = seen.fetch_add(1, Ordering::Relaxed) + 1;
            println!("the counter has seen {count}: {}", event.data_value());
            Json(json!({ "count": count }))
        })
        .await?;

    hub.publish(Event::new(topic.as_str(), &json!({"n": 1, "secret": true}))?).await?;
    let reply = hub.publish_and_wait_for_reply(Event::new(topic.as_str(), &json!({"n": 2}))?).await?;
    println!("the counter answered {}", reply.data_value());

    // Local: the handlers of this hub only, at once, and what they returned.
    let local = Event::new(topic.as_str(), &json!({"n": 3, "local": true}))?;
    for outcome in hub.publish_local(&local).await? {
        println!(
            "locally, {} returned {:?}",
            outcome.subscription,
            outcome.reply?.as_ref().map(ftrack_hub::RawJson::as_str)
        );
    }
    assert_eq!(seen.load(Ordering::Relaxed), 2, "the secret was stopped");
    hub.close().await;
    Ok(())
}
