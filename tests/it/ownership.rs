//! Contract §5: what the sender owns, what the receiver owns, and how far an order's status has come.

use serde_json::{Value, json};

use crate::support::app::{TestApp, changed, order};

/// The same order with other values at these pointers.
fn with<const N: usize>(whole: Value, changes: [(&str, Value); N]) -> Value {
    changes.into_iter().fold(whole, |whole, (pointer, value)| {
        changed(whole, pointer, value)
    })
}

/// An order of client `c` with everything that a sender may say.
fn full_order(id: &str) -> Value {
    with(
        order(id),
        [
            ("/created_at", json!("2026-11-05 10:00:00")),
            ("/delivery_cost", json!(30)),
            ("/coins", json!("12.50")),
            ("/payment_type", json!("cash")),
            ("/payment_status", json!(true)),
            ("/comment", json!("позвонить")),
            ("/count_of_returned_bottles", json!(2)),
            ("/ask_for_checkout", json!("bill")),
            (
                "/client",
                json!({
                    "id": "c",
                    "username": "Василий",
                    "type": "jur",
                    "phone": "+79083280832",
                    "phones": ["+79083280833"],
                    "email": "c@example.org",
                    "comment": "постоянный",
                    "account_number": 4711,
                    "addresses": [home()],
                }),
            ),
            (
                "/shipping_address",
                changed(home(), "/id", json!("(absent)")),
            ),
        ],
    )
}

fn home() -> Value {
    json!({
        "id": "home", "city": "Сыктывкар", "street": "Кутузова", "house": "19", "str": "Кутузова 19",
        "entrance": "1", "floor": "2", "room": "3"
    })
}

/// The same, with nothing but what must come.
fn bare_order(id: &str) -> Value {
    changed(order(id), "/client", json!({ "id": "c" }))
}

fn line(product: &str, quantity: i32) -> Value {
    json!({ "product_id": product, "price": 1, "quantity": quantity })
}

#[tokio::test]
async fn a_field_that_is_absent_keeps_its_stored_value() {
    let app = TestApp::start().await;
    let first = app.accept(&full_order("a")).await;
    let sent = with(
        bare_order("a"),
        [(
            "/shipping_address/user_address_id",
            first["shipping_address"]["id"].clone(),
        )],
    );
    let again = app.accept(&sent).await;
    for field in [
        "created_at",
        "delivery_cost",
        "coins",
        "payment_type",
        "payment_status",
        "comment",
        "count_of_returned_bottles",
        "ask_for_checkout",
        "account_number",
    ] {
        assert_eq!(again[field], first[field], "{field}");
        assert!(!again[field].is_null(), "{field}");
    }
    let kept = [
        "id",
        "username",
        "type",
        "phones",
        "email",
        "comment",
        "account_number",
    ];
    for field in kept {
        assert_eq!(again["client"][field], first["client"][field], "{field}");
    }
    for field in ["entrance", "floor", "room", "external_id"] {
        assert_eq!(
            again["shipping_address"][field], first["shipping_address"][field],
            "{field}"
        );
        assert!(!again["shipping_address"][field].is_null(), "{field}");
    }
}

#[tokio::test]
async fn a_field_that_is_null_or_empty_clears_it() {
    let app = TestApp::start().await;
    for nothing in [Value::Null, json!("")] {
        app.accept(&full_order("a")).await;
        let mut cleared = full_order("a");
        for field in [
            "delivery_cost",
            "coins",
            "payment_type",
            "payment_status",
            "comment",
            "count_of_returned_bottles",
            "ask_for_checkout",
        ] {
            cleared[field] = nothing.clone();
        }
        for field in ["type", "phone", "phones", "email", "comment"] {
            cleared["client"][field] = nothing.clone();
        }
        for field in ["entrance", "floor", "room"] {
            cleared["client"]["addresses"][0][field] = nothing.clone();
            cleared["shipping_address"][field] = nothing.clone();
        }
        let after = app.accept(&cleared).await;
        for (pointer, default) in [
            ("/delivery_cost", Value::Null),
            ("/coins", Value::Null),
            ("/payment_type", Value::Null),
            ("/payment_status", json!(false)),
            ("/comment", Value::Null),
            ("/count_of_returned_bottles", json!(0)),
            ("/ask_for_checkout", Value::Null),
            ("/client/type", json!("fiz")),
            ("/client/phones", json!([])),
            ("/client/email", Value::Null),
            ("/client/comment", Value::Null),
            ("/shipping_address/entrance", Value::Null),
            ("/shipping_address/floor", Value::Null),
            ("/shipping_address/room", Value::Null),
        ] {
            assert_eq!(
                after.pointer(pointer),
                Some(&default),
                "{pointer} by {nothing}"
            );
        }
        assert_eq!(
            after["shipping_address"]["external_id"], "home",
            "the very same address"
        );
    }
    assert_eq!(app.count("address").await, 1);
}

