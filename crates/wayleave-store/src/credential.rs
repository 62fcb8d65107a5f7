use std::str::FromStr;

use wayleave_core::{
    Audience, CredentialId, CredentialState, IntegrationId, PartnerId, PublicId, SchemeSet,
    ScopeSet, SecretId, Timestamp,
};

use crate::{ChangedNoun, Reader, StoreError, Transaction};

/// A credential as stored, without its secrets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Credential {
    /// Its id.
    pub id: CredentialId,
    /// The half that may be seen: client id, api key or access key.
    pub public_id: PublicId,
    /// The client program that it belongs to.
    pub integration_id: IntegrationId,
    /// The partner of that integration.
    pub partner_id: PartnerId,
    /// What it opens.
    pub audience: Audience,
    /// How it may prove a request.
    pub schemes: SchemeSet,
    /// What it may do within its audience.
    pub scopes: ScopeSet,
    /// Whether it counts.
    pub state: CredentialState,
    /// Tokens issued before this moment are dead.
    pub not_before_at: Timestamp,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// How a secret is kept (law 5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SecretForm {
    /// A keyed hash: enough to check a secret that is presented.
    Hashed,
    /// Sealed under a master key: for secrets that must sign.
    Sealed,
}

impl SecretForm {
    fn as_str(self) -> &'static str {
        match self {
            SecretForm::Hashed => "hashed",
            SecretForm::Sealed => "sealed",
        }
    }

    fn parse(text: &str) -> Result<Self, StoreError> {
        match text {
            "hashed" => Ok(SecretForm::Hashed),
            "sealed" => Ok(SecretForm::Sealed),
            _ => Err(StoreError::corrupt("secret", "unknown form")),
        }
    }
}

/// One secret of a credential as stored: never the secret itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Secret {
    /// Its id.
    pub id: SecretId,
    /// The credential that it belongs to.
    pub credential_id: CredentialId,
    /// How it is kept.
    pub form: SecretForm,
    /// The master key that was used.
    pub master_key_id: String,
    /// The keyed hash or the sealed text.
    pub material: Vec<u8>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A credential with everything that checking it needs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CredentialWithSecrets {
    /// The credential.
    pub credential: Credential,
    /// Its secrets, oldest first.
    pub secrets: Vec<Secret>,
}

type Row = (
    String,
    String,
    String,
    String,
    String,
    String,
    String,
    String,
    i64,
    i64,
    Option<i64>,
);
type SecretRow = (String, String, String, String, Vec<u8>, i64);

fn read<T: FromStr>(text: &str) -> Result<T, StoreError>
where
    T::Err: std::fmt::Display,
{
    text.parse()
        .map_err(|error| StoreError::corrupt("credential", error))
}

fn from_row(row: Row) -> Result<Credential, StoreError> {
    let (
        id,
        public_id,
        integration,
        partner,
        audience,
        schemes,
        scopes,
        state,
        not_before,
        created,
        revoked,
    ) = row;
    let audience = read(&audience)?;
    Ok(Credential {
        id: read(&id)?,
        public_id: PublicId::parse(&public_id, audience)
            .map_err(|error| StoreError::corrupt("credential", error))?,
        integration_id: read(&integration)?,
        partner_id: read(&partner)?,
        audience,
        schemes: read(&schemes)?,
        scopes: read(&scopes)?,
        state: read(&state)?,
        not_before_at: Timestamp::from_micros(not_before),
        created_at: Timestamp::from_micros(created),
        revoked_at: revoked.map(Timestamp::from_micros),
    })
}

fn secret_from_row(row: SecretRow) -> Result<Secret, StoreError> {
    let (id, credential_id, form, master_key_id, material, created_at) = row;
    Ok(Secret {
        id: read(&id)?,
        credential_id: read(&credential_id)?,
        form: SecretForm::parse(&form)?,
        master_key_id,
        material,
        created_at: Timestamp::from_micros(created_at),
    })
}

