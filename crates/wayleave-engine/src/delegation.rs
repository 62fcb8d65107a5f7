//! Credentials that a partner makes by itself: each limited to one of its customers, so that the
//! filter which clients would have to remember is kept here.

use wayleave_core::{Audience, CustomerId, ScopeSet};
use wayleave_store::{Credential, CredentialWithSecrets, Customer};

use crate::Refusal;
use crate::audit::Actor;
use crate::caller::Admitted;
use crate::checkout::Buyer;
use crate::credential::{IssuedCredential, NewCredential};
use crate::engine::Engine;
use crate::listing::{Listed, Page, with_customers};
use crate::once::Claim;

const LIMITED: Refusal = Refusal::Forbidden {
    why: "a credential that is limited to a customer makes, shows and ends none",
};

/// A credential that is to be made for a customer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delegation {
    /// The customer to whom it is limited.
    pub customer: CustomerId,
    /// Its name, for people.
    pub name: String,
    /// What it may do: no more than who makes it.
    pub scopes: ScopeSet,
}

impl Engine {
    /// Makes a credential for one customer of the caller's partner, of the same integration.
    ///
    /// Errors: [`Refusal::Forbidden`] where the caller is limited to a customer itself;
    /// [`Refusal::Invalid`] for scopes that the caller has not.
    pub async fn delegate(
        &self,
        by: &Actor,
        admitted: &Admitted,
        delegation: Delegation,
        claim: Option<Claim>,
    ) -> Result<IssuedCredential, Refusal> {
        let caller = admitted.caller();
        must_act_for_all(admitted)?;
        if !caller.scopes().contains_all(&delegation.scopes) {
            return Err(Refusal::Invalid {
                field: "scopes",
                why: "this credential does not have all of them".to_owned(),
            });
        }
        let new = NewCredential {
            customer_id: Some(delegation.customer),
            name: delegation.name,
            scopes: delegation.scopes,
            ..NewCredential::usual(caller.integration_id(), Audience::Platform)
        };
        self.create_credential_once(by, new, claim).await
    }

    /// A page of the credentials that are limited to customers of the caller's partner, and were not
    /// ended; the newest first.
    ///
    /// Errors: [`Refusal::Forbidden`] where the caller is limited to a customer itself.
    pub async fn delegated(
        &self,
        admitted: &Admitted,
        page: Page,
    ) -> Result<Listed<Credential>, Refusal> {
        must_act_for_all(admitted)?;
        let buyer = Buyer::of(admitted);
        let listed = self.store.read(move |reader| {
            Box::pin(async move {
                let partner_id = buyer.partner_id();
                let rows = reader
                    .delegated(partner_id, page.start, page.length)
                    .await?;
                let total = reader.count_delegated(partner_id).await?;
                with_customers(reader, buyer, (rows, total), |row| row.customer_id).await
            })
        });
        listed.await.map_err(Refusal::Store)
    }

    /// One of them by its public id, with its customer; also where it was ended.
    ///
    /// Errors: [`Refusal::Forbidden`] where the caller is limited to a customer itself;
    /// [`Refusal::NotFound`] where its partner has none of this id.
    pub async fn delegated_one(
        &self,
        admitted: &Admitted,
        public_id: &str,
    ) -> Result<(Credential, Customer), Refusal> {
        must_act_for_all(admitted)?;
        let (partner_id, public_id) = (admitted.caller().partner_id(), public_id.to_owned());
        let found = self.store.read(move |reader| {
            Box::pin(async move {
                let found = reader.delegated_one(partner_id, &public_id).await?;
                let Some(credential) = found else {
                    return Ok(None);
                };
                let Some(customer) = credential.customer_id else {
                    return Ok(None);
                };
                let customer = reader.customer(partner_id, customer).await?;
                Ok(customer.map(|customer| (credential, customer)))
            })
        });
        found.await?.ok_or(Refusal::NotFound { noun: "credential" })
    }

    /// Ends one of them for ever; nothing happens where it was ended before. Errors as in
    /// [`Engine::delegated_one`].
    pub async fn revoke_delegated(
        &self,
        by: &Actor,
        admitted: &Admitted,
        public_id: &str,
        claim: Option<Claim>,
    ) -> Result<CredentialWithSecrets, Refusal> {
        let (credential, _) = self.delegated_one(admitted, public_id).await?;
        self.revoke_credential_once(by, credential.id, claim).await
    }
}

fn must_act_for_all(admitted: &Admitted) -> Result<(), Refusal> {
    match admitted.caller().customer_id() {
        None => Ok(()),
        Some(_) => Err(LIMITED),
    }
}
