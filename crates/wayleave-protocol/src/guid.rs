//! GUIDs as the content dialect writes them: 36 characters with hyphens (RFC 9562).

use crate::hex;

/// Where the hyphens stand.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];
/// Where the two digits of each byte stand.
const PAIRS: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
/// In [`DIGITS`]: no hexadecimal digit. Together with any other it stays what it is.
const NO_DIGIT: u8 = 255;
/// What each byte counts as a digit. A table, since every request with a key has a GUID or two.
const DIGITS: [u8; 256] = digits();

const fn digits() -> [u8; 256] {
    let mut digits = [NO_DIGIT; 256];
    let mut byte: u8 = 0;
    while byte < 128 {
        if let Some(digit) = hex::digit(byte) {
            digits[byte as usize] = digit;
        }
        byte += 1;
    }
    digits
}

/// Reads the hyphenated form, in any letter case; `None` for anything else.
///
/// ```
/// use wayleave_protocol::guid;
/// let id = guid::parse("c4f1e2d3-9a8b-4c7d-8e6f-102938475665").unwrap();
/// assert_eq!(guid::format_upper(&id), "C4F1E2D3-9A8B-4C7D-8E6F-102938475665");
/// assert_eq!(guid::parse("{c4f1e2d3-9a8b-4c7d-8e6f-102938475665}"), None);
/// ```
pub fn parse(text: &str) -> Option<[u8; 16]> {
    let text: &[u8; 36] = text.as_bytes().try_into().ok()?;
    if HYPHENS.iter().any(|place| text[*place] != b'-') {
        return None;
    }
    let mut id = [0; 16];
    let mut seen = 0;
    for (byte, place) in id.iter_mut().zip(PAIRS) {
        let [high, low] = [text[place], text[place + 1]].map(|digit| DIGITS[usize::from(digit)]);
        seen |= high | low;
        *byte = high << 4 | low;
    }
    (seen != NO_DIGIT).then_some(id)
}

/// Writes the hyphenated form in capitals.
pub fn format_upper(id: &[u8; 16]) -> String {
    format(id, b"0123456789ABCDEF")
}

/// Writes the hyphenated form in small letters.
pub fn format_lower(id: &[u8; 16]) -> String {
    format(id, b"0123456789abcdef")
}

fn format(id: &[u8; 16], digits: &[u8; 16]) -> String {
    let mut text = String::with_capacity(36);
    for (index, byte) in id.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push(char::from(digits[usize::from(byte >> 4)]));
        text.push(char::from(digits[usize::from(byte & 15)]));
    }
    text
}

/// Makes a version 4 GUID of 16 random bytes (RFC 9562 5.4), of which 122 bits stay random.
///
/// ```
/// use wayleave_protocol::guid;
/// assert_eq!(guid::format_upper(&guid::v4([0xff; 16])), "FFFFFFFF-FFFF-4FFF-BFFF-FFFFFFFFFFFF");
/// ```
pub fn v4(random: [u8; 16]) -> [u8; 16] {
    let mut id = random;
    id[6] = id[6] & 0x0f | 0x40;
    id[8] = id[8] & 0x3f | 0x80;
    id
}
