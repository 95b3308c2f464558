//! Writing events down: one line each, over several lines, or as JSON for pipes.

mod fitting;
mod line;
mod summary;

use std::io::{BufWriter, Write};
use std::time::Duration;

use clap::ValueEnum;
use event_journal::Record;
use ftrack_hub::{Event, Lifecycle};

use crate::cli::Color;
use crate::exit::Result;

/// How events are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Time, topic, who, and what it is about
    #[default]
    Line,
    /// The same, and the data below it
    Pretty,
    /// The event as JSON, a line each
    Json,
}

/// The options of commands that show events.
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct Output {
    /// How events are written
    #[arg(long, short, value_name = "FORM", default_value = "line")]
    pub(crate) output: Format,
    /// The same as --output pretty
    #[arg(long, conflicts_with = "output")]
    pub(crate) pretty: bool,
}

impl Output {
    pub(crate) fn format(self) -> Format {
        if self.pretty { Format::Pretty } else { self.output }
    }
}

/// Colors for the whole program.
pub(crate) fn choose_color(color: Color) {
    let choice = match color {
        Color::Auto => anstream::ColorChoice::Auto,
        Color::Always => anstream::ColorChoice::Always,
        Color::Never => anstream::ColorChoice::Never,
    };
    choice.write_global();
}

/// Where events are written. Buffered: [`Writer::flush`] when nothing waits.
pub(crate) struct Writer {
    out: BufWriter<Box<dyn Write + Send>>,
    format: Format,
}

impl Writer {
    /// The standard output.
    pub(crate) fn stdout(format: Format) -> Self {
        let out = std::io::stdout();
        // JSON has no colors that would have to be left out where nobody sees them.
        if format == Format::Json {
            return Self::to(Box::new(out), format);
        }
        Self::to(Box::new(anstream::AutoStream::auto(out)), format)
    }

    fn to(out: Box<dyn Write + Send>, format: Format) -> Self {
        Self { out: BufWriter::with_capacity(64 * 1024, out), format }
    }

    /// Writes an event that came at this time, which is asked for where it is shown.
    pub(crate) fn event(&mut self, event: &Event, time: impl FnOnce() -> String) -> Result {
        match self.format {
            Format::Line => line::write(&mut self.out, event, &time())?,
            Format::Pretty => {
                line::write(&mut self.out, event, &time())?;
                let data = serde_json::to_string_pretty(event.data_value()).unwrap_or_default();
                for line in data.lines() {
                    writeln!(self.out, "    {}", crate::text::plain(line))?;
                }
            }
            Format::Json => {
                self.json(event)?;
                self.out.write_all(b"\n")?;
            }
        }
        Ok(())
    }

    /// The event as it came, without line breaks: between its members there may be some; a line is an event all the same.
    fn json(&mut self, event: &Event) -> Result {
        let json = event.to_json();
        if !json.contains(&b'\n') && !json.contains(&b'\r') {
            return Ok(self.out.write_all(&json)?);
        }
        for piece in json.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
            match piece.split_last() {
                Some((b'\n' | b'\r', piece)) => {
                    self.out.write_all(piece)?;
                    self.out.write_all(b" ")?;
                }
                _ => self.out.write_all(piece)?,
            }
        }
        Ok(())
    }

    /// Writes a record of a journal.
    pub(crate) fn record(&mut self, record: &Record) -> Result {
        let Record { sequence, received, event, is_gap, .. } = record;
        if self.format == Format::Json {
            let about = serde_json::json!({"sequence": sequence, "received": received, "gap": is_gap});
            return self.wrapped(&about, event);
        }
        let time = || format!("{sequence:>8}  {}", at(*received));
        if *is_gap { self.notice("gap", &gap(event), time) } else { self.event(event, time) }
    }

    /// Writes an object as JSON, with the event as its last member.
    pub(crate) fn wrapped(&mut self, about: &serde_json::Value, event: &Event) -> Result {
        let about = about.to_string();
        self.out.write_all(about.strip_suffix('}').unwrap_or(&about).as_bytes())?;
        self.out.write_all(b",\"event\":")?;
        self.json(event)?;
        Ok(self.out.write_all(b"}\n")?)
    }

    /// Writes what happened to the connection, between the events; as JSON, an object with the member `hubctl`.
    pub(crate) fn change(&mut self, change: &Lifecycle) -> Result {
        let Some((name, text)) = describe(change) else { return Ok(()) };
        self.notice(name, &text, now)?;
        self.flush()
    }

    /// Writes what is no event.
    pub(crate) fn notice(&mut self, name: &str, text: &str, time: impl FnOnce() -> String) -> Result {
        if self.format == Format::Json {
            let object = serde_json::json!({"hubctl": name, "message": text});
            writeln!(self.out, "{object}")?;
        } else {
            line::notice(&mut self.out, text, &time())?;
        }
        Ok(())
    }

    /// Writes a line of a kind of its own, such as a result.
    pub(crate) fn text(&mut self, text: &str) -> Result {
        writeln!(self.out, "{text}")?;
        Ok(())
    }

    pub(crate) fn flush(&mut self) -> Result {
        Ok(self.out.flush()?)
    }
}

