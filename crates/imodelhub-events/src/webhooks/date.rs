//! Dates as the platform writes them: `11/3/2023 8:07:01 PM`, or ISO 8601. Pure.

use std::time::SystemTime;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// Reads a date: `11/3/2023 8:07:01 PM` (month, day, year), as the documented examples have it, or ISO 8601.
///
/// The examples have no time zone, and the platform does not say which one is meant. Without one, UTC is assumed.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use imodelhub_events::webhooks::read_date;
///
/// let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_699_042_021);
/// assert_eq!(read_date("11/3/2023 8:07:01 PM"), Some(at));
/// assert_eq!(read_date("2023-11-03T21:07:01+01:00"), Some(at));
/// assert_eq!(read_date("tomorrow"), None);
/// ```
pub fn read_date(text: &str) -> Option<SystemTime> {
    // .NET puts a narrow space before AM and PM, depending on its version.
    let plain: String = text.trim().chars().map(|c| if c.is_whitespace() { ' ' } else { c }).collect();
    if let Ok(timestamp) = plain.parse::<Timestamp>() {
        return timestamp.try_into().ok();
    }
    let formats = ["%m/%d/%Y %I:%M:%S %p", "%m/%d/%Y %H:%M:%S"];
    let civil = formats
        .iter()
        .find_map(|format| DateTime::strptime(format, &plain).ok())
        .or_else(|| plain.parse::<DateTime>().ok())?;
    TimeZone::UTC.to_timestamp(civil).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn dates_of_the_examples_and_iso_dates_are_read_and_others_are_not() {
        let at = |seconds| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        for (text, wanted) in [
            ("11/3/2023 8:07:01 PM", at(1_699_042_021)),
            ("11/03/2023 08:07:01 pm", at(1_699_042_021)),
            ("11/3/2023 8:07:01\u{202f}PM", at(1_699_042_021)),
            (" 11/3/2023 20:07:01 ", at(1_699_042_021)),
            ("11/3/2023 12:00:00 AM", at(1_698_969_600)),
            ("11/3/2023 12:00:00 PM", at(1_699_012_800)),
            ("2023-11-03T20:07:01Z", at(1_699_042_021)),
            ("2023-11-03T20:07:01.000", at(1_699_042_021)),
            ("2023-11-03T22:07:01.0000000+02:00", at(1_699_042_021)),
            ("13/3/2023 8:07:01 PM", None),
            ("11/31/2023 8:07:01 PM", None),
            ("11/3/2023 13:07:01 PM", None),
            ("1699042021", None),
            ("", None),
            ("\u{202f}", None),
        ] {
            assert_eq!(read_date(text), wanted, "{text}");
        }
    }
}
