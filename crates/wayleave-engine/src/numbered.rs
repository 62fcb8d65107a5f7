use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;

/// Gives texts small numbers that stay the same for the life of an engine, so that hot paths compare
/// numbers. There are as many as settings have named, so nothing is ever forgotten.
#[derive(Default)]
pub(crate) struct Numbered {
    known: RwLock<Known>,
}

#[derive(Default)]
struct Known {
    numbers: HashMap<Arc<str>, u32>,
    texts: Vec<Arc<str>>,
}

impl Numbered {
    /// The number of a text, from 0; a new one where it has none yet.
    pub(crate) fn number(&self, text: &str) -> u32 {
        if let Some(number) = self.known.read().numbers.get(text) {
            return *number;
        }
        let mut known = self.known.write();
        if let Some(number) = known.numbers.get(text) {
            return *number;
        }
        let number = u32::try_from(known.texts.len()).expect("fewer than 4 billion names");
        let text: Arc<str> = text.into();
        known.texts.push(text.clone());
        known.numbers.insert(text, number);
        number
    }

    /// The text of a number that was given.
    pub(crate) fn text(&self, number: u32) -> Option<Arc<str>> {
        self.known.read().texts.get(number as usize).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_keeps_its_number() {
        let numbered = Numbered::default();
        assert_eq!((numbered.number("a"), numbered.number("b")), (0, 1));
        assert_eq!(numbered.number("a"), 0);
        assert_eq!(numbered.text(1).as_deref(), Some("b"));
        assert_eq!(numbered.text(2), None);
    }
}
