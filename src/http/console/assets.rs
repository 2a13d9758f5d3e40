//! What pages load: one stylesheet, small scripts, an icon. Their address has a hash of them all, so they are fetched once.

use std::sync::LazyLock;

use axum::{
    extract::Path,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use sha2::{Digest, Sha256};

use super::session::hex;

/// Names, content types and contents.
const FILES: [(&str, &str, &str); 3] = [
    (
        "console.css",
        "text/css; charset=utf-8",
        include_str!("assets/console.css"),
    ),
    (
        "console.js",
        "text/javascript; charset=utf-8",
        include_str!("assets/console.js"),
    ),
    (
        "icon.svg",
        "image/svg+xml",
        include_str!("../description/pages/icon.svg"),
    ),
];

/// Theirs, as it stands in their address.
static HASH: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Sha256::new();
    for (_, _, content) in FILES {
        hash.update(content.as_bytes());
    }
    hex(&hash.finalize()[..8])
});

/// Where pages find them.
pub(super) static FOLDER: LazyLock<String> = LazyLock::new(|| format!("/console/assets/{}", *HASH));

pub(super) async fn file(Path((hash, name)): Path<(String, String)>) -> Response {
    let found = FILES.iter().find(|(known, _, _)| *known == name);
    let Some((_, kind, content)) = found else {
        return StatusCode::NOT_FOUND.into_response();
    };
    // A page that was loaded before an update gets the new ones, and asks again next time.
    let caching = if hash == *HASH {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let headers = [
        (header::CONTENT_TYPE, *kind),
        (header::CACHE_CONTROL, caching),
    ];
    (headers, *content).into_response()
}
