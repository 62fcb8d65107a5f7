//! Everything that was made with a master key, whatever table it is in.

use std::collections::BTreeMap;

use crate::{ChangedNoun, Reader, Secret, StoreError, Transaction};

/// Which table a sealed text is in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SealedNoun {
    /// A secret that must sign.
    Secret,
    /// The private key of tokens.
    SigningKey,
    /// A text of our own.
    SealedValue,
}

impl SealedNoun {
    /// Every table with sealed texts.
    pub const ALL: [SealedNoun; 3] = [
        SealedNoun::Secret,
        SealedNoun::SigningKey,
        SealedNoun::SealedValue,
    ];

    /// The name of the table.
    pub fn as_str(self) -> &'static str {
        match self {
            SealedNoun::Secret => "secret",
            SealedNoun::SigningKey => "signing_key",
            SealedNoun::SealedValue => "sealed_value",
        }
    }

    fn page_sql(self) -> &'static str {
        match self {
            SealedNoun::Secret => {
                "SELECT id, master_key_id, material FROM secret
                 WHERE form = 'sealed' AND master_key_id <> $1 AND id > $2 ORDER BY id LIMIT $3"
            }
            SealedNoun::SigningKey => {
                "SELECT kid, master_key_id, sealed FROM signing_key
                 WHERE master_key_id <> $1 AND kid > $2 ORDER BY kid LIMIT $3"
            }
            SealedNoun::SealedValue => {
                "SELECT name, master_key_id, sealed FROM sealed_value
                 WHERE master_key_id <> $1 AND name > $2 ORDER BY name LIMIT $3"
            }
        }
    }

    fn replace_sql(self) -> &'static str {
        match self {
            SealedNoun::Secret => {
                "UPDATE secret SET master_key_id = $3, material = $4
                 WHERE id = $1 AND form = 'sealed' AND material = $2"
            }
            SealedNoun::SigningKey => {
                "UPDATE signing_key SET master_key_id = $3, sealed = $4 WHERE kid = $1 AND sealed = $2"
            }
            SealedNoun::SealedValue => {
                "UPDATE sealed_value SET master_key_id = $3, sealed = $4 WHERE name = $1 AND sealed = $2"
            }
        }
    }
}

/// A sealed text as stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SealedRow {
    /// Its table.
    pub noun: SealedNoun,
    /// Its primary key there.
    pub id: String,
    /// The master key that it is sealed under.
    pub master_key_id: String,
    /// The sealed text.
    pub sealed: Vec<u8>,
}

impl SealedRow {
    /// What the seal is bound to: table and key, of a text of our own its name alone.
    pub fn name(&self) -> String {
        match self.noun {
            SealedNoun::SealedValue => self.id.clone(),
            noun => format!("{} {}", noun.as_str(), self.id),
        }
    }
}

/// How many rows were made with a master key.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct MasterKeyUse {
    /// Secrets that sign.
    pub sealed_secrets: i64,
    /// Secrets that are only checked.
    pub hashed_secrets: i64,
    /// Private keys of tokens.
    pub signing_keys: i64,
    /// Texts of our own.
    pub sealed_values: i64,
}

impl MasterKeyUse {
    /// How many rows are sealed, which a server seals anew under the newest key.
    pub fn sealed(&self) -> i64 {
        self.sealed_secrets + self.signing_keys + self.sealed_values
    }

    /// How many rows need the key.
    pub fn total(&self) -> i64 {
        self.sealed() + self.hashed_secrets
    }
}

impl Reader {
    /// A page of what is sealed under another master key than one, in the order of the ids after
    /// one. An empty `key_id` stands for no key: then it is everything sealed.
    pub async fn sealed_under_others(
        &mut self,
        noun: SealedNoun,
        key_id: &str,
        after: &str,
        limit: i64,
    ) -> Result<Vec<SealedRow>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            (String, String, Vec<u8>),
            noun.page_sql(),
            key_id,
            after,
            limit
        )?;
        let row = |(id, master_key_id, sealed)| SealedRow {
            noun,
            id,
            master_key_id,
            sealed,
        };
        Ok(rows.into_iter().map(row).collect())
    }

    /// How many rows each master key was used for, by the key's name.
    pub async fn master_key_use(&mut self) -> Result<BTreeMap<String, MasterKeyUse>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            (String, String, i64),
            "SELECT master_key_id, form, COUNT(*) FROM secret WHERE form <> 'public' GROUP BY master_key_id, form
             UNION ALL SELECT master_key_id, 'signing_key', COUNT(*) FROM signing_key GROUP BY master_key_id
             UNION ALL SELECT master_key_id, 'sealed_value', COUNT(*) FROM sealed_value GROUP BY master_key_id"
        )?;
        let mut uses: BTreeMap<String, MasterKeyUse> = BTreeMap::new();
        for (key_id, what, count) in rows {
            let key = uses.entry(key_id).or_default();
            match what.as_str() {
                "sealed" => key.sealed_secrets += count,
                "hashed" => key.hashed_secrets += count,
                "signing_key" => key.signing_keys += count,
                _ => key.sealed_values += count,
            }
        }
        Ok(uses)
    }
}

impl Transaction {
    /// Puts a new seal in the place of one that is still as it was read; `false`: it is not, and
    /// nothing was written.
    pub async fn replace_seal(
        &mut self,
        read: &SealedRow,
        master_key_id: &str,
        sealed: &[u8],
    ) -> Result<bool, StoreError> {
        let written = execute!(
            self.link(),
            read.noun.replace_sql(),
            &read.id,
            &read.sealed,
            master_key_id,
            sealed
        )?;
        Ok(written > 0)
    }

    /// Puts a hash under a newer master key in the place of one that is still as it was read;
    /// `false`: it is not, and nothing was written.
    pub async fn rehash_secret(
        &mut self,
        read: &Secret,
        master_key_id: &str,
        hash: &[u8],
    ) -> Result<bool, StoreError> {
        let written = execute!(
            self.link(),
            "UPDATE secret SET master_key_id = $3, material = $4
             WHERE id = $1 AND form = 'hashed' AND material = $2",
            read.id.to_string(),
            &read.material,
            master_key_id,
            hash
        )?;
        // Memory names the key of a hash.
        self.changed(ChangedNoun::Credential, read.credential_id);
        Ok(written > 0)
    }
}
