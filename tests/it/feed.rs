//! The feed: orders reach the back office (contract §8.1). Tests of a numbered promise begin with its number.

use std::{
    collections::{BTreeSet, HashMap},
    fs,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use aqua_orders::config::Config;
use chrono::{DateTime, Utc};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::Connection;
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::support::{
    app::{TestApp, changed, example_request, guest_order, order, order_of},
    back_office::{Answer, FEED, start, with_back_office},
    command::Operator,
    postgres::{TestDatabase, database},
    process::Scratch,
    serving::{self, Serving},
};

/// An answer ends behind the order with which it gets so long.
const MOST: usize = 8 * 1024 * 1024;
/// The back office waits so long at most.
const WAIT: &str = "wait=30";

async fn until_somebody_waits(app: &TestApp, count: usize) {
    for _ in 0..2000 {
        if app.feeds_waiting() == count {
            return;
        }
        sleep(Duration::from_millis(5)).await;
    }
    panic!("{} wait", app.feeds_waiting());
}

#[tokio::test]
async fn an_order_stands_in_the_feed_as_it_is_answered_but_for_dates_and_the_price_list() {
    let app = start().await;
    let request = example_request();
    let answered = app.post(&request).await;
    let id = request[0]["id"].as_str().unwrap();
    let mut due = answered.order(id).clone();
    let page = app.feed("").await;
    let [entry] = page.orders.as_slice() else {
        panic!("{page:?}");
    };
    assert!(!page.more);
    assert_eq!(entry["number"].to_string(), due["id"].as_str().unwrap());
    assert_eq!(entry["id"], id);
    assert_eq!(entry["version"], 1);
    assert_eq!(entry["changed_by"], "sender");
    assert_eq!(entry["receiver"], json!({ "number": null, "uid": null }));
    let changed_at = entry["changed_at"].as_str().unwrap();
    assert!(DateTime::parse_from_rfc3339(changed_at).is_ok() && changed_at.ends_with("+03:00"));
    // The document's example is delivered on 6 November from 11:00 UTC on.
    for date in ["created_at", "shipping_date_from", "shipping_date_to"] {
        let iso = format!("{}+03:00", due[date].as_str().unwrap().replace(' ', "T"));
        due[date] = iso.into();
    }
    due["client"]["product_price_list"] = json!([]);
    assert_eq!(entry["order"], due);
    let keys: Vec<_> = entry.as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys.len(), 7, "{keys:?}");
}

/// Every key is a name in 1C's language.
fn walk(value: &Value) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                let first = key.chars().next().unwrap();
                assert!(
                    first.is_ascii_alphabetic()
                        && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'),
                    "{key}"
                );
                walk(value);
            }
        }
        Value::Array(values) => values.iter().for_each(walk),
        _ => {}
    }
}

#[tokio::test]
async fn the_price_list_is_a_list_and_no_key_is_data() {
    let app = start().await;
    app.run(
        "INSERT INTO product (publication, number, name) VALUES ('demodelivery', 36, 'Помпа');
         INSERT INTO client (publication, number, sender_id, username) VALUES ('demodelivery', 7, 'client of A-1', 'В');
         INSERT INTO client_price (publication, client_number, product_number, price) VALUES ('demodelivery', 7, 36, 101)",
    )
    .await;
    app.accept(&order("A-1")).await;
    let page = app.feed("").await;
    assert_eq!(
        page.orders[0]["order"]["client"]["product_price_list"],
        json!([{ "product_id": 36, "external_product_id": null, "price": "101.00", "active": true }])
    );
    walk(&json!(page.orders));
}

#[tokio::test]
async fn where_strangers_see_only_what_they_sent_the_back_office_sees_all() {
    let app = TestApp::with(|config| {
        with_back_office(config);
        config.publications[0].rules.answers_stored = false;
    })
    .await;
    app.accept(&guest_order("A-1", "+79191991919")).await;
    app.accept(&changed(
        guest_order("A-2", "+79191991919"),
        "/client/username",
        "Другой",
    ))
    .await;
    let page = app.feed("").await;
    assert_eq!(page.orders[0]["order"]["client"]["username"], "Другой");
    assert_eq!(page.orders[0]["order"]["client"]["coins_amount"], 0);
}