#[tokio::test]
async fn an_empty_list_of_phones_clears_it_too() {
    let app = TestApp::start().await;
    app.accept(&full_order("a")).await;
    let after = app
        .accept(&with(bare_order("a"), [("/client/phones", json!([]))]))
        .await;
    assert_eq!(
        after["client"]["phones"],
        json!(["9083280832"]),
        "the phone itself was not sent"
    );
}

#[tokio::test]
async fn required_fields_cannot_be_cleared() {
    let app = TestApp::start().await;
    let first = app.accept(&full_order("a")).await;
    for field in [
        "status",
        "total",
        "shipping_date_from",
        "shipping_date_to",
        "order_item_list",
        "client",
        "shipping_address",
        "order_item_list/0/product_id",
        "order_item_list/0/price",
        "order_item_list/0/quantity",
        "shipping_address/city",
        "shipping_address/street",
        "shipping_address/house",
        "shipping_address/str",
    ] {
        for nothing in [Value::Null, json!(""), json!("(absent)")] {
            let sent = with(
                full_order("a"),
                [
                    ("/comment", json!("!")),
                    (&format!("/{field}"), nothing.clone()),
                ],
            );
            let path = field.replace("/0", "[0]").replace('/', ".");
            let answer = app.post(&json!([sent])).await;
            assert_eq!(
                answer.faults("a"),
                [format!("{path}: required")],
                "{nothing}"
            );
        }
    }
    assert_eq!(app.accept(&full_order("a")).await, first);
}

#[tokio::test]
async fn the_name_the_account_and_the_moment_of_a_known_order_cannot_be_cleared() {
    let app = TestApp::start().await;
    let first = app.accept(&full_order("a")).await;
    for nothing in [Value::Null, json!("")] {
        let sent = with(
            full_order("a"),
            [
                ("/client/username", nothing.clone()),
                ("/client/account_number", nothing.clone()),
                ("/created_at", nothing),
            ],
        );
        assert_eq!(app.accept(&sent).await, first);
    }
}

#[tokio::test]
async fn new_content_replaces_the_stored() {
    let app = TestApp::start().await;
    app.accept(&full_order("a")).await;
    let sent = with(
        full_order("a"),
        [
            ("/created_at", json!("2026-11-04 09:00:00")),
            ("/total", json!("0.10")),
            ("/delivery_cost", json!("0.20")),
            ("/coins", json!(0)),
            ("/payment_type", json!("card")),
            ("/payment_status", json!(false)),
            ("/shipping_date_from", json!("2026-12-01 10:00")),
            ("/shipping_date_to", json!("2026-12-01 10:00")),
            ("/comment", json!("не звонить")),
            ("/count_of_returned_bottles", json!(0)),
            ("/ask_for_checkout", json!(true)),
            ("/client/username", json!("Пётр")),
            ("/client/type", json!("fiz")),
            ("/client/phone", json!("+49301234567")),
            ("/client/phones", json!(["+49301234568"])),
            ("/client/email", json!("p@example.org")),
            ("/client/comment", json!("новый")),
            ("/client/account_number", json!(4712)),
            ("/client/addresses/0/room", json!("33")),
            ("/shipping_address/street", json!("Ленина")),
        ],
    );
    let after = app.accept(&sent).await;
    for (pointer, value) in [
        ("/created_at", json!("2026-11-04 09:00:00")),
        ("/total", json!(0.1)),
        ("/delivery_cost", json!(0.2)),
        ("/coins", json!(0)),
        ("/payment_type", json!("card")),
        ("/payment_status", json!(false)),
        ("/shipping_date_from", json!("2026-12-01 10:00:00")),
        ("/shipping_date_to", json!("2026-12-01 10:00:00")),
        ("/comment", json!("не звонить")),
        ("/count_of_returned_bottles", json!(0)),
        ("/ask_for_checkout", json!(true)),
        ("/client/username", json!("Пётр")),
        ("/client/type", json!("fiz")),
        ("/client/phones", json!(["+49301234567", "+49301234568"])),
        ("/client/email", json!("p@example.org")),
        ("/client/comment", json!("новый")),
        ("/client/account_number", json!(4712)),
        ("/account_number", json!(4712)),
        ("/client/addresses/0/room", json!("33")),
        ("/shipping_address/street", json!("Ленина")),
    ] {
        assert_eq!(after.pointer(pointer), Some(&value), "{pointer}");
    }
    assert_eq!(app.accept(&sent).await, after);
}

