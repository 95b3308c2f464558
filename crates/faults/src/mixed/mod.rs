//! A run in which everything goes on at the same time, and many things go wrong: from one seed, always the same.
//!
//! Two publishers and three subscribers of the ftrack side, with requests in between; on the iModelHub side one listener
//! that locks and one that reads destructively. Sixteen kinds of fault out of forty, drawn from the seed, strike both
//! services over at least a minute of paused time. At the end nothing acknowledged may be missing, nothing missed
//! unreported, nobody held for longer than asked for, and nothing left behind.

pub(crate) mod clock;
pub(crate) mod column;
mod hubs;
mod many;
pub(crate) mod queue_column;
mod queues;
mod strikes;
mod trace;
mod world;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hub_emulator::Emulator;

pub use self::many::{Runs, many};

use self::hubs::Hubs;
use self::queues::Queues;
use self::world::{Book, World, tasks_end};
use crate::dice::Dice;
use crate::figures::{Broken, Figures, ensure};
use crate::scenes::stage::broken;

/// The least time that a run lasts.
const LEAST: Duration = Duration::from_secs(60);
/// A run that lasts longer hangs.
const MOST: Duration = Duration::from_secs(3_600);

/// A defence of the SDK that is switched off, to see that the suite notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Without {
    /// Events whose acknowledgement is in doubt are not sent again.
    Resend,
    /// Reports of gaps reach nobody.
    Gap,
}

/// One run.
#[derive(Clone, Copy, Debug)]
pub struct Mixed {
    /// Where chance comes from.
    pub seed: u64,
    /// What is switched off.
    pub without: Option<Without>,
    /// Whether to keep the trace.
    pub keep_trace: bool,
}

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Played {
    /// The trace in one number: the same for the same seed.
    pub hash: u64,
    /// The trace, if it was kept.
    pub trace: Vec<String>,
    /// How often what fired, on both sides.
    pub fired: BTreeMap<String, u64>,
    /// How long it lasted, in its own time.
    pub lasted: Duration,
    /// Whether everything held; with figures.
    pub outcome: Result<Figures, Broken>,
}

impl Mixed {
    /// From a seed, with every defence in place.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { seed, without: None, keep_trace: false }
    }

    /// Plays it, on a runtime of its own.
    ///
    /// # Errors
    ///
    /// [`Broken`] when it could not be set up.
    pub fn play(self) -> Result<Played, Broken> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .map_err(|error| Broken::new(format!("no runtime: {error}")))?;
        let played = runtime.block_on(self.act());
        runtime.shutdown_background();
        played
    }

    async fn act(self) -> Result<Played, Broken> {
        clock::start();
        let world = World::new(hubs::subscribers(), self.keep_trace);
        let emulator = Arc::new(emulator(&world, self.seed).await?);
        let acted = tokio::time::timeout(MOST, self.scene(&world, &emulator)).await;
        let outcome = acted.unwrap_or_else(|_| Err(Broken::new(format!("it is not over after {MOST:?}"))));
        let mut fired = emulator.fired();
        fired.retain(|_, times| *times > 0);
        let lasted = world.now();
        Ok(world.write(|book, _| {
            fired.append(&mut book.struck);
            Played { hash: book.trace.hash(), trace: book.trace.take_lines(), fired, lasted, outcome }
        }))
    }

    async fn scene(self, world: &World, emulator: &Arc<Emulator>) -> Result<Figures, Broken> {
        let alive_before = tokio::runtime::Handle::current().metrics().num_alive_tasks();
        let mut dice = Dice::new(self.seed);
        let hubs = Hubs::connect(world, emulator, &mut dice, self.without).await?;
        let queues = Queues::listen(world, emulator, &mut dice).await?;
        let (mut working, mut filling, mut striking) = (dice.branch(), dice.branch(), dice.branch());
        let (worked, (), struck) = tokio::join!(
            hubs.work(world, &mut working, LEAST),
            queues.publish(world, &mut filling),
            strikes::strike(world, emulator, &mut striking),
        );
        worked.and(struck)?;
        world.check()?;
        hubs.recover(world).await?;
        world.check()?;
        let published = queues.recover(world).await?;
        world.check()?;
        hubs.close(world).await?;
        queues.stop();
        tasks_end(alive_before).await?;
        let left = emulator.state().connections;
        ensure(left == 0, || format!("the service still has {left} connections"))?;
        let waiting = emulator.imodelhub_state().waiting();
        ensure(waiting == 0, || format!("{waiting} polls are still held"))?;
        world.check()?;
        let kinds = emulator.fired().len() + world.write(|book, _| book.struck.len());
        ensure(kinds >= strikes::LEAST, || format!("only {kinds} kinds of fault fired"))?;
        world.write(|book, _| audit(book, published))
    }
}

async fn emulator(world: &World, seed: u64) -> Result<Emulator, Broken> {
    let witness = world.clone();
    Emulator::builder()
        .in_memory()
        .seed(seed)
        .starts_at(clock::started_at())
        .heartbeat_interval(Duration::from_secs(4))
        .heartbeat_timeout(Duration::from_secs(12))
        .lock_duration(queues::LOCK)
        .sas_lifetime(queues::SAS)
        .max_delivery_count(1_000)
        .captures(0)
        .witness(move |event, connections| {
            if let ("mixed", Some(n)) = (event.topic().as_str(), event.data_value()["n"].as_u64()) {
                witness.note(format_args!("taken {n} for {connections}"));
                witness.write(|book, now| {
                    // After a restart the service does not know any more what it took.
                    if book.taken_set.insert(n) {
                        book.taken.push((n, now));
                    }
                });
            }
        })
        .start()
        .await
        .map_err(broken("start the emulator"))
}

/// Compares the columns of the book.
fn audit(book: &mut Book, queued: u64) -> Result<Figures, Broken> {
    let lost: Vec<_> = book.acknowledged.difference(&book.taken_set).collect();
    ensure(lost.is_empty(), || format!("acknowledged, and never taken by the service: {lost:?}"))?;
    let (mut missed, mut gaps) = (0, 0);
    for (number, column) in book.columns.iter().enumerate() {
        let (missing, unexplained) = column.missed(&book.taken);
        ensure(unexplained.is_empty(), || {
            format!("subscriber {number} missed {unexplained:?} outside of every reported gap")
        })?;
        ensure(column.duplicates == 0, || {
            format!("subscriber {number} saw {} events twice", column.duplicates)
        })?;
        missed += missing;
        gaps += column.gaps();
    }
    let locked = queue_column::locked(&book.locked, queued);
    ensure(locked.lost.is_empty(), || format!("never delivered under a lock: {:?}", locked.lost))?;
    ensure(locked.unmarked.is_empty(), || {
        format!("delivered again without saying so: {:?}", locked.unmarked)
    })?;
    let destructive = queue_column::destructive(&book.destructive, queued);
    ensure(destructive.unreported.is_empty(), || {
        format!("lost by destructive reads without a report: {:?}", destructive.unreported)
    })?;
    ensure(destructive.unmarked.is_empty(), || {
        format!("delivered twice by destructive reads: {:?}", destructive.unmarked)
    })?;
    Ok(Figures::new()
        .with("acknowledged", book.acknowledged.len())
        .with("resent", book.resent)
        .with("refused", book.refused)
        .with("timed out", book.timed_out)
        .with("lost", 0)
        .with("missed in gaps", missed)
        .with("gaps", gaps)
        .with("possible losses", destructive.lost.len())
        .with("longest held ms", book.longest_held.as_millis()))
}