/// Stores batches of new and of changed orders until it is told to stop, and remembers what was acknowledged.
async fn write(app: Arc<TestApp>, writer: usize, rounds: usize) -> HashMap<String, i64> {
    let mut acknowledged = HashMap::new();
    for round in 0..rounds {
        let id = |n: usize| format!("W{writer}-{n}");
        let mut batch = vec![changed(
            order_of(&format!("client {writer}"), &id(round)),
            "/total",
            round,
        )];
        if round > 0 {
            // The one before once more, with another total.
            batch.push(changed(
                order_of(&format!("client {writer}"), &id(round - 1)),
                "/total",
                round + 1000,
            ));
        }
        let answer = app.post(&json!(batch)).await;
        for order in &batch {
            let id = order["id"].as_str().unwrap();
            answer.order(id);
            acknowledged.insert(id.to_owned(), order["total"].as_i64().unwrap());
        }
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread")]
async fn promise_1_nothing_is_skipped_whatever_committed_late_hung_or_came_through_another_instance()
 {
    const WRITERS: usize = 16;
    let patient = |config: &mut Config| {
        with_back_office(config);
        config.database.lock_timeout = Duration::from_secs(20);
        config.database.statement_timeout = Duration::from_secs(25);
    };
    let one = Arc::new(TestApp::with(patient).await);
    let other = Arc::new(TestApp::beside(Arc::clone(&one.database), patient).await);
    // A client that somebody holds for five seconds: one of the writers hangs.
    one.accept(&order_of("client 0", "W0-0")).await;
    let mut holder = one.pool().acquire().await.unwrap();
    let mut lock = holder.begin().await.unwrap();
    sqlx::query("SELECT FROM orders WHERE sender_id = 'W0-0' FOR UPDATE")
        .execute(&mut *lock)
        .await
        .unwrap();
    // A transaction that has nothing to do with it is open all the time.
    let mut foreign = one.pool().acquire().await.unwrap();
    let mut foreign = foreign.begin().await.unwrap();
    sqlx::query(
        "INSERT INTO publication_mark (publication, mark) VALUES ('demodelivery', 'foreign')",
    )
    .execute(&mut *foreign)
    .await
    .unwrap();
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let app = Arc::clone(if writer % 2 == 0 { &one } else { &other });
        writers.spawn(write(app, writer, 20));
    }
    // Two readers, each from its own instance and each with its own cursor.
    let mut readers = JoinSet::new();
    let (done, is_done) = watch::channel(false);
    for app in [&one, &other] {
        let (app, is_done) = (Arc::clone(app), is_done.clone());
        readers.spawn(async move {
            let mut seen: HashMap<String, (i64, Value)> = HashMap::new();
            let mut cursor = String::new();
            loop {
                let was_done = *is_done.borrow();
                let page = app
                    .ask_feed(&format!("?after={cursor}&limit=7"))
                    .await
                    .page();
                for order in &page.orders {
                    let id = order["id"].as_str().unwrap().to_owned();
                    let version = order["version"].as_i64().unwrap();
                    let before = seen.insert(id, (version, order["order"]["total"].clone()));
                    assert!(
                        before.is_none_or(|(before, _)| before <= version),
                        "a version fell"
                    );
                }
                cursor = page.cursor;
                if was_done && !page.more && page.orders.is_empty() {
                    return seen;
                }
            }
        });
    }
    sleep(Duration::from_secs(5)).await;
    lock.rollback().await.unwrap();
    let mut acknowledged = HashMap::new();
    while let Some(written) = writers.join_next().await {
        acknowledged.extend(written.unwrap());
    }
    done.send(true).unwrap();
    while let Some(seen) = readers.join_next().await {
        let seen = seen.unwrap();
        for (id, total) in &acknowledged {
            assert_eq!(seen[id].1, *total, "{id}");
        }
        assert_eq!(seen.len(), acknowledged.len());
    }
    foreign.rollback().await.unwrap();
}

#[tokio::test]
async fn promise_1_a_row_that_is_committed_late_comes_behind_what_was_read_meanwhile() {
    let app = start().await;
    app.accept(&order("A-1")).await;
    let mut late = app.pool().acquire().await.unwrap();
    let mut late = late.begin().await.unwrap();
    sqlx::query("UPDATE orders SET version = version + 1, status = 'approved'")
        .execute(&mut *late)
        .await
        .unwrap();
    sqlx::query("UPDATE feed SET version = version + 1, position = NULL, changed_by = 'operator'")
        .execute(&mut *late)
        .await
        .unwrap();
    app.accept(&order("A-2")).await;
    let first = app.feed("").await;
    assert_eq!(
        first.versions(),
        [("A-2", 1)],
        "it is held, and nobody waits for it"
    );
    app.accept(&order("A-3")).await;
    let second = app.feed(&first.cursor).await;
    assert_eq!(second.versions(), [("A-3", 1)]);
    late.commit().await.unwrap();
    let third = app.feed(&second.cursor).await;
    assert_eq!(third.versions(), [("A-1", 2)]);
    // From every cursor that was given, everything behind it.
    assert_eq!(
        app.feed(&first.cursor).await.versions(),
        [("A-3", 1), ("A-1", 2)]
    );
    assert_eq!(
        app.feed("").await.versions(),
        [("A-2", 1), ("A-3", 1), ("A-1", 2)]
    );
}

#[tokio::test]
async fn promise_2_an_order_stands_in_the_feed_once_at_its_last_change_as_it_is_when_read() {
    let app = start().await;
    for id in ["A-1", "A-2", "A-3"] {
        app.accept(&order(id)).await;
    }
    let all = app.feed("").await;
    assert_eq!(all.versions(), [("A-1", 1), ("A-2", 1), ("A-3", 1)]);
    app.accept(&changed(order("A-2"), "/total", 720)).await;
    app.accept(&changed(order("A-2"), "/total", 730)).await;
    app.accept(&changed(order("A-1"), "/comment", "позвонить"))
        .await;
    let page = app.feed("").await;
    assert_eq!(page.versions(), [("A-3", 1), ("A-2", 3), ("A-1", 2)]);
    assert_eq!(page.orders[1]["order"]["total"], 730);
    assert_eq!(
        app.feed(&all.cursor).await.versions(),
        [("A-2", 3), ("A-1", 2)]
    );
    assert_eq!(app.count("feed").await, 3, "a row an order");
    // What changes nothing moves nothing.
    app.accept(&changed(order("A-3"), "/total", 710)).await;
    assert_eq!(app.feed(&page.cursor).await.versions(), []);
}

#[tokio::test]
async fn an_operators_change_moves_the_order_and_says_whose_it_is() {
    let app = start().await;
    app.accept(&order("A-1")).await;
    let before = app.feed("").await;
    let operator = Operator::of(&app.database);
    let set = operator
        .run(["order", "set-status", "A-1", "approved"])
        .await;
    set.done();
    let after = app.feed(&before.cursor).await;
    assert_eq!(after.versions(), [("A-1", 2)]);
    assert_eq!(after.orders[0]["changed_by"], "operator");
    assert_eq!(after.orders[0]["order"]["status"], "approved");
    let row: (i32, i32, i32) =
        sqlx::query_as("SELECT by_sender, by_operator, by_back_office FROM feed")
            .fetch_one(&app.pool())
            .await
            .unwrap();
    assert_eq!(row, (1, 2, 0));
    app.accept(&changed(order("A-1"), "/total", 1)).await;
    let row: (i32, i32, String) =
        sqlx::query_as("SELECT by_sender, by_operator, changed_by FROM feed")
            .fetch_one(&app.pool())
            .await
            .unwrap();
    assert_eq!(row, (3, 2, "sender".into()), "the operator's is not hidden");
}

#[tokio::test]
async fn a_senders_change_beneath_the_back_offices_own_is_read_with_it() {
    let app = start().await;
    app.accept(&order("A-1")).await;
    let before = app.feed("").await;
    app.accept(&changed(order("A-1"), "/comment", "у двери"))
        .await;
    app.report_one(&json!({ "number": 1, "version": 1, "status": "approved" }))
        .await;
    let after = app.feed(&before.cursor).await;
    assert_eq!(after.versions(), [("A-1", 3)]);
    let entry = &after.orders[0];
    assert_eq!(entry["changed_by"], "back_office", "who changed it last");
    assert_eq!(entry["order"]["comment"], "у двери");
    assert_eq!(entry["order"]["status"], "approved");
}

#[tokio::test]
async fn a_reader_does_not_notice_that_connections_broke_meanwhile() {
    let app = start().await;
    app.post(&json!([order("read")])).await;
    for _ in 0..3 {
        assert_eq!(app.feed("").await.orders.len(), 1);
        app.run(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
             WHERE application_name = 'aqua-orders' AND datname = current_database()",
        )
        .await;
    }
}

#[tokio::test]
async fn promise_3_reading_confirms_and_deletes_nothing() {
    let app = start().await;
    for n in 0..5 {
        app.accept(&order(&format!("A-{n}"))).await;
    }
    let first = app.ask_feed("?limit=2").await.page();
    assert!(first.more && first.orders.len() == 2);
    let once = app.feed(&first.cursor).await;
    // A 1C from a backup, or a test copy of it, goes on from an old cursor.
    for _ in 0..3 {
        let again = app.feed(&first.cursor).await;
        assert_eq!((&again.orders, &again.cursor), (&once.orders, &once.cursor));
    }
    assert_eq!(once.versions(), [("A-2", 1), ("A-3", 1), ("A-4", 1)]);
    assert_eq!(app.ask_feed("?limit=2").await.page().orders, first.orders);
}

/// Copies a database: what a dump and a restore leave.
async fn restored(app: &TestApp) -> Arc<TestDatabase> {
    let fresh = Arc::new(database().await);
    let scratch = Scratch::new();
    let script = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("deploy")
            .join(name);
        let mut command = Command::new(path);
        command
            .env("AQUA_BACKUP_FOLDER", scratch.join("backups"))
            .stdin(Stdio::null());
        command
    };
    let dump = script("backup.sh")
        .env("DATABASE_URL", app.database.url())
        .output()
        .unwrap();
    assert!(
        dump.status.success(),
        "{}",
        String::from_utf8_lossy(&dump.stderr)
    );
    let dump = String::from_utf8(dump.stdout).unwrap();
    let done = script("restore.sh")
        .arg(dump.trim())
        .env("DATABASE_URL", fresh.url())
        .output()
        .unwrap();
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    fresh
}

