//! `hubctl tail`.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ftrack_hub::Expression;
use ftrack_hub::hub::{LifecycleStream, Report};
use ftrack_hub::{Event, EventStream, Overflow};
use futures_util::FutureExt as _;
use tokio::time::Instant;

use crate::connection::{Connection, leave};
use crate::exit::{Exit, Failure, Result};
use crate::output::{Output, Writer, now};
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
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) async fn run(args: Args) -> Result {
    let wanted = wanted(&args.expressions)?;
    let record = args.record.as_deref().map(Recorder::create).transpose()?;
    let session = args.connection.connect().await?;
    let hub = session.event_hub();
    let changes = hub.lifecycle();
    let events = hub.subscribe(wanted).buffer(BUFFER, Overflow::DropOldest).stream().await?;
    let tail = Tail { events, changes, out: Writer::stdout(args.output.format()), record, left: args.count };
    let outcome = tail.follow(args.timeout).await;
    leave(hub).await;
    outcome
}

/// Any of the expressions; without one, everything.
fn wanted(texts: &[String]) -> Result<Expression> {
    if texts.is_empty() {
        return super::expression("topic=*");
    }
    let all = texts.iter().map(|text| super::expression(text)).collect::<Result<Vec<_>>>()?;
    Expression::any(all).map_err(|error| Failure::usage(error.to_string()))
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
    async fn follow(mut self, timeout: Option<Duration>) -> Result {
        let end = signals::end();
        let up = async {
            match timeout {
                Some(timeout) => tokio::time::sleep(timeout).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(end, up);
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
                        self.out.change(&change, &now())?;
                    }
                }
                () = &mut end => break,
                () = &mut up => return self.time_is_up(),
            }
        }
        self.finish()
    }

    fn event(&mut self, event: &Event) -> Result {
        self.out.event(event, &now())?;
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
