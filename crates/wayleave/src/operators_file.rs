//! The file of the operators: one entry for each person, with the hash of their token.
//!
//! ```toml
//! [[operator]]
//! name = "ada"
//! scope = "operator"
//! token_sha256 = "…64 hexadecimal digits…"
//! created_at = "2026-11-22T10:00:00Z"
//! ```

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use wayleave_core::{OperatorScope, PropertyId, Timestamp};
use wayleave_engine::{Operator, OperatorTokenHash, Operators, Randomness};
use wayleave_protocol::hex;
use wayleave_protocol::http_date;
use wayleave_protocol::key_text::{self, KeyEnvironment, KeyKind};

use crate::key_file::{self, KeyFileError};

/// The longest name.
const NAME_LIMIT: usize = 64;

/// Why the operators cannot be read or changed. Each says what to do; none repeats a token.
#[derive(Debug, thiserror::Error)]
pub enum OperatorsFileError {
    /// The file cannot be used.
    #[error(transparent)]
    File(#[from] KeyFileError),
    /// What is in it is not a list of operators.
    #[error("{path}: {why}")]
    Content {
        /// The file.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// A name that is none.
    #[error(
        "an operator's name has 1 to {NAME_LIMIT} letters, digits, dots, dashes, underscores or @"
    )]
    Name,
    /// The name is taken.
    #[error("there is an operator {0:?} already: remove them first, or choose another name")]
    Taken(String),
    /// Nobody has the name.
    #[error("there is no operator {0:?}: wayleave operator list shows who there is")]
    Unknown(String),
}

/// An entry of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    scope: String,
    /// Of a property administrator only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    properties: Vec<String>,
    token_sha256: String,
    created_at: String,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    #[serde(default)]
    operator: Vec<Entry>,
}

/// An operator as the list shows them.
#[derive(Clone, Debug, Serialize)]
pub struct ListedOperator {
    /// Who it is.
    pub name: String,
    /// What they may do.
    pub scope: String,
    /// The properties that a property administrator was given.
    pub properties: Vec<String>,
    /// When they were made, by RFC 3339.
    pub created_at: String,
}

/// The file of the operators.
#[derive(Clone, Debug)]
pub struct OperatorsFile {
    path: PathBuf,
}

