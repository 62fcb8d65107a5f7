//! How often pages were read and bought.

use wayleave_core::ResourceId;

use crate::{Reader, StoreError, Transaction};

/// How often a page was read and bought.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct ResourceCount {
    /// Times that it was shown.
    pub views: u64,
    /// Times that it was bought.
    pub sales: u64,
    /// Where a moving price stands, in US cents; `None`: it has not moved yet.
    moved_minor: Option<i64>,
    /// The price that it moved from.
    moved_from_minor: Option<i64>,
    /// The views when it was looked at last.
    pub moved_views: u64,
    /// The sales then.
    pub moved_sales: u64,
}

impl ResourceCount {
    /// Where a moving price stands that began at `first_minor`; `None`: it has not moved since. In US cents.
    pub fn moved_from(&self, first_minor: i64) -> Option<i64> {
        let moved = self.moved_minor;
        moved.filter(|_| self.moved_from_minor == Some(first_minor))
    }
}

type Row = (i64, i64, Option<i64>, i64, i64, Option<i64>);

fn from_row(row: Row) -> ResourceCount {
    let (views, sales, moved_minor, moved_views, moved_sales, moved_from_minor) = row;
    ResourceCount {
        moved_from_minor,
        views: views.unsigned_abs(),
        sales: sales.unsigned_abs(),
        moved_minor,
        moved_views: moved_views.unsigned_abs(),
        moved_sales: moved_sales.unsigned_abs(),
    }
}

fn stored(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl Reader {
    /// The counts of a page.
    pub async fn resource_count(&mut self, id: ResourceId) -> Result<ResourceCount, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            "SELECT views, sales, moved_minor, moved_views, moved_sales, moved_from_minor
             FROM resource_count WHERE resource_id = $1",
            id.to_string()
        )?;
        Ok(rows.first().copied().map(from_row).unwrap_or_default())
    }
}

impl Transaction {
    /// Adds to the counts of a page.
    pub async fn add_to_resource_count(
        &mut self,
        id: ResourceId,
        views: u64,
        sales: u64,
    ) -> Result<(), StoreError> {
        execute!(
            self.link(),
            "INSERT INTO resource_count (resource_id, views, sales, moved_views, moved_sales)
             VALUES ($1, $2, $3, 0, 0)
             ON CONFLICT (resource_id) DO UPDATE
             SET views = resource_count.views + $2, sales = resource_count.sales + $3",
            id.to_string(),
            stored(views),
            stored(sales)
        )
        .map(drop)
    }

    /// Moves the price of a page that began at `first_minor` and was looked at with these counts; whether
    /// nobody moved it meanwhile.
    pub async fn move_price(
        &mut self,
        id: ResourceId,
        seen: &ResourceCount,
        first_minor: i64,
        to_minor: i64,
    ) -> Result<bool, StoreError> {
        let moved = execute!(
            self.link(),
            "UPDATE resource_count SET moved_minor = $2, moved_views = $3, moved_sales = $4,
                 moved_from_minor = $6
             WHERE resource_id = $1 AND moved_views = $5",
            id.to_string(),
            to_minor,
            stored(seen.views),
            stored(seen.sales),
            stored(seen.moved_views),
            first_minor
        )?;
        Ok(moved == 1)
    }

    /// Forgets the counts of a page.
    pub(crate) async fn forget_resource_count(&mut self, id: ResourceId) -> Result<(), StoreError> {
        execute!(
            self.link(),
            "DELETE FROM resource_count WHERE resource_id = $1",
            id.to_string()
        )
        .map(drop)
    }
}
