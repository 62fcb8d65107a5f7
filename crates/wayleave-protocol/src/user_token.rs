//! The tokens by which readers are known: `id|ticks|mac`, letters, digits, `-` and `|` only.
//!
//! The mac is over the two parts as they are written, and over environment, property and kind, under
//! a key that is used for nothing else. So a token that was edited, or that is of another property, is
//! none.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::{guid, hex};

/// 160 bits of HMAC-SHA256 (RFC 2104 section 5 asks for half of it at least).
const MAC_BYTES: usize = 20;
const MAC_LETTERS: usize = MAC_BYTES * 2;
/// As many digits as a `u64` has at most.
const MOST_DIGITS: usize = 20;

/// What a mac is over: a property, and two parts with their lengths.
const SAID_BYTES: usize = 16 + 2 * 8 + "remembered".len() + 36 + 1 + MOST_DIGITS;

/// How long a reader wants to be known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Keeping {
    /// For as long as tokens live.
    Remembered,
    /// Until the browser is closed.
    Session,
}

impl Keeping {
    /// The likelier one first.
    const ALL: [Keeping; 2] = [Keeping::Remembered, Keeping::Session];

    fn as_str(self) -> &'static str {
        match self {
            Keeping::Remembered => "remembered",
            Keeping::Session => "session",
        }
    }
}

/// What a token says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UserToken {
    /// Whose it is.
    pub reader: [u8; 16],
    /// When it was made, see [`crate::ticks`].
    pub issued_ticks: u64,
    /// How long it is kept.
    pub keeping: Keeping,
}

/// The key of the tokens of one environment.
#[derive(Clone)]
pub struct UserTokenKey(Hmac<Sha256>);

impl fmt::Debug for UserTokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserTokenKey(…)")
    }
}

impl UserTokenKey {
    /// From the secret that the server keeps for this alone. `environment`: in which tokens count.
    pub fn new(secret: &[u8; 32], environment: &str) -> Self {
        let mut mac = Hmac::new_from_slice(secret).expect("HMAC takes keys of any length");
        let mut said = Vec::new();
        add(&mut said, "user token");
        add(&mut said, environment);
        mac.update(&said);
        UserTokenKey(mac)
    }

    fn mac(&self, property: u128, keeping: Keeping, parts: &str) -> [u8; MAC_BYTES] {
        // Handed over at once: that costs half of what five small pieces do.
        let mut said = Vec::with_capacity(SAID_BYTES);
        said.extend_from_slice(&property.to_be_bytes());
        add(&mut said, keeping.as_str());
        add(&mut said, parts);
        let mut mac = self.0.clone();
        mac.update(&said);
        let whole: [u8; 32] = mac.finalize().into_bytes().into();
        let mut mac = [0; MAC_BYTES];
        mac.copy_from_slice(&whole[..MAC_BYTES]);
        mac
    }

    /// Writes a token of a property.
    pub fn write(&self, property: u128, token: &UserToken) -> String {
        let mut text = String::with_capacity(36 + 1 + MOST_DIGITS + 1 + MAC_LETTERS);
        text.push_str(&guid::format_lower(&token.reader));
        text.push('|');
        text.push_str(&token.issued_ticks.to_string());
        let mac = self.mac(property, token.keeping, &text);
        text.push('|');
        hex::push_lower(&mut text, &mac);
        text
    }

    /// Reads a token of a property; `None`: it is none of ours, or of another property. Whether it is
    /// too old is for whoever asks.
    pub fn read(&self, property: u128, text: &str) -> Option<UserToken> {
        let (parts, given) = text.rsplit_once('|')?;
        let (reader, ticks) = parts.split_once('|')?;
        if given.len() != MAC_LETTERS || ticks.len() > MOST_DIGITS {
            return None;
        }
        let reader = guid::parse(reader)?;
        let issued_ticks = ticks.parse().ok()?;
        Keeping::ALL.into_iter().find_map(|keeping| {
            let mut wanted = String::with_capacity(MAC_LETTERS);
            hex::push_lower(&mut wanted, &self.mac(property, keeping, parts));
            let fits: bool = wanted.as_bytes().ct_eq(given.as_bytes()).into();
            fits.then_some(UserToken {
                reader,
                issued_ticks,
                keeping,
            })
        })
    }
}

