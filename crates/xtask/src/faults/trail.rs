//! The audit trail as the admin API shows it, compared with what was acknowledged.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::ledger::{Ledger, Loss, Violation, text};

/// A row of the audit trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) number: i64,
    pub(super) actor: String,
    pub(super) act: String,
    pub(super) object: String,
    pub(super) stage: String,
    pub(super) begun: i64,
    pub(super) request_id: String,
}

impl Row {
    /// A row of `GET /audit`.
    pub(super) fn read(row: &Value) -> Row {
        Row {
            number: row["number"].as_i64().unwrap_or(0),
            actor: text(row, "actor").to_owned(),
            act: text(row, "act").to_owned(),
            object: text(row, "object").to_owned(),
            stage: text(row, "stage").to_owned(),
            begun: row["begun"].as_i64().unwrap_or(0),
            request_id: text(row, "request_id").to_owned(),
        }
    }
}

/// An act that was never answered and may be in the trail.
pub(super) struct Claim<'a> {
    pub(super) act: &'a str,
    pub(super) object: &'a str,
}

/// The rows of one environment's trail.
#[derive(Debug, Default)]
pub(super) struct Trail {
    /// The number of the last row that was read.
    pub(super) last: i64,
    begun: HashMap<i64, Row>,
    done_by_request: HashMap<String, Row>,
    /// Rows of acts that are done and that no answer told of, by act and object.
    untold: HashMap<(String, String), Vec<i64>>,
    /// Numbers of rows that belong to an act that was never answered.
    claimed: HashSet<i64>,
    faults: Vec<Violation>,
}

impl Trail {
    /// Reads on. The rows are those after the last one, in their order.
    pub(super) fn take(&mut self, rows: Vec<Row>) {
        for row in rows {
            if row.number != self.last + 1 {
                let what = format!("rows {} to {} are missing", self.last + 1, row.number - 1);
                self.faults.push(Violation::new(Loss::Audit, what));
            }
            self.last = row.number;
            match row.stage.as_str() {
                "begun" => {
                    self.begun.insert(row.number, row);
                }
                "done" => self.take_done(row),
                _ => {}
            }
        }
    }

    fn take_done(&mut self, row: Row) {
        let first = self.begun.get(&row.begun);
        let fits = first.is_some_and(|first| first.act == row.act && first.object == row.object);
        if !fits {
            let what = format!("row {} is done and was never begun", row.number);
            self.faults.push(Violation::new(Loss::Audit, what));
        }
        if row.actor != "system" && !self.claimed.contains(&row.number) {
            let key = (row.act.clone(), row.object.clone());
            self.untold.entry(key).or_default().push(row.number);
        }
        self.done_by_request.insert(row.request_id.clone(), row);
    }

    /// Looks for every act that was acknowledged since the last comparison.
    pub(super) fn compare(&mut self, ledger: &mut Ledger, found: &mut Vec<Violation>) {
        for record in &ledger.records[ledger.compared..] {
            if !record.is_audited() || record.request_id.is_empty() {
                continue;
            }
            let done = self.done_by_request.get(&record.request_id);
            match done.filter(|row| row.act == record.act && row.object == record.object) {
                Some(row) => {
                    let key = (row.act.clone(), row.object.clone());
                    let number = row.number;
                    let rows = self.untold.entry(key).or_default();
                    rows.retain(|untold| *untold != number);
                }
                None => {
                    let what = format!("{} of {} is not in the trail", record.act, record.object);
                    found.push(Violation::new(Loss::Audit, what));
                }
            }
        }
        ledger.compared = ledger.records.len();
    }

    /// Whether the trail says that an act is done of which no answer told; it is then accounted
    /// for.
    pub(super) fn claim(&mut self, claim: &Claim<'_>) -> bool {
        let key = (claim.act.to_owned(), claim.object.to_owned());
        let Some(rows) = self.untold.get_mut(&key) else {
            return false;
        };
        // Acts on one object come one after the other: the one in doubt is the last.
        let number = rows.pop();
        self.claimed.extend(number);
        number.is_some()
    }

    /// Acts that the trail says are done and that nobody asked for, and what was wrong in it.
    pub(super) fn look_for_unclaimed(&mut self, found: &mut Vec<Violation>) {
        found.append(&mut self.faults);
        for ((act, object), rows) in self.untold.drain() {
            for number in rows {
                let what = format!("row {number}: {act} of {object} is done and took no effect");
                found.push(Violation::new(Loss::HalfApplied, what));
            }
        }
    }

    /// Forgets the rows, so that all of them are read and compared once more.
    pub(super) fn begin_anew(&mut self) {
        let claimed = std::mem::take(&mut self.claimed);
        *self = Trail {
            claimed,
            ..Trail::default()
        };
    }
}
