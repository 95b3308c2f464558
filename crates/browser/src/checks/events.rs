//! The list, the filter, the open event.

use super::{leave, live, open, same, topics};
use crate::Failure;
use crate::driver::Browser;
use crate::stage::{Stage, within};

pub(super) async fn appear(browser: &Browser) -> Result<(), Failure> {
    let stage = Stage::new().await?;
    stage.publish(r#"{"topic":"before"}"#)?;
    open(browser, &stage.url()).await?;
    topics(browser, "before").await?;
    stage.publish(r#"{"topic":"ftrack.update","data":{"entities":[{"action":"update","entityType":"task","keys":["statusid"]}]},"source":{"user":{"username":"jane"}}}"#)?;
    stage.publish(r#"{"topic":"third"}"#)?;
    topics(browser, "third,ftrack.update,before").await?;
    let row = browser.text(".row[data-sequence='2']").await?;
    if !row.ends_with("ftrack.updatejane→0update task (statusid)") {
        return Err(format!("the row is {row:?}").into());
    }
    browser.until("the count", "document.querySelector('#figure-events').textContent === '3'").await?;
    leave(browser, stage).await
}

pub(super) async fn are_filtered(browser: &Browser) -> Result<(), Failure> {
    let stage = Stage::new().await?;
    open(browser, &stage.url()).await?;
    for n in 0..3 {
        stage.publish(&format!(r#"{{"topic":"a{n}","data":{{"n":{n}}}}}"#))?;
    }
    topics(browser, "a2,a1,a0").await?;
    browser.fill("#filter", "data.n>=1").await?;
    topics(browser, "a2,a1").await?;
    stage.publish(r#"{"topic":"b","data":{"n":0}}"#)?;
    stage.publish(r#"{"topic":"c","data":{"n":7}}"#)?;
    topics(browser, "c,a2,a1").await?;
    let link = browser.run("return document.querySelector('#download').search", vec![]).await?;
    same("the recording", link.as_str(), Some("?expression=data.n%3E%3D1"))?;
    browser.fill("#filter", "").await?;
    topics(browser, "c,b,a2,a1,a0").await?;
    leave(browser, stage).await
}

pub(super) async fn bad_filter(browser: &Browser) -> Result<(), Failure> {
    let stage = Stage::new().await?;
    open(browser, &stage.url()).await?;
    stage.publish(r#"{"topic":"a"}"#)?;
    topics(browser, "a").await?;
    browser.fill("#filter", "topic=a and id=").await?;
    browser.until("the error", "!document.querySelector('#filter-error').hidden").await?;
    let caret = browser.text("#filter-caret").await?;
    same("the caret", caret.as_str(), "topic=a and id=\n               ^")?;
    let message = browser.text("#filter-message").await?;
    if !message.starts_with("column 16: ") {
        return Err(format!("the message is {message:?}").into());
    }
    let marked = "return document.querySelector('#filter').getAttribute('aria-invalid')";
    same("the field", browser.run(marked, vec![]).await?.as_str(), Some("true"))?;
    topics(browser, "a").await?;
    browser.fill("#filter", "topic=a").await?;
    browser.until("no error", "document.querySelector('#filter-error').hidden").await?;
    topics(browser, "a").await?;
    leave(browser, stage).await
}

pub(super) async fn opened(browser: &Browser) -> Result<(), Failure> {
    let stage = Stage::new().await?;
    open(browser, &stage.url()).await?;
    stage.publish(
        r#"{"topic":"t","data":{"big":12345678901234567890,"real":1.0,"it's":"so"},"target":"id=x"}"#,
    )?;
    topics(browser, "t").await?;
    browser.click(".row[data-sequence='1']").await?;
    browser.until("the event", "document.querySelector('#detail-json').textContent !== ''").await?;
    let json = browser.text("#detail-json").await?;
    for part in ["\"big\": 12345678901234567890", "\"real\": 1.0"] {
        if !json.contains(part) {
            return Err(format!("{part} is not in {json}").into());
        }
    }
    // The clipboard of a browser without a window is nobody's: what would be copied is asked for.
    browser.run("navigator.clipboard.writeText = async (text) => { window.copied = text; };", vec![]).await?;
    browser.click("#copy-publish").await?;
    browser.until("the copy", "window.copied !== undefined").await?;
    let copied = browser.run("return window.copied", vec![]).await?;
    same(
        "the command",
        copied.as_str(),
        Some(
            r#"hubctl publish t --data '{"big":12345678901234567890,"real":1.0,"it'\''s":"so"}' --target id=x"#,
        ),
    )?;
    browser.click("#detail-close").await?;
    browser.until("it is closed", "document.querySelector('#detail').hidden").await?;
    leave(browser, stage).await
}

pub(super) async fn paused(browser: &Browser) -> Result<(), Failure> {
    let stage = Stage::new().await?;
    open(browser, &stage.url()).await?;
    stage.publish(r#"{"topic":"a"}"#)?;
    topics(browser, "a").await?;
    browser.click("#pause").await?;
    stage.publish(r#"{"topic":"b"}"#)?;
    stage.publish(r#"{"topic":"c"}"#)?;
    browser.until("two wait", "document.querySelector('#status').textContent === 'paused, 2 wait'").await?;
    topics(browser, "a").await?;
    browser.click("#pause").await?;
    topics(browser, "c,b,a").await?;
    live(browser).await?;
    leave(browser, stage).await
}

pub(super) async fn sampled(browser: &Browser) -> Result<(), Failure> {
    let stage = Stage::new().await?;
    open(browser, &stage.url()).await?;
    // It is said for a while only: whether it ever was is noted in the page.
    let note = "const foot = document.querySelector('#foot'); \
                const look = () => { window.said ||= foot.textContent.startsWith('sampling: '); }; \
                new MutationObserver(look).observe(foot, {childList: true, characterData: true, subtree: true});";
    browser.run(note, vec![]).await?;
    let mut events = 0;
    let until_said = async {
        while browser.run("return window.said === true", vec![]).await? != true {
            for _ in 0..1_000 {
                events += 1;
                stage.publish(&format!(r#"{{"topic":"t","data":{events}}}"#))?;
            }
        }
        Ok::<_, Failure>(())
    };
    within("more than can be shown", until_said).await??;
    let newest = format!("document.querySelector(\".row[data-sequence='{events}']\") !== null");
    browser.until("the newest is there", &newest).await?;
    let count = "((foot) => [/([\\d,]+) events? on this page/, /([\\d,]+) left it/, /([\\d,]+) not shown/]\
                 .map((each) => Number((foot.match(each) ?? ['', '0'])[1].replaceAll(',', ''))))\
                 (document.querySelector('#foot').textContent)";
    let all = format!("{count}.reduce((sum, each) => sum + each) === {events} && {count}[2] > 0");
    browser.until("all are accounted for", &all).await?;
    leave(browser, stage).await
}

pub(super) async fn keyboard(browser: &Browser) -> Result<(), Failure> {
    let stage = Stage::new().await?;
    open(browser, &stage.url()).await?;
    for topic in ["a", "b", "c"] {
        stage.publish(&format!(r#"{{"topic":"{topic}"}}"#))?;
    }
    topics(browser, "c,b,a").await?;
    let focused = |id: &str| format!("document.activeElement.id === {id:?}");
    browser.press("/").await?;
    browser.until("the filter", &focused("filter")).await?;
    // Tab goes through everything in order, and what has the focus can be seen.
    browser.run("document.querySelector('#help').focus()", vec![]).await?;
    for expected in ["tab-connections", "filter", "pause", "copy-tail", "download", "rows"] {
        browser.press("\u{e004}").await?;
        let script = "const at = document.activeElement; \
                      return `${at.id} ${getComputedStyle(at).outlineStyle}`;";
        let found = browser.run(script, vec![]).await?;
        same("the focus", found.as_str(), Some(format!("{expected} solid").as_str()))?;
    }
    browser.run("document.querySelector('#rows').focus()", vec![]).await?;
    browser.press("jj\u{e007}").await?;
    browser.until("the second", "document.querySelector('#detail-title').textContent === 'b'").await?;
    browser.press("j").await?;
    browser.until("the third", "document.querySelector('#detail-title').textContent === 'a'").await?;
    browser.press("\u{e00c}").await?;
    browser.until("it is closed", "document.querySelector('#detail').hidden").await?;
    browser.press("p").await?;
    browser.until("a pause", "document.querySelector('#status').dataset.state === 'paused'").await?;
    browser.press("p").await?;
    browser.press("5").await?;
    browser.until("the form", "document.body.dataset.tab === 'publish'").await?;
    browser.press("\u{e014}").await?;
    browser.until("the next view", "document.body.dataset.tab === 'faults'").await?;
    browser.press("?").await?;
    browser.until("the keys", "document.querySelector('#shortcuts').open").await?;
    browser.press("\u{e00c}").await?;
    browser.until("no keys", "!document.querySelector('#shortcuts').open").await?;
    leave(browser, stage).await
}

pub(super) async fn narrow(browser: &Browser) -> Result<(), Failure> {
    let stage = Stage::new().await?;
    let client = stage.client("somebody-with-a-rather-long-name@studio.example.com").await?;
    let expression = "topic=ftrack.update and source.user.username=somebody-with-a-rather-long-name";
    let _held = client.event_hub().subscribe(expression).stream().await?;
    open(browser, &stage.url()).await?;
    browser.look(400, 800, 1.0, true).await?;
    stage.publish(&format!(r#"{{"topic":"{}","data":"{}"}}"#, "long.".repeat(40), "x".repeat(500)))?;
    browser.until("rows", "document.querySelectorAll('.row:not([hidden])').length > 0").await?;
    for tab in ["connections", "threads", "queues", "publish", "faults", "events"] {
        browser.click(&format!("#tab-{tab}")).await?;
        let shown = "return [...document.querySelectorAll('.panel')]\
                     .filter((panel) => panel.offsetParent !== null).map((panel) => panel.id).join();";
        same("the view", browser.run(shown, vec![]).await?.as_str(), Some(format!("panel-{tab}").as_str()))?;
        let out = "return [...document.querySelectorAll('body *')].filter((each) => each.offsetParent !== null \
                   && !each.closest('.tabs, .unseen') && each.getBoundingClientRect().right > innerWidth + 1)\
                   .map((each) => each.tagName + '.' + each.className).join();";
        same("what sticks out", browser.run(out, vec![]).await?.as_str(), Some(""))?;
    }
    client.event_hub().close().await;
    browser.look(1280, 800, 1.0, false).await?;
    leave(browser, stage).await
}
