//! Clients that are kept in memory between batches: they save a reading, and never the truth (contract §5, §7).

use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::support::{
    app::{TestApp, changed, guest_order, order},
    command::Operator,
};

/// Done past the service, as an administrator would.
async fn by_hand(app: &TestApp, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(&app.pool())
        .await
        .unwrap();
}

/// An order of one and the same client, found by its id; nothing is said of the client itself.
fn again(id: &str) -> Value {
    changed(order(id), "/client", json!({ "id": "client of first" }))
}

/// A service that has the client of the order `first` in its memory.
async fn with_a_cached_client() -> TestApp {
    let app = TestApp::start().await;
    app.accept(&order("first")).await;
    app.accept(&again("second")).await;
    app
}

#[tokio::test]
async fn a_cached_client_is_not_read_again_and_without_a_cache_every_one_is() {
    for (bytes, street) in [(1024 * 1024, "Кутузова"), (0, "Ленина")] {
        let app = TestApp::with(|config| config.database.client_cache_bytes = bytes).await;
        let named = json!({
            "id": "its", "city": "Ухта", "street": "Кутузова", "house": "1", "str": "Ухта, Кутузова, 1"
        });
        let first = changed(order("first"), "/client/addresses", json!([named]));
        app.accept(&first).await;
        app.accept(&again("second")).await;
        // The one change that nothing tells of, until its minute is over.
        by_hand(
            &app,
            "UPDATE address SET street = 'Ленина' WHERE sender_id = 'its'",
        )
        .await;
        let third = app.accept(&again("third")).await;
        let addresses = third["client"]["addresses"].as_array().unwrap();
        let its = addresses.iter().find(|a| a["external_id"] == "its");
        assert_eq!(its.unwrap()["street"], street, "with {bytes} bytes");
    }
}

#[tokio::test]
async fn a_client_changed_by_hand_is_seen_at_once_though_its_version_is_the_same() {
    let app = with_a_cached_client().await;
    by_hand(&app, "UPDATE client SET email = 'new@example.org'").await;
    let third = app.accept(&again("third")).await;
    assert_eq!(third["client"]["email"], "new@example.org");
    // And what was changed by hand is not written over with what was in memory.
    let renamed = changed(again("fourth"), "/client/username", json!("Пётр"));
    app.accept(&renamed).await;
    let fifth = app.accept(&again("fifth")).await;
    assert_eq!(fifth["client"]["email"], "new@example.org");
    assert_eq!(fifth["client"]["username"], "Пётр");
}

