use std::collections::HashSet;
use std::time::Duration;

use serde_json::json;
use subtle::ConstantTimeEq;
use wayleave_core::{
    Audience, CredentialId, CredentialState, CustomerId, Environment, IntegrationId, PropertyId,
    PublicId, Scheme, SchemeSet, ScopeSet, SecretId, Timestamp,
};
use wayleave_protocol::guid;
use wayleave_protocol::http_signature::PublicKey;
use wayleave_protocol::key_text::{self, KeyEnvironment, KeyKind};
use wayleave_protocol::secret::SecretText;
use wayleave_store::{
    Credential, CredentialWithSecrets, Secret, SecretForm, StoreError, Transaction,
};

use crate::audit::{Act, Actor};
use crate::directory::{LookupId, secret_row};
use crate::engine::Engine;
use crate::once::{Claim, note_effect};
use crate::partner::not_found;
use crate::ports::random;
use crate::{Refusal, Vault};

/// The longest secret that can be imported, in bytes.
const LONGEST_SECRET_BYTES: usize = 256;
/// The longest name of a credential, in letters.
const LONGEST_NAME: usize = 200;
/// How many secrets of a credential may be good at once.
const MOST_LIVE_SECRETS: usize = 5;
/// How many credentials may be imported in one transaction.
pub const MOST_IMPORTED: usize = 1_000;

/// What a new credential is to be.
#[derive(Debug)]
pub struct NewCredential {
    /// The client program that it is for.
    pub integration_id: IntegrationId,
    /// The property whose key set it is to be: one of the integration's partner.
    pub property_id: Option<PropertyId>,
    /// The customer to whom it is to be limited: one of the integration's partner.
    pub customer_id: Option<CustomerId>,
    /// What it is used for, for people; may be empty.
    pub name: String,
    /// What it opens.
    pub audience: Audience,
    /// How it may prove a request; `None`: as is usual for the audience.
    pub schemes: Option<SchemeSet>,
    /// What it may do within the audience.
    pub scopes: ScopeSet,
    /// From when on it is dead; `None`: never by itself.
    pub expires_at: Option<Timestamp>,
    /// An id and a secret that partners have already; `None`: new ones are made.
    pub imported: Option<ImportedPair>,
    /// A key of the partner's own; then there is no secret.
    pub public_key: Option<RegisteredKey>,
    /// Where events of its property are to be told to; of key sets for management only.
    pub callback_url: Option<String>,
}

impl NewCredential {
    /// One with a secret that is made, as is usual for its audience, without scopes and limits.
    pub fn usual(integration_id: IntegrationId, audience: Audience) -> Self {
        NewCredential {
            integration_id,
            property_id: None,
            customer_id: None,
            name: String::new(),
            audience,
            schemes: None,
            scopes: ScopeSet::default(),
            expires_at: None,
            imported: None,
            public_key: None,
            callback_url: None,
        }
    }
}

/// The public half of a key pair that a partner signs messages with (RFC 9421).
#[derive(Debug)]
pub struct RegisteredKey {
    /// The public id that the partner has already; `None`: a new one is made.
    pub public_id: Option<String>,
    /// The key.
    pub key: PublicKey,
}

/// What a credential is rolled to.
#[derive(Debug)]
pub enum NewKey {
    /// A secret that is made.
    Made,
    /// A secret from elsewhere.
    Secret(SecretText),
    /// A public key of the partner's own.
    Public(PublicKey),
}

/// An id and a secret from elsewhere.
#[derive(Debug)]
pub struct ImportedPair {
    /// The public id.
    pub public_id: String,
    /// Its secret.
    pub secret: SecretText,
}

/// A credential with a secret just made: the only time that the secret is seen (law 5).
#[derive(Debug)]
pub struct IssuedCredential {
    /// The credential as stored.
    pub credential: CredentialWithSecrets,
    /// The secret, to be shown once; `None`: the partner has the key.
    pub secret: Option<SecretText>,
}

