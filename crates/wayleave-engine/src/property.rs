use std::sync::Arc;

use serde_json::{Value, json};
use wayleave_core::{OriginSet, PartnerId, PropertyId, PropertySettings};
use wayleave_store::{Property, StoreError};

use crate::Refusal;
use crate::audit::{Act, Actor};
use crate::content::HeldProperty;
use crate::engine::Engine;
use crate::partner::{must_be_name, not_found};
use crate::ports::random;

/// How many properties are read at once.
const PROPERTIES_AT_ONCE: i64 = 1_000;

/// What settings of a property are to be.
#[derive(Clone, Debug)]
pub enum NewSettings {
    /// These, and no others.
    Whole(Value),
    /// Those that there are with these members in place of theirs (RFC 7396): an object changes the
    /// members that it names, null takes one away, a list replaces the list.
    Part(Value),
}

impl NewSettings {
    fn read(self, before: &PropertySettings) -> Result<PropertySettings, Refusal> {
        let document = match self {
            NewSettings::Whole(document) => document,
            NewSettings::Part(part) => {
                let mut whole = serde_json::to_value(before)
                    .map_err(|error| StoreError::corrupt("property", error))?;
                merge(&mut whole, part);
                whole
            }
        };
        serde_json::from_value(document).map_err(invalid)
    }
}

/// Puts the members of one value into another (RFC 7396).
fn merge(into: &mut Value, part: Value) {
    let Value::Object(part) = part else {
        *into = part;
        return;
    };
    if !into.is_object() {
        *into = json!({});
    }
    for (name, value) in part {
        match value {
            Value::Null => {
                into.as_object_mut().and_then(|into| into.remove(&name));
            }
            value => merge(&mut into[name], value),
        }
    }
}

fn invalid(why: impl ToString) -> Refusal {
    Refusal::Invalid {
        field: "settings",
        why: why.to_string(),
    }
}

/// Why a pricing group stays.
const GROUP_IN_USE: &str =
    "a pricing group that pages are of would be gone: give its pages another one first";

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

    /// Puts the settings of a property; they count from the next request on. Groups that have no id are
    /// given the one that they had, or a new one.
    ///
    /// Errors: [`Refusal::Invalid`] where they contradict themselves; [`Refusal::Forbidden`] where a
    /// pricing group would be gone that pages are of; [`Refusal::Taken`] where somebody else put some
    /// at the same time.
    pub async fn put_settings(
        &self,
        by: &Actor,
        id: PropertyId,
        new: NewSettings,
    ) -> Result<Property, Refusal> {
        let read = self.store.read(move |reader| Box::pin(reader.property(id)));
        let before = read.await?.ok_or(Refusal::NotFound { noun: "property" })?;
        let held = HeldProperty::read(&before)?.settings;
        let mut settings = new.read(&held)?;
        settings.keep_ids_of(&held);
        let fresh = || {
            let random = wayleave_protocol::guid::v4(random(&*self.randomness));
            u128::from_be_bytes(random)
        };
        settings.settle(fresh).map_err(invalid)?;
        let document = serde_json::to_string(&settings)
            .map_err(|error| StoreError::corrupt("property", error))?;
        let version = before.settings_version;
        let act = Act::new("property.settings", id).with(json!({ "version": version + 1 }));
        let put = self.audited(by, act, move |transaction| {
            Box::pin(async move {
                transaction.put_settings(id, version, &document).await?;
                let used = transaction.reader().pricing_groups_in_use(id).await?;
                if used
                    .iter()
                    .any(|group| settings.pricing_group(group).is_none())
                {
                    return Err(StoreError::Refused(GROUP_IN_USE));
                }
                let read = transaction.reader().property(id).await?;
                read.ok_or(StoreError::NotFound)
            })
        });
        let property = put.await.map_err(|error| match error {
            StoreError::Conflict => Refusal::Taken {
                noun: "the version of the settings",
            },
            other => not_found("property")(other),
        })?;
        self.catch_up_soon().await;
        Ok(property)
    }

    /// A property as requests see it, from memory.
    pub fn held_property(&self, id: PropertyId) -> Option<Arc<HeldProperty>> {
        self.properties.get(id)
    }

    /// The same for a use case that needs one.
    pub(crate) fn property_held(&self, id: PropertyId) -> Result<Arc<HeldProperty>, Refusal> {
        let noun = "property";
        self.held_property(id).ok_or(Refusal::NotFound { noun })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_changes_what_it_names() {
        let mut whole = json!({ "a": { "b": 1, "c": [1, 2] }, "d": "x" });
        merge(
            &mut whole,
            json!({ "a": { "c": [3] }, "d": null, "e": { "f": 1 } }),
        );
        assert_eq!(whole, json!({ "a": { "b": 1, "c": [3] }, "e": { "f": 1 } }));
    }
}
