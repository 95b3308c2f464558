//! The page under many events: frames, long tasks, the way of an event to its row, memory. The figures are the
//! browser's own.

use std::fmt;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{MissedTickBehavior, interval};

use crate::Failure;
use crate::actors;
use crate::driver::Browser;
use crate::stage::Stage;

/// How long there are events before anything is measured: the page is full then.
const WARM_UP: Duration = Duration::from_secs(8);
/// How many times a second events are published.
const TICKS: u64 = 100;

/// Observes the page from the inside: frames by `requestAnimationFrame`, long tasks by their observer, and for every row
/// that gets an event, the time from the hub's taking it to the beginning of the frame after the row has it.
const OBSERVE: &str = "\
    const seen = window.seen = {frames: [], tasks: [], ways: [], heap: 0, stop: false};
    const waiting = [];
    new MutationObserver((changes) => {
      for (const {target} of changes) if (target.dataset.at) waiting.push(Number(target.dataset.at));
    }).observe(document.querySelector('#spacer'), {subtree: true, attributeFilter: ['data-at']});
    seen.observer = new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) seen.tasks.push(entry.duration);
    });
    seen.observer.observe({type: 'longtask'});
    let last = performance.now();
    const frame = (now) => {
      if (seen.stop) return;
      seen.frames.push(now - last);
      last = now;
      const clock = Date.now();
      for (const at of waiting) seen.ways.push(clock - at);
      waiting.length = 0;
      seen.heap = Math.max(seen.heap, performance.memory.usedJSHeapSize);
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);";

const SUM_UP: &str = "\
    const seen = window.seen;
    seen.stop = true;
    seen.observer.disconnect();
    const share = (all, part) => all.length === 0 ? 0 : all.sort((a, b) => a - b)[Math.min(all.length - 1, Math.floor(all.length * part))];
    return {
      frames: seen.frames.length, frame50: share(seen.frames, 0.5), frame95: share(seen.frames, 0.95), frameMax: share(seen.frames, 1),
      tasks: seen.tasks.length, taskMax: share(seen.tasks, 1),
      ways: seen.ways.length, way50: share(seen.ways, 0.5), way95: share(seen.ways, 0.95), wayMax: share(seen.ways, 1),
      heapMax: seen.heap,
    };";

const HEAP: &str = "window.gc(); return performance.memory.usedJSHeapSize;";

/// What was found.
#[derive(Debug)]
pub(crate) struct Figures {
    rate: u64,
    seconds: u64,
    published: u64,
    accounted: u64,
    page: Value,
    heap_before: u64,
    heap_after: u64,
}

/// Events for so many seconds into an open page.
pub(crate) async fn measure(browser: &Browser, rate: u64, seconds: u64) -> Result<Figures, Failure> {
    let stage = Stage::new().await?;
    browser.look(1280, 800, 1.0, false).await?;
    browser.goto(&stage.url()).await?;
    browser.until("the page", "document.querySelector('#status')?.dataset.state === 'live'").await?;
    let warm_up = WARM_UP.min(Duration::from_secs(seconds.max(1)));
    let mut published = publish(&stage, rate, warm_up, 0).await?;
    let heap_before = whole(&browser.run(HEAP, vec![]).await?);
    browser.run(OBSERVE, vec![]).await?;
    published = publish(&stage, rate, Duration::from_secs(seconds), published).await?;
    let page = browser.run(SUM_UP, vec![]).await?;
    let accounted = accounted(browser, published).await?;
    let heap_after = whole(&browser.run(HEAP, vec![]).await?);
    stage.end().await;
    Ok(Figures { rate, seconds, published, accounted, page, heap_before, heap_after })
}

/// Publishes at an even rate; gives how many there were in all.
async fn publish(stage: &Stage, rate: u64, time: Duration, before: u64) -> Result<u64, Failure> {
    let mut ticks = interval(Duration::from_secs(1) / u32::try_from(TICKS)?);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut published = before;
    for tick in 0..TICKS * time.as_secs() {
        ticks.tick().await;
        let due = before + (tick + 1) * rate / TICKS;
        while published < due {
            stage.publish(&actors::event(usize::try_from(published)?))?;
            published += 1;
        }
    }
    Ok(published)
}

/// How many events the page speaks of: those it has, those that left it, those it did not show.
async fn accounted(browser: &Browser, published: u64) -> Result<u64, Failure> {
    let count = "((foot) => [/([\\d,]+) events? on this page/, /([\\d,]+) left it/, /([\\d,]+) not shown/]\
                 .map((each) => Number((foot.match(each) ?? ['', '0'])[1].replaceAll(',', '')))\
                 .reduce((sum, each) => sum + each, 0))(document.querySelector('#foot').textContent)";
    browser.until("every event is accounted for", &format!("{count} === {published}")).await?;
    Ok(whole(&browser.run(&format!("return {count}"), vec![]).await?))
}

fn whole(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

impl Figures {
    /// Whether the page knows of every event.
    pub(crate) fn is_whole(&self) -> bool {
        self.accounted == self.published
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |name: &str| self.page[name].as_f64().unwrap_or_default();
        let megabytes = |bytes: f64| bytes / 1e6;
        writeln!(
            f,
            "{} events/s for {} s: {} published, {} accounted for on the page",
            self.rate, self.seconds, self.published, self.accounted
        )?;
        writeln!(
            f,
            "frames        {:.0}: median {:.1} ms, p95 {:.1} ms, longest {:.1} ms",
            number("frames"),
            number("frame50"),
            number("frame95"),
            number("frameMax")
        )?;
        writeln!(f, "long tasks    {:.0} over 50 ms, longest {:.0} ms", number("tasks"), number("taskMax"))?;
        writeln!(
            f,
            "event to row  {:.0} rows: median {:.0} ms, p95 {:.0} ms, longest {:.0} ms",
            number("ways"),
            number("way50"),
            number("way95"),
            number("wayMax")
        )?;
        #[expect(clippy::cast_precision_loss, reason = "a heap is far below 2^53 bytes")]
        let (before, after) = (self.heap_before as f64, self.heap_after as f64);
        write!(
            f,
            "heap          {:.1} MB before, {:.1} MB after (collected); at most {:.1} MB",
            megabytes(before),
            megabytes(after),
            megabytes(number("heapMax"))
        )
    }
}
