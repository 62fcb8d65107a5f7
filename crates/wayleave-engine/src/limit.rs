//! How many requests may pass: the limits of routes and plans, counted for each caller.

mod rate;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use wayleave_core::{Limit, Measure, PartnerId, Per, Plan};

use crate::caller::{Admitted, Caller};
use crate::engine::Engine;
use crate::numbered::Numbered;
use rate::{Cells, Rates};

/// How many limits a route and a plan may each have.
pub const MOST_LIMITS: usize = 8;

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
}

impl CheckedLimit {
    fn new(limit: &Limit, numbers: &Numbered) -> Option<Self> {
        let (how, policy) = match limit.measure {
            Measure::Rate(rate) => {
                let (burst, window_s) = (rate.burst(), rate.window_s());
                let policy = format!("\"{}\";q={burst};w={window_s}", limit.name);
                (How::Rate(Cells::of(rate)), policy)
            }
            Measure::Quota { .. } => return None,
        };
        Some(CheckedLimit {
            // A limit that is defined anew counts anew.
            number: numbers.number(&format!("{limit:?}")),
            per: limit.per,
            how,
            name: limit.name.clone(),
            policy,
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its item in a `RateLimit-Policy` header (draft-ietf-httpapi-ratelimit-headers).
    pub fn policy(&self) -> &str {
        &self.policy
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
                .filter_map(|limit| CheckedLimit::new(limit, numbers))
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
#[derive(Default)]
pub(crate) struct Limits {
    numbers: Numbered,
    routes: Numbered,
    /// Names of plans; their numbers are the places in `plans`.
    plan_names: Numbered,
    plans: ArcSwap<Vec<Option<Arc<LimitSet>>>>,
    rates: Rates,
    too_fast: AtomicU64,
}

impl Limits {
    /// The number of a plan, whether or not the settings know it.
    pub(crate) fn plan_number(&self, name: &str) -> u32 {
        self.plan_names.number(name)
    }

    pub(crate) fn knows_plan(&self, name: &str) -> bool {
        self.plan(self.plan_number(name)).is_some()
    }

    fn plan(&self, number: u32) -> Option<Arc<LimitSet>> {
        self.plans.load().get(number as usize).cloned().flatten()
    }

    fn plan_name(&self, number: u32) -> String {
        let name = self.plan_names.text(number);
        name.as_deref().unwrap_or_default().to_owned()
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

    /// Counts a request with every limit of its route and of its partner's plan, or with none where
    /// one of them is used up.
    pub fn take(&self, admitted: &Admitted, route: &CountedRoute) -> Result<Taken, OverLimit> {
        let caller = admitted.caller();
        let mut taken = Taken::new(self.plan_of(caller)?);
        let now_ns = self.clock.steady_ns();
        let mut standings = taken.standings;
        for (place, limit) in taken.limits(route).enumerate() {
            let subject = limit.subject(caller, route.number);
            let How::Rate(cells) = limit.how;
            match self.limits.rates.take(cells, subject, now_ns) {
                Ok(standing) => standings[place] = standing,
                Err((standing, retry_after_s)) => {
                    self.give_back(taken.limits(route).take(place), caller, route);
                    self.limits.too_fast.fetch_add(1, Ordering::Relaxed);
                    let exceeded = Exceeded::new(limit, standing, retry_after_s);
                    return Err(OverLimit::TooFast(exceeded));
                }
            }
        }
        taken.standings = standings;
        Ok(taken)
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
            let How::Rate(cells) = limit.how;
            self.limits.rates.give_back(cells, subject);
        }
    }
}
