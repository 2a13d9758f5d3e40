//! Argon2 hashes, all of which cost a wrong password the same.

use argon2::{
    ARGON2ID_IDENT, Algorithm, Argon2, Params, PasswordVerifier, Version,
    password_hash::{
        generate_salt,
        phc::{Output, ParamsString, PasswordHash, Salt},
    },
};

/// A password of which only the hash is known.
pub struct Password {
    hash: PasswordHash,
    pub params: Params,
    /// What a wrong password costs besides, where this hash is cheaper than the costliest.
    surcharge: Option<Params>,
}

impl Password {
    /// Of a hash of the one kind we take.
    pub fn read(text: &str) -> Option<Self> {
        let hash = PasswordHash::new(text).ok()?;
        if hash.algorithm != ARGON2ID_IDENT || hash.salt.is_none() || hash.hash.is_none() {
            return None;
        }
        Some(Self {
            params: Params::try_from(&hash).ok()?,
            hash,
            surcharge: None,
        })
    }

    /// No password matches this one, and finding that out costs as much as with any other.
    pub fn impossible(costliest: &Params) -> Self {
        let length = costliest.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
        Self {
            hash: PasswordHash {
                algorithm: ARGON2ID_IDENT,
                version: Some(Version::default().into()),
                // Both were read from such a hash, or are the library's own.
                params: ParamsString::try_from(costliest).unwrap_or_default(),
                salt: Salt::new(&generate_salt()).ok(),
                hash: Output::new(&[0; Output::MAX_LENGTH][..length.min(Output::MAX_LENGTH)]).ok(),
            },
            params: costliest.clone(),
            surcharge: None,
        }
    }

    /// Makes a wrong password cost as much as it does with the costliest hash.
    pub fn with_surcharge(self, costliest: &Params) -> Self {
        Self {
            surcharge: surcharge(&self.params, costliest),
            ..self
        }
    }

    /// Whether it is the same hash: the same password under another salt is not recognised.
    pub fn is_same(&self, other: &Self) -> bool {
        self.hash == other.hash
    }

    pub fn matches(&self, password: &[u8]) -> bool {
        let is_right = Argon2::default()
            .verify_password(password, &self.hash)
            .is_ok();
        if let (false, Some(params)) = (is_right, &self.surcharge) {
            let mut nowhere = [0; Params::DEFAULT_OUTPUT_LEN];
            let argon2 = Argon2::new(Algorithm::Argon2id, Version::default(), params.clone());
            // Only the time it takes is of interest.
            let _ = argon2.hash_password_into(password, &[0; 16], &mut nowhere);
        }
        is_right
    }
}

/// Blocks to be filled: the time is in proportion to that.
pub fn cost(params: &Params) -> u64 {
    params.block_count() as u64 * u64::from(params.t_cost())
}

/// What is left to pay after a run with `params` so that it costs as much as one with `costliest`.
fn surcharge(params: &Params, costliest: &Params) -> Option<Params> {
    let left = cost(costliest).checked_sub(cost(params))?;
    // In no more memory than the costliest takes anyway.
    let passes = left.div_ceil(u64::from(costliest.m_cost())).max(1);
    let memory = u32::try_from(left / passes).ok()?;
    Params::new(memory, u32::try_from(passes).ok()?, 1, None).ok()
}

#[cfg(test)]
mod tests {
    use argon2::PasswordHasher;

    use super::*;

    #[test]
    fn a_wrong_password_costs_the_same_for_every_user() {
        let costliest = Params::new(19 * 1024, 2, 1, None).expect("params");
        assert_eq!(surcharge(&costliest, &costliest), None);
        for (memory, passes, lanes) in [(8, 1, 1), (4096, 3, 1), (19 * 1024, 1, 1), (12288, 3, 2)] {
            let params = Params::new(memory, passes, lanes, None).expect("params");
            let more = surcharge(&params, &costliest).expect("cheaper");
            assert!(more.m_cost() <= costliest.m_cost());
            let (whole, due) = (cost(&params) + cost(&more), cost(&costliest));
            assert!(whole.abs_diff(due) <= 16, "{whole} of {due}");
        }
    }

    #[test]
    fn only_argon2id_is_taken() {
        let params = Params::new(8, 1, 1, None).expect("params");
        let hash = Argon2::from(params).hash_password(b"secret");
        assert!(Password::read(&hash.expect("a hash").to_string()).is_some());
        for other in [
            "secret",
            "$argon2i$v=19$m=8,t=1,p=1$c29tZXNhbHQ$iWh06vD8Fy27wf9npn6FXWiCX4K6pW6Ue1Bnzz07Z8A",
            "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ",
        ] {
            assert!(Password::read(other).is_none(), "{other}");
        }
    }

    #[test]
    fn no_password_matches_the_impossible_one() {
        let params = Params::new(8, 1, 1, None).expect("params");
        for password in ["", "secret"] {
            assert!(!Password::impossible(&params).matches(password.as_bytes()));
        }
    }
}
