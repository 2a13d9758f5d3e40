//! Clients, with their addresses and prices.

use std::collections::{HashMap, hash_map::Entry};

use rust_decimal::Decimal;

use super::{Of, Picture, Put, next_number, tally};
use crate::{
    catalogue::{Subject, Text, entry},
    order::model::{Address, BankAccount, Client, ClientPrice, ClientType},
};

impl Picture<'_> {
    pub(super) fn client(&mut self, entry: &entry::Client) {
        let subject = Subject::Clients;
        let by_number = entry.number.and_then(|n| self.stored.clients.get(&n));
        let by_id = entry.sender_id.as_ref().and_then(|id| {
            let number = self.client_ids.get(id.as_str())?;
            self.stored.clients.get(number)
        });
        if let (Some(number), Some(by_id)) = (entry.number, by_id)
            && by_id.number != number
        {
            let reason = Text::new(
                format!("это id клиента {}", by_id.number),
                format!("belongs to client {}", by_id.number),
            );
            return self.problem(subject, entry.line, "sender_id", reason);
        }
        let before = by_number.or(by_id);
        if let (Some(client), Some(id)) = (before, &entry.sender_id)
            && client.sender_id.as_ref().is_some_and(|stored| stored != id)
        {
            let reason = Text::new(
                format!("у клиента {} другой id отправителя", client.number),
                format!("client {} has another sender id", client.number),
            );
            return self.problem(subject, entry.line, "sender_id", reason);
        }
        if before.is_none() && entry.username.is_none() {
            return self.required(subject, entry.line, "username");
        }
        let number = before.map(|client| client.number).or(entry.number);
        let number = number.unwrap_or_else(|| {
            next_number(
                &mut self.free.client,
                &self.named_clients,
                &mut self.out.shortage.client,
            )
        });
        if !self.take(subject, Of::Client, number, entry.line) {
            return;
        }

        let problems = self.out.problems.len();
        let mut after = before.cloned().unwrap_or_else(|| Client::new(number));
        apply(entry, &mut after);
        for address in &entry.addresses {
            self.address(address, &mut after);
        }
        let mut seen: HashMap<i32, &entry::Price> = HashMap::new();
        for price in &entry.prices {
            match seen.entry(price.product) {
                Entry::Vacant(vacant) => {
                    vacant.insert(price);
                    self.price(price, &mut after);
                }
                // As a join of addresses and prices repeats it.
                Entry::Occupied(first)
                    if (first.get().price, &first.get().active) == (price.price, &price.active) => {
                }
                Entry::Occupied(first) => {
                    let (product, line) = (price.product, first.get().line);
                    let reason = Text::new(
                        format!("цена товара {product} не та, что в строке {line}"),
                        format!("sets the price of product {product} otherwise than line {line}"),
                    );
                    self.problem(subject, price.line, "prices.price", reason);
                }
            }
        }
        if self.out.problems.len() > problems {
            return;
        }
        if before == Some(&after) {
            self.out.totals.clients.unchanged += 1;
            return;
        }
        tally(&mut self.out.totals.clients, before.is_none());
        let changes = &mut self.out.changes;
        for address in &after.addresses {
            let stored = before
                .and_then(|client| client.addresses.iter().find(|a| a.number == address.number));
            if stored != Some(address) {
                changes.addresses.push(Put {
                    is_new: stored.is_none(),
                    row: (number, address.clone()),
                });
            }
        }
        for price in &after.prices {
            let stored = before.and_then(|client| {
                let same = |p: &&ClientPrice| p.product_number == price.product_number;
                client.prices.iter().find(same)
            });
            if stored != Some(price) {
                changes.prices.push(Put {
                    is_new: stored.is_none(),
                    row: (number, price.clone()),
                });
            }
        }
        if before.is_none() && entry.number.is_some() {
            changes.numbered_clients.insert(number);
        }
        changes.clients.push(Put {
            is_new: before.is_none(),
            row: after,
        });
    }

    fn address(&mut self, entry: &entry::Address, client: &mut Client) {
        let subject = Subject::Clients;
        let line = entry.line;
        if let Some(number) = entry.number
            && let Some(owner) = self.stored.addresses.get(&number)
            && *owner != client.number
        {
            let reason = Text::new(
                format!("адрес {number} — клиента {owner}"),
                format!("address {number} belongs to client {owner}"),
            );
            return self.problem(subject, line, "addresses.number", reason);
        }
        let by_number = entry
            .number
            .and_then(|number| client.addresses.iter().position(|a| a.number == number));
        let by_id = entry.sender_id.as_ref().and_then(|id| {
            let has = |a: &Address| a.sender_id.as_ref() == Some(id);
            client.addresses.iter().position(has)
        });
        if let (Some(_), Some(by_id)) = (entry.number, by_id)
            && by_number != Some(by_id)
        {
            let number = client.addresses[by_id].number;
            let reason = Text::new(
                format!("это id адреса {number}"),
                format!("belongs to address {number}"),
            );
            return self.problem(subject, line, "addresses.sender_id", reason);
        }
        if let (Some(index), Some(id)) = (by_number, &entry.sender_id)
            && let Some(stored) = &client.addresses[index].sender_id
            && stored != id
        {
            let number = client.addresses[index].number;
            let reason = Text::new(
                format!("у адреса {number} другой id отправителя"),
                format!("address {number} has another sender id"),
            );
            return self.problem(subject, line, "addresses.sender_id", reason);
        }
        if let Some(district) = entry.district.value()
            && !self.districts.contains(district)
        {
            let reason = Text::new(
                format!("района {district} нет: сначала загрузите районы"),
                format!("there is no district {district}: import districts first"),
            );
            self.problem(subject, line, "addresses.district", reason);
        }
        let content = entry.content();
        let found = by_number.or(by_id).or_else(|| {
            let (None, None, Ok(content)) = (entry.number, &entry.sender_id, &content) else {
                return None;
            };
            client.addresses.iter().position(|a| a.content == *content)
        });
        let index = match (found, content) {
            (Some(index), _) => index,
            (None, Err(missing)) => {
                for column in missing {
                    self.required(subject, line, &format!("addresses.{column}"));
                }
                return;
            }
            (None, Ok(content)) => {
                let number = entry.number.unwrap_or_else(|| {
                    next_number(
                        &mut self.free.address,
                        &self.named_addresses,
                        &mut self.out.shortage.address,
                    )
                });
                client.addresses.push(Address {
                    number,
                    sender_id: None,
                    content,
                    district_number: None,
                    district_name: None,
                });
                client.addresses.len() - 1
            }
        };
        let address = &mut client.addresses[index];
        let untouched = address.clone();
        entry.apply(&mut address.content);
        entry.district.apply(&mut address.district_number);
        if entry.sender_id.is_some() {
            address.sender_id.clone_from(&entry.sender_id);
        }
        // A join of a client's addresses with its prices repeats every address: that is no clash.
        let number = address.number;
        if *address != untouched || !self.taken.contains_key(&(Of::Address, number)) {
            self.take(subject, Of::Address, number, line);
        }
    }

    fn price(&mut self, entry: &entry::Price, client: &mut Client) {
        let subject = Subject::Clients;
        if !self.products.contains(&entry.product) {
            let product = entry.product;
            let reason = Text::new(
                format!("товара {product} нет: сначала загрузите товары"),
                format!("there is no product {product}: import products first"),
            );
            return self.problem(subject, entry.line, "prices.product", reason);
        }
        let index = client
            .prices
            .iter()
            .position(|price| price.product_number == entry.product);
        let index = index.unwrap_or_else(|| {
            client.prices.push(ClientPrice {
                product_number: entry.product,
                external_product_id: None,
                price: Decimal::ZERO,
                active: true,
            });
            client.prices.len() - 1
        });
        let price = &mut client.prices[index];
        price.price = entry.price;
        entry.active.apply_or(&mut price.active, true);
    }
}

