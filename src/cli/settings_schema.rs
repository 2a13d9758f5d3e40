//! `settings-schema`: what may stand in a settings file, for whoever's editor wants to know.

use super::{CommandError, because, print};
use crate::config;

pub(super) fn run() -> Result<(), CommandError> {
    let text = serde_json::to_string_pretty(&config::schema()?)
        .map_err(|error| because("the schema cannot be written", &error))?;
    print(&format!("{text}\n"))
}
