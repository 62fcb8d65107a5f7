//! How many requests may pass: the limits of routes and plans, counted for each caller.

mod quota;
mod rate;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use wayleave_core::{Limit, Measure, PartnerId, Per, Plan, Timestamp};
use wayleave_store::{QuotaKey, Store, StoreError};

use crate::caller::{Admitted, Caller};
use crate::engine::Engine;
use crate::numbered::Numbered;
use crate::{Clock, Refusal};
pub(crate) use quota::Quotas;
use quota::{Quota, Taking};
use rate::{Cells, Rates};

/// How many limits a route and a plan may each have.
pub const MOST_LIMITS: usize = 8;
/// How long a request waits for a part of a quota.
const QUOTA_PATIENCE: Duration = Duration::from_secs(5);
/// How long quotas of past periods are kept: longer than the longest period.
const QUOTAS_KEPT: Duration = Duration::from_secs(62 * 86_400);

/// Whom a limit counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Subject {
    limit: u32,
    /// The id of a credential or partner, or the number of a route.
    who: u128,
}

impl Subject {
    /// Ids are our own and random, so nobody can aim at a place in a table.
    fn hash(self) -> u64 {
        const ODD: u64 = 0x9E37_79B9_7F4A_7C15;
        let folded = (self.who as u64) ^ ((self.who >> 64) as u64).rotate_left(29);
        let mixed = u128::from(folded ^ u64::from(self.limit).wrapping_mul(ODD)) * u128::from(ODD);
        (mixed as u64) ^ ((mixed >> 64) as u64)
    }

    /// The tables take the low bits and the top seven of the hash, so the shard is taken from between.
    fn shard(self, shards: usize) -> usize {
        (self.hash() >> 40) as usize % shards
    }
}

/// How a caller stands with a limit after a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Standing {
    /// How many requests are left.
    pub remaining: u64,
    /// In how many seconds all of it is back, rounded up.
    pub reset_s: u64,
}

/// A limit in the numbers that checking it needs.
#[derive(Debug)]
pub struct CheckedLimit {
    number: u32,
    per: Per,
    how: How,
    name: String,
    policy: String,
}

#[derive(Clone, Copy, Debug)]
enum How {
    Rate(Cells),
    Quota(Quota),
}

