//! `POST /v1/order/import/` (contract §8.3): a 1C that pushes statuses and its numbers.

use aqua_orders::config::TokenHash;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{
    app::{TestApp, order},
    described::faults,
};

/// A service that knows these tokens of its first publication, and `other` of its second.
async fn service(tokens: &[&str]) -> TestApp {
    TestApp::with(|config| {
        config.publications[0].import_tokens = tokens.iter().map(|t| TokenHash::of(t)).collect();
        config.publications[1].import_tokens = vec![TokenHash::of("other")];
    })
    .await
}

async fn push(app: &TestApp, token: &str, orders: &Value) -> (StatusCode, Value) {
    push_to(app, "/v1/order/import/", &format!("Bearer {token}"), orders).await
}

async fn push_to(
    app: &TestApp,
    path: &str,
    authorization: &str,
    orders: &Value,
) -> (StatusCode, Value) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.post(format!("http://{}{path}", app.address));
    let request = request.header("Authorization", authorization);
    let answer = request.body(orders.to_string()).send().await.unwrap();
    let status = answer.status();
    let text = answer.text().await.unwrap();
    let body = serde_json::from_str(&text).unwrap();
    let described = if status == 200 {
        "PushedAnswer"
    } else {
        "Failure"
    };
    assert_eq!(faults(described, &body), [""; 0], "{text}");
    (status, body)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_found_by_external_id_gets_the_status_and_the_ids_of_1c() {
    let app = service(&["t-42"]).await;
    let ours = app.accept(&order("a")).await["id"].clone();
    app.accept(&order("b")).await;
    let uid = "657f9553-ff97-11e9-80d3-001e4f377cd7";
    let pushed = json!([
        { "id": "АВ-7", "external_id": "a", "status": "approved", "client": { "id": 1 }, "total": 1 },
        { "id": uid, "external_id": "b" },
    ]);
    let (status, answer) = push(&app, "t-42", &pushed).await;
    assert_eq!(status, 200);
    let due = json!([{ "id": ours, "external_id": "АВ-7", "status": "approved" }]);
    assert_eq!(
        answer["data"]["АВ-7"],
        json!({ "success": true, "data": due })
    );
    assert_eq!(answer["data"][uid]["data"][0]["status"], "new");
    let standing = "SELECT o.sender_id || ' ' || o.status || ' ' || coalesce(r.number, '-') || ' ' || coalesce(r.uid, '-')
         FROM orders o JOIN order_receiver r ON (r.publication, r.order_number) = (o.publication, o.number)
         ORDER BY 1";
    let due = ["a approved АВ-7 -".to_owned(), format!("b new - {uid}")];
    assert_eq!(app.values::<String>(standing).await, due);
    // The same again changes nothing, and a step back is told.
    push(&app, "t-42", &pushed).await;
    let versions = "SELECT version FROM orders ORDER BY sender_id";
    assert_eq!(app.values::<i32>(versions).await, [2, 1]);
    let back = json!([{ "id": "АВ-7", "external_id": "a", "status": "new" }]);
    let (_, answer) = push(&app, "t-42", &back).await;
    let entry = &answer["data"]["АВ-7"];
    assert_eq!(entry["data"][0]["status"], "approved");
    assert_eq!(entry["warnings"][0]["code"], "status_not_changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_an_order_costs_that_order_alone() {
    let app = service(&["t-42"]).await;
    app.accept(&order("a")).await;
    app.accept(&order("b")).await;
    let pushed = json!([
        { "id": 1, "external_id": "nobody's", "status": "approved" },
        { "id": 2, "status": "approved" },
        { "id": 3, "external_id": "a", "status": "approved" },
        { "id": "3 ", "external_id": "b" },
        { "external_id": "b", "status": "delivered" },
        7,
    ]);
    let (status, answer) = push(&app, "t-42", &pushed).await;
    assert_eq!(status, 200);
    let code = |key: &str| {
        let error = &answer["data"][key]["errors"][0];
        format!(
            "{} {}",
            error["field"].as_str().unwrap(),
            error["code"].as_str().unwrap()
        )
    };
    assert_eq!(code("1"), "external_id not_found");
    assert_eq!(code("2"), "external_id required");
    assert_eq!(code("3"), "id conflict", "the later of one id counts");
    assert_eq!(code("#5"), " wrong_type");
    assert_eq!(answer["data"]["#4"]["warnings"][0]["code"], "not_allowed");
    let statuses = "SELECT status FROM orders ORDER BY sender_id";
    assert_eq!(app.values::<String>(statuses).await, ["approved", "new"]);
    let called = "SELECT number FROM order_receiver WHERE number IS NOT NULL";
    assert_eq!(app.values::<String>(called).await, ["3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_opens_its_own_publication_and_nothing_else() {
    let app = service(&["old", "new"]).await;
    app.accept(&order("a")).await;
    let pushed = json!([{ "id": "1", "external_id": "a", "status": "approved" }]);
    for wrong in ["", "nobody's", "OLD"] {
        let (status, answer) = push(&app, wrong, &pushed).await;
        assert_eq!(status, 401, "{wrong:?}");
        assert_eq!(answer["errors"][0]["code"], "unauthorized");
    }
    let hash = TokenHash::of("old").text();
    assert_eq!(
        push(&app, &hash, &pushed).await.0,
        401,
        "the hash is no token"
    );
    assert_eq!(
        push_to(&app, "/v1/order/import/", "Basic b2xk", &pushed)
            .await
            .0,
        401
    );
    // Another tenant's token finds nothing.
    let (status, answer) = push(&app, "other", &pushed).await;
    assert_eq!(status, 200);
    assert_eq!(answer["data"]["1"]["errors"][0]["code"], "not_found");
    let status_of = "SELECT status FROM orders";
    assert_eq!(app.value::<String>(status_of).await, "new");
    // Two overlap while one takes the other's place; the address is spelled as it may be.
    for (token, path) in [
        ("old", "/v1/order/import"),
        ("new", "//v1/order/import/%20"),
    ] {
        let (status, answer) = push_to(&app, path, &format!("bearer {token}"), &pushed).await;
        assert_eq!((status, &answer["success"]), (StatusCode::OK, &json!(true)));
    }
    assert_eq!(app.value::<String>(status_of).await, "approved");
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client
        .get(format!("http://{}/v1/order/import/", app.address))
        .send()
        .await;
    assert_eq!(answer.unwrap().status(), 405);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_bound_to_the_networks_of_its_publication() {
    let app = TestApp::with(|config| {
        config.publications[0].import_tokens = vec![TokenHash::of("t")];
        config.publications[0].allow_from = vec!["10.0.0.0/8".parse().unwrap()];
    })
    .await;
    assert_eq!(push(&app, "t", &json!([])).await.0, 401);
}
