//! What is kept out.

use hub_emulator::inspector::Inspector;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{leave, live, open, same, topics};
use crate::Failure;
use crate::driver::Browser;
use crate::stage::Stage;

const SCRIPT: &str = "<script>window.hacked=1</script><img src=x onerror='window.hacked=2'>";

pub(super) async fn script(browser: &Browser) -> Result<(), Failure> {
    let stage = Stage::new().await?;
    let client = stage.client(SCRIPT).await?;
    let hub = client.event_hub();
    let _held = hub.subscribe(format!("data.x=\"{SCRIPT}\"")).stream().await?;
    open(browser, &stage.url()).await?;
    let event = json!({"topic": SCRIPT, "data": SCRIPT, "source": {"user": {"username": SCRIPT}}});
    stage.publish(&event.to_string())?;
    let row = ".row[data-fate='nobody']";
    browser.until("the event", &format!("document.querySelector(\"{row}\") !== null")).await?;
    let text = browser.text(&format!("{row} .topic")).await?;
    same("the topic", text.as_str(), SCRIPT)?;
    browser.click(row).await?;
    browser
        .until("it is open", "document.querySelector('#detail-json').textContent.includes('<script>')")
        .await?;
    browser
        .until("the user", "document.querySelector('#panel-connections').textContent.includes('<script>')")
        .await?;
    browser.fill("#filter", SCRIPT).await?;
    browser.until("the error", "!document.querySelector('#filter-error').hidden").await?;
    let elements = "return document.body.querySelectorAll('script, img').length";
    same("elements", browser.run(elements, vec![]).await?.as_u64(), Some(0))?;
    same("nothing ran", browser.run("return window.hacked ?? null", vec![]).await?, Value::Null)?;
    hub.close().await;
    leave(browser, stage).await
}

pub(super) async fn foreign(browser: &Browser) -> Result<(), Failure> {
    let stage = Stage::new().await?;
    let event = r#"{"ftrack":{"topic":"evil"}}"#;
    for (host, origin) in [
        (stage.inspector.addr().to_string(), "Origin: https://evil.example\r\n"),
        ("evil.example".to_owned(), ""),
    ] {
        let status = post(&stage, &host, origin, event).await?;
        same("the status", status.as_str(), "403")?;
    }
    // A page on another port of this machine is another site's, too.
    browser.goto(&stage.emulator.ftrack_url()).await?;
    let script = "return fetch(arguments[0] + 'api/publish', {method: 'POST', body: arguments[1], \
                  headers: {'content-type': 'application/json'}}).then(() => 'answered', () => 'refused');";
    let got = browser.run(script, vec![stage.url().into(), event.into()]).await?;
    same("the page", got.as_str(), Some("refused"))?;
    let simple = "return fetch(arguments[0] + 'api/publish', {method: 'POST', body: arguments[1], \
                  mode: 'no-cors', headers: {'content-type': 'text/plain'}}).then(() => 'sent', () => 'refused');";
    browser.run(simple, vec![stage.url().into(), event.into()]).await?;
    same("nothing was published", stage.emulator.stats().events_received, 0)?;
    leave(browser, stage).await
}

/// The status of an answer.
async fn post(stage: &Stage, host: &str, headers: &str, body: &str) -> Result<String, Failure> {
    let mut stream = TcpStream::connect(stage.inspector.addr()).await?;
    let request = format!(
        "POST /api/publish HTTP/1.1\r\nHost: {host}\r\n{headers}Content-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.split(' ').nth(1).unwrap_or_default().to_owned())
}

pub(super) async fn token(browser: &Browser) -> Result<(), Failure> {
    let token = "0123456789abcdef";
    let stage = Stage::with(Inspector::builder().token(token).read_only(true)).await?;
    stage.publish(r#"{"topic":"hidden"}"#)?;
    browser.goto(&stage.url()).await?;
    browser.until("it asks", "document.querySelector('#locked').open").await?;
    same("no event", browser.text("#spacer").await?.as_str(), "")?;
    browser.goto("about:blank").await?;
    browser.goto(&format!("{}#{token}", stage.url())).await?;
    live(browser).await?;
    topics(browser, "hidden").await?;
    let address = browser.run("return location.href + document.cookie", vec![]).await?;
    same("the address", address.as_str(), Some(stage.url().as_str()))?;
    browser.click("#tab-publish").await?;
    let form = "document.querySelector('#publish-form').hidden && !document.querySelector('#panel-publish .only-read').hidden";
    browser.until("no form", form).await?;
    leave(browser, stage).await
}
