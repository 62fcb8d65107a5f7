//! What a line of an order becomes: an instance, licences, a plan; and how that is taken back.

use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use wayleave_core::order::Processing;
use wayleave_core::{
    Choice, Expiration, InstanceId, LineDetails, NewInstance, PlanTermId, PoolId, ProductKind,
    ResourceId, Timestamp,
};
use wayleave_store::{
    Instance, Job, Order, OrderLine, PlanTerm, Pool, Purchase, ReaderSubscription, StoreError,
    Transaction,
};

use crate::Refusal;
use crate::checkout::read_details;
use crate::engine::Engine;
use crate::job::{Attempt, JobKind};
use crate::order::must_not_be_given_back;
use crate::ports::random;
use crate::provision::{InstanceOrder, ProvisionError};
use crate::reader_order::counts;
use crate::subscriber::PurchaseTelling;

pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);
/// How long before the end of a term, and of a demonstration, its owner is reminded.
const REMINDED_OF_TERM: Duration = DAY.saturating_mul(30);
const REMINDED_OF_DEMO: Duration = DAY.saturating_mul(3);

/// What an instance is made of: numbers of the catalogue's choices. Stored as JSON.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, Serialize)]
pub struct MadeOf {
    /// Its region.
    pub region: u32,
    /// Its domain.
    pub domain: u32,
    /// Its theme.
    pub theme: u32,
    /// Its version.
    pub version: u32,
}

/// What is written when a line is delivered.
enum Delivery {
    NewInstance(Instance, Vec<Job>),
    /// As it was read, as it is then, and its jobs.
    ChangedInstance(Instance, Instance, Vec<Job>),
    Licences {
        pool: Pool,
        is_new: bool,
        version: String,
        count: i64,
        number: i64,
    },
    Upgraded {
        pool: PoolId,
        taken: Vec<(i64, i64)>,
        version: String,
        count: i64,
        number: i64,
    },
    Plan(PlanTerm, Job),
    Purchase(Purchase),
    /// And until when it was before.
    Subscription(ReaderSubscription, Option<Timestamp>, PurchaseTelling),
}

/// Why a line cannot be delivered.
enum Undelivered {
    /// Not yet.
    NotNow(String),
    /// Never.
    Never(String),
    Refusal(Refusal),
}

fn reader_is_gone() -> Undelivered {
    Undelivered::Never("the reader is no longer there".to_owned())
}

impl From<Refusal> for Undelivered {
    fn from(refusal: Refusal) -> Self {
        Undelivered::Refusal(refusal)
    }
}

impl From<StoreError> for Undelivered {
    fn from(error: StoreError) -> Self {
        Undelivered::Refusal(Refusal::Store(error))
    }
}

impl From<ProvisionError> for Undelivered {
    fn from(error: ProvisionError) -> Self {
        match error {
            ProvisionError::NotNow(why) => Undelivered::NotNow(why),
            ProvisionError::Never(why) => Undelivered::Never(why),
        }
    }
}

impl Engine {
    /// Delivers one line; where that will never work, takes the order back.
    pub(crate) async fn deliver(
        &self,
        order: &Order,
        processing: Processing,
        line: OrderLine,
    ) -> Result<Option<String>, Refusal> {
        let delivery = match self.prepare(order, &line).await {
            Ok(delivery) => delivery,
            Err(Undelivered::NotNow(why)) => return Ok(Some(why)),
            Err(Undelivered::Never(why)) => return self.give_up(order, processing, &why).await,
            Err(Undelivered::Refusal(refusal)) => return Err(refusal),
        };
        let (id, now) = (order.id, self.now());
        let delivered = self.store.write(now, move |transaction| {
            Box::pin(async move {
                must_not_be_given_back(transaction, id).await?;
                let object = write(transaction, &delivery, now).await?;
                transaction.deliver_line(id, line.place, &object, now).await
            })
        });
        match delivered.await {
            Ok(()) => {
                self.catch_up_soon().await;
                Ok(None)
            }
            Err(StoreError::Refused(why)) => self.give_up(order, processing, why).await,
            Err(error) => Err(Refusal::Store(error)),
        }
    }

