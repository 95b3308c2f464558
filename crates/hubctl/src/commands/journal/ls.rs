//! `hubctl journal ls`.

use std::collections::BTreeMap;

use event_journal::{Consumer, LetterBox, Overview};
use serde_json::json;

use crate::exit::Result;
use crate::kept::{Kept, failure};
use crate::output::{Format, Output, Writer, at};
use crate::text::plain;

/// Shows how many records there are, which consumers and where they stand, what waits to be sent and what was given up.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    kept: Kept,
    #[command(flatten)]
    output: Output,
}

pub(crate) async fn run(args: Args) -> Result {
    let view = args.kept.view().await?;
    let boxes = view.letter_boxes().await.map_err(failure)?;
    let letters: BTreeMap<Option<&str>, u64> =
        boxes.iter().map(|LetterBox { consumer, letters, .. }| (consumer.as_deref(), *letters)).collect();
    let format = args.output.format();
    let mut out = Writer::stdout(format);
    if format == Format::Json {
        out.text(&as_json(view.overview(), &letters).to_string())?;
    } else {
        for line in lines(view.overview(), &letters) {
            out.text(line.trim_end())?;
        }
    }
    out.flush()
}

fn as_json(overview: &Overview, letters: &BTreeMap<Option<&str>, u64>) -> serde_json::Value {
    let of = |name: Option<&str>| letters.get(&name).copied().unwrap_or(0);
    let consumer = |consumer: &Consumer| {
        json!({
            "name": consumer.name,
            "next": consumer.next_sequence,
            "open": consumer.open,
            "behind": consumer.behind,
            "dead_letters": of(Some(&consumer.name)),
        })
    };
    json!({
        "first": overview.first_sequence,
        "next": overview.next_sequence,
        "bytes": overview.bytes,
        "last_received": overview.last_received,
        "outbox": overview.outbox,
        "unsent": of(None),
        "consumers": overview.consumers.iter().map(consumer).collect::<Vec<_>>(),
    })
}

fn lines(overview: &Overview, letters: &BTreeMap<Option<&str>, u64>) -> Vec<String> {
    let of = |name: Option<&str>| letters.get(&name).copied().unwrap_or(0);
    let count = overview.next_sequence - overview.first_sequence;
    let mut lines = vec![match overview.last_received {
        Some(last) if count > 0 => format!(
            "records    {count} ({} to {}), {} bytes, the last one of {}",
            overview.first_sequence,
            overview.next_sequence - 1,
            overview.bytes,
            at(last)
        ),
        _ => "records    none".to_owned(),
    }];
    lines.push(format!("outbox     {} to be sent, {} given up", overview.outbox, of(None)));
    if overview.consumers.is_empty() {
        lines.push("consumers  none".to_owned());
        return lines;
    }
    let names: Vec<String> = overview.consumers.iter().map(|consumer| plain(&consumer.name)).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).max("consumer".len());
    lines.push(String::new());
    lines.push(format!(
        "{:<width$}  {:>10}  {:>8}  {:>6}  {:>8}",
        "consumer", "next", "behind", "open", "given up"
    ));
    for (consumer, name) in overview.consumers.iter().zip(names) {
        lines.push(format!(
            "{name:<width$}  {:>10}  {:>8}  {:>6}  {:>8}",
            consumer.next_sequence,
            consumer.behind,
            consumer.open,
            of(Some(&consumer.name))
        ));
    }
    lines
}
