//! `openapi`: the description of the call, for whoever makes a sender of it.

use std::io::Write as _;

use super::{Failure, because};
use crate::{config::Config, http::openapi};

pub(super) fn run(config: &Config) -> Result<(), Failure> {
    let text = openapi::document(&config.limits)
        .map_err(|error| because("the description cannot be written", &error))?;
    // A reader that has seen enough (`| head`) is no failure.
    let _ = writeln!(std::io::stdout(), "{text}");
    Ok(())
}
