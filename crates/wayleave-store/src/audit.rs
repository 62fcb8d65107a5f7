//! The audit trail: rows are added, never changed.

use wayleave_core::Timestamp;

use crate::{Reader, StoreError, Transaction};

/// Where an act stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AuditStage {
    /// Written before the act.
    Begun,
    /// Written with the act's effect, in one transaction.
    Done,
    /// Written after an act that had no effect.
    Failed,
}

impl AuditStage {
    /// The stored and shown word.
    pub fn as_str(self) -> &'static str {
        match self {
            AuditStage::Begun => "begun",
            AuditStage::Done => "done",
            AuditStage::Failed => "failed",
        }
    }

    fn parse(text: &str) -> Result<Self, StoreError> {
        [AuditStage::Begun, AuditStage::Done, AuditStage::Failed]
            .into_iter()
            .find(|stage| stage.as_str() == text)
            .ok_or_else(|| StoreError::corrupt("audit row", "unknown stage"))
    }
}

/// One row of the audit trail.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditRow {
    /// Its place, from 1 without gaps.
    pub number: i64,
    /// When it was written.
    pub at: Timestamp,
    /// Who acted: an operator's name, or `system`.
    pub actor: String,
    /// What was done, such as `credential.revoke`.
    pub act: String,
    /// To what: an id, or empty where the act makes one.
    pub object: String,
    /// Where the act stands.
    pub stage: AuditStage,
    /// The number of the row that began the act; its own where it begins one.
    pub begun: i64,
    /// The request that asked for it; empty where none did.
    pub request_id: String,
    /// JSON without secrets.
    pub details: String,
    /// Covers the row and the hash before it.
    pub hash: Vec<u8>,
}

type Row = (
    i64,
    i64,
    String,
    String,
    String,
    String,
    i64,
    String,
    String,
    Vec<u8>,
);

fn from_row(row: Row) -> Result<AuditRow, StoreError> {
    let (number, at, actor, act, object, stage, begun, request_id, details, hash) = row;
    Ok(AuditRow {
        number,
        at: Timestamp::from_micros(at),
        actor,
        act,
        object,
        stage: AuditStage::parse(&stage)?,
        begun,
        request_id,
        details,
        hash,
    })
}

impl Reader {
    /// Rows after a number, oldest first; an empty `actor` or `object` does not narrow.
    pub async fn audit_after(
        &mut self,
        number: i64,
        actor: &str,
        object: &str,
        limit: i64,
    ) -> Result<Vec<AuditRow>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            "SELECT number, at, actor, act, object, stage, begun, request_id, details, hash FROM audit
             WHERE number > $1 AND ($2 = '' OR actor = $2) AND ($3 = '' OR object = $3)
             ORDER BY number LIMIT $4",
            number,
            actor,
            object,
            limit
        )?;
        rows.into_iter().map(from_row).collect()
    }

    /// How many rows the trail has, as its counter says: more than there are when the end was cut
    /// off.
    pub async fn audit_length(&mut self) -> Result<i64, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            (i64,),
            "SELECT value FROM counter WHERE name = 'audit'"
        )?;
        Ok(rows.first().map_or(0, |(value,)| *value))
    }
}

impl Transaction {
    /// Takes the next number of the trail; whoever else wants one waits until this transaction has
    /// ended. Gives the number and the hash of the row before.
    pub async fn next_audit_row(&mut self) -> Result<(i64, Vec<u8>), StoreError> {
        let numbers = fetch_all!(
            self.link(),
            (i64,),
            "UPDATE counter SET value = value + 1 WHERE name = 'audit' RETURNING value"
        )?;
        let (number,) = numbers
            .into_iter()
            .next()
            .ok_or_else(|| StoreError::corrupt("counter", "no audit row"))?;
        let before = fetch_all!(
            self.link(),
            (Vec<u8>,),
            "SELECT hash FROM audit WHERE number = $1",
            number - 1
        )?;
        let hash = before.into_iter().next().map(|(hash,)| hash);
        Ok((number, hash.unwrap_or_default()))
    }

    /// Adds a row with the number that [`Transaction::next_audit_row`] gave.
    pub async fn add_audit_row(&mut self, row: &AuditRow) -> Result<(), StoreError> {
        execute!(
            self.link(),
            "INSERT INTO audit (number, at, actor, act, object, stage, begun, request_id, details, hash)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            row.number,
            row.at.micros(),
            &row.actor,
            &row.act,
            &row.object,
            row.stage.as_str(),
            row.begun,
            &row.request_id,
            &row.details,
            &row.hash
        )
        .map(drop)
    }
}
