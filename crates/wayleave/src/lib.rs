//! Wayleave as a library: what the binary is made of, for its own tests.
//!
//! The parts, in the order in which a request meets them: [`server`] accepts it, [`node`] wired the
//! surfaces that it reaches. [`demo`] and [`config`] are the two ways to say what a node is.

pub mod admin_client;
pub mod cli;
pub mod config;
pub mod demo;
pub mod explain;
pub mod hooks;
pub mod key_file;
pub mod metrics;
pub mod monitor;
pub mod node;
pub mod operators_file;
pub mod ports;
pub mod private_key;
pub mod sent;
pub mod server;
pub mod sign;
pub mod sign_described;
pub mod sign_message;
pub mod sign_sigv4;
pub mod telemetry;
pub mod tls;
pub mod traces;

mod audit_trail;
mod backup;
mod backup_file;
mod calls;
mod certificate;
mod command;
mod demo_site;
mod demo_stock;
mod doctor;
mod duration;
mod findings;
mod forward;
mod key_lint;
mod master_key;
mod moment;
mod place;
mod reload;
mod restore;
mod revocations;
mod safety;
mod sample_api;
mod serve;
mod spelling;
mod steps;
mod store_copy;
mod supervisor;
mod upstream_tls;