/// The time of day of the machine, for lines.
pub(crate) fn now() -> String {
    jiff::ZonedDateTime::now().strftime("%H:%M:%S%.3f").to_string()
}

/// A time in milliseconds since 1970, as it is here.
pub(crate) fn at(millis: u64) -> String {
    let timestamp =
        i64::try_from(millis).ok().and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
    timestamp.map_or_else(
        || millis.to_string(),
        |timestamp| {
            timestamp.to_zoned_datetime(jiff::tz::TimeZone::system()).strftime("%F %H:%M:%S%.3f").to_string()
        },
    )
}

/// A gap of a journal in words.
pub(crate) fn gap(event: &Event) -> String {
    let data = event.data_value();
    let time = |name: &str| data[name].as_u64().map_or_else(|| "?".to_owned(), at);
    let reason = data["reason"].as_str().unwrap_or("no reason is given");
    format!("events from {} to {} may be missing: {reason}", time("from"), time("to"))
}

/// What a change of the connection is called and how it reads; `None` for what nobody needs to see.
fn describe(change: &Lifecycle) -> Option<(&'static str, String)> {
    Some(match change {
        Lifecycle::Disconnected { reason: Some(reason) } => {
            ("disconnected", format!("disconnected: {reason}"))
        }
        Lifecycle::Reconnecting { attempt, retry_in } => {
            ("reconnecting", format!("attempt {attempt} to connect in {}", seconds(*retry_in)))
        }
        Lifecycle::Gap(gap) => ("gap", format!("events of {} may be missing", seconds(gap.lasted))),
        Lifecycle::Resubscribed { subscriptions } => {
            ("connected", format!("connected again, {subscriptions} subscription(s) confirmed"))
        }
        Lifecycle::SlowConsumer { dropped, .. } => {
            ("dropped", format!("the output is too slow: {dropped} event(s) dropped so far"))
        }
        Lifecycle::SubscriptionLost { error, .. } => ("lost", format!("the subscription is gone: {error}")),
        Lifecycle::Reauthenticated { .. } => ("reauthenticated", "the credentials were renewed".to_owned()),
        Lifecycle::Problem(error) => ("problem", error.to_string()),
        _ => return None,
    })
}

/// `3.2 s`.
pub(crate) fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(format: Format, write: impl FnOnce(&mut Writer)) -> String {
        let kept = Kept::default();
        let mut writer = Writer::to(Box::new(kept.clone()), format);
        write(&mut writer);
        writer.flush().unwrap();
        let bytes = kept.0.lock().unwrap().clone();
        anstream::adapter::strip_bytes(&bytes).into_vec().try_into().unwrap()
    }

    #[test]
    fn an_event_is_a_line_of_json_whatever_its_layout() {
        let event = Event::from_json("{\"topic\":\"t\",\n\"data\":1}").unwrap();
        assert_eq!(
            written(Format::Json, |writer| writer.event(&event, String::new).unwrap()),
            "{\"topic\":\"t\", \"data\":1}\n"
        );
    }

    #[test]
    fn data_is_below_its_line_when_it_is_to_be_pretty() {
        let event = Event::new("a.b", &serde_json::json!({"n": 1, "text": "x\u{1b}y"})).unwrap();
        let shown =
            written(Format::Pretty, |writer| writer.event(&event, || "12:00:00.000".to_owned()).unwrap());
        assert!(shown.starts_with("12:00:00.000  a.b"), "{shown}");
        assert!(shown.contains("\n      \"n\": 1,\n"), "{shown}");
        assert!(!shown.contains('\u{1b}'), "{shown}");
    }

    #[test]
    fn a_change_stands_between_the_events() {
        let gap = Lifecycle::Gap(ftrack_hub::Gap::new(Duration::from_millis(3210)));
        let shown = written(Format::Line, |writer| writer.change(&gap).unwrap());
        assert!(shown.ends_with("  -- events of 3.2 s may be missing\n"), "{shown}");
        assert_eq!(
            written(Format::Json, |writer| writer.change(&gap).unwrap()),
            "{\"hubctl\":\"gap\",\"message\":\"events of 3.2 s may be missing\"}\n"
        );
        assert_eq!(written(Format::Line, |writer| writer.change(&Lifecycle::Draining).unwrap()), "");
    }
}
