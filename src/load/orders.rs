//! Orders as a site sends them, made up: about 1.5 KB each, three lines, Cyrillic; most from known clients, some from
//! guests, a set share bad.
//!
//! They are made before the clock starts, as text ([`Stock`]). What makes an order a new one (its id; the id and the
//! phone of a new client, a guest's phone) has a fixed width and is written over in a copy of that text, which costs next
//! to nothing: the tool shares its processors with the service that it measures.

use std::{
    ops::Range,
    sync::atomic::{AtomicU64, Ordering},
};

use bytes::{Bytes, BytesMut};
use fastrand::Rng;
use memchr::memmem;
use serde_json::{Value, json};

/// How many clients order again and again.
pub const REGULARS: u32 = 2_000;
pub const PRODUCTS: u32 = 40;
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

/// Digits of an order's place in its run.
const SERIAL: usize = 12;
/// Digits of a phone that are a new client's or a guest's own.
const PHONE: usize = 9;
const TOTAL: usize = 4;
/// Totals of a changed re-send begin here, where those of made-up orders end.
const CHANGED_TOTAL: u64 = 5_000;

/// Makes orders, each of a new id.
#[derive(Debug)]
pub struct Orders {
    rng: Rng,
    run: String,
    made: u64,
    bad_percent: u32,
    client: Option<String>,
}

/// An order's id, and whether the service should take it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    pub id: String,
    pub good: bool,
}

/// Who an order is from, which says what must be written over to make it a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    Regular,
    Guest,
    New,
}

impl Orders {
    /// `run` keeps the ids of one run apart from another's; `seed` makes two runs alike.
    pub fn new(run: String, seed: u64, bad_percent: u32) -> Self {
        Self {
            rng: Rng::with_seed(seed),
            run,
            made: 0,
            bad_percent,
            client: None,
        }
    }

    /// The same, but all orders come from the client of that id.
    #[must_use]
    pub fn of_client(mut self, client: Option<String>) -> Self {
        self.client = client;
        self
    }

    pub fn order(&mut self) -> (Value, Expected) {
        let (order, expected, _) = self.make();
        (order, expected)
    }

    fn make(&mut self) -> (Value, Expected, Who) {
        self.made += 1;
        let id = format!("load-{}-{:0SERIAL$}", self.run, self.made);
        let rng = &mut self.rng;
        let percent = rng.u32(0..100);
        let regular = rng.u32(0..REGULARS);
        let who = if self.client.is_some() || percent < FROM_REGULARS {
            Who::Regular
        } else if percent < FROM_REGULARS + FROM_GUESTS {
            Who::Guest
        } else {
            Who::New
        };
        let place = match who {
            _ if self.client.is_some() => 0,
            Who::Regular => regular,
            Who::Guest | Who::New => rng.u32(0..1_000_000),
        };
        let address = address(place);
        let username = NAMES[place as usize % NAMES.len()];
        let phone = rng.u64(0..10_u64.pow(9));
        let client = match (&self.client, who) {
            (Some(client), _) => json!({
                "id": client, "type": "fiz", "username": username, "phone": "+79190000000",
                "email": "client@example.org", "addresses": [with_id(&address, place)],
            }),
            (None, Who::Regular) => json!({
                "id": format!("regular-client-{regular:06}"), "type": "fiz", "username": username,
                "phone": format!("+7919{regular:07}"), "email": format!("client{regular}@example.org"),
                "addresses": [with_id(&address, place)],
            }),
            (None, Who::Guest) => {
                json!({ "username": username, "phone": format!("89{phone:0PHONE$}") })
            }
            (None, Who::New) => json!({
                "id": format!("client-of-{id}"), "type": "jur", "username": username,
                "phone": format!("+79{phone:0PHONE$}"), "addresses": [with_id(&address, place)],
            }),
        };
        let lines: Vec<Value> = (0..3)
            .map(|_| {
                let product = rng.u32(0..PRODUCTS);
                json!({
                    "name": format!("Вода питьевая 19 л. «Ключ {product}»"),
                    "id": product_id(product), "product_id": product_id(product),
                    "price": rng.u32(100..500), "quantity": rng.u32(1..6), "order_product_id": rng.u32(1..100_000),
                })
            })
            .collect();
        let day = rng.u32(1..28);
        let mut order = json!({
            "id": id, "external_id": null, "payment_type": "cash", "comment": "Позвонить за час до доставки",
            "shipping_date_from": format!("2026-11-{day:02}T09:00:00Z"),
            "shipping_date_to": format!("2026-11-{day:02}T18:00:00Z"),
            "status": "new", "total": rng.u64(1_000..CHANGED_TOTAL), "delivery_cost": 30, "coins": 0,
            "count_of_returned_bottles": rng.u32(0..5),
            "order_item_list": lines, "shipping_address": address, "client": client,
        });
        let good = rng.u32(0..100) >= self.bad_percent;
        if !good {
            order["status"] = "lost".into();
            order["order_item_list"][1]["price"] = "дорого".into();
        }
        (order, Expected { id, good }, who)
    }
}

