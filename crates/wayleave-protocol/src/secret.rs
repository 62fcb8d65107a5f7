//! Holders for secrets: no `Display`, a redacting `Debug`, overwritten when dropped.

use std::fmt;

/// Secret text, such as the password of Basic credentials.
///
/// It cannot be printed; [`SecretText::expose`] is the one way to its content.
///
/// ```
/// use wayleave_protocol::secret::SecretText;
/// let secret = SecretText::new("hunter2".to_owned());
/// assert_eq!(format!("{secret:?}"), "SecretText(redacted)");
/// assert_eq!(secret.expose(), "hunter2");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(String);

impl SecretText {
    /// Takes ownership of the text.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself. Do not log it, and compare it in constant time.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(redacted)")
    }
}

impl Drop for SecretText {
    fn drop(&mut self) {
        overwrite(&mut std::mem::take(&mut self.0).into_bytes());
    }
}

/// Fills the bytes with zeros in a way the optimiser is asked to keep.
pub(crate) fn overwrite(bytes: &mut [u8]) {
    bytes.fill(0);
    std::hint::black_box(bytes);
}

/// The longest name that a message repeats; every secret and token of ours is longer.
const SHOWN_NAME_BYTES: usize = 32;

/// A name of a member or parameter for a message: in quotes, or words for one that may be a secret
/// in the wrong place.
pub fn name_in_message(name: &str) -> String {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if name.len() <= SHOWN_NAME_BYTES && name.bytes().all(is_word) {
        format!("{name:?}")
    } else {
        "with a long or odd name".to_owned()
    }
}
