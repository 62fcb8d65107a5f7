use wayleave_core::{PropertyId, ReaderId, ReaderRole, Timestamp};

use crate::{Card, ChangedNoun, Reader, StoreError, Transaction, must_touch};

/// A reader of a property who has signed in, as stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReaderAccount {
    /// Its id.
    pub id: ReaderId,
    /// Of which property.
    pub property_id: PropertyId,
    /// The name under which they sign in; unique for the property, whatever its case.
    pub user_name: String,
    /// The name by which they are greeted; may be empty.
    pub first_name: String,
    /// Where they get mail; may be empty.
    pub email: String,
    /// What they are for the property, apart from a reader.
    pub role: Option<ReaderRole>,
    /// The card with which they pay.
    pub card: Option<Card>,
    /// When it was made.
    pub created_at: Timestamp,
}

type Row = (
    String,
    String,
    String,
    String,
    String,
    Option<String>,
    Option<String>,
    Option<String>,
    i64,
);

/// The columns of a [`Row`], in its order.
macro_rules! select_accounts {
    ($rest:literal) => {
        concat!(
            "SELECT id, property_id, user_name, first_name, email, role, card, card_label, created_at
             FROM reader_account ",
            $rest
        )
    };
}

fn from_row(row: Row) -> Result<ReaderAccount, StoreError> {
    Ok(ReaderAccount {
        id: StoreError::read("reader", &row.0)?,
        property_id: StoreError::read("reader", &row.1)?,
        user_name: row.2,
        first_name: row.3,
        email: row.4,
        role: StoreError::read_some("reader", row.5.as_deref())?,
        card: row.6.map(|token| Card {
            token,
            label: row.7.unwrap_or_default(),
        }),
        created_at: Timestamp::from_micros(row.8),
    })
}

impl Reader {
    /// One reader who has signed in.
    pub async fn reader_account(
        &mut self,
        id: ReaderId,
    ) -> Result<Option<ReaderAccount>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            select_accounts!("WHERE id = $1"),
            id.to_string()
        )?;
        rows.into_iter().next().map(from_row).transpose()
    }

    /// The reader of a property with a name, whatever its case.
    pub async fn reader_account_named(
        &mut self,
        property_id: PropertyId,
        user_name: &str,
    ) -> Result<Option<ReaderAccount>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            select_accounts!("WHERE property_id = $1 AND folded_name = $2"),
            property_id.to_string(),
            user_name.to_lowercase()
        )?;
        rows.into_iter().next().map(from_row).transpose()
    }

    /// A page of the readers of a property in the order of their ids, after one.
    pub async fn reader_accounts_after(
        &mut self,
        property_id: PropertyId,
        after: Option<ReaderId>,
        limit: i64,
    ) -> Result<Vec<ReaderAccount>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            select_accounts!("WHERE property_id = $1 AND id > $2 ORDER BY id LIMIT $3"),
            property_id.to_string(),
            after.map(|id| id.to_string()).unwrap_or_default(),
            limit
        )?;
        rows.into_iter().map(from_row).collect()
    }
}

impl Transaction {
    /// Adds a reader. [`StoreError::NotFound`] when the property is not there,
    /// [`StoreError::Conflict`] when the name is taken.
    pub async fn add_reader_account(&mut self, account: &ReaderAccount) -> Result<(), StoreError> {
        let property = self.reader().property(account.property_id).await?;
        if property.is_none() {
            return Err(StoreError::NotFound);
        }
        let added = execute!(
            self.link(),
            "INSERT INTO reader_account (id, property_id, user_name, folded_name, first_name, email,
                 role, card, card_label, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING",
            account.id.to_string(),
            account.property_id.to_string(),
            &account.user_name,
            account.user_name.to_lowercase(),
            &account.first_name,
            &account.email,
            account.role.map(ReaderRole::as_str),
            account.card.as_ref().map(|card| card.token.clone()),
            account.card.as_ref().map(|card| card.label.clone()),
            account.created_at.micros()
        )?;
        must_touch(added, StoreError::Conflict)?;
        self.reader_changed(account.id);
        Ok(())
    }

    /// Replaces what may change of a reader: all but id, property and user name.
    /// [`StoreError::NotFound`] when there is none.
    pub async fn change_reader_account(
        &mut self,
        account: &ReaderAccount,
    ) -> Result<(), StoreError> {
        let found = execute!(
            self.link(),
            "UPDATE reader_account
             SET first_name = $2, email = $3, role = $4, card = $5, card_label = $6
             WHERE id = $1",
            account.id.to_string(),
            &account.first_name,
            &account.email,
            account.role.map(ReaderRole::as_str),
            account.card.as_ref().map(|card| card.token.clone()),
            account.card.as_ref().map(|card| card.label.clone())
        )?;
        must_touch(found, StoreError::NotFound)?;
        self.reader_changed(account.id);
        Ok(())
    }

    /// Erases a reader: the account, what was seen, bought and subscribed to, and tokens. Orders stay,
    /// as records of money, with an id that names nobody any more. [`StoreError::NotFound`] when there
    /// is nothing of them.
    pub async fn erase_reader(&mut self, id: ReaderId) -> Result<(), StoreError> {
        let text = id.to_string();
        let mut erased = 0;
        for statement in [
            "DELETE FROM reader_hit WHERE reader_id = $1",
            "DELETE FROM reader_purchase WHERE reader_id = $1",
            "DELETE FROM reader_subscription WHERE reader_id = $1",
            "DELETE FROM temporary_token WHERE reader_id = $1",
            "DELETE FROM reader_account WHERE id = $1",
        ] {
            erased += execute!(self.link(), statement, &text)?;
        }
        must_touch(erased, StoreError::NotFound)?;
        self.reader_changed(id);
        Ok(())
    }

    /// Notes that something about a reader changed that nodes hold in memory.
    pub(crate) fn reader_changed(&mut self, id: ReaderId) {
        self.changed(ChangedNoun::Reader, id);
    }
}
