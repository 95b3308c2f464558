//! Many runs, and what they come to.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZero;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{Mixed, Without};

/// As many broken runs are shown, with how to see them again.
const SHOWN: usize = 5;

/// What many runs came to.
#[derive(Clone, Debug, Default)]
pub struct Runs {
    /// How many there were.
    pub count: u64,
    /// Those that broke: the seed, and what does not hold.
    pub broken: BTreeMap<u64, String>,
    /// How often what fired, in all of them.
    pub fired: BTreeMap<String, u64>,
    /// How many figures of each name came together; the largest, for times.
    figures: BTreeMap<String, u64>,
    lasted: Duration,
    shortest: Option<Duration>,
    fewest_kinds: Option<usize>,
}

/// Plays so many runs, from this seed and those that follow it, on as many threads as the machine has; each run stays on
/// its thread.
#[must_use]
pub fn many(first: u64, runs: u64, without: Option<Without>) -> Runs {
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let (next, end) = (AtomicU64::new(first), first.saturating_add(runs));
    let play = || {
        let mut runs = Runs::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end {
                return runs;
            }
            runs.add(Mixed { without, ..Mixed::new(seed) });
        }
    };
    std::thread::scope(|scope| {
        let players: Vec<_> = (0..threads).map(|_| scope.spawn(play)).collect();
        players.into_iter().fold(Runs::default(), |mut all, player| {
            // A run that panicked has said so; it must not pass for one that held.
            all.join(player.join().unwrap_or_else(|_| Runs::panicked()));
            all
        })
    })
}

impl Runs {
    /// Whether everything held in every run.
    #[must_use]
    pub fn held(&self) -> bool {
        self.broken.is_empty()
    }

    fn panicked() -> Self {
        Self { broken: BTreeMap::from([(u64::MAX, "a run panicked".to_owned())]), ..Self::default() }
    }

    fn add(&mut self, run: Mixed) {
        self.count += 1;
        match run.play() {
            Err(broken) => drop(self.broken.insert(run.seed, broken.to_string())),
            Ok(played) => {
                self.lasted += played.lasted;
                self.shortest = Some(self.shortest.map_or(played.lasted, |least| least.min(played.lasted)));
                let kinds = played.fired.len();
                self.fewest_kinds = Some(self.fewest_kinds.map_or(kinds, |fewest| fewest.min(kinds)));
                for (name, times) in played.fired {
                    *self.fired.entry(name).or_default() += times;
                }
                match played.outcome {
                    Ok(figures) => self.sum(figures.numbers()),
                    Err(broken) => drop(self.broken.insert(run.seed, broken.to_string())),
                }
            }
        }
    }

    fn sum<'a>(&mut self, figures: impl Iterator<Item = (&'a str, u64)>) {
        for (name, figure) in figures {
            let sum = self.figures.entry(name.to_owned()).or_default();
            *sum = if name.starts_with("longest") { (*sum).max(figure) } else { *sum + figure };
        }
    }

    fn join(&mut self, other: Self) {
        self.count += other.count;
        self.broken.extend(other.broken);
        for (name, times) in other.fired {
            *self.fired.entry(name).or_default() += times;
        }
        self.sum(other.figures.iter().map(|(name, figure)| (name.as_str(), *figure)));
        self.lasted += other.lasted;
        self.shortest = [self.shortest, other.shortest].into_iter().flatten().min();
        self.fewest_kinds = [self.fewest_kinds, other.fewest_kinds].into_iter().flatten().min();
    }
}

impl fmt::Display for Runs {
    /// The broken runs, what fired, and one line in sum.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (seed, broken) in self.broken.iter().take(SHOWN) {
            writeln!(f, "BROKEN seed {seed}: {broken}")?;
            writeln!(f, "       again: cargo xtask faults --only mixed --runs 1 --seed {seed} --trace")?;
        }
        if self.broken.len() > SHOWN {
            writeln!(f, "BROKEN {} more", self.broken.len() - SHOWN)?;
        }
        writeln!(f, "what fired:")?;
        let most = self.fired.values().max().copied().unwrap_or(1).max(1);
        for (name, times) in &self.fired {
            let bar = usize::try_from(times * 40 / most).unwrap_or(0);
            writeln!(f, "  {name:<32}{times:>8} {}", "#".repeat(bar.max(1)))?;
        }
        let shortest = self.shortest.unwrap_or_default();
        let kinds = self.fewest_kinds.unwrap_or(0);
        write!(
            f,
            "mixed: {} of {} runs held",
            self.count.saturating_sub(self.broken.len() as u64),
            self.count
        )?;
        write!(
            f,
            "; {:.1} h of paused time, the shortest run {shortest:.1?}",
            self.lasted.as_secs_f64() / 3_600.0
        )?;
        write!(f, "; at least {kinds} kinds of fault in each")?;
        self.figures.iter().try_for_each(|(name, figure)| write!(f, ", {name} {figure}"))
    }
}
