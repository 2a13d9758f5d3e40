use super::file::Section;
use crate::memory::NETWORK_PART;

/// `[limits]`: the contract's limits (§1), each a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Largest body in bytes, after decompression.
    pub body_bytes: usize,
    pub batch_orders: usize,
    pub order_items: usize,
    pub client_addresses: usize,
    /// Most batches that may wait for the database; one more is answered 503.
    pub waiting_batches: usize,
    /// Whether small batches that wait together share a transaction.
    pub coalesce: bool,
    /// Most connections at the same time; one more takes the slot of one whose request is not whole, or is answered 503.
    pub connections: usize,
    /// Of them, most of one address.
    pub connections_per_address: usize,
    /// Of them, most of one wide network: a /24, under IPv6 a /48.
    pub connections_per_network: usize,
    /// Largest response in bytes; a batch whose response would be larger is refused before anything of it is stored.
    pub answer_bytes: usize,
    /// How many batches an address may try out in a minute where a publication is anonymous.
    pub dry_runs_per_minute: u32,
    /// Most bytes of bodies that are received, worked on or answered at the same time; what goes beyond is answered 503.
    pub bytes_in_flight: usize,
}

impl Limits {
    /// The least of `bytes_in_flight` that an order takes, however short its text: its faults, or its response, need it.
    pub const ROOM_OF_AN_ORDER: usize = 1536;

    pub(super) fn read(mut section: Section<'_>) -> Self {
        let coalesce = section.flag("coalesce");
        let limits = Self {
            body_bytes: section.number("body_bytes", 1024..=1024 * 1024 * 1024),
            batch_orders: section.number("batch_orders", 1..=100_000),
            order_items: section.number("order_items", 1..=100_000),
            client_addresses: section.number("client_addresses", 1..=100_000),
            waiting_batches: section.number("waiting_batches", 1..=1_000_000),
            coalesce,
            connections: section.number("connections", 1..=1_000_000),
            connections_per_address: section.number("connections_per_address", 1..=1_000_000),
            connections_per_network: section.number("connections_per_network", 1..=1_000_000),
            answer_bytes: section.number("answer_bytes", 1024..=1 << 40),
            dry_runs_per_minute: section.number("dry_runs_per_minute", 0..=1_000_000),
            bytes_in_flight: section.number("bytes_in_flight", 1024..=1 << 40),
        };
        let least = limits
            .body_bytes
            .max(limits.batch_orders.saturating_mul(Self::ROOM_OF_AN_ORDER));
        let least = least.saturating_mul(NETWORK_PART);
        if limits.bytes_in_flight < least {
            section.problems.add(
                section.at("bytes_in_flight").unwrap_or(section.at),
                format!(
                    "`bytes_in_flight` must be at least {least}: {NETWORK_PART} times as large as `body_bytes`, and {NETWORK_PART} times {} \
                     for each of `batch_orders`; else the largest batch is never taken, for one caller has a part of it only",
                    Self::ROOM_OF_AN_ORDER
                ),
            );
        }
        section.finish(&[]);
        limits
    }
}