#[tokio::test]
async fn an_order_may_go_over_to_another_client() {
    let app = TestApp::start().await;
    let first = app.accept(&order("a")).await;
    let moved = app
        .accept(&with(order("a"), [("/client/id", json!("another"))]))
        .await;
    assert_eq!(moved["id"], first["id"]);
    assert_eq!(moved["client"]["external_id"], "another");
    assert_ne!(
        moved["shipping_address"]["id"], first["shipping_address"]["id"],
        "an address of its own"
    );
}

#[tokio::test]
async fn the_list_of_lines_replaces_the_stored_and_lines_keep_their_place() {
    let app = TestApp::start().await;
    for lines in [
        // Grow, shrink, turn round, one product on several lines, back again.
        vec![("a", 1)],
        vec![("a", 1), ("b", 2), ("c", 3)],
        vec![("c", 3), ("b", 2), ("a", 1)],
        vec![("b", 2)],
        vec![("b", 2), ("b", 2), ("a", 1), ("b", 7), ("c", 3)],
        vec![("a", 1), ("b", 2)],
    ] {
        let list: Vec<Value> = lines
            .iter()
            .map(|(product, quantity)| line(product, *quantity))
            .collect();
        let sent = with(order("o"), [("/order_item_list", json!(list))]);
        let answer = app.accept(&sent).await;
        let quantities: Vec<_> = answer["order_item_list"]
            .as_array()
            .unwrap()
            .iter()
            .map(|l| &l["quantity"])
            .collect();
        assert_eq!(
            json!(quantities),
            json!(
                lines
                    .iter()
                    .map(|(_, quantity)| quantity)
                    .collect::<Vec<_>>()
            )
        );
        let stored: Vec<(i32, String, i32)> = sqlx::query_as(
            "SELECT position, product_id, quantity FROM order_item ORDER BY position",
        )
        .fetch_all(&app.pool())
        .await
        .unwrap();
        let expected: Vec<(i32, String, i32)> = (0..)
            .zip(lines)
            .map(|(place, (product, quantity))| (place, product.to_owned(), quantity))
            .collect();
        assert_eq!(stored, expected);
        assert_eq!(app.accept(&sent).await, answer);
    }
}

#[tokio::test]
async fn a_line_is_replaced_whole() {
    let app = TestApp::start().await;
    let list = json!([{ "product_id": "p", "id": "l", "name": "Вода", "price": 1, "quantity": 1, "order_product_id": 5 }]);
    let first = app
        .accept(&with(order("a"), [("/order_item_list", list)]))
        .await;
    assert_eq!(first["order_item_list"][0]["name"], "Вода");
    assert_eq!(first["order_item_list"][0]["order_product_id"], 5);
    let second = app
        .accept(&with(
            order("a"),
            [("/order_item_list", json!([line("p", 1)]))],
        ))
        .await;
    assert_eq!(second["order_item_list"][0]["name"], Value::Null);
    assert_eq!(
        second["order_item_list"][0]["order_product_id"],
        Value::Null
    );
}

