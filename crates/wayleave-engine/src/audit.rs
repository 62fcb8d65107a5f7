//! The audit trail: who did what, written before the act and after it, each row bound to the one
//! before by a keyed hash (threats row O7).
//!
//! The key is a value of its own, sealed under the master key, so whoever can only write to the
//! database cannot make a row that verifies. Rows cut off at the very end are found by the counter,
//! or, where that was altered too, by comparing with a head that was written down elsewhere.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Value, json};
use wayleave_core::Timestamp;
use wayleave_store::{
    AuditRow, AuditStage, BoxFuture, Reader, SealedValue, Store, StoreError, Transaction,
};

use crate::engine::Engine;
use crate::ports::Randomness;
use crate::sealed_key::{self, OwnKey};
use crate::vault::keyed_hash;
use crate::{Refusal, Vault};

const KEY_NAME: &str = "audit key";
/// How many rows are read at once.
const PAGE: i64 = 1_000;

/// Who acts, for the audit trail.
#[derive(Clone, Debug)]
pub struct Actor {
    /// An operator's name, or `system`.
    pub name: String,
    /// The request that asks for it; empty where none does.
    pub request_id: String,
}

impl Actor {
    /// Wayleave itself.
    pub fn system() -> Self {
        Actor {
            name: "system".to_owned(),
            request_id: String::new(),
        }
    }
}

/// What is done, for the audit trail.
pub(crate) struct Act {
    /// Noun and verb, such as `credential.revoke`.
    pub(crate) name: &'static str,
    /// The id of what it is done to.
    pub(crate) object: String,
    /// What else matters, without secrets.
    pub(crate) details: Value,
}

impl Act {
    pub(crate) fn new(name: &'static str, object: impl ToString) -> Self {
        Act {
            name,
            object: object.to_string(),
            details: json!({}),
        }
    }

    pub(crate) fn with(self, details: Value) -> Self {
        Act { details, ..self }
    }
}

/// The key of the hashes.
#[derive(Clone)]
pub(crate) struct AuditKey(OwnKey);

impl AuditKey {
    /// Reads the key of a database; makes it when there is none.
    pub(crate) async fn load(
        store: &Store,
        vault: &Vault,
        randomness: &dyn Randomness,
        now: Timestamp,
    ) -> Result<Self, Refusal> {
        let key = sealed_key::load(KEY_NAME, (store, vault), randomness, now).await?;
        Ok(AuditKey(key))
    }

    fn open(value: &SealedValue, vault: &Vault) -> Result<Self, Refusal> {
        Ok(AuditKey(sealed_key::open(KEY_NAME, value, vault)?))
    }

    fn hash(&self, before: &[u8], row: &AuditRow) -> [u8; 32] {
        keyed_hash(
            &*self.0,
            &[
                before,
                &row.number.to_be_bytes(),
                &row.at.micros().to_be_bytes(),
                row.actor.as_bytes(),
                row.act.as_bytes(),
                row.object.as_bytes(),
                row.stage.as_str().as_bytes(),
                &row.begun.to_be_bytes(),
                row.request_id.as_bytes(),
                row.details.as_bytes(),
            ],
        )
    }

    /// Adds a row to the trail. `begun`: the number of the row that began the act; `None` where
    /// this one does. Gives the row's number.
    async fn append(
        &self,
        transaction: &mut Transaction,
        mut row: AuditRow,
        begun: Option<i64>,
    ) -> Result<i64, StoreError> {
        let (number, before) = transaction.next_audit_row().await?;
        row.number = number;
        row.begun = begun.unwrap_or(number);
        row.hash = self.hash(&before, &row).to_vec();
        transaction.add_audit_row(&row).await?;
        Ok(number)
    }
}

/// A row before it has a place in the trail.
fn unplaced(at: Timestamp, by: &Actor, act: &Act, stage: AuditStage, details: String) -> AuditRow {
    AuditRow {
        number: 0,
        at,
        actor: by.name.clone(),
        act: act.name.to_owned(),
        object: act.object.clone(),
        stage,
        begun: 0,
        request_id: by.request_id.clone(),
        details,
        hash: Vec::new(),
    }
}

impl Engine {
    /// Does something that the audit trail records: a row before it, committed on its own; the act
    /// and its completion in one transaction; or a row that says that it failed. Where the outcome
    /// is not known, the act stays begun and nothing else.
    pub(crate) async fn audited<T, F>(&self, by: &Actor, act: Act, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Transaction) -> BoxFuture<'t, Result<T, StoreError>>
            + Send
            + 'static,
    {
        let now = self.now();
        let first = unplaced(now, by, &act, AuditStage::Begun, act.details.to_string());
        let begun = self.append_audit(first, None).await?;
        let (key, last) = (
            self.audit_key.clone(),
            unplaced(now, by, &act, AuditStage::Done, "{}".to_owned()),
        );
        let done = self
            .store
            .write(now, move |transaction| {
                Box::pin(async move {
                    let value = work(transaction).await?;
                    key.append(transaction, last, Some(begun)).await?;
                    Ok(value)
                })
            })
            .await;
        if let Err(error) = &done
            && !matches!(error, StoreError::OutcomeUnknown(_))
        {
            let details = json!({ "why": error.to_string() }).to_string();
            let failed = unplaced(self.now(), by, &act, AuditStage::Failed, details);
            if let Err(error) = self.append_audit(failed, Some(begun)).await {
                tracing::warn!(%error, begun, "the end of an act could not be recorded");
            }
        }
        done
    }

