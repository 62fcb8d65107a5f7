//! The way from the paywall back to the page from which a reader came.

use std::sync::Arc;

use wayleave_core::{Audience, CredentialId, ReaderId, Resource};
use wayleave_protocol::return_address::{KnownPlaces, return_address};
use wayleave_protocol::user_token::Keeping;

use crate::Refusal;
use crate::content::HeldProperty;
use crate::directory::LookupId;
use crate::engine::Engine;
use crate::reader::SignIn;

/// From where a reader came to the paywall.
#[derive(Clone, Debug)]
pub struct CameFrom {
    credential_id: CredentialId,
    /// The property of the site.
    pub property: Arc<HeldProperty>,
    /// The page, where it is a resource.
    pub resource: Option<Arc<Resource>>,
}

impl Engine {
    /// The property of an Access key set and its page; `None`: there is no such key set. The browser
    /// brings both, so they prove nothing.
    pub async fn came_from(
        &self,
        access_key: &str,
        resource_key: &str,
    ) -> Result<Option<CameFrom>, Refusal> {
        let found = self.directory.with(LookupId::of(access_key), |record| {
            let is_access = record.grant.audience == Audience::Access;
            let property = record.grant.property.filter(|_| is_access);
            property.map(|property| (record.credential_id, property))
        });
        let Some((credential_id, property)) = found.flatten() else {
            return Ok(None);
        };
        let resource = self.resource(property, resource_key).await;
        Ok(Some(CameFrom {
            credential_id,
            property: self.property_held(property)?,
            resource: resource.map_err(Refusal::Store)?,
        }))
    }

    /// Where a reader is sent back to, with a token that counts once in the place of the user token that
    /// the site gave along; without one where that does not count. `query`: that of the paywall's
    /// address. `None`: no known place is named.
    pub async fn hand_back(
        &self,
        from: &CameFrom,
        user_token: &str,
        query: &str,
    ) -> Result<Option<String>, Refusal> {
        let origins = from.property.origins.iter();
        let origins: Vec<&str> = origins.map(|origin| origin.as_str()).collect();
        let known = KnownPlaces {
            origins: &origins,
            resource_url: from.resource.as_ref().map(|resource| resource.url.as_str()),
        };
        if return_address(query, &known, None).is_none() {
            return Ok(None);
        }
        let token = self.read_user_token(from.property.id, user_token, self.now());
        let Some(token) = token else {
            return Ok(return_address(query, &known, None));
        };
        let reader_id = ReaderId::from_number(u128::from_be_bytes(token.reader));
        let sign_in = SignIn {
            credential_id: from.credential_id,
            user_token: None,
            is_remembered: token.keeping == Keeping::Remembered,
        };
        let (text, token) = self.new_temporary_token(reader_id, &sign_in, None);
        let written = self.store.write(self.now(), move |transaction| {
            Box::pin(async move { transaction.add_temporary_token(&token).await })
        });
        written.await?;
        Ok(return_address(query, &known, Some(&text)))
    }
}
