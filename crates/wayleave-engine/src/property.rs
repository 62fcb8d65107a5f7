use serde_json::json;
use wayleave_core::{OriginSet, PartnerId, PropertyId};
use wayleave_store::{Property, StoreError};

use crate::Refusal;
use crate::audit::{Act, Actor};
use crate::engine::Engine;
use crate::partner::{must_be_name, not_found};
use crate::ports::random;

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
        changed.await.map_err(not_found("property"))
    }
}
