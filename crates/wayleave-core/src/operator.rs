use std::fmt;
use std::str::FromStr;

use crate::UnknownWord;

/// What an operator may do.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum OperatorScope {
    /// Everything.
    Operator,
    /// Looking things up and helping partners; no change of who may pass.
    Support,
    /// The properties that they were given, and nothing else.
    PropertyAdministrator,
}

impl OperatorScope {
    /// Every scope.
    pub const ALL: [OperatorScope; 3] = [
        OperatorScope::Operator,
        OperatorScope::Support,
        OperatorScope::PropertyAdministrator,
    ];

    /// The word in the operators file and in the audit.
    pub fn as_str(self) -> &'static str {
        match self {
            OperatorScope::Operator => "operator",
            OperatorScope::Support => "support",
            OperatorScope::PropertyAdministrator => "property_administrator",
        }
    }
}

impl fmt::Display for OperatorScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for OperatorScope {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        OperatorScope::ALL
            .into_iter()
            .find(|scope| scope.as_str() == text)
            .ok_or(UnknownWord {
                noun: "scope of an operator",
                known: "operator, support, property_administrator",
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scope_is_read_back_from_its_word() {
        for scope in OperatorScope::ALL {
            assert_eq!(scope.as_str().parse(), Ok(scope));
        }
        assert!("root".parse::<OperatorScope>().is_err());
    }
}
