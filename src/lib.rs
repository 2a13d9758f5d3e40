//! Order intake that speaks 1C's order-exchange protocol (`docs/ARCHITECTURE.md` is the map).
//!
//! Arrows go down only: `cli` → `http` → `intake` → `order` and `store` → `database`. Beside the orders' way runs that
//! of the receiver's own data: `cli` → `import` → `catalogue` and `store`.

pub mod backup;
pub mod catalogue;
pub mod cli;
pub mod config;
pub mod database;
pub mod exchange;
pub mod fair_semaphore;
pub mod http;
pub mod import;
pub mod intake;
pub mod load;
pub mod memory;
pub mod order;
pub mod personal;
pub mod retention;
pub mod share;
pub mod store;
pub mod telemetry;
mod threads;
mod trust;
