//! The calendar periods of a property: of its quota and of its subscriptions.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::UnknownWord;

/// A period of the calendar, in UTC. In JSON it is its word.
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

    /// The word for it in settings and in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            CalendarPeriod::Daily => "Daily",
            CalendarPeriod::Weekly => "Weekly",
            CalendarPeriod::Monthly => "Monthly",
            CalendarPeriod::Yearly => "Yearly",
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
    use super::*;

    #[test]
    fn every_period_reads_back_from_its_word() {
        for period in CalendarPeriod::ALL {
            assert_eq!(period.as_str().parse(), Ok(period));
        }
        assert!("monthly".parse::<CalendarPeriod>().is_err());
    }
}
