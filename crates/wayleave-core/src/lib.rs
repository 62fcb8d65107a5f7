//! The nouns of Wayleave and their rules.
//!
//! Pure: no async, no I/O, no HTTP, no clock and no randomness of its own. What a word means is
//! written once, here; `docs/words.md` is the same list for people.

mod access;
mod admission;
mod calendar;
mod cart;
mod catalogue;
mod crawler;
mod credential;
mod environment;
mod id;
mod limit;
mod money;
mod operator;
pub mod order;
mod origin;
mod partner;
mod period;
mod pricing;
mod property;
mod resource;
mod resource_pricing;
mod scope;
mod subscriber;
mod time;
mod told;

pub use access::{
    AccessAction, AccessReason, AdBlocker, Decision, MeterReading, PageStanding, ReaderRole,
    Situation, Terms, Visitor, decide, decide_unseen, is_open_to_all,
};
pub use admission::{Admission, NotAdmitted};
pub use cart::{
    CartLine, LineDetails, MOST_LINES, MOST_UNITS, NewInstance, Recipient, check_account_name,
};
pub use catalogue::{
    Catalogue, CatalogueError, Choice, PlanGrants, PlanLimit, Price, PriceList, Product,
    ProductKind, ProductNumber, STANDARD_PRICE_LIST, Tax,
};
pub use crawler::{Crawler, CrawlerDomain, Crawlers, DomainError, IpRange, RangeError};
pub use credential::{
    Audience, AudienceSet, CredentialState, PublicId, PublicIdError, Scheme, SchemeSet, UnknownWord,
};
pub use environment::Environment;
pub use id::{
    ChargeId, CredentialId, CustomerId, DeviceId, IdError, InstanceId, IntegrationId, JobId,
    MailId, OrderId, PartnerId, PlanTermId, PoolId, PropertyId, PurchaseId, ReaderId, ResourceId,
    SecretId, SubscriberId,
};
pub use limit::{Limit, LimitError, Measure, Per, Period, Plan, Rate, check_limit_name};
pub use money::{Currency, Money, MoneyError};
pub use operator::OperatorScope;
pub use order::OrderState;
pub use origin::{Origin, OriginError, OriginSet};
pub use partner::{Membership, NameError, check_name};
pub use period::CalendarPeriod;
pub use pricing::{Existing, LineFault, LineMember, LinePrice, Pricing, Totals};
pub use property::{
    AdSupport, BlockerAction, DisplayStyle, PricingGroup, PropertySettings, QuotaSettings,
    SettingsError, SubscriptionGroup, VerifiedCrawlers,
};
pub use resource::{
    LONGEST_KEY, Resource, ResourceError, ResourceOrigin, ResourceUpdate, check_resource_key,
};
pub use resource_pricing::{
    Expiration, ExpirationUnit, PriceMoment, PricingModel, PricingTier, ResourcePricing,
    ResourcePricingError, TargetConversion,
};
pub use scope::{Scope, ScopeError, ScopeSet};
pub use subscriber::{
    GroupUntil, MOST_LINKED_READERS, NamedValue, SubscriberError, SubscriberUpdate,
    check_subscriber_key, validation_text,
};
pub use time::Timestamp;
pub use told::{Fulfilment, ImportOutcome, LinkedUser, LinkedUsers};
