//! The use cases of Wayleave: authenticate a request, issue a token, administer partners and
//! credentials.
//!
//! One [`Engine`] serves one environment and cannot reach the other (law 1). The clock and the
//! randomness come in as arguments ([`Clock`], [`Randomness`]; law 8). The checks on the hot path
//! are synchronous, read memory only and cost the same whatever the number of credentials.

mod audit;
mod authenticate;
mod bulk;
mod caller;
mod credential;
mod described;
mod directory;
mod engine;
mod evidence;
mod explain;
mod failures;
mod http_signature;
mod integration;
mod limit;
mod nonces;
mod numbered;
mod operator;
mod partner;
mod ports;
mod property;
mod proven;
mod refusal;
mod rehash;
mod replay;
mod reseal;
mod revoked;
mod seen;
mod signed_answer;
mod signing_keys;
mod sigv4;
mod token;
mod usage;
mod vault;

pub use audit::{Actor, AuditFault, AuditHead, AuditHeadError, AuditReport, verify_audit};
pub use caller::{Admitted, Caller};
pub use credential::{
    Imported, ImportedPair, IssuedCredential, MOST_IMPORTED, NewCredential, NewKey, RegisteredKey,
    Roll,
};
pub use engine::{Engine, EngineSettings, FeedStanding};
pub use evidence::{Evidence, MalformedEvidence};
pub use explain::Explanation;
pub use limit::{
    CheckedLimit, CountedRoute, Exceeded, LimitSet, MOST_LIMITS, OverLimit, Standing, Taken,
};
pub use operator::{ActingOperator, Operator, OperatorTokenHash, Operators};
pub use ports::{Clock, Randomness};
pub use proven::{BodyClaim, Proven};
pub use refusal::{Refusal, Unproven};
pub use reseal::{RESEAL_BATCH, Resealing};
pub use signed_answer::{AnswerSignature, SignedAnswer};
pub use signing_keys::KeyPhase;
pub use token::{IssuedToken, TOKEN_LIFE_S, TokenClient, TokenDescription, TokenRefusal};
pub use usage::Tally;
pub use vault::{MasterKeyError, Vault};
pub use wayleave_protocol::body_digest::BodyCheck;
pub use wayleave_protocol::http_signature::{PublicKey, PublicKeyError};
pub use wayleave_protocol::jwt::Algorithm;
pub use wayleave_store::{
    AuditRow, Credential, CredentialFilter, CredentialWithSecrets, Database, Integration, Partner,
    Property, Secret, SecretForm, SigningKey, Store, StoreError, StoreRuntime, UsageGroups,
    UsageKind, UsageQuestion, UsageSum,
};
