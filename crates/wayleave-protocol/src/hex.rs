//! Bytes as hexadecimal digits, two for each.

const LOWER: &[u8; 16] = b"0123456789abcdef";
const UPPER: &[u8; 16] = b"0123456789ABCDEF";

/// In small letters.
///
/// ```
/// assert_eq!(wayleave_protocol::hex::lower(&[0x0f, 0xa0]), "0fa0");
/// ```
pub fn lower(bytes: &[u8]) -> String {
    written(bytes, LOWER)
}

/// In capitals.
///
/// ```
/// assert_eq!(wayleave_protocol::hex::upper(&[0x0f, 0xa0]), "0FA0");
/// ```
pub fn upper(bytes: &[u8]) -> String {
    written(bytes, UPPER)
}

/// Adds them to a text, in small letters.
pub(crate) fn push_lower(text: &mut String, bytes: &[u8]) {
    push(text, bytes, LOWER);
}

fn written(bytes: &[u8], digits: &[u8; 16]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    push(&mut text, bytes, digits);
    text
}

fn push(text: &mut String, bytes: &[u8], digits: &[u8; 16]) {
    for byte in bytes {
        text.push(char::from(digits[usize::from(byte >> 4)]));
        text.push(char::from(digits[usize::from(byte & 15)]));
    }
}

/// The value of one hexadecimal digit in either case.
pub(crate) const fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}
