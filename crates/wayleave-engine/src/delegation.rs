//! Credentials that a partner makes by itself: each limited to one of its customers, so that the
//! filter which clients would have to remember is kept here.

use wayleave_core::{Audience, ScopeSet};

use crate::Refusal;
use crate::audit::Actor;
use crate::caller::Admitted;
use crate::credential::{IssuedCredential, NewCredential};
use crate::engine::Engine;

impl Engine {
    /// Makes a credential for one customer of the caller's partner: of the same integration, with
    /// no more scopes than the caller has.
    ///
    /// Errors: [`Refusal::Forbidden`] where the caller is limited to a customer itself;
    /// [`Refusal::NotFound`] where the partner has no customer of this number;
    /// [`Refusal::Invalid`] for scopes that the caller has not.
    pub async fn delegate(
        &self,
        admitted: &Admitted,
        customer: i64,
        name: String,
        scopes: ScopeSet,
        request_id: &str,
    ) -> Result<IssuedCredential, Refusal> {
        let caller = admitted.caller();
        if caller.customer_id().is_some() {
            return Err(Refusal::Forbidden {
                why: "keys that are limited to a customer make no further ones",
            });
        }
        if !caller.scopes().contains_all(&scopes) {
            return Err(Refusal::Invalid {
                field: "scopes",
                why: "these keys do not have all of them".to_owned(),
            });
        }
        let partner_id = caller.partner_id();
        let found = self
            .store
            .read(move |reader| Box::pin(reader.customer_of_number(partner_id, customer)))
            .await?;
        let customer = found.ok_or(Refusal::NotFound { noun: "customer" })?;
        let new = NewCredential {
            integration_id: caller.integration_id(),
            property_id: None,
            customer_id: Some(customer.id),
            name,
            audience: Audience::Platform,
            schemes: None,
            scopes,
            expires_at: None,
            imported: None,
            public_key: None,
        };
        let by = Actor {
            name: caller.credential_id().to_string(),
            request_id: request_id.to_owned(),
        };
        self.create_credential(&by, new).await
    }
}
