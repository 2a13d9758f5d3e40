//! One order that an operator sends again, corrected perhaps, by the same way as over HTTP.

use std::{net::Ipv4Addr, sync::Arc, time::Instant};

use serde_json::{Value, value::RawValue};

use super::{Intake, RawBatch, Unavailable};
use crate::{config::Publication, memory::MemoryBudget, order::fault::Language, share::Share};

/// What an operator wrote, as one order.
#[derive(Debug)]
pub struct Resubmit {
    pub publication: Arc<Publication>,
    pub request_id: String,
    pub login: Option<String>,
    /// As [`one_order`] returns it.
    pub order: String,
    /// Of the messages.
    pub language: Language,
}

/// What became of it.
#[derive(Debug)]
pub struct Resubmitted {
    /// The order's id as it came; `#0` where it has none.
    pub key: String,
    /// Its entry in the response.
    pub entry: Value,
}

impl Resubmitted {
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.entry["success"] == true
    }

    /// Our number of it, where it is accepted and has one.
    #[must_use]
    pub fn number(&self) -> Option<i32> {
        self.entry["data"][0]["id"].as_str()?.parse().ok()
    }
}

/// Why a text is not one order.
#[derive(Debug, thiserror::Error)]
pub enum NotOneOrder {
    #[error("the order is empty")]
    Empty,
    #[error("this is not JSON: {0}")]
    NotJson(#[from] serde_json::Error),
    #[error("this is a list: write one order, without the brackets around it")]
    List,
}

/// The text as one element of a batch, without what editors put around it.
pub fn one_order(text: &str) -> Result<&str, NotOneOrder> {
    // Some editors begin a file with a BOM.
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.is_empty() {
        return Err(NotOneOrder::Empty);
    }
    serde_json::from_str::<&RawValue>(text)?;
    if text.starts_with('[') {
        return Err(NotOneOrder::List);
    }
    Ok(text)
}

impl Intake {
    /// Sends an order in, or only has it checked.
    ///
    /// # Errors
    /// As [`Self::accept`] and [`Self::dry_run`]: nothing is stored then.
    pub async fn resubmit(
        &self,
        sent: Resubmit,
        dry_run: bool,
    ) -> Result<Resubmitted, Unavailable> {
        let body = format!("[{}]", sent.order);
        let elements = std::iter::once(1..body.len() - 1).collect();
        // Whoever gets here is an operator: he takes no sender's share.
        let share = Share::new(&sent.publication.name, Ipv4Addr::LOCALHOST.into());
        let batch = RawBatch {
            publication: sent.publication,
            request_id: sent.request_id,
            login: sent.login,
            body,
            elements,
            language: sent.language,
            memory: MemoryBudget::new(usize::MAX).reserve(&share),
            complete_at: Instant::now(),
        };
        let reply = if dry_run {
            self.dry_run(batch).await?
        } else {
            self.accept(batch).await?
        };
        let answer: Option<Value> = serde_json::from_slice(&reply.body.concat()).ok();
        let entry = answer.as_ref().and_then(|answer| {
            let mut entries = answer["data"].as_object()?.iter();
            entries.next()
        });
        // An order has an entry in every response.
        let (key, entry) = entry.ok_or(Unavailable::Storage)?;
        Ok(Resubmitted {
            key: key.clone(),
            entry: entry.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_order_is_one_json_value_and_no_list() {
        for text in ["{}", " {\"id\": 1}\r\n", "\u{feff}{}", "7"] {
            assert!(one_order(text).is_ok(), "{text}");
        }
        for (text, why) in [
            ("", "the order is empty"),
            (" \u{feff}", "this is not JSON"),
            ("[{}]", "this is a list"),
            ("{}, {}", "this is not JSON"),
            ("{} ] [ {}", "this is not JSON"),
            ("{\"id\": }", "this is not JSON"),
        ] {
            let error = one_order(text).expect_err(text).to_string();
            assert!(error.starts_with(why), "{text}: {error}");
        }
    }
}
