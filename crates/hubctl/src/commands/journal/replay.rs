//! `hubctl journal replay`.

use std::time::Duration;

use futures_util::{Stream, stream};

use crate::commands::replay::{Playing, publish};
use crate::connection::Connection;
use crate::exit::Result;
use crate::kept::{Kept, Records, Wanted};
use crate::recording::Recorded;

/// Publishes the events of a journal again, in order, in the times in which they came. Gaps are passed over.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    wanted: Wanted,
    #[command(flatten)]
    playing: Playing,
    #[command(flatten)]
    kept: Kept,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) async fn run(args: Args) -> Result {
    args.playing.check()?;
    let view = args.kept.view().await?;
    let records = args.wanted.records(&view).await?;
    publish(&args.connection, recorded(records), None, &args.playing).await
}

/// The events, at their times after the first.
fn recorded(records: Records) -> impl Stream<Item = Result<Recorded>> {
    stream::try_unfold((records, None), async |(mut records, mut first)| {
        while let Some(record) = records.next().await.transpose()? {
            if record.is_gap {
                continue;
            }
            let begin = *first.get_or_insert(record.received);
            let at = Duration::from_millis(record.received.saturating_sub(begin));
            return Ok(Some((Recorded { at, event: record.event }, (records, first))));
        }
        Ok(None)
    })
}
