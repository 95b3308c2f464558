//! `hubctl respond`.

use ftrack_hub::Overflow;

use crate::connection::{Connection, leave};
use crate::exit::Result;
use crate::output::{Output, Writer, now};
use crate::signals;

/// Answers every event that matches with the same reply, and shows what it answered.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Which events to answer
    #[arg(value_name = "EXPR")]
    expression: String,
    /// The reply: JSON, @FILE with JSON, or - for the standard input
    #[arg(long, short, value_name = "JSON|@FILE|-")]
    data: String,
    /// End after so many answers
    #[arg(long, short = 'n', value_name = "N")]
    count: Option<u64>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) async fn run(args: Args) -> Result {
    let expression = super::expression(&args.expression)?;
    let reply = super::data::json("--data", &args.data)?.to_value()?;
    let session = args.connection.connect().await?;
    let hub = session.event_hub();
    let mut events = hub.subscribe(expression).buffer(4096, Overflow::DropNewest).stream().await?;
    let mut out = Writer::stdout(args.output.format());
    let mut answered = 0;
    let end = signals::end();
    tokio::pin!(end);
    while args.count.is_none_or(|count| answered < count) {
        let next = tokio::select! {
            next = events.next() => next,
            () = &mut end => None,
        };
        let Some(delivery) = next.transpose()? else { break };
        delivery.reply(&reply).await?;
        answered += 1;
        out.event(delivery.event(), now)?;
        out.flush()?;
    }
    leave(hub).await;
    Ok(())
}