impl CheckedLimit {
    fn new(limit: &Limit, numbers: &Numbered) -> Self {
        let (how, policy) = match limit.measure {
            Measure::Rate(rate) => {
                let (burst, window_s) = (rate.burst(), rate.window_s());
                let policy = format!("\"{}\";q={burst};w={window_s}", limit.name);
                (How::Rate(Cells::of(rate)), policy)
            }
            Measure::Quota { requests, period } => {
                let mut policy = format!("\"{}\";q={requests}", limit.name);
                if let Some(length_s) = period.length_s() {
                    policy.push_str(&format!(";w={length_s}"));
                }
                (How::Quota(Quota { requests, period }), policy)
            }
        };
        CheckedLimit {
            // A limit that is defined anew counts anew.
            number: numbers.number(&format!("{limit:?}")),
            per: limit.per,
            how,
            name: limit.name.clone(),
            policy,
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its item in a `RateLimit-Policy` header (draft-ietf-httpapi-ratelimit-headers).
    pub fn policy(&self) -> &str {
        &self.policy
    }

    fn is_quota(&self) -> bool {
        matches!(self.how, How::Quota(_))
    }

    fn subject(&self, caller: &Caller, route: u32) -> Subject {
        Subject {
            limit: self.number,
            who: match self.per {
                Per::Credential => caller.credential_id().number(),
                Per::Partner => caller.partner_id().number(),
                Per::Route => u128::from(route),
            },
        }
    }
}

/// The limits that a route or a plan lists.
#[derive(Debug, Default)]
pub struct LimitSet {
    limits: Vec<CheckedLimit>,
}

impl LimitSet {
    fn new(limits: &[Limit], numbers: &Numbered) -> Self {
        let limits = limits.iter().take(MOST_LIMITS);
        LimitSet {
            limits: limits
                .map(|limit| CheckedLimit::new(limit, numbers))
                .collect(),
        }
    }
}

/// A route as requests are limited and counted by it.
#[derive(Debug)]
pub struct CountedRoute {
    number: u32,
    limits: LimitSet,
}

impl CountedRoute {
    pub(crate) fn number(&self) -> u32 {
        self.number
    }
}

/// What a request took: how its caller stands with every limit that counted it.
#[derive(Debug)]
pub struct Taken {
    plan: Option<Arc<LimitSet>>,
    standings: [Standing; 2 * MOST_LIMITS],
}

impl Taken {
    fn new(plan: Option<Arc<LimitSet>>) -> Self {
        Taken {
            plan,
            standings: [Standing::default(); 2 * MOST_LIMITS],
        }
    }

    /// The limits that count a request: those of its route, then those of its partner's plan. One
    /// that is in both counts once.
    fn limits<'t>(&'t self, route: &'t CountedRoute) -> impl Iterator<Item = &'t CheckedLimit> {
        let own = &route.limits.limits;
        let of_plan = self.plan.iter().flat_map(|plan| &plan.limits);
        let further = of_plan.filter(|limit| !own.iter().any(|known| known.number == limit.number));
        own.iter().chain(further)
    }

    /// Every limit that counted the request, and how its caller stands with it. `route`: the one
    /// that the request was for.
    pub fn each<'t>(
        &'t self,
        route: &'t CountedRoute,
    ) -> impl Iterator<Item = (&'t CheckedLimit, Standing)> {
        self.limits(route).zip(self.standings)
    }
}

/// Why a request may not pass now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OverLimit {
    /// It comes too soon.
    TooFast(Exceeded),
    /// A quota of it is used up.
    UsedUp(Exceeded),
    /// How much of a quota is left cannot be found out now: the database is away.
    QuotaAway {
        /// The name of the limit.
        limit: String,
    },
    /// The partner has a plan that is not in the settings of this node.
    UnknownPlan {
        /// Whose.
        partner: PartnerId,
        /// Which.
        plan: String,
    },
}

/// A limit that is used up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Exceeded {
    /// Its name.
    pub limit: String,
    /// Its item in a `RateLimit-Policy` header.
    pub policy: String,
    /// How the caller stands with it.
    pub standing: Standing,
    /// In how many seconds the next request may pass, rounded up.
    pub retry_after_s: u64,
}

impl Exceeded {
    fn new(limit: &CheckedLimit, standing: Standing, retry_after_s: u64) -> Self {
        Exceeded {
            limit: limit.name.clone(),
            policy: limit.policy.clone(),
            standing,
            retry_after_s,
        }
    }
}

/// Everything about limits in one environment. It lives as long as the engine, so that a reload
/// takes nothing back.
pub(crate) struct Limits {
    numbers: Numbered,
    routes: Numbered,
    /// Names of plans; their numbers are the places in `plans`.
    plan_names: Numbered,
    plans: ArcSwap<Vec<Option<Arc<LimitSet>>>>,
    /// The same of plans that are sold.
    sold: ArcSwap<Vec<Option<Arc<LimitSet>>>>,
    rates: Rates,
    quotas: Arc<Quotas>,
    too_fast: AtomicU64,
    used_up: AtomicU64,
}

