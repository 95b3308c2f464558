//! An action for ftrack's menus: offered for shots and versions, asks by a form, works in the background and tells
//! its user how it goes.
//!
//! Without further settings it runs against a hub embedded in this process and plays the user, too. With
//! `FTRACK_SERVER`, `FTRACK_API_USER` and `FTRACK_API_KEY` set, it offers the action on that server, to that user
//! only, until Ctrl-C.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use examples::Server;
use ftrack_hub::actions::{ActionHandle, Form, Input, Launch, Outcome, Progress};
use ftrack_hub::events::{ActionDiscover, ActionLaunch, Payload, Selected, TriggerUserInterface};
use ftrack_hub::{Error, Event, EventHub};
use serde_json::json;

/// What the form asks for.
#[derive(serde::Deserialize)]
struct Settings {
    quality: String,
    first: u32,
    last: u32,
    dry_run: bool,
}

fn form() -> Form {
    Form::new("Render")
        .submit_label("Send to the farm")
        .with(Input::note("Frames are counted from **1001**."))
        .with(Input::number("first").label("First frame").value(1001).required())
        .with(Input::number("last").label("Last frame").value(1100).required())
        .with(
            Input::enumerator("quality", [("draft", "Draft"), ("final", "Final")])
                .label("Quality")
                .value("draft"),
        )
        .with(Input::boolean("dry_run").label("Only pretend").value(false))
}

/// Offers the action.
async fn offer(hub: &EventHub) -> Result<ActionHandle, Error> {
    hub.action("studio.render")
        .label("Render")
        .variant("farm")
        .description("Sends the selection to the render farm")
        .for_entities(["Task", "AssetVersion"])
        .user_only()
        .form(form())
        .on_launch(async |launch: Launch| {
            let settings: Settings = launch.values().decode()?;
            if settings.last < settings.first {
                return Ok(Outcome::failure("The last frame comes before the first"));
            }
            let shots = launch.selection().len();
            let begun = format!("{shots} shot(s) sent to the farm, {} quality", settings.quality);
            Ok::<_, Error>(Outcome::later(begun, move |progress| render(settings, progress)))
        })
        .await
}

/// The work, which goes on after the launch was answered.
async fn render(settings: Settings, progress: Progress) -> Result<String, Error> {
    let frames = settings.last - settings.first + 1;
    if !settings.dry_run {
        // Here a farm would work; the user's web page shows each message.
        for quarter in 1..4 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            progress.say(format!("{} of {frames} frames", frames * quarter / 4)).await?;
        }
    }
    Ok(format!("{frames} frames are done"))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::start().await?;
    let session = server.session()?.application_id("studio.render-action").build()?;
    session.event_hub().connect_persistently().await?;
    let action = offer(session.event_hub()).await?;
    println!("{} is offered on {}", action.identifier(), server.url());
    if server.is_embedded() {
        play_the_user(&server).await?;
    } else {
        tokio::signal::ctrl_c().await?;
    }
    // Launches that are being answered and renders that go on may finish.
    let cut_off = action.remove(Duration::from_secs(30)).await?;
    println!("the action is removed, {cut_off} render(s) were cut off");
    session.event_hub().close().await;
    Ok(())
}

/// What the web page of the same user does: opens the menu, picks the action, fills in the form.
async fn play_the_user(server: &Server) -> Result<(), Box<dyn std::error::Error>> {
    let page = server.session()?.application_id("ftrack.client.web").build()?;
    let hub = page.event_hub();
    hub.connect().await?;
    let mut messages = hub
        .on::<TriggerUserInterface>()
        .metadata("user", json!({"username": page.api_user()}))
        .stream()
        .await?;

    let selection = [Selected::new("a1b2c3", "assetversion")];
    let menu = ask(hub, ActionDiscover::new(selection.clone()).to_event()?).await?;
    println!("menu:   {menu}");
    let launch = ActionLaunch::new("studio.render", selection);
    println!("form:   {}", ask(hub, launch.to_event()?).await?["title"]);
    for (quality, last) in [("best", 1096), ("final", 1000), ("final", 1096)] {
        let values = [
            ("first", json!(1001)),
            ("last", json!(last)),
            ("quality", json!(quality)),
            ("dry_run", json!(false)),
        ];
        let answer = ask(hub, launch.clone().submitted(values).to_event()?).await?;
        println!("answer: {answer}");
    }
    for _ in 0..4 {
        let shown = messages.next().await.ok_or("the stream ended")??;
        println!("shown:  {}", shown.payload()?.message.value().map_or("", String::as_str));
    }
    hub.close().await;
    Ok(())
}

async fn ask(hub: &EventHub, event: Event) -> Result<serde_json::Value, Error> {
    Ok(hub.publish_and_wait_for_reply(event).await?.data_value().clone())
}
