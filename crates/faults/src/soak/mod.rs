//! F23: a mixed load over real sockets for as long as asked, with a fault a minute; memory, descriptors and tasks must
//! stay flat and the books clean.
//!
//! The services run in a process of their own ([`serve`]). What must hold at the end:
//!
//! - of what was acknowledged, nothing is missing where no gap was told of; no ftrack event came twice;
//! - no call took longer than its own timeout, give or take 2 s;
//! - every second but those of the warm-up, memory, descriptors and tasks were looked at; the least-squares slopes are
//!   below [`MEMORY`], [`DESCRIPTORS`] and [`TASKS`];
//! - when every hub is closed and every listener dropped, no request is open, and tasks and descriptors are back where
//!   they were before the load began.

mod books;
mod chance;
mod listeners;
mod load;
mod server;
mod trouble;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

pub use server::serve;

use books::Totals;
use listeners::{LISTENERS, Listening};
use load::{Load, Run};
use server::{Ask, Services};
use trouble::{PAUSE, Troubles};

use crate::figures::{Broken, Figures, ensure};
use crate::process;
use crate::slope::slope;

/// The most that resident memory may grow, in bytes a minute: 256 KiB.
pub const MEMORY: f64 = 256.0 * 1024.0;
/// The most that open descriptors may grow, a minute.
pub const DESCRIPTORS: f64 = 0.25;
/// The most that tasks may grow, a minute.
pub const TASKS: f64 = 1.0;
/// By how much a call may be late, on a busy machine.
const LATE: Duration = Duration::from_secs(2);
/// After the last fault and the last publish, so long until everything is judged.
const TAIL: Duration = Duration::from_secs(75);
/// After that, everything whose memory is bounded by time or number is full: the books, the ids that hubs remember.
const WARM_UP: Duration = Duration::from_secs(240);
/// Over less than that a slope says nothing.
const SHORTEST: Duration = Duration::from_secs(480);

/// How to soak.
#[derive(Clone, Copy, Debug)]
pub struct Soak {
    /// For how long.
    pub time: Duration,
    /// Which faults come when.
    pub seed: u64,
}

/// What was looked at in a second.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at: f64,
    memory: f64,
    descriptors: f64,
    tasks: f64,
}

impl Soak {
    /// Runs it; `say` is told what goes on.
    ///
    /// # Errors
    ///
    /// [`Broken`] with what does not hold.
    pub async fn run(self, say: &(dyn Fn(String) + Sync)) -> Result<Figures, Broken> {
        ensure(self.time >= SHORTEST, || format!("a soak takes at least {SHORTEST:?}"))?;
        let services = Arc::new(Services::start().await?);
        let before = (process::descriptors()?, tasks());
        let run = Arc::new(Run::new(LISTENERS));
        let load = Load::begin(&run, &services.urls.ftrack, self.seed).await?;
        let listening = Listening::begin(&run, &services).await?;

        let (samples, faults) = tokio::join!(self.sample(&run, say), self.trouble(&run, &services, say));
        let (samples, faults) = (samples?, faults?);

        let stats: Vec<_> = load.sessions.iter().map(|session| session.event_hub().stats()).collect();
        for session in &load.sessions {
            session.event_hub().close().await;
        }
        drop((load, listening));
        run.tasks.close();
        let ended = tokio::time::timeout(Duration::from_secs(30), run.tasks.wait()).await;
        ensure(ended.is_ok(), || format!("{} calls of the load never ended", run.tasks.len()))?;
        let after = settled(before).await?;

        let events = run.events.lock().judge(run.now(), true);
        let imodel = run.imodel.lock().judge(run.now(), true);
        say(format!("calls: {:?}", run.ends.lock()));
        let figures = slopes(&samples).and("ftrack", books(events)).and("imodelhub", books(imodel));
        let figures = figures
            .with("faults", faults)
            .with("longest beyond its timeout", format!("{:.1?}", run.overdue.lock()))
            .with("descriptors at the ends", format!("{} {}", before.0, after.0))
            .with("tasks at the ends", format!("{} {}", before.1, after.1));
        let open: usize = stats.iter().map(|stats| stats.open_requests).sum();
        let dropped: u64 = stats.iter().map(|stats| stats.dropped).sum();
        verdict(&run, events, imodel, open, dropped).map_err(|what| with(&what, &figures))?;
        flat(&samples).map_err(|what| with(&what, &figures))?;
        ensure(after.0 <= before.0 && after.1 <= before.1, || "something was left over".to_owned())
            .map_err(|what| with(&what, &figures))?;
        Ok(figures)
    }

