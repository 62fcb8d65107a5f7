use wayleave_core::{OrderId, PartnerId, PlanTermId, Timestamp};

use crate::{Reader, StoreError, Transaction, must_touch};

/// A plan that a partner has for a time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlanTerm {
    /// Its id.
    pub id: PlanTermId,
    /// Whose it is.
    pub partner_id: PartnerId,
    /// The order that it came from.
    pub order_id: OrderId,
    /// The name of the plan.
    pub plan: String,
    /// The version of the catalogue that says what it gives.
    pub catalogue_version: i64,
    /// Whether it goes on after its term.
    pub renews: bool,
    /// From when it counts.
    pub starts_at: Timestamp,
    /// Until when.
    pub ends_at: Timestamp,
    /// When it was ended; `None`: it counts, or has not begun.
    pub ended_at: Option<Timestamp>,
}

type Row = (
    String,
    String,
    String,
    String,
    i64,
    i64,
    i64,
    i64,
    Option<i64>,
);

/// The columns of a [`Row`], in its order.
macro_rules! select_plan_terms {
    ($rest:literal) => {
        concat!(
            "SELECT id, partner_id, order_id, plan, catalogue_version, renews, starts_at,
                    ends_at, ended_at
             FROM plan_term ",
            $rest
        )
    };
}

fn from_row(row: Row) -> Result<PlanTerm, StoreError> {
    Ok(PlanTerm {
        id: StoreError::read("plan", &row.0)?,
        partner_id: StoreError::read("plan", &row.1)?,
        order_id: StoreError::read("plan", &row.2)?,
        plan: row.3,
        catalogue_version: row.4,
        renews: row.5 != 0,
        starts_at: Timestamp::from_micros(row.6),
        ends_at: Timestamp::from_micros(row.7),
        ended_at: row.8.map(Timestamp::from_micros),
    })
}

impl Reader {
    /// The plans of a partner that were not ended, those that end first first.
    pub async fn plan_terms_of(
        &mut self,
        partner_id: PartnerId,
    ) -> Result<Vec<PlanTerm>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            select_plan_terms!("WHERE partner_id = $1 AND ended_at IS NULL ORDER BY ends_at, id"),
            partner_id.to_string()
        )?;
        rows.into_iter().map(from_row).collect()
    }

    /// One term of a plan, also one that was ended.
    pub async fn plan_term(&mut self, id: PlanTermId) -> Result<Option<PlanTerm>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            select_plan_terms!("WHERE id = $1"),
            id.to_string()
        )?;
        rows.into_iter().next().map(from_row).transpose()
    }

    /// A page of terms of plans in the order of their ids, after one, those that were ended too: of
    /// one partner or all.
    pub async fn plan_terms_after(
        &mut self,
        partner: Option<PartnerId>,
        after: Option<PlanTermId>,
        limit: i64,
    ) -> Result<Vec<PlanTerm>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            select_plan_terms!(
                "WHERE id > $1 AND ($2 = '' OR partner_id = $2) ORDER BY id LIMIT $3"
            ),
            after.map(|id| id.to_string()).unwrap_or_default(),
            partner.map(|id| id.to_string()).unwrap_or_default(),
            limit
        )?;
        rows.into_iter().map(from_row).collect()
    }

    /// Every plan that was not ended, of all partners.
    pub async fn plan_terms(&mut self) -> Result<Vec<PlanTerm>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            select_plan_terms!("WHERE ended_at IS NULL ORDER BY partner_id, ends_at, id")
        )?;
        rows.into_iter().map(from_row).collect()
    }
}

impl Transaction {
    /// Gives a partner a plan for a time. Engines take it over with the change of the partner.
    pub async fn add_plan_term(&mut self, term: &PlanTerm) -> Result<(), StoreError> {
        execute!(
            self.link(),
            "INSERT INTO plan_term (id, partner_id, order_id, plan, catalogue_version, renews,
                 starts_at, ends_at, ended_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            term.id.to_string(),
            term.partner_id.to_string(),
            term.order_id.to_string(),
            &term.plan,
            term.catalogue_version,
            i64::from(term.renews),
            term.starts_at.micros(),
            term.ends_at.micros(),
            term.ended_at.map(Timestamp::micros)
        )?;
        self.changed(crate::ChangedNoun::Partner, term.partner_id);
        Ok(())
    }

    /// Ends a plan; [`StoreError::NotFound`] when there is none that lasts.
    pub async fn end_plan_term(
        &mut self,
        partner_id: PartnerId,
        id: PlanTermId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let ended = execute!(
            self.link(),
            "UPDATE plan_term SET ended_at = $3
             WHERE partner_id = $1 AND id = $2 AND ended_at IS NULL",
            partner_id.to_string(),
            id.to_string(),
            now.micros()
        )?;
        must_touch(ended, StoreError::NotFound)?;
        self.changed(crate::ChangedNoun::Partner, partner_id);
        Ok(())
    }
}
