//! What must hold for any input: one module for each target, each with a `check` that panics where it does not.
//!
//! The fuzzers run these on new inputs, and the service's own tests (`tests/it/fuzz.rs` includes this very file) on those
//! that are kept in `corpus/`.

pub mod amount;
pub mod answer;
pub mod body;
pub mod credentials;
pub mod datetime;
pub mod forwarded;
pub mod import;
pub mod order;
pub mod path;
pub mod phone;
