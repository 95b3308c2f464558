//! `hubctl publish`.

use std::time::Duration;

use super::data::Content;
use crate::connection::{Connection, leave};
use crate::exit::Result;
use crate::output::{Format, Output, Writer};
use crate::text::plain;

/// Publishes an event, and waits for the server's acknowledgement.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    content: Content,
    /// How long to wait for the acknowledgement, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = super::seconds)]
    timeout: Duration,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connection: Connection,
}

pub(crate) async fn run(args: Args) -> Result {
    let event = args.content.event()?;
    let id = event.id().map(ToString::to_string).unwrap_or_default();
    let session = args.connection.connect().await?;
    let hub = session.event_hub();
    let receipt = hub.publish(event).timeout(args.timeout).await?;
    leave(hub).await;
    let mut out = Writer::stdout(args.output.format());
    if args.output.format() == Format::Json {
        let said = serde_json::json!({
            "id": id, "topic": args.content.topic,
            "attempts": receipt.attempts, "possibleDuplicate": receipt.possible_duplicate,
        });
        out.text(&said.to_string())?;
    } else {
        let twice = if receipt.possible_duplicate { ", possibly twice there" } else { "" };
        let topic = plain(&args.content.topic);
        out.text(&format!("published {topic}: acknowledged after {} attempt(s){twice}", receipt.attempts))?;
    }
    out.flush()
}
