use std::fmt;
use std::str::FromStr;

use crate::UnknownWord;

/// Whether a partner may use what it was given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Membership {
    /// In good standing.
    Admitted,
    /// Out for now: its credentials prove who it is and open nothing (403).
    Lapsed,
}

impl Membership {
    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            Membership::Admitted => "admitted",
            Membership::Lapsed => "lapsed",
        }
    }
}

impl FromStr for Membership {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        match text {
            "admitted" => Ok(Membership::Admitted),
            "lapsed" => Ok(Membership::Lapsed),
            _ => Err(UnknownWord {
                noun: "membership",
                known: "admitted, lapsed",
            }),
        }
    }
}

/// A name that a person gave and that cannot be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NameError {
    /// Nothing but blanks.
    Empty,
    /// More than 200 characters.
    TooLong,
    /// A control character.
    ControlCharacter,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NameError::Empty => "a name must not be empty",
            NameError::TooLong => "a name has at most 200 characters",
            NameError::ControlCharacter => "a name must not contain control characters",
        })
    }
}

impl std::error::Error for NameError {}

/// Checks the name of a partner or an integration: 1 to 200 characters, no control characters.
pub fn check_name(name: &str) -> Result<(), NameError> {
    if name.trim().is_empty() {
        Err(NameError::Empty)
    } else if name.chars().count() > 200 {
        Err(NameError::TooLong)
    } else if name.chars().any(char::is_control) {
        Err(NameError::ControlCharacter)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded_and_printable() {
        assert_eq!(check_name("Harbour Signs"), Ok(()));
        assert_eq!(check_name(" \t"), Err(NameError::Empty));
        assert_eq!(check_name(&"n".repeat(201)), Err(NameError::TooLong));
        assert_eq!(check_name("a\nb"), Err(NameError::ControlCharacter));
    }
}
