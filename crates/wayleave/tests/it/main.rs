//! The end-to-end tests: through the public addresses, on both databases. Modules are named after
//! the addresses that they call.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may be blunt"
)]

mod harness;
mod site;

mod access;
mod admin;
mod admin_sales;
mod audit;
mod auth_check;
mod aws_sigv4;
mod backup;
mod bad_input;
mod bare_engine;
mod body_limits;
mod callback_receiver;
mod cli_admin;
mod cli_sales;
mod command_line;
mod content;
mod content_client;
mod crawlers;
mod credential_life;
mod demo;
mod described_schemes;
mod doctor;
mod environments;
mod explanation;
mod gateway;
mod h2_frames;
mod http2;
mod http2_conformance;
mod http_signatures;
mod introspection;
mod keep_alive;
mod killed_import;
mod large_lists;
mod laws;
mod limits;
mod malformed;
mod master_key;
mod oauth_token;
mod once_only;
mod operating_guide;
mod order_cycle;
mod order_hook;
mod platform;
mod property;
mod proxies;
mod raw_upstream;
mod real_clients;
mod replays;
mod resources;
mod routes;
mod security;
mod serving;
mod shop;
mod signing_tools;
mod site_pages;
mod slow_clients;
mod sold;
mod storage;
mod strict_requests;
mod subscribers;
mod token;
mod traces;
mod transport;
mod unsafe_settings;
mod usage;
mod well_known;
