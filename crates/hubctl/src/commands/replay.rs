//! `hubctl replay`.

use std::time::Duration;

use ftrack_hub::EventHub;
use futures_util::{Stream, TryStreamExt as _, stream};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;

use super::data::file_text;
use crate::connection::{Connection, leave};
use crate::exit::{Exit, Failure, Result};
use crate::recording::{self, Recorded};
use crate::signals;

/// Publishes the events of a recording again, in order, in the times in which they came.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The recording, or - for the standard input
    #[arg(value_name = "FILE")]
    file: String,
    #[command(flatten)]
    playing: Playing,
    #[command(flatten)]
    connection: Connection,
}

/// How events are published again.
#[derive(Debug, clap::Args)]
pub(crate) struct Playing {
    /// How many times faster; 0: without pauses
    #[arg(long, value_name = "X", default_value_t = 1.0)]
    speed: f64,
    /// Keep the ids of the events: hubs that have seen one drop it. Default: new ones
    #[arg(long)]
    keep_ids: bool,
}

impl Playing {
    pub(crate) fn check(&self) -> Result {
        if !self.speed.is_finite() || self.speed < 0.0 {
            return Err(Failure::usage("--speed is a number from 0 on"));
        }
        Ok(())
    }
}

pub(crate) async fn run(args: Args) -> Result {
    args.playing.check()?;
    let recorded = recording::read(&args.file, &file_text(&args.file)?)?;
    let count = recorded.len() as u64;
    publish(&args.connection, stream::iter(recorded.into_iter().map(Ok)), Some(count), &args.playing).await
}

/// Connects and publishes them, with a bar that knows how many there are.
pub(crate) async fn publish(
    connection: &Connection,
    events: impl Stream<Item = Result<Recorded>>,
    count: Option<u64>,
    playing: &Playing,
) -> Result {
    let session = connection.connect().await?;
    let hub = session.event_hub();
    let bar = progress(count);
    let published = tokio::select! {
        published = play(hub, events, playing, &bar) => published,
        () = signals::end() => Err(Failure::new(Exit::Failed, format!("ended after {} event(s)", bar.position()))),
    };
    bar.finish_and_clear();
    leave(hub).await;
    let count = published?;
    let mut out = crate::output::Writer::stdout(crate::output::Format::Line);
    out.text(&format!("published {count} event(s)"))?;
    out.flush()
}

async fn play(
    hub: &EventHub,
    events: impl Stream<Item = Result<Recorded>>,
    playing: &Playing,
    bar: &ProgressBar,
) -> Result<u64> {
    tokio::pin!(events);
    let begin = start();
    while let Some(Recorded { at, event }) = events.try_next().await? {
        if playing.speed > 0.0 {
            tokio::time::sleep_until(begin + scaled(at, playing.speed)).await;
        }
        let mut event = event.to_builder();
        if !playing.keep_ids {
            event = event.id(ftrack_hub::EventId::random());
        }
        hub.publish(event.build()?).await?;
        bar.inc(1);
    }
    Ok(bar.position())
}

fn scaled(at: Duration, speed: f64) -> Duration {
    Duration::try_from_secs_f64(at.as_secs_f64() / speed).unwrap_or(Duration::MAX / 4)
}

/// On the standard error, and only where that is a terminal.
fn progress(events: Option<u64>) -> ProgressBar {
    let (bar, template) = match events {
        Some(events) => (ProgressBar::new(events), "{wide_bar} {pos}/{len} {eta}"),
        None => (ProgressBar::no_length(), "{spinner} {pos} {per_sec}"),
    };
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

#[expect(clippy::disallowed_methods, reason = "a recording is played in time")]
fn start() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_scaled_and_never_too_long_to_wait_for() {
        assert_eq!(scaled(Duration::from_secs(10), 4.0), Duration::from_millis(2500));
        assert!(scaled(Duration::from_secs(u64::MAX), 1e-9) > Duration::from_secs(1 << 40));
    }
}
