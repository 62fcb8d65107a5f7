use wayleave_core::{PropertyId, Resource, ResourceId, ResourcePricing, Timestamp};

use crate::{ChangedNoun, Reader, StoreError, Transaction, must_touch};

type Row = (
    String,
    String,
    String,
    String,
    i64,
    String,
    String,
    String,
    String,
    i64,
    String,
    String,
    String,
    String,
    String,
    i64,
);

/// The columns of a [`Row`], in its order.
macro_rules! select_resources {
    ($rest:literal) => {
        concat!(
            "SELECT id, property_id, external_key, name, active, url, title, byline, description,
                 published_at, pricing_group, pricing, paywall_description,
                 paywall_short_description, origin, changed_at
             FROM resource ",
            $rest
        )
    };
}

/// Runs a statement over all that is stored of a page, in the order of a [`Row`].
macro_rules! write_resource {
    ($link:expr, $sql:literal, $resource:expr) => {
        execute!(
            $link,
            $sql,
            $resource.id.to_string(),
            $resource.property_id.to_string(),
            &$resource.key,
            &$resource.name,
            i64::from($resource.active),
            &$resource.url,
            &$resource.title,
            &$resource.byline,
            &$resource.description,
            $resource.published_at.micros(),
            &$resource.pricing_group,
            write_pricing(&$resource.pricing)?,
            &$resource.paywall_description,
            &$resource.paywall_short_description,
            $resource.origin.as_str(),
            $resource.changed_at.micros()
        )
    };
}

fn from_row(row: Row) -> Result<Resource, StoreError> {
    Ok(Resource {
        id: StoreError::read("resource", &row.0)?,
        property_id: StoreError::read("resource", &row.1)?,
        key: row.2,
        name: row.3,
        active: row.4 != 0,
        url: row.5,
        title: row.6,
        byline: row.7,
        description: row.8,
        published_at: Timestamp::from_micros(row.9),
        pricing_group: row.10,
        pricing: read_pricing(&row.11)?,
        paywall_description: row.12,
        paywall_short_description: row.13,
        origin: StoreError::read("resource", &row.14)?,
        changed_at: Timestamp::from_micros(row.15),
    })
}

fn read_pricing(text: &str) -> Result<ResourcePricing, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::corrupt("resource", error))
}

fn write_pricing(pricing: &ResourcePricing) -> Result<String, StoreError> {
    serde_json::to_string(pricing).map_err(|error| StoreError::corrupt("resource", error))
}

impl Reader {
    /// The page of a property that has a key.
    pub async fn resource(
        &mut self,
        property_id: PropertyId,
        key: &str,
    ) -> Result<Option<Resource>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            select_resources!("WHERE property_id = $1 AND external_key = $2"),
            property_id.to_string(),
            key
        )?;
        rows.into_iter().next().map(from_row).transpose()
    }

    /// Pages of a property in the order in which they were made, after one; at most `limit`.
    pub async fn resources_after(
        &mut self,
        property_id: PropertyId,
        after: Option<ResourceId>,
        limit: i64,
    ) -> Result<Vec<Resource>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            select_resources!("WHERE property_id = $1 AND id > $2 ORDER BY id LIMIT $3"),
            property_id.to_string(),
            after.map(|id| id.to_string()).unwrap_or_default(),
            limit
        )?;
        rows.into_iter().map(from_row).collect()
    }

    /// The ids of the pricing groups that pages of a property are of.
    pub async fn pricing_groups_in_use(
        &mut self,
        property_id: PropertyId,
    ) -> Result<Vec<String>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            (String,),
            "SELECT DISTINCT pricing_group FROM resource WHERE property_id = $1",
            property_id.to_string()
        )?;
        Ok(rows.into_iter().map(|(group,)| group).collect())
    }
}

impl Transaction {
    /// Adds a page; [`StoreError::Conflict`] when the property has one of this key.
    pub async fn add_resource(&mut self, resource: &Resource) -> Result<(), StoreError> {
        let added = write_resource!(
            self.link(),
            "INSERT INTO resource
                 (id, property_id, external_key, name, active, url, title, byline, description,
                  published_at, pricing_group, pricing, paywall_description,
                  paywall_short_description, origin, changed_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
             ON CONFLICT (property_id, external_key) DO NOTHING",
            resource
        )?;
        must_touch(added, StoreError::Conflict)?;
        self.resource_changed(resource.property_id, &resource.key);
        Ok(())
    }

    /// Reads a page that is to be changed; nobody else changes it until the end of the transaction.
    pub async fn hold_resource(
        &mut self,
        property_id: PropertyId,
        key: &str,
    ) -> Result<Option<Resource>, StoreError> {
        execute!(
            self.link(),
            "UPDATE resource SET changed_at = changed_at
             WHERE property_id = $1 AND external_key = $2",
            property_id.to_string(),
            key
        )?;
        self.reader().resource(property_id, key).await
    }

    /// Writes a page anew, found by its id; [`StoreError::NotFound`] when there is none.
    pub async fn change_resource(&mut self, resource: &Resource) -> Result<(), StoreError> {
        let found = write_resource!(
            self.link(),
            "UPDATE resource
             SET name = $4, active = $5, url = $6, title = $7, byline = $8, description = $9,
                 published_at = $10, pricing_group = $11, pricing = $12, paywall_description = $13,
                 paywall_short_description = $14, origin = $15, changed_at = $16
             WHERE id = $1 AND property_id = $2 AND external_key = $3",
            resource
        )?;
        must_touch(found, StoreError::NotFound)?;
        self.resource_changed(resource.property_id, &resource.key);
        Ok(())
    }

    /// Removes a page; [`StoreError::NotFound`] when there is none.
    pub async fn remove_resource(&mut self, resource: &Resource) -> Result<(), StoreError> {
        let found = execute!(
            self.link(),
            "DELETE FROM resource WHERE id = $1",
            resource.id.to_string()
        )?;
        must_touch(found, StoreError::NotFound)?;
        self.forget_resource_count(resource.id).await?;
        self.resource_changed(resource.property_id, &resource.key);
        Ok(())
    }

    /// Notes that every node has to read a page again.
    fn resource_changed(&mut self, property_id: PropertyId, key: &str) {
        self.changed(ChangedNoun::Resource, format!("{property_id} {key}"));
    }
}
