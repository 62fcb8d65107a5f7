use std::fmt;

use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use wayleave_core::{OperatorScope, PropertyId};

/// The SHA-256 of an operator's token. A token is 178 random bits, so a fast hash is enough: there
/// is nothing to guess.
#[derive(Clone, Copy)]
pub struct OperatorTokenHash([u8; 32]);

impl OperatorTokenHash {
    /// Of a token's text.
    pub fn of(token: &str) -> Self {
        OperatorTokenHash(Sha256::digest(token.as_bytes()).into())
    }

    /// From the bytes of the hash.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        OperatorTokenHash(bytes)
    }

    /// The bytes of the hash.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for OperatorTokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OperatorTokenHash(…)")
    }
}

/// Who calls the admin address: a person with a token of their own.
#[derive(Clone, Debug)]
pub struct Operator {
    /// Who it is, in the audit and in the log.
    pub name: String,
    /// What they may do.
    pub scope: OperatorScope,
    /// The properties that a property administrator was given; no other scope has any.
    pub properties: Vec<PropertyId>,
    /// The hash of their token; the token itself is not kept.
    pub token_hash: OperatorTokenHash,
}

/// An operator who has just proven who they are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ActingOperator {
    /// Who it is.
    pub name: String,
    /// What they may do.
    pub scope: OperatorScope,
    /// The properties that a property administrator was given; no other scope has any.
    pub properties: Vec<PropertyId>,
}

impl Operator {
    /// Who they are and what they may do, without the hash.
    pub fn acting(&self) -> ActingOperator {
        ActingOperator {
            name: self.name.clone(),
            scope: self.scope,
            properties: self.properties.clone(),
        }
    }
}

/// Everyone who may call the admin address.
#[derive(Clone, Debug, Default)]
pub struct Operators(Vec<Operator>);

impl Operators {
    /// The set of these operators.
    pub fn new(operators: Vec<Operator>) -> Self {
        Operators(operators)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nobody may call.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The operator whose token this is. It takes the same time whoever it is, and whether it is
    /// anyone.
    pub fn find(&self, presented: &str) -> Option<&Operator> {
        let presented = OperatorTokenHash::of(presented);
        let nobody = u32::MAX;
        let mut place = nobody;
        for (number, operator) in (0_u32..).zip(&self.0) {
            let is_theirs: Choice = operator.token_hash.0.ct_eq(&presented.0);
            place.conditional_assign(&number, is_theirs);
        }
        self.0.get(usize::try_from(place).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operator(name: &str, token: &str) -> Operator {
        Operator {
            name: name.to_owned(),
            scope: OperatorScope::Support,
            properties: Vec::new(),
            token_hash: OperatorTokenHash::of(token),
        }
    }

    #[test]
    fn each_is_found_by_their_own_token_and_nobody_by_another() {
        let operators = Operators::new(vec![operator("ada", "one"), operator("bo", "two")]);
        let found = |token| operators.find(token).map(|found| found.name.as_str());
        assert_eq!(
            (found("one"), found("two"), found("three"), found("")),
            (Some("ada"), Some("bo"), None, None)
        );
        assert!(Operators::default().find("one").is_none());
    }

    #[test]
    fn nothing_of_the_hash_is_shown() {
        let shown = format!("{:?}", operator("ada", "one"));
        assert!(shown.contains("ada") && shown.contains('…'), "{shown}");
    }
}
