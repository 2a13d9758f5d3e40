//! A user, and what is remembered of his credential.

use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
};

use ipnet::IpNet;

use super::{is_among, password::Password};

/// Of a publication's name and a login, or of these and a password.
pub type KeyedHash = [u8; 32];

pub struct User {
    pub password: Password,
    /// The credential that was right. There is at most one, so this cache is as large as the list of users.
    pub verified: OnceLock<KeyedHash>,
    /// Where he may come from; empty: anywhere.
    networks: Vec<IpNet>,
}

impl User {
    pub fn new(password: Password, networks: Vec<IpNet>) -> Self {
        Self {
            password,
            verified: OnceLock::new(),
            networks,
        }
    }

    /// The same, with what was known of this login's credential where the password is still the same.
    pub fn remembering(self, before: Option<&Arc<Self>>) -> Self {
        let same = before.filter(|before| before.password.is_same(&self.password));
        Self {
            verified: same.map_or_else(OnceLock::new, |before| before.verified.clone()),
            ..self
        }
    }

    pub fn is_open_to(&self, peer: IpAddr) -> bool {
        is_among(&self.networks, peer)
    }
}
