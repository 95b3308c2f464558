//! Times as the service writes them. Pure.

use std::time::{Duration, UNIX_EPOCH};

/// `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(super) fn http_date(time: Duration) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + time)
}

/// `1994-11-06T08:49:37.000Z`.
pub(super) fn iso_date(time: Duration) -> String {
    let (year, month, day) = civil(time);
    let rest = time.as_secs() % 86_400;
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    let millis = time.subsec_millis();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// `11/6/1994 8:49:37 AM`, as webhooks say it.
pub(super) fn us_date(time: Duration) -> String {
    let (year, month, day) = civil(time);
    let rest = time.as_secs() % 86_400;
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    let half = if hour < 12 { "AM" } else { "PM" };
    let hour = if hour % 12 == 0 { 12 } else { hour % 12 };
    format!("{month}/{day}/{year} {hour}:{minute:02}:{second:02} {half}")
}

/// Year, month and day.
fn civil(time: Duration) -> (u64, u64, u64) {
    let days = time.as_secs() / 86_400;
    // Days since 0000-03-01, in eras of 400 years of 146,097 days; years begin in March here.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day_of_month = day - (153 * month + 2) / 5 + 1;
    let (year, month) =
        (era * 400 + year + u64::from(month > 9), if month > 9 { month - 9 } else { month + 3 });
    (year, month, day_of_month)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_have_the_recorded_forms() {
        for (seconds, iso, http) in [
            (0, "1970-01-01T00:00:00.000Z", "Thu, 01 Jan 1970 00:00:00 GMT"),
            (951_827_696, "2000-02-29T12:34:56.000Z", "Tue, 29 Feb 2000 12:34:56 GMT"),
            (1_795_445_505, "2026-11-23T14:51:45.000Z", "Mon, 23 Nov 2026 14:51:45 GMT"),
            (4_107_542_399, "2100-02-28T23:59:59.000Z", "Sun, 28 Feb 2100 23:59:59 GMT"),
        ] {
            assert_eq!(iso_date(Duration::from_secs(seconds)), iso);
            assert_eq!(http_date(Duration::from_secs(seconds)), http);
        }
        for (seconds, us) in [
            (0, "1/1/1970 12:00:00 AM"),
            (951_827_696, "2/29/2000 12:34:56 PM"),
            (1_699_042_021, "11/3/2023 8:07:01 PM"),
            (1_698_998_821, "11/3/2023 8:07:01 AM"),
        ] {
            assert_eq!(us_date(Duration::from_secs(seconds)), us);
        }
    }
}