#[tokio::test]
async fn the_clients_addresses_are_added_and_updated_and_none_is_removed() {
    let app = TestApp::start().await;
    let work = with(home(), [("/id", json!("work")), ("/house", json!("20"))]);
    let both = app
        .accept(&with(
            full_order("a"),
            [("/client/addresses", json!([home(), work]))],
        ))
        .await;
    let ids = |order: &Value| -> Vec<Value> {
        order["client"]["addresses"]
            .as_array()
            .unwrap()
            .iter()
            .map(|a| a["external_id"].clone())
            .collect()
    };
    assert_eq!(ids(&both), ["home", "work"]);
    for fewer in [
        json!([]),
        Value::Null,
        json!(""),
        json!("(absent)"),
        json!([home()]),
    ] {
        let answer = app
            .accept(&with(full_order("a"), [("/client/addresses", fewer)]))
            .await;
        assert_eq!(answer["client"], both["client"]);
    }
    let new = with(home(), [("/id", json!("new")), ("/house", json!("21"))]);
    let moved = changed(work, "/floor", json!("9"));
    let answer = app
        .accept(&with(
            full_order("a"),
            [("/client/addresses", json!([new, moved]))],
        ))
        .await;
    assert_eq!(ids(&answer), ["home", "work", "new"]);
    assert_eq!(answer["client"]["addresses"][1]["floor"], "9");
}

#[tokio::test]
async fn status_only_moves_forward_and_a_step_back_takes_the_content_all_the_same() {
    let app = TestApp::start().await;
    let all = ["new", "approved", "completed", "removed"];
    let forward = [
        ("new", "approved"),
        ("new", "completed"),
        ("new", "removed"),
        ("approved", "completed"),
        ("approved", "removed"),
    ];
    for from in all {
        for to in all {
            let id = format!("{from} to {to}");
            let first = app
                .accept(&with(order(&id), [("/status", json!(from))]))
                .await;
            assert_eq!(first["status"], from);
            let step = with(
                order(&id),
                [
                    ("/status", json!(to)),
                    ("/comment", json!("taken")),
                    ("/total", json!(5)),
                ],
            );
            for turn in ["once", "and again"] {
                let answer = app.post(&json!([step])).await;
                let after = answer.order(&id);
                let moves = from == to || forward.contains(&(from, to));
                assert_eq!(
                    after["status"],
                    if moves { to } else { from },
                    "{id} {turn}"
                );
                let warned = answer
                    .warnings(&id)
                    .contains(&"status: status_not_changed".to_owned());
                assert_eq!(warned, !moves, "{id} {turn}");
                assert_eq!(
                    (&after["comment"], &after["total"]),
                    (&json!("taken"), &json!(5)),
                    "{id} {turn}"
                );
            }
        }
    }
    let stored: i64 = app
        .value("SELECT count(*) FROM orders WHERE comment = 'taken' AND total = 5")
        .await;
    assert_eq!(stored, 16);
}

#[tokio::test]
async fn a_status_that_the_receiver_set_is_answered_to_a_sender_of_an_old_one() {
    let app = TestApp::start().await;
    app.accept(&order("a")).await;
    // As an operator does.
    app.run("UPDATE orders SET status = 'approved', version = version + 1")
        .await;
    let answer = app.post(&json!([order("a")])).await;
    assert_eq!(answer.order("a")["status"], "approved");
    assert!(
        answer
            .warnings("a")
            .contains(&"status: status_not_changed".to_owned())
    );
}

#[tokio::test]
async fn a_cancellation_of_an_approved_order_is_applied_at_once_and_final() {
    let app = TestApp::start().await;
    let status = |status: &str| with(order("a"), [("/status", json!(status))]);
    app.accept(&status("approved")).await;
    let answer = app.post(&json!([status("removed")])).await;
    assert_eq!(answer.order("a")["status"], "removed");
    assert!(
        !answer
            .warnings("a")
            .contains(&"status: status_not_changed".to_owned())
    );
    for later in ["new", "approved", "completed"] {
        assert_eq!(app.accept(&status(later)).await["status"], "removed");
    }
    // Reopening it means a new id.
    let reopened = app
        .accept(&with(order("b"), [("/client/id", json!("client of a"))]))
        .await;
    assert_eq!(reopened["status"], "new");
}

