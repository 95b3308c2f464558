//! Times as the service writes them. Pure.

use std::time::{Duration, UNIX_EPOCH};

/// `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(super) fn http_date(time: Duration) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + time)
}

/// `1994-11-06T08:49:37.000Z`.
pub(super) fn iso_date(time: Duration) -> String {
    let (days, rest) = (time.as_secs() / 86_400, time.as_secs() % 86_400);
    // Days since 0000-03-01, in eras of 400 years of 146,097 days; years begin in March here.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day_of_month = day - (153 * month + 2) / 5 + 1;
    let (year, month) =
        (era * 400 + year + u64::from(month > 9), if month > 9 { month - 9 } else { month + 3 });
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    let millis = time.subsec_millis();
    format!("{year:04}-{month:02}-{day_of_month:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
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
    }
}
