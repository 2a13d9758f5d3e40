//! Whose part of something scarce a request counts against: its publication's, and there its network's.

use std::{
    hash::{BuildHasher, RandomState},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::LazyLock,
};

/// Keyed anew in every process, so that nobody can make his share collide with another's.
static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// The network that counts as one caller: an IPv4 address; a /64 of IPv6, for a caller may choose any address in it.
pub fn network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
    }
}

/// The network that one customer of a provider easily gets: a /24 of IPv4, a /48 of IPv6.
pub fn wide_network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits() & !0xff).into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !(u128::MAX >> 48)).into(),
    }
}

/// A publication, a wide network in it, and a network in that. The same network has another share in another publication: a
/// proxy that the settings do not name speaks for the senders of all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Share {
    /// Hashes, from the widest level to the narrowest; each of itself and of all above it.
    pub(crate) levels: [u64; 3],
}

impl Share {
    /// Of a caller of that publication. The address is the sender's, not a trusted proxy's.
    pub fn new(publication: &str, address: IpAddr) -> Self {
        let wide_network = wide_network_of(address);
        let network = network_of(address);
        Self {
            levels: [
                HASHER.hash_one(publication),
                HASHER.hash_one((publication, wide_network)),
                HASHER.hash_one((publication, wide_network, network)),
            ],
        }
    }

    /// The wide network in its publication.
    pub fn wide_network(&self) -> u64 {
        self.levels[1]
    }

    /// The network in its publication.
    pub fn network(&self) -> u64 {
        self.levels[2]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_network_is_an_address_or_a_64_and_a_wide_one_a_24_or_a_48() {
        for (from, network, wide_network) in [
            ("192.0.2.77", "192.0.2.77", "192.0.2.0"),
            ("192.0.2.0", "192.0.2.0", "192.0.2.0"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::", "2001:db8:1::"),
            ("2001:db8:1:2::1", "2001:db8:1:2::", "2001:db8:1::"),
            ("2001:db8:1:3::1", "2001:db8:1:3::", "2001:db8:1::"),
            ("2001:db8:1:ffff::1", "2001:db8:1:ffff::", "2001:db8:1::"),
            ("::1", "::", "::"),
        ] {
            assert_eq!(network_of(address(from)), address(network), "{from}");
            let wide = wide_network_of(address(from));
            assert_eq!(wide, address(wide_network), "{from}");
        }
    }

    #[test]
    fn a_share_is_a_network_of_a_publication() {
        let share = |publication, from| Share::new(publication, address(from));
        assert_eq!(share("one", "192.0.2.1"), share("one", "192.0.2.1"));
        let [publication, wide, network] = share("one", "192.0.2.1").levels;
        let neighbour = share("one", "192.0.2.2").levels;
        assert_eq!(neighbour[..2], [publication, wide]);
        assert_ne!(neighbour[2], network);
        let elsewhere = share("one", "198.51.100.1").levels;
        assert_eq!(elsewhere[0], publication);
        assert_ne!(elsewhere[1], wide);
        let other = share("two", "192.0.2.1").levels;
        assert!(
            [publication, wide, network]
                .iter()
                .all(|level| !other.contains(level))
        );
    }
}
