//! The data of an event as it is given on the command line.

use std::io::Read as _;

use ftrack_hub::{Event, RawJson};

use crate::exit::{Failure, Result};

/// What an event that is published has besides its topic.
#[derive(Debug, clap::Args)]
pub(crate) struct Content {
    /// Topic of the event
    #[arg(value_name = "TOPIC")]
    pub(crate) topic: String,
    /// Its data: JSON, @FILE with JSON, or - for the standard input. Default null
    #[arg(long, short, value_name = "JSON|@FILE|-")]
    pub(crate) data: Option<String>,
    /// Expression over subscribers: only they get it
    #[arg(long, value_name = "EXPR")]
    pub(crate) target: Option<String>,
}

impl Content {
    /// The event.
    pub(crate) fn event(&self) -> Result<Event> {
        let mut event = Event::builder(self.topic.as_str());
        if let Some(data) = &self.data {
            event = event.raw_data(json("--data", data)?);
        }
        if let Some(target) = &self.target {
            super::expression(target)?;
            event = event.target(target);
        }
        Ok(event.build()?)
    }
}

/// JSON from the command line, a file, or the standard input.
pub(crate) fn json(option: &str, given: &str) -> Result<RawJson> {
    let (place, text) = read(given)?;
    RawJson::from_text(text).map_err(|error| {
        let why = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
        Failure::usage(format!("{option}: {place} is not JSON: {why}"))
            .next("texts stand in double quotes: '{\"name\": \"sh010\"}'")
    })
}

/// What stands at `@FILE` or `-`, or the text itself; and what to call it.
pub(crate) fn read(given: &str) -> Result<(String, String)> {
    if given == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        return Ok(("the standard input".to_owned(), text));
    }
    match given.strip_prefix('@') {
        Some(file) => Ok((file.to_owned(), file_text(file)?)),
        None => Ok(("the text".to_owned(), given.to_owned())),
    }
}

/// The text of a file; `-` is the standard input.
pub(crate) fn file_text(file: &str) -> Result<String> {
    if file == "-" {
        return read(file).map(|(_, text)| text);
    }
    std::fs::read_to_string(file).map_err(|error| Failure::usage(format!("cannot read {file}: {error}")))
}
