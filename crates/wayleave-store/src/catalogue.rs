use wayleave_core::Timestamp;

use crate::{Reader, StoreError, Transaction, must_touch};

/// A version of the catalogue, as an operator put it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredCatalogue {
    /// Its number; the highest counts.
    pub version: i64,
    /// JSON of `wayleave_core::Catalogue`.
    pub document: String,
    /// The name of who put it.
    pub put_by: String,
    /// When.
    pub created_at: Timestamp,
}

type Row = (i64, String, String, i64);

/// The columns of a [`Row`], in its order.
macro_rules! select_catalogues {
    ($rest:literal) => {
        concat!(
            "SELECT version, document, put_by, created_at
             FROM catalogue ",
            $rest
        )
    };
}

fn from_row((version, document, put_by, created_at): Row) -> StoredCatalogue {
    StoredCatalogue {
        version,
        document,
        put_by,
        created_at: Timestamp::from_micros(created_at),
    }
}

impl Reader {
    /// The catalogue that counts; `None`: none was put yet.
    pub async fn newest_catalogue(&mut self) -> Result<Option<StoredCatalogue>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            select_catalogues!("ORDER BY version DESC LIMIT 1")
        )?;
        Ok(rows.into_iter().next().map(from_row))
    }

    /// One version of the catalogue.
    pub async fn catalogue(&mut self, version: i64) -> Result<Option<StoredCatalogue>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            select_catalogues!("WHERE version = $1"),
            version
        )?;
        Ok(rows.into_iter().next().map(from_row))
    }
}

impl Transaction {
    /// Adds a version; [`StoreError::Conflict`] when somebody else has put one of this number.
    pub async fn add_catalogue(&mut self, catalogue: &StoredCatalogue) -> Result<(), StoreError> {
        let added = execute!(
            self.link(),
            "INSERT INTO catalogue (version, document, put_by, created_at)
             VALUES ($1, $2, $3, $4) ON CONFLICT (version) DO NOTHING",
            catalogue.version,
            &catalogue.document,
            &catalogue.put_by,
            catalogue.created_at.micros()
        )?;
        must_touch(added, StoreError::Conflict)?;
        self.changed(crate::ChangedNoun::Catalogue, catalogue.version);
        Ok(())
    }
}
