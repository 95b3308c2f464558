//! Waiting for what must come about, and looking for what was left behind.

use std::time::Duration;

use super::stage;
use crate::figures::Broken;

/// How often others get a turn before time passes.
const TURNS: usize = 4;
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(1);

/// Waits until something holds, at most for `limit`.
pub(crate) async fn until(
    what: &str,
    limit: Duration,
    mut holds: impl FnMut() -> bool,
) -> Result<(), Broken> {
    let start = stage::now();
    loop {
        for _ in 0..TURNS {
            if holds() {
                return Ok(());
            }
            tokio::task::yield_now().await;
        }
        if start.elapsed() >= limit {
            return Err(Broken::new(format!("not within {limit:?}: {what}")));
        }
        stage::pause((start.elapsed() / 64).clamp(SHORTEST, LONGEST)).await;
    }
}

/// Tasks of this runtime that have not ended.
pub(crate) fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

/// What the process has in memory, in KiB, where the system says so.
pub(crate) fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches("kB").trim().parse().ok()
}

/// Chance from a seed.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
