//! What the addresses of several pages say.

use serde::Deserialize;

use super::{
    page::{Section, encoded},
    texts::Texts,
};

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
    #[serde(default)]
    pub from: Came,
}

/// The list from which somebody came to an order, and goes back to.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(transparent)]
pub(super) struct Came(String);

impl Came {
    /// Where the list is, and what it is called.
    pub fn list(&self, publication: &str, t: &'static Texts) -> (String, &'static str) {
        let lists = [
            Section::Rejected,
            Section::Remarks,
            Section::Unmatched,
            Section::Refused,
        ];
        let orders = Section::Orders.href(publication);
        if self.0 == "found" {
            return (format!("{orders}/found"), t.found_orders);
        }
        let list = lists.into_iter().find(|list| list.path() == self.0);
        list.map_or((orders, t.orders), |list| {
            (list.href(publication), list.title(t))
        })
    }

    /// As it stands in a form.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// To be added to a query.
    pub fn query(&self) -> String {
        if self.0.is_empty() {
            String::new()
        } else {
            format!("&from={}", encoded(&self.0))
        }
    }
}