    /// Has made what is outside, and says what is to be written.
    async fn prepare(&self, order: &Order, line: &OrderLine) -> Result<Delivery, Undelivered> {
        match read_details(&line.details)? {
            LineDetails::NewInstance(wanted) => self.prepare_instance(order, line, &wanted).await,
            LineDetails::ChangeInstance { instance, displays } => {
                let seen = self.instance_of(order, instance).await?;
                self.provide(order, line, &seen.account_name, displays)
                    .await?;
                let mut instance = seen.clone();
                if instance.is_demo {
                    instance.is_demo = false;
                    instance.renewal_at = self.now().plus_months(line.price.months);
                }
                instance.displays = displays;
                let jobs = self.term_jobs(&instance);
                Ok(Delivery::ChangedInstance(seen, instance, jobs))
            }
            LineDetails::RenewInstance { instance } => {
                let seen = self.instance_of(order, instance).await?;
                let mut instance = seen.clone();
                // A demonstration becomes a paid one, whose term begins now.
                let from = match instance.is_demo {
                    true => self.now(),
                    false => instance.renewal_at.max(self.now()),
                };
                instance.is_demo = false;
                instance.renewal_at = from.plus_months(line.price.months);
                let jobs = self.term_jobs(&instance);
                Ok(Delivery::ChangedInstance(seen, instance, jobs))
            }
            LineDetails::Licences {
                email,
                version,
                count,
            } => {
                self.prepare_licences(order, line, email, version, count)
                    .await
            }
            LineDetails::Upgrade { pool, count } => self.prepare_upgrade(order, pool, count).await,
            LineDetails::Page {
                resource,
                expiration,
                ..
            } => self.prepare_page(order, &resource, expiration).await,
            LineDetails::Subscription { group, period, .. } => {
                let bought = self.subscription_of(order, group, period).await?;
                let (bought, before) = bought.ok_or_else(reader_is_gone)?;
                let telling = self.purchase_telling(bought.reader_id).await?;
                Ok(Delivery::Subscription(bought, before, telling))
            }
            LineDetails::Plan { months, renews } => {
                self.prepare_plan(order, line, months, renews).await
            }
        }
    }

    async fn prepare_page(
        &self,
        order: &Order,
        resource: &str,
        expiration: Expiration,
    ) -> Result<Delivery, Undelivered> {
        let gone = |_| Undelivered::Never("the page is no longer there".to_owned());
        let resource: ResourceId = resource.parse().map_err(gone)?;
        let expires_at = expiration.ends_at(self.now());
        let bought = self.purchase_of(order, resource, expires_at).await?;
        Ok(Delivery::Purchase(bought.ok_or_else(reader_is_gone)?))
    }

    async fn prepare_instance(
        &self,
        order: &Order,
        line: &OrderLine,
        wanted: &NewInstance,
    ) -> Result<Delivery, Undelivered> {
        let catalogue = self.catalogue_version(order.catalogue_version).await?;
        let catalogue = &catalogue.catalogue;
        let product = catalogue.product(line.product);
        let is_demo = product.is_some_and(|product| product.kind == ProductKind::DemoInstance);
        let number_of = |chosen: Option<u32>, choice: Option<&Choice>| {
            chosen
                .or(choice.map(|choice| choice.number))
                .unwrap_or_default()
        };
        let made_of = MadeOf {
            region: number_of(wanted.region, catalogue.regions.first()),
            domain: number_of(wanted.domain, catalogue.domains.first()),
            theme: number_of(wanted.theme, catalogue.themes.first()),
            version: number_of(wanted.version, catalogue.instance_versions.last()),
        };
        self.claim_name(order, &wanted.account_name).await?;
        self.provide(order, line, &wanted.account_name, wanted.displays)
            .await?;
        let now = self.now();
        let instance = Instance {
            id: InstanceId::new(now, random(&*self.randomness)),
            number: self.number().await?,
            partner_id: order.partner_id,
            customer_id: line.customer_id,
            order_id: order.id,
            account_name: wanted.account_name.clone(),
            displays: wanted.displays,
            is_demo,
            is_monthly: wanted.is_monthly,
            renews: wanted.renews,
            made_of: serde_json::to_string(&made_of)
                .map_err(|error| StoreError::corrupt("instance", error))?,
            renewal_at: match is_demo {
                true => now.plus(DAY * catalogue.demo_days),
                false => now.plus_months(line.price.months),
            },
            created_at: now,
            removed_at: None,
        };
        let jobs = self.term_jobs(&instance);
        Ok(Delivery::NewInstance(instance, jobs))
    }

