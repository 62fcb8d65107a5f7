//! Lists: pages, whose things, and the grammar of `search`.

use serde_json::Value;
use wayleave_engine::{Page, Whose};

use super::error::invalid;
use super::fields::Fields;
use super::{Call, Reply};
use crate::fault::Fault;

/// How many are on a page where nothing is said, and at most.
const USUAL_LENGTH: i64 = 50;
const MOST_LENGTH: i64 = 500;

/// Which part of a list is wanted: `start` and `length`.
pub(super) fn page(query: &Fields) -> Result<Page, Fault> {
    let from_zero = |name, number: i64| match number >= 0 {
        true => Ok(number),
        false => Err(invalid(name, "must be a whole number from 0 on")),
    };
    let start = from_zero("start", query.number("start")?.unwrap_or(0))?;
    let length = from_zero("length", query.number("length")?.unwrap_or(USUAL_LENGTH))?;
    Ok(Page {
        start,
        length: length.min(MOST_LENGTH),
    })
}

/// The page of a list that is all in memory.
pub(super) fn page_of(call: &Call<'_>, rows: Vec<Value>) -> Result<Reply, Fault> {
    let page = page(&call.query)?;
    let total = rows.len() as i64;
    let place = |number: i64| usize::try_from(number).unwrap_or(usize::MAX);
    let rows = rows
        .into_iter()
        .skip(place(page.start))
        .take(place(page.length));
    Ok(Reply::list(rows.collect(), total))
}

/// Whose things are wanted: `companyApiRef`, which implies children, and `includeChildCompanies`.
pub(super) fn whose(query: &Fields) -> Result<Whose, Fault> {
    let children = query.flag("includeChildCompanies")?.unwrap_or_default();
    Ok(match query.text("companyApiRef")? {
        Some(reference) => Whose::Customer(reference),
        None if children => Whose::Any,
        None => Whose::Own,
    })
}

/// What `search` asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Search {
    /// `field|value`, any number of them, separated by spaces: all of them hold.
    Pairs(Vec<(String, String)>),
    /// A text without a bar: something has it in its name.
    Anywhere(String),
}

impl Search {
    /// Reads a search. Field names come in small letters.
    pub(super) fn read(query: &Fields) -> Result<Self, Fault> {
        let text = query.text("search")?.unwrap_or_default();
        let text = text.trim();
        if text.is_empty() {
            return Ok(Search::Pairs(Vec::new()));
        }
        if !text.contains('|') {
            return Ok(Search::Anywhere(text.to_owned()));
        }
        let mut pairs: Vec<(String, String)> = Vec::new();
        for word in text.split(' ') {
            match (field(word), pairs.last_mut()) {
                (Some((name, value)), _) => pairs.push((name, value.to_owned())),
                // A value goes on to the next field.
                (None, Some((_, value))) => {
                    value.push(' ');
                    value.push_str(word);
                }
                (None, None) => return Err(invalid("search", "begin with a field: field|value")),
            }
        }
        for (_, value) in &mut pairs {
            value.truncate(value.trim_end().len());
        }
        Ok(Search::Pairs(pairs))
    }

    /// Takes what is asked of a field. Errors: it is asked for twice.
    pub(super) fn take(&mut self, name: &str) -> Result<Option<String>, Fault> {
        let Search::Pairs(pairs) = self else {
            return Ok(None);
        };
        let mut taken = None;
        while let Some(place) = pairs.iter().position(|(field, _)| field == name) {
            let (_, value) = pairs.remove(place);
            if taken.replace(value).is_some() {
                return Err(invalid("search", format!("{name} came more than once")));
            }
        }
        Ok(taken)
    }

    /// Takes the number that is asked of a field.
    pub(super) fn take_number(&mut self, name: &str) -> Result<Option<i64>, Fault> {
        let Some(value) = self.take(name)? else {
            return Ok(None);
        };
        let number = value.parse().map(Some);
        number.map_err(|_| invalid("search", format!("{name} is a whole number")))
    }

    /// What is left when every field was taken: the text that may be anywhere. Errors: a field that is
    /// not known.
    pub(super) fn rest(self) -> Result<Option<String>, Fault> {
        match self {
            Search::Anywhere(text) => Ok(Some(text)),
            Search::Pairs(pairs) => match pairs.first() {
                None => Ok(None),
                Some((name, _)) => Err(invalid(
                    "search",
                    format!("there is no field {name} to search by"),
                )),
            },
        }
    }
}

/// `word|value`, where that is what it is.
fn field(word: &str) -> Option<(String, &str)> {
    let (name, value) = word.split_once('|')?;
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphabetic());
    is_name.then(|| (name.to_ascii_lowercase(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(text: &str) -> Result<Search, Fault> {
        let query = format!("search={}", text.replace(' ', "+"));
        Search::read(&Fields::of_query(Some(&query))?)
    }

    fn pairs(pairs: &[(&str, &str)]) -> Search {
        let owned = pairs.iter();
        Search::Pairs(
            owned
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        )
    }

    #[test]
    fn fields_and_values_are_told_apart() {
        for (text, wanted) in [
            ("hostingId|4808", pairs(&[("hostingid", "4808")])),
            (" version|1.7", pairs(&[("version", "1.7")])),
            (
                "email|a@b.c version|2",
                pairs(&[("email", "a@b.c"), ("version", "2")]),
            ),
            (
                "accountName|two words hostingId|7 ",
                pairs(&[("accountname", "two words"), ("hostingid", "7")]),
            ),
            ("accountName|a|b", pairs(&[("accountname", "a|b")])),
            ("  ", pairs(&[])),
            ("some name", Search::Anywhere("some name".to_owned())),
        ] {
            assert_eq!(search(text).expect(text), wanted, "{text}");
        }
        assert!(search("name accountName|x").is_err());
    }

    #[test]
    fn what_is_not_taken_is_refused() {
        let mut two = search("email|a email|b").expect("a search");
        assert!(two.take("email").is_err());
        let unknown = search("colour|red").expect("a search");
        assert!(unknown.rest().is_err());
        let mut letters = search("hostingId|x").expect("a search");
        assert!(letters.take_number("hostingid").is_err());
    }
}
