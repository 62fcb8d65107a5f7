//! Calendar periods of quotas and subscriptions: of UTC, from one midnight to another.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::calendar::{DAY_S, first_day, month_of};
use crate::{Timestamp, UnknownWord};

const WEEK_DAYS: i64 = 7;
/// 1970-01-01 was a Thursday, so the first Monday was the fifth day.
const FIRST_MONDAY: i64 = 4;

/// A period of the calendar, of UTC. Weeks begin on Monday (ISO 8601). In JSON it is its word.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug, Deserialize, Serialize)]
pub enum CalendarPeriod {
    /// From midnight to midnight.
    Daily,
    /// From Monday to Monday.
    Weekly,
    /// From the first of a month to the first of the next.
    #[default]
    Monthly,
    /// From the first of January to the next.
    Yearly,
}

impl CalendarPeriod {
    /// Every period, the shortest first.
    pub const ALL: [CalendarPeriod; 4] = [
        CalendarPeriod::Daily,
        CalendarPeriod::Weekly,
        CalendarPeriod::Monthly,
        CalendarPeriod::Yearly,
    ];

    /// The word for it in settings, in rows and in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            CalendarPeriod::Daily => "Daily",
            CalendarPeriod::Weekly => "Weekly",
            CalendarPeriod::Monthly => "Monthly",
            CalendarPeriod::Yearly => "Yearly",
        }
    }

    /// When the period of a moment began; the moment at which one begins belongs to it, the moment
    /// at which it ends to the next (threats row L7).
    pub fn start(self, at: Timestamp) -> Timestamp {
        let day = at.unix_s().div_euclid(DAY_S);
        let first = match self {
            CalendarPeriod::Daily => day,
            CalendarPeriod::Weekly => day - (day - FIRST_MONDAY).rem_euclid(WEEK_DAYS),
            CalendarPeriod::Monthly => {
                let (year, month) = month_of(day);
                first_day(year, month)
            }
            CalendarPeriod::Yearly => first_day(month_of(day).0, 1),
        };
        Timestamp::from_unix_s(first * DAY_S)
    }

    /// One such period after a moment: the same time of day; where that month has no such day, its
    /// last.
    pub fn after(self, at: Timestamp) -> Timestamp {
        let days = |count: u64| at.plus(Duration::from_secs(count * DAY_S.unsigned_abs()));
        match self {
            CalendarPeriod::Daily => days(1),
            CalendarPeriod::Weekly => days(7),
            CalendarPeriod::Monthly => at.plus_months(1),
            CalendarPeriod::Yearly => at.plus_months(12),
        }
    }
}

impl fmt::Display for CalendarPeriod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for CalendarPeriod {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        CalendarPeriod::ALL
            .into_iter()
            .find(|period| period.as_str() == text)
            .ok_or(UnknownWord {
                noun: "period",
                known: "Daily, Weekly, Monthly, Yearly",
            })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn start(period: CalendarPeriod, at_s: i64) -> String {
        let start = period.start(Timestamp::from_unix_s(at_s));
        start.date_time().to_string()
    }

    #[test]
    fn a_period_begins_at_midnight_of_utc() {
        // Tue, 16 Mar 2027 10:20:30.
        let at = 1_805_192_430;
        assert_eq!(start(CalendarPeriod::Daily, at), "2027-03-16 00:00:00");
        assert_eq!(start(CalendarPeriod::Weekly, at), "2027-03-15 00:00:00");
        assert_eq!(start(CalendarPeriod::Monthly, at), "2027-03-01 00:00:00");
        assert_eq!(start(CalendarPeriod::Yearly, at), "2027-01-01 00:00:00");
    }

    #[test]
    fn its_first_moment_is_its_own_and_its_end_the_next_ones() {
        let april = 1_806_537_600; // 2027-04-01, a Thursday.
        assert_eq!(start(CalendarPeriod::Monthly, april), "2027-04-01 00:00:00");
        assert_eq!(
            start(CalendarPeriod::Monthly, april - 1),
            "2027-03-01 00:00:00"
        );
        assert_eq!(start(CalendarPeriod::Weekly, april), "2027-03-29 00:00:00");
        // Before the epoch too: 1969-12-31 was a Wednesday.
        assert_eq!(start(CalendarPeriod::Weekly, -1), "1969-12-29 00:00:00");
    }

    #[test]
    fn every_period_reads_back_from_its_word() {
        for period in CalendarPeriod::ALL {
            assert_eq!(period.as_str().parse(), Ok(period));
        }
        assert!("monthly".parse::<CalendarPeriod>().is_err());
    }

    #[test]
    fn a_term_is_one_period_long() {
        let end_of_january = Timestamp::from_unix_s(1_801_389_600);
        let after = |period: CalendarPeriod| period.after(end_of_january).date_time().to_string();
        assert_eq!(after(CalendarPeriod::Daily), "2027-02-01 10:00:00");
        assert_eq!(after(CalendarPeriod::Weekly), "2027-02-07 10:00:00");
        assert_eq!(after(CalendarPeriod::Monthly), "2027-02-28 10:00:00");
        assert_eq!(after(CalendarPeriod::Yearly), "2028-01-31 10:00:00");
    }

    proptest! {
        #[test]
        fn every_moment_is_in_exactly_one_period(at_s in -10_000_000_000_i64..10_000_000_000, which in 0..4_usize) {
            let period = CalendarPeriod::ALL[which];
            let at = Timestamp::from_unix_s(at_s);
            let start = period.start(at);
            prop_assert!(start <= at);
            prop_assert_eq!(period.start(start), start);
            let next = period.after(start);
            prop_assert!(at < next, "{:?} {:?}", start, next);
            prop_assert_eq!(period.start(next), next);
        }
    }
}
