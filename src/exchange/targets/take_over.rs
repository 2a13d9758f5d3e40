//! What a 1C answered of orders that it took becomes ours: its number of each, and how far it has come.

use uuid::Uuid;

use super::answer::Taken;
use crate::{
    exchange::results::{self, is_anothers},
    order::{fault::WarningCode, wire::OrderResult},
    store::{self, Store, feed::Who, targets::Target},
};

/// What was said of an order.
pub(super) struct Told {
    pub number: i32,
    /// Which was sent.
    pub version: i32,
    pub taken: Taken,
}

/// Stores it as if 1C had reported it; says what was ignored.
pub(super) async fn take_over(
    store: &Store,
    target: Target<'_>,
    attempt: Uuid,
    told: Vec<Told>,
) -> Result<Vec<&'static str>, store::Error> {
    let mut notes = Vec::new();
    let numbers = told.iter().filter_map(|told| told.taken.number.clone());
    let numbers: Vec<String> = numbers.collect();
    let called = store.orders_called(target.publication, &numbers).await?;
    let mut said = Vec::new();
    for Told {
        number,
        version,
        taken,
    } in told
    {
        let mut receiver_number = taken.number;
        if (receiver_number.as_deref()).is_some_and(|said| is_anothers(&called, said, number)) {
            receiver_number = None;
            notes.push("a number of another order");
        }
        if receiver_number.is_some() || taken.status.is_some() {
            said.push(OrderResult {
                number,
                version: Some(version),
                receiver_number,
                receiver_uid: None,
                status: taken.status,
                error: None,
            });
        }
    }
    let request_id = attempt.to_string();
    let who = Who {
        login: Some(target.name),
        request_id: Some(&request_id),
    };
    let said: Vec<&OrderResult> = said.iter().collect();
    let outcomes = results::store_all(store, target.publication, &said, &who).await?;
    if outcomes
        .iter()
        .flatten()
        .flat_map(|stored| &stored.warnings)
        .any(|warning| warning.code == WarningCode::StatusNotChanged)
    {
        notes.push("a status that would go back");
    }
    notes.dedup();
    Ok(notes)
}
