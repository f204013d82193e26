//! Dates as `EXT-X-PROGRAM-DATE-TIME` has them (section 4.3.2.6): ISO 8601 with time and zone.

use crate::time::WallClock;

/// `2026-11-27T07:40:36.123+01:00`; the zone may be missing, and then it is that of Greenwich.
pub(super) fn parse(text: &str) -> Option<WallClock> {
    let (day, time) = text.split_once(['T', 't', ' '])?;
    let mut parts = day.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let zone_at = time.find(['Z', 'z', '+', '-']).unwrap_or(time.len());
    let (time, zone) = time.split_at(zone_at);
    let mut parts = time.splitn(3, ':');
    let (hours, minutes): (i64, i64) = (number(parts.next()?, 23)?, number(parts.next()?, 59)?);
    let (seconds, fraction) = parts.next().map(|text| text.split_once('.').unwrap_or((text, "")))?;
    let seconds = number(seconds, 60)?;
    let seconds = ((days(year, month, day) * 24 + hours) * 60 + minutes - zone_minutes(zone)?) * 60 + seconds;
    Some(WallClock::from_unix_micros(seconds * 1_000_000 + micros(fraction)?))
}

fn number(text: &str, most: i64) -> Option<i64> {
    text.parse().ok().filter(|number| (0..=most).contains(number))
}

/// Millionths of a second out of the digits behind the point.
fn micros(digits: &str) -> Option<i64> {
    if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let six = digits.bytes().chain(core::iter::repeat(b'0')).take(6);
    Some(six.fold(0, |micros, digit| micros * 10 + i64::from(digit - b'0')))
}

fn zone_minutes(zone: &str) -> Option<i64> {
    let (sign, digits) = match zone.split_at_checked(1) {
        None | Some(("Z" | "z", "")) => return Some(0),
        Some(("+", digits)) => (1, digits),
        Some(("-", digits)) => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = match digits.split_once(':') {
        Some(parts) => parts,
        None => digits.split_at_checked(2)?,
    };
    let minutes = if minutes.is_empty() { 0 } else { number(minutes, 59)? };
    Some(sign * (number(hours, 23)? * 60 + minutes))
}

/// Days since 1970-01-01 of the Gregorian calendar, years beginning in March.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, month) = (year / 400, (month + 9) % 12);
    let of_era = year % 400;
    let of_year = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_servers_are_understood() {
        let micros = |text| parse(text).map(WallClock::unix_micros);
        assert_eq!(micros("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(micros("2026-11-27T07:40:36.123Z"), Some(1_795_765_236_123_000));
        assert_eq!(micros("2026-11-27T08:40:36.123456789+0100"), Some(1_795_765_236_123_456));
        assert_eq!(micros("2026-11-27T02:10:36.123-05:30"), Some(1_795_765_236_123_000));
        assert_eq!(micros("2024-02-29T00:00:00"), Some(1_709_164_800_000_000));
        for other in
            ["", "yesterday", "2026-13-01T00:00:00Z", "2026-11-27", "2026-11-27T25:00:00Z", "2026-11-27T00:00:00.x"]
        {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
