//! A user, and what is remembered of his credential.

use std::{net::IpAddr, sync::OnceLock};

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

    pub fn is_open_to(&self, peer: IpAddr) -> bool {
        is_among(&self.networks, peer)
    }
}
