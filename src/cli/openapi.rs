//! `openapi`: the description of the call, for whoever makes a sender of it.

use super::{CommandError, because, print};
use crate::{config::Config, http::description};

pub(super) fn run(config: &Config) -> Result<(), CommandError> {
    let text = description::document(&config.limits)
        .map_err(|error| because("the description cannot be written", &error))?;
    print(&format!("{text}\n"))
}
