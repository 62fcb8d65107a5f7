use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use wayleave_core::{
    Audience, CredentialId, CredentialState, CustomerId, IntegrationId, PartnerId, PropertyId,
    PublicId, SchemeSet, ScopeSet, SecretId, Timestamp,
};

use crate::link::Link;
use crate::{ChangedNoun, Reader, StoreError, Transaction, must_touch};

/// A credential as stored, without its secrets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Credential {
    /// Its id.
    pub id: CredentialId,
    /// The half that may be seen: client id, api key or access key.
    pub public_id: PublicId,
    /// What it is used for, for people; may be empty.
    pub name: String,
    /// The client program that it belongs to.
    pub integration_id: IntegrationId,
    /// The partner of that integration.
    pub partner_id: PartnerId,
    /// The property whose key set it is.
    pub property_id: Option<PropertyId>,
    /// The customer to whom it is limited; `None`: it acts for the partner and all its customers.
    pub customer_id: Option<CustomerId>,
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
    /// From when on it is dead.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// Where events of its property are told to; of key sets for management only.
    pub callback_url: Option<String>,
}

/// How a secret is kept (law 5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SecretForm {
    /// A keyed hash: enough to check a secret that is presented.
    Hashed,
    /// Sealed under a master key: for secrets that must sign.
    Sealed,
    /// A public key (SubjectPublicKeyInfo in DER), as it is: its owner has the secret.
    Public,
}

impl SecretForm {
    fn as_str(self) -> &'static str {
        match self {
            SecretForm::Hashed => "hashed",
            SecretForm::Sealed => "sealed",
            SecretForm::Public => "public",
        }
    }

    fn parse(text: &str) -> Result<Self, StoreError> {
        match text {
            "hashed" => Ok(SecretForm::Hashed),
            "sealed" => Ok(SecretForm::Sealed),
            "public" => Ok(SecretForm::Public),
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
    /// The master key that was used; of a public key none.
    pub master_key_id: String,
    /// The keyed hash, the sealed text or the public key.
    pub material: Vec<u8>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When a newer one took its place.
    pub superseded_at: Option<Timestamp>,
    /// From when on it is dead.
    pub expires_at: Option<Timestamp>,
    /// Ended early once it was not used for so long after it was superseded.
    pub retire_unused: Option<Duration>,
    /// When it was used last, to within a minute or so.
    pub last_used_at: Option<Timestamp>,
}

impl Secret {
    /// Whether it is good at a moment.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }
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
    String,
    i64,
    i64,
    Option<i64>,
    Option<i64>,
    Option<String>,
    Option<String>,
    Option<String>,
);
type SecretRow = (
    String,
    String,
    String,
    String,
    Vec<u8>,
    i64,
    Option<i64>,
    Option<i64>,
    Option<i64>,
    Option<i64>,
);

/// The columns of a [`Row`], in its order.
macro_rules! select_credentials {
    ($rest:literal) => {
        concat!(
            "SELECT c.id, c.public_id, c.name, c.integration_id, i.partner_id, c.audience, c.schemes,
                    c.scopes, c.state, c.not_before_at, c.created_at, c.expires_at, c.revoked_at,
                    c.property_id, c.customer_id, c.callback_url
             FROM credential c JOIN integration i ON i.id = c.integration_id ",
            $rest
        )
    };
}

/// The columns of a [`SecretRow`], in its order.
macro_rules! select_secrets {
    ($rest:literal) => {
        concat!(
            "SELECT id, credential_id, form, master_key_id, material, created_at, superseded_at,
                    expires_at, retire_unused_us, last_used_at
             FROM secret ",
            $rest
        )
    };
}

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
        name,
        integration,
        partner,
        audience,
        schemes,
        scopes,
        state,
        not_before,
        created,
        expires,
        revoked,
        property,
        customer,
        callback_url,
    ) = row;
    let audience = read(&audience)?;
    Ok(Credential {
        id: read(&id)?,
        public_id: PublicId::parse(&public_id, audience)
            .map_err(|error| StoreError::corrupt("credential", error))?,
        name,
        integration_id: read(&integration)?,
        partner_id: read(&partner)?,
        property_id: property.as_deref().map(read).transpose()?,
        customer_id: customer.as_deref().map(read).transpose()?,
        audience,
        schemes: read(&schemes)?,
        scopes: read(&scopes)?,
        state: read(&state)?,
        not_before_at: Timestamp::from_micros(not_before),
        created_at: Timestamp::from_micros(created),
        expires_at: expires.map(Timestamp::from_micros),
        revoked_at: revoked.map(Timestamp::from_micros),
        callback_url,
    })
}

