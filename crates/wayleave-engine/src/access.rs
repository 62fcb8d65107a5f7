//! Whether a visitor may see a page, and what is counted for it.
//!
//! A page that was seen, bought or subscribed to is decided from memory. A new one of a quota waits
//! until it is counted for good, so that no crash gives a place of a quota twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use wayleave_core::{
    AdBlocker, CalendarPeriod, CredentialId, Decision, MeterReading, PageStanding, PriceMoment,
    PricingModel, PropertyId, PropertySettings, ReaderId, Resource, ResourceOrigin,
    ResourcePricing, Situation, SubscriptionGroup, Terms, Timestamp, Visitor, decide,
    decide_unseen, is_open_to_all,
};
use wayleave_protocol::ticks;
use wayleave_protocol::user_token::{Keeping, UserToken};
use wayleave_store::{HitOutcome, HitWindow};

use crate::Refusal;
use crate::content::HeldProperty;
use crate::engine::Engine;
use crate::ports::random;
use crate::reader_memory::{Glance, KnownReader, Window, page_word};

/// How long a token of a reader counts; each answer has a new one.
pub const USER_TOKEN_LIFE: Duration = Duration::from_secs(14 * 24 * 3600);
/// On several nodes: how old what is known of a reader may be before a page is denied because of it.
const OLDEST_DENIAL: Duration = Duration::from_millis(500);
/// How many readers may be read at once.
pub(crate) const READINGS: usize = 16;
/// How often a reader is read who changes meanwhile.
const MOST_READINGS: u32 = 3;

/// By what a visitor is known.
#[derive(Clone, Copy, Debug)]
pub enum VisitorProof<'a> {
    /// The token that the site stored; empty or missing for somebody new.
    UserToken(&'a str),
    /// A token that counts once.
    TemporaryToken(&'a str),
}

/// A question of a site: may this visitor see this page?
#[derive(Clone, Copy, Debug)]
pub struct AccessQuestion<'a> {
    /// The key set with which the site asks.
    pub credential_id: CredentialId,
    /// Its property.
    pub property_id: PropertyId,
    /// The page's key, exactly.
    pub key: &'a str,
    /// Who visits.
    pub proof: VisitorProof<'a>,
    /// Where the page lies, as the site says; empty: it says nothing.
    pub page_url: &'a str,
    /// What the site found out about blockers.
    pub ad_blocker: AdBlocker,
    /// Whether the visitor has proven to be a search engine that the property lets in.
    pub is_verified_crawler: bool,
}

/// The answer.
#[derive(Clone, Debug)]
pub struct AccessAnswer {
    /// The visitor's new token.
    pub user_token: String,
    /// Until when it counts; `None`: the browser is to forget it at the end of its session.
    pub user_token_expires_at: Option<Timestamp>,
    /// The property.
    pub property: Arc<HeldProperty>,
    /// The page, where it is a resource.
    pub resource: Option<Arc<Resource>>,
    /// The visitor, where they have signed in: user name and first name.
    pub names: Option<(String, String)>,
    /// What was decided.
    pub decision: Decision,
    /// The quota as it is then; `None`: the property has none.
    pub meter: Option<Meter>,
    /// The subscription that opens the page, or did; `None`: there is none.
    pub subscription: Option<Subscribed>,
    /// Whether the page is bought.
    pub is_bought: bool,
    /// Whether the page is open to whoever comes: see [`wayleave_core::is_open_to_all`].
    pub is_open_to_all: bool,
    /// The moment of the answer.
    pub at: Timestamp,
}

/// A quota in its present period.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Meter {
    /// How far it is used.
    pub reading: MeterReading,
    /// The kind of period.
    pub period: CalendarPeriod,
    /// When it began.
    pub starts_at: Timestamp,
}

/// A subscription that has to do with a page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Subscribed {
    /// The GUID of its group.
    pub group_id: String,
    /// Until when it counts, or counted.
    pub until: Timestamp,
    /// Whether it counts.
    pub is_current: bool,
}

/// The last ticks of a token, so that each token is another.
#[derive(Default)]
pub(crate) struct LastTicks(AtomicU64);

impl LastTicks {
    fn next(&self, now: Timestamp) -> u64 {
        let now = ticks::from_unix_micros(now.micros());
        let later = |last: u64| Some(now.max(last + 1));
        let before = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, later);
        now.max(before.unwrap_or_default() + 1)
    }
}

/// A visitor, as far as tokens say.
pub(crate) struct Identified {
    pub(crate) reader_id: ReaderId,
    pub(crate) keeping: Keeping,
    /// Nothing can be known of them yet.
    is_fresh: bool,
    /// The page that the spider reads.
    spider_page: Option<String>,
}

