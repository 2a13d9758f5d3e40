//! A user, and what is remembered of his credential.

use std::sync::OnceLock;

use super::password::Password;

/// Of a publication's name and a login, or of these and a password.
pub type KeyedHash = [u8; 32];

pub struct User {
    pub password: Password,
    /// The credential that was right. There is at most one, so this cache is as large as the list of users.
    pub verified: OnceLock<KeyedHash>,
}

impl User {
    pub fn new(password: Password) -> Self {
        Self {
            password,
            verified: OnceLock::new(),
        }
    }
}