    /// Takes the name before anything is made under it: of two orders at once, one only makes something,
    /// and takes only that back.
    async fn claim_name(&self, order: &Order, name: &str) -> Result<(), Undelivered> {
        let (id, wanted) = (order.id, name.to_owned());
        let claimed = self.store.write(self.now(), move |transaction| {
            Box::pin(async move { transaction.claim_name(&wanted, id).await })
        });
        match claimed.await {
            Err(StoreError::Refused(why)) => Err(Undelivered::Never(format!("{name}: {why}"))),
            claimed => Ok(claimed?),
        }
    }

    async fn provide(
        &self,
        order: &Order,
        line: &OrderLine,
        account_name: &str,
        displays: u32,
    ) -> Result<(), Undelivered> {
        let wanted = InstanceOrder {
            key: format!("{}/{}", order.id, line.place),
            account_name: account_name.to_owned(),
            displays,
        };
        Ok(self.provisioner.provide(&wanted).await?)
    }

    /// What is to be done at the end of the term of an instance, and before it.
    fn term_jobs(&self, instance: &Instance) -> Vec<Job> {
        let (end, ahead) = match instance.is_demo {
            true => (JobKind::EndDemo, REMINDED_OF_DEMO),
            false => (JobKind::Renew, REMINDED_OF_TERM),
        };
        let due = instance.renewal_at;
        [(end, due), (JobKind::Remind, due.minus(ahead))]
            .into_iter()
            .filter(|(_, at)| *at > self.now())
            .map(|(kind, at)| {
                let job = self.job(kind, instance.partner_id, instance.id, at);
                // One of each for each term.
                let name = format!("{} {}", job.name, due.unix_s());
                Job { name, ..job }
            })
            .collect()
    }

    async fn instance_of(&self, order: &Order, number: i64) -> Result<Instance, Undelivered> {
        let partner_id = order.partner_id;
        let found = self
            .store
            .read(move |reader| Box::pin(reader.instance_of_number(partner_id, number)))
            .await?;
        found.ok_or_else(|| Undelivered::Never("the instance is no longer there".to_owned()))
    }

    async fn prepare_licences(
        &self,
        order: &Order,
        line: &OrderLine,
        email: String,
        version: Option<String>,
        count: u32,
    ) -> Result<Delivery, Undelivered> {
        let version = match version {
            Some(version) => version,
            None => self.newest_licence(order).await?,
        };
        let (partner_id, customer_id) = (order.partner_id, line.customer_id);
        let address = email.clone();
        let known = self
            .store
            .read(move |reader| {
                Box::pin(async move {
                    reader
                        .pool_of_email(partner_id, customer_id, &address)
                        .await
                })
            })
            .await?;
        let (now, is_new) = (self.now(), known.is_none());
        let pool = match known {
            Some(pool) => pool,
            None => Pool {
                id: PoolId::new(now, random(&*self.randomness)),
                number: self.number().await?,
                partner_id,
                customer_id,
                email,
                created_at: now,
            },
        };
        Ok(Delivery::Licences {
            pool,
            is_new,
            version,
            count: i64::from(count),
            number: self.number().await?,
        })
    }

