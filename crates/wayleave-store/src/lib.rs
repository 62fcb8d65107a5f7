//! SQLite and PostgreSQL behind one concrete [`Store`].
//!
//! The only crate that names the SQL driver (law). Each environment has a database of its own; a
//! store is opened for one environment and refuses the other's. One SQL text serves both engines:
//! `$1` parameters, 64-bit integers, `ON CONFLICT DO NOTHING` where a conflict is expected.
//!
//! All I/O runs on the store's own runtime ([`StoreRuntime`]), since a driver's connection dies
//! with the runtime that opened it; callers on any runtime wait on a channel.

#[macro_use]
mod link;
mod account;
mod archive;
mod audit;
mod callback;
mod catalogue;
mod change;
mod charge;
mod credential;
mod customer;
mod database;
mod error;
mod idempotency;
mod instance;
mod integration;
mod job;
mod mail;
mod meta;
mod migration;
mod order;
mod partner;
mod plan_term;
mod pool;
mod property;
mod queued;
mod quota;
#[cfg(feature = "raw")]
mod raw;
mod reader_account;
mod reader_hit;
mod reader_right;
mod resource;
mod resource_count;
mod revoked_token;
mod runtime;
mod sealed;
mod sealed_value;
mod signing_key;
mod snapshot;
mod subscriber;
mod temporary_token;
mod usage;
mod used_nonce;
mod writer;

pub use account::{Account, Card};
pub use archive::{ArchiveRow, ArchiveTarget, Arrival, Column, ColumnKind, TABLES, Table, Value};
pub use audit::{AuditRow, AuditStage};
pub use callback::{Callback, CallbackKey, CallbackKind};
pub use catalogue::StoredCatalogue;
pub use change::{Change, ChangedNoun};
pub use charge::{Charge, ChargeState};
pub use credential::{Credential, CredentialFilter, CredentialWithSecrets, Secret, SecretForm};
pub use customer::Customer;
pub use database::{Database, Store};
pub use error::StoreError;
use error::must_touch;
pub use idempotency::IdempotentAnswer;
pub use instance::{Belongs, Instance, InstanceFilter};
pub use integration::Integration;
pub use job::{Job, JobState};
pub use link::{BoxFuture, Reader, Transaction};
pub use mail::Mail;
pub use meta::Stamp;
pub use migration::newest_schema;
pub use order::{NewOrder, Order, OrderFilter, OrderLine};
pub use partner::Partner;
pub use plan_term::PlanTerm;
pub use pool::{Device, Pool, PoolFilter, PoolVersion};
pub use property::Property;
pub use queued::{Queued, QueuedKind, QueuedState, QueuedStep};
pub use quota::{QuotaKey, QuotaLease};
#[cfg(feature = "raw")]
pub use raw::RawConnection;
pub use reader_account::ReaderAccount;
pub use reader_hit::{Hit, HitOutcome, HitWindow};
pub use reader_right::{Purchase, ReaderSubscription};
pub use resource_count::ResourceCount;
pub use revoked_token::RevokedToken;
pub use runtime::StoreRuntime;
pub use sealed::{MasterKeyUse, SealedNoun, SealedRow};
pub use sealed_value::SealedValue;
pub use signing_key::SigningKey;
pub use snapshot::{DatabaseState, Snapshot};
pub use subscriber::{Subscriber, SubscriberChange};
pub use temporary_token::TemporaryToken;
pub use usage::{Usage, UsageGroups, UsageKey, UsageKind, UsageQuestion, UsageSum};
pub use used_nonce::UsedNonce;
