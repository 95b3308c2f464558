//! `hubctl journal show`.

use crate::exit::Result;
use crate::kept::{Kept, Wanted};
use crate::output::{Output, Writer};

/// Shows the events of a journal with their sequences and the times at which they came, and the gaps between them. As
/// JSON, a line has `sequence`, `received` (milliseconds since 1970), `gap` and `event`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    wanted: Wanted,
    /// End after so many events
    #[arg(long, short = 'n', value_name = "N")]
    count: Option<u64>,
    #[command(flatten)]
    kept: Kept,
    #[command(flatten)]
    output: Output,
}

pub(crate) async fn run(args: Args) -> Result {
    let view = args.kept.view().await?;
    let mut records = args.wanted.records(&view).await?;
    let mut out = Writer::stdout(args.output.format());
    let mut left = args.count.unwrap_or(u64::MAX);
    while left > 0 {
        let Some(record) = records.next().await.transpose()? else { break };
        out.record(&record)?;
        left -= u64::from(!record.is_gap);
    }
    out.flush()
}
