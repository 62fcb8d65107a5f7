//! How many requests may pass: limits, the plans that bundle them, and the calendar of quotas.

use std::fmt;
use std::str::FromStr;

use crate::calendar::{DAY_S, first_day, month_of};
use crate::{Timestamp, UnknownWord};

/// The most requests of a rate, within its span or at once.
const MOST_REQUESTS: u32 = 1_000_000;
/// The longest span of a rate, in seconds: an hour. Longer ones are quotas.
const LONGEST_SPAN_S: u32 = 3_600;
/// The largest quota.
const LARGEST_QUOTA: i64 = 1_000_000_000_000;
const LONGEST_NAME: usize = 64;

/// What a limit counts apart.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Per {
    /// Each credential has the whole limit.
    Credential,
    /// All credentials of a partner share it.
    Partner,
    /// All callers of a route share it.
    Route,
}

impl Per {
    /// Every kind.
    pub const ALL: [Per; 3] = [Per::Credential, Per::Partner, Per::Route];

    /// The configured and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Per::Credential => "credential",
            Per::Partner => "partner",
            Per::Route => "route",
        }
    }
}

impl FromStr for Per {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Per::ALL
            .into_iter()
            .find(|per| per.as_str() == text)
            .ok_or(UnknownWord {
                noun: "per",
                known: "credential, partner, route",
            })
    }
}

/// A calendar period in UTC.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Period {
    /// From full hour to full hour.
    Hour,
    /// From midnight to midnight.
    Day,
    /// From the first of a month to the first of the next.
    Month,
}

impl Period {
    /// Every period.
    pub const ALL: [Period; 3] = [Period::Hour, Period::Day, Period::Month];

    /// The configured, stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Period::Hour => "hour",
            Period::Day => "day",
            Period::Month => "month",
        }
    }

    /// Its length in seconds; `None`: months differ.
    pub fn length_s(self) -> Option<i64> {
        match self {
            Period::Hour => Some(3_600),
            Period::Day => Some(DAY_S),
            Period::Month => None,
        }
    }

    /// When the period of a moment began, in Unix seconds.
    pub fn start_s(self, at: Timestamp) -> i64 {
        let at_s = at.unix_s();
        match self.length_s() {
            Some(length) => at_s - at_s.rem_euclid(length),
            None => {
                let (year, month) = month_of(at_s.div_euclid(DAY_S));
                first_day(year, month) * DAY_S
            }
        }
    }

    /// When the period of a moment ends, which is when the next begins, in Unix seconds.
    pub fn end_s(self, at: Timestamp) -> i64 {
        match self.length_s() {
            Some(length) => self.start_s(at) + length,
            None => {
                let (year, month) = month_of(at.unix_s().div_euclid(DAY_S));
                let (year, month) = if month == 12 {
                    (year + 1, 1)
                } else {
                    (year, month + 1)
                };
                first_day(year, month) * DAY_S
            }
        }
    }
}

impl FromStr for Period {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Period::ALL
            .into_iter()
            .find(|period| period.as_str() == text)
            .ok_or(UnknownWord {
                noun: "period",
                known: "hour, day, month",
            })
    }
}

/// So many requests in so many seconds, evenly, and so many at once after a pause.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Rate {
    requests: u32,
    per_s: u32,
    burst: u32,
}

impl Rate {
    /// `requests` in `per_s` seconds (1 to 3600), `burst` at once; each 1 to a million.
    pub fn new(requests: u32, per_s: u32, burst: u32) -> Result<Self, LimitError> {
        let usual = 1..=MOST_REQUESTS;
        if !usual.contains(&requests) || !usual.contains(&burst) {
            Err(LimitError::Requests)
        } else if !(1..=LONGEST_SPAN_S).contains(&per_s) {
            Err(LimitError::Span)
        } else {
            Ok(Rate {
                requests,
                per_s,
                burst,
            })
        }
    }

    /// How many requests come back in the span.
    pub fn requests(self) -> u32 {
        self.requests
    }

    /// The span, in seconds.
    pub fn per_s(self) -> u32 {
        self.per_s
    }

    /// How many may come at once after a pause.
    pub fn burst(self) -> u32 {
        self.burst
    }

    /// How long the whole burst takes to come back, in seconds, rounded up.
    pub fn window_s(self) -> u64 {
        (u64::from(self.burst) * u64::from(self.per_s)).div_ceil(u64::from(self.requests))
    }
}

/// How a limit is measured.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Measure {
    /// By speed; each node counts for itself.
    Rate(Rate),
    /// By number in a calendar period; all nodes count together, exactly.
    Quota {
        /// How many requests.
        requests: i64,
        /// In which time.
        period: Period,
    },
}

