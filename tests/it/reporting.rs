//! What reports may read, and what they may not.

use std::{path::Path, process::Command};

use serde_json::json;
use sqlx::{AssertSqlSafe, Executor};

use crate::support::app::{TestApp, changed, example_request, order};

fn apply(url: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/reporting.sql");
    let ran = Command::new("psql")
        .args(["-X", "-d", url, "-f"])
        .arg(file)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{said}");
    assert_eq!(said, "");
}

#[tokio::test]
async fn the_reporting_role_reads_its_views_and_they_hold_nothing_of_people() {
    let app = TestApp::start().await;
    app.post(&example_request()).await;
    let bad = changed(order("B"), "/total", json!(-1));
    let answer = app.post(&json!([bad])).await;
    assert_eq!(answer.faults("B"), ["total: out_of_range"]);
    let url = app.database.url();
    apply(&url);
    // Again, as after an update.
    apply(&url);
    let mut connection = app.pool().acquire().await.unwrap();
    connection.execute("SET ROLE aqua_reporting").await.unwrap();
    let mut all = String::new();
    for (view, rows) in [
        ("orders", 1),
        ("order_items", 1),
        ("clients", 1),
        ("products", 0),
        ("batches", 2),
        ("faults", 1),
    ] {
        let sql = format!("SELECT coalesce(json_agg(v), '[]')::text FROM reporting.{view} v");
        let text: String = sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_one(&mut *connection)
            .await
            .unwrap();
        let found: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
        assert_eq!(found.len(), rows, "{view}: {text}");
        all.push_str(&text);
    }
    assert!(
        all.contains("out_of_range") && all.contains("Сыктывкар"),
        "{all}"
    );
    let sent = &example_request()[0];
    for personal in [
        "/client/username",
        "/client/phone",
        "/comment",
        "/shipping_address/street",
    ] {
        let value = sent.pointer(personal).and_then(|value| value.as_str());
        let value = value.filter(|value| !value.is_empty());
        assert!(
            value.is_none_or(|value| !all.contains(value)),
            "{personal}: {all}"
        );
    }
    for forbidden in ["orders", "client", "journal_batch", "client_session"] {
        let sql = format!("SELECT * FROM public.{forbidden} LIMIT 1");
        assert!(
            connection.execute(AssertSqlSafe(sql)).await.is_err(),
            "{forbidden}"
        );
    }
    assert!(
        connection
            .execute("DELETE FROM reporting.orders")
            .await
            .is_err()
    );
    // The pool must not get it back as somebody else's.
    connection.execute("RESET ROLE").await.unwrap();
}
