//! The pages of properties: looked up from memory, made, changed and removed.

use std::sync::Arc;

use wayleave_core::{
    PropertyId, Resource, ResourceError, ResourceId, ResourceOrigin, ResourceUpdate,
    check_resource_key,
};
use wayleave_store::{StoreError, Transaction};

use crate::content::HeldProperty;
use crate::engine::Engine;
use crate::ports::random;

/// How often a page is tried to be made or changed while others make and remove it.
const MOST_TRIES: usize = 10;

/// Why a page was not made, changed or removed.
#[derive(Debug, thiserror::Error)]
pub enum ResourceRefusal {
    /// The property has no such page.
    #[error("there is no such resource")]
    NotFound,
    /// It cannot be.
    #[error(transparent)]
    Invalid(#[from] ResourceError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Engine {
    /// A page of a property; from memory, where it was asked about lately. Errors: the database is away.
    pub async fn resource(
        &self,
        property: PropertyId,
        key: &str,
    ) -> Result<Option<Arc<Resource>>, StoreError> {
        let miss = match self.pages.get(property, key) {
            Ok(page) => return Ok(page),
            Err(miss) => miss,
        };
        // What cannot name a page is not asked for.
        if check_resource_key(key).is_err() {
            return Ok(None);
        }
        let wanted = key.to_owned();
        let read = self
            .store
            .read(move |reader| Box::pin(async move { reader.resource(property, &wanted).await }));
        let page = read.await?.map(Arc::new);
        self.pages.put(property, key, miss, page.clone());
        Ok(page)
    }

    /// Pages of a property in the order in which they were made, after one; at most `limit`.
    pub async fn resources_after(
        &self,
        property: PropertyId,
        after: Option<ResourceId>,
        limit: i64,
    ) -> Result<Vec<Resource>, StoreError> {
        self.store
            .read(move |reader| Box::pin(reader.resources_after(property, after, limit)))
            .await
    }

    /// Makes a page, or changes the one that there is; it counts from the next request on.
    pub async fn put_resource(
        &self,
        property: &Arc<HeldProperty>,
        key: &str,
        update: ResourceUpdate,
    ) -> Result<Resource, ResourceRefusal> {
        check_resource_key(key)?;
        for _ in 0..MOST_TRIES {
            let put = self.try_to_put(property, key, update.clone()).await;
            match put {
                // Another request made it or removed it meanwhile.
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(error.into()),
                Ok(put) => {
                    self.catch_up_soon().await;
                    return put.map_err(ResourceRefusal::Invalid);
                }
            }
        }
        Err(StoreError::Conflict.into())
    }

    async fn try_to_put(
        &self,
        property: &Arc<HeldProperty>,
        key: &str,
        update: ResourceUpdate,
    ) -> Result<Result<Resource, ResourceError>, StoreError> {
        let (property, key) = (property.clone(), key.to_owned());
        let now = self.now();
        let id = ResourceId::new(now, random(&*self.randomness));
        self.store
            .write(now, move |transaction| {
                Box::pin(async move {
                    let held = transaction.hold_resource(property.id, &key).await?;
                    let settings = &property.settings;
                    let Some(mut resource) = held else {
                        let of = (id, property.id, key.as_str());
                        let origin = ResourceOrigin::Api;
                        let made = update.create(of, settings, origin, now);
                        return add(transaction, made).await;
                    };
                    if let Err(error) = update.apply(&mut resource, settings, now) {
                        return Ok(Err(error));
                    }
                    // Whoever manages a page that could not be read has put it right.
                    resource.origin = ResourceOrigin::Api;
                    transaction.change_resource(&resource).await?;
                    Ok(Ok(resource))
                })
            })
            .await
    }

    /// Removes a page; gives it back as it was.
    pub async fn remove_resource(
        &self,
        property: PropertyId,
        key: &str,
    ) -> Result<Resource, ResourceRefusal> {
        check_resource_key(key).map_err(|_| ResourceRefusal::NotFound)?;
        let key = key.to_owned();
        let removed = self.store.write(self.now(), move |transaction| {
            Box::pin(async move {
                let held = transaction.hold_resource(property, &key).await?;
                let resource = held.ok_or(StoreError::NotFound)?;
                transaction.remove_resource(&resource).await?;
                Ok(resource)
            })
        });
        let resource = removed.await.map_err(|error| match error {
            StoreError::NotFound => ResourceRefusal::NotFound,
            other => ResourceRefusal::Store(other),
        })?;
        self.catch_up_soon().await;
        Ok(resource)
    }
}

async fn add(
    transaction: &mut Transaction,
    made: Result<Resource, ResourceError>,
) -> Result<Result<Resource, ResourceError>, StoreError> {
    if let Ok(resource) = &made {
        transaction.add_resource(resource).await?;
    }
    Ok(made)
}