#[tokio::test]
async fn promise_4_a_cursor_of_a_history_that_is_gone_is_410_and_since_goes_on_from_there() {
    let app = start().await;
    app.accept(&order("A-1")).await;
    let kept = app.feed("").await;
    let fresh = restored(&app).await;
    // The dump has been made: what follows is lost.
    app.accept(&order("lost 1")).await;
    app.accept(&order("lost 2")).await;
    let lost = app.feed(&kept.cursor).await;
    let second = TestApp::beside(fresh, with_back_office).await;
    let code = |answer: &Answer| (answer.failure().0, answer.failure().1.to_owned());
    let gone = (410, "cursor_lost".to_owned());
    // Before anything new came, and when positions have grown past the cursor's.
    assert_eq!(
        code(&second.ask_feed(&format!("?after={}", lost.cursor)).await),
        gone
    );
    let before = Utc::now().to_rfc3339();
    for n in 0..5 {
        second.accept(&order(&format!("B-{n}"))).await;
        second.feed("").await;
    }
    assert_eq!(
        code(&second.ask_feed(&format!("?after={}", lost.cursor)).await),
        gone
    );
    // A cursor from before the dump holds.
    assert_eq!(second.feed(&kept.cursor).await.orders.len(), 5);
    let since = second
        .ask_feed(&format!("?since={}", before.replace('+', "%2B")))
        .await
        .page();
    assert_eq!(since.orders.len(), 5, "{:?}", since.versions());
    assert_eq!(second.feed(&since.cursor).await.orders.len(), 0);
}

