//! Contract, first rule: what one person sent is never written over another, and an order goes where it was sent (§4, §5).

use serde_json::{Value, json};

use crate::support::{
    app::{Answer, TestApp, changed, order},
    command::Operator,
};

fn with(whole: Value, pointer: &str, value: impl Into<Value>) -> Value {
    changed(whole, pointer, value.into())
}

fn address(house: &str) -> Value {
    json!({ "city": "Сыктывкар", "street": "Ленина", "house": house, "str": format!("Ленина {house}") })
}

/// An order of client `c` to that house.
fn order_to(id: &str, house: &str) -> Value {
    let order = with(order(id), "/client/id", "c");
    with(order, "/shipping_address", address(house))
}

/// The same, to the client's address of that number.
fn order_to_number(id: &str, number: &Value, house: &str) -> Value {
    let order = order_to(id, house);
    with(order, "/shipping_address/user_address_id", number.clone())
}

/// What was said, but for the products, which are in no catalogue here.
fn said(answer: &Answer, id: &str) -> Vec<String> {
    let mut warnings = answer.warnings(id);
    warnings.retain(|warning| !warning.ends_with(": product_not_found"));
    warnings
}

async fn version(app: &TestApp, id: &str) -> i32 {
    sqlx::query_scalar("SELECT version FROM orders WHERE sender_id = $1")
        .bind(id)
        .fetch_one(&app.pool())
        .await
        .unwrap()
}

/// House and number of the client's addresses in an answer.
fn houses(order: &Value) -> Vec<(i64, &str)> {
    let addresses = order["client"]["addresses"].as_array().unwrap();
    let addresses = addresses.iter();
    addresses
        .map(|a| (a["id"].as_i64().unwrap(), a["house"].as_str().unwrap()))
        .collect()
}

// An order keeps the delivery address that was sent for it (§5).

#[tokio::test]
async fn a_later_edit_of_the_clients_address_moves_no_order() {
    let app = TestApp::start().await;
    let home = |house: &str| with(address(house), "/id", "home");
    let list = |order, house| with(order, "/client/addresses", json!([home(house)]));
    let first = app.accept(&list(order_to("a", "5"), "5")).await;
    let number = &first["shipping_address"]["id"];
    let again = json!([order_to("a", "5")]);

    // By the client's list, by another order, and by an import.
    app.accept(&list(order_to("b", "7"), "7")).await;
    let shown = app.post(&again).await;
    assert_eq!(
        shown.order("a")["shipping_address"],
        first["shipping_address"]
    );
    assert_eq!(shown.order("a")["client"]["addresses"][0]["house"], "7");

    app.accept(&order_to_number("c", number, "8")).await;
    let shown = app.post(&again).await;
    assert_eq!(
        shown.order("a")["shipping_address"],
        first["shipping_address"]
    );
    assert_eq!(shown.order("a")["client"]["addresses"][0]["house"], "8");

    let file = format!("number;addresses.number;addresses.house\n1;{number};9\n");
    Operator::of(&app.database).imported("clients", &file).await;
    let shown = app.post(&again).await;
    assert_eq!(
        shown.order("a")["shipping_address"],
        first["shipping_address"]
    );
    assert_eq!(houses(shown.order("a")), [(number.as_i64().unwrap(), "9")]);
    assert_eq!(version(&app, "a").await, 1);
    assert_eq!(said(&shown, "a"), [""; 0]);
}

#[tokio::test]
async fn a_known_order_that_goes_where_it_went_leaves_the_clients_address_alone() {
    let app = TestApp::start().await;
    let first = app.accept(&order_to("a", "5")).await;
    let number = &first["shipping_address"]["id"];
    app.accept(&order_to_number("b", number, "7")).await;
    // Neither does it change that address, nor is another one made.
    let shown = app.accept(&order_to("a", "5")).await;
    assert_eq!(houses(&shown), [(number.as_i64().unwrap(), "7")]);
    assert_eq!(&shown["shipping_address"]["user_address_id"], number);
    assert_eq!(shown["shipping_address"]["house"], "5");
    // A new order to that house is another matter.
    let new = app.accept(&order_to("c", "5")).await;
    assert_eq!(houses(&new).len(), 2);
    assert_ne!(&new["shipping_address"]["id"], number);
}

