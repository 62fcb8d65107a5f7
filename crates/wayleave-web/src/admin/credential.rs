use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};
use wayleave_core::{
    Audience, CredentialId, CredentialState, CustomerId, IntegrationId, PartnerId, PropertyId,
    SchemeSet, ScopeSet, SecretId, Timestamp,
};
use wayleave_engine::{
    CredentialFilter, CredentialWithSecrets, Imported, ImportedPair, IssuedCredential,
    MOST_IMPORTED, NewCredential, NewKey, PublicKey, Refusal, RegisteredKey, Roll, Secret,
    SecretForm,
};
use wayleave_protocol::secret::SecretText;

use super::reading::{Members, Page, invalid, page_answer};
use super::{Desk, fault, time};
use crate::answer::{self, Answer};
use crate::fault::Fault;

/// How long old secrets stay good beside a new one unless it is said otherwise.
const USUAL_OVERLAP: Duration = Duration::from_secs(7 * 24 * 3600);
const LONGEST_OVERLAP: Duration = Duration::from_secs(365 * 24 * 3600);

impl Desk<'_> {
    pub(super) async fn credentials(&self, page: &mut Page) -> Result<Answer, Fault> {
        let filter = CredentialFilter {
            partner_id: page.parsed::<PartnerId>("partner")?,
            integration_id: page.parsed::<IntegrationId>("integration")?,
            property_id: self.wanted_property(page.parsed::<PropertyId>("property")?)?,
            audience: page.parsed::<Audience>("audience")?,
            state: page.parsed::<CredentialState>("state")?,
            public_id: page.text("public_id").map(as_stored),
        };
        let (after, limit) = (page.parsed::<CredentialId>("after")?, page.limit()?);
        let found = self.engine.store().read(move |reader| {
            Box::pin(async move { reader.credentials(&filter, after, limit + 1).await })
        });
        let found = found.await.map_err(|error| fault(error.into()))?;
        let now = self.engine.now();
        Ok(page_answer(&found, limit, |stored| body(stored, now)))
    }

    pub(super) async fn credential(&self, id: &str) -> Result<Answer, Fault> {
        let id: CredentialId = id.parse().map_err(|_| Fault::NotFound)?;
        Ok(self.answer(&self.find_credential(id).await?))
    }

    /// A credential that the operator may touch; any other is not there.
    async fn find_credential(&self, id: CredentialId) -> Result<CredentialWithSecrets, Fault> {
        let found = self
            .engine
            .store()
            .read(move |reader| Box::pin(reader.credential(id)));
        let found = found.await.map_err(|error| fault(error.into()))?;
        let found = found.filter(|stored| self.may_touch(stored));
        found.ok_or(Fault::NotFound)
    }

    /// The property that a list is narrowed to. A property administrator's lists always are.
    fn wanted_property(&self, named: Option<PropertyId>) -> Result<Option<PropertyId>, Fault> {
        match (self.given, named) {
            (None, named) => Ok(named),
            (Some(given), Some(named)) if given.contains(&named) => Ok(Some(named)),
            (Some([only]), None) => Ok(Some(*only)),
            (Some(_), Some(_)) => Err(Fault::NotFound),
            (Some(_), None) => Err(invalid("property", "is missing: say which of yours")),
        }
    }

    fn may_touch(&self, stored: &CredentialWithSecrets) -> bool {
        self.given.is_none_or(|given| {
            let property = stored.credential.property_id;
            property.is_some_and(|property| given.contains(&property))
        })
    }

    /// Refuses a credential that is not of a property that the operator was given. It stays true:
    /// no credential changes its property.
    async fn must_be_given(&self, id: CredentialId) -> Result<(), Fault> {
        if self.given.is_some() {
            self.find_credential(id).await?;
        }
        Ok(())
    }

    fn answer(&self, stored: &CredentialWithSecrets) -> Answer {
        answer::json(StatusCode::OK, &body(stored, self.engine.now()))
    }

    /// The only answers with a secret.
    fn issued(&self, status: StatusCode, issued: &IssuedCredential) -> Answer {
        let mut body = body(&issued.credential, self.engine.now());
        if let Some(secret) = &issued.secret {
            body["secret"] = json!(secret.expose());
        }
        answer::json(status, &body)
    }

    pub(super) async fn create_credential(&self, members: Members) -> Result<Answer, Fault> {
        let new = new_credential(members, self.engine.now())?;
        if self.given.is_some() && new.property_id.is_none() {
            return Err(invalid("property", "is missing: say which of yours"));
        }
        self.wanted_property(new.property_id)?;
        let created = self.engine.create_credential(&self.actor, new).await;
        Ok(self.issued(StatusCode::CREATED, &created.map_err(fault)?))
    }

    pub(super) async fn import_credentials(&self, mut members: Members) -> Result<Answer, Fault> {
        let entries = members.objects("credentials")?;
        members.finish()?;
        if entries.is_empty() || entries.len() > MOST_IMPORTED {
            return Err(invalid("credentials", "must be 1 to 1000 objects"));
        }
        let now = self.engine.now();
        let mut read = Vec::with_capacity(entries.len());
        for (place, entry) in entries.into_iter().enumerate() {
            let new = new_credential(entry, now).map_err(|fault| at_place(place, fault))?;
            let registered = new.public_key.as_ref();
            if new.imported.is_none() && registered.is_none_or(|key| key.public_id.is_none()) {
                return Err(at_place(place, invalid("public_id", "is missing")));
            }
            read.push(new);
        }
        let imported = self.engine.import_credentials(&self.actor, read).await;
        let outcomes =
            imported.map_err(|(place, refusal)| at_place(place, refused_entry(refusal)))?;
        Ok(answer::json(StatusCode::OK, &import_body(&outcomes)))
    }

    pub(super) async fn change_credential(
        &self,
        id: &str,
        verb: &str,
        mut members: Members,
    ) -> Result<Answer, Fault> {
        let id: CredentialId = id.parse().map_err(|_| Fault::NotFound)?;
        self.must_be_given(id).await?;
        let (engine, actor) = (self.engine, &self.actor);
        let changed = match verb {
            "roll" => return self.roll(id, members).await,
            "refresh" => {
                members.finish()?;
                let refreshed = engine.refresh_credential(actor, id).await;
                return Ok(self.issued(StatusCode::OK, &refreshed.map_err(fault)?));
            }
            "expire" => {
                let at = expiry(&mut members, engine.now())?;
                members.finish()?;
                engine.expire_credential(actor, id, at).await
            }
            "callback" => {
                let url = members.optional("url")?;
                members.finish()?;
                engine.set_callback_url(actor, id, url).await
            }
            "revoke" | "disable" | "enable" => {
                members.finish()?;
                match verb {
                    "revoke" => engine.revoke_credential(actor, id).await,
                    "disable" => engine.disable_credential(actor, id).await,
                    _ => engine.enable_credential(actor, id).await,
                }
            }
            _ => return Err(Fault::NotFound),
        };
        Ok(self.answer(&changed.map_err(fault)?))
    }

    async fn roll(&self, id: CredentialId, mut members: Members) -> Result<Answer, Fault> {
        let roll = Roll {
            overlap: members
                .span("overlap_s", LONGEST_OVERLAP)?
                .unwrap_or(USUAL_OVERLAP),
            retire_unused: members.span("retire_unused_s", LONGEST_OVERLAP)?,
        };
        let new = match (public_key(&mut members)?, members.optional("secret")?) {
            (None, None) => NewKey::Made,
            (None, Some(secret)) => NewKey::Secret(SecretText::new(secret)),
            (Some(key), None) => NewKey::Public(key),
            (Some(_), Some(_)) => return Err(invalid("public_key", "goes without a secret")),
        };
        members.finish()?;
        let rolled = self
            .engine
            .roll_credential(&self.actor, id, roll, new)
            .await;
        Ok(self.issued(StatusCode::OK, &rolled.map_err(fault)?))
    }

    pub(super) async fn end_secret(
        &self,
        id: &str,
        secret: &str,
        members: Members,
    ) -> Result<Answer, Fault> {
        let id: CredentialId = id.parse().map_err(|_| Fault::NotFound)?;
        let secret: SecretId = secret.parse().map_err(|_| Fault::NotFound)?;
        self.must_be_given(id).await?;
        members.finish()?;
        let ended = self.engine.end_secret(&self.actor, id, secret).await;
        Ok(self.answer(&ended.map_err(fault)?))
    }
}

