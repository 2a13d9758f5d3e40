use std::sync::Arc;

use proptest::{collection::vec, option, prelude::*, sample::select};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::*;
use crate::order::{
    Rules,
    fields::{Kind, objects},
    wire::{self, number_entries},
    world::{World, order},
};

const AS_SENT: Ids = Ids::Senders {
    number_there: None,
    client_is_numbered_there: false,
};

/// The order and its client as they are stored once `text` was read.
fn stored(text: &str) -> (Arc<Order>, Arc<Client>) {
    let mut elements = [wire::parse(text, &Rules::with_limits(60, 60), usize::MAX)];
    number_entries(&mut elements);
    let mut world = World::default();
    world.take(&[&elements]);
    let order = world.orders.pop();
    let order = order.unwrap_or_else(|| panic!("refused: {:?} {text}", elements[0].faults));
    (order, world.clients.pop().expect("its client"))
}

fn written(order: &Order, client: &Client, ids: Ids) -> String {
    serde_json::to_string(&Request { order, client, ids }).expect("JSON")
}

/// Values of a kind that the reader takes without a word.
fn value_of(kind: Kind) -> BoxedStrategy<Value> {
    let text = |most: usize| {
        let short = "[^\\p{C}\\p{Z}][^\\p{C}\"]{0,8}[^\\p{C}\\p{Z}]";
        let quoted = r#"[a-я]["\\/<>&{}\[\]`'%][а-яё]"#;
        prop_oneof![short, quoted].prop_map(move |text| {
            let text: String = text.chars().take(most).collect();
            json!(text)
        })
    };
    match kind {
        Kind::Identity | Kind::Id => prop_oneof![
            "[a-zА-Яё0-9_-]{0,20}[a-z]".prop_map(Value::from),
            (1..i64::MAX).prop_map(Value::from)
        ]
        .boxed(),
        Kind::OurNumber => Just(Value::Null).boxed(),
        Kind::Text(most) => text(most).boxed(),
        Kind::Amount(digits) => (0..10_i64.pow(digits + 2))
            .prop_map(|hundredths| json!(format!("{}.{:02}", hundredths / 100, hundredths % 100)))
            .boxed(),
        Kind::Integer(from, to) => (from..=to).prop_map(Value::from).boxed(),
        Kind::Flag => any::<bool>().prop_map(Value::from).boxed(),
        Kind::Checkout => prop_oneof![any::<bool>().prop_map(Value::from), text(255)].boxed(),
        Kind::Moment => Just(json!("2026-11-06T11:00:00+03:00")).boxed(),
        Kind::Phone => "\\+79[0-9]{9}|\\+3[0-9]{9}|8 \\(9[0-9]{2}\\) [0-9]{3}-[0-9]{4}"
            .prop_filter("ten equal digits are no phone", |phone| {
                let mut digits: Vec<char> = phone.chars().filter(char::is_ascii_digit).collect();
                digits.dedup();
                digits.len() > 2
            })
            .prop_map(Value::from)
            .boxed(),
        Kind::Phones => vec(value_of(Kind::Phone), 0..3)
            .prop_map(Value::from)
            .boxed(),
        Kind::OneOf(words) => select(words.split(", ").collect::<Vec<_>>())
            .prop_map(Value::from)
            .boxed(),
        Kind::Object(name) => object_of(name),
        Kind::List(name) => vec(object_of(name), 1..4).prop_map(Value::from).boxed(),
    }
}

/// Objects of that name: what is required always, the rest at times.
fn object_of(name: &'static str) -> BoxedStrategy<Value> {
    let known = objects().into_iter().find(|(known, ..)| *known == name);
    let (_, _, fields) = known.expect("an object of that name");
    let mut all = Just(Map::new()).boxed();
    for field in fields {
        // A guest needs the two, and a client whom nobody knows the name.
        let is_required = field.is_required || ["username", "phone"].contains(&field.name);
        let value = value_of(field.kind).prop_map(Some);
        let value = if is_required {
            value.boxed()
        } else {
            option::of(value_of(field.kind)).boxed()
        };
        all = (all, value)
            .prop_map(|(mut object, value)| {
                object.extend(value.map(|value| (field.name.to_owned(), value)));
                object
            })
            .boxed();
    }
    all.prop_map(Value::from).boxed()
}