#[tokio::test]
async fn statuses_of_one_order_in_one_batch_are_applied_in_their_order() {
    let app = TestApp::start().await;
    let status = |status: &str| with(order("a"), [("/status", json!(status))]);
    let answer = app
        .post(&json!([status("new"), status("approved"), status("new")]))
        .await;
    assert_eq!(answer.order("a")["status"], "approved");
    assert!(
        answer
            .warnings("a")
            .contains(&"status: status_not_changed".to_owned())
    );
}

#[tokio::test]
async fn amounts_are_stored_as_sent_never_corrected_added_up_or_compared() {
    let app = TestApp::start().await;
    let sent = with(
        order("a"),
        [
            ("/total", json!("0.01")),
            ("/delivery_cost", json!(9_999_999_999.99)),
            ("/coins", json!("1000000000.10")),
            ("/order_item_list/0/price", json!("99999999.99")),
            ("/order_item_list/0/quantity", json!(2_147_483_647)),
        ],
    );
    let answer = app.accept(&sent).await;
    assert_eq!(answer["total"].to_string(), "0.01");
    assert_eq!(answer["delivery_cost"].to_string(), "9999999999.99");
    assert_eq!(answer["coins"].to_string(), "1000000000.1");
    assert_eq!(
        answer["order_item_list"][0]["price"].to_string(),
        "99999999.99"
    );
    assert_eq!(answer["order_item_list"][0]["quantity"], 2_147_483_647);
    let stored: (String, String, String) =
        sqlx::query_as("SELECT total::text, delivery_cost::text, coins::text FROM orders")
            .fetch_one(&app.pool())
            .await
            .unwrap();
    assert_eq!(
        stored,
        (
            "0.01".into(),
            "9999999999.99".into(),
            "1000000000.10".into()
        )
    );
}

#[tokio::test]
async fn what_the_receiver_owns_of_a_client_is_no_senders_to_change() {
    let app = TestApp::start().await;
    app.accept(&full_order("a")).await;
    app.run("INSERT INTO district VALUES ('demodelivery', 1, 'Орбита');
         INSERT INTO product VALUES ('demodelivery', 36, 'Помпа', false);
         INSERT INTO client_price VALUES ('demodelivery', 1, 36, 101, false);
         UPDATE address SET district_number = 1;
         UPDATE client SET version = version + 1, coins_amount = 90, loyalty_system_is_active = false,
             bank_account = '{\"inn\": \"1234512345\"}', legal_address = '{Кутузова 21}'",
    )
    .await;
    let sent = with(
        full_order("a"),
        [
            ("/coins", json!(50)),
            ("/client/coins_amount", json!(1_000_000)),
            ("/client/loyalty_system_is_active", json!(true)),
            (
                "/client/requisites",
                json!({ "bank_account": { "inn": "666" } }),
            ),
            ("/client/legal_address", json!(["Луна"])),
            (
                "/client/product_price_list",
                json!({ "36": { "product_id": 36, "price": "0.01", "active": true } }),
            ),
            ("/client/addresses/0/district_id", json!(7)),
            ("/shipping_address/district_id", json!(7)),
        ],
    );
    let answer = app.accept(&sent).await;
    assert_eq!(answer["coins"], 50);
    let client = &answer["client"];
    assert_eq!(
        client["coins_amount"], 90,
        "coins take nothing off the balance"
    );
    assert_eq!(client["loyalty_system_is_active"], false);
    assert_eq!(client["requisites"]["bank_account"]["inn"], "1234512345");
    assert_eq!(client["legal_address"], json!(["Кутузова 21"]));
    assert_eq!(client["product_price_list"]["36"]["price"], "101.00");
    assert_eq!(client["addresses"][0]["district_id"], 1);
    assert_eq!(answer["shipping_address"]["district_id"], 1);
    // Even a change of what the sender owns leaves all that where it is.
    let renamed = app
        .accept(&with(
            sent,
            [("/client/username", json!("Пётр")), ("/coins", json!(40))],
        ))
        .await;
    assert_eq!(renamed["client"]["coins_amount"], 90);
    assert_eq!(
        changed(renamed["client"].clone(), "/username", json!("Василий")),
        *client
    );
}

