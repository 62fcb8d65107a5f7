use http::StatusCode;
use serde_json::{Value, json};
use wayleave_core::{Origin, OriginSet, PartnerId, PropertyId};
use wayleave_engine::{HeldProperty, NewSettings, Property};

use super::reading::{Members, Page, page_answer};
use super::{Desk, fault, time};
use crate::answer::{self, Answer};
use crate::fault::Fault;

impl Desk<'_> {
    pub(super) async fn properties(&self, page: &mut Page) -> Result<Answer, Fault> {
        let partner = page.parsed::<PartnerId>("partner")?;
        let (after, limit) = (page.parsed::<PropertyId>("after")?, page.limit()?);
        if let Some(given) = self.given {
            let mut found = self.given_properties(given).await?;
            found.retain(|property| {
                partner.is_none_or(|partner| property.partner_id == partner)
                    && after.is_none_or(|after| property.id > after)
            });
            return Ok(page_answer(&found, limit, body));
        }
        let read = self
            .engine
            .store()
            .read(move |reader| Box::pin(reader.properties_after(partner, after, limit + 1)));
        let found = read.await.map_err(|error| fault(error.into()))?;
        Ok(page_answer(&found, limit, body))
    }

    /// Those of the properties that were given to the operator that this environment has.
    pub(super) async fn given_properties(
        &self,
        given: &[PropertyId],
    ) -> Result<Vec<Property>, Fault> {
        let mut ids = given.to_vec();
        ids.sort();
        let read = self.engine.store().read(move |reader| {
            Box::pin(async move {
                let mut found = Vec::new();
                for id in ids {
                    found.extend(reader.property(id).await?);
                }
                Ok(found)
            })
        });
        read.await.map_err(|error| fault(error.into()))
    }

    async fn stored_property(&self, id: &str) -> Result<Property, Fault> {
        let id = self.property_id(id)?;
        let read = self
            .engine
            .store()
            .read(move |reader| Box::pin(reader.property(id)));
        let found = read.await.map_err(|error| fault(error.into()))?;
        found.ok_or(Fault::NotFound)
    }

    pub(super) async fn property(&self, id: &str) -> Result<Answer, Fault> {
        let property = self.stored_property(id).await?;
        Ok(answer::json(StatusCode::OK, &body(&property)))
    }

    pub(super) async fn create_property(&self, mut members: Members) -> Result<Answer, Fault> {
        let partner = members.parsed("partner")?;
        let name = members.required("name")?;
        let origins = members.parsed_optional::<OriginSet>("origins")?;
        members.finish()?;
        let created = self
            .engine
            .create_property(&self.actor, partner, &name, origins.unwrap_or_default())
            .await;
        let property = created.map_err(fault)?;
        Ok(answer::json(StatusCode::CREATED, &body(&property)))
    }

    pub(super) async fn change_property(
        &self,
        id: &str,
        mut members: Members,
    ) -> Result<Answer, Fault> {
        let id = self.property_id(id)?;
        let name = members.optional("name")?;
        let origins = members.parsed_optional::<OriginSet>("origins")?;
        members.finish()?;
        let changed = self
            .engine
            .change_property(&self.actor, id, name, origins)
            .await;
        Ok(answer::json(
            StatusCode::OK,
            &body(&changed.map_err(fault)?),
        ))
    }

    pub(super) async fn settings(&self, id: &str) -> Result<Answer, Fault> {
        let property = self.stored_property(id).await?;
        Ok(answer::json(StatusCode::OK, &settings_body(&property)?))
    }

    /// The body of the request is the document, or the part of it that is to be another.
    pub(super) async fn put_settings(
        &self,
        id: &str,
        members: Members,
        wanted: impl FnOnce(Value) -> NewSettings,
    ) -> Result<Answer, Fault> {
        let id = self.property_id(id)?;
        let new = wanted(members.document());
        let put = self.engine.put_settings(&self.actor, id, new).await;
        let body = settings_body(&put.map_err(fault)?)?;
        Ok(answer::json(StatusCode::OK, &body))
    }

    /// A property that the operator may touch; any other is not there.
    pub(super) fn property_id(&self, text: &str) -> Result<PropertyId, Fault> {
        let id: PropertyId = text.parse().map_err(|_| Fault::NotFound)?;
        match self.given {
            Some(given) if !given.contains(&id) => Err(Fault::NotFound),
            _ => Ok(id),
        }
    }

    /// The same for what is below a property: one that is in this environment.
    pub(super) fn held_property_id(&self, text: &str) -> Result<PropertyId, Fault> {
        let id = self.property_id(text)?;
        let held = self.engine.held_property(id);
        held.map(|_| id).ok_or(Fault::NotFound)
    }
}

fn settings_body(property: &Property) -> Result<Value, Fault> {
    let held = HeldProperty::read(property).map_err(|error| fault(error.into()))?;
    Ok(json!({
        "property": property.id.to_string(),
        "version": property.settings_version,
        "settings": held.settings,
    }))
}

fn body(property: &Property) -> Value {
    let origins: Vec<&str> = property.origins.iter().map(Origin::as_str).collect();
    json!({
        "id": property.id.to_string(),
        "partner": property.partner_id.to_string(),
        "name": property.name,
        "origins": origins,
        "created_at": time(property.created_at),
    })
}