#[tokio::test]
async fn promise_4_a_cursor_is_bound_to_its_publication() {
    let app = start().await;
    app.accept(&order("A-1")).await;
    let there = "/%D0%B4%D0%BE%D1%81%D1%82%D0%B0%D0%B2%D0%BA%D0%B0/hs/AquaDeliveri";
    app.post_to(&format!("{there}/getOrdersURL"), &json!([order("B-1")]))
        .await;
    let here = app.feed("").await;
    let other = Answer::of(app.as_back_office(Method::GET, &format!("{there}/v1/orders"))).await;
    let other = other.page();
    assert_eq!(other.versions(), [("B-1", 1)]);
    let foreign = app.ask_feed(&format!("?after={}", other.cursor)).await;
    assert_eq!(foreign.failure(), (410, "cursor_lost"));
    let foreign = format!("{there}/v1/orders?after={}", here.cursor);
    let foreign = Answer::of(app.as_back_office(Method::GET, &foreign)).await;
    assert_eq!(foreign.failure(), (410, "cursor_lost"));
}

#[tokio::test]
async fn promise_4_garbage_is_400_and_never_a_reading_from_elsewhere() {
    let app = start().await;
    app.accept(&order("A-1")).await;
    let cursor = app.feed("").await.cursor;
    for query in [
        "?after=1".to_owned(),
        "?after=garbage".into(),
        format!("?after={}", &cursor[..cursor.len() - 1]),
        format!("?after={cursor}0"),
        format!("?after={cursor}&since=2026-11-24"),
        "?since=soon".into(),
        "?since=".into(),
        "?limit=0".into(),
        "?limit=501".into(),
        "?limit=many".into(),
        "?limit=1&limit=2".into(),
        "?wait=31".into(),
        "?wait=-1".into(),
        "?wait=1s".into(),
        "?cursor=".to_owned() + &cursor,
        "?dry_run=true".into(),
    ] {
        let answer = app.ask_feed(&query).await;
        assert_eq!(answer.failure(), (400, "invalid_parameter"), "{query}");
    }
    // A cursor that looks like one, and was never given.
    let never = format!("?after=2.{}", "0".repeat(32));
    assert_eq!(app.ask_feed(&never).await.failure(), (410, "cursor_lost"));
}

