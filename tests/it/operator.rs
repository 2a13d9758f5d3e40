//! What an operator sees: health, readiness and metrics on a listener of their own.

use std::{collections::BTreeSet, time::Duration};

use aqua_orders::order::fault::{FaultCode, WarningCode};
use serde_json::{Value, json};

use crate::support::{
    app::{ORDERS, TestApp, changed, order},
    config::anonymous_publication,
    postgres::{DURABLE, Server},
    process::Scratch,
    serving::{Serving, command},
};

async fn readiness(app: &TestApp) -> (u16, Value) {
    let (status, text) = app.operator("/readyz").await;
    (status.as_u16(), serde_json::from_str(&text).unwrap())
}

#[tokio::test]
async fn a_service_that_can_take_orders_is_alive_and_ready() {
    let app = TestApp::start().await;
    let (status, text) = app.operator("/healthz").await;
    assert_eq!((status.as_u16(), text.as_str()), (200, r#"{"alive":true}"#));
    let good = json!({ "ok": true });
    assert_eq!(
        readiness(&app).await,
        (
            200,
            json!({ "ready": true, "service": good, "database": good, "schema": good, "notes": [] })
        )
    );
    assert_eq!(app.metric("aqua_ready").await, 1);
    assert_eq!(app.metric("aqua_database_up").await, 1);
    assert_eq!(app.operator("/nowhere").await.0, 404);
    assert!(app.operator("/").await.1.contains("/readyz"));
}

#[tokio::test]
async fn orders_are_not_taken_on_the_operators_listener_nor_health_told_on_the_public_one() {
    let app = TestApp::start().await;
    for path in ["/healthz", "/readyz", "/metrics"] {
        let answer = reqwest::get(format!("http://{}{path}", app.address));
        assert_eq!(answer.await.unwrap().status(), 404, "{path}");
    }
    let batch = json!([order("A-1")]).to_string();
    let address = format!(
        "http://{}/demodelivery/hs/AquaDeliveri/getOrdersURL",
        app.operators_address
    );
    let posted = reqwest::Client::new().post(address).body(batch).send();
    assert_ne!(posted.await.unwrap().status(), 200);
    assert_eq!(app.count("orders").await, 0);
}

#[tokio::test]
async fn the_operators_listener_answers_to_its_own_names_alone() {
    let app = TestApp::with(|config| config.operator.hosts = vec!["orders.internal".into()]).await;
    let port = app.operators_address.port();
    let ask = async |method: reqwest::Method, path: &str, host: &str| {
        let address = format!("http://{}{path}", app.operators_address);
        let request = reqwest::Client::new().request(method, address);
        request.header("Host", host).send().await.unwrap()
    };
    for path in ["/", "/healthz", "/readyz", "/metrics", "/docs", "/nowhere"] {
        // A page of a stranger's, whose name means our address by now.
        let host = format!("evil.example:{port}");
        let answer = ask(reqwest::Method::GET, path, &host).await;
        assert_eq!(answer.status(), 421, "{path}");
        assert!(answer.text().await.unwrap().contains("[operator] hosts"));
        for host in [format!("localhost:{port}"), "orders.internal".to_owned()] {
            let answer = ask(reqwest::Method::GET, path, &host).await;
            assert_ne!(answer.status(), 421, "{path} of {host}");
        }
    }
    let tried_out = format!("{ORDERS}?dry_run=true");
    let answer = ask(reqwest::Method::POST, &tried_out, "evil.example").await;
    assert_eq!(answer.status(), 421);
}

#[tokio::test]
async fn a_database_that_takes_no_writes_is_up_but_not_ready() {
    let app = TestApp::start().await;
    app.database.take_no_writes().await;
    let (status, said) = readiness(&app).await;
    assert_eq!((status, &said["ready"]), (503, &json!(false)));
    let reason = said["database"]["reason"].as_str().unwrap();
    assert!(reason.contains("takes no writes"), "{reason}");
    assert_eq!(app.metric("aqua_ready").await, 0);
}

#[tokio::test]
async fn a_schema_that_is_older_than_the_program_is_not_ready() {
    let app = TestApp::start().await;
    app.run("DELETE FROM _sqlx_migrations WHERE version > 1")
        .await;
    let (status, said) = readiness(&app).await;
    assert_eq!((status, &said["database"]["ok"]), (503, &json!(true)));
    let reason = said["schema"]["reason"].as_str().unwrap();
    assert!(reason.contains("restart the service"), "{reason}");
}

#[tokio::test]
async fn a_database_that_is_away_is_said_with_its_reason_and_without_its_password() {
    let server = Server::start(&DURABLE).await;
    let database = std::sync::Arc::new(server.database().await);
    let app = TestApp::beside(database, |_| ()).await;
    app.accept(&order("A-1")).await;
    drop(server);
    let (status, said) = readiness(&app).await;
    assert_eq!((status, &said["database"]["ok"]), (503, &json!(false)));
    let reason = said["database"]["reason"].as_str().unwrap();
    assert!(reason.contains("database unavailable"), "{reason}");
    assert_eq!(app.metric("aqua_database_up").await, 0);
    // The service itself lives, and what it counted is there.
    assert_eq!(app.operator("/healthz").await.0, 200);
    let accepted = r#"aqua_orders_total{publication="demodelivery",verdict="accepted"}"#;
    assert_eq!(app.metric(accepted).await, 1);

    let failed = app.post(&json!([order("A-2")])).await;
    assert_eq!(failed.status, 503);
    let outcome = r#"aqua_requests_total{outcome="storage_unavailable"}"#;
    assert_eq!(app.metric(outcome).await, 1);
}

#[tokio::test]
async fn requests_orders_faults_and_warnings_are_counted() {
    let app = TestApp::start().await;
    let bad = changed(order("B"), "/total", json!(-1));
    let bad = changed(bad, "/status", json!("(absent)"));
    app.post(&json!([order("A"), bad, order("C")])).await;
    let nonsense = app.request().body("[").send().await.unwrap();
    assert_eq!(nonsense.status(), 400);
    for (series, value) in [
        (r#"aqua_requests_total{outcome="processed"}"#, 1),
        (r#"aqua_requests_total{outcome="malformed_json"}"#, 1),
        (
            r#"aqua_orders_total{publication="demodelivery",verdict="accepted"}"#,
            2,
        ),
        (
            r#"aqua_orders_total{publication="demodelivery",verdict="rejected"}"#,
            1,
        ),
        (
            r#"aqua_order_faults_total{publication="demodelivery",code="required"}"#,
            1,
        ),
        (
            r#"aqua_order_faults_total{publication="demodelivery",code="out_of_range"}"#,
            1,
        ),
        // The product of neither is in the catalogue.
        (
            r#"aqua_order_warnings_total{publication="demodelivery",code="product_not_found"}"#,
            2,
        ),
        (r#"aqua_batch_orders_bucket{le="5.0"}"#, 1),
        (r#"aqua_batch_orders_bucket{le="2.0"}"#, 0),
        ("aqua_request_duration_seconds_count", 2),
        (r#"aqua_stage_duration_seconds_count{stage="write"}"#, 1),
        ("aqua_transactions_total", 1),
        ("aqua_coalesced_batches_total", 0),
        ("aqua_bytes_in_flight", 0),
    ] {
        assert_eq!(app.metric(series).await, value, "{series}");
    }
    let age = r#"aqua_last_accepted_order_age_seconds{publication="demodelivery"}"#;
    let (_, text) = app.operator("/metrics").await;
    assert!(text.contains(age), "{text}");
    let other = r#"aqua_last_accepted_order_age_seconds{publication="доставка"}"#;
    assert!(!text.contains(other), "{text}");
}

#[tokio::test]
async fn nothing_that_a_caller_sends_makes_a_new_series() {
    let app = TestApp::start().await;
    let series = async || {
        let (_, text) = app.operator("/metrics").await;
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let names: BTreeSet<String> = lines
            .map(|line| line.rsplit_once(' ').unwrap().0.to_owned())
            .collect();
        names
    };
    app.accept(&order("A")).await;
    let before = series().await;
    let client = reqwest::Client::new();
    for n in 0..20 {
        for path in [
            format!("/publication-{n}/hs/AquaDeliveri/getOrdersURL"),
            format!("/demodelivery/hs/AquaDeliveri/{n}"),
            format!("/{n}"),
        ] {
            let request = client
                .post(format!("http://{}{path}", app.address))
                .header("X-Request-Id", format!("id-{n}"))
                .basic_auth(format!("login-{n}"), Some("wrong"))
                .body(json!([changed(order("x"), "/status", json!(n))]).to_string());
            request.send().await.unwrap();
        }
        app.post(&json!([changed(
            order(&n.to_string()),
            "/status",
            json!(n)
        )]))
        .await;
    }
    let after = series().await;
    for outcome in ["processed", "unauthorized", "not_found", "internal_error"] {
        let outcome = format!(r#"aqua_requests_total{{outcome="{outcome}"}}"#);
        assert!(before.contains(&outcome), "{outcome}");
    }
    assert_eq!(after, before);
    let codes = FaultCode::ALL.len() + WarningCode::ALL.len();
    let counted = |name: &str| after.iter().filter(|series| series.contains(name)).count();
    let of_codes = counted("aqua_order_faults_total") + counted("aqua_order_warnings_total");
    assert_eq!(of_codes, 2 * codes, "two publications");
}

#[tokio::test]
async fn batches_that_share_a_transaction_are_counted_and_so_are_retries() {
    let app = TestApp::start().await;
    // They all name one client, so they wait for one another; a hand that holds its row makes them.
    let batch = |n: usize| {
        let client = json!({ "id": "one", "username": "Один", "comment": n.to_string() });
        json!([changed(order(&format!("order {n}")), "/client", client)])
    };
    app.post(&batch(0)).await;
    let mut hand = app.pool().begin().await.unwrap();
    sqlx::query("UPDATE client SET comment = 'by hand', version = version + 1")
        .execute(&mut *hand)
        .await
        .unwrap();
    let post = async |n: usize| app.post(&batch(n)).await;
    let release = async {
        // Until the first of them waits for the row.
        while app
            .metric(r#"aqua_transactions_running{publication="demodelivery"}"#)
            .await
            < 1
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        hand.commit().await.unwrap();
    };
    tokio::join!(post(1), post(2), post(3), release);
    assert_eq!(
        app.metric(r#"aqua_retries_total{reason="overtaken"}"#)
            .await,
        1
    );
    let queued = app
        .metric(r#"aqua_stage_duration_seconds_count{stage="queue"}"#)
        .await;
    assert_eq!(queued, 4);
}

#[tokio::test]
async fn serve_has_the_operators_listener_and_remembers_the_last_accepted_order() {
    let scratch = Scratch::new();
    let database = crate::support::postgres::database().await;
    std::fs::write(
        scratch.join("aqua.toml"),
        "[database]\nmay_lose_orders = true\n[[publication]]\nname = \"demodelivery\"\nanonymous = true\n",
    )
    .unwrap();
    let start = || Serving::start(command(&scratch).env("DATABASE_URL", database.url()));
    let age = r#"aqua_last_accepted_order_age_seconds{publication="demodelivery"}"#;
    let metrics = async |serving: &Serving| {
        let address = format!("http://{}/metrics", serving.operators_address());
        reqwest::get(address).await.unwrap().text().await.unwrap()
    };
    let serving = start();
    assert!(!metrics(&serving).await.contains(age));
    serving.post_example().await;
    assert!(metrics(&serving).await.contains(age));
    drop(serving);
    let serving = start();
    assert!(metrics(&serving).await.contains(age));
}

#[tokio::test]
async fn whoever_asks_for_plain_text_gets_prometheus_older_format() {
    let app = TestApp::start().await;
    app.accept(&order("A")).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let address = format!("http://{}/metrics", app.operators_address);
    let metrics = async |accept: Option<&str>| {
        let mut request = client.get(&address);
        if let Some(accept) = accept {
            request = request.header("Accept", accept);
        }
        let answer = request.send().await.unwrap();
        let kind = answer.headers()["content-type"]
            .to_str()
            .unwrap()
            .to_owned();
        (kind, answer.text().await.unwrap())
    };
    let prometheus =
        "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
    for accept in [None, Some("*/*"), Some(prometheus)] {
        let (kind, text) = metrics(accept).await;
        assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
        assert!(text.contains("# TYPE aqua_orders counter\n") && text.ends_with("# EOF\n"));
    }
    let (kind, text) = metrics(Some("text/plain;version=0.0.4;q=1,*/*;q=0.1")).await;
    assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
    assert!(
        text.contains("# TYPE aqua_orders_total counter\n"),
        "{text}"
    );
    assert!(!text.contains("# EOF"), "{text}");
}

#[tokio::test]
async fn with_many_publications_the_series_of_one_begin_with_its_first_order() {
    let app = TestApp::with(|config| {
        for number in 0..100 {
            let name = format!("p{number}");
            config.publications.push(anonymous_publication(&name, &[]));
        }
        config.publications[101].watched = true;
    })
    .await;
    let series = async |publication: &str| {
        let (_, text) = app.operator("/metrics").await;
        let label = format!("publication=\"{publication}\"");
        text.lines().filter(|line| line.contains(&label)).count()
    };
    assert_eq!(series("demodelivery").await, 0);
    assert!(series("p99").await > 20, "watched");
    app.accept(&order("A")).await;
    assert!(series("demodelivery").await > 20);
    assert_eq!(series("p7").await, 0);
}
