//! Cost follows size (contract §1): what a stranger sends takes no more of us than it brought, and the journal no more of
//! the disk than a day may take.

use serde_json::{Value, json};

use crate::support::{
    app::{TestApp, changed, order},
    command::Operator,
};

/// An order of the client `one`, which brings these addresses along.
fn of_one(id: &str, addresses: &[Value]) -> Value {
    changed(
        order(id),
        "/client",
        json!({ "id": "one", "username": "Один", "addresses": addresses }),
    )
}

fn address(house: usize) -> Value {
    json!({ "city": "Эжва", "street": "Мира", "house": house.to_string(), "str": format!("Эжва, Мира, {house}") })
}

/// An order of the client `one` to that house.
fn to_house(id: &str, house: usize) -> Value {
    changed(of_one(id, &[]), "/shipping_address", address(house))
}

#[tokio::test]
async fn a_client_keeps_so_many_addresses_and_an_order_to_one_more_keeps_it_itself() {
    let app = TestApp::with(|config| config.publications[0].rules.max_client_addresses = 3).await;
    let batch = json!([
        of_one("1", &[address(1), address(2)]),
        to_house("2", 3),
        of_one("3", &[address(3), address(4), address(2)]),
    ]);
    let answer = app.post(&batch).await;
    assert_eq!(
        answer.warnings("1"),
        ["order_item_list[0].product_id: product_not_found"]
    );
    // The shipping address of order 1 is the third; house 3 finds no room, and neither does house 4.
    assert_eq!(
        answer.warnings("2"),
        [
            "order_item_list[0].product_id: product_not_found",
            "shipping_address: too_many"
        ]
    );
    assert_eq!(
        answer.warnings("3"),
        [
            "client.addresses[0]: too_many",
            "client.addresses[1]: too_many",
            "order_item_list[0].product_id: product_not_found"
        ]
    );
    let addresses = answer.order("3")["client"]["addresses"]
        .as_array()
        .unwrap()
        .len();
    assert_eq!((addresses, app.count("address").await), (3, 3));
    let own = &answer.order("2")["shipping_address"];
    assert_eq!(
        own,
        &json!({
            "id": null, "user_address_id": null, "external_id": null, "name": "Мира, д. 3, г. Эжва", "city": "Эжва",
            "street": "Мира", "house": "3", "room": null, "entrance": null, "floor": null, "district_id": null,
            "str": "Эжва, Мира, 3"
        })
    );

    // What an order keeps itself is read back as it was stored, and the same again changes nothing.
    let again = app.post(&batch).await;
    assert_eq!(again.text, answer.text);
    let versions: Vec<i32> =
        sqlx::query_scalar("SELECT version FROM orders UNION SELECT version FROM client")
            .fetch_all(&app.pool())
            .await
            .unwrap();
    assert_eq!(versions, [1]);

    // Sent to another house it moves, and back to one that the client has.
    let moved = app.accept(&to_house("2", 5)).await;
    assert_eq!(moved["shipping_address"]["house"], "5");
    let back = app.accept(&to_house("2", 1)).await;
    assert_eq!(back["shipping_address"]["house"], "1");
    assert!(back["shipping_address"]["id"].is_i64());
    let operator = Operator::of(&app.database);
    let history = operator.run(["journal", "order", "2"]).await.done();
    assert!(history.contains("Эжва, Мира, 5"), "{history}");
    let shown = operator.run(["order", "show", "2"]).await.done();
    assert!(shown.contains("Мира, д. 1"), "{shown}");
}

#[tokio::test]
async fn addresses_of_a_long_list_are_found_by_id_number_and_content_as_in_a_short_one() {
    let app = TestApp::with(|config| config.publications[0].rules.max_client_addresses = 60).await;
    let many: Vec<Value> = (1..=50)
        .map(|house| {
            let mut address = address(house);
            if house % 2 == 0 {
                address["id"] = json!(format!("house {house}"));
            }
            address
        })
        .collect();
    let first = app.accept(&of_one("1", &many)).await;
    let number = |answer: &Value, house: &str| {
        let addresses = answer["client"]["addresses"].as_array().unwrap();
        let mut numbers = addresses.iter().filter(|a| a["house"] == house);
        let number = numbers.next().unwrap()["id"].clone();
        assert!(numbers.next().is_none(), "house {house} is there once");
        number
    };
    // By id with other content, by number with other content, by content alone.
    let mut by_id = address(200);
    by_id["id"] = json!("house 40");
    let mut by_number = address(300);
    by_number["external_id"] = number(&first, "41");
    let second = app
        .accept(&of_one("2", &[by_id, by_number, address(43)]))
        .await;
    assert_eq!(number(&second, "200"), number(&first, "40"));
    assert_eq!(number(&second, "300"), number(&first, "41"));
    assert_eq!(number(&second, "43"), number(&first, "43"));
    // What an address was before is not found any more, what it became is.
    let third = app.accept(&to_house("3", 41)).await;
    assert_eq!(app.count("address").await, 52);
    let fourth = app.accept(&to_house("4", 300)).await;
    assert_eq!(fourth["shipping_address"]["id"], number(&first, "41"));
    assert_ne!(third["shipping_address"]["id"], number(&first, "41"));
    assert_eq!(app.count("address").await, 52);
}

