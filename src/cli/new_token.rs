//! `new-token`: a token for the import call, and its hash for the settings.

use argon2::password_hash::generate_salt;

use super::{CommandError, print};
use crate::config::TokenHash;

pub(super) fn run() -> Result<(), CommandError> {
    // Sixteen random bytes each.
    let random = [generate_salt(), generate_salt()].concat();
    let token = TokenHash::digits(&random);
    print(&format!(
        "token (for whoever calls; it is kept nowhere else): {token}\n\
         hash (for import_token_hashes in the settings):     {}\n",
        TokenHash::of(&token).text()
    ))
}
