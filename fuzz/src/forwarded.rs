//! `X-Forwarded-For`: a trusted proxy is believed, and what a stranger writes makes no difference (docs/decisions.md).

use std::net::IpAddr;

use aqua_orders::http::listener::address::{is_in, sender};
use axum::http::{HeaderMap, HeaderValue};
use ipnet::IpNet;

/// Lines are headers.
pub fn check(input: &[u8]) {
    let trusted: Vec<IpNet> = ["10.0.0.0/8", "192.0.2.7/32", "fd00::/8"]
        .map(|network| network.parse().expect("a network"))
        .into();
    let proxy: IpAddr = "10.0.0.1".parse().expect("an address");
    let stranger: IpAddr = "198.51.100.7".parse().expect("an address");
    let lines: Vec<&[u8]> = input.split(|byte| *byte == b'\n').collect();
    let of = |peer, lines: &[&[u8]]| {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("x-forwarded-for", HeaderValue::from_bytes(line).ok()?);
        }
        Some(sender(peer, &headers, &trusted))
    };
    let Some(found) = of(proxy, &lines) else {
        return;
    };
    assert_eq!(of(stranger, &lines), Some(stranger), "nobody believes him");
    assert!(
        found == proxy || found.to_canonical() == found,
        "{found} is no address that networks are compared with"
    );

    // One header or several say the same.
    let joined = lines.join(&b',');
    assert_eq!(of(proxy, &[&joined]), Some(found));

    // Whatever stands before it: the proxy has heard from this one, by way of another proxy or not.
    for heard in [
        "198.51.100.7",
        "198.51.100.7:4711",
        "[::ffff:198.51.100.7]",
        "198.51.100.7, 10.9.8.7, fd00::1",
    ] {
        let mut more = lines.clone();
        more.push(heard.as_bytes());
        assert_eq!(of(proxy, &more), Some(stranger), "{heard}");
    }

    // What counts is what stands at the right of the first address that is no proxy's, and nothing before it.
    if !is_in(&trusted, found) {
        let from = (0..joined.len())
            .rev()
            .find(|from| of(proxy, &[&joined[*from..]]) == Some(found));
        assert!(from.is_some() || found == proxy, "{found} stands nowhere");
    }
}
