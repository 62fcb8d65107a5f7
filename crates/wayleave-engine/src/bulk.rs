//! Filling an environment by the million, for measurements only: no use case does this.

use wayleave_core::PartnerId;
use wayleave_store::CredentialWithSecrets;

use crate::credential::{IssuedCredential, NewCredential};
use crate::engine::Engine;
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
}
