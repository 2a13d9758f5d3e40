//! What was merged under an id that is no identity, before the reader took such an id for none (contract §3). Whoever was sent with
//! it became one client, and each order overwrote the one before: that cannot be undone, only be found.

use super::{Error, Store};
use crate::order::wire::{PLACEHOLDER, is_blank};

/// Ids that the reader takes for none today, as they were stored before: with what it drops around an id.
fn no_identity() -> String {
    // PostgreSQL's own `\s` goes by the database's locale.
    let blanks: String = ('\0'..=char::MAX).filter(|c| is_blank(*c)).collect();
    // The dash is the last of them, or else it would stand for a range.
    let parts = String::from_iter(PLACEHOLDER);
    format!("^[{blanks}]*[{parts}]*0[{parts}]*[{blanks}]*$")
}

/// The whole of a publication is looked through, once in a while: not the way of the statements for batches, which look up keys
/// and must be quick.
const PLANNED_FOR_ALL: &str = "SELECT set_config(name, value, true)
    FROM (VALUES ('plan_cache_mode', 'force_custom_plan'), ('enable_seqscan', 'on'), ('enable_hashjoin', 'on'),
                 ('enable_mergejoin', 'on'), ('statement_timeout', '60s')) AS t (name, value)";

/// A client, an address or an order that may be several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// `client`, `address` or `order`.
    pub kind: String,
    pub number: i32,
    pub sender_id: String,
    /// A client's name, an address as a line, an order's status.
    pub says: String,
    pub client: i32,
    /// How many orders the client has, or go to the address.
    pub orders: i64,
    /// Of them still to be delivered: neither completed nor removed, and their time is not over.
    pub open: i64,
    /// The newest of those.
    pub open_numbers: Vec<i32>,
    /// How many of this kind there are, these included.
    pub all_of_kind: i64,
    /// Orders of all of this kind that are still to be delivered.
    pub open_of_kind: i64,
}

impl Store {
    /// Records of a publication that are merged: of each kind `most` at most, those with most open orders first.
    pub async fn merged(&self, publication: &str, most: i32) -> Result<Vec<Merged>, Error> {
        let mut transaction = self.pool().begin().await.map_err(Error::Unavailable)?;
        sqlx::query(PLANNED_FOR_ALL)
            .execute(&mut *transaction)
            .await
            .map_err(Error::Unavailable)?;
        sqlx::query_file_as!(
            Merged,
            "src/store/merged.sql",
            publication,
            no_identity(),
            most
        )
        .fetch_all(&mut *transaction)
        .await
        .map_err(Error::Unavailable)
    }
}
