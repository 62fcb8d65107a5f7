use wayleave_core::{Membership, PartnerId, Timestamp};

use crate::{ChangedNoun, Reader, StoreError, Transaction, must_touch};

/// A partner as stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Partner {
    /// Its id.
    pub id: PartnerId,
    /// Its name, for people.
    pub name: String,
    /// Whether it is in good standing.
    pub membership: Membership,
    /// The plan whose limits count for it; `None`: it has none.
    pub plan: Option<String>,
    /// When it was admitted first.
    pub created_at: Timestamp,
}

type Row = (String, String, String, i64, Option<String>);

fn from_row((id, name, membership, created_at, plan): Row) -> Result<Partner, StoreError> {
    Ok(Partner {
        id: id
            .parse()
            .map_err(|error| StoreError::corrupt("partner", error))?,
        name,
        membership: membership
            .parse()
            .map_err(|error| StoreError::corrupt("partner", error))?,
        plan,
        created_at: Timestamp::from_micros(created_at),
    })
}

impl Reader {
    /// One partner.
    pub async fn partner(&mut self, id: PartnerId) -> Result<Option<Partner>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            "SELECT id, name, membership, created_at, plan FROM partner WHERE id = $1",
            id.to_string()
        )?;
        rows.into_iter().next().map(from_row).transpose()
    }

    /// A page of partners in the order of their ids, after one.
    pub async fn partners_after(
        &mut self,
        after: Option<PartnerId>,
        limit: i64,
    ) -> Result<Vec<Partner>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            "SELECT id, name, membership, created_at, plan FROM partner WHERE id > $1 ORDER BY id LIMIT $2",
            after.map(|id| id.to_string()).unwrap_or_default(),
            limit
        )?;
        rows.into_iter().map(from_row).collect()
    }

    /// Every partner, oldest first.
    pub async fn partners(&mut self) -> Result<Vec<Partner>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            "SELECT id, name, membership, created_at, plan FROM partner ORDER BY id"
        )?;
        rows.into_iter().map(from_row).collect()
    }
}

impl Transaction {
    /// Adds a partner; [`StoreError::Conflict`] when the id is taken.
    pub async fn add_partner(&mut self, partner: &Partner) -> Result<(), StoreError> {
        let added = execute!(
            self.link(),
            "INSERT INTO partner (id, name, membership, created_at, plan) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (id) DO NOTHING",
            partner.id.to_string(),
            &partner.name,
            partner.membership.as_str(),
            partner.created_at.micros(),
            partner.plan.as_deref()
        )?;
        must_touch(added, StoreError::Conflict)?;
        self.changed(ChangedNoun::Partner, partner.id);
        Ok(())
    }

    /// Gives a partner another name; [`StoreError::NotFound`] when there is none.
    pub async fn rename_partner(&mut self, id: PartnerId, name: &str) -> Result<(), StoreError> {
        let found = execute!(
            self.link(),
            "UPDATE partner SET name = $2 WHERE id = $1",
            id.to_string(),
            name
        )?;
        must_touch(found, StoreError::NotFound)?;
        self.changed(ChangedNoun::Partner, id);
        Ok(())
    }

    /// Admits a partner or lets it lapse; [`StoreError::NotFound`] when there is none.
    pub async fn set_membership(
        &mut self,
        id: PartnerId,
        membership: Membership,
    ) -> Result<(), StoreError> {
        let found = execute!(
            self.link(),
            "UPDATE partner SET membership = $2 WHERE id = $1",
            id.to_string(),
            membership.as_str()
        )?;
        must_touch(found, StoreError::NotFound)?;
        self.changed(ChangedNoun::Partner, id);
        Ok(())
    }
    /// Gives a partner a plan or takes it; [`StoreError::NotFound`] when there is no such partner.
    pub async fn set_plan(&mut self, id: PartnerId, plan: Option<&str>) -> Result<(), StoreError> {
        let found = execute!(
            self.link(),
            "UPDATE partner SET plan = $2 WHERE id = $1",
            id.to_string(),
            plan
        )?;
        must_touch(found, StoreError::NotFound)?;
        self.changed(ChangedNoun::Partner, id);
        Ok(())
    }
}