    async fn newest_licence(&self, order: &Order) -> Result<String, Undelivered> {
        let catalogue = self.catalogue_version(order.catalogue_version).await?;
        let newest = catalogue.catalogue.licence_versions.last();
        let newest = newest.map(|newest| newest.name.clone());
        newest.ok_or_else(|| Undelivered::Never("there is no version".to_owned()))
    }

    /// The licences that are upgraded are taken from the oldest versions first.
    async fn prepare_upgrade(
        &self,
        order: &Order,
        pool: i64,
        count: u32,
    ) -> Result<Delivery, Undelivered> {
        let newest = self.newest_licence(order).await?;
        let partner_id = order.partner_id;
        let rows = self
            .store
            .read(move |reader| Box::pin(reader.pool_versions(partner_id, pool)))
            .await?;
        let mut left = i64::from(count);
        let mut taken = Vec::new();
        let id = rows.first().map(|row| row.pool.id);
        for row in rows.iter().filter(|row| row.version != newest) {
            let some = row.licences.min(left);
            if some > 0 {
                taken.push((row.number, some));
                left -= some;
            }
        }
        match id {
            Some(pool) if left == 0 => Ok(Delivery::Upgraded {
                pool,
                taken,
                version: newest,
                count: i64::from(count),
                number: self.number().await?,
            }),
            _ => Err(Undelivered::Never(
                "the pool no longer has so many licences to upgrade".to_owned(),
            )),
        }
    }

    async fn prepare_plan(
        &self,
        order: &Order,
        line: &OrderLine,
        months: u32,
        renews: bool,
    ) -> Result<Delivery, Undelivered> {
        let catalogue = self.catalogue_version(order.catalogue_version).await?;
        let product = catalogue.catalogue.product(line.product);
        let grants = product.and_then(|product| product.grants.as_ref());
        let plan = grants.map(|grants| grants.plan.clone());
        let plan = plan.ok_or_else(|| Undelivered::Never("the product is no plan".to_owned()))?;
        let partner_id = order.partner_id;
        let terms = self
            .store
            .read(move |reader| Box::pin(reader.plan_terms_of(partner_id)))
            .await?;
        // Bought while it lasts, it goes on where it would have ended.
        let same = terms.iter().filter(|term| term.plan == plan);
        let starts_at = same
            .map(|term| term.ends_at)
            .fold(self.now(), Timestamp::max);
        let term = PlanTerm {
            id: PlanTermId::new(self.now(), random(&*self.randomness)),
            partner_id,
            order_id: order.id,
            plan,
            catalogue_version: order.catalogue_version,
            renews,
            starts_at,
            ends_at: starts_at.plus_months(months),
            ended_at: None,
        };
        let job = self.job(JobKind::EndPlan, partner_id, term.id, term.ends_at);
        Ok(Delivery::Plan(term, job))
    }

    /// Takes back what a line became, where it became something new. The inner error says why that
    /// did not work yet. What an order changed of something older stays as it is: licences that moved
    /// to a newer version, displays, a longer term.
    pub(crate) async fn take_back(
        &self,
        order: &Order,
        line: &OrderLine,
    ) -> Result<Result<(), String>, Refusal> {
        match read_details(&line.details)? {
            LineDetails::NewInstance(wanted) => {
                self.take_back_instance(order, line, &wanted.account_name)
                    .await
            }
            LineDetails::Licences { version, count, .. } => {
                self.take_back_licences(order, line, version, count).await
            }
            LineDetails::Plan { .. } => {
                self.take_back_plan(order, line).await?;
                Ok(Ok(()))
            }
            LineDetails::Page { .. } => {
                if let Some(id) = delivered(line) {
                    self.end_purchase(id).await?;
                }
                Ok(Ok(()))
            }
            LineDetails::Subscription { group, period, .. } => {
                if line.delivered_id.is_some() {
                    let bought = (group, period);
                    self.shorten_subscription(order, line.place, bought).await?;
                }
                Ok(Ok(()))
            }
            LineDetails::ChangeInstance { .. }
            | LineDetails::RenewInstance { .. }
            | LineDetails::Upgrade { .. } => Ok(Ok(())),
        }
    }

