//! Cost follows size (contract §1, docs/deployment.md, "What a stranger can do"): whatever is sent, its answer and what it
//! leaves in the database stay within these of the elements and bytes it brought. Memory is held in `crowd`, time in the
//! unit tests of `order::decide`, which would not end otherwise.

use serde_json::{Value, json};

use crate::support::app::{TestApp, changed, guest_order, order};

/// Of an answer: bytes an element, besides what is stored of its client; and for each byte that came.
const ANSWER: (usize, usize) = (2_048, 8);
/// Every fault is told, with its field and a sentence; past 20,000 of them in a batch, ten of an order.
const FAULT: usize = 128;
/// And what is left out of an order that is taken, with what would have been read.
const WARNING: usize = 256;
const MOST_FAULTS: usize = 20_000;
/// The same of the database, indexes included. WAL comes and goes.
const DATABASE: (usize, usize) = (1_024, 6);
/// Tables and indexes grow by pages, and some at a time.
const PAGES: usize = 2 * 1024 * 1024;

/// What a batch is made of, and how often.
type Batch = (&'static str, fn(usize) -> Value, usize);

fn small(id: &str) -> Value {
    json!({
        "id": id, "status": "new", "total": 1,
        "shipping_date_from": "2026-11-06T11:00Z", "shipping_date_to": "2026-11-06T11:00Z",
        "order_item_list": [{ "product_id": "w", "price": 1, "quantity": 1 }],
        "client": { "id": id, "username": "N" },
        "shipping_address": { "city": "c", "street": "s", "house": "1", "str": "x" },
    })
}

fn house(number: usize) -> Value {
    json!({ "city": "c", "street": "s", "house": number.to_string(), "str": "x" })
}

const BATCHES: [Batch; 17] = [
    ("nothing in it", |_| json!({}), 5_000),
    ("a number", |n| json!(n), 5_000),
    ("another object each time", |n| json!({ "a": n }), 5_000),
    (
        "an id and nothing else",
        |n| json!({ "id": n.to_string() }),
        5_000,
    ),
    (
        "the same id and nothing else",
        |_| json!({ "id": "1" }),
        5_000,
    ),
    (
        "everything of a wrong type",
        |n| json!({ "id": format!("w{n}"), "status": 1, "total": [], "order_item_list": 1, "client": 1, "shipping_address": 1 }),
        3_000,
    ),
    (
        "many faulty lines",
        |n| {
            changed(
                small(&format!("f{n}")),
                "/order_item_list",
                json!(vec![json!({}); 500]),
            )
        },
        20,
    ),
    (
        "many values left out",
        |n| {
            changed(
                small(&format!("p{n}")),
                "/client/phones",
                json!(vec!["?"; 100]),
            )
        },
        300,
    ),
    (
        "the smallest good order",
        |n| small(&format!("s{n}")),
        2_000,
    ),
    ("an order as usual", |n| order(&format!("u{n}")), 1_000),
    (
        "a guest's",
        |n| guest_order(&format!("g{n}"), &format!("+7919{n:07}")),
        1_000,
    ),
    (
        "many lines",
        |n| {
            let line = json!({ "product_id": "w", "price": 1, "quantity": 1 });
            changed(
                small(&format!("l{n}")),
                "/order_item_list",
                json!(vec![line; 500]),
            )
        },
        40,
    ),
    (
        "many addresses",
        |n| {
            let addresses: Vec<Value> = (0..100).map(house).collect();
            changed(
                small(&format!("a{n}")),
                "/client/addresses",
                json!(addresses),
            )
        },
        100,
    ),
    (
        "texts that JSON makes longer",
        |n| {
            changed(
                small(&format!("c{n}")),
                "/comment",
                json!("\u{1}\"\\".repeat(300)),
            )
        },
        300,
    ),
    (
        "a long comment",
        |n| {
            changed(
                small(&format!("k{n}")),
                "/comment",
                json!("ы".repeat(30_000)),
            )
        },
        30,
    ),
    (
        "the same order again and again",
        |n| changed(small("again"), "/comment", json!(n.to_string())),
        2_000,
    ),
    (
        "one client again and again",
        |n| {
            changed(
                small(&format!("o{n}")),
                "/client",
                json!({ "id": "o", "username": "N" }),
            )
        },
        2_000,
    ),
];

async fn database_bytes(app: &TestApp) -> usize {
    let bytes: i64 = app
        .value(
            "SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class
         WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace",
        )
        .await;
    usize::try_from(bytes).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_and_the_database_take_no_more_than_so_many_times_what_came() {
    let app = TestApp::start().await;
    for (what, element, count) in BATCHES {
        let batch: Vec<Value> = (0..count).map(element).collect();
        let body = serde_json::to_string(&batch).unwrap();
        let before = database_bytes(&app).await;
        let answer = app.request().body(body.clone()).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{what}");
        let answer = answer.text().await.unwrap();
        let told = answer.matches("\"code\":").count().min(MOST_FAULTS);
        let each = if what == "many values left out" {
            WARNING
        } else {
            FAULT
        };
        let answered = answer.len();
        let stored = database_bytes(&app).await - before;
        let allowed = |(element, byte): (usize, usize)| count * element + body.len() * byte;
        assert!(
            answered <= allowed(ANSWER) + told * each,
            "{what}: {answered} bytes answered for {count} elements of {} bytes",
            body.len()
        );
        assert!(
            stored <= allowed(DATABASE) + PAGES,
            "{what}: {stored} bytes stored for {count} elements of {} bytes",
            body.len()
        );
    }
}