    async fn append_audit(&self, row: AuditRow, begun: Option<i64>) -> Result<i64, StoreError> {
        let key = self.audit_key.clone();
        self.store
            .write(row.at, move |transaction| {
                Box::pin(async move { key.append(transaction, row, begun).await })
            })
            .await
    }
}

/// What is wrong with an audit trail.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AuditFault {
    /// Rows are not there.
    Missing {
        /// The number of the first.
        first: i64,
        /// The number of the last.
        last: i64,
    },
    /// The row was altered, or stands in another's place.
    Altered {
        /// Its number.
        number: i64,
    },
    /// The counter promises more rows than there are.
    CutOff {
        /// The last row that is there.
        last: i64,
        /// The last row that there was.
        counted: i64,
    },
    /// The trail does not lead to the head that was written down elsewhere.
    OtherHead {
        /// The number of that head.
        number: i64,
    },
}

impl fmt::Display for AuditFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AuditFault::Missing { first, last } if first == last => {
                write!(f, "row {first} is missing")
            }
            AuditFault::Missing { first, last } => write!(f, "rows {first} to {last} are missing"),
            AuditFault::Altered { number } => {
                write!(f, "row {number} was altered, or belongs elsewhere")
            }
            AuditFault::CutOff { last, counted } => {
                write!(f, "the trail ends at row {last}, but had {counted} rows")
            }
            AuditFault::OtherHead { number } => {
                write!(f, "row {number} is not the one that was written down")
            }
        }
    }
}

/// A row of the trail as it is written down elsewhere: `NUMBER:HASH`, the hash in hexadecimal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditHead {
    /// Its number; 0 for a trail without rows.
    pub number: i64,
    /// Its hash.
    pub hash: Vec<u8>,
}

impl fmt::Display for AuditHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.number)?;
        self.hash
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A text that is not `NUMBER:HASH`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a head is NUMBER:HASH, as `wayleave audit verify` prints it")]
pub struct AuditHeadError;

impl std::str::FromStr for AuditHead {
    type Err = AuditHeadError;

    fn from_str(text: &str) -> Result<Self, AuditHeadError> {
        let (number, hash) = text.trim().split_once(':').ok_or(AuditHeadError)?;
        if !hash.is_ascii() || hash.len() % 2 != 0 {
            return Err(AuditHeadError);
        }
        let byte = |place: usize| u8::from_str_radix(&hash[place..place + 2], 16);
        Ok(AuditHead {
            number: number.parse().map_err(|_| AuditHeadError)?,
            hash: (0..hash.len())
                .step_by(2)
                .map(byte)
                .collect::<Result<_, _>>()
                .map_err(|_| AuditHeadError)?,
        })
    }
}

/// What verifying a trail came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditReport {
    /// How many rows there are.
    pub rows: i64,
    /// The last row: write it down where the database cannot reach it.
    pub head: AuditHead,
    /// Acts that were begun and whose end is not recorded: the process ended in between.
    pub unfinished: Vec<i64>,
    /// What is wrong.
    pub faults: Vec<AuditFault>,
}

/// Reads a whole trail and checks every row; also beside a running server, through a reader that
/// sees one moment. `known`: a head that was written down earlier.
pub async fn verify_audit(
    reader: &mut Reader,
    vault: &Vault,
    known: Option<&AuditHead>,
) -> Result<AuditReport, Refusal> {
    let mut check = Check::default();
    let counted = reader.audit_length().await?;
    // A trail without rows may not have a key yet.
    if let Some(value) = reader.sealed_value(KEY_NAME).await? {
        let key = AuditKey::open(&value, vault)?;
        loop {
            let page = reader.audit_after(check.head.number, "", "", PAGE).await?;
            if page.is_empty() {
                break;
            }
            page.iter().for_each(|row| check.row(&key, row, known));
        }
    }
    Ok(check.finish(counted, known))
}

struct Check {
    rows: i64,
    head: AuditHead,
    open: BTreeSet<i64>,
    faults: Vec<AuditFault>,
}

impl Default for Check {
    fn default() -> Self {
        Check {
            rows: 0,
            head: AuditHead {
                number: 0,
                hash: Vec::new(),
            },
            open: BTreeSet::new(),
            faults: Vec::new(),
        }
    }
}

impl Check {
    fn row(&mut self, key: &AuditKey, row: &AuditRow, known: Option<&AuditHead>) {
        let (first, last) = (self.head.number + 1, row.number - 1);
        let is_gap = first <= last;
        if is_gap {
            self.faults.push(AuditFault::Missing { first, last });
        }
        // After a gap the hash before is not known, so the row cannot be judged.
        if !is_gap && key.hash(&self.head.hash, row)[..] != row.hash[..] {
            self.faults.push(AuditFault::Altered { number: row.number });
        }
        if known.is_some_and(|known| known.number == row.number && known.hash != row.hash) {
            self.faults
                .push(AuditFault::OtherHead { number: row.number });
        }
        match row.stage {
            AuditStage::Begun => {
                self.open.insert(row.number);
            }
            AuditStage::Done | AuditStage::Failed => {
                self.open.remove(&row.begun);
            }
        }
        self.rows += 1;
        self.head = AuditHead {
            number: row.number,
            hash: row.hash.clone(),
        };
    }

    fn finish(mut self, counted: i64, known: Option<&AuditHead>) -> AuditReport {
        let last = self.head.number;
        if counted > last {
            self.faults.push(AuditFault::CutOff { last, counted });
        }
        if let Some(known) = known
            && known.number > last
        {
            self.faults.push(AuditFault::OtherHead {
                number: known.number,
            });
        }
        AuditReport {
            rows: self.rows,
            head: self.head,
            unfinished: self.open.into_iter().collect(),
            faults: self.faults,
        }
    }
}
