//! One binary: a file per promise of the contract, `support/` for what they share. Linking is the slow part.

#![expect(
    clippy::unwrap_used,
    reason = "what fails here fails the test, and the line says which"
)]

mod access;
mod answer;
mod backup;
mod callers;
mod citus;
mod cli;
mod client_cache;
mod console;
mod console_actions;
mod console_carried;
mod console_doubles;
mod console_export;
mod console_fields;
mod console_history;
mod console_kept;
mod console_overview;
mod console_plans;
mod console_refused;
mod console_role;
mod console_unmatched;
mod cost;
mod crowd;
mod dry_run;
mod example;
mod exchange_run;
mod fault_run;
mod faults;
mod feed;
mod fields;
mod floor;
mod fuzz;
mod guards;
mod guards_http;
mod http;
mod identity;
mod import;
mod journal;
mod log;
mod map;
mod merged;
mod migration;
mod mock;
mod model;
mod monitoring;
mod openapi;
mod operator;
mod order_command;
mod ownership;
mod pages;
mod people;
mod personal;
mod private_cluster;
mod property;
mod pushed;
mod races;
mod real_senders;
mod reference;
mod reload;
mod remarks;
mod reporting;
mod results;
mod root;
mod senders;
mod storing;
mod support;
mod systemd;
mod targets;
mod traces;