fn apply(entry: &entry::Client, client: &mut Client) {
    if let Some(id) = &entry.sender_id {
        client.sender_id = Some(id.clone());
        // No guest any more (contract §4).
        client.guest_phone = None;
    }
    if let Some(username) = &entry.username {
        client.username.clone_from(username);
    }
    if let Some(account_number) = entry.account_number {
        client.account_number = Some(account_number);
    }
    entry.kind.apply_or(&mut client.kind, ClientType::default());
    entry.phone.apply(&mut client.phone);
    entry.phones.apply_or(&mut client.phones, Vec::new());
    entry.email.apply(&mut client.email);
    entry.comment.apply(&mut client.comment);
    entry
        .legal_address
        .apply_or(&mut client.legal_address, Vec::new());
    entry
        .coins_amount
        .apply_or(&mut client.coins_amount, Decimal::ZERO);
    entry
        .loyalty_system_is_active
        .apply(&mut client.loyalty_system_is_active);

    let mut account = client.bank_account.clone().unwrap_or_default();
    let [inn, kpp, number, correspondent, bik, name] = &entry.bank_account;
    inn.apply(&mut account.inn);
    kpp.apply(&mut account.kpp);
    number.apply(&mut account.account_number);
    correspondent.apply(&mut account.correspondent_account);
    bik.apply(&mut account.bik);
    name.apply(&mut account.bank_name);
    client.bank_account = (account != BankAccount::default()).then_some(account);
}