/// The sender's id of a product.
pub fn product_id(product: u32) -> String {
    format!("78e66cef-ae2c-11e6-9bf1-{product:012}")
}

/// Orders as text, ready to be sent as many times as one likes, each time as new ones.
#[derive(Debug)]
pub struct Stock {
    text: Vec<u8>,
    orders: Vec<Template>,
    id_length: usize,
    /// Serials given so far in this run.
    serials: AtomicU64,
    /// Where this run's phones begin among all phones, so that two runs hardly share one.
    phones: u64,
}

/// An order in the stock's text, and the places in it to write over, counted from its start.
#[derive(Debug)]
struct Template {
    text: Range<usize>,
    id: usize,
    /// The digits of its serial, wherever they stand.
    serials: Vec<usize>,
    phone: Option<usize>,
    total: usize,
    good: bool,
}

#[derive(Debug, Clone, Default)]
pub struct Body {
    pub bytes: Bytes,
    orders: Vec<Sent>,
    id_length: usize,
}

#[derive(Debug, Clone)]
struct Sent {
    id: usize,
    total: usize,
    good: bool,
}

impl Stock {
    /// Makes that many orders. `None`: a made-up order did not look as it should, which a test rules out.
    pub fn of(mut orders: Orders, size: usize) -> Option<Self> {
        let mut text = Vec::with_capacity(size * 1_600);
        let phones = Rng::new().u64(0..10_u64.pow(9));
        let mut templates = Vec::with_capacity(size);
        let mut id_length = 0;
        for _ in 0..size {
            let (order, Expected { id, good }, who) = orders.make();
            let order = order.to_string().into_bytes();
            let find = |what: &str| memmem::find(&order, what.as_bytes()).map(|at| at + what.len());
            let phone = match who {
                Who::Regular => None,
                Who::Guest => Some(find("\"phone\":\"89")?),
                Who::New => Some(find("\"phone\":\"+79")?),
            };
            id_length = id.len();
            templates.push(Template {
                text: text.len()..text.len() + order.len(),
                id: find(&format!("\"id\":\"{id}\""))? - 1 - id.len(),
                serials: memmem::find_iter(&order, id.as_bytes())
                    .map(|at| at + id.len() - SERIAL)
                    .collect(),
                phone,
                total: find("\"total\":")?,
                good,
            });
            text.extend_from_slice(&order);
        }
        Some(Self {
            text,
            orders: templates,
            id_length,
            serials: AtomicU64::new(0),
            phones,
        })
    }

    /// A batch of new orders, written into `buffer`. `at` goes round the stock.
    pub fn batch(&self, at: &mut usize, size: usize, mut buffer: BytesMut) -> Body {
        buffer.clear();
        let first = self.serials.fetch_add(size as u64, Ordering::Relaxed) + 1;
        let mut orders = Vec::with_capacity(size);
        for serial in first..first + size as u64 {
            let template = &self.orders[*at % self.orders.len()];
            *at = (*at + 1) % self.orders.len();
            buffer.extend_from_slice(if serial == first { b"[" } else { b"," });
            let start = buffer.len();
            buffer.extend_from_slice(&self.text[template.text.clone()]);
            let order = &mut buffer[start..];
            for place in &template.serials {
                write_digits(&mut order[*place..*place + SERIAL], serial);
            }
            if let Some(place) = template.phone {
                write_digits(&mut order[place..place + PHONE], self.phones + serial);
            }
            orders.push(Sent {
                id: start + template.id,
                total: start + template.total,
                good: template.good,
            });
        }
        buffer.extend_from_slice(b"]");
        Body {
            bytes: buffer.freeze(),
            orders,
            id_length: self.id_length,
        }
    }
}

impl Body {
    /// Orders in it.
    pub fn orders(&self) -> usize {
        self.orders.len()
    }

    /// Of each order its key in the response, and whether the service should take it.
    pub fn expected(&self) -> impl Iterator<Item = (&[u8], bool)> {
        self.orders
            .iter()
            .map(|order| (&self.bytes[order.id..order.id + self.id_length], order.good))
    }

    /// The memory, to be written anew.
    pub fn into_buffer(self) -> BytesMut {
        self.bytes.try_into_mut().unwrap_or_default()
    }

    /// Gives every order another total; of two turns in a row, another one each.
    #[must_use]
    pub fn changed(self, turn: u64) -> Self {
        let mut bytes = self
            .bytes
            .try_into_mut()
            .unwrap_or_else(|shared| BytesMut::from(&*shared));
        let most = 10_u64.pow(4) - CHANGED_TOTAL;
        for order in &self.orders {
            let place = order.total..order.total + TOTAL;
            write_digits(&mut bytes[place], CHANGED_TOTAL + turn % most);
        }
        Self {
            bytes: bytes.freeze(),
            ..self
        }
    }
}

