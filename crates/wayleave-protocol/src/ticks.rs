//! Ticks: tenths of a microsecond since the year 1, UTC, by which the content dialect numbers
//! moments in its tokens and ids.

/// Ticks from 0001-01-01 to 1970-01-01.
const UNIX_EPOCH: u64 = 621_355_968_000_000_000;
const TICKS_IN_MICRO: i64 = 10;

/// The ticks of a moment in microseconds since 1970-01-01T00:00:00Z; what was before the year 1 is 0.
///
/// ```
/// use wayleave_protocol::ticks;
/// assert_eq!(ticks::from_unix_micros(0), 621_355_968_000_000_000);
/// assert_eq!(ticks::from_unix_micros(1_805_192_430_000_000), 639_407_892_300_000_000);
/// ```
pub fn from_unix_micros(micros: i64) -> u64 {
    UNIX_EPOCH.saturating_add_signed(micros.saturating_mul(TICKS_IN_MICRO))
}

/// The moment of ticks, in microseconds since 1970-01-01T00:00:00Z, rounded down.
///
/// ```
/// use wayleave_protocol::ticks;
/// assert_eq!(ticks::to_unix_micros(639_407_892_300_000_009), 1_805_192_430_000_000);
/// ```
pub fn to_unix_micros(ticks: u64) -> i64 {
    let since = i128::from(ticks) - i128::from(UNIX_EPOCH);
    let micros = since.div_euclid(i128::from(TICKS_IN_MICRO));
    i64::try_from(micros).unwrap_or(i64::MAX)
}