impl Reader {
    /// One credential with its secrets.
    pub async fn credential(
        &mut self,
        id: CredentialId,
    ) -> Result<Option<CredentialWithSecrets>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            "SELECT c.id, c.public_id, c.integration_id, i.partner_id, c.audience, c.schemes, c.scopes,
                    c.state, c.not_before_at, c.created_at, c.revoked_at
             FROM credential c JOIN integration i ON i.id = c.integration_id
             WHERE c.id = $1",
            id.to_string()
        )?;
        let Some(row) = rows.into_iter().next() else {
            return Ok(None);
        };
        let secrets = fetch_all!(
            &mut self.link,
            SecretRow,
            "SELECT id, credential_id, form, master_key_id, material, created_at
             FROM secret WHERE credential_id = $1 ORDER BY id",
            id.to_string()
        )?;
        Ok(Some(CredentialWithSecrets {
            credential: from_row(row)?,
            secrets: secrets
                .into_iter()
                .map(secret_from_row)
                .collect::<Result<_, _>>()?,
        }))
    }

    /// A page of credentials in the order of their ids, after one, with their secrets.
    pub async fn credentials_after(
        &mut self,
        after: Option<CredentialId>,
        limit: i64,
    ) -> Result<Vec<CredentialWithSecrets>, StoreError> {
        let after = after.map(|id| id.to_string()).unwrap_or_default();
        let rows = fetch_all!(
            &mut self.link,
            Row,
            "SELECT c.id, c.public_id, c.integration_id, i.partner_id, c.audience, c.schemes, c.scopes,
                    c.state, c.not_before_at, c.created_at, c.revoked_at
             FROM credential c JOIN integration i ON i.id = c.integration_id
             WHERE c.id > $1 ORDER BY c.id LIMIT $2",
            &after,
            limit
        )?;
        let mut page = Vec::with_capacity(rows.len());
        for row in rows {
            page.push(CredentialWithSecrets {
                credential: from_row(row)?,
                secrets: Vec::new(),
            });
        }
        if let Some(last) = page.last() {
            let last = last.credential.id.to_string();
            let secrets = fetch_all!(
                &mut self.link,
                SecretRow,
                "SELECT id, credential_id, form, master_key_id, material, created_at
                 FROM secret WHERE credential_id > $1 AND credential_id <= $2 ORDER BY credential_id, id",
                &after,
                &last
            )?;
            hand_out(&mut page, secrets)?;
        }
        Ok(page)
    }
}

/// Gives each secret to its credential; both come sorted by credential.
fn hand_out(page: &mut [CredentialWithSecrets], secrets: Vec<SecretRow>) -> Result<(), StoreError> {
    let mut place = 0;
    for row in secrets {
        let secret = secret_from_row(row)?;
        while place < page.len() && page[place].credential.id < secret.credential_id {
            place += 1;
        }
        // One that was added between the two reads comes with the change feed.
        if place < page.len() && page[place].credential.id == secret.credential_id {
            page[place].secrets.push(secret);
        }
    }
    Ok(())
}

impl Transaction {
    /// Adds a credential and its first secret; [`StoreError::Conflict`] when the public id is
    /// taken, [`StoreError::NotFound`] when the integration is not there.
    pub async fn add_credential(
        &mut self,
        credential: &Credential,
        secret: &Secret,
    ) -> Result<(), StoreError> {
        if self
            .reader()
            .integration(credential.integration_id)
            .await?
            .is_none()
        {
            return Err(StoreError::NotFound);
        }
        let added = execute!(
            self.link(),
            "INSERT INTO credential (id, public_id, integration_id, audience, schemes, scopes, state,
                                     not_before_at, created_at, revoked_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
             ON CONFLICT DO NOTHING",
            credential.id.to_string(),
            credential.public_id.as_str(),
            credential.integration_id.to_string(),
            credential.audience.as_str(),
            credential.schemes.to_string(),
            credential.scopes.to_string(),
            credential.state.as_str(),
            credential.not_before_at.micros(),
            credential.created_at.micros(),
            credential.revoked_at.map(Timestamp::micros)
        )?;
        if added == 0 {
            return Err(StoreError::Conflict);
        }
        self.add_secret(secret).await?;
        self.changed(ChangedNoun::Credential, credential.id);
        Ok(())
    }

    async fn add_secret(&mut self, secret: &Secret) -> Result<(), StoreError> {
        execute!(
            self.link(),
            "INSERT INTO secret (id, credential_id, form, master_key_id, material, created_at)
             VALUES ($1, $2, $3, $4, $5, $6)",
            secret.id.to_string(),
            secret.credential_id.to_string(),
            secret.form.as_str(),
            &secret.master_key_id,
            &secret.material,
            secret.created_at.micros()
        )
        .map(drop)
    }

    /// Ends a credential for ever. Revoking twice keeps the first moment;
    /// [`StoreError::NotFound`] when there is none.
    pub async fn revoke_credential(
        &mut self,
        id: CredentialId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let found = execute!(
            self.link(),
            "UPDATE credential SET state = 'revoked', revoked_at = COALESCE(revoked_at, $2) WHERE id = $1",
            id.to_string(),
            now.micros()
        )?;
        if found == 0 {
            return Err(StoreError::NotFound);
        }
        self.changed(ChangedNoun::Credential, id);
        Ok(())
    }
}