/// A catalogue: 28 answers to two ids, 36 to one, and another publication has what this one has not.
const CATALOGUE: &str = "
    INSERT INTO product (publication, number, name) VALUES
        ('demodelivery', 28, 'Вода 19 л'), ('demodelivery', 36, 'Помпа'), ('доставка', 7, 'Чужой');
    INSERT INTO product_sender_id (publication, sender_id, product_number) VALUES
        ('demodelivery', 'water', 28), ('demodelivery', 'water in the app', 28), ('demodelivery', 'pump', 36),
        ('доставка', 'foreign', 7)";

/// The product found for a line, and what is said about it.
async fn looked_up(app: &TestApp, product_id: &str, id: Value) -> (Value, Vec<String>) {
    let line = json!({ "product_id": product_id, "id": id, "name": "Как прислано", "price": "1.50", "quantity": 3 });
    let answer = app
        .post(&json!([with(
            order("a"),
            [("/order_item_list", json!([line]))]
        )]))
        .await;
    let line = &answer.order("a")["order_item_list"][0];
    // Whatever is found: the line's own name, price and quantity stay.
    let own = (
        line["name"].as_str().unwrap(),
        line["price"].to_string(),
        line["quantity"].to_string(),
    );
    assert_eq!(own, ("Как прислано", "1.5".into(), "3".into()));
    (line["product_id"].clone(), answer.warnings("a"))
}

#[tokio::test]
async fn a_lines_product_is_looked_up_by_product_id_then_by_id() {
    let app = TestApp::start().await;
    app.run(CATALOGUE).await;
    for (product_id, id, found) in [
        ("water", json!("(none)"), 28),
        ("water", Value::Null, 28),
        ("nothing", json!("pump"), 36),
        ("water", json!("water in the app"), 28),
        ("pump", json!("pump"), 36),
    ] {
        assert_eq!(
            looked_up(&app, product_id, id.clone()).await,
            (json!(found), vec![]),
            "{product_id}, {id}"
        );
    }
}

#[tokio::test]
async fn where_product_id_and_id_differ_product_id_counts_and_is_said_to_be_ambiguous() {
    let app = TestApp::start().await;
    app.run(CATALOGUE).await;
    let warned = vec!["order_item_list[0].product_id: product_ambiguous".to_owned()];
    assert_eq!(
        looked_up(&app, "water", json!("pump")).await,
        (json!(28), warned.clone())
    );
    assert_eq!(
        looked_up(&app, "pump", json!("water")).await,
        (json!(36), warned)
    );
}

#[tokio::test]
async fn a_line_whose_product_is_not_found_is_kept_with_an_empty_product_and_said_so() {
    let app = TestApp::start().await;
    app.run(CATALOGUE).await;
    let warned = vec!["order_item_list[0].product_id: product_not_found".to_owned()];
    // A number of ours is no sender's id, ids are compared byte by byte, and another publication's are not ours.
    for product_id in ["nothing", "28", "Water", "foreign"] {
        assert_eq!(
            looked_up(&app, product_id, json!("neither")).await,
            (Value::Null, warned.clone()),
            "{product_id}"
        );
    }
}

#[tokio::test]
async fn a_product_that_came_into_the_catalogue_later_is_found_when_the_order_is_sent_again() {
    let app = TestApp::start().await;
    assert_eq!(looked_up(&app, "water", Value::Null).await.0, Value::Null);
    app.run(CATALOGUE).await;
    assert_eq!(
        looked_up(&app, "water", Value::Null).await,
        (json!(28), vec![])
    );
}

#[tokio::test]
async fn each_line_has_its_own_product_and_warning() {
    let app = TestApp::start().await;
    app.run(CATALOGUE).await;
    let list = json!([
        line("water", 1),
        line("nothing", 2),
        line("pump", 3),
        line("water", 4)
    ]);
    let answer = app
        .post(&json!([with(order("a"), [("/order_item_list", list)])]))
        .await;
    assert_eq!(
        answer.warnings("a"),
        ["order_item_list[1].product_id: product_not_found"]
    );
    let lines = answer.order("a")["order_item_list"].as_array().unwrap();
    let found: Vec<_> = lines
        .iter()
        .map(|line| line["product_id"].clone())
        .collect();
    assert_eq!(json!(found), json!([28, null, 36, 28]));
}
