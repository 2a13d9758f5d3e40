//! What a change changed: an order before and after, field by field, for the journal.

use chrono::{DateTime, SecondsFormat, Utc};
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};

use super::model::{AddressContent, Order, OrderItem};

/// The fields that differ, named as on the wire, each with what it was and what it became: `{"total": ["710", "720"]}`. A line
/// is named by its place; one that was not there, or is not there any more, is `null`. Amounts are texts, for they are exact
/// decimals; moments are RFC 3339 in UTC; `client` and `shipping_address` are our numbers, `shipping_address.house` and the
/// like are the order's own copy of the address.
#[must_use]
pub fn changes(before: &Order, after: &Order) -> Value {
    let mut changes = Map::new();
    differences(&mut changes, "", &of_order(before), &of_order(after));
    if before.shipping_address != after.shipping_address {
        let [before, after] = [before, after].map(|order| of_address(&order.shipping_address));
        differences(&mut changes, "shipping_address.", &before, &after);
    }
    for place in 0..before.items.len().max(after.items.len()) {
        let name = format!("order_item_list[{place}]");
        match (before.items.get(place), after.items.get(place)) {
            (Some(before), Some(after)) => {
                let prefix = format!("{name}.");
                differences(&mut changes, &prefix, &of_item(before), &of_item(after));
            }
            (before, after) => {
                let line = |item: Option<&OrderItem>| {
                    item.map_or(Value::Null, |item| json!(of_item(item)))
                };
                changes.insert(name, json!([line(before), line(after)]));
            }
        }
    }
    Value::Object(changes)
}

fn differences(
    changes: &mut Map<String, Value>,
    prefix: &str,
    before: &Map<String, Value>,
    after: &Map<String, Value>,
) {
    for (name, from) in before {
        let to = after.get(name).unwrap_or(&Value::Null);
        if from != to {
            changes.insert(format!("{prefix}{name}"), json!([from, to]));
        }
    }
}

fn amount(amount: Decimal) -> String {
    amount.normalize().to_string()
}

fn moment(moment: DateTime<Utc>) -> String {
    moment.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

fn map(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn of_order(order: &Order) -> Map<String, Value> {
    let mut fields = map(json!({
        "status": order.status.as_str(),
        "client": order.client_number,
        "shipping_address": order.address_number,
        "created_at": moment(order.created_at),
        "total": amount(order.total),
        "shipping_date_from": moment(order.shipping_date_from),
        "shipping_date_to": moment(order.shipping_date_to),
    }));
    let content = order.content.fields();
    fields.extend(content.map(|(name, value)| (name.to_owned(), value.json())));
    fields
}

fn of_address(address: &AddressContent) -> Map<String, Value> {
    map(json!(address))
}

fn of_item(item: &OrderItem) -> Map<String, Value> {
    map(json!({
        "product_id": item.product_id,
        "id": item.sender_id,
        "external_id": item.external_id,
        "product": item.product_number,
        "name": item.name,
        "price": amount(item.price),
        "quantity": item.quantity,
        "order_product_id": item.order_product_id,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::world::{World, address, order};

    #[test]
    fn a_change_is_told_from_what_to_what_and_nothing_else_is() {
        let line = |price: u32| json!({ "product_id": "w", "price": price, "quantity": 1 });
        let cases = [
            (vec![], json!({})),
            (
                vec![("status", json!("approved")), ("total", json!("2.50"))],
                json!({ "status": ["new", "approved"], "total": ["1", "2.5"] }),
            ),
            (
                vec![
                    ("comment", json!("позвонить")),
                    ("payment_status", json!(1)),
                ],
                json!({ "comment": [null, "позвонить"], "payment_status": [false, true] }),
            ),
            (
                vec![("shipping_address", address(2))],
                json!({
                    "shipping_address": [100, 101],
                    "shipping_address.house": ["1", "2"],
                }),
            ),
            (
                vec![("order_item_list", json!([line(5)]))],
                json!({ "order_item_list[0].price": ["1", "5"] }),
            ),
            (
                vec![("order_item_list", json!([line(1), line(5)]))],
                json!({ "order_item_list[1]": [null, {
                    "product_id": "w", "id": null, "external_id": null, "product": 1, "name": null,
                    "price": "5", "quantity": 1, "order_product_id": null,
                }] }),
            ),
            (
                vec![("client", json!({ "id": "two", "username": "Два" }))],
                json!({
                    "client": [100, 101],
                    "created_at": ["1970-01-01T00:01:00Z", "1970-01-01T00:02:00Z"],
                    "shipping_address": [100, 101],
                }),
            ),
        ];
        for (fields, told) in cases {
            let mut world = World::default();
            world.send(&[order("a", &[], 1)]);
            let mut sent = order("a", &[], 1);
            for (field, value) in fields {
                sent[field] = value;
            }
            let changes = world.send_and(&[sent], |_, decision| {
                let record = &decision.orders[0];
                changes(record.before.expect("it is stored"), &record.after)
            });
            assert_eq!(changes, told);
        }
    }
}