    async fn take_back_plan(&self, order: &Order, line: &OrderLine) -> Result<(), Refusal> {
        let Some(id) = delivered::<PlanTermId>(line) else {
            return Ok(());
        };
        let (partner_id, now) = (order.partner_id, self.now());
        let ended = self.store.write(now, move |transaction| {
            Box::pin(async move { transaction.end_plan_term(partner_id, id, now).await })
        });
        match ended.await {
            Ok(()) => self.catch_up_soon().await,
            Err(StoreError::NotFound) => {}
            Err(error) => return Err(Refusal::Store(error)),
        }
        Ok(())
    }

    async fn take_back_instance(
        &self,
        order: &Order,
        line: &OrderLine,
        name: &str,
    ) -> Result<Result<(), String>, Refusal> {
        // Somebody else's instance of this name is not ours to remove.
        if line.delivered_id.is_none() && !self.has_claimed(order, name).await? {
            return Ok(Ok(()));
        }
        if let Err(error) = self.provisioner.remove(name).await {
            return Ok(Err(error.to_string()));
        }
        match delivered(line) {
            Some(id) => self.remove_row(id).await?,
            None => self.release_name(order, name).await?,
        }
        Ok(Ok(()))
    }

    async fn has_claimed(&self, order: &Order, name: &str) -> Result<bool, Refusal> {
        let wanted = name.to_owned();
        let holder = self
            .store
            .read(move |reader| Box::pin(async move { reader.name_claim(&wanted).await }));
        Ok(holder.await? == Some(order.id))
    }

    async fn release_name(&self, order: &Order, name: &str) -> Result<(), Refusal> {
        let (id, name) = (order.id, name.to_owned());
        let released = self.store.write(self.now(), move |transaction| {
            Box::pin(async move { transaction.release_name(&name, id).await })
        });
        released.await.map_err(Refusal::Store)
    }

    async fn take_back_licences(
        &self,
        order: &Order,
        line: &OrderLine,
        version: Option<String>,
        count: u32,
    ) -> Result<Result<(), String>, Refusal> {
        let Some(pool) = delivered::<PoolId>(line) else {
            return Ok(Ok(()));
        };
        let version = match (version, self.newest_licence(order).await) {
            (Some(version), _) | (None, Ok(version)) => version,
            (None, Err(Undelivered::Refusal(refusal))) => return Err(refusal),
            (None, Err(_)) => return Ok(Ok(())),
        };
        let (id, place, now) = (order.id, line.place, self.now());
        let taken = self.store.write(now, move |transaction| {
            Box::pin(async move {
                // Noted with the line, so that they are taken once.
                transaction.take_line_back(id, place).await?;
                let count = i64::from(count);
                transaction.take_back_licences(pool, &version, count).await
            })
        });
        match taken.await {
            Ok(()) | Err(StoreError::Conflict) => Ok(Ok(())),
            Err(error) => Err(Refusal::Store(error)),
        }
    }

    async fn remove_row(&self, id: InstanceId) -> Result<(), Refusal> {
        let now = self.now();
        let removed = self.store.write(now, move |transaction| {
            Box::pin(async move { transaction.remove_instance(id, now).await })
        });
        match removed.await {
            Ok(()) | Err(StoreError::NotFound) => Ok(()),
            Err(error) => Err(Refusal::Store(error)),
        }
    }

    /// Removes a demonstration whose time is over and that nobody bought.
    pub(crate) async fn end_demo(&self, id: InstanceId) -> Result<Attempt, Refusal> {
        let found = self.store.read(move |reader| Box::pin(reader.instance(id)));
        match found.await? {
            Some(instance) if instance.is_demo && instance.removed_at.is_none() => {
                self.remove_instance(&instance).await
            }
            _ => Ok(Attempt::Done),
        }
    }

