//! Times in UTC in the forms of ISO 8601 that signed requests carry: basic (`20270316T102028Z`),
//! extended (`2027-03-16T10:20:28Z`), and extended with milliseconds (`2027-03-16T10:20:28.500Z`).
//!
//! Each reader takes its one form: other zones, other precisions, small letters, leap seconds and
//! dates that are not in the calendar are refused. Only [`parse_any_us`], for bodies whose clients
//! differ, takes what they send.

use crate::http_date::{civil_from_days, days_from_civil, days_in_month, number};

const DAY_S: i64 = 86_400;
const DAY_MS: i64 = DAY_S * 1000;

/// Reads the basic form; seconds since 1970-01-01T00:00:00Z.
///
/// ```
/// use wayleave_protocol::iso8601::parse_basic;
/// assert_eq!(parse_basic("20270316T102028Z"), Some(1_805_192_428));
/// assert_eq!(parse_basic("20270229T102028Z"), None);
/// ```
pub fn parse_basic(text: &str) -> Option<i64> {
    let b: &[u8; 16] = text.as_bytes().try_into().ok()?;
    if b[8] != b'T' || b[15] != b'Z' {
        return None;
    }
    let day_s = days([&b[..4], &b[4..6], &b[6..8]])? * DAY_S;
    Some(day_s + seconds([&b[9..11], &b[11..13], &b[13..15]])?)
}

/// Reads the extended form; seconds since 1970-01-01T00:00:00Z.
///
/// ```
/// use wayleave_protocol::iso8601::parse_extended;
/// assert_eq!(parse_extended("2027-03-16T10:20:28Z"), Some(1_805_192_428));
/// assert_eq!(parse_extended("2027-03-16T10:20:28+00:00"), None);
/// ```
pub fn parse_extended(text: &str) -> Option<i64> {
    let b: &[u8; 20] = text.as_bytes().try_into().ok()?;
    if b[19] != b'Z' {
        return None;
    }
    date_and_time(b[..19].try_into().ok()?)
}

/// Reads the extended form with three digits of a fraction; milliseconds since
/// 1970-01-01T00:00:00Z.
///
/// ```
/// use wayleave_protocol::iso8601::parse_extended_ms;
/// assert_eq!(parse_extended_ms("2027-03-16T10:20:28.500Z"), Some(1_805_192_428_500));
/// assert_eq!(parse_extended_ms("2027-03-16T10:20:28Z"), None);
/// ```
pub fn parse_extended_ms(text: &str) -> Option<i64> {
    let b: &[u8; 24] = text.as_bytes().try_into().ok()?;
    if b[19] != b'.' || b[23] != b'Z' {
        return None;
    }
    let whole_s = date_and_time(b[..19].try_into().ok()?)?;
    Some(whole_s * 1000 + number(&b[20..23])?)
}

/// Reads the extended form as clients of the content APIs write it: a date alone, or with hours and
/// minutes, seconds, and up to nine digits of a fraction; with `Z`, an offset, or without a zone,
/// which is UTC. Microseconds since 1970-01-01T00:00:00Z, rounded down.
///
/// ```
/// use wayleave_protocol::iso8601::parse_any_us;
/// let at = Some(1_805_192_428_250_000);
/// assert_eq!(parse_any_us("2027-03-16T10:20:28.2500000Z"), at);
/// assert_eq!(parse_any_us("2027-03-16T12:20:28.25+02:00"), at);
/// assert_eq!(parse_any_us("2027-03-16"), Some(1_805_155_200_000_000));
/// assert_eq!(parse_any_us("16.3.2027"), None);
/// ```
pub fn parse_any_us(text: &str) -> Option<i64> {
    let (date, rest) = text.as_bytes().split_at_checked(10)?;
    if date[4] != b'-' || date[7] != b'-' {
        return None;
    }
    let day_s = days([&date[..4], &date[5..7], &date[8..10]])? * DAY_S;
    let Some((b'T' | b't' | b' ', rest)) = rest.split_first() else {
        return rest.is_empty().then_some(day_s * 1_000_000);
    };
    let (clock, rest) = rest.split_at_checked(5)?;
    if clock[2] != b':' {
        return None;
    }
    let (second, rest) = match rest.split_first() {
        Some((b':', rest)) => rest.split_at_checked(2)?,
        _ => (&b"00"[..], rest),
    };
    let of_day_s = seconds([&clock[..2], &clock[3..], second])?;
    let (fraction_us, zone) = match rest.split_first() {
        Some((b'.', rest)) => fraction(rest)?,
        _ => (0, rest),
    };
    Some((day_s + of_day_s - offset_s(zone)?) * 1_000_000 + fraction_us)
}