impl Measure {
    /// A quota of 1 to 10¹² requests.
    pub fn quota(requests: i64, period: Period) -> Result<Self, LimitError> {
        if (1..=LARGEST_QUOTA).contains(&requests) {
            Ok(Measure::Quota { requests, period })
        } else {
            Err(LimitError::Quota)
        }
    }
}

/// A limit as configured.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Limit {
    /// What callers are told it is; see [`check_limit_name`].
    pub name: String,
    /// What it counts apart.
    pub per: Per,
    /// How it is measured.
    pub measure: Measure,
}

/// Limits under one name, for partners; they count on every route.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// See [`check_limit_name`].
    pub name: String,
    /// What it bundles.
    pub limits: Vec<Limit>,
}

/// A limit that cannot be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LimitError {
    /// The requests or the burst of a rate.
    Requests,
    /// The span of a rate.
    Span,
    /// The requests of a quota.
    Quota,
    /// The name of a limit or a plan.
    Name,
}

impl fmt::Display for LimitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LimitError::Requests => "requests and burst of a rate are from 1 to 1000000",
            LimitError::Span => {
                "per_s is from 1 to 3600 seconds; for longer ones set a quota with period"
            }
            LimitError::Quota => "the requests of a quota are from 1 to 1000000000000",
            LimitError::Name => {
                "a name has 1 to 64 small letters, digits, dots, hyphens and underscores"
            }
        })
    }
}

impl std::error::Error for LimitError {}

/// Checks the name of a limit or a plan: 1 to 64 small letters, digits, `.`, `-` and `_`, so that it
/// stands in a header as it is.
pub fn check_limit_name(name: &str) -> Result<(), LimitError> {
    let fits = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'_')
    };
    if (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(fits) {
        Ok(())
    } else {
        Err(LimitError::Name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(unix_s: i64) -> Timestamp {
        Timestamp::from_unix_s(unix_s)
    }

    #[test]
    fn months_begin_and_end_where_the_calendar_says() {
        // 2027-03-16T10:20:30Z, 2028-02-29T23:59:59Z, 2026-12-31T23:59:59Z, 1969-12-31T23:59:59Z,
        // 2000-02-29T12:00:00Z.
        for (moment, start, end) in [
            (1_805_192_430, 1_803_859_200, 1_806_537_600),
            (1_835_481_599, 1_832_976_000, 1_835_481_600),
            (1_798_761_599, 1_796_083_200, 1_798_761_600),
            (-1, -2_678_400, 0),
            (951_825_600, 949_363_200, 951_868_800),
        ] {
            assert_eq!(Period::Month.start_s(at(moment)), start, "{moment}");
            assert_eq!(Period::Month.end_s(at(moment)), end, "{moment}");
        }
    }

    #[test]
    fn every_month_of_a_thousand_years_follows_the_one_before() {
        let mut start = Period::Month.start_s(at(0));
        for _ in 0..12_000 {
            let end = Period::Month.end_s(at(start));
            assert!((28..=31).contains(&((end - start) / DAY_S)), "{start}");
            assert_eq!(Period::Month.start_s(at(end - 1)), start);
            assert_eq!(Period::Month.start_s(at(end)), end);
            start = end;
        }
        // 2970-01-01T00:00:00Z
        assert_eq!(start, 31_556_995_200);
    }

    #[test]
    fn hours_and_days_are_those_of_utc() {
        let moment = at(1_805_192_430);
        assert_eq!(Period::Hour.start_s(moment), 1_805_191_200);
        assert_eq!(Period::Hour.end_s(moment), 1_805_194_800);
        assert_eq!(Period::Day.start_s(moment), 1_805_155_200);
        assert_eq!(Period::Day.end_s(at(-1)), 0);
    }

    #[test]
    fn rates_quotas_and_names_are_bounded() {
        assert!(Rate::new(1, 1, 1).is_ok());
        assert_eq!(Rate::new(0, 1, 1), Err(LimitError::Requests));
        assert_eq!(Rate::new(1, 1, 0), Err(LimitError::Requests));
        assert_eq!(Rate::new(1, 3_601, 1), Err(LimitError::Span));
        assert_eq!(Measure::quota(0, Period::Day), Err(LimitError::Quota));
        assert_eq!(Rate::new(3, 10, 10).map(Rate::window_s), Ok(34));
        for name in ["a", "calls.per-day_2"] {
            assert_eq!(check_limit_name(name), Ok(()), "{name}");
        }
        for name in ["", "A", "a b", "a\"", "ä", &"n".repeat(65)] {
            assert_eq!(check_limit_name(name), Err(LimitError::Name), "{name}");
        }
    }
}
