use wayleave_core::{CustomerId, PartnerId, PoolId, Timestamp};

use crate::instance::{Belongs, containing};
use crate::{Reader, StoreError, Transaction, must_touch};

/// A pool of licences.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pool {
    /// Its id.
    pub id: PoolId,
    /// The number by which clients name it.
    pub number: i64,
    /// Whose it is.
    pub partner_id: PartnerId,
    /// For which customer; `None`: the partner itself.
    pub customer_id: Option<CustomerId>,
    /// To whom its licences are sent.
    pub email: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// The licences of a pool for one version, with the pool.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PoolVersion {
    /// The number by which clients name it.
    pub number: i64,
    /// The pool.
    pub pool: Pool,
    /// The version.
    pub version: String,
    /// How many licences there are for it.
    pub licences: i64,
    /// How many of them came from older versions.
    pub upgrades: i64,
    /// How many devices use one.
    pub devices: i64,
    /// When one of them was last heard of.
    pub seen_at: Option<Timestamp>,
}

/// Which pools are wanted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PoolFilter {
    /// Of which partner.
    pub partner_id: PartnerId,
    /// Whose.
    pub belongs: Belongs,
    /// The row of this number.
    pub version_number: Option<i64>,
    /// Those with this in their address, whatever its case; that of just this address first.
    pub email: Option<String>,
    /// Those for this version.
    pub version: Option<String>,
}

/// A device that uses a licence.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Device {
    /// The number by which clients name it.
    pub number: i64,
    /// The row of its pool and version.
    pub pool_version: i64,
    /// Its hardware address.
    pub hardware: String,
    /// Its name.
    pub name: String,
    /// Its model.
    pub model: String,
    /// Who made it.
    pub manufacturer: String,
    /// Of what runs on it.
    pub version_code: i64,
    /// Whether it is kept out.
    pub is_blocked: bool,
    /// Whether it is rented.
    pub is_rental: bool,
    /// When it was last heard of.
    pub seen_at: Option<Timestamp>,
}

type Row = (
    i64,
    String,
    i64,
    i64,
    i64,
    String,
    i64,
    String,
    Option<String>,
    String,
    i64,
    Option<i64>,
);

/// The columns of a [`Row`], in its order.
macro_rules! select_versions {
    ($rest:literal) => {
        concat!(
            "SELECT v.number, v.version, v.licences, v.upgrades,
                    (SELECT COUNT(*) FROM device WHERE pool_version = v.number),
                    p.id, p.number, p.partner_id, p.customer_id, p.email, p.created_at,
                    (SELECT MAX(seen_at) FROM device WHERE pool_version = v.number)
             FROM licence_pool p JOIN pool_version v ON v.pool_id = p.id ",
            $rest
        )
    };
}

fn from_row(row: Row) -> Result<PoolVersion, StoreError> {
    Ok(PoolVersion {
        number: row.0,
        version: row.1,
        licences: row.2,
        upgrades: row.3,
        devices: row.4,
        seen_at: row.11.map(Timestamp::from_micros),
        pool: Pool {
            id: StoreError::read("pool", &row.5)?,
            number: row.6,
            partner_id: StoreError::read("pool", &row.7)?,
            customer_id: StoreError::read_some("pool", row.8.as_deref())?,
            email: row.9,
            created_at: Timestamp::from_micros(row.10),
        },
    })
}

type DeviceRow = (
    i64,
    i64,
    String,
    String,
    String,
    String,
    i64,
    i64,
    i64,
    Option<i64>,
);

fn device_from_row(row: DeviceRow) -> Device {
    Device {
        number: row.0,
        pool_version: row.1,
        hardware: row.2,
        name: row.3,
        model: row.4,
        manufacturer: row.5,
        version_code: row.6,
        is_blocked: row.7 != 0,
        is_rental: row.8 != 0,
        seen_at: row.9.map(Timestamp::from_micros),
    }
}

impl PoolFilter {
    fn folded(&self) -> String {
        self.email.as_deref().unwrap_or_default().to_lowercase()
    }
}