/// What a decision is made of.
struct Looked<'a> {
    question: &'a AccessQuestion<'a>,
    settings: &'a PropertySettings,
    resource: Option<&'a Resource>,
    /// Why the page could not be looked up, where it could not.
    away: Option<&'a str>,
    window: Window,
    now: Timestamp,
}

impl Engine {
    /// Answers a question of a site. A token that is missing, edited, of another property or too old
    /// is somebody new, never an error.
    ///
    /// Errors: there is no such property.
    pub async fn ask_for_access(
        &self,
        question: &AccessQuestion<'_>,
    ) -> Result<AccessAnswer, Refusal> {
        let property = self.property_held(question.property_id)?;
        let resource = self.resource(property.id, question.key).await;
        let away = resource.as_ref().err().map(ToString::to_string);
        let now = self.now();
        let visitor = self.identify(question, now).await;
        let resource = match resource {
            // In a box: most questions are about pages that are known.
            Ok(None) if visitor.spider_page.is_none() => {
                Box::pin(self.page_asked_about(question, &property)).await
            }
            looked => looked.unwrap_or_default(),
        };
        let looked = Looked {
            question,
            settings: &property.settings,
            resource: resource.as_deref(),
            away: away.as_deref(),
            window: Window::of(property.settings.quota.period, now),
            now,
        };
        let (decision, glance, situation) = self.decide_for(&looked, &visitor).await;
        if let (Some(resource), false) = (&resource, is_machine(situation.visitor)) {
            self.resource_counts.add_view(resource.id);
        }
        let token = self.issue_user_token(question.property_id, &visitor, now);
        let subscription = looked.subscription(&glance);
        let names = glance.account.as_ref();
        let names = names.map(|known| (known.user_name.clone(), known.first_name.clone()));
        Ok(AccessAnswer {
            user_token: token,
            user_token_expires_at: (visitor.keeping == Keeping::Remembered)
                .then(|| now.plus(USER_TOKEN_LIFE)),
            names,
            decision,
            meter: situation.meter.map(|reading| Meter {
                reading,
                period: looked.window.period,
                starts_at: looked.window.starts_at,
            }),
            subscription: subscription.map(|(group, until)| Subscribed {
                group_id: group.id.clone(),
                until,
                is_current: now < until,
            }),
            is_bought: situation.is_bought,
            is_open_to_all: is_open_to_all(&situation),
            at: now,
            property,
            resource,
        })
    }

    /// Who visits, as far as tokens say.
    async fn identify(&self, question: &AccessQuestion<'_>, now: Timestamp) -> Identified {
        let found = match question.proof {
            VisitorProof::UserToken(text) => {
                let token = self.read_user_token(question.property_id, text, now);
                token.map(|token| Identified {
                    reader_id: ReaderId::from_number(u128::from_be_bytes(token.reader)),
                    keeping: token.keeping,
                    is_fresh: false,
                    spider_page: None,
                })
            }
            VisitorProof::TemporaryToken(text) => {
                let redeemed = self.redeem(question.credential_id, text).await;
                redeemed.map(|token| Identified {
                    reader_id: token.reader_id,
                    keeping: match token.is_remembered {
                        true => Keeping::Remembered,
                        false => Keeping::Session,
                    },
                    is_fresh: false,
                    spider_page: token.spider_page,
                })
            }
        };
        found.unwrap_or_else(|| Identified {
            reader_id: ReaderId::new(now, random(&*self.randomness)),
            keeping: Keeping::Remembered,
            is_fresh: true,
            spider_page: None,
        })
    }

    /// A reader's token that counts at a property now.
    pub(crate) fn read_user_token(
        &self,
        property_id: PropertyId,
        text: &str,
        now: Timestamp,
    ) -> Option<UserToken> {
        if text.is_empty() {
            return None;
        }
        let token = self.user_tokens.read(property_id.number(), text)?;
        let issued_at = Timestamp::from_micros(ticks::to_unix_micros(token.issued_ticks));
        (now < issued_at.plus(USER_TOKEN_LIFE)).then_some(token)
    }

    fn issue_user_token(
        &self,
        property_id: PropertyId,
        visitor: &Identified,
        now: Timestamp,
    ) -> String {
        let token = UserToken {
            reader: visitor.reader_id.number().to_be_bytes(),
            issued_ticks: self.last_ticks.next(now),
            keeping: visitor.keeping,
        };
        self.user_tokens.write(property_id.number(), &token)
    }

    /// A token of an anonymous reader.
    pub(crate) fn token_of_anonymous(
        &self,
        property_id: PropertyId,
        reader_id: ReaderId,
        now: Timestamp,
    ) -> String {
        let visitor = Identified {
            reader_id,
            keeping: Keeping::Remembered,
            is_fresh: false,
            spider_page: None,
        };
        self.issue_user_token(property_id, &visitor, now)
    }