/// GUIDs are stored in capitals.
fn as_stored(public_id: String) -> String {
    match wayleave_protocol::guid::parse(&public_id) {
        Some(_) => public_id.to_ascii_uppercase(),
        None => public_id,
    }
}

fn new_credential(mut members: Members, now: Timestamp) -> Result<NewCredential, Fault> {
    let new = NewCredential {
        integration_id: members.parsed("integration")?,
        property_id: members.parsed_optional::<PropertyId>("property")?,
        customer_id: members.parsed_optional::<CustomerId>("customer")?,
        name: members.optional("name")?.unwrap_or_default(),
        audience: members.parsed::<Audience>("audience")?,
        schemes: members.parsed_optional::<SchemeSet>("schemes")?,
        scopes: members
            .parsed_optional::<ScopeSet>("scopes")?
            .unwrap_or_default(),
        expires_at: members.expiry(now)?,
        imported: None,
        public_key: None,
        callback_url: members.optional("callback_url")?,
    };
    let new = match public_key(&mut members)? {
        Some(key) => NewCredential {
            public_key: Some(RegisteredKey {
                public_id: members.optional("public_id")?,
                key,
            }),
            ..new
        },
        None => NewCredential {
            imported: imported(&mut members)?,
            ..new
        },
    };
    members.finish()?;
    Ok(new)
}