fn secret_from_row(row: SecretRow) -> Result<Secret, StoreError> {
    let (
        id,
        credential_id,
        form,
        master_key_id,
        material,
        created,
        superseded,
        expires,
        retire_unused,
        last_used,
    ) = row;
    Ok(Secret {
        id: read(&id)?,
        credential_id: read(&credential_id)?,
        form: SecretForm::parse(&form)?,
        master_key_id,
        material,
        created_at: Timestamp::from_micros(created),
        superseded_at: superseded.map(Timestamp::from_micros),
        expires_at: expires.map(Timestamp::from_micros),
        retire_unused: retire_unused.map(span),
        last_used_at: last_used.map(Timestamp::from_micros),
    })
}

/// Microseconds as they are stored.
fn span(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

fn all_secrets(rows: Vec<SecretRow>) -> Result<Vec<Secret>, StoreError> {
    rows.into_iter().map(secret_from_row).collect()
}

/// Which credentials are listed; an empty text or `None` does not narrow.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct CredentialFilter {
    /// Only those of this partner.
    pub partner_id: Option<PartnerId>,
    /// Only those of this integration.
    pub integration_id: Option<IntegrationId>,
    /// Only the key sets of this property.
    pub property_id: Option<PropertyId>,
    /// Only those that open this.
    pub audience: Option<Audience>,
    /// Only those in this state.
    pub state: Option<CredentialState>,
    /// Only the one with this public id.
    pub public_id: Option<String>,
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
            select_credentials!("WHERE c.id = $1"),
            id.to_string()
        )?;
        let Some(row) = rows.into_iter().next() else {
            return Ok(None);
        };
        let secrets = fetch_all!(
            &mut self.link,
            SecretRow,
            select_secrets!("WHERE credential_id = $1 ORDER BY id"),
            id.to_string()
        )?;
        Ok(Some(CredentialWithSecrets {
            credential: from_row(row)?,
            secrets: all_secrets(secrets)?,
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
            select_credentials!("WHERE c.id > $1 ORDER BY c.id LIMIT $2"),
            &after,
            limit
        )?;
        self.with_secrets_between(rows).await
    }

    /// A page of those credentials that pass a filter, in the order of their ids, with their
    /// secrets.
    pub async fn credentials(
        &mut self,
        filter: &CredentialFilter,
        after: Option<CredentialId>,
        limit: i64,
    ) -> Result<Vec<CredentialWithSecrets>, StoreError> {
        let word = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let id = |id: Option<String>| id.unwrap_or_default();
        let rows = fetch_all!(
            &mut self.link,
            (String,),
            "SELECT c.id FROM credential c JOIN integration i ON i.id = c.integration_id
             WHERE c.id > $1 AND ($2 = '' OR i.partner_id = $2)
               AND ($3 = '' OR c.integration_id = $3) AND ($4 = '' OR c.audience = $4)
               AND ($5 = '' OR c.state = $5) AND ($6 = '' OR c.public_id = $6)
               AND ($7 = '' OR c.property_id = $7)
             ORDER BY c.id LIMIT $8",
            id(after.map(|id| id.to_string())),
            id(filter.partner_id.map(|id| id.to_string())),
            id(filter.integration_id.map(|id| id.to_string())),
            word(filter.audience.map(Audience::as_str)),
            word(filter.state.map(CredentialState::as_str)),
            word(filter.public_id.as_deref()),
            id(filter.property_id.map(|id| id.to_string())),
            limit
        )?;
        let ids: Vec<CredentialId> = rows
            .iter()
            .map(|(id,)| read(id))
            .collect::<Result<_, _>>()?;
        self.credentials_by_id(&ids).await
    }

    /// A page of a partner's credentials that are limited to customers and were not revoked, the newest
    /// first.
    pub async fn delegated(
        &mut self,
        partner_id: PartnerId,
        start: i64,
        length: i64,
    ) -> Result<Vec<Credential>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            select_credentials!(
                "WHERE c.customer_id IS NOT NULL AND c.state <> 'revoked' AND i.partner_id = $1
                 ORDER BY c.id DESC LIMIT $2 OFFSET $3"
            ),
            partner_id.to_string(),
            length,
            start
        )?;
        rows.into_iter().map(from_row).collect()
    }

    /// How many of them there are.
    pub async fn count_delegated(&mut self, partner_id: PartnerId) -> Result<i64, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            (i64,),
            "SELECT COUNT(*) FROM credential c JOIN integration i ON i.id = c.integration_id
             WHERE c.customer_id IS NOT NULL AND c.state <> 'revoked' AND i.partner_id = $1",
            partner_id.to_string()
        )?;
        Ok(rows.first().map_or(0, |(count,)| *count))
    }

    /// A credential of a partner that is limited to a customer, by its public id, whatever its state.
    pub async fn delegated_one(
        &mut self,
        partner_id: PartnerId,
        public_id: &str,
    ) -> Result<Option<Credential>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            select_credentials!(
                "WHERE c.public_id = $1 AND c.customer_id IS NOT NULL AND i.partner_id = $2"
            ),
            public_id,
            partner_id.to_string()
        )?;
        rows.into_iter().next().map(from_row).transpose()
    }

    /// The credentials of these ids, with their secrets, in the order of their ids.
    pub async fn credentials_by_id(
        &mut self,
        ids: &[CredentialId],
    ) -> Result<Vec<CredentialWithSecrets>, StoreError> {
        let list = json_list(ids.iter().copied());
        // The one thing that the two engines write differently: a list as one argument.
        let (credentials, secrets) = match &self.link {
            Link::Postgres(_) => (
                select_credentials!(
                    "WHERE c.id IN (SELECT json_array_elements_text($1::json)) ORDER BY c.id"
                ),
                select_secrets!(
                    "WHERE credential_id IN (SELECT json_array_elements_text($1::json))
                     ORDER BY credential_id, id"
                ),
            ),
            _ => (
                select_credentials!(
                    "WHERE c.id IN (SELECT value FROM json_each($1)) ORDER BY c.id"
                ),
                select_secrets!(
                    "WHERE credential_id IN (SELECT value FROM json_each($1))
                     ORDER BY credential_id, id"
                ),
            ),
        };
        let rows = fetch_all!(&mut self.link, Row, credentials, &list)?;
        let mut found = without_secrets(rows)?;
        let secrets = fetch_all!(&mut self.link, SecretRow, secrets, &list)?;
        hand_out(&mut found, secrets)?;
        Ok(found)
    }

    /// Reads the secrets of neighbours in one go.
    async fn with_secrets_between(
        &mut self,
        rows: Vec<Row>,
    ) -> Result<Vec<CredentialWithSecrets>, StoreError> {
        let mut page = without_secrets(rows)?;
        if let (Some(first), Some(last)) = (page.first(), page.last()) {
            let secrets = fetch_all!(
                &mut self.link,
                SecretRow,
                select_secrets!(
                    "WHERE credential_id >= $1 AND credential_id <= $2 ORDER BY credential_id, id"
                ),
                first.credential.id.to_string(),
                last.credential.id.to_string()
            )?;
            hand_out(&mut page, secrets)?;
        }
        Ok(page)
    }
}