#[tokio::test]
async fn an_order_sent_again_changes_its_own_copy_field_by_field() {
    let app = TestApp::start().await;
    let full = with(
        with(order_to("a", "5"), "/shipping_address/entrance", "2"),
        "/shipping_address/floor",
        "3",
    );
    let first = app.accept(&full).await;
    let number = &first["shipping_address"]["id"];
    // Absent keeps what the order has, null clears it; with our number and without.
    let sent = with(
        order_to_number("a", number, "5"),
        "/shipping_address/floor",
        Value::Null,
    );
    let second = app.accept(&sent).await;
    let copy = &second["shipping_address"];
    assert_eq!(
        (&copy["entrance"], &copy["floor"], &copy["id"]),
        (&json!("2"), &Value::Null, number)
    );
    let third = app.accept(&order_to("a", "5")).await;
    assert_eq!(third, second);
    assert_eq!(version(&app, "a").await, 2);

    // The client's address has another entrance by now: the order keeps its own.
    let other = with(
        order_to_number("b", number, "5"),
        "/shipping_address/entrance",
        "9",
    );
    app.accept(&other).await;
    let fourth = app.accept(&order_to_number("a", number, "6")).await;
    let copy = &fourth["shipping_address"];
    assert_eq!(
        (&copy["house"], &copy["entrance"]),
        (&json!("6"), &json!("2"))
    );
    let list = &fourth["client"]["addresses"][0];
    assert_eq!(
        (&list["house"], &list["entrance"]),
        (&json!("6"), &json!("9"))
    );
}

#[tokio::test]
async fn an_order_that_moves_to_another_address_is_sent_there_as_a_new_one_is() {
    let app = TestApp::start().await;
    let first = app
        .accept(&with(order_to("a", "5"), "/shipping_address/entrance", "2"))
        .await;
    let there = app
        .accept(&with(order_to("b", "6"), "/shipping_address/entrance", "4"))
        .await;
    let other = &there["shipping_address"]["id"];
    // By number: the content that this makes of the client's address.
    let moved = app.accept(&order_to_number("a", other, "6")).await;
    assert_eq!(moved["shipping_address"], there["shipping_address"]);
    // By content: just what was sent.
    let back = app.accept(&order_to("a", "5")).await;
    assert_eq!(back["shipping_address"]["entrance"], Value::Null);
    assert_ne!(
        back["shipping_address"]["id"], first["shipping_address"]["id"],
        "exactly this content"
    );
    assert_eq!(houses(&back).len(), 3);
}

#[tokio::test]
async fn the_history_tells_how_an_orders_own_address_changed() {
    let app = TestApp::start().await;
    let first = app.accept(&order_to("a", "5")).await;
    let number = &first["shipping_address"]["id"];
    app.accept(&order_to_number("a", number, "6")).await;
    let third = app.accept(&order_to("a", "7")).await;
    let other = &third["shipping_address"]["id"];
    let changes: Vec<Value> =
        sqlx::query_scalar("SELECT changes FROM journal_change ORDER BY version")
            .fetch_all(&app.pool())
            .await
            .unwrap();
    let from_to = |from, to| {
        json!({
            "shipping_address.house": [from, to],
            "shipping_address.str": [format!("Ленина {from}"), format!("Ленина {to}")],
        })
    };
    assert_eq!(changes[0], from_to("5", "6"));
    assert_eq!(
        changes[1],
        with(
            from_to("6", "7"),
            "/shipping_address",
            json!([number, other])
        )
    );
}

#[tokio::test]
async fn an_operator_sees_the_orders_own_address_and_what_became_of_the_clients() {
    let app = TestApp::start().await;
    let first = app.accept(&order_to("a", "5")).await;
    app.accept(&order_to_number("b", &first["shipping_address"]["id"], "7"))
        .await;
    let shown = Operator::of(&app.database)
        .run(["order", "show", "a"])
        .await
        .done();
    let at = shown.find("\nshipping_address\n").unwrap();
    let lines: Vec<&str> = shown[at..].lines().skip(2).take(3).collect();
    assert_eq!(
        lines,
        [
            "  1           Ленина, д. 5, г. Сыктывкар",
            "              Ленина 5",
            "              the client's address is now: Ленина, д. 7, г. Сыктывкар",
        ]
    );
}
