use std::collections::HashMap;

use http::StatusCode;
use serde_json::{Value, json};
use wayleave_core::{PartnerId, PoolId};
use wayleave_engine::{Device, NewDevice, PoolVersion};

use super::reading::{Members, Page, page_answer};
use super::{Desk, fault, time};
use crate::answer::{self, Answer};
use crate::fault::Fault;

/// As many devices of a version are shown with a pool.
const MOST_DEVICES: i64 = 1_000;
const MOST_VERSION_CODE: i64 = 1_000_000_000;

impl Desk<'_> {
    pub(super) async fn pools(&self, page: &mut Page) -> Result<Answer, Fault> {
        let partner = page.parsed::<PartnerId>("partner")?;
        let (after, limit) = (page.parsed::<PoolId>("after")?, page.limit()?);
        let found = self
            .engine
            .store()
            .read(move |reader| Box::pin(reader.pools_after(partner, after, limit + 1)));
        let rows = found.await.map_err(|error| fault(error.into()))?;
        let pools: Vec<&[PoolVersion]> = rows
            .chunk_by(|one, other| one.pool.id == other.pool.id)
            .collect();
        Ok(page_answer(&pools, limit, |rows| body(rows)))
    }

    /// With its devices.
    pub(super) async fn pool(&self, id: &str) -> Result<Answer, Fault> {
        let id: PoolId = id.parse().map_err(|_| Fault::NotFound)?;
        let read = self.engine.store().read(move |reader| {
            Box::pin(async move {
                let rows = reader.pool(id).await?;
                let mut devices = HashMap::new();
                for row in &rows {
                    let some = reader.devices(row.number, 0, MOST_DEVICES).await?;
                    devices.insert(row.number, some);
                }
                Ok((rows, devices))
            })
        });
        let (rows, devices) = read.await.map_err(|error| fault(error.into()))?;
        if rows.is_empty() {
            return Err(Fault::NotFound);
        }
        let mut document = body(&rows);
        let versions = document["versions"].as_array_mut();
        for (version, row) in versions.into_iter().flatten().zip(&rows) {
            let of_row = devices.get(&row.number);
            version["devices"] = of_row.into_iter().flatten().map(device_body).collect();
        }
        Ok(answer::json(StatusCode::OK, &document))
    }

    pub(super) async fn add_device(&self, id: &str, mut members: Members) -> Result<Answer, Fault> {
        let id: PoolId = id.parse().map_err(|_| Fault::NotFound)?;
        let new = NewDevice {
            version: members.optional("version")?,
            hardware: members.required("hardware")?,
            name: members.required("name")?,
            model: members.required("model")?,
            manufacturer: members.required("manufacturer")?,
            version_code: members
                .number("version_code", MOST_VERSION_CODE)?
                .unwrap_or_default(),
        };
        members.finish()?;
        let added = self.engine.add_device(&self.actor, id, new).await;
        let device = added.map_err(fault)?;
        Ok(answer::json(StatusCode::CREATED, &device_body(&device)))
    }
}

/// The rows of one pool.
fn body(rows: &[PoolVersion]) -> Value {
    let versions: Vec<Value> = rows.iter().map(version_body).collect();
    let Some(PoolVersion { pool, .. }) = rows.first() else {
        return Value::Null;
    };
    json!({
        "id": pool.id.to_string(),
        "number": pool.number,
        "partner": pool.partner_id.to_string(),
        "customer": pool.customer_id.map(|id| id.to_string()),
        "email": pool.email,
        "versions": versions,
        "created_at": time(pool.created_at),
    })
}

fn version_body(row: &PoolVersion) -> Value {
    json!({
        "number": row.number,
        "version": row.version,
        "licences": row.licences,
        "upgrades": row.upgrades,
        "used": row.devices,
    })
}

fn device_body(device: &Device) -> Value {
    json!({
        "number": device.number,
        "hardware": device.hardware,
        "name": device.name,
        "model": device.model,
        "manufacturer": device.manufacturer,
        "version_code": device.version_code,
        "is_blocked": device.is_blocked,
        "is_rental": device.is_rental,
        "seen_at": device.seen_at.map(time),
    })
}
