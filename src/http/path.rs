//! The paths of the endpoints: how callers may spell them, and the publication in them (contract §1).

use axum::http::{Uri, uri::PathAndQuery};
use percent_encoding::percent_decode_str;

use crate::order::invisible::is_invisible;

/// What follows the publication, as the router knows it.
const ENDPOINTS: [&[&str]; 6] = [
    &["hs", "AquaDeliveri", "getOrdersURL"],
    &["hs", "AquaDeliveri", "v1", "orders"],
    &["hs", "AquaDeliveri", "v1", "orders", "results"],
    &["hs", "AquaDeliveri", "v1", "products"],
    &["hs", "AquaDeliveri", "v1", "districts"],
    &["hs", "AquaDeliveri", "v1", "clients"],
];
pub const ORDERS_ROUTE: &str = "/{publication}/hs/AquaDeliveri/getOrdersURL";
/// Of a back office.
pub const FEED_ROUTE: &str = "/{publication}/hs/AquaDeliveri/v1/orders";
/// Of a 1C that pushes; the slash at its end is dropped as others are.
pub const PUSHED_ROUTE: &str = "/v1/order/import";
pub const PRODUCTS_ROUTE: &str = "/{publication}/hs/AquaDeliveri/v1/products";
pub const DISTRICTS_ROUTE: &str = "/{publication}/hs/AquaDeliveri/v1/districts";
pub const CLIENTS_ROUTE: &str = "/{publication}/hs/AquaDeliveri/v1/clients";
pub const RESULTS_ROUTE: &str = "/{publication}/hs/AquaDeliveri/v1/orders/results";

const ROUTES: [&str; 6] = [
    ORDERS_ROUTE,
    FEED_ROUTE,
    RESULTS_ROUTE,
    PRODUCTS_ROUTE,
    DISTRICTS_ROUTE,
    CLIENTS_ROUTE,
];

/// The request's URI as the router knows it; `None` where it is spelled so already.
///
/// Several slashes count as one, and slashes and blanks at the end as nothing: URLs are put together and copied by hand. What
/// follows the publication may have any case and escapes. The publication and the query stay as they came.
pub fn canonical(uri: &Uri) -> Option<Uri> {
    let path = trim_end(uri.path().strip_prefix('/')?);
    let segments = || path.split('/').filter(|segment| !segment.is_empty());
    let count = segments().count();
    let endpoint = ENDPOINTS.into_iter().find(|names| {
        count == 1 + names.len()
            && segments()
                .skip(1)
                .zip(*names)
                .all(|(segment, name)| is_spelling_of(segment, name))
    });
    let kept = if endpoint.is_some() { 1 } else { usize::MAX };
    let fixed = endpoint.into_iter().flatten().copied();
    let mut spelled = String::with_capacity(uri.path().len());
    for segment in segments().take(kept).chain(fixed) {
        spelled.push('/');
        spelled.push_str(segment);
    }
    if spelled.is_empty() {
        spelled.push('/');
    }
    if spelled == uri.path() {
        return None;
    }
    if let Some(query) = uri.query() {
        spelled.push('?');
        spelled.push_str(query);
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(spelled).ok()?);
    Uri::from_parts(parts).ok()
}

fn is_spelling_of(segment: &str, name: &str) -> bool {
    let segment = percent_decode_str(segment).decode_utf8();
    segment.is_ok_and(|segment| segment.eq_ignore_ascii_case(name))
}

/// Cuts slashes and blanks off a path's end, also escaped blanks, which a copied URL brings along.
fn trim_end(mut path: &str) -> &str {
    let is_blank = |char: char| char.is_whitespace() || is_invisible(char);
    // One such character takes up to three bytes, each escaped as `%20` is.
    let escaped_blank = |path: &str| {
        [3, 6, 9].into_iter().find(|length| {
            let start = path.len().checked_sub(*length);
            let Some(escaped) = start.and_then(|start| path.get(start..)) else {
                return false;
            };
            let Ok(text) = percent_decode_str(escaped).decode_utf8() else {
                return false;
            };
            escaped.starts_with('%') && text.chars().count() == 1 && text.chars().all(is_blank)
        })
    };
    loop {
        path = path.trim_end_matches(|char| char == '/' || is_blank(char));
        match escaped_blank(path) {
            Some(length) => path = path.get(..path.len() - length).unwrap_or_default(),
            None => return path,
        }
    }
}

