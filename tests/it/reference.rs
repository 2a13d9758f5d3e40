//! Reference data over HTTP, and the cut-over (contract §8.2).

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{
    app::{TestApp, changed, order},
    back_office::{Answer, start},
    command::Operator,
    talk::gzip,
};

async fn send(app: &TestApp, what: &str, body: impl Into<reqwest::Body>) -> Answer {
    let path = format!("/demodelivery/hs/AquaDeliveri/v1/{what}");
    let request = app.as_back_office(Method::POST, &path).body(body);
    let answer = Answer::of(request).await;
    let keys: Vec<_> = answer.body.as_object().unwrap().keys().cloned().collect();
    if answer.status == 200 || answer.failure().1 == "file_refused" {
        assert_eq!(keys.len(), 12, "{keys:?}");
    }
    answer
}

const PRODUCTS: &str = "number;name;sender_ids\n28;Вода 19 л;water-19|water\n36;Помпа;pump\n";
const DISTRICTS: &str = "number;name\n1;Орбита\n";
const CLIENTS: &str = "number;sender_id;username;addresses.city;addresses.street;addresses.house;addresses.str;addresses.district;prices.product;prices.price\n\
    68;c-68;Мария;Сыктывкар;Мира;1;Мира 1;1;28;101,50\n";
const ORDERS: &str = "sender_id;number;status;receiver_number;receiver_uid\nA-1;50894;completed;АВ-1;u-1\nA-2;50895;new;;\n";

/// All rows of reference data, as text.
async fn rows(app: &TestApp) -> Vec<String> {
    let mut rows = Vec::new();
    for table in [
        "district",
        "product",
        "product_sender_id",
        "client",
        "address",
        "client_price",
        "imported_order",
    ] {
        rows.extend(
            app.values::<String>(format!("SELECT t::text FROM {table} t ORDER BY 1"))
                .await,
        );
    }
    rows
}

#[tokio::test]
async fn one_file_by_either_way_leaves_the_same_rows_and_the_same_report() {
    let (http, cli) = (start().await, start().await);
    let operator = Operator::of(&cli.database);
    for (what, text) in [
        ("districts", DISTRICTS),
        ("products", PRODUCTS),
        ("clients", CLIENTS),
        ("orders", ORDERS),
    ] {
        for _ in 0..2 {
            let answer = send(&http, what, text).await;
            assert_eq!(answer.status, 200, "{}", answer.text);
            let count = |key: &str| answer.body[key].as_u64().unwrap();
            let counts = format!(
                "{what}: {} new, {} changed, {} unchanged, {} refused",
                count("new"),
                count("changed"),
                count("unchanged"),
                count("refused")
            );
            assert_eq!(operator.imported(what, text).await.trim(), counts);
            assert_eq!(
                (&answer.body["success"], &answer.body["stored"]),
                (&json!(true), &json!(true))
            );
        }
    }
    let there = rows(&http).await;
    assert_eq!(there, rows(&cli).await);
    assert_eq!(there.len(), 11);
}

