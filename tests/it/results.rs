//! What the back office made of orders (contract §8.1, results).

use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::{
    app::{TestApp, changed, order},
    back_office::{Answer, FEED, RESULTS, start},
    command::Operator,
};

/// The service with the orders A-1 … of the numbers 1 ….
async fn with_orders(count: usize) -> TestApp {
    let app = start().await;
    for n in 1..=count {
        app.accept(&order(&format!("A-{n}"))).await;
    }
    app
}

async fn receiver(app: &TestApp, number: usize) -> Value {
    let page = app.feed("").await;
    let order = page
        .orders
        .into_iter()
        .find(|order| order["number"] == number);
    order.unwrap()["receiver"].clone()
}

/// The warnings of an entry.
fn warnings(entry: &Value) -> Vec<String> {
    let warnings = entry["warnings"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    warnings
        .map(|warning| format!("{}: {}", text(&warning["field"]), text(&warning["code"])))
        .collect()
}

#[tokio::test]
async fn the_back_offices_number_and_status_come_back_with_the_order() {
    let app = with_orders(1).await;
    let before = app.feed("").await;
    let uid = "0b8d2f3e-9a51-11ee-8c90-0242ac120002";
    let said = json!({
        "number": 1, "version": 1, "receiver_number": "АВ-000123", "receiver_uid": uid, "status": "approved", "error": null
    });
    assert_eq!(
        app.report_one(&said).await,
        json!({
            "number": 1, "success": true, "version": 2, "status": "approved", "message": "", "errors": [], "warnings": []
        })
    );
    let after = app.feed(&before.cursor).await;
    assert_eq!(after.versions(), [("A-1", 2)]);
    let entry = &after.orders[0];
    assert_eq!(entry["changed_by"], "back_office");
    assert_eq!(
        entry["receiver"],
        json!({ "number": "АВ-000123", "uid": uid })
    );
    // And the site is told the status.
    let again = app.post(&json!([order("A-1")])).await;
    assert_eq!(again.order("A-1")["status"], "approved");
    assert_eq!(
        again.warnings_but_of_products("A-1"),
        ["status: status_not_changed"]
    );
}

#[tokio::test]
async fn statuses_go_forward_only() {
    let app = with_orders(1).await;
    let report = |status: &str| {
        let app = &app;
        let said = json!({ "number": 1, "status": status });
        async move { app.report_one(&said).await }
    };
    assert_eq!(report("completed").await["status"], "completed");
    for status in ["approved", "new", "removed"] {
        let entry = report(status).await;
        assert_eq!(
            (&entry["success"], &entry["status"]),
            (&json!(true), &json!("completed"))
        );
        assert_eq!(entry["warnings"][0]["code"], "status_not_changed");
        assert_eq!(entry["version"], 2);
    }
    // The cancellation that came meanwhile is not undone.
    app.accept(&order("A-2")).await;
    app.accept(&changed(order("A-2"), "/status", "removed"))
        .await;
    let entry = app
        .report_one(&json!({ "number": 2, "version": 1, "status": "approved" }))
        .await;
    assert_eq!(
        (&entry["status"], &entry["warnings"][0]["field"]),
        (&json!("removed"), &json!("status"))
    );
}

#[tokio::test]
async fn the_same_again_changes_nothing() {
    let app = with_orders(2).await;
    let said = json!([
        { "number": 1, "version": 1, "receiver_number": "1", "receiver_uid": "u", "status": "approved" },
        { "number": 2, "version": 1, "error": "нет такого товара" },
    ]);
    let first = app.report(&said).await;
    app.feed("").await;
    let rows = || async {
        let mut rows = Vec::new();
        for table in ["orders", "feed", "order_receiver", "journal_change"] {
            let sql = format!("SELECT xmin::text || ctid::text FROM {table} ORDER BY 1");
            rows.push(app.values::<String>(sql).await);
        }
        rows
    };
    let before = rows().await;
    for _ in 0..2 {
        assert_eq!(app.report(&said).await.text, first.text);
    }
    assert_eq!(rows().await, before);
}

#[tokio::test]
async fn an_older_version_never_clears_what_a_newer_one_said() {
    let app = with_orders(1).await;
    app.accept(&changed(order("A-1"), "/total", 720)).await;
    app.report_one(
        &json!({ "number": 1, "version": 2, "receiver_number": "2", "error": "склад закрыт" }),
    )
    .await;
    let older = app
        .report_one(
            &json!({ "number": 1, "version": 1, "receiver_number": "1", "receiver_uid": "u1" }),
        )
        .await;
    assert_eq!(warnings(&older), ["receiver_number: kept_as_stored"]);
    let row = || {
        app.value::<String>(
            "SELECT concat_ws(' ', version, number, uid, error) FROM order_receiver",
        )
    };
    assert_eq!(row().await, "2 2 u1 склад закрыт");
    app.report_one(&json!({ "number": 1, "version": 2, "error": "" }))
        .await;
    assert_eq!(row().await, "2 2 u1", "the same version takes it back");
    let late = json!({ "number": 1, "version": 1, "error": "поздно" });
    let late = app.report_one(&late).await;
    assert_eq!(warnings(&late), ["error: kept_as_stored"]);
    let says = "сказано о прежней версии, а о более новой уже сообщено: осталось сказанное о ней";
    assert_eq!(late["warnings"][0]["message"], says);
    assert_eq!(row().await, "2 2 u1");
}

#[tokio::test]
async fn a_version_that_does_not_exist_is_not_found_and_shuts_out_nothing() {
    let app = with_orders(2).await;
    let said = json!([
        { "number": 1, "version": 2, "receiver_number": "99", "status": "approved", "error": "нет" },
        { "number": 2, "version": 1, "status": "approved" },
    ]);
    let answer = app.report(&said).await;
    let entry = &answer.body["results"][0];
    assert_eq!(entry["success"], false);
    assert_eq!(entry["errors"][0]["field"], "version");
    assert_eq!(entry["errors"][0]["code"], "not_found");
    assert_eq!(answer.body["results"][1]["success"], true);
    assert_eq!(receiver(&app, 1).await["number"], Value::Null);
    let status = "SELECT status FROM orders ORDER BY number";
    assert_eq!(app.values::<String>(status).await, ["new", "approved"]);
    let entry = app
        .report_one(&json!({ "number": 1, "version": 1, "receiver_number": "7" }))
        .await;
    assert_eq!(entry["success"], true);
    assert_eq!(receiver(&app, 1).await["number"], "7");
}

#[tokio::test]
async fn a_number_that_another_order_has_too_is_kept_and_said() {
    let app = with_orders(3).await;
    let called =
        |number: usize| json!({ "number": number, "version": 1, "receiver_number": "000000001" });
    let answer = app.report(&json!([called(1), called(2)])).await;
    let results = answer.body["results"].as_array().unwrap();
    assert_eq!(warnings(&results[0]), [""; 0]);
    assert_eq!(warnings(&results[1]), ["receiver_number: not_unique"]);
    // In 1C numbers begin anew every year: an order of the next one.
    let entry = app.report_one(&called(3)).await;
    assert_eq!(warnings(&entry), ["receiver_number: not_unique"]);
    assert_eq!(entry["success"], true);
    for number in 1..=3 {
        assert_eq!(receiver(&app, number).await["number"], "000000001");
    }
}

#[tokio::test]
async fn an_error_is_shown_to_operators_and_stops_nothing() {
    let app = with_orders(1).await;
    let cursor = app.feed("").await.cursor;
    let operator = Operator::of(&app.database);
    let shown = async || operator.run(["order", "show", "A-1"]).await.done();
    assert!(!shown().await.contains("not taken by 1C"));
    let entry = app
        .report_one(
            &json!({ "number": 1, "version": 1, "error": "Не найдена номенклатура water-19" }),
        )
        .await;
    assert_eq!(entry["success"], true);
    let text = shown().await;
    assert!(
        text.contains("not taken by 1C: Не найдена номенклатура water-19"),
        "{text}"
    );
    assert_eq!(
        app.feed(&cursor).await.orders.len(),
        0,
        "an error alone moves nothing"
    );
    // The site goes on as before, and 1C takes it at last.
    app.accept(&changed(order("A-1"), "/total", 720)).await;
    assert_eq!(app.feed(&cursor).await.versions(), [("A-1", 2)]);
    app.report_one(&json!({ "number": 1, "version": 2, "receiver_number": "АВ-1" }))
        .await;
    let text = shown().await;
    assert!(
        !text.contains("not taken by 1C") && text.contains("АВ-1"),
        "{text}"
    );
}

#[tokio::test]
async fn a_number_of_the_back_offices_moves_the_order_and_is_no_new_version() {
    let app = with_orders(1).await;
    let cursor = app.feed("").await.cursor;
    app.report_one(&json!({ "number": 1, "version": 1, "receiver_number": "АВ-1" }))
        .await;
    let page = app.feed(&cursor).await;
    assert_eq!(page.versions(), [("A-1", 1)]);
    assert_eq!(page.orders[0]["changed_by"], "sender");
    assert_eq!(receiver(&app, 1).await["number"], "АВ-1");
}

#[tokio::test]
async fn one_bad_result_costs_no_other_and_unknown_numbers_are_not_found() {
    let app = with_orders(2).await;
    app.post_to(
        "/%D0%B4%D0%BE%D1%81%D1%82%D0%B0%D0%B2%D0%BA%D0%B0/hs/AquaDeliveri/getOrdersURL",
        &json!([order("B-1"), order("B-2"), order("B-3")]),
    )
    .await;
    let answer = app
        .report(&json!([
            { "number": 1, "status": "approved" },
            // Another publication has it.
            { "number": 3, "status": "approved" },
            { "status": "approved" },
            { "number": "два" },
            { "number": 0 },
            17,
            // A status that is none is left out.
            { "number": "2", "status": "delivered", "version": "x", "receiver_number": 15 },
        ]))
        .await;
    assert_eq!(answer.status, 200);
    let results = answer.body["results"].as_array().unwrap();
    let codes: Vec<_> = results
        .iter()
        .map(|entry| {
            let fault = &entry["errors"][0];
            assert_eq!(entry["success"], fault.is_null());
            assert_eq!(entry.as_object().unwrap().len(), 7);
            (
                fault["field"].as_str().unwrap_or_default(),
                fault["code"].as_str().unwrap_or_default(),
            )
        })
        .collect();
    let due = [
        ("", ""),
        ("number", "not_found"),
        ("number", "required"),
        ("number", "wrong_type"),
        ("number", "out_of_range"),
        ("", "wrong_type"),
        ("", ""),
    ];
    assert_eq!(codes, due);
    let warnings: Vec<_> = results[6]["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|w| w["code"].as_str().unwrap())
        .collect();
    assert_eq!(warnings, ["wrong_type", "not_allowed"]);
    assert_eq!(receiver(&app, 2).await["number"], "15");
    assert_eq!(
        app.value::<i64>("SELECT count(*) FROM orders WHERE status = 'approved'")
            .await,
        1
    );
    // Nothing for a whole request that is none.
    for (body, code) in [
        ("{}", "not_an_array"),
        ("[", "malformed_json"),
        ("", "malformed_json"),
    ] {
        let request = app.as_back_office(Method::POST, RESULTS).body(body);
        assert_eq!(Answer::of(request).await.failure(), (400, code), "{body}");
    }
    let request = app
        .as_back_office(Method::POST, &format!("{RESULTS}?dry_run=true"))
        .body("[]");
    assert_eq!(
        Answer::of(request).await.failure(),
        (400, "invalid_parameter")
    );
    let request = app.as_back_office(Method::GET, RESULTS);
    assert_eq!(
        Answer::of(request).await.failure(),
        (405, "method_not_allowed")
    );
    let english = app
        .as_back_office(Method::POST, RESULTS)
        .header("Accept-Language", "en")
        .body(r#"[{"number":9}]"#);
    let entry = Answer::of(english).await.body["results"][0].clone();
    assert_eq!(entry["errors"][0]["message"], "not found");
}

#[tokio::test]
async fn encodings_are_those_of_the_orders() {
    let app = with_orders(1).await;
    let text = r#"[{"number":1,"receiver_number":"АВ-7"}]"#;
    let body = encoding_rs::WINDOWS_1251.encode(text).0.into_owned();
    let request = app
        .as_back_office(Method::POST, RESULTS)
        .header("Content-Type", "application/json; charset=windows-1251")
        .body(body);
    assert_eq!(
        Answer::of(request).await.body["results"][0]["success"],
        true
    );
    assert_eq!(receiver(&app, 1).await["number"], "АВ-7");
    let page = Answer::of(app.as_back_office(Method::GET, FEED))
        .await
        .page();
    assert_eq!(page.orders.len(), 1);
}

#[tokio::test]
async fn a_status_from_the_back_office_is_in_the_orders_history() {
    let app = with_orders(1).await;
    let request = app
        .as_back_office(Method::POST, RESULTS)
        .header("X-Request-Id", "from-1c");
    Answer::of(request.body(r#"[{"number":1,"status":"approved"}]"#)).await;
    let row = app
        .value::<String>(
            "SELECT concat_ws(' ', version, login, request_id, changes) FROM journal_change",
        )
        .await;
    assert_eq!(row, r#"2 1c from-1c {"status": ["new", "approved"]}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn results_and_orders_at_the_same_time_lose_nothing_of_one_another() {
    let app = std::sync::Arc::new(with_orders(20).await);
    let mut tasks = JoinSet::new();
    for round in 0..5 {
        let sender = std::sync::Arc::clone(&app);
        tasks.spawn(async move {
            let orders: Vec<_> = (1..=20)
                .map(|n| changed(order(&format!("A-{n}")), "/total", 800 + round))
                .collect();
            let answer = sender.post(&json!(orders)).await;
            for n in 1..=20 {
                answer.order(&format!("A-{n}"));
            }
        });
        let office = std::sync::Arc::clone(&app);
        tasks.spawn(async move {
            let results: Vec<_> = (1..=20).rev().map(|n| json!({ "number": n, "receiver_number": format!("{round}"), "status": "approved" })).collect();
            let answer = office.report(&json!(results)).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
    for (what, due) in [
        (
            "SELECT count(*) FROM orders WHERE status = 'approved' AND total >= 800",
            20,
        ),
        (
            "SELECT count(*) FROM order_receiver WHERE number IS NOT NULL",
            20,
        ),
        (
            "SELECT count(*) FROM feed JOIN orders USING (publication, version) WHERE order_number = orders.number",
            20,
        ),
        (
            "SELECT count(*) FROM orders WHERE version - 1 <> (SELECT count(*) FROM journal_change c WHERE c.publication = orders.publication AND c.order_number = orders.number)",
            0,
        ),
    ] {
        assert_eq!(app.value::<i64>(what).await, due, "{what}");
    }
}

#[tokio::test]
async fn that_the_same_is_said_of_a_newer_version_does_not_make_it_later() {
    let app = with_orders(1).await;
    let said = |version: i32, number: &str| json!({ "number": 1, "version": version, "receiver_number": number });
    app.report_one(&said(1, "N-1")).await;
    app.run("UPDATE order_receiver SET said_at = now() - interval '1 hour'")
        .await;
    app.accept(&changed(order("A-1"), "/total", 999)).await;
    app.report_one(&said(2, "N-1")).await;
    let late = "SELECT count(*) FROM order_receiver WHERE version = 2 AND said_at < now() - interval '59 minutes'";
    assert_eq!(app.value::<i64>(late).await, 1);
    app.report_one(&said(2, "N-2")).await;
    assert_eq!(app.value::<i64>(late).await, 0, "another number is news");
}
