//! Decimal numbers as texts, read without rounding.

/// A decimal number from 0 on, times ten to the power of `places`: digits, and after a point digits of
/// which none but zeros may come after so many places. `None`: it is none, or too large.
///
/// ```
/// use wayleave_protocol::decimal::scaled;
/// assert_eq!(scaled("0.35", 2), Some(35));
/// assert_eq!(scaled("7.5000", 2), Some(750));
/// for text in ["0.355", "-1", "+1", "1e3", ".5", "1.", "1,5", "", "99999999999999999999"] {
///     assert_eq!(scaled(text, 2), None);
/// }
/// ```
pub fn scaled(text: &str, places: usize) -> Option<i64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let kept = part.trim_end_matches('0');
    if !are_digits(whole) || !are_digits(part) || kept.len() > places {
        return None;
    }
    format!("{whole}{kept:0<places$}").parse().ok()
}