impl Limits {
    pub(crate) fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        Limits {
            numbers: Numbered::default(),
            routes: Numbered::default(),
            plan_names: Numbered::default(),
            plans: ArcSwap::default(),
            sold: ArcSwap::default(),
            rates: Rates::default(),
            quotas: Quotas::new(store, clock),
            too_fast: AtomicU64::new(0),
            used_up: AtomicU64::new(0),
        }
    }

    /// The number of a plan, whether or not the settings know it.
    pub(crate) fn plan_number(&self, name: &str) -> u32 {
        self.plan_names.number(name)
    }

    pub(crate) fn knows_plan(&self, name: &str) -> bool {
        self.plan(self.plan_number(name)).is_some()
    }

    fn plan(&self, number: u32) -> Option<Arc<LimitSet>> {
        let configured = self.plans.load().get(number as usize).cloned().flatten();
        configured.or_else(|| self.sold.load().get(number as usize).cloned().flatten())
    }

    fn plan_name(&self, number: u32) -> String {
        let name = self.plan_names.text(number);
        name.as_deref().unwrap_or_default().to_owned()
    }

    /// Takes over a plan that is sold, and gives its number.
    pub(crate) fn put_sold_plan(&self, name: &str, limits: &[Limit]) -> u32 {
        let number = self.plan_number(name);
        let place = number as usize;
        let set = Arc::new(LimitSet::new(limits, &self.numbers));
        self.sold.rcu(|sold| {
            let mut sold = Vec::clone(sold);
            if sold.len() <= place {
                sold.resize_with(place + 1, || None);
            }
            sold[place] = Some(set.clone());
            sold
        });
        number
    }

    fn set_plans(&self, plans: &[Plan]) {
        let mut sets = Vec::new();
        for plan in plans {
            let place = self.plan_number(&plan.name) as usize;
            if sets.len() <= place {
                sets.resize_with(place + 1, || None);
            }
            sets[place] = Some(Arc::new(LimitSet::new(&plan.limits, &self.numbers)));
        }
        self.plans.store(Arc::new(sets));
    }
}

impl Engine {
    /// Takes these plans from now on. What partners have used up stays used up where a limit is the
    /// same as before.
    pub fn set_plans(&self, plans: &[Plan]) {
        self.limits.set_plans(plans);
        for number in self.directory.plans() {
            if self.limits.plan(number).is_none() {
                let (environment, plan) = (self.environment(), self.limits.plan_name(number));
                tracing::error!(%environment, plan, "partners have a plan that is not in the configuration: their requests are refused (503) until it is there or they have another one");
            }
        }
    }

    /// Prepares a route. `name`: what it is called where requests are counted; routes of one name
    /// count together.
    pub fn counted_route(&self, name: &str, limits: &[Limit]) -> CountedRoute {
        CountedRoute {
            number: self.limits.routes.number(name),
            limits: LimitSet::new(limits, &self.limits.numbers),
        }
    }

    /// Requests that were refused since the start because they came too soon.
    pub fn requests_too_fast(&self) -> u64 {
        self.limits.too_fast.load(Ordering::Relaxed)
    }

    /// Requests that were refused since the start because a quota was used up.
    pub fn requests_over_quota(&self) -> u64 {
        self.limits.used_up.load(Ordering::Relaxed)
    }

    /// Counts a request with every limit of its route and of its partner's plan, or with none where
    /// one of them is used up. It waits only where the next part of a quota has to be taken first.
    pub async fn take(
        &self,
        admitted: &Admitted,
        route: &CountedRoute,
    ) -> Result<Taken, OverLimit> {
        let caller = admitted.caller();
        let mut taken = Taken::new(self.plan_of(caller)?);
        if taken.limits(route).next().is_none() {
            return Ok(taken);
        }
        let mut standings = taken.standings;
        let mut passed = 0_u32;
        let now_ns = self.clock.steady_ns();
        // Rates first: a quota is not taken from by who comes too soon.
        for is_quota in [false, true] {
            for (place, limit) in taken.limits(route).enumerate() {
                if limit.is_quota() != is_quota {
                    continue;
                }
                match self.take_one(limit, caller, route, now_ns).await {
                    Ok(standing) => {
                        standings[place] = standing;
                        passed |= 1 << place;
                    }
                    Err(refused) => {
                        let limits = taken.limits(route).enumerate();
                        let passed = limits.filter(|(place, _)| passed & (1 << place) != 0);
                        self.give_back(passed.map(|(_, limit)| limit), caller, route);
                        return Err(refused);
                    }
                }
            }
        }
        taken.standings = standings;
        Ok(taken)
    }