/// Writes a number with leading zeros; of one that is too long the end.
fn write_digits(place: &mut [u8], mut number: u64) {
    for digit in place.iter_mut().rev() {
        // Below 10.
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
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
    use std::collections::HashSet;

    use super::*;
    use crate::order::{Rules, fields, wire};

    fn rules() -> Rules {
        Rules::with_limits(500, 100)
    }

    fn stock(bad_percent: u32, size: usize) -> Stock {
        Stock::of(Orders::new("test".into(), 1, bad_percent), size).expect("a stock")
    }

    fn read(body: &Body) -> Vec<Value> {
        serde_json::from_slice(&body.bytes).expect("JSON")
    }

    fn texts<'v>(orders: &'v [Value], pointer: &str) -> Vec<&'v str> {
        orders
            .iter()
            .filter_map(|order| order.pointer(pointer)?.as_str())
            .collect()
    }

    fn has_no_unknown_field(order: &Value) {
        for (at, object) in [
            ("", &fields::ORDER.names[..]),
            ("/order_item_list/0", &fields::ORDER_ITEM.names),
            ("/client", &fields::CLIENT.names),
            ("/client/addresses/0", &fields::ADDRESS.names),
            ("/shipping_address", &fields::SHIPPING_ADDRESS.names),
        ] {
            let sent = order.pointer(at).and_then(Value::as_object);
            for name in sent.into_iter().flatten().map(|(name, _)| name.as_str()) {
                assert!(object.contains(&name), "{at}: no field is called {name}");
            }
        }
    }

    #[test]
    fn made_up_orders_are_as_large_as_real_ones_and_good_but_for_the_bad() {
        let body = stock(30, 1_000).batch(&mut 0, 1_000, BytesMut::new());
        let size = body.bytes.len() / body.orders();
        assert!((1_300..1_800).contains(&size), "{size} bytes");
        let orders = read(&body);
        assert_eq!(orders.len(), 1_000);
        for (order, (id, good)) in orders.iter().zip(body.expected()) {
            assert_eq!(order["id"].as_str().map(str::as_bytes), Some(id));
            let read = wire::parse(&order.to_string(), &rules(), usize::MAX);
            assert_eq!(read.faults.is_empty(), good, "{order} {:?}", read.faults);
            if good {
                // The document's own form, which is read the short way.
                assert_eq!(read.warnings, [], "{order}");
                has_no_unknown_field(order);
            }
        }
        let bad = body.expected().filter(|(_, good)| !good).count();
        assert!((200..400).contains(&bad), "{bad} bad ones");
    }

    #[test]
    fn the_same_stock_sent_again_is_new_orders_of_the_same_regulars_and_of_new_others() {
        let stock = stock(0, 300);
        let mut at = 0;
        let first = stock.batch(&mut at, 300, BytesMut::new());
        let second = stock.batch(&mut at, 300, BytesMut::new());
        let both: Vec<Value> = [read(&first), read(&second)].concat();
        let distinct = |pointer: &str, keep: &dyn Fn(&str) -> bool| {
            let all: Vec<&str> = texts(&both, pointer)
                .into_iter()
                .filter(|text| keep(text))
                .collect();
            let distinct: HashSet<&str> = all.iter().copied().collect();
            (all.len(), distinct.len())
        };
        assert_eq!(distinct("/id", &|_| true), (600, 600));
        let (new, different) = distinct("/client/id", &|id| id.starts_with("client-of-"));
        assert!(new > 30);
        assert_eq!(new, different);
        let (phones, different) = distinct("/client/phone", &|phone| !phone.starts_with("+7919"));
        assert!(phones > 60, "of guests and of new clients");
        assert_eq!(phones, different);
        let (regulars, different) = distinct("/client/id", &|id| id.starts_with("regular-"));
        assert!(regulars > 300 && different * 2 <= regulars);
        for order in &both {
            let read = wire::parse(&order.to_string(), &rules(), usize::MAX);
            assert!(read.faults.is_empty(), "{order} {:?}", read.faults);
        }
    }

    #[test]
    fn a_changed_re_send_changes_each_total_and_nothing_else() {
        let sent = stock(0, 50).batch(&mut 0, 50, BytesMut::new());
        let changed = sent.clone().changed(7);
        let again = changed.clone().changed(8);
        for (((first, second), third), (id, _)) in read(&sent)
            .iter_mut()
            .zip(read(&changed).iter_mut())
            .zip(read(&again).iter_mut())
            .zip(again.expected())
        {
            assert_eq!(third["id"].as_str().map(str::as_bytes), Some(id));
            let totals = [&*first, &*second, &*third].map(|order| order["total"].as_u64());
            assert!(totals[0] != totals[1] && totals[1] != totals[2]);
            for order in [&mut *first, &mut *second, &mut *third] {
                order["total"] = 0.into();
            }
            assert_eq!(first, second);
            assert_eq!(second, third);
        }
    }

    #[test]
    fn all_orders_of_one_client_are_that_clients() {
        let orders = Orders::new("test".into(), 1, 0).of_client(Some("he".into()));
        let stock = Stock::of(orders, 20).expect("a stock");
        let orders = read(&stock.batch(&mut 0, 20, BytesMut::new()));
        assert_eq!(texts(&orders, "/client/id"), ["he"; 20]);
    }
}
