use wayleave_core::{OriginSet, PartnerId, PropertyId, Timestamp};

use crate::{ChangedNoun, Reader, StoreError, Transaction, must_touch};

/// A content site of a partner, as stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Property {
    /// Its id.
    pub id: PropertyId,
    /// Whose it is.
    pub partner_id: PartnerId,
    /// Its name, for people.
    pub name: String,
    /// Where its pages live.
    pub origins: OriginSet,
    /// When it was made.
    pub created_at: Timestamp,
    /// JSON of `wayleave_core::PropertySettings`; `None`: none were put yet.
    pub settings: Option<String>,
    /// How often its settings were put.
    pub settings_version: i64,
}

type Row = (String, String, String, String, i64, Option<String>, i64);

/// The columns of a [`Row`], in its order.
macro_rules! select_properties {
    ($rest:literal) => {
        concat!(
            "SELECT id, partner_id, name, origins, created_at, settings, settings_version
             FROM property ",
            $rest
        )
    };
}

fn from_row(row: Row) -> Result<Property, StoreError> {
    let (id, partner_id, name, origins, created_at, settings, settings_version) = row;
    Ok(Property {
        id: id
            .parse()
            .map_err(|error| StoreError::corrupt("property", error))?,
        partner_id: partner_id
            .parse()
            .map_err(|error| StoreError::corrupt("property", error))?,
        name,
        origins: origins
            .parse()
            .map_err(|error| StoreError::corrupt("property", error))?,
        created_at: Timestamp::from_micros(created_at),
        settings,
        settings_version,
    })
}

impl Reader {
    /// One property.
    pub async fn property(&mut self, id: PropertyId) -> Result<Option<Property>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            select_properties!("WHERE id = $1"),
            id.to_string()
        )?;
        rows.into_iter().next().map(from_row).transpose()
    }

    /// A page of properties in the order of their ids, after one; those of one partner, or all.
    pub async fn properties_after(
        &mut self,
        partner: Option<PartnerId>,
        after: Option<PropertyId>,
        limit: i64,
    ) -> Result<Vec<Property>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            select_properties!(
                "WHERE id > $1 AND ($2 = '' OR partner_id = $2) ORDER BY id LIMIT $3"
            ),
            after.map(|id| id.to_string()).unwrap_or_default(),
            partner.map(|id| id.to_string()).unwrap_or_default(),
            limit
        )?;
        rows.into_iter().map(from_row).collect()
    }
}

impl Transaction {
    /// Adds a property; [`StoreError::NotFound`] when the partner is not there.
    pub async fn add_property(&mut self, property: &Property) -> Result<(), StoreError> {
        let partner = self.reader().partner(property.partner_id).await?;
        if partner.is_none() {
            return Err(StoreError::NotFound);
        }
        let added = execute!(
            self.link(),
            "INSERT INTO property
                 (id, partner_id, name, origins, created_at, settings, settings_version)
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO NOTHING",
            property.id.to_string(),
            property.partner_id.to_string(),
            &property.name,
            property.origins.to_string(),
            property.created_at.micros(),
            property.settings.clone(),
            property.settings_version
        )?;
        must_touch(added, StoreError::Conflict)?;
        self.changed(ChangedNoun::Property, property.id);
        Ok(())
    }

    /// Gives a property another name or other origins; `None` leaves them.
    /// [`StoreError::NotFound`] when there is none.
    pub async fn change_property(
        &mut self,
        id: PropertyId,
        name: Option<&str>,
        origins: Option<&OriginSet>,
    ) -> Result<(), StoreError> {
        let found = execute!(
            self.link(),
            "UPDATE property SET name = COALESCE($2, name), origins = COALESCE($3, origins)
             WHERE id = $1",
            id.to_string(),
            name.map(str::to_owned),
            origins.map(OriginSet::to_string)
        )?;
        must_touch(found, StoreError::NotFound)?;
        self.changed(ChangedNoun::Property, id);
        Ok(())
    }

    /// Puts the settings of a property: JSON of `wayleave_core::PropertySettings`. `before`: the
    /// version that they were made from. Gives the new version.
    ///
    /// Errors: [`StoreError::Conflict`] when another version counts meanwhile, or there is no such
    /// property.
    pub async fn put_settings(
        &mut self,
        id: PropertyId,
        before: i64,
        settings: &str,
    ) -> Result<i64, StoreError> {
        let found = execute!(
            self.link(),
            "UPDATE property SET settings = $3, settings_version = settings_version + 1
             WHERE id = $1 AND settings_version = $2",
            id.to_string(),
            before,
            settings
        )?;
        must_touch(found, StoreError::Conflict)?;
        self.changed(ChangedNoun::Property, id);
        Ok(before + 1)
    }
}
