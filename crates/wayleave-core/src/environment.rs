use std::fmt;

use crate::UnknownWord;

/// One of the two worlds that never mix (law 1).
///
/// Each has its own database, keys, address and settings; nothing that belongs to one can be
/// reached from the other. JSON calls it `livemode`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Environment {
    /// Where things happen for real.
    Live,
    /// Where partners try their clients and nothing is charged.
    Test,
}

impl Environment {
    /// Both environments, live first.
    pub const ALL: [Environment; 2] = [Environment::Live, Environment::Test];

    /// `live` or `test`.
    pub fn as_str(self) -> &'static str {
        match self {
            Environment::Live => "live",
            Environment::Test => "test",
        }
    }

    /// The stage prefixes that name this environment in a path, and that its own address accepts
    /// and strips. The other environment's are unknown paths to it.
    pub fn stage_prefixes(self) -> &'static [&'static str] {
        match self {
            Environment::Live => &["/prod"],
            Environment::Test => &["/stag", "/devl"],
        }
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Environment {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Environment::ALL
            .into_iter()
            .find(|environment| environment.as_str() == text)
            .ok_or(UnknownWord {
                noun: "environment",
                known: "live, test",
            })
    }
}
