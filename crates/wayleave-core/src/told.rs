//! What a property is told of its subscribers and readers: the results of events, as they are kept.

use serde::{Deserialize, Serialize};

use crate::{GroupUntil, NamedValue};

/// A subscriber with readers that are linked to it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct LinkedUsers {
    /// By which the subscriber is known elsewhere.
    pub subscriber_key: String,
    /// Its readers.
    pub users: Vec<LinkedUser>,
}

/// A reader as its property sees it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct LinkedUser {
    /// The reader: a GUID.
    pub user: String,
    /// What is known of it.
    pub details: Vec<NamedValue>,
    /// Its subscriptions, by the keys of their groups.
    pub subscriptions: Vec<GroupUntil>,
}

/// A subscription that is fulfilled elsewhere.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct Fulfilment {
    /// The subscription: a GUID.
    pub subscription: String,
    /// The reader that has it: a GUID.
    pub user: String,
    /// Its group, and until when.
    pub until: GroupUntil,
    /// What is known of the reader.
    pub details: Vec<NamedValue>,
}

/// How an import ended.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct ImportOutcome {
    /// Why some were not taken, each with the key of its subscriber; at most a thousand.
    pub errors: Vec<String>,
    /// How many were taken.
    pub succeeded: i64,
    /// How many were not.
    pub failed: i64,
}
