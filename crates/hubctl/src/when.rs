//! Places in a journal as they are given on the command line: a sequence, a time, or an age.

use std::time::SystemTime;

use event_journal::Start;
use jiff::civil::{DateTime, Time};
use jiff::{Span, Timestamp, ZonedDateTime};

/// From where on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Sequence(u64),
    Time(SystemTime),
}

impl When {
    /// Reads it at a time and place: `1204`, `2026-11-26T10:00:00Z`, `2026-11-26 10:00`, `10:00` (of today), `2h 30m`
    /// (ago).
    fn read(text: &str, now: &ZonedDateTime) -> Option<Self> {
        if let Ok(sequence) = text.parse() {
            return Some(Self::Sequence(sequence));
        }
        Self::time(text, now)?.try_into().ok().map(Self::Time)
    }

    fn time(text: &str, now: &ZonedDateTime) -> Option<Timestamp> {
        if let Ok(timestamp) = text.parse() {
            return Some(timestamp);
        }
        let here = |civil: DateTime| Some(civil.to_zoned_datetime(now.time_zone().clone()).ok()?.timestamp());
        if let Ok(civil) = text.parse() {
            return here(civil);
        }
        if let Ok(time) = text.parse::<Time>() {
            return here(now.date().to_datetime(time));
        }
        let ago: Span = text.parse().ok()?;
        if ago.is_negative() { None } else { Some(now.checked_sub(ago).ok()?.timestamp()) }
    }

    pub(crate) fn start(&self) -> Start {
        match self {
            Self::Sequence(sequence) => Start::Sequence(*sequence),
            Self::Time(time) => Start::Time(*time),
        }
    }
}

/// For clap.
pub(crate) fn when(text: &str) -> Result<When, &'static str> {
    let how = "write it as a sequence (1204), a time (2026-11-26T10:00:00Z, \"2026-11-26 10:00\" or 10:00 as it is \
               here) or an age (90s, 10m, 2h, 3d)";
    When::read(text, &ZonedDateTime::now()).ok_or(how)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_times_and_ages_are_told_apart() {
        let now: ZonedDateTime = "2026-11-26T12:00:00+01:00[Europe/Berlin]".parse().unwrap();
        let time = |text: &str| When::Time(text.parse::<Timestamp>().unwrap().try_into().unwrap());
        for (text, expected) in [
            ("1204", Some(When::Sequence(1204))),
            ("2026-11-26T10:00:00Z", Some(time("2026-11-26T10:00:00Z"))),
            ("2026-11-26T10:00:00+05:00", Some(time("2026-11-26T05:00:00Z"))),
            ("2026-11-26 10:00", Some(time("2026-11-26T09:00:00Z"))),
            ("2026-07-01", Some(time("2026-06-30T22:00:00Z"))),
            ("10:30", Some(time("2026-11-26T09:30:00Z"))),
            ("10m", Some(time("2026-11-26T10:50:00Z"))),
            ("2h 30m", Some(time("2026-11-26T08:30:00Z"))),
            ("3d", Some(time("2026-11-23T11:00:00Z"))),
            ("-3", None),
            ("-10m", None),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(When::read(text, &now), expected, "{text}");
        }
    }
}