/// Adds a part with its length before it, so that parts cannot run together.
fn add(said: &mut Vec<u8>, part: &str) {
    said.extend_from_slice(&(part.len() as u64).to_be_bytes());
    said.extend_from_slice(part.as_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PROPERTY: u128 = 7;
    const TOKEN: UserToken = UserToken {
        reader: [0x8f; 16],
        issued_ticks: 639_407_892_300_000_000,
        keeping: Keeping::Remembered,
    };

    fn key() -> UserTokenKey {
        UserTokenKey::new(&[1; 32], "live")
    }

    #[test]
    fn a_token_reads_back_as_it_was_written() {
        for keeping in Keeping::ALL {
            let token = UserToken { keeping, ..TOKEN };
            let text = key().write(PROPERTY, &token);
            assert_eq!(key().read(PROPERTY, &text), Some(token));
            let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'|');
            assert!(text.bytes().all(is_plain), "{text}");
            assert_eq!(text.len(), 36 + 1 + 18 + 1 + 40);
        }
    }

    #[test]
    fn a_token_of_another_property_environment_or_key_is_none() {
        let text = key().write(PROPERTY, &TOKEN);
        assert_eq!(key().read(PROPERTY + 1, &text), None);
        assert_eq!(
            UserTokenKey::new(&[1; 32], "test").read(PROPERTY, &text),
            None
        );
        assert_eq!(
            UserTokenKey::new(&[2; 32], "live").read(PROPERTY, &text),
            None
        );
    }

    #[test]
    fn parts_of_two_tokens_make_no_third() {
        let one = key().write(PROPERTY, &TOKEN);
        let other = UserToken {
            reader: [0x90; 16],
            issued_ticks: TOKEN.issued_ticks + 1,
            keeping: Keeping::Session,
        };
        let other = key().write(PROPERTY, &other);
        let parts = |text: &str| text.split('|').map(str::to_owned).collect::<Vec<_>>();
        let (one, other) = (parts(&one), parts(&other));
        for which in 1..7 {
            let mixed: Vec<&str> = (0..3)
                .map(|place| match which >> place & 1 {
                    0 => one[place].as_str(),
                    _ => other[place].as_str(),
                })
                .collect();
            assert_eq!(key().read(PROPERTY, &mixed.join("|")), None, "{mixed:?}");
        }
    }

    #[test]
    fn every_bit_and_every_letters_case_counts() {
        let text = key().write(PROPERTY, &TOKEN);
        for place in 0..text.len() {
            for bit in 0..8 {
                let mut bytes = text.clone().into_bytes();
                bytes[place] ^= 1 << bit;
                if let Ok(edited) = String::from_utf8(bytes) {
                    assert_eq!(key().read(PROPERTY, &edited), None, "{edited}");
                }
            }
        }
        assert_eq!(key().read(PROPERTY, &text.to_uppercase()), None);
    }

    #[test]
    fn what_is_no_token_is_none() {
        let text = key().write(PROPERTY, &TOKEN);
        let longer = format!("{text}0");
        for junk in [
            "",
            "|",
            "||",
            "|||",
            "a|b|c",
            &text[1..],
            &text[..90],
            &longer,
        ] {
            assert_eq!(key().read(PROPERTY, junk), None, "{junk}");
        }
    }

    #[test]
    fn nothing_of_the_key_is_shown() {
        assert_eq!(format!("{:?}", key()), "UserTokenKey(…)");
    }

    proptest! {
        #[test]
        fn nothing_made_up_is_a_token(text in ".{0,120}") {
            prop_assert_eq!(key().read(PROPERTY, &text), None);
        }
    }
}
