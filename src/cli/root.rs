//! Started as root, which some ports and folders need: root's rights are given up once those are had.

use std::{fs::File, path::Path};

use nix::unistd::geteuid;

use super::{CommandError, because};
use crate::{
    config::Config,
    database::{self, Account},
};

/// Whom a service without a private cluster becomes. Not `postgres`: where there is a server, that one may do everything in it.
const OWN: &str = "aqua-orders";
/// What to do where there is no such user.
const NO_USER: &str = "it runs as root for lack of a user `aqua-orders`: create one (useradd --system aqua-orders), or start it \
     as an ordinary user";

/// Becomes the user that the private cluster belongs to, or `aqua-orders`, for good. Nothing happens to an ordinary user.
pub(super) fn give_up(config: &Config) -> Result<(), CommandError> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let account = if config.database.url.is_none() {
        database::prepare(&config.database)
            .map_err(|error| because("the database cannot be used", &error))?
    } else if let Some(account) = Account::named(OWN) {
        account
    } else {
        tracing::warn!("{NO_USER}");
        return Ok(());
    };
    account
        .become_for_good()
        .map_err(|error| because(format!("cannot become the user {}", account.name), &error))?;
    tracing::info!(user = account.name, "root's rights are given up");
    for (path, what) in later(config) {
        if let Err(error) = File::open(path) {
            tracing::warn!(path = %path.display(), user = account.name, %error, "{what}");
        }
    }
    Ok(())
}

/// What is wrong with that where we are root, or would be.
pub(super) fn note(config: &Config) -> Option<&'static str> {
    let stays = geteuid().is_root() && config.database.url.is_some();
    (stays && Account::named(OWN).is_none()).then_some(NO_USER)
}

/// What is read again and again, and what it means when it cannot be read any more.
fn later(config: &Config) -> impl Iterator<Item = (&Path, &'static str)> {
    let tls = config
        .tls
        .iter()
        .flat_map(|files| [&files.cert, &files.key]);
    let tls = tls.map(|file| {
        let what = "a renewed certificate is taken at the next start only: let this user read it";
        (file.as_path(), what)
    });
    let backups = config.backup.folder.as_deref().map(|folder| {
        let what = "nobody looks whether backups are made: let this user read the folder";
        (folder, what)
    });
    tls.chain(backups)
}
