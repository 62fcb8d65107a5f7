use wayleave_core::{
    Audience, CredentialId, CredentialState, Environment, IntegrationId, PublicId, SchemeSet,
    ScopeSet, SecretId,
};
use wayleave_protocol::guid;
use wayleave_protocol::key_text::{self, KeyEnvironment, KeyKind};
use wayleave_protocol::secret::SecretText;
use wayleave_store::{Credential, Secret, SecretForm, StoreError};

use crate::directory::secret_row;
use crate::engine::Engine;
use crate::partner::not_found;
use crate::ports::random;
use crate::{Refusal, Vault};

/// The longest secret that can be imported, in bytes.
const LONGEST_SECRET_BYTES: usize = 256;

/// What a new credential is to be.
#[derive(Debug)]
pub struct NewCredential {
    /// The client program that it is for.
    pub integration_id: IntegrationId,
    /// What it opens.
    pub audience: Audience,
    /// How it may prove a request; `None`: as is usual for the audience.
    pub schemes: Option<SchemeSet>,
    /// What it may do within the audience.
    pub scopes: ScopeSet,
    /// An id and a secret that partners have already; `None`: new ones are made.
    pub imported: Option<ImportedPair>,
}

/// An id and a secret from elsewhere.
#[derive(Debug)]
pub struct ImportedPair {
    /// The public id.
    pub public_id: String,
    /// Its secret.
    pub secret: SecretText,
}

/// A credential just made, with its secret: the only time that the secret is seen (law 5).
#[derive(Debug)]
pub struct IssuedCredential {
    /// The credential as stored.
    pub credential: Credential,
    /// The secret, to be shown once.
    pub secret: SecretText,
}

/// The environment in our own key texts.
fn key_environment(environment: Environment) -> KeyEnvironment {
    match environment {
        Environment::Live => KeyEnvironment::Live,
        Environment::Test => KeyEnvironment::Test,
    }
}

/// Whether secrets of an audience must sign (sealed) or only be checked (hashed).
fn form(audience: Audience) -> SecretForm {
    match audience {
        Audience::Platform | Audience::Routes => SecretForm::Hashed,
        Audience::Management | Audience::Access => SecretForm::Sealed,
    }
}

/// A new pair from two pieces of randomness.
fn new_pair(
    environment: Environment,
    audience: Audience,
    for_id: [u8; 32],
    for_secret: [u8; 32],
) -> ImportedPair {
    let environment = key_environment(environment);
    let (public_id, kind) = match audience {
        Audience::Platform => (
            key_text::compose(KeyKind::ClientId, environment, &for_id),
            KeyKind::ClientSecret,
        ),
        Audience::Routes => (
            key_text::compose(KeyKind::ApiKey, environment, &for_id),
            KeyKind::ApiSecret,
        ),
        Audience::Management | Audience::Access => {
            let mut half = [0; 16];
            half.copy_from_slice(&for_id[..16]);
            (guid::format_upper(&guid::v4(half)), KeyKind::SigningSecret)
        }
    };
    let secret = SecretText::new(key_text::compose(kind, environment, &for_secret));
    ImportedPair { public_id, secret }
}

fn check_secret(secret: &SecretText) -> Result<(), Refusal> {
    let text = secret.expose();
    let why = if text.is_empty() || text.len() > LONGEST_SECRET_BYTES {
        "a secret has 1 to 256 bytes"
    } else if text.chars().any(char::is_control) {
        "a secret must not contain control characters"
    } else {
        return Ok(());
    };
    Err(Refusal::Invalid {
        field: "secret",
        why: why.to_owned(),
    })
}

impl Engine {
    /// Makes a credential, or imports one. The answer is the only place where its secret is seen.
    pub async fn create_credential(&self, new: NewCredential) -> Result<IssuedCredential, Refusal> {
        let now = self.now();
        let pair = new.imported.unwrap_or_else(|| {
            let randomness = &*self.randomness;
            new_pair(
                self.environment(),
                new.audience,
                random(randomness),
                random(randomness),
            )
        });
        check_secret(&pair.secret)?;
        let public_id =
            PublicId::parse(&pair.public_id, new.audience).map_err(|error| Refusal::Invalid {
                field: "public_id",
                why: error.to_string(),
            })?;
        let id = CredentialId::new(now, random(&*self.randomness));
        let read_partner = self
            .store
            .read(move |reader| Box::pin(reader.integration(new.integration_id)));
        let integration = read_partner.await?.ok_or(Refusal::NotFound {
            noun: "integration",
        })?;
        let credential = Credential {
            id,
            public_id,
            integration_id: new.integration_id,
            partner_id: integration.partner_id,
            audience: new.audience,
            schemes: new
                .schemes
                .unwrap_or_else(|| new.audience.default_schemes()),
            scopes: new.scopes,
            state: CredentialState::Active,
            not_before_at: now,
            created_at: now,
            revoked_at: None,
        };
        let secret = self.keep(id, new.audience, &pair.secret);
        self.add_credential(credential.clone(), secret).await?;
        Ok(IssuedCredential {
            credential,
            secret: pair.secret,
        })
    }

    async fn add_credential(&self, credential: Credential, secret: Secret) -> Result<(), Refusal> {
        let written = self.store.write(self.now(), move |transaction| {
            Box::pin(async move { transaction.add_credential(&credential, &secret).await })
        });
        written.await.map_err(|error| match error {
            StoreError::Conflict => Refusal::Taken { noun: "id" },
            other => not_found("integration")(other),
        })?;
        self.catch_up_soon().await;
        Ok(())
    }

    /// A secret in the form in which its audience keeps it.
    fn keep(&self, credential_id: CredentialId, audience: Audience, secret: &SecretText) -> Secret {
        let now = self.now();
        let id = SecretId::new(now, random(&*self.randomness));
        let form = form(audience);
        let material = match form {
            SecretForm::Hashed => self.vault.hash_secret(secret.expose()).to_vec(),
            SecretForm::Sealed => self.vault.seal(
                &secret_row(id),
                secret.expose().as_bytes(),
                &*self.randomness,
            ),
        };
        let master_key_id = self.vault.newest_key_id().to_owned();
        Secret {
            id,
            credential_id,
            form,
            master_key_id,
            material,
            created_at: now,
        }
    }

    /// Ends a credential and its tokens; holds from the next request on.
    pub async fn revoke_credential(&self, id: CredentialId) -> Result<Credential, Refusal> {
        let now = self.now();
        let revoked = self.store.write(now, move |transaction| {
            Box::pin(async move {
                transaction.revoke_credential(id, now).await?;
                transaction
                    .reader()
                    .credential(id)
                    .await?
                    .ok_or(StoreError::NotFound)
            })
        });
        let revoked = revoked.await.map_err(not_found("credential"))?;
        self.catch_up().await?;
        Ok(revoked.credential)
    }
}

impl Vault {
    /// A pair that is always the same for a label: what a demonstration hands out, so that keys
    /// stay the same from start to start and no secret has to be stored.
    pub fn derived_pair(
        &self,
        environment: Environment,
        audience: Audience,
        label: &str,
    ) -> ImportedPair {
        let piece = |what: &str| self.derive(&format!("{label} {} {what}", audience.as_str()));
        new_pair(environment, audience, piece("id"), piece("secret"))
    }
}
