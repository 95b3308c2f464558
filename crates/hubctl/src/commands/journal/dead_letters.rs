//! `hubctl journal dead-letters`.

use event_journal::{Cause, Letter, View};

use crate::exit::Result;
use crate::kept::{Kept, failure};
use crate::output::{Format, Output, Writer, at};
use crate::text::plain;

/// Shows the events that consumers failed at for good, and the publishes that expired or were refused, each with its
/// reason.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    kept: Kept,
    /// Only those of this consumer
    #[arg(long, short, value_name = "NAME")]
    consumer: Option<String>,
    /// Only publishes
    #[arg(long, conflicts_with = "consumer")]
    unsent: bool,
    #[command(flatten)]
    output: Output,
}

pub(crate) async fn run(args: Args) -> Result {
    let view = args.kept.view().await?;
    let format = args.output.format();
    let mut out = Writer::stdout(format);
    for consumer in boxes(&view, &args).await? {
        let letters = match &consumer {
            Some(consumer) => view.dead_letters(consumer).await,
            None => view.unsent().await,
        };
        for letter in letters.map_err(failure)? {
            write(&mut out, format, consumer.as_deref(), &letter)?;
        }
    }
    out.flush()
}

async fn boxes(view: &View, args: &Args) -> Result<Vec<Option<String>>> {
    if args.unsent {
        return Ok(vec![None]);
    }
    if let Some(consumer) = &args.consumer {
        return Ok(vec![Some(consumer.clone())]);
    }
    Ok(view.letter_boxes().await.map_err(failure)?.into_iter().map(|one| one.consumer).collect())
}

fn write(out: &mut Writer, format: Format, consumer: Option<&str>, letter: &Letter) -> Result {
    let cause = name(letter.cause);
    if format == Format::Json {
        return out.wrapped(
            &serde_json::json!({
                "consumer": consumer,
                "sequence": letter.sequence,
                "cause": cause,
                "reason": letter.reason,
                "attempts": letter.attempts,
                "given_up": letter.buried,
            }),
            &letter.event,
        );
    }
    out.event(&letter.event, || format!("{:>8}  {}", letter.sequence, at(letter.buried)))?;
    let whose = consumer.map_or_else(|| "to be published".to_owned(), |name| format!("consumer {name}"));
    let reason = letter.reason.as_deref().map_or_else(String::new, |reason| format!(": {reason}"));
    let told = format!("{whose}; {cause} after {} attempt(s){reason}", letter.attempts);
    out.text(&format!("          {}", plain(&told)))
}

fn name(cause: Cause) -> &'static str {
    match cause {
        Cause::Rejected => "rejected",
        Cause::DeliveryLimit => "not handled",
        Cause::Expired => "expired",
        Cause::Refused => "refused",
        _ => "given up",
    }
}