/// The route of an endpoint that such a path names; `None`: it is none.
pub fn route_of(canonical: &Uri) -> Option<&'static str> {
    let path = canonical.path();
    if path == PUSHED_ROUTE {
        return Some(PUSHED_ROUTE);
    }
    let behind = path.get(1..)?.split_once('/')?.1;
    let mut routes = ROUTES.into_iter();
    routes.find(|route| route.strip_prefix("/{publication}/") == Some(behind))
}

/// The publication's name in a path. Where its escapes are no UTF-8, no publication has that name.
pub fn publication_of(uri: &Uri) -> String {
    let segment = uri.path().split('/').nth(1).unwrap_or_default();
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_orders_path_may_be_spelled_in_many_ways() {
        const ORDERS: &str = "/shop/hs/AquaDeliveri/getOrdersURL";
        for (path, due) in [
            (ORDERS, ORDERS),
            ("/shop/HS/aquadeliveri/GETORDERSURL", ORDERS),
            ("//shop///hs/AquaDeliveri//getOrdersURL/", ORDERS),
            ("/shop/%68s/AquaDeliveri/getOrdersURL", ORDERS),
            ("/shop/hs/AquaDeliveri/getOrdersURL%20/%C2%A0", ORDERS),
            ("/shop/hs/AquaDeliveri/getOrdersURL%E2%80%8B", ORDERS),
            (
                "/shop/hs/AquaDeliveri/getOrdersURL/?a=/b//c",
                "/shop/hs/AquaDeliveri/getOrdersURL?a=/b//c",
            ),
            (
                "/shop//HS/aquadeliveri/V1/%6Frders/?limit=1",
                "/shop/hs/AquaDeliveri/v1/orders?limit=1",
            ),
            (
                "/shop/hs/aquadeliveri/v1/ORDERS/Results%20",
                "/shop/hs/AquaDeliveri/v1/orders/results",
            ),
            // The publication stays as it came.
            (
                "/%D0%B6%2FA/hs/aquadeliveri/getordersurl",
                "/%D0%B6%2FA/hs/AquaDeliveri/getOrdersURL",
            ),
            // Other paths keep their case.
            ("/", "/"),
            ("//", "/"),
            ("/%20", "/"),
            ("/HealthZ/", "/HealthZ"),
            ("/shop/hs/aquadeliveri", "/shop/hs/aquadeliveri"),
            (
                "/a/shop/HS/AquaDeliveri/getOrdersURL",
                "/a/shop/HS/AquaDeliveri/getOrdersURL",
            ),
            (
                "/shop/h%FF/AquaDeliveri/getOrdersURL",
                "/shop/h%FF/AquaDeliveri/getOrdersURL",
            ),
        ] {
            let uri: Uri = path.parse().expect("a URI");
            let spelled = canonical(&uri);
            assert_eq!(spelled.as_ref().unwrap_or(&uri), due, "{path}");
            assert_eq!(spelled.is_none(), path == due, "{path}");
        }
    }

    #[test]
    fn the_publication_is_the_first_segment_unescaped() {
        for (path, due) in [
            ("/shop/hs/AquaDeliveri/getOrdersURL", "shop"),
            ("/%D0%BC%D0%B0%D0%B3/hs", "маг"),
            ("/a%2Fb/hs", "a/b"),
            ("/a%FF/hs", "a\u{FFFD}"),
            ("/", ""),
        ] {
            assert_eq!(publication_of(&path.parse().expect("a URI")), due);
        }
    }
}
