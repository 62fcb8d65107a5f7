//! What readers have a right to: pages that they bought, and groups that they subscribe to.

use wayleave_core::{OrderId, PurchaseId, ReaderId, ResourceId, Timestamp};

use crate::{Reader, StoreError, Transaction, must_touch};

/// A page that a reader has bought.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Purchase {
    /// Its id.
    pub id: PurchaseId,
    /// Who bought it.
    pub reader_id: ReaderId,
    /// Which page.
    pub resource_id: ResourceId,
    /// By which order.
    pub order_id: OrderId,
    /// When.
    pub bought_at: Timestamp,
    /// Until when it counts; `None`: it lasts.
    pub expires_at: Option<Timestamp>,
}

/// A subscription of a reader.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReaderSubscription {
    /// Whose.
    pub reader_id: ReaderId,
    /// The GUID of the group, as settings have it.
    pub group_id: String,
    /// Until when it counts.
    pub expires_at: Timestamp,
    /// When it was bought, given or ended last.
    pub changed_at: Timestamp,
}

type PurchaseRow = (String, String, String, String, i64, Option<i64>);
type SubscriptionRow = (String, String, i64, i64);

fn purchase(row: PurchaseRow) -> Result<Purchase, StoreError> {
    Ok(Purchase {
        id: StoreError::read("purchase", &row.0)?,
        reader_id: StoreError::read("purchase", &row.1)?,
        resource_id: StoreError::read("purchase", &row.2)?,
        order_id: StoreError::read("purchase", &row.3)?,
        bought_at: Timestamp::from_micros(row.4),
        expires_at: row.5.map(Timestamp::from_micros),
    })
}

fn subscription(row: SubscriptionRow) -> Result<ReaderSubscription, StoreError> {
    Ok(ReaderSubscription {
        reader_id: StoreError::read("subscription", &row.0)?,
        group_id: row.1,
        expires_at: Timestamp::from_micros(row.2),
        changed_at: Timestamp::from_micros(row.3),
    })
}

impl Reader {
    /// What a reader has bought, the oldest first.
    pub async fn purchases_of(&mut self, reader_id: ReaderId) -> Result<Vec<Purchase>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            PurchaseRow,
            "SELECT id, reader_id, resource_id, order_id, bought_at, expires_at
             FROM reader_purchase WHERE reader_id = $1 ORDER BY id",
            reader_id.to_string()
        )?;
        rows.into_iter().map(purchase).collect()
    }

    /// The subscriptions of a reader, also those that are over.
    pub async fn subscriptions_of(
        &mut self,
        reader_id: ReaderId,
    ) -> Result<Vec<ReaderSubscription>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            SubscriptionRow,
            "SELECT reader_id, group_id, expires_at, changed_at
             FROM reader_subscription WHERE reader_id = $1 ORDER BY group_id",
            reader_id.to_string()
        )?;
        rows.into_iter().map(subscription).collect()
    }
}

impl Transaction {
    /// Adds a purchase and counts it as a sale of the page.
    pub async fn add_purchase(&mut self, purchase: &Purchase) -> Result<(), StoreError> {
        execute!(
            self.link(),
            "INSERT INTO reader_purchase (id, reader_id, resource_id, order_id, bought_at, expires_at)
             VALUES ($1, $2, $3, $4, $5, $6)",
            purchase.id.to_string(),
            purchase.reader_id.to_string(),
            purchase.resource_id.to_string(),
            purchase.order_id.to_string(),
            purchase.bought_at.micros(),
            purchase.expires_at.map(Timestamp::micros)
        )?;
        self.reader_changed(purchase.reader_id);
        self.add_to_resource_count(purchase.resource_id, 0, 1).await
    }

    /// Ends a purchase now. [`StoreError::NotFound`] when there is none, or it is over.
    pub async fn end_purchase(&mut self, id: PurchaseId, now: Timestamp) -> Result<(), StoreError> {
        let rows = fetch_all!(
            self.link(),
            (String,),
            "UPDATE reader_purchase SET expires_at = $2
             WHERE id = $1 AND (expires_at IS NULL OR expires_at > $2) RETURNING reader_id",
            id.to_string(),
            now.micros()
        )?;
        let (reader,) = rows.first().ok_or(StoreError::NotFound)?;
        self.reader_changed(StoreError::read("purchase", reader)?);
        Ok(())
    }

    /// Gives a reader a subscription until a moment, whatever they had of it before.
    pub async fn put_subscription(
        &mut self,
        subscription: &ReaderSubscription,
    ) -> Result<(), StoreError> {
        execute!(
            self.link(),
            "INSERT INTO reader_subscription (reader_id, group_id, expires_at, changed_at)
             VALUES ($1, $2, $3, $4)
             ON CONFLICT (reader_id, group_id) DO UPDATE SET expires_at = $3, changed_at = $4",
            subscription.reader_id.to_string(),
            &subscription.group_id,
            subscription.expires_at.micros(),
            subscription.changed_at.micros()
        )?;
        self.reader_changed(subscription.reader_id);
        Ok(())
    }

    /// The same where the reader's subscription still ends at a moment, or is not there (`None`):
    /// [`StoreError::Conflict`] where it changed meanwhile.
    pub async fn extend_subscription(
        &mut self,
        subscription: &ReaderSubscription,
        seen: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let Some(seen) = seen else {
            return self.begin_subscription(subscription).await;
        };
        let extended = execute!(
            self.link(),
            "UPDATE reader_subscription SET expires_at = $3, changed_at = $4
             WHERE reader_id = $1 AND group_id = $2 AND expires_at = $5",
            subscription.reader_id.to_string(),
            &subscription.group_id,
            subscription.expires_at.micros(),
            subscription.changed_at.micros(),
            seen.micros()
        )?;
        must_touch(extended, StoreError::Conflict)?;
        self.reader_changed(subscription.reader_id);
        Ok(())
    }

    async fn begin_subscription(
        &mut self,
        subscription: &ReaderSubscription,
    ) -> Result<(), StoreError> {
        let added = execute!(
            self.link(),
            "INSERT INTO reader_subscription (reader_id, group_id, expires_at, changed_at)
             VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
            subscription.reader_id.to_string(),
            &subscription.group_id,
            subscription.expires_at.micros(),
            subscription.changed_at.micros()
        )?;
        must_touch(added, StoreError::Conflict)?;
        self.reader_changed(subscription.reader_id);
        Ok(())
    }
}
