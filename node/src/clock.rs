//! Wall-clock times as text: RFC 3339 in UTC.

use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

/// As Go prints it: up to nanoseconds, without zeros at the end: `2026-11-23T22:30:00.1234Z`.
pub fn rfc3339(time: SystemTime) -> String {
    let (mut text, nanoseconds) = seconds(time);
    if nanoseconds > 0 {
        let digits = format!("{nanoseconds:09}");
        text.push('.');
        text.push_str(digits.trim_end_matches('0'));
    }
    text.push('Z');
    text
}

/// With exactly three digits of the second, so that lines of a log stand in columns.
pub fn rfc3339_millis(time: SystemTime) -> String {
    let (mut text, nanoseconds) = seconds(time);
    let _ = write!(text, ".{:03}Z", nanoseconds / 1_000_000);
    text
}

/// Date and time up to the second, and the nanoseconds. Times before 1970 count as 1970.
fn seconds(time: SystemTime) -> (String, u32) {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    (format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"), since.subsec_nanos())
}

/// Year, month and day of the Gregorian calendar, so many days after 1970-01-01.
///
/// Years begin in March here, so that the leap day is the last; 400 of them have 146,097 days.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn times_are_printed_as_go_prints_them() {
        for (seconds, nanoseconds, text) in [
            (0, 0, "1970-01-01T00:00:00Z"),
            (951_782_399, 0, "2000-02-28T23:59:59Z"),
            (951_782_400, 0, "2000-02-29T00:00:00Z"),
            (1_709_251_200, 500_000_000, "2024-03-01T00:00:00.5Z"),
            (1_795_473_000, 123_456_789, "2026-11-23T22:30:00.123456789Z"),
            (4_102_444_800, 1_000, "2100-01-01T00:00:00.000001Z"),
        ] {
            assert_eq!(rfc3339(UNIX_EPOCH + Duration::new(seconds, nanoseconds)), text);
        }
        assert_eq!(rfc3339_millis(UNIX_EPOCH), "1970-01-01T00:00:00.000Z");
    }
}
