//! Commands over the admin API, one file for each noun; and those that sign and explain.
//!
//! [`remote`] finds the node and calls it, [`print`] lays answers out for people, [`shown`] one thing,
//! [`listing`] walks through pages.

pub(crate) mod account;
pub(crate) mod audit;
pub(crate) mod catalogue;
pub(crate) mod completions;
pub(crate) mod credential;
pub(crate) mod customer;
mod document;
pub(crate) mod explain;
pub(crate) mod instance;
pub(crate) mod integration;
pub(crate) mod job;
pub(crate) mod key;
pub(crate) mod listing;
pub(crate) mod mail;
pub(crate) mod order;
pub(crate) mod partner;
pub(crate) mod plan;
pub(crate) mod pool;
pub(crate) mod pretend;
pub(crate) mod print;
pub(crate) mod progress;
pub(crate) mod property;
pub(crate) mod reader;
pub(crate) mod remote;
pub(crate) mod route;
pub(crate) mod shown;
pub(crate) mod sign;
pub(crate) mod subscriber;
pub(crate) mod token;
pub(crate) mod usage;

use std::error::Error;
use std::process::ExitCode;

/// How a command ends: with an exit code, or with a text for people.
pub(crate) type Outcome = Result<ExitCode, Failure>;

/// What went wrong, as a text that says what happened and what to do.
pub(crate) type Failure = Box<dyn Error>;