/// Microseconds of one to nine digits after the point, and what follows them.
fn fraction(rest: &[u8]) -> Option<(i64, &[u8])> {
    let is_digit = |byte: &&u8| byte.is_ascii_digit();
    let length = rest.iter().take_while(is_digit).count();
    let (digits, rest) = rest.split_at(length);
    if !(1..=9).contains(&length) {
        return None;
    }
    let kept = &digits[..length.min(6)];
    let missing = 6 - u32::try_from(kept.len()).ok()?;
    Some((number(kept)? * 10_i64.pow(missing), rest))
}

/// Seconds that a zone is before UTC.
fn offset_s(zone: &[u8]) -> Option<i64> {
    let (sign, rest) = match zone {
        [] | [b'Z' | b'z'] => return Some(0),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let (hour, minute) = match rest {
        [hour @ .., b':', a, b] => (hour, [*a, *b]),
        [_, _, a, b] => (&rest[..2], [*a, *b]),
        hour => (hour, *b"00"),
    };
    if hour.len() != 2 {
        return None;
    }
    let (hour, minute) = (number(hour)?, number(&minute)?);
    (hour <= 14 && minute < 60).then_some(sign * (hour * 3600 + minute * 60))
}

/// Writes seconds since 1970-01-01T00:00:00Z in the basic form. The years 0000 to 9999 have one.
///
/// ```
/// assert_eq!(wayleave_protocol::iso8601::format_basic(1_805_192_428), "20270316T102028Z");
/// ```
pub fn format_basic(unix_s: i64) -> String {
    let (year, month, day) = civil_from_days(unix_s.div_euclid(DAY_S));
    let of_day_s = unix_s.rem_euclid(DAY_S);
    let (hour, minute, second) = (of_day_s / 3600, of_day_s / 60 % 60, of_day_s % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// Writes milliseconds since 1970-01-01T00:00:00Z in the extended form with milliseconds.
///
/// ```
/// use wayleave_protocol::iso8601::format_extended_ms;
/// assert_eq!(format_extended_ms(1_805_192_428_500), "2027-03-16T10:20:28.500Z");
/// ```
pub fn format_extended_ms(unix_ms: i64) -> String {
    let (year, month, day) = civil_from_days(unix_ms.div_euclid(DAY_MS));
    let of_day_ms = unix_ms.rem_euclid(DAY_MS);
    let (of_day_s, milli) = (of_day_ms / 1000, of_day_ms % 1000);
    let (hour, minute, second) = (of_day_s / 3600, of_day_s / 60 % 60, of_day_s % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

fn date_and_time(b: &[u8; 19]) -> Option<i64> {
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if marks.iter().any(|&(at, byte)| b[at] != byte) {
        return None;
    }
    let day_s = days([&b[..4], &b[5..7], &b[8..10]])? * DAY_S;
    Some(day_s + seconds([&b[11..13], &b[14..16], &b[17..19]])?)
}

/// Days since 1970-01-01 of year, month and day.
fn days([year, month, day]: [&[u8]; 3]) -> Option<i64> {
    let (year, month, day) = (number(year)?, number(month)?, number(day)?);
    let is_in_calendar = (1..=12).contains(&month) && day >= 1 && day <= days_in_month(year, month);
    is_in_calendar.then(|| days_from_civil(year, month, day))
}

/// Seconds since midnight of hour, minute and second.
fn seconds([hour, minute, second]: [&[u8]; 3]) -> Option<i64> {
    let (hour, minute, second) = (number(hour)?, number(minute)?, number(second)?);
    (hour < 24 && minute < 60 && second < 60).then_some(hour * 3600 + minute * 60 + second)
}
