//! Order intake that speaks 1C's order-exchange protocol (`docs/ARCHITECTURE.md` is the map).
//!
//! Arrows go down only: `cli` → `http` → `intake` → `order` and `store` → `database`.

pub mod cli;
pub mod config;
pub mod database;
pub mod http;
pub mod intake;
pub mod order;
pub mod store;
pub mod telemetry;
