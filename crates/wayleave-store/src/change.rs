//! The change feed: which objects changed, numbered in the order in which they became visible.

use wayleave_core::Timestamp;

use crate::link::Link;
use crate::{Reader, StoreError, Transaction};

/// What kind of object changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ChangedNoun {
    /// A partner: its name or membership.
    Partner,
    /// A credential or one of its secrets.
    Credential,
    /// A public id that its credential gave up.
    PublicId,
    /// A key that signs tokens.
    SigningKey,
    /// A token that was revoked before it expired.
    RevokedToken,
    /// The catalogue: a new version counts.
    Catalogue,
    /// A property: its name, origins or settings.
    Property,
    /// A resource, by its property, a blank and its key.
    Resource,
    /// A reader: account, rights, or hits that came with a sign-in.
    Reader,
}

impl ChangedNoun {
    fn as_str(self) -> &'static str {
        match self {
            ChangedNoun::Partner => "partner",
            ChangedNoun::Credential => "credential",
            ChangedNoun::PublicId => "public_id",
            ChangedNoun::SigningKey => "signing_key",
            ChangedNoun::RevokedToken => "revoked_token",
            ChangedNoun::Catalogue => "catalogue",
            ChangedNoun::Property => "property",
            ChangedNoun::Resource => "resource",
            ChangedNoun::Reader => "reader",
        }
    }

    fn parse(text: &str) -> Result<Self, StoreError> {
        [
            ChangedNoun::Partner,
            ChangedNoun::Credential,
            ChangedNoun::PublicId,
            ChangedNoun::SigningKey,
            ChangedNoun::RevokedToken,
            ChangedNoun::Catalogue,
            ChangedNoun::Property,
            ChangedNoun::Resource,
            ChangedNoun::Reader,
        ]
        .into_iter()
        .find(|noun| noun.as_str() == text)
        .ok_or_else(|| StoreError::corrupt("change", "unknown noun"))
    }
}

/// One row of the feed: read the object again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// Its place in the feed, from 1 without gaps; the oldest are forgotten in time.
    pub number: i64,
    /// What changed.
    pub noun: ChangedNoun,
    /// Which one.
    pub object_id: String,
}

pub(crate) async fn append(
    link: &mut Link,
    changes: &[(ChangedNoun, String)],
    now: Timestamp,
) -> Result<(), StoreError> {
    let count = changes.len() as i64;
    if count == 0 {
        return Ok(());
    }
    let numbers = fetch_all!(
        &mut *link,
        (i64,),
        "UPDATE counter SET value = value + $1 WHERE name = 'change' RETURNING value",
        count
    )?;
    let (last,) = numbers
        .into_iter()
        .next()
        .ok_or_else(|| StoreError::corrupt("counter", "no change row"))?;
    for (number, (noun, object)) in (last - count + 1..).zip(changes) {
        execute!(
            &mut *link,
            "INSERT INTO change (number, noun, object_id, at) VALUES ($1, $2, $3, $4)",
            number,
            noun.as_str(),
            object,
            now.micros()
        )?;
    }
    Ok(())
}

impl Transaction {
    /// Forgets some of the changes that were made before a moment, the oldest first, but never the
    /// newest: by the number after it a reader sees that it has missed some.
    pub async fn forget_changes_before(&mut self, at: Timestamp) -> Result<(), StoreError> {
        execute!(
            self.link(),
            "DELETE FROM change
             WHERE number IN (SELECT number FROM change ORDER BY number LIMIT 1000)
               AND at < $1 AND number < (SELECT value FROM counter WHERE name = 'change')",
            at.micros()
        )?;
        Ok(())
    }
}

impl Reader {
    /// The number of the newest change; 0 when there is none.
    pub async fn last_change(&mut self) -> Result<i64, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            (i64,),
            "SELECT value FROM counter WHERE name = 'change'"
        )?;
        Ok(rows.first().map_or(0, |(number,)| *number))
    }

    /// The changes after a number, oldest first, at most `limit`.
    pub async fn changes_after(
        &mut self,
        number: i64,
        limit: i64,
    ) -> Result<Vec<Change>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            (i64, String, String),
            "SELECT number, noun, object_id FROM change WHERE number > $1 ORDER BY number LIMIT $2",
            number,
            limit
        )?;
        rows.into_iter()
            .map(|(number, noun, object_id)| {
                Ok(Change {
                    number,
                    noun: ChangedNoun::parse(&noun)?,
                    object_id,
                })
            })
            .collect()
    }
}
