//! Filling an environment by the million, for measurements only: no use case does this.

use wayleave_core::{PartnerId, PropertyId, ReaderId, ResourceId};
use wayleave_store::CredentialWithSecrets;

use crate::credential::{IssuedCredential, NewCredential};
use crate::engine::Engine;
use crate::ports::random;
use crate::reader_memory::{Window, page_word};
use crate::{MasterKeyError, Refusal};

impl Engine {
    /// Makes a credential as [`Engine::create_credential`] does, but only hands it back: it is
    /// neither stored nor recorded, and proves nothing. For measurements.
    pub fn draft_credential(
        &self,
        partner_id: PartnerId,
        new: NewCredential,
    ) -> Result<IssuedCredential, Refusal> {
        let (mut credential, secret) = self.compose(new)?;
        credential.credential.partner_id = partner_id;
        Ok(IssuedCredential { credential, secret })
    }

    /// Takes credentials into memory, as loading does, without storing them: they prove requests
    /// to this process until it ends. For measurements.
    pub fn fill(
        &self,
        credentials: impl IntoIterator<Item = CredentialWithSecrets>,
    ) -> Result<(), MasterKeyError> {
        let now = self.now();
        credentials
            .into_iter()
            .try_for_each(|stored| self.directory.put_credential(&stored, &self.vault, now))
    }

    /// Takes a new anonymous reader into memory who has seen pages of a property, without storing
    /// them; gives their user token. For measurements.
    pub fn fill_reader(
        &self,
        property_id: PropertyId,
        pages: &[ResourceId],
    ) -> Result<String, Refusal> {
        let now = self.now();
        let id = ReaderId::new(now, random(&*self.randomness));
        let period = self.property_held(property_id)?.settings.quota.period;
        let window = Window::of(period, now);
        for (hits, page) in (1..).zip(pages) {
            let page = (page_word(*page), hits);
            self.readers.add_page(id, window, page, Some(now));
        }
        Ok(self.token_of_anonymous(property_id, id, now))
    }
}
