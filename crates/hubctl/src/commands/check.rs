//! `hubctl check`: how an expression is read, and why an event matches it or not.

use anstyle::{AnsiColor, Style};
use ftrack_hub::Event;

use super::data::file_text;
use crate::exit::{Exit, Failure, Result};
use crate::explain::{self, Row};
use crate::output::{Format, Writer};
use crate::text::plain;

const YES: Style = AnsiColor::Green.on_default();
const NO: Style = AnsiColor::Red.on_default();

/// Parses an expression and shows how it is read. With an event it says condition by condition what was found; the
/// exit code is then 0 for a match and 1 for none.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The expression, such as 'topic=ftrack.update and source.user.username!=me'
    #[arg(value_name = "EXPR")]
    expression: String,
    /// File with an event as JSON, or - for the standard input
    #[arg(long, short, value_name = "FILE")]
    event: Option<String>,
}

pub(crate) fn run(args: &Args) -> Result {
    let expression = super::expression(&args.expression)?;
    let event = args.event.as_deref().map(read).transpose()?;
    let mut out = Writer::stdout(Format::Line);
    out.text(&format!("text       {}", plain(&expression.to_string())))?;
    out.text(&format!("canonical  {}", plain(&expression.canonical())))?;
    out.text("")?;
    for row in explain::rows(&expression, event.as_ref()) {
        out.text(&told(&row))?;
    }
    let matches = event.is_none_or(|event| expression.matches(&event));
    if args.event.is_some() {
        out.text(if matches { "\nthe event matches" } else { "" }.trim_end())?;
    }
    out.flush()?;
    if matches { Ok(()) } else { Err(Failure::new(Exit::Failed, "the event does not match")) }
}

fn told(Row { depth, holds, text }: &Row) -> String {
    let indent = "  ".repeat(*depth);
    let text = plain(text);
    match holds {
        None => format!("{indent}{text}"),
        Some(true) => format!("{YES}yes{YES:#}  {indent}{text}"),
        Some(false) => format!("{NO}no {NO:#}  {indent}{text}"),
    }
}

fn read(file: &str) -> Result<Event> {
    Event::from_json(file_text(file)?)
        .map_err(|error| Failure::usage(format!("{file} has no event: {}", error.message())))
}
