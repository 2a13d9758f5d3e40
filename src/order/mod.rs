//! The domain, pure: no I/O, no async, no SQL, no HTTP.
//!
//! [`wire`] reads an element, [`decide`] says what becomes of it, [`reply`] answers.

mod address_index;
pub mod amount;
pub mod answer_size;
pub mod content;
pub mod datetime;
pub mod decide;
pub mod diff;
pub mod fault;
pub mod fields;
pub mod flag;
pub mod history;
mod identity;
pub mod invisible;
pub mod known;
pub mod legible;
pub mod list;
pub mod list_key;
pub mod maker;
pub mod model;
pub mod patch;
pub mod phone;
pub(crate) mod raw;
pub mod record;
pub mod reply;
pub mod request;
pub mod sent;
pub mod sent_only;
pub mod wire;
#[cfg(test)]
mod world;
pub mod zone;

/// What a publication's settings say about reading and answering its orders (contract §1, §3).
#[derive(Debug, Clone)]
pub struct Rules {
    /// Zone of datetimes that come without one, and of all that leave.
    pub timezone: zone::Zone,
    /// How a phone without a country code is read.
    pub phone_region: phone::Region,
    /// The payment types in use; `None` when the publication does not list them, and then any is known.
    pub payment_types: Option<Vec<String>>,
    /// The answer's `loyalty_system_is_active` where the client has no own setting.
    pub loyalty_system_is_active: bool,
    /// Whether answers show what is stored of an order and its client; else they show what the call itself sent.
    pub answers_stored: bool,
    /// Whether whoever reaches us may post: our numbers of clients may be guessed.
    pub anybody_may_post: bool,
    /// Most lines an order may have.
    pub max_order_items: usize,
    /// Most addresses (and phones) a sent client may list.
    pub max_client_addresses: usize,
}

#[cfg(test)]
impl Rules {
    /// For tests: Moscow's time, Russian phones, any payment type, and lists as long as these.
    pub(crate) fn with_limits(max_order_items: usize, max_client_addresses: usize) -> Self {
        Self {
            timezone: zone::zone("Europe/Moscow"),
            phone_region: phone::Region::Ru,
            payment_types: None,
            loyalty_system_is_active: false,
            answers_stored: true,
            anybody_may_post: false,
            max_order_items,
            max_client_addresses,
        }
    }
}