#[tokio::test]
async fn since_never_leaves_out_what_was_changed_from_then_on() {
    let app = start().await;
    app.accept(&order("A-1")).await;
    app.feed("").await;
    let between: DateTime<Utc> = app.value("SELECT clock_timestamp()").await;
    app.accept(&order("A-2")).await;
    // Its clock is put back by an hour.
    app.feed("").await;
    app.run("UPDATE feed_mark SET placed_at = placed_at + interval '1 hour' WHERE position = 2")
        .await;
    app.accept(&order("A-3")).await;
    app.feed("").await;
    let since = |moment: String| {
        let app = &app;
        async move { app.ask_feed(&format!("?since={moment}")).await.page() }
    };
    let moment = between.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
    assert_eq!(since(moment).await.versions(), [("A-2", 1), ("A-3", 1)]);
    assert_eq!(since("2020-01-01T00:00".into()).await.orders.len(), 3);
    let late = since("2100-01-01T00:00".into()).await;
    assert_eq!(late.orders.len(), 0);
    app.accept(&order("A-4")).await;
    assert_eq!(app.feed(&late.cursor).await.versions(), [("A-4", 1)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn promise_5_a_commit_on_any_instance_ends_the_waiting() {
    let one = Arc::new(start().await);
    let other = TestApp::beside(Arc::clone(&one.database), with_back_office).await;
    let wait = |cursor: String| {
        let app = Arc::clone(&one);
        tokio::spawn(async move {
            app.ask_feed(&format!("?after={cursor}&{WAIT}"))
                .await
                .page()
        })
    };
    let waiting = wait(String::new());
    until_somebody_waits(&one, 1).await;
    one.accept(&order("here")).await;
    let page = timeout(Duration::from_secs(10), waiting)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(page.versions(), [("here", 1)]);
    let waiting = wait(page.cursor.clone());
    until_somebody_waits(&one, 1).await;
    other.accept(&order("there")).await;
    let page = timeout(Duration::from_secs(10), waiting)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(page.versions(), [("there", 1)]);
    // Somebody else's reading placed it before we looked.
    let waiting = wait(page.cursor.clone());
    until_somebody_waits(&one, 1).await;
    other.accept(&order("placed there")).await;
    other.feed(&page.cursor).await;
    let page = timeout(Duration::from_secs(10), waiting)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(page.versions(), [("placed there", 1)]);
    // And when the time is up, the same cursor comes back.
    let page_2 = one
        .ask_feed(&format!("?after={}&wait=1", page.cursor))
        .await
        .page();
    assert_eq!(
        (page_2.orders.len(), page_2.more, page_2.cursor),
        (0, false, page.cursor)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn promise_5_who_waits_holds_no_connection_and_four_may_wait_for_a_login() {
    let app = Arc::new(
        TestApp::with(|config| {
            with_back_office(config);
            config.database.connections = 2;
        })
        .await,
    );
    let mut waiting = JoinSet::new();
    for _ in 0..4 {
        let app = Arc::clone(&app);
        waiting.spawn(async move { app.ask_feed(&format!("?{WAIT}")).await.page() });
    }
    until_somebody_waits(&app, 4).await;
    let fifth = app.ask_feed(&format!("?{WAIT}")).await;
    assert_eq!(fifth.failure(), (503, "overloaded"));
    let says = "Под этим логином уже ждут 4 запроса, больше нельзя: дождитесь ответа или спросите без wait.";
    assert_eq!(fifth.body["message"], says);
    assert_eq!(
        app.ask_feed("").await.page().orders.len(),
        0,
        "who does not wait is answered"
    );
    app.accept(&order("A-1")).await;
    while let Some(page) = waiting.join_next().await {
        assert_eq!(page.unwrap().versions(), [("A-1", 1)]);
    }
    // Operators see that they were answered.
    for (name, count) in [("aqua_feed_reads_total", 5), ("aqua_feed_orders_total", 4)] {
        let series = format!("{name}{{publication=\"demodelivery\"}}");
        assert_eq!(app.metric(&series).await, count, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn promise_5_a_stop_ends_the_waiting_at_once_with_what_is_there() {
    let app = start().await;
    let request = app.as_back_office(Method::GET, &format!("{FEED}?{WAIT}"));
    let waiting = tokio::spawn(Answer::of(request));
    until_somebody_waits(&app, 1).await;
    let begin = Instant::now();
    app.stop().await;
    let page = waiting.await.unwrap().page();
    assert_eq!((page.orders.len(), page.cursor.as_str()), (0, ""));
    assert!(
        begin.elapsed() < Duration::from_secs(10),
        "the rest of the wait is not waited for"
    );
}

#[tokio::test]
async fn promise_6_a_change_of_a_client_or_an_address_alone_moves_no_order() {
    let app = start().await;
    app.accept(&order_of("c", "A-1")).await;
    let before = app.feed("").await;
    let other = changed(order_of("c", "A-2"), "/client/username", "Другое имя");
    app.accept(&changed(other, "/client/phone", "+79191991919"))
        .await;
    let after = app.feed(&before.cursor).await;
    assert_eq!(after.versions(), [("A-2", 1)]);
    app.run("UPDATE client SET version = version + 1, username = 'Третье'; UPDATE address SET room = '5'").await;
    assert_eq!(app.feed(&after.cursor).await.orders.len(), 0);
    let as_it_is = app.feed("").await;
    assert_eq!(as_it_is.orders[0]["order"]["client"]["username"], "Третье");
}

#[tokio::test]
async fn promise_7_what_changes_nothing_writes_nothing_to_the_feed() {
    let app = start().await;
    let batch = json!([order("A-1"), order("A-2")]);
    app.post(&batch).await;
    app.feed("").await;
    let rows =
        || app.values::<String>("SELECT xmin::text || ctid::text FROM feed ORDER BY order_number");
    let before = rows().await;
    app.post(&batch).await;
    app.feed("").await;
    assert_eq!(rows().await, before);
    assert_eq!(app.count("feed_mark").await, 1);
}

#[tokio::test]
async fn an_answer_ends_at_8_mib_and_has_one_order_at_least() {
    let app = start().await;
    let line = json!({ "product_id": "p", "price": 1, "quantity": 1, "name": "я".repeat(250) });
    for n in 0..5 {
        let batch: Vec<_> = (0..10)
            .map(|m| {
                let order = order_of("c", &format!("A-{n}{m}"));
                changed(order, "/order_item_list", vec![line.clone(); 500])
            })
            .collect();
        app.post(&json!(batch)).await.order(&format!("A-{n}0"));
    }
    let first = app.feed("").await;
    assert!(
        first.more && (MOST..MOST + 1024 * 1024).contains(&first.bytes),
        "{}",
        first.bytes
    );
    let whole = app.whole_feed("").await;
    let ids: BTreeSet<_> = whole
        .versions()
        .into_iter()
        .map(|(id, _)| id.to_owned())
        .collect();
    assert_eq!((ids.len(), whole.orders.len()), (50, 50));
    assert_eq!(app.ask_feed("?limit=1").await.page().orders.len(), 1);
}

#[tokio::test]
async fn who_read_what_is_logged_without_a_word_of_the_orders() {
    let scratch = Scratch::new();
    let hash = serving::hash_password(&scratch, "secret");
    fs::write(
        scratch.join("aqua.toml"),
        format!(
            "[database]\nmay_lose_orders = true\n[[publication]]\nname = \"demodelivery\"\nanonymous = true\n\
             users = [{{ login = \"1c\", password_hash = \"{hash}\", role = \"back_office\" }}]\n"
        ),
    )
    .unwrap();
    let database = database().await;
    let mut serving =
        Serving::start(serving::command(&scratch).env("DATABASE_URL", database.url()));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    serving.post_example().await;
    let address = format!("http://{}{FEED}", serving.address);
    let page = Answer::of(client.get(&address).basic_auth("1c", Some("secret")))
        .await
        .page();
    assert_eq!(page.orders.len(), 1);
    let line = serving.hear("up_to");
    for said in [
        "user=\"1c\"",
        "after=0",
        "up_to=1",
        "orders=1",
        "publication=\"demodelivery\"",
    ] {
        assert!(line.contains(said), "{said}: {line}");
    }
    assert!(
        !line.contains("secret") && !line.contains("Basic"),
        "{line}"
    );
}

#[tokio::test]
async fn the_feeds_path_may_be_spelled_as_the_orders_may_and_takes_no_other_method() {
    let app = start().await;
    app.accept(&order("A-1")).await;
    for path in [
        "/DEMODELIVERY/HS/aquadeliveri/V1/ORDERS/",
        "/demodelivery_web//hs//AquaDeliveri/v1/orders%20",
        "/demodelivery/%68s/AquaDeliveri/v1/orders",
    ] {
        let page = Answer::of(app.as_back_office(Method::GET, path))
            .await
            .page();
        assert_eq!(page.orders.len(), 1, "{path}");
    }
    let answer = Answer::of(app.as_back_office(Method::PUT, FEED)).await;
    assert_eq!(answer.failure(), (405, "method_not_allowed"));
    let path = "/demodelivery/hs/AquaDeliveri/v1/goods";
    let answer = Answer::of(app.as_back_office(Method::POST, path)).await;
    assert_eq!(answer.failure(), (404, "not_found"));
    let says = answer.body["message"].as_str().unwrap();
    for there in [
        "getOrdersURL",
        "v1/orders",
        "v1/orders/results",
        "v1/products",
    ] {
        assert!(says.contains(there), "{says}");
    }
}
