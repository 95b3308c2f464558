//! Events as a stream, several replies to one question, and what happens to the connection, in one loop each.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use examples::Server;
use ftrack_hub::{Event, EventId, Overflow};
use serde_json::json;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::start().await?;
    let topic = format!("my-company.streams.{}", EventId::random());
    let session = server.session()?.build()?;
    let hub = session.event_hub();

    // What happens to the connection is a stream, too.
    let mut lifecycle = hub.lifecycle();
    hub.connect().await?;
    println!("first report: {:?}", lifecycle.next().await);

    // Three subscribers answer from their streams, each in its own task.
    let mut answering = tokio::task::JoinSet::new();
    for name in ["maya", "nuke", "houdini"] {
        let mut events =
            hub.subscribe(format!("topic={topic}")).buffer(64, Overflow::DropOldest).stream().await?;
        answering.spawn(async move {
            while let Some(Ok(delivery)) = events.next().await {
                let answer = json!({"application": name, "doubled": delivery.event().data_value()["n"].as_i64().map(|n| 2 * n)});
                if let Err(error) = delivery.reply(&answer).await {
                    println!("{name} could not answer: {error}");
                }
            }
        });
    }

    // One question, every reply until the timeout.
    let question = Event::new(topic.as_str(), &json!({"n": 21}))?;
    let mut replies = hub.publish_with_replies(question, Duration::from_secs(2)).await?;
    for _ in 0..3 {
        let reply = replies.next().await.ok_or("no reply within two seconds")?;
        println!("reply: {}", reply.data_value());
    }

    // Closing the hub ends the streams, and with them the tasks.
    hub.close().await;
    while answering.join_next().await.is_some() {}
    println!("counters: {:?}", hub.stats());
    Ok(())
}