async fn journal_bytes(app: &TestApp) -> i64 {
    sqlx::query_scalar(
        "SELECT pg_total_relation_size('journal_rejected') + pg_total_relation_size('journal_batch')",
    )
    .fetch_one(&app.pool())
    .await
    .unwrap()
}

#[tokio::test]
async fn elements_without_an_id_that_are_the_same_are_kept_once() {
    let app = TestApp::start().await;
    let before = journal_bytes(&app).await;
    let batch = format!("[{}1]", "{},".repeat(4_998));
    let answer = app.request().body(batch.clone()).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(app.count("journal_rejected").await, 2);
    let repeated: Vec<(i32, i32)> =
        sqlx::query_as("SELECT position, repeated FROM journal_rejected ORDER BY position")
            .fetch_all(&app.pool())
            .await
            .unwrap();
    assert_eq!(repeated, [(0, 4_997), (4_998, 0)]);
    let took = journal_bytes(&app).await - before;
    assert!(took <= 4 * 65_536, "{took} bytes for {}", batch.len());

    let operator = Operator::of(&app.database);
    let rejected = operator.run(["journal", "rejected", "--json"]).await.done();
    assert!(rejected.contains(r#""repeated":4997"#), "{rejected}");
    let id = app.batch_id().await;
    let shown = operator.run(["journal", "show", &id]).await.done();
    assert!(shown.contains("4997 more like it came along"), "{shown}");
    assert!(shown.contains("обязательное поле (required)"), "{shown}");
    assert!(!shown.contains("are not kept"), "{shown}");
}

impl TestApp {
    async fn batch_id(&self) -> String {
        sqlx::query_scalar(
            "SELECT batch::text FROM journal_batch ORDER BY received_at DESC LIMIT 1",
        )
        .fetch_one(&self.pool())
        .await
        .unwrap()
    }
}

/// Rejected for its total, and of that many bytes at least.
fn rejected(id: &str, bytes: usize) -> Value {
    let mut order = changed(order(id), "/total", json!(-1));
    order["comment"] = json!("x".repeat(bytes));
    order
}

#[tokio::test]
async fn past_the_days_budget_rejected_orders_are_counted_and_not_kept_and_good_ones_are_stored() {
    let app = TestApp::with(|config| config.journal.rejected_bytes_per_day = 100_000).await;
    let not_kept = r#"aqua_journal_not_kept_total{publication="demodelivery"}"#;
    app.post(&json!([order("good 1"), rejected("bad 1", 60_000)]))
        .await;
    assert_eq!(app.count("journal_rejected").await, 1);
    // What has room is kept, what has none is counted; its neighbours do not notice.
    let answer = app
        .post(&json!([
            order("good 2"),
            rejected("bad 2", 60_000),
            rejected("bad 3", 10_000)
        ]))
        .await;
    answer.order("good 2");
    assert_eq!(answer.faults("bad 2"), ["total: out_of_range"]);
    assert_eq!(app.count("journal_rejected").await, 2);
    assert_eq!(app.metric(not_kept).await, 1);
    let batch = app.batch_id().await;
    let operator = Operator::of(&app.database);
    let shown = operator.run(["journal", "show", &batch]).await.done();
    assert!(shown.contains("1 rejected orders are not kept"), "{shown}");

    // An instance that is started anew asks the database what the day has taken.
    let beside = TestApp::beside(std::sync::Arc::clone(&app.database), |config| {
        config.journal.rejected_bytes_per_day = 100_000;
    })
    .await;
    beside.post(&json!([rejected("bad 4", 60_000)])).await;
    assert_eq!(app.count("journal_rejected").await, 2);
    assert_eq!(beside.metric(not_kept).await, 1);
    // Another publication has a day of its own.
    let other = "/%D0%B4%D0%BE%D1%81%D1%82%D0%B0%D0%B2%D0%BA%D0%B0/hs/AquaDeliveri/getOrdersURL";
    let address = format!("http://{}{other}", beside.address);
    let batch = json!([rejected("bad 5", 60_000)]).to_string();
    let answer = reqwest::Client::new()
        .post(address)
        .body(batch)
        .send()
        .await;
    assert_eq!(answer.unwrap().status(), 200);
    assert_eq!(app.count("journal_rejected").await, 3);
}

#[tokio::test]
async fn where_the_budget_is_used_up_a_batch_of_which_nothing_is_accepted_leaves_nothing_behind() {
    let app = TestApp::with(|config| config.journal.rejected_bytes_per_day = 1_000).await;
    for n in 0..20 {
        let answer = app.post(&json!([rejected(&n.to_string(), 10)])).await;
        assert_eq!(answer.faults(&n.to_string()), ["total: out_of_range"]);
    }
    let lines = app.count("journal_batch").await;
    assert!((1..=4).contains(&lines), "{lines}");
    // What is stored has its receipt in any case.
    app.accept(&order("good")).await;
    assert_eq!(app.count("journal_batch").await, lines + 1);
    assert_eq!(app.post(&json!([])).await.body["data"], json!({}));
    assert_eq!(app.count("journal_batch").await, lines + 1);
}