#[tokio::test]
async fn a_dry_run_stores_nothing_and_bad_lines_refuse_the_file_or_are_left_out() {
    let app = start().await;
    let dry = send(&app, "products?dry_run=true", PRODUCTS).await;
    assert_eq!(dry.body["new"], 2);
    assert_eq!(
        (&dry.body["stored"], &dry.body["dry_run"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(app.count("product").await, 0);
    let bad = format!("{PRODUCTS}x;Без номера;y\n");
    let refused = send(&app, "products", bad.clone()).await;
    assert_eq!(refused.failure(), (400, "file_refused"));
    assert_eq!(
        refused.body["problems"],
        json!([{ "line": 4, "column": "number", "reason": "неверный тип, ожидается целое число" }])
    );
    assert_eq!(app.count("product").await, 0);
    let left_out = send(&app, "products?skip_bad=true", bad).await;
    assert_eq!(
        (&left_out.body["new"], &left_out.body["refused"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(left_out.body["problems"].as_array().unwrap().len(), 1);
    assert_eq!(app.count("product").await, 2);
}

#[tokio::test]
async fn a_file_that_makes_no_sense_and_garbage_parameters_are_400() {
    let app = start().await;
    for (text, says) in [
        ("", "файл пуст"),
        ("number;nam\n1;a", "столбец «nam»: может быть, name?"),
        ("PK\u{3}\u{4}", "Excel"),
        ("[{\"number\": 1}", "не JSON"),
        (
            "[{\"number\": 1, \"x\": 1}]",
            "ключ в строке 1 «x»: есть number, name",
        ),
    ] {
        let answer = send(&app, "districts", text).await;
        assert_eq!(answer.failure(), (400, "file_refused"), "{text}");
        assert!(
            answer.body["message"].as_str().unwrap().contains(says),
            "{}",
            answer.text
        );
        assert_eq!(answer.body["problems"][0]["line"], 0);
    }
    for query in [
        "?dry_run=yes",
        "?dry_run",
        "?skip_bad=2",
        "?dryrun=true",
        "?dry_run=true&dry_run=false",
        "?skip_bad=",
    ] {
        let answer = send(&app, &format!("districts{query}"), DISTRICTS).await;
        assert_eq!(answer.failure(), (400, "invalid_parameter"), "{query}");
    }
    assert_eq!(app.count("district").await, 0);
    let path = "/demodelivery/hs/AquaDeliveri/v1/products";
    let answer = Answer::of(app.as_back_office(Method::GET, path)).await;
    assert_eq!(answer.failure(), (405, "method_not_allowed"));
}

#[tokio::test]
async fn encodings_and_compressions_are_those_of_orders_and_of_files() {
    let app = start().await;
    let windows = encoding_rs::WINDOWS_1251.encode(DISTRICTS).0.into_owned();
    let json = r#"[{"number": 1, "name": "Орбита"}]"#;
    // A file shows its encoding; a header may name it.
    assert_eq!(
        send(&app, "districts", windows.clone()).await.body["new"],
        1
    );
    assert_eq!(send(&app, "districts", json).await.body["unchanged"], 1);
    let path = "/demodelivery/hs/AquaDeliveri/v1/districts";
    let named = app
        .as_back_office(Method::POST, path)
        .header("Content-Type", "text/csv; charset=windows-1251");
    assert_eq!(Answer::of(named.body(windows)).await.body["unchanged"], 1);
    let mut gzip = gzip(DISTRICTS.as_bytes()).await;
    let zipped = |body: Vec<u8>| {
        app.as_back_office(Method::POST, path)
            .header("Content-Encoding", "gzip")
            .body(body)
    };
    assert_eq!(Answer::of(zipped(gzip.clone())).await.body["unchanged"], 1);
    gzip.truncate(gzip.len() / 2);
    assert_eq!(
        Answer::of(zipped(gzip)).await.failure(),
        (400, "bad_encoding")
    );
    assert_eq!(
        app.value::<String>("SELECT name FROM district").await,
        "Орбита"
    );
}

#[tokio::test]
async fn an_imported_order_that_comes_in_takes_its_number_and_does_not_fall_behind_its_status() {
    let app = start().await;
    send(&app, "orders", ORDERS).await;
    // The site re-sends last week's order after the switch.
    let answer = app
        .post(&json!([order("A-1"), order("A-2"), order("A-3")]))
        .await;
    let of = |id: &str, key: &str| answer.order(id)[key].as_str().unwrap().to_owned();
    assert_eq!(
        (of("A-1", "id"), of("A-1", "status")),
        ("50894".into(), "completed".into())
    );
    assert_eq!(
        answer.warnings_but_of_products("A-1"),
        ["status: status_not_changed"]
    );
    assert_eq!(
        (of("A-2", "id"), of("A-2", "status")),
        ("50895".into(), "new".into())
    );
    assert_eq!(of("A-3", "id"), "1");
    // Again, and with the number that 1C gave.
    let again = changed(order("A-1"), "/external_id", 50894);
    let answer = app.post(&json!([again])).await;
    assert_eq!(answer.order("A-1")["id"], "50894");
    // And 1C is told what it called it.
    let page = app.feed("").await;
    let first = page
        .orders
        .iter()
        .find(|order| order["id"] == "A-1")
        .unwrap();
    assert_eq!(first["receiver"], json!({ "number": "АВ-1", "uid": "u-1" }));
    assert_eq!(first["order"]["status"], "completed");
}

#[tokio::test]
async fn an_imported_number_is_given_to_no_other_order() {
    let app = start().await;
    // The service has reserved numbers before the file comes.
    assert_eq!(app.accept(&order("B-1")).await["id"], "1");
    let text = "sender_id;number;status\nA-2;2;approved\nA-3;3;new\n";
    assert_eq!(send(&app, "orders", text).await.body["new"], 2);
    assert_eq!(app.accept(&order("B-2")).await["id"], "4");
    // One that brings it along is told so; with its own id it gets it.
    let foreign = app
        .post(&json!([changed(order("B-3"), "/external_id", 3)]))
        .await;
    assert_eq!(foreign.faults("B-3"), ["external_id: conflict"]);
    let own = app
        .post(&json!([changed(order("A-3"), "/external_id", 3)]))
        .await;
    assert_eq!(own.order("A-3")["id"], "3");
    let other = app
        .post(&json!([changed(order("A-2"), "/external_id", 3)]))
        .await;
    assert_eq!(other.faults("A-2"), ["external_id: conflict"]);
    let a_2 = app.accept(&order("A-2")).await;
    assert_eq!(
        (&a_2["id"], &a_2["status"]),
        (&json!("2"), &json!("approved"))
    );
    // A dry run says the same, and stores nothing.
    send(&app, "orders", "sender_id;number;status\nA-9;9;completed\n").await;
    let dry = app.check(&json!([order("A-9")])).await;
    assert_eq!(
        (&dry.order("A-9")["id"], &dry.order("A-9")["status"]),
        (&json!("9"), &json!("completed"))
    );
}

#[tokio::test]
async fn orders_that_clash_with_what_is_there_are_refused_by_line() {
    let app = start().await;
    app.accept(&order("A-1")).await;
    let problems = |answer: &Answer| -> Vec<(u64, String)> {
        let problems = answer.body["problems"].as_array().unwrap();
        let of = |problem: &Value| {
            (
                problem["line"].as_u64().unwrap(),
                problem["reason"].as_str().unwrap().to_owned(),
            )
        };
        problems.iter().map(of).collect()
    };
    let text = "sender_id,number,status\nA-1,7,new\nB-1,1,new\nB-2,8,delivered\nB-3,,new\n,9,new\nB-4,0,new\n";
    let answer = send(&app, "orders", text).await;
    assert_eq!(answer.failure(), (400, "file_refused"));
    let reasons = problems(&answer);
    assert_eq!(reasons.len(), 6, "{reasons:?}");
    assert_eq!(reasons[0].1, "заказ уже пришёл, его номер — 1");
    assert_eq!(reasons[1].1, "это номер заказа с id отправителя A-1");
    let english = app
        .as_back_office(Method::POST, "/demodelivery/hs/AquaDeliveri/v1/orders")
        .header("Accept-Language", "en")
        .body(text);
    let english = problems(&Answer::of(english).await);
    assert_eq!(english[0].1, "the order came in, and has the number 1");
    assert_eq!(app.count("imported_order").await, 0);
    // One that came in already keeps its status, and the operator is told.
    let answer = send(&app, "orders", "sender_id,number,status\nA-1,1,completed\n").await;
    assert!(
        answer.body["notes"][0]
            .as_str()
            .unwrap()
            .contains("заказ 1 (A-1) уже пришёл, его статус new остаётся"),
        "{}",
        answer.text
    );
    assert_eq!(app.accept(&order("A-1")).await["status"], "new");
}
