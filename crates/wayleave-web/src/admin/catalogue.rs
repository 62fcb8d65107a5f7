use http::StatusCode;
use serde_json::{Value, json};
use wayleave_core::Catalogue;
use wayleave_engine::StoredCatalogue;

use super::reading::{Members, invalid};
use super::{Desk, fault, time};
use crate::answer::{self, Answer};
use crate::fault::Fault;

impl Desk<'_> {
    /// The version that counts.
    pub(super) async fn catalogue(&self) -> Result<Answer, Fault> {
        let current = self.engine.catalogue();
        match current.version {
            0 => {
                let document = json!({
                    "version": 0,
                    "put_by": null,
                    "created_at": null,
                    "catalogue": current.catalogue,
                });
                Ok(answer::json(StatusCode::OK, &document))
            }
            version => self.stored_catalogue(version, StatusCode::OK).await,
        }
    }

    pub(super) async fn catalogue_version(&self, version: &str) -> Result<Answer, Fault> {
        let version: i64 = version.parse().map_err(|_| Fault::NotFound)?;
        self.stored_catalogue(version, StatusCode::OK).await
    }

    async fn stored_catalogue(&self, version: i64, status: StatusCode) -> Result<Answer, Fault> {
        let found = self
            .engine
            .store()
            .read(move |reader| Box::pin(reader.catalogue(version)));
        let found = found.await.map_err(|error| fault(error.into()))?;
        let stored = found.ok_or(Fault::NotFound)?;
        Ok(answer::json(status, &body(&stored)?))
    }

    /// The body of the request is the document.
    pub(super) async fn put_catalogue(&self, members: Members) -> Result<Answer, Fault> {
        let catalogue: Catalogue = serde_json::from_value(members.document())
            .map_err(|error| invalid("catalogue", &error.to_string()))?;
        let put = self.engine.put_catalogue(&self.actor, catalogue).await;
        let version = put.map_err(fault)?.version;
        self.stored_catalogue(version, StatusCode::CREATED).await
    }
}

fn body(stored: &StoredCatalogue) -> Result<Value, Fault> {
    let catalogue: Value =
        serde_json::from_str(&stored.document).map_err(|error| Fault::Internal {
            cause: error.to_string(),
        })?;
    Ok(json!({
        "version": stored.version,
        "put_by": stored.put_by,
        "created_at": time(stored.created_at),
        "catalogue": catalogue,
    }))
}
