use std::sync::Arc;

use serde_json::json;
use wayleave_core::{OriginSet, PartnerId, PropertyId};
use wayleave_store::{Property, StoreError};

use crate::Refusal;
use crate::audit::{Act, Actor};
use crate::content::HeldProperty;
use crate::engine::Engine;
use crate::partner::{must_be_name, not_found};
use crate::ports::random;

/// How many properties are read at once.
const PROPERTIES_AT_ONCE: i64 = 1_000;

impl Engine {
    /// Names a content site of a partner. `origins`: where its pages live.
    pub async fn create_property(
        &self,
        by: &Actor,
        partner_id: PartnerId,
        name: &str,
        origins: OriginSet,
    ) -> Result<Property, Refusal> {
        must_be_name(name)?;
        let now = self.now();
        let property = Property {
            id: PropertyId::new(now, random(&*self.randomness)),
            partner_id,
            name: name.to_owned(),
            origins,
            created_at: now,
            settings: None,
            settings_version: 0,
        };
        let added = property.clone();
        let act = Act::new("property.create", property.id).with(json!({
            "partner": partner_id.to_string(),
            "name": name,
            "origins": property.origins.to_string(),
        }));
        let written = self.audited(by, act, move |transaction| {
            Box::pin(async move { transaction.add_property(&added).await })
        });
        written.await.map_err(not_found("partner"))?;
        self.catch_up_soon().await;
        Ok(property)
    }

    /// Gives a property another name or other origins; `None` leaves them.
    pub async fn change_property(
        &self,
        by: &Actor,
        id: PropertyId,
        name: Option<String>,
        origins: Option<OriginSet>,
    ) -> Result<Property, Refusal> {
        if let Some(name) = &name {
            must_be_name(name)?;
        }
        let act = Act::new("property.change", id).with(json!({
            "name": name,
            "origins": origins.as_ref().map(OriginSet::to_string),
        }));
        let changed = self.audited(by, act, move |transaction| {
            Box::pin(async move {
                let (name, origins) = (name.as_deref(), origins.as_ref());
                transaction.change_property(id, name, origins).await?;
                let read = transaction.reader().property(id).await?;
                read.ok_or(StoreError::NotFound)
            })
        });
        let property = changed.await.map_err(not_found("property"))?;
        self.catch_up_soon().await;
        Ok(property)
    }

    /// A property as requests see it, from memory.
    pub fn held_property(&self, id: PropertyId) -> Option<Arc<HeldProperty>> {
        self.properties.get(id)
    }

    /// Takes over every property from the store.
    pub(crate) async fn load_properties(&self) -> Result<(), Refusal> {
        let mut after = None;
        loop {
            let read = self.store.read(move |reader| {
                Box::pin(reader.properties_after(None, after, PROPERTIES_AT_ONCE))
            });
            let page = read.await?;
            for property in &page {
                self.skip_unreadable("property", self.put_property(property))?;
            }
            match page.last() {
                Some(last) => after = Some(last.id),
                None => return Ok(()),
            }
        }
    }

    /// Takes over a property that has changed.
    pub(crate) async fn apply_property(&self, id: &str) -> Result<(), Refusal> {
        let id: PropertyId = id
            .parse()
            .map_err(|error| StoreError::corrupt("change", error))?;
        let read = self
            .store
            .read(move |reader| Box::pin(reader.property(id)))
            .await?;
        read.as_ref().map_or(Ok(()), |read| self.put_property(read))
    }

    fn put_property(&self, property: &Property) -> Result<(), Refusal> {
        Ok(self.properties.put(property)?)
    }

    /// Forgets a page that has changed. `name`: its property, a blank and its key.
    pub(crate) fn forget_page(&self, name: &str) {
        if let Some((property, key)) = name.split_once(' ')
            && let Ok(property) = property.parse()
        {
            self.pages.forget(property, key);
        }
    }
}
