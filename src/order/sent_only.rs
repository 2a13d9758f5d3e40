//! What is answered where anybody may ask, and to a cancellation that may be somebody else's: what the call itself sent, with our
//! numbers and the status (contract §1, §5). What else is stored is not shown to whoever guesses an id or a phone.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use super::{
    content::OrderContent,
    decide::{Outcome, Verdict},
    list::List,
    model::{Address, Client, ClientType, Order},
    wire::{Element, SentAddress},
};

/// An order and its client, as far as they are to be shown.
#[derive(Debug)]
pub struct Shown {
    /// The order; of what follows, the answer shows what stands here.
    pub order: Order,
    /// Its client.
    pub client: Client,
    /// A cancellation need not send it, and then does not see it.
    pub total: Option<Decimal>,
    /// Likewise.
    pub created_at: Option<DateTime<Utc>>,
    /// Likewise.
    pub shipping_dates: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// Whether an address was sent: likewise.
    pub has_address: bool,
}

/// The order of an entry and its client, as the entry's elements sent them: the later one wins, field by field.
///
/// `created_at` is the one exception. It is the stored one where none came, for a re-sent order is answered as it was the
/// first time.
#[must_use]
pub fn sent_only(
    verdict: &Verdict,
    order: &Order,
    client: &Client,
    elements: &[&Element],
) -> Shown {
    let mut shown = Order {
        content: OrderContent::default(),
        items: List::default(),
        ..order.clone()
    };
    let new = Client::new(client.number);
    let mut owner = Client {
        version: client.version,
        // One of its own says something of it.
        account_number: new
            .account_number
            .filter(|_| client.account_number == new.account_number),
        ..new
    };
    let (mut total, mut created_at) = (None, None);
    let (mut shipping_dates, mut has_address) = (None, false);
    let mut addresses: Vec<Address> = Vec::new();
    // Sent again, the answer must be the same.
    let stays =
        |outcome: &Outcome| matches!(outcome, Outcome::Taken(taken) if !taken.is_refused_again);
    let any_stays = verdict.elements.iter().any(stays);
    for (element, outcome) in elements.iter().zip(&verdict.elements) {
        let (Some(sent), Outcome::Taken(taken)) = (&element.order, outcome) else {
            continue;
        };
        if any_stays && taken.is_refused_again {
            continue;
        }
        let Some(of) = taken.client else {
            continue;
        };
        if of != client.number {
            // Somebody else's under the same id. As the order moved, what was said of it before was dropped.
            shown.content = OrderContent::default();
            continue;
        }
        total = sent.total.or(total);
        shipping_dates = sent.shipping_dates.or(shipping_dates);
        created_at = sent.created_at.or(created_at);
        sent.content.apply(&mut shown.content);
        if let Some(items) = sent.items.as_ref().filter(|items| !items.is_empty()) {
            let items = items.iter().enumerate().map(|(place, item)| {
                let stored = order.items.get(place);
                let same = stored.filter(|stored| stored.product_id == item.product_id);
                item.with(same.and_then(|stored| stored.product_number))
            });
            shown.items = items.collect();
        }

        if let Some(shipping_address) = &sent.shipping_address {
            has_address = true;
            shown.shipping_address = shipping_address.content();
            if let Some(number) = order.address_number {
                addresses.push(address(number, shipping_address));
            }
        }
        // A cancellation need not bring its client.
        let (Some(by), Some(numbers)) = (&sent.client, &taken.addresses) else {
            continue;
        };
        if let Some(id) = &element.client.id {
            owner.sender_id = Some(id.clone());
        }
        if let Some(username) = &by.username {
            owner.username.clone_from(username);
        }
        if by.account_number.is_some() {
            owner.account_number = by.account_number;
        }
        by.phone.apply(&mut owner.phone);
        by.phones.apply_or(&mut owner.phones, Vec::new());
        by.email.apply(&mut owner.email);
        by.comment.apply(&mut owner.comment);
        by.kind.apply_or(&mut owner.kind, ClientType::default());
        for (sent, number) in by.addresses.iter().zip(numbers) {
            // One that found no room has no number, and is not in the list.
            if let Some(number) = number {
                addresses.push(address(*number, sent));
            }
        }
    }
    owner.addresses = each_once(addresses).into();
    Shown {
        client: owner,
        total,
        created_at: created_at.or(total.map(|_| order.created_at)),
        order: shown,
        shipping_dates,
        has_address,
    }
}

fn address(number: i32, sent: &SentAddress) -> Address {
    Address {
        number,
        sender_id: sent.id.clone(),
        content: sent.content(),
        district_number: None,
        district_name: None,
    }
}

/// Each address once, by number, as it was sent last; the id that one of its senders gave it stays.
fn each_once(mut addresses: Vec<Address>) -> Vec<Address> {
    addresses.sort_by_key(|address| address.number);
    let mut once: Vec<Address> = Vec::with_capacity(addresses.len());
    for address in addresses {
        match once.last_mut() {
            Some(last) if last.number == address.number => {
                last.content = address.content;
                last.sender_id = address.sender_id.or_else(|| last.sender_id.take());
            }
            _ => once.push(address),
        }
    }
    once
}