impl Reader {
    /// Pools by version: so many after having passed over so many.
    pub async fn pools(
        &mut self,
        filter: &PoolFilter,
        start: i64,
        length: i64,
    ) -> Result<Vec<PoolVersion>, StoreError> {
        let folded = filter.folded();
        let rows = fetch_all!(
            &mut self.link,
            Row,
            select_versions!(
                "WHERE p.partner_id = $1 AND ($2 = 'any' OR COALESCE(p.customer_id, '') = $2)
               AND ($3 = 0 OR v.number = $3) AND p.folded_email LIKE $4 ESCAPE '\\'
               AND ($6 = '' OR v.version = $6)
             ORDER BY CASE WHEN p.folded_email = $5 THEN 0 ELSE 1 END, p.id, v.number
             LIMIT $7 OFFSET $8"
            ),
            filter.partner_id.to_string(),
            filter.belongs.word(),
            filter.version_number.unwrap_or_default(),
            containing(&folded),
            folded,
            filter.version.clone().unwrap_or_default(),
            length,
            start
        )?;
        rows.into_iter().map(from_row).collect()
    }

    /// How many rows of pools and versions there are.
    pub async fn count_pools(&mut self, filter: &PoolFilter) -> Result<i64, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            (i64,),
            "SELECT COUNT(*)
             FROM licence_pool p JOIN pool_version v ON v.pool_id = p.id
             WHERE p.partner_id = $1 AND ($2 = 'any' OR COALESCE(p.customer_id, '') = $2)
               AND ($3 = 0 OR v.number = $3) AND p.folded_email LIKE $4 ESCAPE '\\'
               AND ($5 = '' OR v.version = $5)",
            filter.partner_id.to_string(),
            filter.belongs.word(),
            filter.version_number.unwrap_or_default(),
            containing(&filter.folded()),
            filter.version.clone().unwrap_or_default()
        )?;
        Ok(rows.first().map_or(0, |(count,)| *count))
    }

    /// A page of pools in the order of their ids, after one: the rows of so many pools, of one
    /// partner or all.
    pub async fn pools_after(
        &mut self,
        partner: Option<PartnerId>,
        after: Option<PoolId>,
        limit: i64,
    ) -> Result<Vec<PoolVersion>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            select_versions!(
                "WHERE p.id IN (SELECT id FROM licence_pool
                            WHERE id > $1 AND ($2 = '' OR partner_id = $2) ORDER BY id LIMIT $3)
             ORDER BY p.id, v.number"
            ),
            after.map(|id| id.to_string()).unwrap_or_default(),
            partner.map(|id| id.to_string()).unwrap_or_default(),
            limit
        )?;
        rows.into_iter().map(from_row).collect()
    }

    /// The rows of one pool, by its id.
    pub async fn pool(&mut self, id: PoolId) -> Result<Vec<PoolVersion>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            select_versions!("WHERE p.id = $1 ORDER BY v.number"),
            id.to_string()
        )?;
        rows.into_iter().map(from_row).collect()
    }

    /// The rows of one pool of a partner, by the number of the pool.
    pub async fn pool_versions(
        &mut self,
        partner_id: PartnerId,
        pool: i64,
    ) -> Result<Vec<PoolVersion>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            select_versions!("WHERE p.partner_id = $1 AND p.number = $2 ORDER BY v.number"),
            partner_id.to_string(),
            pool
        )?;
        rows.into_iter().map(from_row).collect()
    }

    /// The pool of a partner or one of its customers whose licences go to an address.
    pub async fn pool_of_email(
        &mut self,
        partner_id: PartnerId,
        customer_id: Option<CustomerId>,
        email: &str,
    ) -> Result<Option<Pool>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            (String, i64, String, Option<String>, String, i64),
            "SELECT id, number, partner_id, customer_id, email, created_at FROM licence_pool
             WHERE partner_id = $1 AND COALESCE(customer_id, '') = $2 AND folded_email = $3
             ORDER BY id LIMIT 1",
            partner_id.to_string(),
            customer_id.map(|id| id.to_string()).unwrap_or_default(),
            email.to_lowercase()
        )?;
        let pool = rows.into_iter().next();
        pool.map(|(id, number, partner_id, customer_id, email, created_at)| {
            Ok(Pool {
                id: StoreError::read("pool", &id)?,
                number,
                partner_id: StoreError::read("pool", &partner_id)?,
                customer_id: StoreError::read_some("pool", customer_id.as_deref())?,
                email,
                created_at: Timestamp::from_micros(created_at),
            })
        })
        .transpose()
    }

    /// The devices of a pool's version: so many after having passed over so many.
    pub async fn devices(
        &mut self,
        pool_version: i64,
        start: i64,
        length: i64,
    ) -> Result<Vec<Device>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            DeviceRow,
            "SELECT number, pool_version, hardware, name, model, manufacturer, version_code,
                    is_blocked, is_rental, seen_at
             FROM device WHERE pool_version = $1 ORDER BY number LIMIT $2 OFFSET $3",
            pool_version,
            length,
            start
        )?;
        Ok(rows.into_iter().map(device_from_row).collect())
    }
}

