//! Spans of time as people write them: `90d`, `12h`, `1h30m`.

use std::time::Duration;

/// What a letter stands for, in seconds.
const UNITS: [(char, u64); 5] = [
    ('w', 7 * 86_400),
    ('d', 86_400),
    ('h', 3600),
    ('m', 60),
    ('s', 1),
];
/// A hundred years: more is a slip of the finger.
const LONGEST_S: u64 = 36_525 * 86_400;

/// Reads numbers with a unit each: `w`, `d`, `h`, `m`, `s`. A number without a unit is refused, and so
/// is more than a hundred years.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    seconds(text)
        .map(Duration::from_secs)
        .ok_or_else(|| format!("{text:?} is no span of time such as 45s, 30m, 12h, 90d, 2w or 1h30m, up to a hundred years"))
}

fn seconds(text: &str) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    let mut sum: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|letter: char| !letter.is_ascii_digit())?;
        let number: u64 = rest[..end].parse().ok()?;
        let unit = rest[end..].chars().next()?;
        let (_, length) = UNITS.iter().find(|(letter, _)| *letter == unit)?;
        sum = sum.checked_add(number.checked_mul(*length)?)?;
        rest = &rest[end + 1..];
    }
    (sum <= LONGEST_S).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_sums_of_numbers_with_units() {
        for (text, expected_s) in [
            ("45s", 45),
            ("30m", 1800),
            ("12h", 43_200),
            ("90d", 7_776_000),
            ("2w", 1_209_600),
            ("1h30m", 5400),
            ("0s", 0),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_secs(expected_s)), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused_with_examples() {
        for text in [
            "",
            "90",
            "d",
            "1y",
            "-1d",
            "1.5h",
            "1 d",
            "d1",
            "1h30",
            "101w1",
            "5300w",
            "99999999999999999999s",
            "1ü",
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains("90d"), "{error}");
        }
    }
}
