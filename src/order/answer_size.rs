//! How long an answer can become, told before it is written, and before anything of its batch is stored (contract §1).
//! Never too little: what is written is never longer.

use super::{
    decide::Verdict,
    fault::Language,
    model::{Address, AddressContent, Client, Order},
};

/// Bytes of JSON of which nothing varies, with every number as long as it can be.
const ENTRY: usize = 96;
const ORDER: usize = 640;
const CLIENT: usize = 640;
const ADDRESS: usize = 320;
const PRICE: usize = 160;
const ITEM: usize = 160;
const FAULT: usize = 64;
/// A key that tells the element's place: one `#`, and more where orders are really called so.
const PLACE_KEY: usize = 280;
/// The sentence over an entry's faults, without the three that it names.
const SUMMARY: usize = 96;

/// How a text's bytes are counted.
type Length = fn(&str) -> usize;

/// A text cannot become longer than this in JSON: a control character takes six bytes.
#[must_use]
pub fn at_most(text: &str) -> usize {
    6 * text.len()
}

/// A text as long as it is in JSON.
#[must_use]
pub fn exactly(text: &str) -> usize {
    let more = text.bytes().map(|byte| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 1,
        0x00..0x20 => 5,
        _ => 0,
    });
    text.len() + more.sum::<usize>()
}

fn maybe(text: Option<&String>, length: Length) -> usize {
    text.map_or(0, |text| length(text))
}

/// Of one entry's verdict, without its key, the order and the client.
#[must_use]
pub fn of_verdict(verdict: &Verdict, language: Language) -> usize {
    let told: usize = if verdict.is_accepted() {
        let remarks = verdict.remarks().into_iter();
        remarks
            .map(|remark| FAULT + remark.field().len() + remark.message(language).len())
            .sum()
    } else {
        let faults = verdict.faults().into_iter();
        let mut lengths =
            faults.map(|fault| FAULT + fault.field.len() + fault.message(language).len());
        let in_summary: usize = lengths.by_ref().take(3).sum();
        SUMMARY + 2 * in_summary + lengths.sum::<usize>()
    };
    ENTRY + told
}

/// Of an element's key, if it is the first of its entry.
#[must_use]
pub fn of_key(id: Option<&str>, length: Length) -> usize {
    id.map_or(PLACE_KEY, length)
}

/// Of an order, without its client.
#[must_use]
pub fn of_order(order: &Order, client: &Client, length: Length) -> usize {
    // Its id and its district are those of the client's address.
    let address = order.address_number.and_then(|n| client.address(n));
    let address = of_content(&order.shipping_address, length)
        + address.map_or(0, |address| of_reference(address, length));
    let items = order
        .items
        .iter()
        .map(|item| ITEM + maybe(item.name.as_ref(), length));
    ORDER + length(&order.sender_id) + order.content.bytes(length) + address + items.sum::<usize>()
}

/// Of a client.
#[must_use]
pub fn of_client(client: &Client, length: Length) -> usize {
    let account = client.bank_account.as_ref().map_or(0, |account| {
        [
            &account.inn,
            &account.kpp,
            &account.account_number,
            &account.correspondent_account,
            &account.bik,
            &account.bank_name,
        ]
        .into_iter()
        .map(|part| maybe(part.as_ref(), length))
        .sum()
    });
    // Each phone has 16 characters at most.
    let phones = 20 * (client.phones.len() + 1);
    let legal = client.legal_address.iter().map(|line| length(line) + 4);
    let addresses = client.addresses.iter().map(|a| of_address(a, length));
    let prices = client
        .prices
        .iter()
        .map(|price| PRICE + maybe(price.external_product_id.as_ref(), length));
    CLIENT
        + maybe(client.sender_id.as_ref(), length)
        + length(&client.username)
        + maybe(client.email.as_ref(), length)
        + maybe(client.comment.as_ref(), length)
        + account
        + phones
        + legal.sum::<usize>()
        + addresses.sum::<usize>()
        + prices.sum::<usize>()
}

fn of_address(address: &Address, length: Length) -> usize {
    of_content(&address.content, length) + of_reference(address, length)
}

/// Of what an address has besides its content.
fn of_reference(address: &Address, length: Length) -> usize {
    maybe(address.sender_id.as_ref(), length) + maybe(address.district_name.as_ref(), length)
}

fn of_content(content: &AddressContent, length: Length) -> usize {
    let AddressContent {
        city,
        street,
        house,
        str,
        entrance,
        floor,
        room,
    } = content;
    // All but `str` stand in its name, too.
    let named = length(city)
        + length(street)
        + length(house)
        + maybe(entrance.as_ref(), length)
        + maybe(floor.as_ref(), length)
        + maybe(room.as_ref(), length);
    ADDRESS + 2 * named + length(str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_as_long_as_the_library_writes_it_and_never_longer_than_at_most() {
        let all: String = (0..0x250).filter_map(char::from_u32).collect();
        for text in [
            "",
            "Вода",
            "\"\\\n\r\t\u{8}\u{c}\u{0}\u{1f}\u{7f}/",
            all.as_str(),
        ] {
            let written = serde_json::to_string(text).expect("a text").len() - 2;
            assert_eq!(exactly(text), written, "{text:?}");
            assert!(at_most(text) >= written, "{text:?}");
        }
    }
}
