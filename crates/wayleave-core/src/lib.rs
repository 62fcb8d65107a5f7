//! The nouns of Wayleave and their rules.
//!
//! Pure: no async, no I/O, no HTTP, no clock and no randomness of its own. What a word means is
//! written once, here; `docs/words.md` is the same list for people.

mod admission;
mod credential;
mod environment;
mod id;
mod limit;
mod operator;
mod origin;
mod partner;
mod scope;
mod time;

pub use admission::{Admission, NotAdmitted};
pub use credential::{
    Audience, AudienceSet, CredentialState, PublicId, PublicIdError, Scheme, SchemeSet, UnknownWord,
};
pub use environment::Environment;
pub use id::{CredentialId, IdError, IntegrationId, PartnerId, PropertyId, SecretId};
pub use limit::{Limit, LimitError, Measure, Per, Period, Plan, Rate, check_limit_name};
pub use operator::OperatorScope;
pub use origin::{Origin, OriginError, OriginSet};
pub use partner::{Membership, NameError, check_name};
pub use scope::{Scope, ScopeError, ScopeSet};
pub use time::Timestamp;
