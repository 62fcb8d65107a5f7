//! The fixed date form of HTTP headers, `IMF-fixdate` of RFC 9110 5.6.7:
//! `Tue, 16 Mar 2027 10:20:28 GMT`.
//!
//! Only this one form is read. The two obsolete forms of the RFC, numeric zones, other
//! letter case, a leap second and a weekday that does not fit the date are all refused.

const WEEKDAYS: [&[u8; 3]; 7] = [b"Thu", b"Fri", b"Sat", b"Sun", b"Mon", b"Tue", b"Wed"];
const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];
const DAY_S: i64 = 86_400;
/// `0000-01-01T00:00:00Z`, the first second the form can name.
const FIRST_S: i64 = -62_167_219_200;
/// `9999-12-31T23:59:59Z`, the last second the form can name.
const LAST_S: i64 = 253_402_300_799;

/// Reads a date and gives seconds since 1970-01-01T00:00:00Z, or `None` when the text is
/// anything but a correct `IMF-fixdate` (RFC 9110 5.6.7). It does not allocate.
///
/// ```
/// use wayleave_protocol::http_date::parse;
/// assert_eq!(parse("Tue, 16 Mar 2027 10:20:28 GMT"), Some(1_805_192_428));
/// assert_eq!(parse("Wed, 16 Mar 2027 10:20:28 GMT"), None); // it was a Tuesday
/// assert_eq!(parse("Tue, 16 Mar 2027 10:20:28 +0000"), None);
/// ```
pub fn parse(text: &str) -> Option<i64> {
    let b: &[u8; 29] = text.as_bytes().try_into().ok()?;
    let punctuation = [
        (3, b','),
        (4, b' '),
        (7, b' '),
        (11, b' '),
        (16, b' '),
        (19, b':'),
        (22, b':'),
    ];
    if punctuation.iter().any(|&(at, byte)| b[at] != byte) || b[25..] != *b" GMT" {
        return None;
    }
    let day = number(&b[5..7])?;
    let month = MONTHS.iter().position(|name| b[8..11] == name[..])? as i64 + 1;
    let year = number(&b[12..16])?;
    let (hour, minute, second) = (
        number(&b[17..19])?,
        number(&b[20..22])?,
        number(&b[23..25])?,
    );
    if day < 1 || day > days_in_month(year, month) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let days = days_from_civil(year, month, day);
    if b[..3] != WEEKDAYS[days.rem_euclid(7) as usize][..] {
        return None;
    }
    Some(days * DAY_S + hour * 3600 + minute * 60 + second)
}

/// Writes seconds since 1970-01-01T00:00:00Z as an `IMF-fixdate` (RFC 9110 5.6.7).
/// Times outside the years 0000 to 9999 are drawn to the nearest second that has a form.
///
/// ```
/// use wayleave_protocol::http_date::format;
/// assert_eq!(format(0), "Thu, 01 Jan 1970 00:00:00 GMT");
/// assert_eq!(format(1_805_192_428), "Tue, 16 Mar 2027 10:20:28 GMT");
/// ```
pub fn format(unix_s: i64) -> String {
    let unix_s = unix_s.clamp(FIRST_S, LAST_S);
    let days = unix_s.div_euclid(DAY_S);
    let second_of_day = unix_s.rem_euclid(DAY_S);
    let (year, month, day) = civil_from_days(days);
    let mut text = String::with_capacity(29);
    push_name(&mut text, WEEKDAYS[days.rem_euclid(7) as usize]);
    text.push_str(", ");
    push_number(&mut text, day, 2);
    text.push(' ');
    push_name(&mut text, MONTHS[month as usize - 1]);
    text.push(' ');
    push_number(&mut text, year, 4);
    text.push(' ');
    push_clock(&mut text, second_of_day);
    text.push_str(" GMT");
    text
}

/// Writes seconds since 1970-01-01T00:00:00Z in the form of RFC 3339 5.6, in UTC. The same limits as
/// [`format`].
///
/// ```
/// use wayleave_protocol::http_date::format_rfc3339;
/// assert_eq!(format_rfc3339(1_805_192_428), "2027-03-16T10:20:28Z");
/// ```
pub fn format_rfc3339(unix_s: i64) -> String {
    let unix_s = unix_s.clamp(FIRST_S, LAST_S);
    let second_of_day = unix_s.rem_euclid(DAY_S);
    let (year, month, day) = civil_from_days(unix_s.div_euclid(DAY_S));
    let mut text = String::with_capacity(20);
    push_number(&mut text, year, 4);
    text.push('-');
    push_number(&mut text, month, 2);
    text.push('-');
    push_number(&mut text, day, 2);
    text.push('T');
    push_clock(&mut text, second_of_day);
    text.push('Z');
    text
}

/// Hours, minutes and seconds.
fn push_clock(text: &mut String, second_of_day: i64) {
    push_number(text, second_of_day / 3600, 2);
    text.push(':');
    push_number(text, second_of_day / 60 % 60, 2);
    text.push(':');
    push_number(text, second_of_day % 60, 2);
}

pub(crate) fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |sum, digit| {
        digit
            .is_ascii_digit()
            .then(|| sum * 10 + i64::from(digit - b'0'))
    })
}

fn push_name(text: &mut String, name: &[u8; 3]) {
    text.extend(name.iter().map(|&byte| char::from(byte)));
}

fn push_number(text: &mut String, value: i64, digits: u32) {
    for place in (0..digits).rev() {
        let digit = value / 10_i64.pow(place) % 10;
        text.push(char::from(b'0' + digit as u8));
    }
}

pub(crate) fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the Gregorian calendar, counted in years that begin in March so
/// that the leap day is the last of its year.
pub(crate) fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The inverse of [`days_from_civil`]: year, month, day.
pub(crate) fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}