    /// Looks every second; once a minute it says what it sees.
    async fn sample(self, run: &Run, say: &(dyn Fn(String) + Sync)) -> Result<Vec<Sample>, Broken> {
        let (mut samples, mut looks) = (Vec::new(), 0_u64);
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        while run.now() < self.time {
            ticks.tick().await;
            let sample = look(run)?;
            let now = run.now();
            let events = run.events.lock().judge(now, false);
            run.imodel.lock().judge(now, false);
            if looks.is_multiple_of(60) {
                say(format!(
                    "{:>5.0} s: {:.1} MiB, {} descriptors, {} tasks; {} published, {} acknowledged, {} seen",
                    sample.at,
                    sample.memory / 1_048_576.0,
                    sample.descriptors,
                    sample.tasks,
                    events.sent,
                    events.acknowledged,
                    events.seen,
                ));
            }
            looks += 1;
            if now >= WARM_UP && now + TAIL <= self.time {
                samples.push(sample);
            }
        }
        Ok(samples)
    }

    /// A fault a minute; calm, and quiet, at the end.
    async fn trouble(
        self,
        run: &Run,
        services: &Services,
        say: &(dyn Fn(String) + Sync),
    ) -> Result<u64, Broken> {
        let mut troubles = Troubles::new(self.seed);
        let mut struck = 0;
        let until = self.time.saturating_sub(TAIL);
        loop {
            let next = PAUSE.min(until.saturating_sub(run.now()));
            tokio::time::sleep(next).await;
            if run.now() >= until {
                break;
            }
            let trouble = troubles.next();
            let mut hit = 0;
            for ask in &trouble.asks {
                hit += services.ask(ask).await?;
            }
            struck += 1;
            say(format!("{:>5.0} s: {} ({hit})", run.now().as_secs_f64(), trouble.name));
        }
        services.ask(&Ask::Calm).await?;
        run.quiet.cancel();
        Ok(struck)
    }
}

fn measured(samples: &[Sample]) -> (f64, f64, f64) {
    let of = |what: fn(&Sample) -> f64| {
        slope(&samples.iter().map(|sample| (sample.at / 60.0, what(sample))).collect::<Vec<_>>())
    };
    (of(|sample| sample.memory), of(|sample| sample.descriptors), of(|sample| sample.tasks))
}

fn slopes(samples: &[Sample]) -> Figures {
    let (memory, descriptors, tasks) = measured(samples);
    let last = samples.last();
    Figures::new()
        .with("seconds looked at", samples.len())
        .with("memory", format!("{:.1} MiB", last.map_or(0.0, |last| last.memory) / 1_048_576.0))
        .with("memory slope", format!("{:+.1} KiB/min", memory / 1024.0))
        .with("descriptor slope", format!("{descriptors:+.3}/min"))
        .with("task slope", format!("{tasks:+.3}/min"))
}

fn flat(samples: &[Sample]) -> Result<(), Broken> {
    let (memory, descriptors, tasks) = measured(samples);
    let flat = memory <= MEMORY && descriptors <= DESCRIPTORS && tasks <= TASKS;
    ensure(flat, || "something grows".to_owned())
}

fn verdict(run: &Run, events: Totals, imodel: Totals, open: usize, dropped: u64) -> Result<(), Broken> {
    ensure(events.seen > 0 && imodel.seen > 0, || "nothing was seen, so nothing was shown".to_owned())?;
    ensure(events.unreported == 0 && imodel.unreported == 0, || "events are missing".to_owned())?;
    ensure(events.duplicates == 0, || "events came twice".to_owned())?;
    ensure(!run.ends.lock().contains_key("request WRONG ANSWER"), || "a wrong answer".to_owned())?;
    ensure(*run.overdue.lock() <= LATE, || "a call was held longer than its timeout".to_owned())?;
    ensure(run.reports_missed.load(Ordering::Relaxed) == 0, || "reports were missed".to_owned())?;
    ensure(open == 0, || format!("{open} requests are still open"))?;
    ensure(dropped == 0, || format!("{dropped} events were dropped by buffers that should hold them"))
}

fn books(totals: Totals) -> Figures {
    Figures::new()
        .with("published", totals.sent)
        .with("acknowledged", totals.acknowledged)
        .with("seen", totals.seen)
        .with("lost in gaps told of", totals.in_gaps)
        .with("unreported", totals.unreported)
        .with("repeats", totals.duplicates)
}

fn with(what: &Broken, figures: &Figures) -> Broken {
    Broken::new(format!("{what}: {figures}"))
}

fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

fn look(run: &Run) -> Result<Sample, Broken> {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let (memory, descriptors, tasks) =
        (process::resident()? as f64, process::descriptors()? as f64, tasks() as f64);
    Ok(Sample { at: run.now().as_secs_f64(), memory, descriptors, tasks })
}

/// Descriptors and tasks once they are back where they were, or after half a minute.
async fn settled(before: (usize, usize)) -> Result<(usize, usize), Broken> {
    let mut after = (process::descriptors()?, tasks());
    for _ in 0..300 {
        if after.0 <= before.0 && after.1 <= before.1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        after = (process::descriptors()?, tasks());
    }
    Ok(after)
}
