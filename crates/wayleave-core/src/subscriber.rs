//! External subscribers: people whose subscriptions are kept elsewhere (print, a CRM), and how a reader
//! proves to be one of them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// The longest key of a subscriber, in letters.
const LONGEST_KEY: usize = 100;
/// The longest name and value of a validation field, in letters.
const LONGEST_FIELD_NAME: usize = 50;
const LONGEST_FIELD_VALUE: usize = 200;
/// How many validation fields, and how many subscriptions of a kind, a subscriber may have.
const MOST_FIELDS: usize = 16;
const MOST_GROUPS: usize = 100;
/// How many readers may be linked to one subscriber at most.
pub const MOST_LINKED_READERS: i64 = 10_000;

/// Something that is wrong with a subscriber; says what, for whoever sent it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SubscriberError(String);

impl fmt::Display for SubscriberError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SubscriberError {}

/// A name with a value: what a reader must know to be a subscriber, or what is told of a reader.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct NamedValue {
    /// What it is, such as `AccountNumber`.
    pub name: String,
    /// What it says.
    pub value: String,
}

/// A subscription group by its key, until a moment.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct GroupUntil {
    /// The key of the group.
    pub group: String,
    /// Until when, in microseconds since 1970 UTC.
    until_us: i64,
}

impl GroupUntil {
    /// A group until a moment.
    pub fn new(group: String, until: Timestamp) -> Self {
        GroupUntil {
            group,
            until_us: until.micros(),
        }
    }

    /// Until when; no longer at that moment itself.
    pub fn until(&self) -> Timestamp {
        Timestamp::from_micros(self.until_us)
    }
}

/// What is to be known of a subscriber from now on; what is `None` stays as it is.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize, Debug)]
pub struct SubscriberUpdate {
    /// How many readers may be linked to it; a new one: 1.
    pub most_linked: Option<i64>,
    /// What a reader must give to prove to be it; a new one: nothing, so nobody can.
    pub validation: Option<Vec<NamedValue>>,
    /// Which subscriptions its readers may buy, and until when.
    pub eligible: Option<Vec<GroupUntil>>,
    /// Which subscriptions its readers have without buying, and until when.
    pub automatic: Option<Vec<GroupUntil>>,
}

impl SubscriberUpdate {
    /// Whether it can be: lengths, counts, no group and no field twice.
    pub fn check(&self) -> Result<(), SubscriberError> {
        if let Some(most) = self.most_linked
            && !(0..=MOST_LINKED_READERS).contains(&most)
        {
            return wrong(format!(
                "MaximumLinkedUsers is a whole number from 0 to {MOST_LINKED_READERS}"
            ));
        }
        self.validation
            .iter()
            .try_for_each(|all| check_fields(all))?;
        let groups = [
            ("EligibleSubscriptions", &self.eligible),
            ("AutomaticSubscriptions", &self.automatic),
        ];
        groups
            .into_iter()
            .filter_map(|(member, groups)| Some((member, groups.as_ref()?)))
            .try_for_each(|(member, groups)| check_groups(member, groups))
    }

    /// Every group that it names.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        let all = self.eligible.iter().chain(&self.automatic).flatten();
        all.map(|group| group.group.as_str())
    }
}

/// Checks the key by which a subscriber is known elsewhere: 1 to 100 letters, no control character.
pub fn check_subscriber_key(key: &str) -> Result<(), SubscriberError> {
    match is_text(key, LONGEST_KEY) && !key.is_empty() {
        true => Ok(()),
        false => wrong(format!(
            "SubscriberKey has 1 to {LONGEST_KEY} characters and no control character"
        )),
    }
}

fn check_fields(fields: &[NamedValue]) -> Result<(), SubscriberError> {
    if fields.len() > MOST_FIELDS {
        return wrong(format!(
            "ValidationFields has at most {MOST_FIELDS} entries"
        ));
    }
    for field in fields {
        let is_fine = !folded(&field.name).is_empty()
            && !folded(&field.value).is_empty()
            && is_text(&field.name, LONGEST_FIELD_NAME)
            && is_text(&field.value, LONGEST_FIELD_VALUE);
        if !is_fine {
            return wrong(format!(
                "each of ValidationFields has a Name of 1 to {LONGEST_FIELD_NAME} characters and a Value of 1 to {LONGEST_FIELD_VALUE}, without control characters"
            ));
        }
    }
    let mut names: Vec<String> = fields.iter().map(|field| folded(&field.name)).collect();
    names.sort();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(_) => wrong("ValidationFields has one Name twice".to_owned()),
        None => Ok(()),
    }
}

