//! What must hold of the page, one function each. Waiting is on conditions, never for a while.

mod events;
mod guarding;
mod hubs;

use std::future::Future;
use std::pin::Pin;

use crate::Failure;
use crate::driver::{Browser, Tools};
use crate::stage::Stage;

type Playing<'a> = Pin<Box<dyn Future<Output = Result<(), Failure>> + 'a>>;

/// One check.
struct Check {
    name: &'static str,
    play: for<'a> fn(&'a Browser) -> Playing<'a>,
    /// What the console may say.
    may_say: &'static [&'static str],
}

macro_rules! check {
    ($name:literal, $play:path $(, $may_say:literal)*) => {
        Check { name: $name, play: |browser| Box::pin($play(browser)), may_say: &[$($may_say),*] }
    };
}

const CHECKS: [Check; 15] = [
    check!("events appear as they come, newest first", events::appear),
    check!("the filter narrows them, those that come too", events::are_filtered),
    check!("a bad filter shows its caret and changes nothing", events::bad_filter),
    check!("an event is opened, numbers as they were written, and copied as a command", events::opened),
    check!("a paused page waits, and shows everything afterwards", events::paused),
    check!("what cannot be shown is counted and said", events::sampled),
    check!("everything is within reach of the keyboard", events::keyboard),
    check!("a page of 400 pixels shows one view at a time, and nothing sticks out", events::narrow),
    check!("what the form publishes reaches a subscriber of ours", hubs::published),
    check!("connections, subscriptions, replies and queues are shown", hubs::shown),
    check!("the fault dial strikes", hubs::faults),
    check!("a page comes back after a restart, and begins anew", hubs::restarted, "Failed to load resource"),
    check!("a script in an event stays text", guarding::script),
    check!("another site's page gets nowhere", guarding::foreign, "favicon.ico", "/api/publish"),
    check!(
        "a token opens the page and leaves the address, and a read-only page has no form",
        guarding::token,
        "401 (Unauthorized)"
    ),
];

/// Plays all of them in one browser, and tells of each; says whether they held.
pub(crate) async fn run(tools: &Tools, tell: fn(&str)) -> Result<bool, Failure> {
    let browser = Browser::start(tools).await?;
    let mut failed = 0;
    for check in &CHECKS {
        let outcome = match (check.play)(&browser).await {
            Ok(()) => quiet(&browser, check).await,
            Err(failure) => Err(failure),
        };
        match outcome {
            Ok(()) => tell(&format!("ok      {}", check.name)),
            Err(failure) => {
                failed += 1;
                tell(&format!("FAILED  {}: {failure}", check.name));
                // Away from its page, which is no business of the next one.
                browser.goto("about:blank").await?;
                for line in browser.console().await? {
                    tell(&format!("        console: {line}"));
                }
            }
        }
    }
    browser.close().await?;
    tell(&format!("{} passed, {failed} failed", CHECKS.len() - failed));
    Ok(failed == 0)
}

/// Nothing on the console: no error, no violation of the policy, no warning.
async fn quiet(browser: &Browser, check: &Check) -> Result<(), Failure> {
    let said = browser.console().await?;
    let wrong = said.iter().find(|line| !check.may_say.iter().any(|may| line.contains(may)));
    wrong.map_or(Ok(()), |line| Err(format!("the console says: {line}").into()))
}

/// The page, live, on a wide screen.
async fn open(browser: &Browser, url: &str) -> Result<(), Failure> {
    browser.look(1280, 800, 1.0, false).await?;
    browser.goto(url).await?;
    live(browser).await
}

/// Away from the page first: it would say that its stream ended.
async fn leave(browser: &Browser, stage: Stage) -> Result<(), Failure> {
    browser.goto("about:blank").await?;
    stage.end().await;
    Ok(())
}

async fn live(browser: &Browser) -> Result<(), Failure> {
    browser.until("the page", "document.querySelector('#status')?.dataset.state === 'live'").await
}

/// The texts of a column, newest first.
const COLUMN: &str = "[...document.querySelectorAll('.row:not([hidden])')]\
                      .sort((a, b) => b.dataset.sequence - a.dataset.sequence)\
                      .map((row) => row.querySelector(COLUMN).textContent).join()";

/// Waits until the rows have these topics, newest first.
async fn topics(browser: &Browser, topics: &str) -> Result<(), Failure> {
    let column = COLUMN.replace("COLUMN", "'.topic'");
    browser.until("the rows", &format!("{column} === {topics:?}")).await
}

#[expect(clippy::needless_pass_by_value, reason = "what is compared is written where it is")]
fn same<T: PartialEq + std::fmt::Debug>(what: &str, left: T, right: T) -> Result<(), Failure> {
    if left == right { Ok(()) } else { Err(format!("{what}: {left:?} is not {right:?}").into()) }
}
