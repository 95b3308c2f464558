//! `hubctl request`.

use std::time::Duration;

use super::data::Content;
use crate::connection::{Connection, leave};
use crate::exit::{Exit, Failure, Result};
use crate::output::{Output, Writer, now};

/// Publishes an event and shows the first reply; with --all, every reply until the time is up.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    content: Content,
    /// How long to wait for replies, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = super::seconds)]
    timeout: Duration,
    /// Wait for more than one reply, until the time is up
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) async fn run(args: Args) -> Result {
    let event = args.content.event()?;
    let session = args.connection.connect().await?;
    let hub = session.event_hub();
    let mut out = Writer::stdout(args.output.format());
    let outcome = if args.all {
        let mut replies = hub.publish_with_replies(event, args.timeout).await?;
        let mut count = 0_u64;
        while let Some(reply) = replies.next().await {
            count += 1;
            out.event(&reply, now)?;
            out.flush()?;
        }
        if count > 0 { Ok(()) } else { Err(unanswered(args.timeout)) }
    } else {
        match hub.publish_and_wait_for_reply(event).timeout(args.timeout).await {
            Ok(reply) => out.event(&reply, now),
            Err(error) if error.kind() == ftrack_hub::ErrorKind::Timeout => Err(unanswered(args.timeout)),
            Err(error) => Err(error.into()),
        }
    };
    out.flush()?;
    leave(hub).await;
    outcome
}

fn unanswered(after: Duration) -> Failure {
    Failure::new(Exit::Timeout, format!("no reply within {}", crate::output::seconds(after)))
        .next("hubctl tail, to see whether the event arrives, or a longer --timeout")
}
