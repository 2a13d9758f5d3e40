//! What the tests share.

pub mod app;
pub mod back_office;
pub mod cluster;
pub mod command;
pub mod config;
pub mod console;
pub mod described;
pub mod postgres;
pub mod process;
pub mod proxy;
pub mod raw;
pub mod register;
pub mod serving;
pub mod talk;
pub mod target;
