//! The Gregorian calendar in UTC: dates as texts, and terms of whole months.

use std::fmt;

use crate::Timestamp;

/// Seconds of a day.
pub(crate) const DAY_S: i64 = 86_400;
/// Days of 400 years of the Gregorian calendar, after which it repeats.
const CYCLE_DAYS: i64 = 146_097;
/// From 0000-03-01 to 1970-01-01.
const EPOCH_DAYS: i64 = 719_468;

/// The year and month (1 to 12) of a day since 1970, by the Gregorian calendar. Years are counted
/// from March here, so that the leap day is the last of its year.
pub(crate) fn month_of(day: i64) -> (i64, i64) {
    let days = day + EPOCH_DAYS;
    let cycle = days.div_euclid(CYCLE_DAYS);
    let of_cycle = days.rem_euclid(CYCLE_DAYS);
    let year = (of_cycle - of_cycle / 1_460 + of_cycle / 36_524 - of_cycle / 146_096) / 365;
    let of_year = of_cycle - (365 * year + year / 4 - year / 100);
    // March to July and August to December have 153 days each, in five months.
    let month_from_march = (5 * of_year + 2) / 153;
    let month = (month_from_march + 2) % 12 + 1;
    (cycle * 400 + year + i64::from(month <= 2), month)
}

/// The day since 1970 on which a month begins.
pub(crate) fn first_day(year: i64, month: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let cycle = year.div_euclid(400);
    let of_cycle = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5;
    cycle * CYCLE_DAYS + of_cycle * 365 + of_cycle / 4 - of_cycle / 100 + of_year - EPOCH_DAYS
}

/// The month after so many others, and how many days it has.
fn later_month(year: i64, month: i64, months: i64) -> (i64, i64, i64) {
    let count = year * 12 + month - 1 + months;
    let (year, month) = (count.div_euclid(12), count.rem_euclid(12) + 1);
    let next = count + 1;
    let days = first_day(next.div_euclid(12), next.rem_euclid(12) + 1) - first_day(year, month);
    (year, month, days)
}

impl Timestamp {
    /// The same time of day so many months later; where that month has no such day, its last.
    pub fn plus_months(self, months: u32) -> Self {
        let seconds = self.unix_s();
        let (day, of_day) = (seconds.div_euclid(DAY_S), seconds.rem_euclid(DAY_S));
        let (year, month) = month_of(day);
        let of_month = day - first_day(year, month);
        let (year, month, days) = later_month(year, month, i64::from(months));
        let day = first_day(year, month) + of_month.min(days - 1);
        Timestamp::from_unix_s(day * DAY_S + of_day)
    }

    /// As `YYYY-MM-DD HH:MM:SS` in UTC.
    pub fn date_time(self) -> impl fmt::Display {
        DateTime(self)
    }
}

struct DateTime(Timestamp);

impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.unix_s();
        let (day, of_day) = (seconds.div_euclid(DAY_S), seconds.rem_euclid(DAY_S));
        let (year, month) = month_of(day);
        let of_month = day - first_day(year, month) + 1;
        let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
        write!(
            f,
            "{year:04}-{month:02}-{of_month:02} {hour:02}:{minute:02}:{second:02}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(unix_s: i64) -> String {
        Timestamp::from_unix_s(unix_s).date_time().to_string()
    }

    #[test]
    fn moments_are_written_in_utc() {
        assert_eq!(text(0), "1970-01-01 00:00:00");
        assert_eq!(text(951_825_600), "2000-02-29 12:00:00");
        assert_eq!(text(1_835_481_599), "2028-02-29 23:59:59");
        assert_eq!(text(-1), "1969-12-31 23:59:59");
    }

    #[test]
    fn a_term_ends_on_the_same_day_or_on_the_last_of_its_month() {
        // 2027-01-31T10:00:00Z
        let begin = Timestamp::from_unix_s(1_801_389_600);
        for (months, end) in [
            (0, "2027-01-31 10:00:00"),
            (1, "2027-02-28 10:00:00"),
            (2, "2027-03-31 10:00:00"),
            (12, "2028-01-31 10:00:00"),
            (13, "2028-02-29 10:00:00"),
        ] {
            assert_eq!(begin.plus_months(months).date_time().to_string(), end);
        }
    }
}
