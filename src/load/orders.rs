//! Orders as a site sends them, made up: about 1.5 KB each, three lines, Cyrillic; most from known clients, some from
//! guests, a set share bad.

use fastrand::Rng;
use serde_json::{Value, json};

/// How many clients order again and again.
const REGULARS: u32 = 2_000;
/// Of a hundred orders, so many come from them …
const FROM_REGULARS: u32 = 70;
/// … and so many from guests; the rest are new clients.
const FROM_GUESTS: u32 = 15;

const STREETS: [&str; 8] = [
    "Кутузова",
    "Коммунистическая",
    "Первомайская",
    "Октябрьский проспект",
    "Карла Маркса",
    "Советская",
    "Пушкина",
    "Орджоникидзе",
];
const NAMES: [&str; 6] = [
    "Василий Тестовый",
    "Анна Сергеевна Проверкина",
    "Иван Петрович Образцов",
    "Мария Пробная",
    "Кафе «Ромашка»",
    "ООО «Северные ключи»",
];

/// Makes orders, each of a new id.
#[derive(Debug)]
pub struct Orders {
    rng: Rng,
    run: String,
    made: u64,
    bad_percent: u32,
}

/// An order's id, and whether the service should take it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// Its key in the answer.
    pub id: String,
    /// Whether it is a good one.
    pub good: bool,
}

/// A body to send.
#[derive(Debug, Clone)]
pub struct Body {
    /// JSON.
    pub bytes: bytes::Bytes,
    /// What should become of each order.
    pub expected: Vec<Expected>,
}

impl Orders {
    /// `run` keeps the ids of one run apart from another's; `seed` makes two runs alike.
    #[must_use]
    pub fn new(run: String, seed: u64, bad_percent: u32) -> Self {
        Self {
            rng: Rng::with_seed(seed),
            run,
            made: 0,
            bad_percent,
        }
    }

    /// One order.
    pub fn order(&mut self) -> (Value, Expected) {
        self.made += 1;
        let id = format!("load-{}-{:012}", self.run, self.made);
        let rng = &mut self.rng;
        let who = rng.u32(0..100);
        let regular = rng.u32(0..REGULARS);
        let place = if who < FROM_REGULARS {
            regular
        } else {
            rng.u32(0..1_000_000)
        };
        let address = address(place);
        let username = NAMES[place as usize % NAMES.len()];
        let client = if who < FROM_REGULARS {
            json!({
                "id": format!("regular-client-{regular:06}"), "type": "fiz", "username": username,
                "phone": format!("+7919{regular:07}"), "email": format!("client{regular}@example.org"),
                "addresses": [with_id(&address, place)],
            })
        } else if who < FROM_REGULARS + FROM_GUESTS {
            json!({ "username": username, "phone": format!("8922{:07}", rng.u32(0..10_000_000)) })
        } else {
            json!({
                "id": format!("client-of-{id}"), "type": "jur", "username": username,
                "phone": format!("+7950{:07}", rng.u32(0..10_000_000)), "addresses": [with_id(&address, place)],
            })
        };
        let lines: Vec<Value> = (0..3)
            .map(|_| {
                let product = rng.u32(0..40);
                json!({
                    "name": format!("Вода питьевая 19 л. «Ключ {product}»"),
                    "id": format!("78e66cef-ae2c-11e6-9bf1-{product:012}"),
                    "product_id": format!("78e66cef-ae2c-11e6-9bf1-{product:012}"),
                    "price": rng.u32(100..500), "quantity": rng.u32(1..6), "order_product_id": rng.u32(1..100_000),
                })
            })
            .collect();
        let day = rng.u32(1..28);
        let mut order = json!({
            "id": id, "external_id": null, "payment_type": "cash", "comment": "Позвонить за час до доставки",
            "shipping_date_from": format!("2026-11-{day:02}T09:00:00Z"),
            "shipping_date_to": format!("2026-11-{day:02}T18:00:00Z"),
            "status": "new", "total": rng.u32(300..5_000), "delivery_cost": 30, "coins": 0,
            "count_of_returned_bottles": rng.u32(0..5),
            "order_item_list": lines, "shipping_address": address, "client": client,
        });
        let good = rng.u32(0..100) >= self.bad_percent;
        if !good {
            order["status"] = "lost".into();
            order["order_item_list"][1]["price"] = "дорого".into();
        }
        (order, Expected { id, good })
    }

    /// A batch of new orders.
    pub fn batch(&mut self, size: usize) -> Vec<(Value, Expected)> {
        (0..size).map(|_| self.order()).collect()
    }
}

/// A batch as the body of a request.
#[must_use]
pub fn body(batch: &[(Value, Expected)]) -> Body {
    let orders: Vec<&Value> = batch.iter().map(|(order, _)| order).collect();
    Body {
        // Values and nothing else: they cannot fail to become JSON.
        bytes: serde_json::to_vec(&orders).unwrap_or_default().into(),
        expected: batch.iter().map(|(_, expected)| expected.clone()).collect(),
    }
}

fn address(place: u32) -> Value {
    let street = STREETS[place as usize % STREETS.len()];
    let (house, room) = (place % 120 + 1, place % 300 + 1);
    json!({
        "city": "Сыктывкар", "street": street, "house": house.to_string(), "entrance": (place % 6 + 1).to_string(),
        "floor": (place % 9 + 1).to_string(), "room": room.to_string(),
        "str": format!("город Сыктывкар улица {street} дом {house} квартира {room}"),
    })
}

fn with_id(address: &Value, place: u32) -> Value {
    let mut address = address.clone();
    address["id"] = format!("address-{place:07}").into();
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_up_orders_are_as_large_as_real_ones_and_good_but_for_the_bad() {
        let rules = crate::order::Rules {
            timezone: chrono_tz::Europe::Moscow,
            phone_region: crate::order::phone::Region::Ru,
            payment_types: None,
            loyalty_system_is_active: false,
            max_order_items: 500,
            max_client_addresses: 100,
        };
        let batch = Orders::new("test".into(), 1, 30).batch(1_000);
        let size = body(&batch).bytes.len() / batch.len();
        assert!((1_300..1_800).contains(&size), "{size} bytes");
        for (order, expected) in &batch {
            let read = crate::order::wire::parse(&order.to_string(), &rules);
            assert_eq!(
                read.faults.is_empty(),
                expected.good,
                "{order} {:?}",
                read.faults
            );
        }
        let bad = batch.iter().filter(|(_, expected)| !expected.good).count();
        assert!((200..400).contains(&bad), "{bad} bad ones");
    }
}
