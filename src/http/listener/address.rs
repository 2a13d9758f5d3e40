//! The sender's address behind proxies: `X-Forwarded-For`, believed only of those that the settings trust.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderName};
use ipnet::IpNet;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Only of a trusted proxy.
pub const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The address that a request counts against: of its connection, or of whom a trusted proxy there names.
#[derive(Debug, Clone, Copy)]
pub struct SenderAddress(pub IpAddr);

/// The request came through a trusted proxy.
#[derive(Debug, Clone, Copy)]
pub struct ViaProxy;

/// The request came over TLS of our own.
#[derive(Debug, Clone, Copy)]
pub struct OverTls;

pub fn is_in(networks: &[IpNet], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&address))
}

/// The address that a request comes from. Each proxy has added the address that it got it from, at the right; what stands left
/// of an address that is no trusted proxy's was written by a stranger.
pub fn sender(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let mut sender = peer;
    let values = headers.get_all(X_FORWARDED_FOR);
    // As bytes: a stranger's nonsense at the left must not hide what a proxy wrote after it.
    let mut hops = values
        .iter()
        .rev()
        .flat_map(|value| value.as_bytes().rsplit(|byte| *byte == b','));
    while is_in(trusted, sender) {
        let Some(hop) = hops.next().and_then(address) else {
            break;
        };
        sender = hop;
    }
    sender
}

fn address(hop: &[u8]) -> Option<IpAddr> {
    let hop = str::from_utf8(hop.trim_ascii()).ok()?;
    let address = hop
        .parse()
        .or_else(|_| hop.parse().map(|address: SocketAddr| address.ip()))
        .or_else(|_| hop.trim_matches(['[', ']']).parse());
    address.ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn sender_of(peer: &str, forwarded: &[&str]) -> String {
        let trusted = ["10.0.0.0/8", "::1/128"].map(|network| network.parse().expect("a network"));
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append(
                X_FORWARDED_FOR,
                HeaderValue::from_bytes(value.as_bytes()).expect("a value"),
            );
        }
        sender(peer.parse().expect("an address"), &headers, &trusted).to_string()
    }

    #[test]
    fn a_stranger_is_not_believed() {
        assert_eq!(sender_of("192.0.2.1", &["198.51.100.7"]), "192.0.2.1");
    }

    #[test]
    fn a_trusted_proxy_says_whom_it_heard_it_from() {
        assert_eq!(sender_of("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(sender_of("10.0.0.1", &["198.51.100.7"]), "198.51.100.7");
        assert_eq!(sender_of("::1", &["198.51.100.7:4711"]), "198.51.100.7");
        assert_eq!(sender_of("::1", &["[2001:db8::7]:4711"]), "2001:db8::7");
        assert_eq!(sender_of("::1", &["[2001:db8::7]"]), "2001:db8::7");
        assert_eq!(sender_of("::1", &["::ffff:198.51.100.7"]), "198.51.100.7");
    }

    #[test]
    fn what_the_stranger_behind_it_wrote_is_left_alone() {
        for forged in [
            &["127.0.0.1, 10.0.0.9, 198.51.100.7"][..],
            &["127.0.0.1", "198.51.100.7"],
            &["10.0.0.9, nonsense,198.51.100.7, 10.0.0.2"],
            &["\u{44f},198.51.100.7"],
        ] {
            assert_eq!(sender_of("10.0.0.1", forged), "198.51.100.7");
        }
        // Where the proxy itself writes nonsense, the proxy is all we know.
        assert_eq!(
            sender_of("10.0.0.1", &["198.51.100.7, unknown"]),
            "10.0.0.1"
        );
        assert_eq!(sender_of("10.0.0.1", &["198.51.100.7, "]), "10.0.0.1");
    }
}