impl OperatorsFile {
    /// The file at a path.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        OperatorsFile { path: path.into() }
    }

    /// Reads who may call the admin address. Errors: others may read the file, or it names nobody.
    pub fn operators(&self) -> Result<Operators, OperatorsFileError> {
        let entries = self.read()?;
        if entries.is_empty() {
            return Err(self.wrong("names nobody; wayleave operator create NAME makes an operator"));
        }
        let operators = entries.iter().map(|entry| self.operator(entry));
        operators.collect::<Result<_, _>>().map(Operators::new)
    }

    /// Everyone in the file, without hashes.
    pub fn list(&self) -> Result<Vec<ListedOperator>, OperatorsFileError> {
        let entries = self.read()?.into_iter();
        let listed = entries.map(|entry| ListedOperator {
            name: entry.name,
            scope: entry.scope,
            properties: entry.properties,
            created_at: entry.created_at,
        });
        Ok(listed.collect())
    }

    /// Makes an operator and returns their token, which is kept nowhere. A missing file is made.
    /// `properties`: what a property administrator is given; empty for every other scope.
    pub fn create(
        &self,
        name: &str,
        scope: OperatorScope,
        properties: &[PropertyId],
        now: Timestamp,
        randomness: &dyn Randomness,
    ) -> Result<String, OperatorsFileError> {
        check_name(name)?;
        let mut operator = if self.path.exists() {
            self.read()?
        } else {
            Vec::new()
        };
        if operator.iter().any(|entry| entry.name == name) {
            return Err(OperatorsFileError::Taken(name.to_owned()));
        }
        check_properties(scope, properties).map_err(|why| self.wrong(why))?;
        let token = new_token(randomness);
        operator.push(Entry {
            name: name.to_owned(),
            scope: scope.to_string(),
            properties: properties.iter().map(PropertyId::to_string).collect(),
            token_sha256: hex::lower(OperatorTokenHash::of(&token).as_bytes()),
            created_at: http_date::format_rfc3339(now.unix_s()),
        });
        self.write(operator)?;
        Ok(token)
    }

    /// Takes an operator off the list.
    pub fn remove(&self, name: &str) -> Result<(), OperatorsFileError> {
        let mut operator = self.read()?;
        let before = operator.len();
        operator.retain(|entry| entry.name != name);
        if operator.len() == before {
            return Err(OperatorsFileError::Unknown(name.to_owned()));
        }
        self.write(operator)
    }

    fn read(&self) -> Result<Vec<Entry>, OperatorsFileError> {
        let text = key_file::read_private(&self.path)?;
        // The parser's own message would repeat the line, and somebody may have put a token there.
        let content: Content =
            toml::from_str(&text).map_err(|error| self.wrong(error.message().to_owned()))?;
        for (number, entry) in content.operator.iter().enumerate() {
            self.operator(entry)?;
            let earlier = &content.operator[..number];
            if earlier.iter().any(|other| other.name == entry.name) {
                return Err(self.wrong(format!("operator {:?} is there twice", entry.name)));
            }
        }
        Ok(content.operator)
    }

    fn write(&self, operator: Vec<Entry>) -> Result<(), OperatorsFileError> {
        let text = toml::to_string(&Content { operator });
        let text = text.map_err(|error| self.wrong(error.to_string()))?;
        Ok(key_file::write_private(&self.path, &text)?)
    }

    fn operator(&self, entry: &Entry) -> Result<Operator, OperatorsFileError> {
        let name = &entry.name;
        check_name(name)?;
        let scope = entry.scope.parse();
        let scope = scope.map_err(|error| self.wrong(format!("operator {name:?}: {error}")))?;
        let hash = hash_from(&entry.token_sha256).ok_or_else(|| {
            self.wrong(format!(
                "operator {name:?}: token_sha256 is not the SHA-256 of a token (64 hexadecimal digits); wayleave operator create makes the entry, and tokens themselves do not belong here"
            ))
        })?;
        if entry.created_at.parse::<toml::value::Datetime>().is_err() {
            let why =
                format!("operator {name:?}: created_at is not a time such as 2026-11-22T10:00:00Z");
            return Err(self.wrong(why));
        }
        let properties = entry.properties.iter().map(|text| text.parse());
        let properties = properties
            .collect::<Result<Vec<PropertyId>, _>>()
            .map_err(|error| self.wrong(format!("operator {name:?}: properties: {error}")))?;
        check_properties(scope, &properties)
            .map_err(|why| self.wrong(format!("operator {name:?}: {why}")))?;
        Ok(Operator {
            name: name.clone(),
            scope,
            properties,
            token_hash: hash,
        })
    }

    fn wrong(&self, why: impl Into<String>) -> OperatorsFileError {
        OperatorsFileError::Content {
            path: self.path.display().to_string(),
            why: why.into(),
        }
    }
}

fn new_token(randomness: &dyn Randomness) -> String {
    let mut random = [0; 32];
    randomness.fill(&mut random);
    key_text::compose(KeyKind::OperatorToken, KeyEnvironment::Any, &random)
}

fn check_properties(scope: OperatorScope, properties: &[PropertyId]) -> Result<(), &'static str> {
    match (scope, properties.is_empty()) {
        (OperatorScope::PropertyAdministrator, true) => {
            Err("a property_administrator needs properties: name them with --property prp_…")
        }
        (OperatorScope::Operator | OperatorScope::Support, false) => {
            Err("properties go with the scope property_administrator only")
        }
        _ => Ok(()),
    }
}

/// A name goes into log lines and the audit, so it has nothing that could break a line.
fn check_name(name: &str) -> Result<(), OperatorsFileError> {
    let is_fine = |letter: char| letter.is_ascii_alphanumeric() || ".-_@".contains(letter);
    if (1..=NAME_LIMIT).contains(&name.len()) && name.chars().all(is_fine) {
        Ok(())
    } else {
        Err(OperatorsFileError::Name)
    }
}

fn hash_from(text: &str) -> Option<OperatorTokenHash> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; 32];
    for (number, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * number..2 * number + 2], 16).ok()?;
    }
    Some(OperatorTokenHash::from_bytes(bytes))
}
