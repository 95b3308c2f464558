//! One row of the table, and how it is run.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use crate::figures::{Broken, Figures};

/// Whose time a scene runs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// Tokio's, paused: it jumps when everybody waits.
    Paused,
    /// The machine's.
    Real,
}

/// How large a scene is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// For every run of the tests.
    Small,
    /// As the table says.
    Full,
}

/// What a scene is given.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    /// Whatever is left to chance comes from here.
    pub seed: u64,
    /// How large it is to be.
    pub size: Size,
}

impl Run {
    /// A small one from a seed.
    #[must_use]
    pub const fn small(seed: u64) -> Self {
        Self { seed, size: Size::Small }
    }

    /// A full one from a seed.
    #[must_use]
    pub const fn full(seed: u64) -> Self {
        Self { seed, size: Size::Full }
    }

    /// One of two numbers, by size.
    pub(crate) fn pick<T>(self, small: T, full: T) -> T {
        match self.size {
            Size::Small => small,
            Size::Full => full,
        }
    }
}

/// A scene at work. It stays on its thread.
pub type Playing = Pin<Box<dyn Future<Output = Result<Figures, Broken>>>>;

/// One fault: what goes wrong, and a scene in which what must hold is looked at.
#[derive(Clone, Copy)]
pub struct Fault {
    /// Its number in the table, such as `F3`.
    pub id: &'static str,
    /// What goes wrong.
    pub what: &'static str,
    /// What must hold.
    pub holds: &'static str,
    /// Whose time it runs in.
    pub clock: Clock,
    /// The scene.
    pub play: fn(Run) -> Playing,
}

impl Fault {
    /// Plays the scene on a runtime of its own.
    ///
    /// # Errors
    ///
    /// [`Broken`] with what does not hold.
    pub fn run(&self, run: Run) -> Result<Figures, Broken> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(self.clock == Clock::Paused)
            .build()
            .map_err(|error| Broken::new(format!("no runtime: {error}")))?;
        let outcome = runtime.block_on((self.play)(run));
        // What a scene left running must not outlive it, nor hang the run.
        runtime.shutdown_background();
        outcome
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.id, self.what)
    }
}
