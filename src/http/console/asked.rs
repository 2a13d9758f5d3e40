//! What the addresses of several pages say.

use serde::Deserialize;

/// Which order, or which client.
#[derive(Debug, Deserialize)]
pub(super) struct Number {
    pub number: i32,
}

/// What was just done.
#[derive(Debug, Deserialize)]
pub(super) struct Done {
    #[serde(default)]
    pub done: String,
}
