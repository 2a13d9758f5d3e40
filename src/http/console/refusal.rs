//! Why there is no such page, or nothing was done; `page.rs` has the page of each.

use axum::response::{IntoResponse, Response};

use crate::store;

/// Why there is no such page, or nothing was done. `access::finish` makes the page of it, in the visitor's language.
#[derive(Debug, Clone)]
pub(super) enum Refusal {
    NotFound,
    /// It is an admin's.
    Forbidden,
    /// It did not come from a page of ours.
    ForeignOrigin,
    /// It came without TLS, and not through a trusted proxy.
    PlainText,
    /// The database is not open yet.
    NotReady,
    /// The database did not do it; why, for the log.
    Away(String),
    /// Too many log in at once.
    Busy,
    /// Others are exporting.
    ManyExports,
    Defect,
}

impl From<store::Error> for Refusal {
    fn from(error: store::Error) -> Self {
        Self::Away(error.in_full())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = Response::default();
        response.extensions_mut().insert(self);
        response
    }
}
