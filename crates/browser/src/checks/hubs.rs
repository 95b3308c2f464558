//! What the page says about the hubs, and does to them.

use hub_emulator::inspector::Inspector;
use imodelhub_events::{AccessToken, Environment, EventType, IModelHubClient, IModelId};
use serde_json::json;

use super::{leave, open, same, topics};
use crate::Failure;
use crate::driver::Browser;
use crate::stage::{Stage, within};

pub(super) async fn published(browser: &Browser) -> Result<(), Failure> {
    let stage = Stage::new().await?;
    let client = stage.client("jane").await?;
    let mut events = client.event_hub().subscribe("topic=studio.render and data.frames>5").stream().await?;
    open(browser, &stage.url()).await?;
    browser.click("#tab-publish").await?;
    browser.fill("[name=topic]", "studio.render").await?;
    browser.fill("[name=data]", r#"{"shot": "sh020", "frames": 12, "big": 12345678901234567890}"#).await?;
    browser.click("#publish-form .main").await?;
    let delivery = within("the event", events.next()).await?.ok_or("the stream ended")??;
    let data = delivery.event().raw_data().value().map(|data| data.as_str().to_owned());
    same(
        "the data",
        data.as_deref(),
        Some(r#"{"shot": "sh020", "frames": 12, "big": 12345678901234567890}"#),
    )?;
    let told = "document.querySelector('#publish-result').textContent === 'published: to 1 connection'";
    browser.until("it is told", told).await?;
    browser.fill("[name=data]", "{").await?;
    browser.click("#publish-form .main").await?;
    let wrong = "document.querySelector('#publish-result').textContent.startsWith('the data is not JSON')";
    browser.until("what is no JSON", wrong).await?;
    client.event_hub().close().await;
    leave(browser, stage).await
}

pub(super) async fn shown(browser: &Browser) -> Result<(), Failure> {
    let stage = Stage::new().await?;
    let client = stage.client("jane").await?;
    let hub = client.event_hub();
    let _answering = hub
        .subscribe("topic=studio.ask")
        .handle(async |_: ftrack_hub::Event| ftrack_hub::Json(json!({"seen": true})))
        .await?;
    let imodel = IModelId::new("0a1b2c3d-1111-2222-3333-444455556666")?;
    let environment = Environment::Url(stage.emulator.imodelhub_url());
    let imodels = IModelHubClient::builder(environment, AccessToken::bearer("any")).build()?;
    let subscription = imodels.create_subscription(&imodel, &[EventType::from("VersionEvent")]).await?;
    for _ in 0..2 {
        stage.emulator.publish_imodel_event("0a1b2c3d-1111-2222-3333-444455556666", "VersionEvent", None);
    }
    let _locked = imodels.peek_event(&subscription, None).await?;
    let question = ftrack_hub::Event::new("studio.ask", &json!({"shot": "sh010"}))?;
    hub.publish_and_wait_for_reply(question).await?;
    open(browser, &stage.url()).await?;
    for (tab, text) in [
        ("connections", "jane"),
        ("connections", "topic=studio.ask"),
        ("threads", "studio.ask"),
        ("threads", "{\"seen\":true}"),
        ("queues", "0a1b2c3d-1111-2222-3333-444455556666"),
        ("queues", "until "),
        ("queues", "×1"),
    ] {
        browser.click(&format!("#tab-{tab}")).await?;
        let there = format!("document.querySelector('#panel-{tab}').innerText.includes({text:?})");
        browser.until(tab, &there).await?;
    }
    browser.click("#tab-threads").await?;
    browser.click("#panel-threads ol .link").await?;
    browser
        .until("the reply", "document.querySelector('#detail-title').textContent === 'ftrack.meta.reply'")
        .await?;
    hub.close().await;
    browser.until("nobody", "document.querySelector('#figure-connections').textContent === '0'").await?;
    leave(browser, stage).await
}

pub(super) async fn faults(browser: &Browser) -> Result<(), Failure> {
    let stage = Stage::new().await?;
    let client = stage.client("jane").await?;
    let hub = client.event_hub();
    let before = stage.emulator.stats().connections_opened;
    open(browser, &stage.url()).await?;
    browser.click("#tab-faults").await?;
    browser.fill("[name=fault]", r#"{"action":{"do":"disconnect"}}"#).await?;
    browser.click("#fault-fire").await?;
    browser
        .until("it struck", "document.querySelector('#fault-result').textContent === 'struck 1 connection'")
        .await?;
    // The client comes back by itself.
    let back =
        stage.emulator.wait_for(|state| state.stats.connections_opened > before && state.connections == 1);
    within("the client is back", back).await?;
    browser.fill("[name=fault]", r#"{"action":{"do":"fin"},"times":2}"#).await?;
    browser.click("#fault-form .main").await?;
    let listed = "document.querySelector('#faults-in-force').innerText.includes('fin · times 2')";
    browser.until("it waits", listed).await?;
    browser.click("#fault-clear").await?;
    browser.until("it is forgotten", &format!("!{listed}")).await?;
    same("nothing waits", stage.emulator.ftrack_faults().waiting().len(), 0)?;
    hub.close().await;
    leave(browser, stage).await
}

pub(super) async fn restarted(browser: &Browser) -> Result<(), Failure> {
    let Stage { emulator, inspector } = Stage::new().await?;
    let (url, address) = (inspector.url(), inspector.addr());
    emulator.publish(ftrack_hub::Event::from_json(r#"{"topic":"before"}"#)?)?;
    open(browser, &url).await?;
    topics(browser, "before").await?;
    inspector.stop().await;
    browser.until("it is away", "document.querySelector('#status').dataset.state === 'away'").await?;
    let inspector = Inspector::builder().addr(address).start(&emulator).await?;
    for topic in ["after", "and after"] {
        emulator.publish(ftrack_hub::Event::builder(topic).build()?)?;
    }
    // Its events have the numbers of others now.
    topics(browser, "and after,after").await?;
    browser.until("it is back", "document.querySelector('#status').dataset.state === 'live'").await?;
    leave(browser, Stage { emulator, inspector }).await
}