/// The public key of a partner: a JWK as an object or as its text, or PEM.
fn public_key(members: &mut Members) -> Result<Option<PublicKey>, Fault> {
    let text = members.text_or_object("public_key")?;
    let read = text.map(|text| PublicKey::read(&text)).transpose();
    read.map_err(|error| invalid("public_key", &error.to_string()))
}

fn imported(members: &mut Members) -> Result<Option<ImportedPair>, Fault> {
    let secret = members.optional("secret")?.map(SecretText::new);
    match (members.optional("public_id")?, secret) {
        (None, None) => Ok(None),
        (Some(public_id), Some(secret)) => Ok(Some(ImportedPair { public_id, secret })),
        (None, Some(_)) => Err(invalid("public_id", "goes with secret")),
        (Some(_), None) => Err(invalid("secret", "goes with public_id")),
    }
}

/// When a credential is to end; `None`: never.
fn expiry(members: &mut Members, now: Timestamp) -> Result<Option<Timestamp>, Fault> {
    let never = members.flag("never")?;
    match (members.expiry(now)?, never) {
        (None, false) => Err(invalid(
            "expires_at",
            "is missing: say expires_at, expires_in_s or never",
        )),
        (Some(_), true) => Err(invalid("never", "goes without a time")),
        (at, _) => Ok(at),
    }
}

/// Says which entry of an import is at fault.
fn at_place(place: usize, fault: Fault) -> Fault {
    match fault {
        Fault::Invalid { field, why } => Fault::InvalidEntry {
            index: place,
            field,
            why,
        },
        Fault::BadRequest(why) => Fault::BadRequest(format!("credentials[{place}]: {why}")),
        other => other,
    }
}

fn refused_entry(refusal: Refusal) -> Fault {
    match refusal {
        Refusal::NotFound { .. } => invalid("integration", "there is no such integration"),
        other => fault(other),
    }
}

fn import_body(outcomes: &[Imported]) -> Value {
    let skipped: Vec<Value> = outcomes
        .iter()
        .enumerate()
        .filter_map(|(index, outcome)| {
            let reason = match outcome {
                Imported::Added => return None,
                Imported::Present => "present",
                Imported::Taken => "taken",
            };
            Some(json!({ "index": index, "reason": reason }))
        })
        .collect();
    json!({ "imported": outcomes.len() - skipped.len(), "skipped": skipped })
}

fn body(stored: &CredentialWithSecrets, now: Timestamp) -> Value {
    let credential = &stored.credential;
    let is_expired = credential.expires_at.is_some_and(|end| end <= now);
    let state = match credential.state {
        CredentialState::Active if is_expired => "expired",
        state => state.as_str(),
    };
    let secrets: Vec<Value> = stored
        .secrets
        .iter()
        .map(|secret| secret_body(secret, now))
        .collect();
    let last_used = stored
        .secrets
        .iter()
        .filter_map(|secret| secret.last_used_at);
    json!({
        "id": credential.id.to_string(),
        "public_id": credential.public_id.as_str(),
        "name": credential.name,
        "partner": credential.partner_id.to_string(),
        "integration": credential.integration_id.to_string(),
        "property": credential.property_id.map(|id| id.to_string()),
        "customer": credential.customer_id.map(|id| id.to_string()),
        "audience": credential.audience.as_str(),
        "schemes": credential.schemes.to_string(),
        "scopes": credential.scopes.to_string(),
        "state": state,
        "created_at": time(credential.created_at),
        "expires_at": credential.expires_at.map(time),
        "revoked_at": credential.revoked_at.map(time),
        "last_used_at": last_used.max().map(time),
        "callback_url": credential.callback_url,
        "secrets": secrets,
    })
}

/// What a public key checks, by its registered name (RFC 9421 section 3.3); of a secret nothing.
fn algorithm(secret: &Secret) -> Option<&'static str> {
    let key = (secret.form == SecretForm::Public).then(|| PublicKey::from_spki(&secret.material));
    key?.ok().map(|key| key.algorithm().as_str())
}

fn secret_body(secret: &Secret, now: Timestamp) -> Value {
    let state = match (secret.is_live(now), secret.superseded_at) {
        (false, _) => "ended",
        (true, Some(_)) => "superseded",
        (true, None) => "active",
    };
    json!({
        "id": secret.id.to_string(),
        "algorithm": algorithm(secret),
        "state": state,
        "created_at": time(secret.created_at),
        "superseded_at": secret.superseded_at.map(time),
        "expires_at": secret.expires_at.map(time),
        "retire_unused_s": secret.retire_unused.map(|span| span.as_secs()),
        "last_used_at": secret.last_used_at.map(time),
    })
}
