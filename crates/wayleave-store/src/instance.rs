use wayleave_core::{CustomerId, InstanceId, OrderId, PartnerId, Timestamp};

use crate::{Reader, StoreError, Transaction, must_touch};

/// A hosted instance.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Instance {
    /// Its id.
    pub id: InstanceId,
    /// The number by which clients name it.
    pub number: i64,
    /// Whose it is.
    pub partner_id: PartnerId,
    /// For which customer; `None`: the partner itself.
    pub customer_id: Option<CustomerId>,
    /// The order that it came from.
    pub order_id: OrderId,
    /// Its name, as it was asked for.
    pub account_name: String,
    /// How many displays it may serve.
    pub displays: u32,
    /// Whether it is a demonstration.
    pub is_demo: bool,
    /// Whether it is paid by the month.
    pub is_monthly: bool,
    /// Whether it goes on after its term.
    pub renews: bool,
    /// JSON of the numbers of its region, domain, theme and version.
    pub made_of: String,
    /// When its term ends.
    pub renewal_at: Timestamp,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was removed; `None`: it is there.
    pub removed_at: Option<Timestamp>,
}

/// Of whom something is that belongs to a partner.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Belongs {
    /// The partner itself.
    Own,
    /// The partner itself or any of its customers.
    Any,
    /// One customer.
    To(CustomerId),
}

impl Belongs {
    /// What the statements below compare with: empty, `any` or an id.
    pub(crate) fn word(self) -> String {
        match self {
            Belongs::Own => String::new(),
            Belongs::Any => "any".to_owned(),
            Belongs::To(id) => id.to_string(),
        }
    }
}

/// Which instances are wanted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InstanceFilter {
    /// Of which partner.
    pub partner_id: PartnerId,
    /// Whose.
    pub belongs: Belongs,
    /// The one of this number.
    pub number: Option<i64>,
    /// Those with this in their names, whatever its case; the one of just this name first.
    pub name: Option<String>,
}

type Row = (
    String,
    i64,
    String,
    Option<String>,
    String,
    String,
    i64,
    i64,
    i64,
    i64,
    String,
    i64,
    i64,
    Option<i64>,
);

/// The columns of a [`Row`], in its order.
macro_rules! select_instances {
    ($rest:literal) => {
        concat!(
            "SELECT id, number, partner_id, customer_id, order_id, account_name,
                    displays, is_demo, is_monthly, renews, made_of, renewal_at,
                    created_at, removed_at
             FROM instance ",
            $rest
        )
    };
}

fn from_row(row: Row) -> Result<Instance, StoreError> {
    Ok(Instance {
        id: StoreError::read("instance", &row.0)?,
        number: row.1,
        partner_id: StoreError::read("instance", &row.2)?,
        customer_id: StoreError::read_some("instance", row.3.as_deref())?,
        order_id: StoreError::read("instance", &row.4)?,
        account_name: row.5,
        displays: u32::try_from(row.6).map_err(|error| StoreError::corrupt("instance", error))?,
        is_demo: row.7 != 0,
        is_monthly: row.8 != 0,
        renews: row.9 != 0,
        made_of: row.10,
        renewal_at: Timestamp::from_micros(row.11),
        created_at: Timestamp::from_micros(row.12),
        removed_at: row.13.map(Timestamp::from_micros),
    })
}

