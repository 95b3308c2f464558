//! `hubctl tail`.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ftrack_hub::hub::{LifecycleStream, Report};
use ftrack_hub::{Event, EventStream, Overflow};
use futures_util::FutureExt as _;
use tokio::time::Instant;

use crate::connection::{Connection, leave};
use crate::exit::{Exit, Failure, Result};
use crate::kept::{self, Records};
use crate::output::{Output, Writer, at, gap, now};
use crate::when::{When, when};
use crate::{recording, signals};

/// How many events wait for the output before the oldest are dropped, which is counted and shown.
const BUFFER: usize = 65_536;

const PROFILE: &str = r#"A profile in the configuration file:

  [profiles.studio]
  server = "https://studio.ftrackapp.com"
  user = "jane.doe"
  key_file = "studio.key"

The file of the key is looked for beside it."#;

/// Shows events as they come: all of them, or those that match any of the expressions. Reconnections and gaps are shown
/// between them.
#[derive(Debug, clap::Args)]
#[command(after_help = PROFILE)]
pub(crate) struct Args {
    /// Which events, such as 'topic=ftrack.update'; of several, any. Default all
    #[arg(value_name = "EXPR")]
    expressions: Vec<String>,
    /// End after so many events
    #[arg(long, short = 'n', value_name = "N")]
    count: Option<u64>,
    /// End after so many seconds; with --count, that is a failure (exit code 4)
    #[arg(long, value_name = "SECONDS", value_parser = super::seconds)]
    timeout: Option<Duration>,
    /// Write a recording, too, for `hubctl replay`
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Begin with what a program kept in this journal, from --since on
    #[arg(long, short, env = "HUBCTL_JOURNAL", value_name = "FILE", requires = "since")]
    journal: Option<PathBuf>,
    /// A sequence (1204), a time (2026-11-26T10:00:00Z, "2026-11-26 10:00", 10:00) or an age (10m, 2h, 3d)
    #[arg(long, value_name = "WHEN", value_parser = when, requires = "journal", conflicts_with = "record")]
    since: Option<When>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) async fn run(args: Args) -> Result {
    let wanted = super::any_of(&args.expressions)?;
    let past = match &args.journal {
        Some(journal) => {
            let view = kept::view(journal).await?;
            let last = view.overview().last_received;
            Some(Past { records: Records::of(&view, args.since.as_ref(), wanted.clone()).await?, last })
        }
        None => None,
    };
    let record = args.record.as_deref().map(Recorder::create).transpose()?;
    let session = args.connection.connect().await?;
    let hub = session.event_hub();
    let changes = hub.lifecycle();
    let events = hub.subscribe(wanted).buffer(BUFFER, Overflow::DropOldest).stream().await?;
    let tail = Tail { events, changes, out: Writer::stdout(args.output.format()), record, left: args.count };
    let outcome = tail.follow(past, args.timeout).await;
    leave(hub).await;
    outcome
}

struct Tail {
    events: EventStream,
    changes: LifecycleStream,
    out: Writer,
    record: Option<Recorder>,
    /// How many events are still to come.
    left: Option<u64>,
}

impl Tail {
    async fn follow(mut self, past: Option<Past>, timeout: Option<Duration>) -> Result {
        let end = signals::end();
        let up = async {
            match timeout {
                Some(timeout) => tokio::time::sleep(timeout).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(end, up);
        if let Some(past) = past {
            tokio::select! {
                shown = self.show(past) => shown?,
                () = &mut end => return self.finish(),
                () = &mut up => return self.time_is_up(),
            }
        }
        while self.left != Some(0) {
            // While events wait, nothing is flushed: a pipe gets large pieces.
            if let Some(next) = self.events.next().now_or_never() {
                let Some(delivery) = next.transpose()? else { break };
                self.event(delivery.event())?;
                continue;
            }
            self.out.flush()?;
            tokio::select! {
                next = self.events.next() => {
                    let Some(delivery) = next.transpose()? else { break };
                    self.event(delivery.event())?;
                }
                Some(report) = self.changes.next() => {
                    if let Report::Happened(change) = report {
                        self.out.change(&change)?;
                    }
                }
                () = &mut end => break,
                () = &mut up => return self.time_is_up(),
            }
        }
        self.finish()
    }

    /// What was kept, and where that ends: what came between then and now is not known.
    async fn show(&mut self, mut past: Past) -> Result {
        while self.left != Some(0) {
            let Some(record) = past.records.next().await.transpose()? else { break };
            if record.is_gap {
                self.out.notice("gap", &gap(&record.event), || at(record.received))?;
                continue;
            }
            self.out.event(&record.event, || at(record.received))?;
            if let Some(left) = &mut self.left {
                *left = left.saturating_sub(1);
            }
        }
        let text = match past.last {
            Some(last) => format!("the journal ends at {}; what came until now may be missing", at(last)),
            None => "the journal is empty; what came until now may be missing".to_owned(),
        };
        if self.left != Some(0) {
            self.out.notice("gap", &text, now)?;
        }
        self.out.flush()
    }

    fn event(&mut self, event: &Event) -> Result {
        self.out.event(event, now)?;
        if let Some(record) = &mut self.record {
            record.write(event)?;
        }
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(1);
        }
        Ok(())
    }

    fn time_is_up(mut self) -> Result {
        let missing = self.left;
        self.finish()?;
        match missing {
            None => Ok(()),
            Some(missing) => Err(Failure::new(
                Exit::Timeout,
                format!("the time is up, and {missing} event(s) are missing"),
            )),
        }
    }

    fn finish(&mut self) -> Result {
        if let Some(record) = &mut self.record {
            record.file.flush()?;
        }
        self.out.flush()
    }
}

/// What a program kept.
struct Past {
    records: Records,
    /// When its last record came.
    last: Option<u64>,
}

/// A recording that is being written.
struct Recorder {
    file: BufWriter<File>,
    started: Instant,
}

impl Recorder {
    fn create(path: &Path) -> Result<Self> {
        let file = File::create(path)
            .map_err(|error| Failure::usage(format!("cannot write {}: {error}", path.display())))?;
        Ok(Self { file: BufWriter::new(file), started: start() })
    }

    fn write(&mut self, event: &Event) -> Result {
        Ok(self.file.write_all(recording::line(self.started.elapsed(), event)?.as_bytes())?)
    }
}

#[expect(clippy::disallowed_methods, reason = "a recording has times")]
fn start() -> Instant {
    Instant::now()
}