    /// Removes an instance: first outside, then its row, so that what is left of it is never unseen.
    pub(crate) async fn remove_instance(&self, instance: &Instance) -> Result<Attempt, Refusal> {
        let removed = self.provisioner.remove(&instance.account_name).await;
        if let Err(error) = removed {
            return Ok(Attempt::Again(error.to_string()));
        }
        self.remove_row(instance.id).await?;
        Ok(Attempt::Done)
    }
}

/// What a line became, by its id.
fn delivered<T: FromStr>(line: &OrderLine) -> Option<T> {
    line.delivered_id.as_deref()?.parse().ok()
}

/// Writes what a line became, and gives its id.
async fn write(
    transaction: &mut Transaction,
    delivery: &Delivery,
    now: Timestamp,
) -> Result<String, StoreError> {
    match delivery {
        Delivery::NewInstance(instance, jobs) => write_new(transaction, instance, jobs).await,
        Delivery::ChangedInstance(seen, instance, jobs) => {
            write_changed(transaction, (seen, instance), jobs).await
        }
        Delivery::Licences {
            pool,
            is_new,
            version,
            count,
            number,
        } => {
            if *is_new {
                transaction.add_pool(pool).await?;
            }
            let added = (*count, 0);
            transaction
                .add_licences(pool.id, version, added, *number, now)
                .await?;
            Ok(pool.id.to_string())
        }
        Delivery::Upgraded {
            pool,
            taken,
            version,
            count,
            number,
        } => {
            for (row, some) in taken {
                transaction.take_licences(*row, *some).await?;
            }
            let added = (*count, *count);
            transaction
                .add_licences(*pool, version, added, *number, now)
                .await?;
            Ok(pool.to_string())
        }
        Delivery::Purchase(purchase) => write_purchase(transaction, purchase, now).await,
        Delivery::Subscription(bought, before, telling) => {
            transaction.extend_subscription(bought, *before).await?;
            telling.tell(transaction, bought).await?;
            Ok(bought.group_id.clone())
        }
        Delivery::Plan(term, job) => {
            transaction.add_plan_term(term).await?;
            transaction.add_job(job).await?;
            Ok(term.id.to_string())
        }
    }
}

async fn write_new(
    transaction: &mut Transaction,
    instance: &Instance,
    jobs: &[Job],
) -> Result<String, StoreError> {
    let added = transaction.add_instance(instance).await;
    added.map_err(|error| match error {
        StoreError::Conflict => StoreError::Refused("the name was taken meanwhile"),
        other => other,
    })?;
    let name = &instance.account_name;
    transaction.release_name(name, instance.order_id).await?;
    for job in jobs {
        transaction.add_job(job).await?;
    }
    Ok(instance.id.to_string())
}

async fn write_changed(
    transaction: &mut Transaction,
    (seen, instance): (&Instance, &Instance),
    jobs: &[Job],
) -> Result<String, StoreError> {
    // Somebody else may have changed it since: then it is looked at again.
    transaction.hold_instance(seen).await?;
    let changed = transaction.change_instance(instance).await;
    changed.map_err(|error| match error {
        StoreError::NotFound => StoreError::Refused("the instance is no longer there"),
        other => other,
    })?;
    for job in jobs {
        transaction.add_job(job).await?;
    }
    Ok(instance.id.to_string())
}

async fn write_purchase(
    transaction: &mut Transaction,
    purchase: &Purchase,
    now: Timestamp,
) -> Result<String, StoreError> {
    let reader = transaction.reader();
    let bought = reader.purchases_of(purchase.reader_id).await?;
    let is_same = |known: &Purchase| counts(known, purchase.resource_id, now);
    if bought.iter().any(is_same) {
        return Err(StoreError::Refused("the page was bought meanwhile"));
    }
    transaction.add_purchase(purchase).await?;
    Ok(purchase.id.to_string())
}
