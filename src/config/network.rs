//! Addresses to listen on, networks that may come, and who reaches the service by both.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::file::{At, Section};

/// Where senders connect. `None` where that is wrong.
pub(super) fn senders_listen(
    root: &mut Section<'_>,
    from_environment: Option<&str>,
) -> Option<SocketAddr> {
    listen(root, ("AQUA_LISTEN", from_environment), |text| {
        text.parse().map_err(|_| {
            "write an IP address and a port, as in \"127.0.0.1:8888\" or \"[::1]:8888\"".to_owned()
        })
    })
}

/// The section's `listen`, unless the environment's variable overrides it. `None` where the one that counts is wrong.
pub(super) fn listen<T>(
    section: &mut Section<'_>,
    (variable, value): (&str, Option<&str>),
    parse: impl Fn(&str) -> Result<T, String>,
) -> Option<T> {
    let from_file = section.parsed("listen", &parse);
    match value {
        Some(text) => parse(text)
            .map_err(|what| format!("{variable} in the environment: {what}"))
            .map_err(|what| section.problems.add(0, what))
            .ok(),
        None => from_file,
    }
}

/// A list of networks; an address is one of its own.
pub(super) fn networks(section: &mut Section<'_>, key: &'static str) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for At { at, value } in section.texts(key) {
        match value
            .parse::<IpNet>()
            .or_else(|error| value.parse::<IpAddr>().map(IpNet::from).map_err(|_| error))
        {
            Ok(network) => networks.push(network),
            Err(_) => section.problems.add(
                at,
                format!("`{key}`: {value:?} is no network; write one as in \"10.0.0.0/8\" or \"192.0.2.7\""),
            ),
        }
    }
    networks
}

/// The first of these that is all addresses of its family: with it among them they bind nobody.
pub(super) fn everybody(networks: &[IpNet]) -> Option<&IpNet> {
    networks.iter().find(|network| network.prefix_len() == 0)
}

/// From where senders reach the service.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reach {
    pub(super) listen: Option<SocketAddr>,
    /// Whether some of them come through proxies, from wherever those take them.
    pub(super) behind_proxies: bool,
}

impl Reach {
    /// What anybody reaches who is not on this machine, and what to do where that is not meant. `None`: nothing.
    pub(super) fn reached_by_anybody(self) -> Option<(String, &'static str)> {
        let listen = self.listen?;
        if !listen.ip().is_loopback() {
            Some((listen.to_string(), "listen on 127.0.0.1"))
        } else if self.behind_proxies {
            let whom = "one of `trusted_proxies`".to_owned();
            Some((whom, "take `trusted_proxies` out if there is no proxy"))
        } else {
            None
        }
    }
}
