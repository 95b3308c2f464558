//! The pictures of the documentation.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ftrack_hub::{Event, Json};
use imodelhub_events::{AccessToken, Environment, EventType, IModelHubClient, IModelId};
use serde_json::json;

use crate::Failure;
use crate::actors;
use crate::driver::Browser;
use crate::stage::Stage;

const IMODEL: &str = "8585af91-74e6-4159-a172-dbb08f66d0fd";

/// When the pictures are taken: a Monday morning, in milliseconds since 1970.
const MORNING: u64 = 1_741_600_931_482;
/// How many events there were.
const EVENTS: usize = 64;

/// A wide page in the light and a narrow one in the dark.
pub(crate) async fn take(browser: &Browser, folder: &Path) -> Result<(), Failure> {
    tokio::fs::create_dir_all(folder).await?;
    let clock = Arc::new(AtomicU64::new(MORNING));
    let thinking = Arc::clone(&clock);
    let stage = Stage::at(&clock).await?;
    let jane = stage.client("jane.doe").await?;
    let farm = stage.client("render-farm").await?;
    let wall = stage.client("review-wall").await?;
    let _held = (
        jane.event_hub().subscribe("topic=ftrack.update and source.user.username!=jane.doe").stream().await?,
        wall.event_hub().subscribe("topic=studio.review.* or topic=studio.render.progress").stream().await?,
        farm.event_hub().subscribe("topic=studio.render.* and data.frame>=1001").stream().await?,
        farm.event_hub()
            .subscribe("topic=studio.queue and data.frames>0")
            .handle(move |event: Event| {
                let reply = Json(json!({"queued": true, "shot": event.data_value()["shot"]}));
                thinking.fetch_add(4, Ordering::Relaxed);
                async move { reply }
            })
            .await?,
    );
    queues(&stage).await?;
    browser.zone("UTC").await?;
    browser.look(1280, 800, 1.0, false).await?;
    browser.goto(&stage.url()).await?;
    browser.until("the page", "document.querySelector('#status')?.dataset.state === 'live'").await?;
    for n in 0..EVENTS {
        clock.fetch_add(37 + (n as u64 * 7919) % 613, Ordering::Relaxed);
        stage.publish(&actors::event(n))?;
        if n % 16 == 9 || n == EVENTS - 3 {
            let question = Event::new("studio.queue", &json!({"shot": "sh020", "frames": 96 + n}))?;
            jane.event_hub().publish_and_wait_for_reply(question).timeout(Duration::from_secs(5)).await?;
        }
    }
    let all = stage.emulator.stats().events_received;
    for place in ["#figure-events", "#foot"] {
        let there = format!("document.querySelector('{place}').textContent.split(' ')[0] === '{all}'");
        browser.until("all events", &there).await?;
    }
    browser.fill("#filter", "source.user.username!=pipeline").await?;
    browser.until("the filter", "document.querySelector('#download').search.includes('pipeline')").await?;
    let rows = "document.querySelectorAll('.row:not([hidden])').length > 20";
    browser.until("the rows", rows).await?;
    let queue = "[...document.querySelectorAll('.row:not([hidden])')]\
                 .sort((a, b) => b.dataset.sequence - a.dataset.sequence)\
                 .find((row) => row.querySelector('.topic').textContent === 'studio.queue').click()";
    browser.run(queue, vec![]).await?;
    browser.until("the event", "document.querySelector('#detail-json').textContent !== ''").await?;
    browser.until("the queues", "document.querySelector('#figure-queued').textContent === '3'").await?;
    browser.until("the threads", "document.querySelector('#count-threads').textContent === '5'").await?;
    browser.run("document.activeElement.blur()", vec![]).await?;
    save(browser, &folder.join("inspector-wide.png")).await?;
    browser.click("#detail-close").await?;
    browser.look(400, 800, 1.0, true).await?;
    browser.click("#tab-events").await?;
    browser.run("document.activeElement.blur()", vec![]).await?;
    save(browser, &folder.join("inspector-narrow.png")).await?;
    for client in [&jane, &farm, &wall] {
        client.event_hub().close().await;
    }
    browser.goto("about:blank").await?;
    stage.end().await;
    Ok(())
}

/// Subscriptions with messages, one of them locked.
async fn queues(stage: &Stage) -> Result<(), Failure> {
    let imodel = IModelId::new(IMODEL)?;
    let environment = Environment::Url(stage.emulator.imodelhub_url());
    let client = IModelHubClient::builder(environment, AccessToken::bearer("any")).build()?;
    let types = ["VersionEvent", "ChangeSetPostPushEvent"].map(EventType::from);
    let subscription = client.create_subscription(&imodel, &types).await?;
    for kind in ["VersionEvent", "ChangeSetPostPushEvent", "ChangeSetPostPushEvent"] {
        stage.emulator.publish_imodel_event(IMODEL, kind, None);
    }
    client.peek_event(&subscription, None).await?;
    Ok(())
}

async fn save(browser: &Browser, file: &Path) -> Result<(), Failure> {
    // Two frames later everything is drawn.
    let drawn = "return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));";
    browser.run(drawn, vec![]).await?;
    Ok(tokio::fs::write(file, browser.picture().await?).await?)
}