    async fn take_one(
        &self,
        limit: &CheckedLimit,
        caller: &Caller,
        route: &CountedRoute,
        now_ns: u64,
    ) -> Result<Standing, OverLimit> {
        let subject = limit.subject(caller, route.number);
        match limit.how {
            How::Rate(cells) => {
                let taken = self.limits.rates.take(cells, subject, now_ns);
                taken.map_err(|(standing, retry_after_s)| {
                    self.limits.too_fast.fetch_add(1, Ordering::Relaxed);
                    OverLimit::TooFast(Exceeded::new(limit, standing, retry_after_s))
                })
            }
            How::Quota(quota) => {
                let key = |starts_at| QuotaKey {
                    limit: limit.name.clone(),
                    subject: self.subject_text(limit.per, caller, route),
                    period: quota.period,
                    starts_at,
                };
                self.take_of_quota(limit, quota, subject, key).await
            }
        }
    }

    async fn take_of_quota(
        &self,
        limit: &CheckedLimit,
        quota: Quota,
        subject: Subject,
        key: impl Fn(Timestamp) -> QuotaKey,
    ) -> Result<Standing, OverLimit> {
        let away = || OverLimit::QuotaAway {
            limit: limit.name.clone(),
        };
        let take = || {
            let (now, now_ns) = (self.clock.now(), self.clock.steady_ns());
            self.limits.quotas.take(quota, subject, now, now_ns, &key)
        };
        let taking = match take() {
            Taking::Wait(mut arrival) => {
                let waiting = async {
                    loop {
                        // It ends without a word.
                        let _ = arrival.await;
                        match take() {
                            Taking::Wait(next) => arrival = next,
                            taken => return taken,
                        }
                    }
                };
                Box::pin(tokio::time::timeout(QUOTA_PATIENCE, waiting))
                    .await
                    .map_err(|_| away())?
            }
            taken => taken,
        };
        match taking {
            Taking::Passes(standing) => Ok(standing),
            Taking::Empty(standing) => {
                self.limits.used_up.fetch_add(1, Ordering::Relaxed);
                let exceeded = Exceeded::new(limit, standing, standing.reset_s);
                Err(OverLimit::UsedUp(exceeded))
            }
            Taking::Away | Taking::Wait(_) => Err(away()),
        }
    }

    /// The name of a route by its number.
    pub(crate) fn route_name(&self, number: u32) -> String {
        let name = self.limits.routes.text(number);
        name.as_deref().unwrap_or_default().to_owned()
    }

    /// Whom a limit counts, as it is stored.
    fn subject_text(&self, per: Per, caller: &Caller, route: &CountedRoute) -> String {
        match per {
            Per::Credential => caller.credential_id().to_string(),
            Per::Partner => caller.partner_id().to_string(),
            Per::Route => self.route_name(route.number),
        }
    }

    /// Gives back to the store what this node holds of quotas, at the end of the node.
    pub async fn return_quotas(&self) -> Result<(), Refusal> {
        Ok(self.limits.quotas.end().await?)
    }

    /// Gives back to the store what this node holds of quotas and does not use.
    pub async fn tend_quotas(&self) -> Result<(), StoreError> {
        self.limits.quotas.tend().await
    }

    /// Forgets quotas of long ago, unless the clock was set: then what is long ago is not known.
    pub(crate) async fn forget_quotas(&self) -> Result<(), StoreError> {
        if self.clock_was_set() {
            return Ok(());
        }
        self.limits.quotas.forget_old(QUOTAS_KEPT).await
    }

    fn plan_of(&self, caller: &Caller) -> Result<Option<Arc<LimitSet>>, OverLimit> {
        let Some(number) = caller.plan() else {
            return Ok(None);
        };
        match self.limits.plan(number) {
            Some(plan) => Ok(Some(plan)),
            None => Err(OverLimit::UnknownPlan {
                partner: caller.partner_id(),
                plan: self.limits.plan_name(number),
            }),
        }
    }

    /// What a refused request took from other limits is theirs again.
    fn give_back<'l>(
        &self,
        limits: impl Iterator<Item = &'l CheckedLimit>,
        caller: &Caller,
        route: &CountedRoute,
    ) {
        for limit in limits {
            let subject = limit.subject(caller, route.number);
            match limit.how {
                How::Rate(cells) => self.limits.rates.give_back(cells, subject),
                How::Quota(quota) => {
                    let now = self.clock.now();
                    self.limits.quotas.give_back(quota, subject, now);
                }
            }
        }
    }
}