/// Ids as one argument of a statement.
fn json_list(ids: impl Iterator<Item = impl std::fmt::Display>) -> String {
    let words: Vec<String> = ids.map(|id| format!("\"{id}\"")).collect();
    format!("[{}]", words.join(","))
}

fn without_secrets(rows: Vec<Row>) -> Result<Vec<CredentialWithSecrets>, StoreError> {
    rows.into_iter()
        .map(|row| {
            Ok(CredentialWithSecrets {
                credential: from_row(row)?,
                secrets: Vec::new(),
            })
        })
        .collect()
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
    /// taken, [`StoreError::NotFound`] when the integration is not there, [`StoreError::Refused`]
    /// when the property or the customer is not one of the same partner.
    pub async fn add_credential(
        &mut self,
        credential: &Credential,
        secret: &Secret,
    ) -> Result<(), StoreError> {
        let added = execute!(
            self.link(),
            "INSERT INTO credential (id, public_id, name, integration_id, audience, schemes, scopes,
                                     state, not_before_at, created_at, expires_at, revoked_at,
                                     property_id, customer_id, callback_url)
             SELECT $1, $2, $3, id, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15
             FROM integration i WHERE id = $4
               AND ($13 IS NULL OR EXISTS (SELECT 1 FROM property p
                                           WHERE p.id = $13 AND p.partner_id = i.partner_id))
               AND ($14 IS NULL OR EXISTS (SELECT 1 FROM customer o
                                           WHERE o.id = $14 AND o.partner_id = i.partner_id))
             ON CONFLICT DO NOTHING",
            credential.id.to_string(),
            credential.public_id.as_str(),
            &credential.name,
            credential.integration_id.to_string(),
            credential.audience.as_str(),
            credential.schemes.to_string(),
            credential.scopes.to_string(),
            credential.state.as_str(),
            credential.not_before_at.micros(),
            credential.created_at.micros(),
            credential.expires_at.map(Timestamp::micros),
            credential.revoked_at.map(Timestamp::micros),
            credential.property_id.map(|id| id.to_string()),
            credential.customer_id.map(|id| id.to_string()),
            credential.callback_url.as_deref()
        )?;
        if added == 0 {
            return Err(self.why_not_added(credential).await?);
        }
        self.add_secret(secret).await?;
        self.changed(ChangedNoun::Credential, credential.id);
        Ok(())
    }

    async fn why_not_added(&mut self, credential: &Credential) -> Result<StoreError, StoreError> {
        let reader = self.reader();
        let Some(integration) = reader.integration(credential.integration_id).await? else {
            return Ok(StoreError::NotFound);
        };
        if let Some(customer) = credential.customer_id
            && reader
                .customer(integration.partner_id, customer)
                .await?
                .is_none()
        {
            let why = "the partner of the integration has no such customer";
            return Ok(StoreError::Refused(why));
        }
        let Some(property) = credential.property_id else {
            return Ok(StoreError::Conflict);
        };
        Ok(match reader.property(property).await? {
            Some(property) if property.partner_id == integration.partner_id => StoreError::Conflict,
            _ => StoreError::Refused("the partner of the integration has no such property"),
        })
    }

    /// Adds a further secret to a credential.
    pub async fn add_secret(&mut self, secret: &Secret) -> Result<(), StoreError> {
        execute!(
            self.link(),
            "INSERT INTO secret (id, credential_id, form, master_key_id, material, created_at,
                                 superseded_at, expires_at, retire_unused_us, last_used_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            secret.id.to_string(),
            secret.credential_id.to_string(),
            secret.form.as_str(),
            &secret.master_key_id,
            &secret.material,
            secret.created_at.micros(),
            secret.superseded_at.map(Timestamp::micros),
            secret.expires_at.map(Timestamp::micros),
            secret.retire_unused.map(micros),
            secret.last_used_at.map(Timestamp::micros)
        )?;
        self.changed(ChangedNoun::Credential, secret.credential_id);
        Ok(())
    }

    /// Writes what may change in the life of a credential: public id, name, state, the moments
    /// from which it and its tokens are dead. [`StoreError::NotFound`] when there is none,
    /// [`StoreError::Conflict`] when a new public id is taken.
    pub async fn update_credential(&mut self, credential: &Credential) -> Result<(), StoreError> {
        let id = credential.id.to_string();
        let holder = fetch_all!(
            self.link(),
            (String,),
            "SELECT id FROM credential WHERE public_id = $1",
            credential.public_id.as_str()
        )?;
        if holder.first().is_some_and(|(holder,)| *holder != id) {
            return Err(StoreError::Conflict);
        }
        let found = execute!(
            self.link(),
            "UPDATE credential SET public_id = $2, name = $3, state = $4, not_before_at = $5,
                    expires_at = $6, revoked_at = $7, callback_url = $8
             WHERE id = $1",
            &id,
            credential.public_id.as_str(),
            &credential.name,
            credential.state.as_str(),
            credential.not_before_at.micros(),
            credential.expires_at.map(Timestamp::micros),
            credential.revoked_at.map(Timestamp::micros),
            credential.callback_url.as_deref()
        )?;
        must_touch(found, StoreError::NotFound)?;
        self.changed(ChangedNoun::Credential, credential.id);
        Ok(())
    }

    /// Writes what may change in the life of a secret: when it was superseded, when it ends, and
    /// whether early.
    pub async fn update_secret(&mut self, secret: &Secret) -> Result<(), StoreError> {
        let found = execute!(
            self.link(),
            "UPDATE secret SET superseded_at = $2, expires_at = $3, retire_unused_us = $4 WHERE id = $1",
            secret.id.to_string(),
            secret.superseded_at.map(Timestamp::micros),
            secret.expires_at.map(Timestamp::micros),
            secret.retire_unused.map(micros)
        )?;
        must_touch(found, StoreError::NotFound)?;
        self.changed(ChangedNoun::Credential, secret.credential_id);
        Ok(())
    }

    /// Locks a credential until the transaction ends, so that what is decided about it stays true.
    pub async fn lock_credential(&mut self, id: CredentialId) -> Result<(), StoreError> {
        // A write that changes nothing: the writer of a SQLite file is alone anyway.
        let found = execute!(
            self.link(),
            "UPDATE credential SET state = state WHERE id = $1",
            id.to_string()
        )?;
        must_touch(found, StoreError::NotFound)
    }

    /// Notes when secrets were used, only forward. Those that were used in the same second are one
    /// statement: there may be many.
    pub async fn note_uses(&mut self, uses: &[(SecretId, Timestamp)]) -> Result<(), StoreError> {
        let mut by_moment: BTreeMap<i64, Vec<SecretId>> = BTreeMap::new();
        for (id, at) in uses {
            by_moment.entry(at.micros()).or_default().push(*id);
        }
        for (at, ids) in by_moment {
            let list = json_list(ids.into_iter());
            let update = match self.link() {
                Link::Postgres(_) => {
                    "UPDATE secret SET last_used_at = $2
                     WHERE id IN (SELECT json_array_elements_text($1::json))
                       AND (last_used_at IS NULL OR last_used_at < $2)"
                }
                _ => {
                    "UPDATE secret SET last_used_at = $2
                     WHERE id IN (SELECT value FROM json_each($1))
                       AND (last_used_at IS NULL OR last_used_at < $2)"
                }
            };
            execute!(self.link(), update, &list, at)?;
        }
        Ok(())
    }

    /// Ends the superseded secrets that were not used for as long as was chosen; gives how many.
    pub async fn retire_unused_secrets(&mut self, now: Timestamp) -> Result<usize, StoreError> {
        let ended = fetch_all!(
            self.link(),
            (String, String),
            "UPDATE secret SET expires_at = $1
             WHERE retire_unused_us IS NOT NULL AND (expires_at IS NULL OR expires_at > $1)
               AND superseded_at + retire_unused_us <= $1
               AND (last_used_at IS NULL OR last_used_at + retire_unused_us <= $1)
             RETURNING id, credential_id",
            now.micros()
        )?;
        for (_, credential_id) in &ended {
            self.changed(ChangedNoun::Credential, credential_id);
        }
        Ok(ended.len())
    }

    /// Notes that a credential gave up a public id, so that other nodes forget it.
    pub fn gave_up(&mut self, public_id: &PublicId) {
        self.changed(ChangedNoun::PublicId, public_id);
    }
}
