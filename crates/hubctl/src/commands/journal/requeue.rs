//! `hubctl journal requeue`.

use event_journal::{Letter, View};

use crate::exit::{Exit, Failure, Result};
use crate::kept::{Kept, failure};
use crate::output::{Format, Writer};
use crate::text::plain;

const LIST: &str = "hubctl journal dead-letters, which lists them";

/// Has dead letters delivered again to their consumer alone, or publishes sent again, when the program that keeps the
/// journal runs next.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("box").required(true))]
#[command(group = clap::ArgGroup::new("which").required(true))]
pub(crate) struct Args {
    /// Which ones, by their sequences
    #[arg(value_name = "SEQUENCE", group = "which")]
    sequences: Vec<u64>,
    /// All of them
    #[arg(long, group = "which")]
    all: bool,
    /// Dead letters of this consumer
    #[arg(long, short, value_name = "NAME", group = "box")]
    consumer: Option<String>,
    /// Publishes that were given up
    #[arg(long, group = "box")]
    unsent: bool,
    #[command(flatten)]
    kept: Kept,
}

pub(crate) async fn run(args: Args) -> Result {
    let view = args.kept.view().await?;
    let chosen = chosen(&view, &args).await?;
    view.close().await;
    let journal = args.kept.open().await?;
    let mut again = 0;
    for sequence in chosen {
        let found = match &args.consumer {
            Some(consumer) => journal.redeliver(consumer, sequence).await,
            None => journal.resend(sequence).await,
        };
        again += u64::from(found.map_err(failure)?);
    }
    journal.close().await;
    let mut out = Writer::stdout(Format::Line);
    out.text(&match &args.consumer {
        Some(consumer) => format!("{again} event(s) will be delivered to {} again", plain(consumer)),
        None => format!("{again} event(s) will be sent again"),
    })?;
    out.flush()
}

/// The sequences, all of which are there; nothing is changed yet.
async fn chosen(view: &View, args: &Args) -> Result<Vec<u64>> {
    let letters: Vec<Letter> = match &args.consumer {
        None => view.unsent().await.map_err(failure)?,
        Some(consumer) => {
            if !view.overview().consumers.iter().any(|known| known.name == *consumer) {
                let message = format!("the journal has no consumer {consumer:?}: nobody would get them");
                return Err(Failure::new(Exit::Failed, message).next("hubctl journal ls, which lists them"));
            }
            view.dead_letters(consumer).await.map_err(failure)?
        }
    };
    let there: Vec<u64> = letters.iter().map(|letter| letter.sequence).collect();
    if args.all {
        return Ok(there);
    }
    match args.sequences.iter().find(|sequence| !there.contains(sequence)) {
        None => Ok(args.sequences.clone()),
        Some(missing) => {
            let message = format!("there is no dead letter {missing}; nothing was changed");
            Err(Failure::new(Exit::Failed, message).next(LIST))
        }
    }
}