    /// Decides; where that counts a page, once it is counted. While the store is away, by the
    /// property's rule for that.
    async fn decide_for(
        &self,
        looked: &Looked<'_>,
        visitor: &Identified,
    ) -> (Decision, Glance, Situation) {
        if let Some(why) = looked.away {
            return self.decide_away(looked, visitor, why);
        }
        let terms = self.terms_of(looked).await;
        let glance = self.glance_at(visitor, looked).await;
        let (terms, glance) = match (terms, glance) {
            (Ok(terms), Ok(glance)) => (terms, glance),
            (Err(error), _) | (_, Err(error)) => {
                return self.decide_away(looked, visitor, &error.to_string());
            }
        };
        let situation = looked.situation(visitor, terms, &glance);
        match self.settle(looked, visitor, situation, glance).await {
            Ok(settled) => settled,
            Err(error) => self.decide_away(looked, visitor, &error.to_string()),
        }
    }

    /// Counts a page where the decision asks for it, and looks again before a page is denied because
    /// of what another node may have counted.
    async fn settle(
        &self,
        looked: &Looked<'_>,
        visitor: &Identified,
        mut situation: Situation,
        mut glance: Glance,
    ) -> Result<(Decision, Glance, Situation), Refusal> {
        let mut decision = decide(&situation);
        let is_old = glance.read_at.plus(OLDEST_DENIAL) < looked.now;
        let is_met = situation.meter.is_some_and(MeterReading::is_met);
        if !decision.is_granted() && is_met && is_old && self.store.is_shared() {
            glance = self.read_again(visitor.reader_id, looked).await?;
            situation.meter = looked.meter(&glance);
            decision = decide(&situation);
        }
        let (true, Some(resource)) = (decision.counts_hit(), looked.resource) else {
            return Ok((decision, glance, situation));
        };
        let allowed = looked.settings.quota.allowed;
        let window = looked.hit_window(visitor.reader_id);
        let outcome = self.hits.add(window, resource.id, allowed).await?;
        let (hits, has_this_page) = match outcome {
            HitOutcome::Added { hits } | HitOutcome::Known { hits } => (hits, true),
            HitOutcome::Full { hits } => (hits, false),
        };
        let reading = MeterReading {
            hits,
            allowed,
            has_this_page,
        };
        situation.meter = Some(reading);
        if has_this_page {
            let page = (page_word(resource.id), hits);
            let fresh = visitor.is_fresh.then_some(looked.now);
            self.readers
                .add_page(visitor.reader_id, looked.window, page, fresh);
        } else {
            self.readers
                .note_hits(visitor.reader_id, looked.window, hits);
        }
        if !matches!(outcome, HitOutcome::Added { .. }) {
            decision = decide(&situation);
        }
        Ok((decision, glance, situation))
    }

    /// The decision while the store does not answer.
    fn decide_away(
        &self,
        looked: &Looked<'_>,
        visitor: &Identified,
        why: &str,
    ) -> (Decision, Glance, Situation) {
        let opens = looked.settings.open_when_unavailable;
        tracing::warn!(
            environment = %self.environment(), property = %looked.question.property_id, opens, why,
            "access is decided without the store"
        );
        let nobody = KnownReader::nobody(looked.window, looked.now).glance(0);
        // A price that cannot be looked up is one.
        let terms = Terms::Priced { is_zero: false };
        let terms = looked
            .pricing()
            .map_or(terms, |pricing| terms_of(pricing, pricing.price_minor));
        let situation = looked.situation(visitor, terms, &nobody);
        (decide_unseen(&situation, opens), nobody, situation)
    }

    /// On which terms the page is sold now.
    async fn terms_of(&self, looked: &Looked<'_>) -> Result<Terms, Refusal> {
        let (Some(resource), Some(pricing)) = (looked.resource, looked.pricing()) else {
            return Ok(Terms::Free);
        };
        let price = self.price_of(resource, pricing, looked.now).await?;
        Ok(terms_of(pricing, price.unwrap_or_default()))
    }

    /// What a page costs now, in US cents; `None`: it is not sold by itself.
    pub(crate) async fn price_of(
        &self,
        resource: &Resource,
        pricing: &ResourcePricing,
        now: Timestamp,
    ) -> Result<Option<i64>, Refusal> {
        let counts = self.counts_for(resource.id, pricing).await?;
        let moment = PriceMoment {
            now,
            published_at: resource.published_at,
            views: counts.map_or(0, |counts| counts.views),
            moved_minor: counts.and_then(|counts| counts.moved_from(pricing.price_minor)),
        };
        let price = pricing.price_in_force(&moment);
        Ok(price.map(wayleave_core::Money::minor))
    }