fn check_groups(member: &str, groups: &[GroupUntil]) -> Result<(), SubscriberError> {
    if groups.len() > MOST_GROUPS {
        return wrong(format!("{member} has at most {MOST_GROUPS} entries"));
    }
    let mut keys: Vec<&str> = groups.iter().map(|group| group.group.as_str()).collect();
    keys.sort_unstable();
    match keys.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(_) => wrong(format!("{member} names one SubscriptionGroupKey twice")),
        None => Ok(()),
    }
}

fn is_text(text: &str, longest: usize) -> bool {
    text.chars().count() <= longest && !text.chars().any(char::is_control)
}

fn wrong<T>(why: String) -> Result<T, SubscriberError> {
    Err(SubscriberError(why))
}

/// What a reader must give, as one text that is the same however it is written: letter case, blanks
/// and the order of the fields say nothing. Empty where there is no field.
pub fn validation_text(fields: &[NamedValue]) -> String {
    let mut lines: Vec<String> = fields
        .iter()
        .map(|field| format!("{}={}", folded(&field.name), folded(&field.value)))
        .collect();
    lines.sort();
    lines.join("\n")
}

/// Small letters, without blanks.
fn folded(text: &str) -> String {
    text.chars()
        .filter(|letter| !letter.is_whitespace())
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, value: &str) -> NamedValue {
        NamedValue {
            name: name.to_owned(),
            value: value.to_owned(),
        }
    }

    fn of_fields(fields: Vec<NamedValue>) -> SubscriberUpdate {
        SubscriberUpdate {
            validation: Some(fields),
            ..SubscriberUpdate::default()
        }
    }

    #[test]
    fn what_a_reader_gives_counts_however_it_is_written() {
        let kept = [
            field("AccountNumber", "0077-31 B"),
            field("PostCode", "70114"),
        ];
        let given = [
            field("postcode", " 70 114"),
            field("accountnumber", "0077-31b"),
        ];
        assert_eq!(validation_text(&kept), validation_text(&given));
        let other = [
            field("postcode", "70114"),
            field("accountnumber", "007731b"),
        ];
        assert_ne!(validation_text(&kept), validation_text(&other));
        let fewer = [field("PostCode", "70114")];
        assert_ne!(validation_text(&kept), validation_text(&fewer));
        assert_eq!(validation_text(&[]), "");
    }

    #[test]
    fn a_field_without_a_value_or_twice_is_refused() {
        assert_eq!(
            of_fields(vec![field("A", "1"), field("B", "1")]).check(),
            Ok(())
        );
        for fields in [
            vec![field("A", "")],
            vec![field("A", "  ")],
            vec![field("", "1")],
            vec![field("A", "1"), field(" a", "2")],
            vec![field("A", "1\n2")],
            vec![field("A", &"x".repeat(201))],
            (0..17).map(|n| field(&format!("A{n}"), "1")).collect(),
        ] {
            assert!(of_fields(fields.clone()).check().is_err(), "{fields:?}");
        }
    }

    #[test]
    fn a_group_twice_and_too_many_readers_are_refused() {
        let until = |key: &str| GroupUntil::new(key.to_owned(), Timestamp::from_unix_s(1));
        let update = |groups| SubscriberUpdate {
            automatic: Some(groups),
            ..SubscriberUpdate::default()
        };
        assert_eq!(update(vec![until("a"), until("b")]).check(), Ok(()));
        assert!(update(vec![until("a"), until("a")]).check().is_err());
        for (most, is_fine) in [(0, true), (10_000, true), (-1, false), (10_001, false)] {
            let update = SubscriberUpdate {
                most_linked: Some(most),
                ..SubscriberUpdate::default()
            };
            assert_eq!(update.check().is_ok(), is_fine, "{most}");
        }
    }

    #[test]
    fn a_key_has_letters_and_no_more_than_a_hundred() {
        for (key, is_fine) in [
            ("PRINT-7731", true),
            ("a b/c", true),
            ("", false),
            ("a\tb", false),
            (&"é".repeat(100), true),
            (&"é".repeat(101), false),
        ] {
            assert_eq!(check_subscriber_key(key).is_ok(), is_fine, "{key}");
        }
    }
}
