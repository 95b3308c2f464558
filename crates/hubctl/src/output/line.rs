//! One line for an event: time, topic, who, what it is about.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use ftrack_hub::Event;
use serde::Deserialize;

use super::fitting::Fitting;
use super::summary;
use crate::text::{plain, shortened};

const DIM: Style = Style::new().dimmed();
const TOPIC: Style = AnsiColor::Cyan.on_default().bold();
const WHO: Style = AnsiColor::Green.on_default();
const NOTICE: Style = AnsiColor::Yellow.on_default();
/// How much of the data a line shows.
const MOST: usize = 160;

pub(super) fn write(out: &mut impl Write, event: &Event, time: &str) -> io::Result<()> {
    let topic = plain(event.topic().as_str());
    write!(out, "{DIM}{time}{DIM:#}  {TOPIC}{topic}{TOPIC:#}")?;
    if let Some(who) = who(event) {
        write!(out, "  {WHO}{}{WHO:#}", plain(&who))?;
    }
    if !event.target().is_empty() {
        write!(out, "  {DIM}-> {}{DIM:#}", plain(&shortened(event.target(), MOST)))?;
    }
    if event.in_reply_to().is_some() {
        write!(out, "  {DIM}(a reply){DIM:#}")?;
    }
    let about = plain(&shortened(&summary::of(event, MOST), MOST));
    if about.is_empty() { writeln!(out) } else { writeln!(out, "  {about}") }
}

/// Something that is not an event.
pub(super) fn notice(out: &mut impl Write, text: &str, time: &str) -> io::Result<()> {
    writeln!(out, "{DIM}{time}{DIM:#}  {NOTICE}-- {}{NOTICE:#}", plain(text))
}

/// The user in the event's source, or the program if there is none.
fn who(event: &Event) -> Option<String> {
    let source: Source = serde_json::from_str(event.raw_source().value()?.as_str()).ok()?;
    let user = source.user.0.and_then(|user| user.username.0);
    user.or(source.application_id.0)
}

#[derive(Deserialize)]
struct Source {
    #[serde(default)]
    user: Fitting<User>,
    #[serde(default, rename = "applicationId")]
    application_id: Fitting<String>,
}

#[derive(Deserialize)]
struct User {
    #[serde(default)]
    username: Fitting<String>,
}
