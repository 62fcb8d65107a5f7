//! The use cases of Wayleave: authenticate a request, issue a token, administer partners and
//! credentials.
//!
//! One [`Engine`] serves one environment and cannot reach the other (law 1). The clock and the
//! randomness come in as arguments ([`Clock`], [`Randomness`]; law 8). The checks on the hot path
//! are synchronous, read memory only and cost the same whatever the number of credentials.

mod access;
mod account;
mod audit;
mod authenticate;
mod bulk;
mod callback;
mod caller;
mod catalogue;
mod checkout;
mod content;
mod crawler;
mod credential;
mod delegation;
mod delivery;
mod described;
mod directory;
mod engine;
mod evidence;
mod explain;
mod failures;
mod hand_back;
mod hit_writer;
mod hook;
mod http_signature;
mod instance;
mod integration;
mod job;
mod limit;
mod listing;
mod mail;
mod nonces;
mod numbered;
mod once;
mod operating;
mod operator;
mod order;
mod partner;
mod payment;
mod plan;
mod pool;
mod ports;
mod presented;
mod property;
mod proven;
mod provision;
mod queued;
mod reader;
mod reader_memory;
mod reader_order;
mod refusal;
mod rehash;
mod renewal;
mod replay;
mod reseal;
mod resource;
mod resource_count;
mod revoked;
mod sealed_key;
mod seen;
mod settlement;
mod signed_answer;
mod signing_keys;
mod sigv4;
mod spider;
mod stuck;
mod subscriber;
mod token;
mod usage;
mod vault;

pub use access::{AccessAnswer, AccessQuestion, Meter, Subscribed, USER_TOKEN_LIFE, VisitorProof};
pub use account::AccountChange;
pub use audit::{Actor, AuditFault, AuditHead, AuditHeadError, AuditReport, verify_audit};
pub use callback::{CallbackResult, RESULT_KEPT, ResultPiece};
pub use caller::{Admitted, Caller, IDENTITY};
pub use catalogue::CatalogueVersion;
pub use checkout::{Buyer, OrderRefusal, OrderWithLines, PricedCart};
pub use content::HeldProperty;
pub use credential::{
    Imported, ImportedPair, IssuedCredential, MOST_IMPORTED, NewCredential, NewKey, RegisteredKey,
    Roll,
};
pub use delegation::Delegation;
pub use delivery::MadeOf;
pub use engine::{Engine, EngineSettings, FeedStanding, Outside};
pub use evidence::{Evidence, MalformedEvidence};
pub use explain::Explanation;
pub use hand_back::CameFrom;
pub use hook::HookSender;
pub use instance::{InstanceQuestion, read_made_of};
pub use job::JobKind;
pub use limit::{
    CheckedLimit, CountedRoute, Exceeded, LimitSet, MOST_LIMITS, OverLimit, Standing, Taken,
};
pub use listing::{Listed, Page, Whose};
pub use once::{Claim, Earlier, NotOnce, Serving};
pub use operating::NewDevice;
pub use operator::{ActingOperator, Operator, OperatorTokenHash, Operators};
pub use order::Acceptance;
pub use payment::{ChargeOutcome, PretendProcessor, Processor, pretended_card};
pub use pool::PoolQuestion;
pub use ports::{Clock, HostNames, Randomness};
pub use property::NewSettings;
pub use proven::{BodyClaim, Proven};
pub use provision::{InstanceOrder, Pretence, PretendProvisioner, ProvisionError, Provisioner};
pub use queued::{
    ExportRequest, FulfilmentRequest, ImportLine, ImportLines, MOST_IMPORTED_SUBSCRIBERS, shown_id,
};
pub use reader::{NewReader, ReaderChange, ReaderData, SignIn, TEMPORARY_TOKEN_LIFE};
pub use refusal::{Refusal, Unproven};
pub use reseal::{RESEAL_BATCH, Resealing};
pub use resource::ResourceRefusal;
pub use signed_answer::{AnswerSignature, SignedAnswer};
pub use signing_keys::KeyPhase;
pub use spider::{Fetched, PageReader};
pub use stuck::STUCK_AFTER;
pub use subscriber::LinkClaim;
pub use token::{IssuedToken, TOKEN_LIFE_S, TokenClient, TokenDescription, TokenRefusal};
pub use usage::Tally;
pub use vault::{MasterKeyError, Vault};
pub use wayleave_protocol::body_digest::BodyCheck;
pub use wayleave_protocol::http_signature::{PublicKey, PublicKeyError};
pub use wayleave_protocol::jwt::Algorithm;
pub use wayleave_store::{
    Account, AuditRow, Belongs, CallbackKind, Card, Charge, ChargeState, Credential,
    CredentialFilter, CredentialWithSecrets, Customer, Database, Device, Hit, Instance,
    InstanceFilter, Integration, Job, JobState, Mail, Order, OrderFilter, OrderLine, Partner,
    PlanTerm, Pool, PoolFilter, PoolVersion, Property, Purchase, Queued, QueuedKind, QueuedState,
    ReaderAccount, ReaderSubscription, Secret, SecretForm, SigningKey, Store, StoreError,
    StoreRuntime, StoredCatalogue, Subscriber, UsageGroups, UsageKind, UsageQuestion, UsageSum,
};
