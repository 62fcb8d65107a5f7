//! Moments as people read and write them. Everything is UTC.

use std::cmp::Ordering;

use wayleave_protocol::http_date;

const WEEKDAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Reads `2027-03-16`, `2027-03-16T10:20:30Z` (RFC 3339, UTC only) or seconds since 1970.
pub(crate) fn parse(text: &str) -> Result<i64, String> {
    unix_s(text).ok_or_else(|| {
        format!("{text:?} is no time such as 2027-03-16, 2027-03-16T10:20:30Z or 1805192430")
    })
}

fn unix_s(text: &str) -> Option<i64> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok();
    }
    let (date, time) = match text.split_once('T') {
        Some((date, time)) => (date, time.strip_suffix('Z')?),
        None => (text, "00:00:00"),
    };
    let mut parts = date.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let month: usize = month.parse().ok().filter(|_| month.len() == 2)?;
    let month = MONTHS.get(month.checked_sub(1)?)?;
    if parts.next().is_some() {
        return None;
    }
    // The date form of HTTP holds the calendar; only the right weekday fits.
    WEEKDAYS.iter().find_map(|weekday| {
        http_date::parse(&format!("{weekday}, {day} {month} {year} {time} GMT"))
    })
}

/// Such as `3 h ago` or `in 6 d`, in one unit, rounded down.
pub(crate) fn relative(unix_s: i64, now_s: i64) -> String {
    let text = span(unix_s.abs_diff(now_s));
    match unix_s.cmp(&now_s) {
        Ordering::Less => format!("{text} ago"),
        Ordering::Equal => "now".to_owned(),
        Ordering::Greater => format!("in {text}"),
    }
}

/// A span in one unit, rounded down: seconds, minutes, hours up to two days, days up to two years,
/// then years of 365.25 days.
pub(crate) fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h", seconds / 3600),
        172_800..63_115_200 => format!("{} d", seconds / 86_400),
        _ => format!("{} y", seconds / 31_557_600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT_S: i64 = 1_805_192_430;

    #[test]
    fn moments_are_dates_times_and_seconds() {
        assert_eq!(parse("2027-03-16T10:20:30Z"), Ok(AT_S));
        assert_eq!(parse("1805192430"), Ok(AT_S));
        assert_eq!(parse("2027-03-16"), Ok(AT_S - 10 * 3600 - 20 * 60 - 30));
        assert_eq!(parse("1970-01-01"), Ok(0));
        for wrong in [
            "",
            "tomorrow",
            "2027-02-29",
            "2027-3-16",
            "2027-13-01",
            "2027-00-01",
            "2027-03-16T10:20:30",
            "2027-03-16T24:00:00Z",
            "2027-03-16T10:20:30+01:00",
            "-5",
            "2027-03-16-01",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn moments_are_shown_from_now() {
        for (offset_s, text) in [
            (0, "now"),
            (-59, "59 s ago"),
            (60, "in 1 min"),
            (-3 * 3600, "3 h ago"),
            (47 * 3600, "in 47 h"),
            (6 * 86_400 + 5, "in 6 d"),
            (-400 * 86_400, "400 d ago"),
            (1000 * 86_400, "in 2 y"),
        ] {
            assert_eq!(relative(AT_S + offset_s, AT_S), text);
        }
    }
}
