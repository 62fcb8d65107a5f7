//! The catalogue that counts, in memory; every change of it is a new version.

use std::sync::Arc;

use serde_json::json;
use wayleave_core::{Catalogue, Currency};
use wayleave_store::{StoreError, StoredCatalogue};

use crate::Refusal;
use crate::audit::{Act, Actor};
use crate::engine::Engine;

/// The currency of a catalogue that was never put; nothing has a price in it.
const FIRST_CURRENCY: &str = "EUR";

/// A version of the catalogue.
#[derive(Clone, PartialEq, Debug)]
pub struct CatalogueVersion {
    /// Its number; 0: none was put yet.
    pub version: i64,
    /// What is sold.
    pub catalogue: Catalogue,
}

impl CatalogueVersion {
    /// What there is before an operator has put anything.
    pub(crate) fn nothing() -> Result<Self, Refusal> {
        let currency: Currency = FIRST_CURRENCY
            .parse()
            .map_err(|error| StoreError::corrupt("catalogue", error))?;
        Ok(CatalogueVersion {
            version: 0,
            catalogue: Catalogue::empty(currency),
        })
    }

    fn read(stored: &StoredCatalogue) -> Result<Self, Refusal> {
        Ok(CatalogueVersion {
            version: stored.version,
            catalogue: serde_json::from_str(&stored.document)
                .map_err(|error| StoreError::corrupt("catalogue", error))?,
        })
    }
}

impl Engine {
    /// The catalogue that counts now.
    pub fn catalogue(&self) -> Arc<CatalogueVersion> {
        self.catalogue.load_full()
    }

    /// A version of the catalogue, such as the one that an order keeps its prices from.
    ///
    /// Errors: [`Refusal::NotFound`] where there is none of this number.
    pub async fn catalogue_version(&self, version: i64) -> Result<Arc<CatalogueVersion>, Refusal> {
        let current = self.catalogue();
        if current.version == version {
            return Ok(current);
        }
        let stored = self
            .store
            .read(move |reader| Box::pin(reader.catalogue(version)))
            .await?;
        let stored = stored.ok_or(Refusal::NotFound { noun: "catalogue" })?;
        CatalogueVersion::read(&stored).map(Arc::new)
    }

    /// Puts a new version of the catalogue; it counts from the next request on, for everything that
    /// has no price yet.
    ///
    /// Errors: [`Refusal::Invalid`] where it contradicts itself; [`Refusal::Taken`] where somebody
    /// else put one at the same time.
    pub async fn put_catalogue(
        &self,
        by: &Actor,
        catalogue: Catalogue,
    ) -> Result<Arc<CatalogueVersion>, Refusal> {
        catalogue.check().map_err(|error| Refusal::Invalid {
            field: "catalogue",
            why: error.to_string(),
        })?;
        let document = serde_json::to_string(&catalogue)
            .map_err(|error| StoreError::corrupt("catalogue", error))?;
        let stored = self
            .store
            .read(|reader| Box::pin(reader.newest_catalogue()))
            .await?;
        let version = stored.map_or(0, |stored| stored.version) + 1;
        let row = StoredCatalogue {
            version,
            document,
            put_by: by.name.clone(),
            created_at: self.now(),
        };
        let act = Act::new("catalogue.put", "catalogue").with(json!({ "version": version }));
        let put = self.audited(by, act, move |transaction| {
            Box::pin(async move { transaction.add_catalogue(&row).await })
        });
        put.await.map_err(|error| match error {
            StoreError::Conflict => Refusal::Taken {
                noun: "the version of the catalogue",
            },
            other => Refusal::Store(other),
        })?;
        self.catch_up_soon().await;
        self.catalogue_version(version).await
    }

    /// Takes over the newest version from the store.
    pub(crate) async fn reload_catalogue(&self) -> Result<(), Refusal> {
        let stored = self
            .store
            .read(|reader| Box::pin(reader.newest_catalogue()))
            .await?;
        if let Some(stored) = stored {
            let read = CatalogueVersion::read(&stored)?;
            self.catalogue.store(Arc::new(read));
        }
        Ok(())
    }
}
