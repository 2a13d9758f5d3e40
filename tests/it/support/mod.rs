//! The harness that the promises' tests share.

pub mod config;
