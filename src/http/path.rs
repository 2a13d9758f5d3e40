//! The path of the orders: how senders may spell it, and the publication in it (contract §1).

use axum::http::{Uri, uri::PathAndQuery};
use percent_encoding::percent_decode_str;

use crate::order::invisible::is_invisible;

/// The fixed part of the orders' path, as the router knows it.
const ORDERS: [&str; 3] = ["hs", "AquaDeliveri", "getOrdersURL"];
/// The same with the publication before it.
pub const ORDERS_ROUTE: &str = "/{publication}/hs/AquaDeliveri/getOrdersURL";

/// A request's target spelled as the router has it. `None` where it is spelled so already.
///
/// Several slashes are one, and slashes and blanks at the end are nothing: addresses are put together and copied by hand. The
/// fixed part of the orders' path may have any case and escapes. The publication and the query stay as they came.
#[must_use]
pub fn canonical(uri: &Uri) -> Option<Uri> {
    let path = without_blanks_at_its_end(uri.path().strip_prefix('/')?);
    let mut segments = path.split('/').filter(|segment| !segment.is_empty());
    let is_the_orders = {
        let mut fixed = segments.clone().skip(1);
        ORDERS.iter().all(|name| {
            fixed
                .next()
                .is_some_and(|segment| is_spelled(segment, name))
        }) && fixed.next().is_none()
    };
    let mut spelled = String::with_capacity(uri.path().len());
    if is_the_orders {
        let publication = segments.next().unwrap_or_default();
        for segment in [publication].into_iter().chain(ORDERS) {
            spelled.push('/');
            spelled.push_str(segment);
        }
    } else {
        for segment in segments {
            spelled.push('/');
            spelled.push_str(segment);
        }
        if spelled.is_empty() {
            spelled.push('/');
        }
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

fn is_spelled(segment: &str, name: &str) -> bool {
    let segment = percent_decode_str(segment).decode_utf8();
    segment.is_ok_and(|segment| segment.eq_ignore_ascii_case(name))
}

/// Cuts blanks and slashes off a path's end, also escaped blanks: what a copied address brings along.
fn without_blanks_at_its_end(mut path: &str) -> &str {
    let is_blank = |char: char| char.is_whitespace() || is_invisible(char);
    // One character of those takes up to three bytes, each escaped as `%20` is.
    let escaped_blank = |path: &str| {
        [3, 6, 9].into_iter().find(|length| {
            let at = path.len().checked_sub(*length);
            let Some(escaped) = at.and_then(|at| path.get(at..)) else {
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

/// The publication's name as the address has it. Where its escapes are no UTF-8 it is a name that nobody bears.
pub fn publication_of(uri: &Uri) -> String {
    let segment = uri.path().split('/').nth(1).unwrap_or_default();
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}
