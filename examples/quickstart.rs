//! The main job in one program: publish, filter, handle, answer, wait.
//!
//! It runs against a hub embedded in this process, over a real websocket. With `FTRACK_SERVER`,
//! `FTRACK_API_USER` and `FTRACK_API_KEY` set, it talks to that server instead.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use examples::Server;
use ftrack_hub::{Event, EventId, Json};
use serde_json::json;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::start().await?;
    // A topic of its own for each run, so that runs on a shared server do not meet.
    let topic = format!("my-company.quickstart.{}", EventId::random());

    println!("1. connect to {}", server.url());
    let workstation = server.session()?.application_id("quickstart.workstation").build()?;
    workstation.event_hub().connect().await?;
    // A second session, as a second program on another machine would have.
    let farm = server.session()?.application_id("quickstart.farm").build()?;
    farm.event_hub().connect().await?;
    println!("   two sessions: {} and {}", workstation.event_hub().id(), farm.event_hub().id());

    println!("2. subscribe by expression: only shots with at least 10 frames");
    let expression = format!("topic={topic} and data.kind=shot and data.frames>=10");
    println!("   {expression}");
    farm.event_hub()
        .subscribe(expression)
        .handle(async |event: Event| {
            println!("   farm handles {}", event.data_value());
            // What a handler returns is sent back as the reply.
            let name = event.data_value()["name"].as_str().unwrap_or("a shot without a name");
            Json(json!({"success": true, "message": format!("{name} is queued")}))
        })
        .await?;

    println!("3. publish an event that the expression filters out, and one that matches");
    let asset = Event::new(topic.as_str(), &json!({"kind": "asset", "name": "tree", "frames": 1}))?;
    let receipt = workstation.event_hub().publish(asset).await?;
    println!("   the asset was acknowledged after {} attempt(s); nobody handles it", receipt.attempts);
    let shot = Event::new(topic.as_str(), &json!({"kind": "shot", "name": "sh010", "frames": 96}))?;
    println!("   the shot is published, and we wait for the reply");
    let reply =
        workstation.event_hub().publish_and_wait_for_reply(shot).timeout(Duration::from_secs(5)).await?;
    println!("   the reply is {}", reply.data_value());

    println!("4. read events as a stream, and address one to a single subscriber");
    let mut stream =
        farm.event_hub().subscribe(format!("topic={topic}")).metadata("role", "archive").stream().await?;
    let targeted = Event::builder(topic.as_str())
        .data(&json!({"kind": "shot", "name": "sh020", "frames": 24}))
        .target("role=archive")
        .build()?;
    workstation.event_hub().publish(targeted).await?;
    let delivery = stream.next().await.ok_or("the stream ended")??;
    println!("   only the archive got {}", delivery.event().data_value());
    println!("   it came from {}", delivery.event().source());

    println!("5. ask where nobody answers");
    let question = Event::new(format!("{topic}.nobody"), &json!({}))?;
    match workstation
        .event_hub()
        .publish_and_wait_for_reply(question)
        .timeout(Duration::from_millis(300))
        .await
    {
        Ok(reply) => println!("   somebody did: {}", reply.data_value()),
        Err(error) => println!("   {error}"),
    }

    println!("6. unsubscribe and leave");
    stream.unsubscribe().await?;
    farm.event_hub().close().await;
    workstation.event_hub().close().await;
    let stats = workstation.event_hub().stats();
    println!("   the workstation published {} events and got {} reply", stats.published, stats.replies);
    Ok(())
}
