use std::fmt;
use std::str::FromStr;

/// One scope: what a credential may do within its audience.
///
/// The letters of RFC 6749 section 3.3: printable ASCII without blank, `"` and `\`; at most 100.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Scope(Box<str>);

/// A text that is not a scope.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ScopeError;

impl fmt::Display for ScopeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a scope is 1 to 100 printable ASCII characters without blank, quote and backslash",
        )
    }
}

impl std::error::Error for ScopeError {}

impl Scope {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Scope {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        let allowed = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5B | 0x5D..=0x7E);
        if (1..=100).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Scope(text.into()))
        } else {
            Err(ScopeError)
        }
    }
}

/// A set of scopes, sorted, without repeats. Its text form separates them by one blank.
#[derive(Clone, PartialEq, Eq, Hash, Default, Debug)]
pub struct ScopeSet(Vec<Scope>);

impl ScopeSet {
    /// No scope in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether every scope of the other set is in this one.
    pub fn contains_all(&self, other: &ScopeSet) -> bool {
        self.contain_all(None, other)
    }

    /// Whether every wanted scope is in this set or in another one.
    pub fn contain_all(&self, other: Option<&ScopeSet>, wanted: &ScopeSet) -> bool {
        let is_in = |set: &ScopeSet, scope| set.0.binary_search(scope).is_ok();
        let mut wanted = wanted.0.iter();
        wanted.all(|scope| is_in(self, scope) || other.is_some_and(|other| is_in(other, scope)))
    }

    /// The scopes of both.
    pub fn union(&self, other: &ScopeSet) -> ScopeSet {
        self.0.iter().chain(&other.0).cloned().collect()
    }

    /// The scopes, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &Scope> {
        self.0.iter()
    }
}

impl FromIterator<Scope> for ScopeSet {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        let mut scopes: Vec<Scope> = scopes.into_iter().collect();
        scopes.sort();
        scopes.dedup();
        ScopeSet(scopes)
    }
}

impl FromStr for ScopeSet {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        text.split(' ')
            .filter(|word| !word.is_empty())
            .map(Scope::from_str)
            .collect()
    }
}

impl fmt::Display for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, scope) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str(" ")?;
            }
            f.write_str(scope.as_str())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_sorted_and_without_repeats() {
        let set: ScopeSet = "orders:write content:read orders:write"
            .parse()
            .expect("scopes");
        assert_eq!(set.to_string(), "content:read orders:write");
    }

    #[test]
    fn a_set_contains_its_parts_and_nothing_else() {
        let all: ScopeSet = "a b c".parse().expect("scopes");
        let some: ScopeSet = "c a".parse().expect("scopes");
        assert!(all.contains_all(&some) && !some.contains_all(&all));
        assert!(some.contains_all(&ScopeSet::default()));
    }

    #[test]
    fn letters_outside_rfc_6749_are_refused() {
        for text in ["", "a\"b", "a\\b", "ä", "a\tb"] {
            assert!(text.parse::<Scope>().is_err(), "{text:?}");
        }
    }
}