impl Transaction {
    /// Adds a pool; [`StoreError::Conflict`] when the address has one already.
    pub async fn add_pool(&mut self, pool: &Pool) -> Result<(), StoreError> {
        let added = execute!(
            self.link(),
            "INSERT INTO licence_pool (id, number, partner_id, customer_id, email, folded_email,
                 created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
            pool.id.to_string(),
            pool.number,
            pool.partner_id.to_string(),
            pool.customer_id.map(|id| id.to_string()),
            &pool.email,
            pool.email.to_lowercase(),
            pool.created_at.micros()
        )?;
        must_touch(added, StoreError::Conflict)
    }

    /// Adds licences to a pool for a version; `upgrades`: how many of them came from older ones;
    /// `number`: that of the row, where it is new.
    pub async fn add_licences(
        &mut self,
        pool_id: PoolId,
        version: &str,
        (licences, upgrades): (i64, i64),
        number: i64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        execute!(
            self.link(),
            "INSERT INTO pool_version (number, pool_id, version, licences, upgrades, created_at)
             VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (pool_id, version) DO UPDATE SET
                 licences = pool_version.licences + $4, upgrades = pool_version.upgrades + $5",
            number,
            pool_id.to_string(),
            version,
            licences,
            upgrades,
            now.micros()
        )
        .map(drop)
    }

    /// Takes licences away from a row; [`StoreError::Conflict`] when it has fewer.
    pub async fn take_licences(&mut self, number: i64, licences: i64) -> Result<(), StoreError> {
        let taken = execute!(
            self.link(),
            "UPDATE pool_version SET licences = licences - $2
             WHERE number = $1 AND licences >= $2",
            number,
            licences
        )?;
        must_touch(taken, StoreError::Conflict)
    }

    /// Takes licences of a version back from a pool, as many as are still there.
    pub async fn take_back_licences(
        &mut self,
        pool_id: PoolId,
        version: &str,
        licences: i64,
    ) -> Result<(), StoreError> {
        execute!(
            self.link(),
            "UPDATE pool_version
             SET licences = CASE WHEN licences < $3 THEN 0 ELSE licences - $3 END
             WHERE pool_id = $1 AND version = $2",
            pool_id.to_string(),
            version,
            licences
        )
        .map(drop)
    }

    /// Adds a device. Others that come to the same licences at this moment wait for the end of the
    /// transaction, so that they can be counted after it.
    pub async fn add_device(&mut self, device: &Device) -> Result<(), StoreError> {
        execute!(
            self.link(),
            "UPDATE pool_version SET licences = licences WHERE number = $1",
            device.pool_version
        )?;
        execute!(
            self.link(),
            "INSERT INTO device (number, pool_version, hardware, name, model, manufacturer,
                 version_code, is_blocked, is_rental, seen_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            device.number,
            device.pool_version,
            &device.hardware,
            &device.name,
            &device.model,
            &device.manufacturer,
            device.version_code,
            i64::from(device.is_blocked),
            i64::from(device.is_rental),
            device.seen_at.map(Timestamp::micros)
        )
        .map(drop)
    }

    /// Frees the licence of a device; [`StoreError::NotFound`] when there is none.
    pub async fn remove_device(
        &mut self,
        pool_version: i64,
        number: i64,
    ) -> Result<(), StoreError> {
        let removed = execute!(
            self.link(),
            "DELETE FROM device WHERE pool_version = $1 AND number = $2",
            pool_version,
            number
        )?;
        must_touch(removed, StoreError::NotFound)
    }
}