/// What stands in a LIKE for texts that contain this one.
pub(crate) fn containing(text: &str) -> String {
    let mut pattern = String::from("%");
    for letter in text.chars() {
        if matches!(letter, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    pattern
}

impl InstanceFilter {
    fn folded(&self) -> String {
        self.name.as_deref().unwrap_or_default().to_lowercase()
    }
}

impl Reader {
    /// Instances that are there: so many after having passed over so many.
    pub async fn instances(
        &mut self,
        filter: &InstanceFilter,
        start: i64,
        length: i64,
    ) -> Result<Vec<Instance>, StoreError> {
        let folded = filter.folded();
        let rows = fetch_all!(
            &mut self.link,
            Row,
            select_instances!(
                "WHERE partner_id = $1 AND removed_at IS NULL
               AND ($2 = 'any' OR COALESCE(customer_id, '') = $2)
               AND ($3 = 0 OR number = $3) AND folded_name LIKE $4 ESCAPE '\\'
             ORDER BY CASE WHEN folded_name = $5 THEN 0 ELSE 1 END, id LIMIT $6 OFFSET $7"
            ),
            filter.partner_id.to_string(),
            filter.belongs.word(),
            filter.number.unwrap_or_default(),
            containing(&folded),
            folded,
            length,
            start
        )?;
        rows.into_iter().map(from_row).collect()
    }

    /// How many instances there are.
    pub async fn count_instances(&mut self, filter: &InstanceFilter) -> Result<i64, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            (i64,),
            "SELECT COUNT(*) FROM instance
             WHERE partner_id = $1 AND removed_at IS NULL
               AND ($2 = 'any' OR COALESCE(customer_id, '') = $2)
               AND ($3 = 0 OR number = $3) AND folded_name LIKE $4 ESCAPE '\\'",
            filter.partner_id.to_string(),
            filter.belongs.word(),
            filter.number.unwrap_or_default(),
            containing(&filter.folded())
        )?;
        Ok(rows.first().map_or(0, |(count,)| *count))
    }

    /// One instance of a partner that is there, by its number.
    pub async fn instance_of_number(
        &mut self,
        partner_id: PartnerId,
        number: i64,
    ) -> Result<Option<Instance>, StoreError> {
        let filter = InstanceFilter {
            partner_id,
            belongs: Belongs::Any,
            number: Some(number),
            name: None,
        };
        let found = self.instances(&filter, 0, 1).await?;
        Ok(found.into_iter().next())
    }

    /// One instance, by its id, also a removed one.
    pub async fn instance(&mut self, id: InstanceId) -> Result<Option<Instance>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            select_instances!("WHERE id = $1"),
            id.to_string()
        )?;
        rows.into_iter().next().map(from_row).transpose()
    }

    /// A page of instances that are there, in the order of their ids, after one: of one partner or
    /// all, with this in their names, whatever its case.
    pub async fn instances_after(
        &mut self,
        partner: Option<PartnerId>,
        name: &str,
        after: Option<InstanceId>,
        limit: i64,
    ) -> Result<Vec<Instance>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            select_instances!(
                "WHERE id > $1 AND ($2 = '' OR partner_id = $2) AND removed_at IS NULL
               AND folded_name LIKE $3 ESCAPE '\\'
             ORDER BY id LIMIT $4"
            ),
            after.map(|id| id.to_string()).unwrap_or_default(),
            partner.map(|id| id.to_string()).unwrap_or_default(),
            containing(&name.to_lowercase()),
            limit
        )?;
        rows.into_iter().map(from_row).collect()
    }

    /// Whether an instance of anybody has this name, whatever its case.
    pub async fn is_name_taken(&mut self, account_name: &str) -> Result<bool, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            (i64,),
            "SELECT number FROM instance WHERE folded_name = $1",
            account_name.to_ascii_lowercase()
        )?;
        Ok(!rows.is_empty())
    }

    /// The order for which an instance of this name is being made.
    pub async fn name_claim(&mut self, account_name: &str) -> Result<Option<OrderId>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            (String,),
            "SELECT order_id FROM name_claim WHERE folded_name = $1",
            account_name.to_ascii_lowercase()
        )?;
        let id = rows.first().map(|(id,)| id.parse()).transpose();
        id.map_err(|error| StoreError::corrupt("name", error))
    }
}

impl Transaction {
    /// Takes a name for an order that is about to have its instance made; again where it has it.
    /// [`StoreError::Refused`] when another one has it, or an instance.
    pub async fn claim_name(
        &mut self,
        account_name: &str,
        order_id: OrderId,
    ) -> Result<(), StoreError> {
        execute!(
            self.link(),
            "INSERT INTO name_claim (folded_name, order_id) VALUES ($1, $2)
             ON CONFLICT (folded_name) DO NOTHING",
            account_name.to_ascii_lowercase(),
            order_id.to_string()
        )?;
        let reader = self.reader();
        let holder = reader.name_claim(account_name).await?;
        let is_taken = reader.is_name_taken(account_name).await?;
        match holder == Some(order_id) && !is_taken {
            true => Ok(()),
            false => Err(StoreError::Refused("the name was taken meanwhile")),
        }
    }

