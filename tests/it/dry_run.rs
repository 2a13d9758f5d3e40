//! `?dry_run=true`: the verdicts that a batch would have, and nothing is stored.

use serde_json::{Value, json};

use crate::support::app::{Answer, ORDERS, TestApp, changed, example_request, guest_order, order};

const TABLES: [&str; 11] = [
    "number_counter",
    "publication_mark",
    "catalogue_version",
    "district",
    "product",
    "product_sender_id",
    "client",
    "client_price",
    "address",
    "orders",
    "order_item",
];

impl TestApp {
    async fn check_with(&self, query: &str, batch: &Value) -> Answer {
        self.post_to(&format!("{ORDERS}?{query}"), batch).await
    }

    /// Everything that is stored, as text, but for the journal's lines: a dry run has one.
    async fn everything(&self) -> Vec<String> {
        let mut everything = Vec::new();
        for table in TABLES.into_iter().chain(["journal_rejected"]) {
            let sql = format!(
                "SELECT coalesce(string_agg(t::text, '\n' ORDER BY t::text), '') FROM {table} t"
            );
            let rows: String = self.value(sql).await;
            everything.push(format!("{table}: {rows}"));
        }
        everything
    }
}

/// Verdicts alone: what is said of each order, without the orders.
fn verdicts(answer: &Answer) -> Value {
    let mut data = answer.body["data"].clone();
    for entry in data.as_object_mut().unwrap().values_mut() {
        if entry["success"] == true {
            entry["data"] = json!([]);
        }
    }
    data
}

/// A batch with something of everything.
fn varied() -> Value {
    let mut example = example_request();
    let orders = example.as_array_mut().unwrap();
    orders.extend([
        order("new"),
        guest_order("of a guest", "+79190000001"),
        guest_order("of the same guest", "+79190000001"),
        changed(order("without a total"), "/total", json!("(absent)")),
        changed(order("known"), "/comment", json!("другой")),
        json!({ "id": "almost nothing" }),
        json!("no order"),
        changed(order("with a number"), "/external_id", json!(777)),
        changed(
            order("with an address of others"),
            "/shipping_address/user_address_id",
            json!(99),
        ),
    ]);
    example
}

#[tokio::test]
async fn a_dry_run_stores_nothing_and_gives_the_verdicts_that_a_real_batch_then_gets() {
    let app = TestApp::start().await;
    app.accept(&order("known")).await;
    let before = app.everything().await;
    let checked = app.check(&varied()).await;
    assert_eq!(app.everything().await, before);
    assert_eq!(checked.headers["x-dry-run"], "true");
    let lines: Vec<(bool, i32, i32, i32)> = sqlx::query_as(
        "SELECT dry_run, orders, accepted, rejected FROM journal_batch ORDER BY received_at",
    )
    .fetch_all(&app.pool())
    .await
    .unwrap();
    assert_eq!(lines, [(false, 1, 1, 0), (true, 10, 7, 3)]);

    let real = app.post(&varied()).await;
    assert!(!real.headers.contains_key("x-dry-run"));
    assert_eq!(checked.keys(), real.keys());
    assert_eq!(verdicts(&checked), verdicts(&real));
    // Each number that was new is null; the rest is the same, to the moment of the intake.
    for (key, entry) in checked.body["data"].as_object().unwrap() {
        if entry["success"] == true {
            let real = &real.body["data"][key]["data"][0];
            same_but_for_new_numbers(key, &entry["data"][0], real);
        }
    }
}

fn same_but_for_new_numbers(path: &str, checked: &Value, real: &Value) {
    const NUMBERS: [&str; 3] = ["id", "user_address_id", "account_number"];
    match (checked, real) {
        (Value::Object(checked), Value::Object(real)) => {
            assert!(checked.keys().eq(real.keys()), "{path}");
            for (key, value) in checked {
                let is_new_number = NUMBERS.contains(&key.as_str()) && value.is_null();
                if !is_new_number && key != "created_at" {
                    same_but_for_new_numbers(&format!("{path}.{key}"), value, &real[key]);
                }
            }
        }
        (Value::Array(checked), Value::Array(real)) => {
            assert_eq!(checked.len(), real.len(), "{path}");
            for (place, (checked, real)) in checked.iter().zip(real).enumerate() {
                same_but_for_new_numbers(&format!("{path}[{place}]"), checked, real);
            }
        }
        _ => assert_eq!(checked, real, "{path}"),
    }
}

#[tokio::test]
async fn numbers_that_would_be_new_are_null_and_those_that_are_there_or_come_along_are_not() {
    let app = TestApp::start().await;
    let known = app.accept(&order("known")).await;
    let new = changed(order("new"), "/client/external_id", json!(4_000));
    let checked = app.check(&json!([order("known"), new])).await;
    assert_eq!(*checked.order("known"), known);
    let new = checked.order("new");
    assert_eq!(new["id"], Value::Null);
    assert_eq!(new["client"]["id"], 4_000, "a free number is adopted");
    assert_eq!(new["shipping_address"]["id"], Value::Null);
    assert_eq!(new["shipping_address"]["user_address_id"], Value::Null);
    let stranger = app.check(&json!([order("other")])).await;
    let client = &stranger.order("other")["client"];
    assert_eq!(client["id"], Value::Null);
    assert_eq!(client["account_number"], Value::Null);
    assert_eq!(client["addresses"][0]["id"], Value::Null);
}