proptest! {
    #[test]
    fn what_is_sent_to_a_1c_is_read_back_as_the_same_order(sent in object_of("Order")) {
        let (order, client) = stored(&sent.to_string());
        let text = written(&order, &client, AS_SENT);
        let element = wire::parse(&text, &Rules::with_limits(60, 60), usize::MAX);
        prop_assert!(element.faults.is_empty(), "{:?} {}", element.faults, text);
        prop_assert!(element.warnings.is_empty(), "{:?} {}", element.warnings, text);
        let (again, client_again) = stored(&text);
        let mut again = Arc::unwrap_or_clone(again);
        again.uuid = order.uuid;
        prop_assert_eq!(&*order, &again, "{}", text);
        prop_assert_eq!(client, client_again, "{}", text);
    }
}

#[test]
fn every_field_of_the_table_is_sent() {
    let (order, client) = stored(&order("1", &[super::super::world::address(1)], 1).to_string());
    let sent: Value = serde_json::from_str(&written(&order, &client, AS_SENT)).expect("JSON");
    for (object, fields) in [
        (&sent, &ORDER.names[..]),
        (&sent["order_item_list"][0], &ORDER_ITEM.names),
        (&sent["client"], &CLIENT.names),
        (&sent["client"]["addresses"][0], &ADDRESS.names),
        (&sent["shipping_address"], &SHIPPING_ADDRESS.names),
    ] {
        for field in fields {
            assert!(object.get(field).is_some(), "{field} in {object}");
        }
    }
}

#[test]
fn a_guest_is_sent_as_a_guest_and_a_number_of_ours_not_at_all() {
    let mut guest = order("1", &[], 1);
    guest["client"] = json!({ "username": "Гость", "phone": "8 919 199-19-19" });
    let (order, client) = stored(&guest.to_string());
    assert_eq!(client.account_number, Some(client.number.into()));
    let sent: Value = serde_json::from_str(&written(&order, &client, AS_SENT)).expect("JSON");
    let client = &sent["client"];
    assert_eq!(client["phone"], "+79191991919");
    for none in ["id", "external_id", "account_number"] {
        assert_eq!(client[none], Value::Null, "{none}");
    }
    assert_eq!(sent["shipping_address"]["user_address_id"], Value::Null);
    assert_eq!(sent["external_id"], Value::Null);
}

#[test]
fn a_number_given_there_is_sent_along() {
    let (order, client) = stored(&order("1", &[], 1).to_string());
    let ids = Ids::Senders {
        number_there: Some(50894),
        client_is_numbered_there: false,
    };
    let sent: Value = serde_json::from_str(&written(&order, &client, ids)).expect("JSON");
    assert_eq!(
        (&sent["id"], &sent["external_id"]),
        (&json!("1"), &json!(50894))
    );
}

#[test]
fn a_clients_number_that_1c_gave_is_sent_to_it() {
    let (order, client) = stored(&order("1", &[], 1).to_string());
    assert_eq!(client.account_number, Some(client.number.into()));
    let ids = Ids::Senders {
        number_there: None,
        client_is_numbered_there: true,
    };
    let sent: Value = serde_json::from_str(&written(&order, &client, ids)).expect("JSON");
    for key in ["external_id", "account_number"] {
        assert_eq!(sent["client"][key], client.number, "{key}");
    }
}

#[test]
fn the_app_is_told_under_our_numbers_without_its_points() {
    let mut sent = order("shop-1", &[super::super::world::address(1)], 1);
    sent["coins"] = json!(710);
    sent["total"] = json!("0.10");
    sent["created_at"] = json!("2026-11-06T11:00:00.25Z");
    sent["order_item_list"][0] = json!({
        "product_id": "w", "id": "line", "external_id": 7, "price": "355.50", "quantity": 2, "order_product_id": 1435
    });
    let (order, client) = stored(&sent.to_string());
    let text = written(&order, &client, Ids::Ours);
    assert!(text.contains(r#""total":0.1,"#), "exact: {text}");
    let told: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(told["id"], json!(order.number.to_string()));
    assert_eq!(told["external_id"], "shop-1");
    assert_eq!(told["created_at"], "2026-11-06T11:00:00Z");
    assert_eq!(told.get("coins"), None);
    assert_eq!(told["client"]["id"], json!(client.number));
    assert_eq!(told["client"]["external_id"], "one");
    assert_eq!(
        told["shipping_address"]["user_address_id"],
        json!(order.address_number)
    );
    let line = &told["order_item_list"][0];
    assert_eq!(
        (&line["product_id"], &line["id"], &line["external_id"]),
        (&json!("w"), &json!("line"), &json!(7))
    );
    assert_ne!(order.uuid, Uuid::nil());
}