/// How a planned change of secrets goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Roll {
    /// How long the secrets that are good now stay good beside the new one; zero ends them at once.
    pub overlap: Duration,
    /// Ends one of them early, once it was not used for so long.
    pub retire_unused: Option<Duration>,
}

/// What became of one entry of an import.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Imported {
    /// It is there now.
    Added,
    /// It was there already, with this secret.
    Present,
    /// Its public id belongs to a credential with another secret.
    Taken,
}

/// The environment in our own key texts.
fn key_environment(environment: Environment) -> KeyEnvironment {
    match environment {
        Environment::Live => KeyEnvironment::Live,
        Environment::Test => KeyEnvironment::Test,
    }
}

/// Whether the secrets of a credential must sign (sealed) or only be checked (hashed).
fn form(audience: Audience, schemes: SchemeSet) -> SecretForm {
    const SIGN: [Scheme; 3] = [Scheme::HttpSignature, Scheme::Sigv4, Scheme::Described];
    if audience.has_guid() || SIGN.into_iter().any(|scheme| schemes.contains(scheme)) {
        SecretForm::Sealed
    } else {
        SecretForm::Hashed
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

/// What the keys of a credential look like, and how its secrets are kept.
struct Kind {
    audience: Audience,
    schemes: SchemeSet,
    /// Of its newest key.
    has_public_key: bool,
}

impl Kind {
    fn form(&self) -> SecretForm {
        form(self.audience, self.schemes)
    }
}

/// A key pair signs messages and can do nothing else.
fn check_public_key(schemes: SchemeSet) -> Result<(), Refusal> {
    if schemes == SchemeSet::of(&[Scheme::HttpSignature]) {
        return Ok(());
    }
    Err(Refusal::Invalid {
        field: "schemes",
        why: "a public key proves requests by http-signature only: make a credential with a secret for the others".to_owned(),
    })
}

/// A change of one credential, decided within its transaction.
type Change = Box<
    dyn FnOnce(&mut CredentialWithSecrets, Timestamp) -> Result<Option<Secret>, StoreError> + Send,
>;

impl Engine {
    /// Makes a credential, or imports one. The answer is the only place where its secret is seen.
    pub async fn create_credential(
        &self,
        by: &Actor,
        new: NewCredential,
    ) -> Result<IssuedCredential, Refusal> {
        self.create_credential_once(by, new, None).await
    }

    /// The same where it is to be done once, however often it is asked for.
    pub(crate) async fn create_credential_once(
        &self,
        by: &Actor,
        new: NewCredential,
        claim: Option<Claim>,
    ) -> Result<IssuedCredential, Refusal> {
        let integration_id = new.integration_id;
        let read = self
            .store
            .read(move |reader| Box::pin(reader.integration(integration_id)));
        let integration = read.await?.ok_or(Refusal::NotFound {
            noun: "integration",
        })?;
        let (new_property, new_customer) = (new.property_id, new.customer_id);
        let (mut stored, secret) = self.compose(new)?;
        stored.credential.partner_id = integration.partner_id;
        let act = Act::new("credential.create", stored.credential.id).with(json!({
            "integration": integration_id.to_string(),
            "audience": stored.credential.audience.as_str(),
            "public_id": stored.credential.public_id.as_str(),
            "property": new_property.map(|id| id.to_string()),
            "customer": new_customer.map(|id| id.to_string()),
        }));
        let (added, now) = (stored.clone(), self.now());
        let written = self.audited(by, act, move |transaction| {
            Box::pin(async move {
                let public_id = &added.credential.public_id;
                note_effect(transaction, claim.as_ref(), public_id, now).await?;
                transaction
                    .add_credential(&added.credential, &added.secrets[0])
                    .await
            })
        });
        written.await.map_err(|error| match error {
            StoreError::Conflict => Refusal::Taken { noun: "id" },
            other => not_found("integration")(other),
        })?;
        self.catch_up_soon().await;
        Ok(IssuedCredential {
            credential: stored,
            secret,
        })
    }

    /// Imports credentials in one transaction, so that partners keep their keys; at most
    /// [`MOST_IMPORTED`]. An entry that is there already changes nothing, so a broken import is
    /// simply repeated. Errors: the place of the first bad entry, and nothing is imported.
    pub async fn import_credentials(
        &self,
        by: &Actor,
        entries: Vec<NewCredential>,
    ) -> Result<Vec<Imported>, (usize, Refusal)> {
        let mut outcomes = Vec::with_capacity(entries.len());
        let mut fresh = Vec::new();
        let mut integrations = HashSet::new();
        for (place, entry) in entries.into_iter().enumerate() {
            let refused = |refusal| (place, refusal);
            self.must_be_integration(entry.integration_id, &mut integrations)
                .await
                .map_err(refused)?;
            let (stored, secret) = self.compose(entry).map_err(refused)?;
            let known = self.known_pair(&stored, secret.as_ref());
            if known.is_none() {
                fresh.push((place, stored));
            }
            outcomes.push(known.unwrap_or(Imported::Added));
        }
        let act = Act::new("credential.import", "").with(json!({ "count": fresh.len() }));
        let written = self.audited(by, act, move |transaction| {
            Box::pin(async move { add_all(transaction, &fresh).await })
        });
        for place in written
            .await
            .map_err(|error| (0, not_found("integration")(error)))?
        {
            outcomes[place] = Imported::Taken;
        }
        self.catch_up_soon().await;
        Ok(outcomes)
    }

    /// `known`: those that were found before.
    async fn must_be_integration(
        &self,
        id: IntegrationId,
        known: &mut HashSet<IntegrationId>,
    ) -> Result<(), Refusal> {
        if known.contains(&id) {
            return Ok(());
        }
        let read = self
            .store
            .read(move |reader| Box::pin(reader.integration(id)));
        match read.await? {
            None => Err(Refusal::NotFound {
                noun: "integration",
            }),
            Some(_) => {
                known.insert(id);
                Ok(())
            }
        }
    }

    /// What an imported pair is to us already.
    fn known_pair(
        &self,
        stored: &CredentialWithSecrets,
        secret: Option<&SecretText>,
    ) -> Option<Imported> {
        let lookup = LookupId::of(stored.credential.public_id.as_str());
        let now_s = self.now().unix_s();
        self.directory.with(lookup, |record| {
            let is_same = match secret {
                Some(secret) => {
                    let is_text = |text: &[u8]| text.ct_eq(secret.expose().as_bytes()).into();
                    let found = record.find_secret(secret.expose(), &self.vault, now_s);
                    found.is_some()
                        || record
                            .live_secrets(now_s)
                            .any(|held| held.signing_text().is_some_and(is_text))
                }
                None => record.live_secrets(now_s).any(|held| {
                    let key = held.public_key();
                    key.is_some_and(|key| key.spki() == stored.secrets[0].material)
                }),
            };
            if is_same {
                Imported::Present
            } else {
                Imported::Taken
            }
        })
    }

    /// A new credential with its first secret, not stored yet; its partner is filled in later.
    pub(crate) fn compose(
        &self,
        new: NewCredential,
    ) -> Result<(CredentialWithSecrets, Option<SecretText>), Refusal> {
        let now = self.now();
        let (registered_id, public_key) = match new.public_key {
            Some(registered) => (registered.public_id, Some(registered.key)),
            None => (None, None),
        };
        let mut pair = new.imported.unwrap_or_else(|| self.new_pair(new.audience));
        if let Some(id) = registered_id {
            pair.public_id = id;
        }
        check_secret(&pair.secret)?;
        check_credential_name(&new.name)?;
        let public_id =
            PublicId::parse(&pair.public_id, new.audience).map_err(|error| Refusal::Invalid {
                field: "public_id",
                why: error.to_string(),
            })?;
        let usual = match public_key {
            Some(_) => SchemeSet::of(&[Scheme::HttpSignature]),
            None => new.audience.default_schemes(),
        };
        let schemes = new.schemes.unwrap_or(usual);
        if public_key.is_some() {
            check_public_key(schemes)?;
        }
        if schemes.is_empty() {
            return Err(Refusal::Invalid {
                field: "schemes",
                why: "without a scheme the credential can prove nothing".to_owned(),
            });
        }
        if new.property_id.is_some() && !new.audience.is_of_property() {
            return Err(Refusal::Invalid {
                field: "property",
                why: "goes with the audiences management and access only".to_owned(),
            });
        }
        if new.customer_id.is_some() && new.audience != Audience::Platform {
            return Err(Refusal::Invalid {
                field: "customer",
                why: "goes with the audience platform only".to_owned(),
            });
        }
        if let Some(url) = &new.callback_url {
            must_take_callbacks(new.audience, new.property_id)?;
            self.check_callback_url(url)?;
        }
        let id = CredentialId::new(now, random(&*self.randomness));
        let credential = Credential {
            id,
            public_id,
            name: new.name,
            integration_id: new.integration_id,
            partner_id: wayleave_core::PartnerId::new(now, [0; 10]),
            property_id: new.property_id,
            customer_id: new.customer_id,
            audience: new.audience,
            schemes,
            scopes: new.scopes,
            state: CredentialState::Active,
            not_before_at: now,
            created_at: now,
            expires_at: new.expires_at,
            revoked_at: None,
            callback_url: new.callback_url,
        };
        let (kept, secret) = match public_key {
            Some(key) => (self.keep_public(id, &key), None),
            None => {
                let kept = self.keep(id, form(new.audience, schemes), &pair.secret);
                (kept, Some(pair.secret))
            }
        };
        let stored = CredentialWithSecrets {
            credential,
            secrets: vec![kept],
        };
        Ok((stored, secret))
    }

    fn new_pair(&self, audience: Audience) -> ImportedPair {
        let randomness = &*self.randomness;
        new_pair(
            self.environment(),
            audience,
            random(randomness),
            random(randomness),
        )
    }

    /// A secret in the form in which its credential keeps it.
    fn keep(&self, credential_id: CredentialId, form: SecretForm, secret: &SecretText) -> Secret {
        let now = self.now();
        let id = SecretId::new(now, random(&*self.randomness));
        let material = match form {
            SecretForm::Sealed => self.vault.seal(
                &secret_row(id),
                secret.expose().as_bytes(),
                &*self.randomness,
            ),
            _ => self.vault.hash_secret(secret.expose()).to_vec(),
        };
        Secret {
            id,
            credential_id,
            form,
            master_key_id: self.vault.newest_key_id().to_owned(),
            material,
            created_at: now,
            superseded_at: None,
            expires_at: None,
            retire_unused: None,
            last_used_at: None,
        }
    }

    /// A public key as it is stored: nothing of it is secret.
    fn keep_public(&self, credential_id: CredentialId, key: &PublicKey) -> Secret {
        let now = self.now();
        Secret {
            id: SecretId::new(now, random(&*self.randomness)),
            credential_id,
            form: SecretForm::Public,
            master_key_id: String::new(),
            material: key.spki(),
            created_at: now,
            superseded_at: None,
            expires_at: None,
            retire_unused: None,
            last_used_at: None,
        }
    }

    /// Ends a credential and its tokens for ever; holds from the next request on.
    pub async fn revoke_credential(
        &self,
        by: &Actor,
        id: CredentialId,
    ) -> Result<CredentialWithSecrets, Refusal> {
        self.revoke_credential_once(by, id, None).await
    }

    /// The same where it is to be done once, however often it is asked for.
    pub(crate) async fn revoke_credential_once(
        &self,
        by: &Actor,
        id: CredentialId,
        claim: Option<Claim>,
    ) -> Result<CredentialWithSecrets, Refusal> {
        let change: Change = Box::new(|stored, now| {
            stored.credential.state = CredentialState::Revoked;
            stored.credential.revoked_at.get_or_insert(now);
            Ok(None)
        });
        self.change_once(by, Act::new("credential.revoke", id), id, change, claim)
            .await
    }

    /// Lets a credential and its tokens count for nothing until it is enabled again.
    pub async fn disable_credential(
        &self,
        by: &Actor,
        id: CredentialId,
    ) -> Result<CredentialWithSecrets, Refusal> {
        self.set_state(by, "credential.disable", id, CredentialState::Disabled)
            .await
    }

    /// Lets a disabled credential count again, with those of its tokens that have not expired.
    pub async fn enable_credential(
        &self,
        by: &Actor,
        id: CredentialId,
    ) -> Result<CredentialWithSecrets, Refusal> {
        self.set_state(by, "credential.enable", id, CredentialState::Active)
            .await
    }

    async fn set_state(
        &self,
        by: &Actor,
        act: &'static str,
        id: CredentialId,
        state: CredentialState,
    ) -> Result<CredentialWithSecrets, Refusal> {
        let change: Change = Box::new(move |stored, _| {
            must_not_be_revoked(stored)?;
            stored.credential.state = state;
            Ok(None)
        });
        self.change(by, Act::new(act, id), id, change).await
    }

    /// Sets the moment from which a credential and its tokens are dead; `None`: never by itself.
    pub async fn expire_credential(
        &self,
        by: &Actor,
        id: CredentialId,
        at: Option<Timestamp>,
    ) -> Result<CredentialWithSecrets, Refusal> {
        let act = Act::new("credential.expire", id)
            .with(json!({ "expires_at": at.map(Timestamp::unix_s) }));
        let change: Change = Box::new(move |stored, _| {
            must_not_be_revoked(stored)?;
            stored.credential.expires_at = at;
            Ok(None)
        });
        self.change(by, act, id, change).await
    }

    /// Says where events of its property are told to with a key set for management; `None`: nowhere.
    pub async fn set_callback_url(
        &self,
        by: &Actor,
        id: CredentialId,
        url: Option<String>,
    ) -> Result<CredentialWithSecrets, Refusal> {
        if let Some(url) = &url {
            self.check_callback_url(url)?;
        }
        let stored = self.stored_credential(id).await?;
        must_take_callbacks(stored.credential.audience, stored.credential.property_id)?;
        // Without its query, which may say more than everybody is to read.
        let shown = url.as_deref().map(|url| url.split('?').next());
        let act = Act::new("credential.callback", id).with(json!({ "url": shown }));
        let change: Change = Box::new(move |stored, _| {
            must_not_be_revoked(stored)?;
            stored.credential.callback_url = url;
            Ok(None)
        });
        self.change(by, act, id, change).await
    }

    /// Gives a credential a new secret or public key; the ones it has stay good for an overlap,
    /// tokens live on. Errors: [`Refusal::Forbidden`] when it is revoked or has as many good keys as
    /// it may; [`Refusal::Invalid`] when it cannot have such a key.
    pub async fn roll_credential(
        &self,
        by: &Actor,
        id: CredentialId,
        roll: Roll,
        new: NewKey,
    ) -> Result<IssuedCredential, Refusal> {
        let kind = self.kind_of(id).await?;
        let (added, secret) = match new {
            NewKey::Public(key) => {
                check_public_key(kind.schemes)?;
                (self.keep_public(id, &key), None)
            }
            NewKey::Made if kind.has_public_key => {
                return Err(Refusal::Invalid {
                    field: "public_key",
                    why: "is missing: the partner makes the keys of this credential".to_owned(),
                });
            }
            new => {
                let secret = match new {
                    NewKey::Secret(own) => own,
                    _ => self.new_pair(kind.audience).secret,
                };
                check_secret(&secret)?;
                (self.keep(id, kind.form(), &secret), Some(secret))
            }
        };
        let act = Act::new("credential.roll", id).with(json!({
            "overlap_s": roll.overlap.as_secs(),
            "secret": added.id.to_string(),
        }));
        let change: Change = Box::new(move |stored, now| {
            must_not_be_revoked(stored)?;
            supersede(stored, roll, now)?;
            Ok(Some(added))
        });
        let credential = self.change(by, act, id, change).await?;
        Ok(IssuedCredential { credential, secret })
    }

    /// Answers a suspected leak: a new public id and secret; the old pair and its tokens are dead
    /// at once.
    pub async fn refresh_credential(
        &self,
        by: &Actor,
        id: CredentialId,
    ) -> Result<IssuedCredential, Refusal> {
        let kind = self.kind_of(id).await?;
        if kind.has_public_key {
            return Err(Refusal::Forbidden {
                why: "the partner makes the keys of this credential: roll it to a new public key with no overlap, or revoke it",
            });
        }
        let (audience, form) = (kind.audience, kind.form());
        let pair = self.new_pair(audience);
        let public_id =
            PublicId::parse(&pair.public_id, audience).map_err(|error| Refusal::Invalid {
                field: "public_id",
                why: error.to_string(),
            })?;
        let added = self.keep(id, form, &pair.secret);
        let act =
            Act::new("credential.refresh", id).with(json!({ "public_id": public_id.as_str() }));
        let change: Change = Box::new(move |stored, now| {
            must_not_be_revoked(stored)?;
            stored.credential.public_id = public_id;
            stored.credential.not_before_at = now;
            for secret in stored
                .secrets
                .iter_mut()
                .filter(|secret| secret.is_live(now))
            {
                secret.superseded_at.get_or_insert(now);
                secret.expires_at = Some(now);
            }
            Ok(Some(added))
        });
        let credential = self.change(by, act, id, change).await?;
        Ok(IssuedCredential {
            credential,
            secret: Some(pair.secret),
        })
    }

    /// Ends one secret of a credential now. Errors: [`Refusal::Forbidden`] for the last good one.
    pub async fn end_secret(
        &self,
        by: &Actor,
        id: CredentialId,
        secret_id: SecretId,
    ) -> Result<CredentialWithSecrets, Refusal> {
        let act =
            Act::new("credential.end_secret", id).with(json!({ "secret": secret_id.to_string() }));
        let change: Change = Box::new(move |stored, now| {
            let live = stored
                .secrets
                .iter()
                .filter(|secret| secret.is_live(now))
                .count();
            let secret = stored
                .secrets
                .iter_mut()
                .find(|secret| secret.id == secret_id);
            let secret = secret.ok_or(StoreError::NotFound)?;
            if secret.is_live(now) {
                if live < 2 {
                    return Err(StoreError::Refused(
                        "this is the credential's last good secret: roll it, or revoke the credential",
                    ));
                }
                secret.expires_at = Some(now);
            }
            Ok(None)
        });
        self.change(by, act, id, change).await
    }

    async fn stored_credential(&self, id: CredentialId) -> Result<CredentialWithSecrets, Refusal> {
        let read = self
            .store
            .read(move |reader| Box::pin(reader.credential(id)));
        read.await?.ok_or(Refusal::NotFound { noun: "credential" })
    }

    async fn kind_of(&self, id: CredentialId) -> Result<Kind, Refusal> {
        let stored = self.stored_credential(id).await?;
        let newest = stored.secrets.last();
        Ok(Kind {
            audience: stored.credential.audience,
            schemes: stored.credential.schemes,
            has_public_key: newest.is_some_and(|secret| secret.form == SecretForm::Public),
        })
    }

    /// Reads a credential, changes it and writes what differs, in one transaction; the change holds
    /// on the next request of this node.
    async fn change(
        &self,
        by: &Actor,
        act: Act,
        id: CredentialId,
        change: Change,
    ) -> Result<CredentialWithSecrets, Refusal> {
        self.change_once(by, act, id, change, None).await
    }

    async fn change_once(
        &self,
        by: &Actor,
        act: Act,
        id: CredentialId,
        change: Change,
        claim: Option<Claim>,
    ) -> Result<CredentialWithSecrets, Refusal> {
        let now = self.now();
        let written = self.audited(by, act, move |transaction| {
            Box::pin(async move {
                note_effect(transaction, claim.as_ref(), id, now).await?;
                change_stored(transaction, id, change, now).await
            })
        });
        let (before, after) = written.await.map_err(not_found("credential"))?;
        self.catch_up_with(&before, id).await;
        Ok(after)
    }
}

/// Gives the public id before the change and the credential after it.
async fn change_stored(
    transaction: &mut Transaction,
    id: CredentialId,
    change: Change,
    now: Timestamp,
) -> Result<(PublicId, CredentialWithSecrets), StoreError> {
    transaction.lock_credential(id).await?;
    let read = transaction.reader().credential(id).await?;
    let before = read.ok_or(StoreError::NotFound)?;
    let mut after = before.clone();
    let added = change(&mut after, now)?;
    if after.credential != before.credential {
        transaction.update_credential(&after.credential).await?;
    }
    if after.credential.public_id != before.credential.public_id {
        transaction.gave_up(&before.credential.public_id);
    }
    for (secret, old) in after.secrets.iter().zip(&before.secrets) {
        if secret != old {
            transaction.update_secret(secret).await?;
        }
    }
    if let Some(secret) = added {
        transaction.add_secret(&secret).await?;
        after.secrets.push(secret);
    }
    Ok((before.credential.public_id, after))
}

/// Adds credentials; gives the places of those whose public id was taken meanwhile.
async fn add_all(
    transaction: &mut Transaction,
    fresh: &[(usize, CredentialWithSecrets)],
) -> Result<Vec<usize>, StoreError> {
    let mut taken = Vec::new();
    for (place, stored) in fresh {
        let added = transaction
            .add_credential(&stored.credential, &stored.secrets[0])
            .await;
        match added {
            Ok(()) => {}
            Err(StoreError::Conflict) => taken.push(*place),
            Err(error) => return Err(error),
        }
    }
    Ok(taken)
}

fn must_take_callbacks(audience: Audience, property: Option<PropertyId>) -> Result<(), Refusal> {
    if audience == Audience::Management && property.is_some() {
        return Ok(());
    }
    Err(Refusal::Invalid {
        field: "callback_url",
        why: "goes with the key sets of a property for management only".to_owned(),
    })
}

fn must_not_be_revoked(stored: &CredentialWithSecrets) -> Result<(), StoreError> {
    if stored.credential.state == CredentialState::Revoked {
        return Err(StoreError::Refused(
            "this credential is revoked for ever: make a new one",
        ));
    }
    Ok(())
}

/// Gives the good secrets of a credential their end.
fn supersede(
    stored: &mut CredentialWithSecrets,
    roll: Roll,
    now: Timestamp,
) -> Result<(), StoreError> {
    let end = now.plus(roll.overlap);
    let mut live = 0;
    for secret in stored
        .secrets
        .iter_mut()
        .filter(|secret| secret.is_live(now))
    {
        secret.superseded_at.get_or_insert(now);
        secret.expires_at = Some(secret.expires_at.map_or(end, |known| known.min(end)));
        secret.retire_unused = roll.retire_unused.or(secret.retire_unused);
        live += usize::from(secret.is_live(now));
    }
    if live >= MOST_LIVE_SECRETS {
        return Err(StoreError::Refused(
            "this credential has five good secrets already: end one, or roll with no overlap",
        ));
    }
    Ok(())
}

fn check_credential_name(name: &str) -> Result<(), Refusal> {
    if name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
        return Err(Refusal::Invalid {
            field: "name",
            why: "a name has at most 200 characters and no control character".to_owned(),
        });
    }
    Ok(())
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
