//! How often pages are shown: counted in memory, written together, read back where a price follows
//! from it.

use std::collections::HashMap;

use parking_lot::Mutex;
use wayleave_core::{PricingModel, ResourceId, ResourcePricing};
use wayleave_store::ResourceCount;

use crate::Refusal;
use crate::engine::Engine;

const SHARDS: usize = 64;
/// How many pages are written in one transaction.
const AT_ONCE: usize = 500;

/// What is known of the counts of a page.
#[derive(Default)]
struct Counted {
    /// Not written yet.
    views: u64,
    /// Of all nodes, when it was last read.
    stored: Option<ResourceCount>,
    /// How its price moves, where it does.
    moving: Option<Box<ResourcePricing>>,
}

impl Counted {
    fn note(&mut self, pricing: &ResourcePricing) {
        let moves = pricing.model == PricingModel::TargetConversion;
        if self.moving.as_deref() != moves.then_some(pricing) {
            self.moving = moves.then(|| Box::new(pricing.clone()));
        }
    }
}

/// Views of a page that are to be written.
struct Unwritten {
    id: ResourceId,
    views: u64,
    /// Whether the counts are needed afterwards.
    is_read: bool,
    moving: Option<Box<ResourcePricing>>,
}

/// The counts that this node has not written yet, and those that prices follow from.
pub(crate) struct ResourceCounts(Box<[Mutex<HashMap<ResourceId, Counted>>]>);

/// Whether what a page costs depends on how often it was read.
fn follows_views(pricing: &ResourcePricing) -> bool {
    let model = pricing.model;
    matches!(
        model,
        PricingModel::ViewTiered | PricingModel::TargetConversion
    )
}

impl ResourceCounts {
    pub(crate) fn new() -> Self {
        let shard = || Mutex::new(HashMap::new());
        ResourceCounts(std::iter::repeat_with(shard).take(SHARDS).collect())
    }

    fn shard(&self, id: ResourceId) -> &Mutex<HashMap<ResourceId, Counted>> {
        &self.0[id.number() as usize % SHARDS]
    }

    /// Counts that a page was shown.
    pub(crate) fn add_view(&self, id: ResourceId) {
        self.shard(id).lock().entry(id).or_default().views += 1;
    }

    /// The counts of a page with those that are not written yet; `None`: they have to be read first. What
    /// its price is found by is noted with them, and may be another from one request to the next.
    fn get(&self, id: ResourceId, pricing: &ResourcePricing) -> Option<ResourceCount> {
        let mut shard = self.shard(id).lock();
        let counted = shard.get_mut(&id)?;
        let stored = counted.stored?;
        counted.note(pricing);
        let mut counts = stored;
        counts.views += counted.views;
        Some(counts)
    }

    fn put(&self, id: ResourceId, stored: ResourceCount, pricing: &ResourcePricing) {
        let mut shard = self.shard(id).lock();
        let counted = shard.entry(id).or_default();
        counted.stored = Some(stored);
        counted.note(pricing);
    }

    /// Takes what is to be written. Counts from which prices follow are read again with it; others
    /// are forgotten.
    fn take(&self) -> Vec<Unwritten> {
        let mut taken = Vec::new();
        for shard in &self.0 {
            shard.lock().retain(|id, counted| {
                let is_read = counted.stored.is_some();
                let views = std::mem::take(&mut counted.views);
                if views > 0 {
                    // Until it is read back, so that no view is missing in between.
                    if let Some(stored) = &mut counted.stored {
                        stored.views += views;
                    }
                    taken.push(Unwritten {
                        id: *id,
                        views,
                        is_read,
                        moving: counted.moving.clone(),
                    });
                }
                is_read && views > 0
            });
        }
        // In one order, so that nodes never wait for each other.
        taken.sort_by_key(|unwritten| unwritten.id);
        taken
    }

    fn put_back(&self, id: ResourceId, views: u64) {
        let mut shard = self.shard(id).lock();
        let counted = shard.entry(id).or_default();
        counted.views += views;
        if let Some(stored) = &mut counted.stored {
            stored.views = stored.views.saturating_sub(views);
        }
    }

    fn refresh(&self, id: ResourceId, stored: ResourceCount) {
        if let Some(counted) = self.shard(id).lock().get_mut(&id) {
            counted.stored = Some(stored);
        }
    }
}

impl Engine {
    /// The counts from which the price of a page follows; `None`: it does not.
    pub(crate) async fn counts_for(
        &self,
        id: ResourceId,
        pricing: &ResourcePricing,
    ) -> Result<Option<ResourceCount>, Refusal> {
        if !follows_views(pricing) {
            return Ok(None);
        }
        if let Some(known) = self.resource_counts.get(id, pricing) {
            return Ok(Some(known));
        }
        let stored = self
            .store
            .read(move |reader| Box::pin(reader.resource_count(id)))
            .await?;
        self.resource_counts.put(id, stored, pricing);
        Ok(Some(
            self.resource_counts.get(id, pricing).unwrap_or(stored),
        ))
    }

    /// Writes the views that were counted, and moves prices that have seen enough of them. What the
    /// store does not take is written with the next.
    pub async fn write_views(&self) -> Result<(), Refusal> {
        let taken = self.resource_counts.take();
        let mut written = 0;
        for some in taken.chunks(AT_ONCE) {
            let views: Vec<(ResourceId, u64)> =
                some.iter().map(|page| (page.id, page.views)).collect();
            let added = self.store.write(self.now(), move |transaction| {
                Box::pin(async move {
                    for (id, views) in views {
                        transaction.add_to_resource_count(id, views, 0).await?;
                    }
                    Ok(())
                })
            });
            if let Err(error) = added.await {
                for page in &taken[written..] {
                    self.resource_counts.put_back(page.id, page.views);
                }
                return Err(error.into());
            }
            written += some.len();
        }
        for page in taken.into_iter().filter(|page| page.is_read) {
            self.read_counts_back(page.id, page.moving.as_deref())
                .await?;
        }
        Ok(())
    }

    async fn read_counts_back(
        &self,
        id: ResourceId,
        moving: Option<&ResourcePricing>,
    ) -> Result<(), Refusal> {
        let mut stored = self
            .store
            .read(move |reader| Box::pin(reader.resource_count(id)))
            .await?;
        if let Some(pricing) = moving {
            stored = self.move_price(id, stored, pricing).await?;
        }
        self.resource_counts.refresh(id, stored);
        Ok(())
    }

    async fn move_price(
        &self,
        id: ResourceId,
        stored: ResourceCount,
        pricing: &ResourcePricing,
    ) -> Result<ResourceCount, Refusal> {
        let views = stored.views.saturating_sub(stored.moved_views);
        if views < u64::from(pricing.target.views_per_period.max(1)) {
            return Ok(stored);
        }
        let sales = stored.sales.saturating_sub(stored.moved_sales);
        let first_minor = pricing.price_minor;
        let to_minor = pricing.moved(stored.moved_from(first_minor), views, sales);
        let moved = self.store.write(self.now(), move |transaction| {
            Box::pin(async move {
                let moving = transaction.move_price(id, &stored, first_minor, to_minor);
                moving.await?;
                transaction.reader().resource_count(id).await
            })
        });
        Ok(moved.await?)
    }
}