    /// What is known of a visitor and the page; read where this node knows nothing of them.
    async fn glance_at(
        &self,
        visitor: &Identified,
        looked: &Looked<'_>,
    ) -> Result<Glance, Refusal> {
        let page = looked.page();
        if visitor.is_fresh || visitor.spider_page.is_some() {
            return Ok(KnownReader::nobody(looked.window, looked.now).glance(page));
        }
        let id = visitor.reader_id;
        if let Some(glance) = self.readers.glance(id, looked.window, page) {
            return Ok(glance);
        }
        // Those who ask about a reader at once share one reading.
        let _reading = self.readings[id.number() as usize % READINGS].lock().await;
        match self.readers.glance(id, looked.window, page) {
            Some(glance) => Ok(glance),
            None => self.read_again(id, looked).await,
        }
    }

    async fn read_again(&self, id: ReaderId, looked: &Looked<'_>) -> Result<Glance, Refusal> {
        let mut readings = 1;
        loop {
            let dropped = self.readers.dropped(id);
            let known = self.read_reader(id, looked.window).await?;
            let glance = known.glance(looked.page());
            if self.readers.put(id, known, dropped) || readings == MOST_READINGS {
                return Ok(glance);
            }
            readings += 1;
        }
    }
}

impl Looked<'_> {
    fn pricing(&self) -> Option<&ResourcePricing> {
        self.resource
            .map(|resource| self.settings.pricing_of(resource))
    }

    fn page(&self) -> u64 {
        self.resource.map_or(0, |resource| page_word(resource.id))
    }

    fn hit_window(&self, reader_id: ReaderId) -> HitWindow {
        HitWindow {
            reader_id,
            period: self.window.period,
            starts_at: self.window.starts_at,
        }
    }

    fn meter(&self, glance: &Glance) -> Option<MeterReading> {
        let quota = &self.settings.quota;
        quota.enabled.then_some(MeterReading {
            hits: glance.hits,
            allowed: quota.allowed,
            has_this_page: glance.has_page,
        })
    }

    fn situation(&self, visitor: &Identified, terms: Terms, glance: &Glance) -> Situation {
        let settings = self.settings;
        let account = glance.account.as_deref();
        let page = self.page();
        let ads = &settings.ad_supported;
        Situation {
            visitor: match (&visitor.spider_page, account) {
                (Some(key), _) if key == self.question.key => Visitor::Spider,
                _ if self.question.is_verified_crawler => Visitor::VerifiedCrawler,
                (None, Some(account)) => Visitor::Reader(account.role),
                _ => Visitor::Anonymous,
            },
            page: self.standing(terms),
            always_sign_in: settings.always_require_authentication,
            sign_in_for_free: settings.free_resources_require_authentication,
            is_bought: account.is_some_and(|account| account.has_bought(page, self.now)),
            is_subscribed: self
                .subscription(glance)
                .is_some_and(|(_, until)| self.now < until),
            sells_subscriptions: settings.subscriptions,
            ad_supported: ads.enabled.then_some(ads.on_blocker),
            ad_blocker: self.question.ad_blocker,
            meter: self.meter(glance),
        }
    }

    fn standing(&self, terms: Terms) -> PageStanding {
        match self.resource {
            // It may be one that is sold.
            None if self.away.is_some() => PageStanding::Managed(terms),
            None => PageStanding::Unknown,
            Some(resource) if resource.origin == ResourceOrigin::BadConfig => {
                PageStanding::Unreadable
            }
            Some(resource) if !resource.active => PageStanding::Inactive,
            Some(_) => PageStanding::Managed(terms),
        }
    }

    /// Of the subscriptions that open the page the one that lasts, or lasted, longest, and until when.
    fn subscription<'s>(&'s self, glance: &Glance) -> Option<(&'s SubscriptionGroup, Timestamp)> {
        let (account, resource) = (glance.account.as_deref()?, self.resource?);
        let groups = self.settings.subscription_groups.iter();
        let opening = groups.filter(|group| group.opens(self.settings, resource));
        opening
            .filter_map(|group| Some((group, account.subscribed_until(&group.id)?)))
            .max_by_key(|(_, until)| *until)
    }
}

fn is_machine(visitor: Visitor) -> bool {
    matches!(visitor, Visitor::Spider | Visitor::VerifiedCrawler)
}

fn terms_of(pricing: &ResourcePricing, price_minor: i64) -> Terms {
    match pricing.model {
        PricingModel::Free => Terms::Free,
        PricingModel::AuthenticationRequired => Terms::SignIn,
        PricingModel::SubscriptionOnly => Terms::SubscriptionOnly,
        PricingModel::VariablePrice => Terms::Chosen,
        PricingModel::Inherit
        | PricingModel::FixedPrice
        | PricingModel::TimeTiered
        | PricingModel::ViewTiered
        | PricingModel::TargetConversion => Terms::Priced {
            is_zero: price_minor == 0,
        },
    }
}