#[tokio::test]
async fn a_dry_run_is_asked_for_in_plain_words_or_not_at_all() {
    let app = TestApp::start().await;
    for query in [
        "dry_run=true",
        "dry_run=1",
        "a=b&dry_run=true",
        "dry_run=1&dry_run=true",
        "dry_run=true%20",
        "dry_run=true+%09",
        "dry%5Frun=%74rue",
        "dry_run=True",
    ] {
        let answer = app.check_with(query, &json!([order("A")])).await;
        assert_eq!(answer.headers["x-dry-run"], "true", "{query}");
        assert_eq!(app.count("orders").await, 0, "{query}");
    }
    for query in [
        "dry_run",
        "dry_run=",
        "dry_run=yes",
        "DRY_RUN=true",
        "dryRun=true",
        "dry-run=true",
        "dry_run[]=true",
        "dry_run%20=true",
        "a=b&amp;dry_run=true",
        "x=1;dry_run=true",
        "?dry_run=true",
        "dry_run=true&dry_run=false",
    ] {
        let answer = app.check_with(query, &json!([order("A")])).await;
        assert_eq!(answer.status, 400, "{query}");
        let code = &answer.body["errors"][0]["code"];
        assert_eq!(code, "invalid_parameter", "{query}");
        assert_eq!(app.count("orders").await, 0, "{query}");
    }
    for (query, orders) in [("dry_run=false", 1), ("dry_run=0", 2), ("dry=true", 3)] {
        app.check_with(query, &json!([order(query)])).await;
        assert_eq!(app.count("orders").await, orders, "{query}");
    }
    // Whatever the address looks like otherwise.
    let odd = "/DemoDelivery/HS/aquadeliveri/getordersurl/?dry_run=true";
    app.post_to(odd, &json!([order("B")])).await.order("B");
    assert_eq!(app.count("orders").await, 3);
}

#[tokio::test]
async fn a_dry_run_keeps_to_the_same_limits_and_failures() {
    let app = TestApp::with(|config| config.limits.batch_orders = 2).await;
    let many = json!([order("1"), order("2"), order("3")]);
    assert_eq!(app.check(&many).await.status, 413);
    assert_eq!(app.check(&json!({})).await.status, 400);
    let checked = app
        .metric(r#"aqua_requests_total{outcome="checked"}"#)
        .await;
    assert_eq!(checked, 0);
    app.check(&json!([order("1")])).await.order("1");
    let checked = app
        .metric(r#"aqua_requests_total{outcome="checked"}"#)
        .await;
    assert_eq!(checked, 1);
    let accepted = r#"aqua_orders_total{publication="demodelivery",verdict="accepted"}"#;
    assert_eq!(app.metric(accepted).await, 0);
}

#[tokio::test]
async fn a_dry_run_works_on_a_database_that_takes_no_writes() {
    let app = TestApp::start().await;
    app.accept(&order("known")).await;
    app.database.take_no_writes().await;
    let beside = TestApp::beside(std::sync::Arc::clone(&app.database), |_| ()).await;
    let checked = beside.check(&json!([order("known"), order("new")])).await;
    checked.order("known");
    assert_eq!(checked.order("new")["id"], Value::Null);
    assert_eq!(beside.post(&json!([order("new")])).await.status, 503);
}

#[tokio::test]
async fn a_large_batch_is_tried_out_too() {
    let app = TestApp::start().await;
    let orders: Vec<Value> = (0..1_500)
        .map(|n| {
            let mut order = order(&format!("order {n}"));
            order["total"] = json!(n);
            order
        })
        .collect();
    let checked = app.check(&json!(orders)).await;
    for n in [0, 999, 1_499] {
        let order = checked.order(&format!("order {n}"));
        assert_eq!((&order["id"], &order["total"]), (&Value::Null, &json!(n)));
    }
    assert_eq!(app.count("orders").await, 0);
}

#[tokio::test]
async fn orders_are_tried_out_on_the_operators_listener_and_not_taken() {
    let app = TestApp::start().await;
    let post = async |query: &str| {
        let address = format!("http://{}{ORDERS}{query}", app.operators_address);
        let request = reqwest::Client::new().post(address);
        let batch = json!([order("A")]).to_string();
        Answer::of(request.header("Accept-Language", "en").body(batch)).await
    };
    for query in ["", "?dry_run=false"] {
        let refused = post(query).await;
        assert_eq!(refused.status, 403, "{query}");
        assert_eq!(refused.body["errors"][0]["code"], "dry_run_only");
        let message = refused.body["message"].as_str().unwrap();
        assert!(message.contains("?dry_run=true"), "{message}");
    }
    assert_eq!(post("?dry_run=nonsense").await.status, 400);
    let checked = post("?dry_run=true").await;
    assert_eq!(checked.order("A")["id"], Value::Null);
    assert!(checked.headers.contains_key("x-request-id"));
    assert_eq!(app.count("orders").await, 0);
}

#[tokio::test]
async fn a_dry_run_does_not_notice_that_connections_broke_meanwhile() {
    let app = TestApp::start().await;
    let batch = json!([order("tried out")]);
    for _ in 0..3 {
        let answer = app.check_with("dry_run=true", &batch).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        app.run(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
             WHERE application_name = 'aqua-orders' AND datname = current_database()",
        )
        .await;
    }
}