#[tokio::test]
async fn a_client_changed_by_another_instance_is_seen_at_once() {
    let app = with_a_cached_client().await;
    let other = TestApp::beside(app.database.clone(), |_| ()).await;
    let moved = changed(
        again("third"),
        "/client/addresses",
        json!([{ "id": "new", "city": "Ухта", "street": "Ленина", "house": "1", "str": "Ухта, Ленина, 1" }]),
    );
    let theirs = other.accept(&moved).await;
    let ours = app.accept(&again("fourth")).await;
    assert_eq!(ours["client"], theirs["client"]);
    assert_eq!(ours["client"]["addresses"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn what_an_import_changes_of_a_client_is_seen_at_once() {
    let app = with_a_cached_client().await;
    let operator = Operator::of(&app.database);
    let first = app.accept(&order("first")).await;
    let (number, address) = (&first["client"]["id"], &first["shipping_address"]["id"]);
    operator
        .imported("districts", "number;name\n7;Орбита\n")
        .await;
    operator
        .imported("products", "number;name;sender_ids\n36;Помпа;pump\n")
        .await;
    let client = json!([{
        "number": number, "coins_amount": "90.00", "bank_account": { "inn": "1234512345" },
        "addresses": [{ "number": address, "district": 7 }], "prices": [{ "product": 36, "price": "101.00" }],
    }]);
    operator.imported("clients", &client.to_string()).await;
    let seen = app.accept(&again("third")).await;
    let client = &seen["client"];
    assert_eq!(client["coins_amount"], 90);
    assert_eq!(
        client["requisites"]["bank_account"]["inn"],
        json!("1234512345")
    );
    assert_eq!(client["product_price_list"]["36"]["price"], "101.00");
    assert_eq!(client["addresses"][0]["district_id"], 7);

    // What lies beside clients: nothing of the client's own row is written by these.
    app.accept(&again("fourth")).await;
    operator
        .imported("districts", "number;name\n7;Париж\n")
        .await;
    let name = "Кутузова, д. 19, г. Сыктывкар – Париж";
    let seen = app.accept(&again("fifth")).await;
    assert_eq!(seen["client"]["addresses"][0]["name"], name);
    operator
        .imported("products", "number;sender_ids\n36;a-pump\n")
        .await;
    let seen = app.accept(&again("sixth")).await;
    let price = &seen["client"]["product_price_list"]["36"];
    assert_eq!(price["external_product_id"], "a-pump");
}

#[tokio::test]
async fn a_guest_who_was_cached_and_has_become_a_registered_client_is_taken_for_what_it_is() {
    let app = TestApp::start().await;
    let guest = app.accept(&guest_order("first", "+79191991919")).await;
    app.accept(&guest_order("second", "89191991919")).await;
    let number = &guest["client"]["id"];
    // It takes an id, and is read under that as well as under its number.
    let registered = |id: &str| {
        let client = json!({ "id": "he", "external_id": number, "username": "Гость" });
        changed(order(id), "/client", client)
    };
    for id in ["third", "fourth"] {
        assert_eq!(app.accept(&registered(id)).await["client"]["id"], *number);
    }
    // One batch names it and its old phone, which is nobody's now.
    let both = json!([registered("fifth"), guest_order("sixth", "9191991919")]);
    let answer = app.post(&both).await;
    assert_eq!(answer.order("fifth")["client"]["id"], *number);
    assert_eq!(answer.order("fifth")["client"]["external_id"], "he");
    assert_ne!(answer.order("sixth")["client"]["id"], *number);
    assert_eq!(app.count("client").await, 2);
}

#[tokio::test]
async fn a_product_that_an_import_brings_or_moves_is_found_at_once() {
    let app = TestApp::start().await;
    let operator = Operator::of(&app.database);
    let number_in = |answer: &Value| answer["order_item_list"][0]["product_id"].clone();
    for id in ["first", "second"] {
        assert_eq!(number_in(&app.accept(&order(id)).await), Value::Null);
    }
    for (number, id) in [(28, "third"), (36, "fourth")] {
        let file = format!("number;name;sender_ids\n{number};Вода;water-19\n");
        operator.imported("products", &file).await;
        for again in ["", " again"] {
            let answer = app.accept(&order(&format!("{id}{again}"))).await;
            assert_eq!(number_in(&answer), number);
        }
    }
}

#[tokio::test]
async fn what_was_taken_away_by_hand_is_read_anew_when_the_database_misses_it() {
    let app = TestApp::start().await;
    Operator::of(&app.database)
        .imported("products", "number;name;sender_ids\n28;Вода;water-19\n")
        .await;
    let first = app.accept(&order("first")).await;
    let second = app.accept(&again("second")).await;
    assert_eq!(second["order_item_list"][0]["product_id"], 28);
    by_hand(
        &app,
        "DELETE FROM order_item; DELETE FROM orders; DELETE FROM address; DELETE FROM product_sender_id; DELETE FROM product",
    )
    .await;
    let third = app.accept(&again("third")).await;
    assert_eq!(third["order_item_list"][0]["product_id"], Value::Null);
    assert_ne!(
        third["shipping_address"]["id"],
        first["shipping_address"]["id"]
    );
    assert_eq!(third["client"]["addresses"].as_array().unwrap().len(), 1);
}