    /// Gives a name up that an order has: its instance is there, or will not be.
    pub async fn release_name(
        &mut self,
        account_name: &str,
        order_id: OrderId,
    ) -> Result<(), StoreError> {
        execute!(
            self.link(),
            "DELETE FROM name_claim WHERE folded_name = $1 AND order_id = $2",
            account_name.to_ascii_lowercase(),
            order_id.to_string()
        )?;
        Ok(())
    }

    /// Adds an instance; [`StoreError::Conflict`] when its name is taken.
    pub async fn add_instance(&mut self, instance: &Instance) -> Result<(), StoreError> {
        let added = execute!(
            self.link(),
            "INSERT INTO instance (id, number, partner_id, customer_id, order_id, account_name,
                 folded_name, displays, is_demo, is_monthly, renews, made_of, renewal_at,
                 created_at, removed_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
             ON CONFLICT DO NOTHING",
            instance.id.to_string(),
            instance.number,
            instance.partner_id.to_string(),
            instance.customer_id.map(|id| id.to_string()),
            instance.order_id.to_string(),
            &instance.account_name,
            instance.account_name.to_ascii_lowercase(),
            i64::from(instance.displays),
            i64::from(instance.is_demo),
            i64::from(instance.is_monthly),
            i64::from(instance.renews),
            &instance.made_of,
            instance.renewal_at.micros(),
            instance.created_at.micros(),
            instance.removed_at.map(Timestamp::micros)
        )?;
        must_touch(added, StoreError::Conflict)
    }

    /// Writes what orders change of an instance that is there; [`StoreError::NotFound`] when it is not.
    pub async fn change_instance(&mut self, instance: &Instance) -> Result<(), StoreError> {
        let found = execute!(
            self.link(),
            "UPDATE instance SET displays = $2, is_demo = $3, is_monthly = $4, renews = $5,
                 renewal_at = $6
             WHERE id = $1 AND removed_at IS NULL",
            instance.id.to_string(),
            i64::from(instance.displays),
            i64::from(instance.is_demo),
            i64::from(instance.is_monthly),
            i64::from(instance.renews),
            instance.renewal_at.micros()
        )?;
        must_touch(found, StoreError::NotFound)
    }

    /// Holds an instance until the end of the transaction as it was read before it.
    /// [`StoreError::Conflict`] when somebody has changed or removed it meanwhile.
    pub async fn hold_instance(&mut self, seen: &Instance) -> Result<(), StoreError> {
        let held = execute!(
            self.link(),
            "UPDATE instance SET displays = displays
             WHERE id = $1 AND displays = $2 AND is_demo = $3 AND renewal_at = $4
               AND removed_at IS NULL",
            seen.id.to_string(),
            i64::from(seen.displays),
            i64::from(seen.is_demo),
            seen.renewal_at.micros()
        )?;
        must_touch(held, StoreError::Conflict)
    }

    /// Writes what an instance is made of; [`StoreError::NotFound`] when it is not there.
    pub async fn remake_instance(
        &mut self,
        id: InstanceId,
        made_of: &str,
    ) -> Result<(), StoreError> {
        let found = execute!(
            self.link(),
            "UPDATE instance SET made_of = $2 WHERE id = $1 AND removed_at IS NULL",
            id.to_string(),
            made_of
        )?;
        must_touch(found, StoreError::NotFound)
    }

    /// Removes an instance and frees its name; [`StoreError::NotFound`] when it is not there.
    pub async fn remove_instance(
        &mut self,
        id: InstanceId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let found = execute!(
            self.link(),
            "UPDATE instance SET removed_at = $2, folded_name = NULL
             WHERE id = $1 AND removed_at IS NULL",
            id.to_string(),
            now.micros()
        )?;
        must_touch(found, StoreError::NotFound)
    }
}
