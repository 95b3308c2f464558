//! Journals on the command line: which file, and from where on.

use std::error::Error as _;
use std::path::PathBuf;

use event_journal::{Config, Journal, Record, Replay, StoreError, View};
use ftrack_hub::{Error, Expression};

use crate::exit::{Exit, Failure, Result};
use crate::when::{When, when};

/// The option of every command that works on a journal.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Journal")]
pub(crate) struct Kept {
    /// File of the journal
    #[arg(long, short, env = "HUBCTL_JOURNAL", value_name = "FILE")]
    pub(crate) journal: PathBuf,
}

/// Which records.
#[derive(Debug, clap::Args)]
pub(crate) struct Wanted {
    /// Which events, such as 'topic=ftrack.update'; of several, any. Default all
    #[arg(value_name = "EXPR")]
    expressions: Vec<String>,
    /// From here on: a sequence (1204), a time (2026-11-26T10:00:00Z, "2026-11-26 10:00", 10:00) or an age (10m, 2h, 3d)
    #[arg(long, value_name = "WHEN", value_parser = when)]
    since: Option<When>,
}

impl Kept {
    /// The journal to be read.
    pub(crate) async fn view(&self) -> Result<View> {
        view(&self.journal).await
    }

    /// The journal to be changed. It must be there.
    pub(crate) async fn open(&self) -> Result<Journal> {
        let mut config = Config::default();
        // How long records are kept is the business of the program whose journal it is.
        config.retention.age = std::time::Duration::MAX;
        config.retention.bytes = u64::MAX;
        Journal::open(&self.journal, config).await.map_err(failure)
    }
}

/// A journal to be read.
pub(crate) async fn view(path: &std::path::Path) -> Result<View> {
    View::open(path).await.map_err(failure)
}

impl Wanted {
    /// The records of a journal, gaps among them.
    pub(crate) async fn records(&self, view: &View) -> Result<Records> {
        let expression = crate::commands::any_of(&self.expressions)?;
        Records::of(view, self.since.as_ref(), expression).await
    }
}

/// Records that match, and gaps.
pub(crate) struct Records {
    replay: Replay,
    wanted: Expression,
}

impl Records {
    pub(crate) async fn of(view: &View, since: Option<&When>, wanted: Expression) -> Result<Self> {
        let from = since.map_or(event_journal::Start::Beginning, When::start);
        Ok(Self { replay: view.replay(from).await.map_err(failure)?, wanted })
    }

    pub(crate) async fn next(&mut self) -> Option<Result<Record>> {
        loop {
            match self.replay.next().await? {
                Ok(record) if record.is_gap || self.wanted.matches(&record.event) => return Some(Ok(record)),
                Ok(_) => {}
                Err(error) => return Some(Err(failure(error))),
            }
        }
    }
}

/// What went wrong with a journal, with its exit code.
pub(crate) fn failure(error: Error) -> Failure {
    let cause = error.source().and_then(|source| source.downcast_ref::<StoreError>());
    match cause {
        Some(cause @ StoreError::Missing { .. }) => Failure::usage(cause.to_string()),
        Some(cause @ StoreError::Locked { .. }) => Failure::new(Exit::Failed, cause.to_string())
            .next("again when the program that keeps this journal has ended, or with a copy of the file"),
        Some(cause) => Failure::new(Exit::Failed, cause.to_string()),
        None => error.into(),
    }
}
