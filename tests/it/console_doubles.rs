//! An order that may have come twice is marked, and taken all the same (contract §9).

use serde_json::{Value, json};

use crate::support::{
    app::{TestApp, changed, guest_order, order},
    console::{Browser, operators},
};

const ORDERS: &str = "/console/p/demodelivery/orders";

fn at(order: Value, minute: u32) -> Value {
    let moment = format!("2026-11-26T10:{minute:02}:00Z");
    changed(order, "/created_at", moment)
}

async fn number(app: &TestApp, id: &str) -> i32 {
    app.value(format!(
        "SELECT number FROM orders WHERE sender_id = '{id}'"
    ))
    .await
}

#[tokio::test]
async fn a_likely_double_is_marked_on_both_orders_and_refused_by_nobody() {
    let app = TestApp::with(operators).await;
    let phone = "+7 908 328-08-32";
    let registered = changed(order("registered"), "/client/phone", phone);
    let posted = app
        .post(&json!([
            at(guest_order("first", phone), 0),
            at(guest_order("again", phone), 7),
            at(registered, 9),
            at(guest_order("later", phone), 30),
            at(changed(guest_order("dearer", phone), "/total", 711), 1),
            at(
                changed(
                    guest_order("other", phone),
                    "/order_item_list/0/quantity",
                    3
                ),
                1
            ),
            at(guest_order("stranger", "+79110001122"), 1),
            at(changed(guest_order("gone", phone), "/status", "removed"), 1),
        ]))
        .await;
    let first = number(&app, "first").await;
    let mut browser = Browser::of(&app, "Анна").await;
    let mut marked = Vec::new();
    for id in [
        "first",
        "again",
        "registered",
        "later",
        "dearer",
        "other",
        "stranger",
        "gone",
    ] {
        posted.order(id);
        let number = number(&app, id).await;
        let page = browser.get(&format!("{ORDERS}/{number}")).await;
        if page.shows("Похож на заказ") {
            marked.push(id);
        }
    }
    assert_eq!(marked, ["first", "again", "registered"]);
    let again = number(&app, "again").await;
    let page = browser.get(&format!("{ORDERS}/{again}")).await;
    assert!(page.text.contains(&format!("{ORDERS}/{first}\">{first}")));
    let list = browser.get(ORDERS).await;
    assert_eq!(list.text.matches("Похож на заказ").count(), 3);
    // A cancelled one is none any more.
    let form = [("status", "removed"), ("version", "1")];
    for id in ["again", "registered"] {
        let number = number(&app, id).await;
        browser
            .post(&format!("{ORDERS}/{number}/status"), &form)
            .await;
    }
    assert!(!browser.get(ORDERS).await.shows("Похож на заказ"));
}

#[tokio::test]
async fn without_double_minutes_no_order_is_a_double() {
    let app = TestApp::with(|config| {
        operators(config);
        config.publications[0].double_minutes = 0;
    })
    .await;
    let phone = "+79083280832";
    app.post(&json!([
        at(guest_order("first", phone), 0),
        at(guest_order("again", phone), 0)
    ]))
    .await;
    let mut browser = Browser::of(&app, "Анна").await;
    let list = browser.get(ORDERS).await;
    assert!(list.shows("again") && !list.shows("Похож на заказ"));
}
