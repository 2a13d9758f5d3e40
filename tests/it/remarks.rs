//! An accepted order of which something was not taken is in the journal as it came, with its warnings (contract §7).

use aqua_orders::{
    config::Journal,
    order::model::{Client, ClientType},
    retention,
    store::{
        Store,
        write::{BatchRow, Write},
    },
};
use chrono::TimeDelta;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{
    app::{TestApp, changed, order},
    command::{Operator, Said},
};

/// An order of which something is left out.
fn with_remark(id: &str) -> Value {
    changed(order(id), "/comment", json!("x".repeat(70_000)))
}

fn objects(said: Said) -> Vec<Value> {
    let lines = said.done();
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// `field: code` of each, sorted.
fn codes(entries: &Value) -> Vec<String> {
    let mut codes: Vec<String> = entries
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| {
            let part = |name: &str| entry[name].as_str().unwrap();
            format!("{}: {}", part("field"), part("code"))
        })
        .collect();
    codes.sort_unstable();
    codes
}

const WITH_REMARKS: &str = r#"aqua_orders_with_remarks_total{publication="demodelivery"}"#;
const NOT_KEPT: &str = r#"aqua_journal_not_kept_total{publication="demodelivery"}"#;

#[tokio::test]
async fn an_accepted_order_of_which_something_was_not_taken_is_kept_as_it_came_with_all_its_warnings()
 {
    let app = TestApp::start().await;
    let operator = Operator::of(&app.database);
    let sent = with_remark("a-2");
    let answer = app.post(&json!([order("a-1"), sent])).await;
    answer.order("a-1");
    answer.order("a-2");

    let kept = objects(operator.run(["journal", "remarks", "--json"]).await);
    assert_eq!(kept.len(), 1);
    let kept = &kept[0];
    assert_eq!(
        (&kept["order"], &kept["place"], &kept["accepted"]),
        (&json!("a-2"), &json!(1), &json!(true))
    );
    assert_eq!(kept["body"], sent.to_string());
    assert_eq!(kept["errors"], json!([]));
    // Everyday warnings come along.
    assert_eq!(kept["warnings"], answer.entry("a-2")["warnings"]);
    assert_eq!(
        codes(&kept["warnings"]),
        [
            "comment: too_long",
            "order_item_list[0].product_id: product_not_found"
        ]
    );
    assert_eq!(app.metric(WITH_REMARKS).await, 1);
    let accepted = r#"aqua_orders_total{publication="demodelivery",verdict="accepted"}"#;
    assert_eq!(app.metric(accepted).await, 2);

    // The lists tell the two kinds apart.
    app.post(&json!([changed(order("a-3"), "/total", json!(-1))]))
        .await;
    let table = operator.run(["journal", "remarks"]).await.done();
    // A batch's id may contain the same characters.
    let lists = |table: &str, id: &str| table.split_whitespace().any(|word| word == id);
    assert!(
        lists(&table, "a-2") && table.contains("comment: too_long"),
        "{table}"
    );
    assert!(!lists(&table, "a-3"), "{table}");
    let table = operator.run(["journal", "rejected"]).await.done();
    assert!(lists(&table, "a-3") && !lists(&table, "a-2"), "{table}");
    let found = |code: &'static str| {
        let operator = &operator;
        async move {
            let remarks = ["journal", "remarks", "--json", "--code", code];
            let batches = ["journal", "batches", "--json", "--code", code];
            let remarks = objects(operator.run(remarks).await);
            let batches = objects(operator.run(batches).await);
            (remarks.len(), batches.len())
        }
    };
    assert_eq!(found("too_long").await, (1, 1));
    assert_eq!(found("product_not_found").await, (1, 1));
    assert_eq!(found("out_of_range").await, (0, 1));
    assert_eq!(found("product_ambiguous").await, (0, 0));

    let batches = objects(operator.run(["journal", "batches", "--json"]).await);
    assert_eq!(
        (&batches[1]["accepted"], &batches[1]["with_remarks"]),
        (&json!(2), &json!(1))
    );
    let id = batches[1]["batch"].as_str().unwrap();
    let shown = operator.run(["journal", "show", id]).await.done();
    for part in [
        "order a-2 was accepted with remarks",
        "(too_long)",
        "(product_not_found)",
        r#""id": "a-2""#,
    ] {
        assert!(shown.contains(part), "{part}\n{shown}");
    }
    assert!(!shown.contains("not kept"), "{shown}");
    let shown = objects(operator.run(["journal", "show", id, "--json"]).await);
    assert_eq!(shown[0]["rejected_orders"], json!([]));
    assert_eq!(shown[0]["orders_with_remarks"][0]["order"], "a-2");
    let history = operator.run(["journal", "order", "a-2"]).await.done();
    for part in [
        "accepted, new",
        "accepted with remarks",
        "comment: too_long",
    ] {
        assert!(history.contains(part), "{part}\n{history}");
    }
}

#[tokio::test]
async fn a_value_left_out_rounded_or_shortened_has_the_order_kept_and_a_long_text_kept_whole_has_not()
 {
    let app = TestApp::start().await;
    for (number, (pointer, value, warning, is_kept)) in [
        (
            "/count_of_returned_bottles",
            json!("many"),
            "wrong_type",
            true,
        ),
        ("/delivery_cost", json!(-1), "out_of_range", true),
        ("/delivery_cost", json!("10.005"), "rounded", true),
        ("/created_at", json!("yesterday"), "invalid_format", true),
        ("/client/type", json!("cat"), "not_allowed", true),
        (
            "/client/phone",
            json!("+79191991919 доб. 5"),
            "invalid_format",
            true,
        ),
        (
            "/client/phones",
            json!(["+79191991919", "?"]),
            "invalid_format",
            true,
        ),
        (
            "/client/addresses",
            json!([{ "city": "Сыктывкар" }]),
            "required",
            true,
        ),
        ("/client/username", json!("а\0б"), "invalid_format", true),
        ("/comment", json!("x".repeat(70_000)), "too_long", true),
        (
            "/shipping_address/house",
            json!("19 корпус 2"),
            "too_long",
            false,
        ),
        (
            "/client/external_id",
            json!("сайт-5"),
            "external_id_ignored",
            false,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("a-{number}");
        let answer = app
            .post(&json!([changed(order(&id), pointer, value.clone())]))
            .await;
        answer.order(&id);
        let codes = codes(&answer.entry(&id)["warnings"]);
        assert!(
            codes
                .iter()
                .any(|code| code.ends_with(&format!(": {warning}"))),
            "{pointer} {value}: {codes:?}"
        );
        let kept: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM journal_rejected WHERE order_key = $1 AND warnings IS NOT NULL",
        )
        .bind(&id)
        .fetch_one(&app.pool())
        .await
        .unwrap();
        assert_eq!(kept, i64::from(is_kept), "{pointer} {value}");
    }
    assert_eq!(app.metric(WITH_REMARKS).await, 10);
    // Of an order that stands twice in its batch, the element of which something was not taken.
    let twice = changed(order("b-1"), "/created_at", json!("yesterday"));
    app.post(&json!([twice, order("b-1")])).await.order("b-1");
    let places: Vec<i32> = app
        .values("SELECT position FROM journal_rejected WHERE order_key = 'b-1' ORDER BY position")
        .await;
    assert_eq!(places, [0]);
}

#[tokio::test]
async fn everyday_warnings_write_no_body() {
    let app = TestApp::with(|config| {
        config.publications[0].rules.payment_types = Some(vec!["cash".to_owned()]);
    })
    .await;
    let first = app.accept(&order("a-1")).await;
    let number = &first["client"]["id"];
    app.accept(&changed(order("a-1"), "/status", json!("approved")))
        .await;
    let mut everyday = changed(order("a-1"), "/client/id", json!("client of a-1"));
    everyday["payment_type"] = json!("barter");
    everyday["shipping_address"]["user_address_id"] = json!(4711);
    let mut other = order("a-2");
    other["client"]["external_id"] = number.clone();
    let answer = app.post(&json!([everyday, other])).await;
    assert_eq!(
        codes(&answer.entry("a-1")["warnings"]),
        [
            "order_item_list[0].product_id: product_not_found",
            "payment_type: payment_type_unknown",
            "shipping_address.user_address_id: address_not_found",
            "status: status_not_changed",
        ]
    );
    assert_eq!(
        codes(&answer.entry("a-2")["warnings"]),
        [
            "client.external_id: external_id_ignored",
            "order_item_list[0].product_id: product_not_found",
        ]
    );
    assert_eq!(app.count("journal_rejected").await, 0);
    assert_eq!(app.metric(WITH_REMARKS).await, 0);
}

#[tokio::test]
async fn the_same_order_sent_again_unchanged_is_kept_once_a_day() {
    let app = TestApp::start().await;
    let operator = Operator::of(&app.database);
    for _ in 0..3 {
        app.accept(&with_remark("a-1")).await;
    }
    assert_eq!(app.count("journal_rejected").await, 1);
    // Each batch says how many it had.
    let batches = objects(operator.run(["journal", "batches", "--json"]).await);
    assert!(batches.iter().all(|batch| batch["with_remarks"] == 1));
    let last = batches[0]["batch"].as_str().unwrap();
    let shown = operator.run(["journal", "show", last]).await.done();
    assert!(
        shown
            .contains("1 accepted orders with remarks are not kept: the same text was kept before"),
        "{shown}"
    );
    assert_eq!(app.metric(WITH_REMARKS).await, 3);
    assert_eq!(app.metric(NOT_KEPT).await, 0);

    // Something new of it, and back to what was there: each time the order changes.
    let other = changed(with_remark("a-1"), "/total", json!(720));
    app.accept(&other).await;
    assert_eq!(app.count("journal_rejected").await, 2);
    app.accept(&with_remark("a-1")).await;
    assert_eq!(app.count("journal_rejected").await, 3);
    app.accept(&with_remark("a-1")).await;
    assert_eq!(app.count("journal_rejected").await, 3);
    // What was sent without the remark before, and then with it, changes nothing and is kept.
    let mut clean = order("b-1");
    clean["comment"] = json!("x".repeat(65_536));
    app.accept(&clean).await;
    let versions = "SELECT sum(version) FROM orders";
    let before: i64 = app.value(versions).await;
    app.accept(&with_remark("b-1")).await;
    let after: i64 = app.value(versions).await;
    assert_eq!((before, app.count("journal_rejected").await), (after, 4));
}

#[tokio::test]
async fn orders_with_remarks_share_the_days_budget_and_rejected_ones_come_first() {
    let app = TestApp::with(|config| config.journal.rejected_bytes_per_day = 100_000).await;
    let mut rejected = changed(order("bad"), "/total", json!(-1));
    rejected["comment"] = json!("x".repeat(60_000));
    let answer = app.post(&json!([with_remark("a-1"), rejected])).await;
    answer.order("a-1");
    assert_eq!(answer.faults("bad"), ["total: out_of_range"]);
    let keys: Vec<String> = app.values("SELECT order_key FROM journal_rejected").await;
    assert_eq!(keys, ["bad"]);
    assert_eq!(app.metric(NOT_KEPT).await, 1);
    // It is stored and has its receipt all the same, and nothing else is kept from then on.
    app.accept(&with_remark("a-2")).await;
    assert_eq!(app.count("orders").await, 2);
    assert_eq!(app.count("journal_rejected").await, 1);
    assert_eq!(app.metric(NOT_KEPT).await, 2);
    let counted = "SELECT sum(with_remarks) FROM journal_batch";
    let counted: i64 = app.value(counted).await;
    assert_eq!(counted, 2);
    // An order with remarks uses the budget up, too.
    let app = TestApp::with(|config| config.journal.rejected_bytes_per_day = 100_000).await;
    app.accept(&with_remark("a-1")).await;
    assert_eq!(app.count("journal_rejected").await, 1);
    let mut rejected = changed(order("bad"), "/total", json!(-1));
    rejected["comment"] = json!("x".repeat(60_000));
    app.post(&json!([rejected])).await;
    assert_eq!(app.count("journal_rejected").await, 1);
    assert_eq!(app.metric(NOT_KEPT).await, 1);
}

#[tokio::test]
async fn an_order_with_remarks_that_the_journal_does_not_take_is_stored_all_the_same() {
    let app = TestApp::start().await;
    app.run("ALTER TABLE journal_rejected ADD CHECK (warnings IS NULL)")
        .await;
    let answer = app.post(&json!([with_remark("a-1"), order("a-2")])).await;
    answer.order("a-1");
    answer.order("a-2");
    assert_eq!(app.count("orders").await, 2);
    assert_eq!(app.count("journal_rejected").await, 0);
    assert_eq!(app.metric(NOT_KEPT).await, 1);
}

#[tokio::test]
async fn what_the_journal_does_not_take_costs_nothing_of_the_days_budget() {
    let app = TestApp::with(|config| config.journal.rejected_bytes_per_day = 100_000).await;
    let mut rejected = changed(order("bad"), "/total", json!(-1));
    rejected["comment"] = json!("x".repeat(60_000));
    app.run("ALTER TABLE journal_rejected ADD CONSTRAINT none CHECK (false) NOT VALID")
        .await;
    let batch = json!([order("a-1"), rejected]);
    app.post(&batch).await.order("a-1");
    assert_eq!(app.count("journal_rejected").await, 0);
    assert_eq!(app.metric(NOT_KEPT).await, 1);
    assert_eq!(kept_bytes(&app).await, 0);
    app.run("ALTER TABLE journal_rejected DROP CONSTRAINT none")
        .await;
    app.post(&batch).await.order("a-1");
    assert_eq!(app.count("journal_rejected").await, 1);
    assert_eq!(app.metric(NOT_KEPT).await, 1);
}

async fn kept_bytes(app: &TestApp) -> i64 {
    app.value("SELECT sum(kept_bytes) FROM journal_batch").await
}

#[tokio::test]
async fn a_line_that_shares_a_transaction_with_new_orders_counts_in_the_days_budget() {
    let app = TestApp::start().await;
    let store = Store::new(app.database.options(), &app.database.settings());
    let now = store.now().await.unwrap();
    let row = |kept_bytes, accepted| BatchRow {
        batch: Uuid::now_v7(),
        received_at: now,
        request_id: String::new(),
        login: None,
        orders: accepted,
        accepted,
        rejected: 0,
        with_remarks: 0,
        kept_bytes,
        dry_run: false,
    };
    let client = Client {
        number: 4711,
        version: 0,
        sender_id: Some("new".to_owned()),
        guest_phone: None,
        username: "Иван".to_owned(),
        phone: None,
        phones: Vec::new(),
        email: None,
        comment: None,
        account_number: None,
        kind: ClientType::Fiz,
        bank_account: None,
        legal_address: Vec::new(),
        coins_amount: 0.into(),
        loyalty_system_is_active: None,
        addresses: Vec::new().into(),
        prices: Vec::new().into(),
    };
    // The line of an empty batch, and one that stores something.
    let deadline = now + TimeDelta::minutes(1);
    let history = store.history("demodelivery").await.unwrap();
    let mut write = Write::journal(vec![row(256, 0), row(0, 1)], deadline, history);
    write.changes.clients.push((0, &client));
    store.write("demodelivery", &write).await.unwrap();
    assert_eq!(app.count("client").await, 1);
    assert_eq!(kept_bytes(&app).await, 256);
}

#[tokio::test]
async fn a_dry_run_counts_remarks_and_keeps_no_body() {
    let app = TestApp::start().await;
    let answer = app.check(&json!([with_remark("a-1")])).await;
    assert_eq!(answer.status, 200);
    let line: (bool, i32) = sqlx::query_as("SELECT dry_run, with_remarks FROM journal_batch")
        .fetch_one(&app.pool())
        .await
        .unwrap();
    assert_eq!(line, (true, 1));
    assert_eq!(app.count("journal_rejected").await, 0);
}

#[tokio::test]
async fn a_kept_order_is_sent_again_unless_that_would_undo_what_came_later() {
    let app = TestApp::start().await;
    let operator = Operator::of(&app.database);
    app.post(&json!([with_remark("a-1"), order("a-2")])).await;
    let kept = objects(operator.run(["journal", "remarks", "--json"]).await);
    let batch = kept[0]["batch"].as_str().unwrap().to_owned();
    let total = async || -> String {
        app.value("SELECT total::text FROM orders WHERE sender_id = 'a-1'")
            .await
    };

    // As it is: the same is taken again, and said again.
    let said = operator.run(["journal", "resubmit", &batch]).await.done();
    assert!(said.contains("order a-1 is accepted, number "), "{said}");
    assert!(said.contains("(too_long)"), "{said}");
    // Corrected by hand.
    let place = format!("{batch}/0");
    let resubmit = ["journal", "resubmit", &place, "--edit"];
    let editor = "sed -i 's/xxx*/домофон 5/'";
    let said = operator.run_with_editor(editor, resubmit).await.done();
    assert!(!said.contains("too_long"), "{said}");
    // That was a change: now the kept one is the older.
    let said = operator
        .run(["journal", "resubmit", &place])
        .await
        .refused();
    assert!(
        said.contains("order a-1, number ") && said.contains("has changed since"),
        "{said}"
    );
    assert!(said.contains("--force"), "{said}");
    app.accept(&changed(order("a-1"), "/total", json!(720)))
        .await;
    let resubmit = ["journal", "resubmit", &place, "--edit"];
    let said = operator.run_with_editor(editor, resubmit).await.refused();
    assert!(said.contains("has changed since"), "{said}");
    assert_eq!(total().await, "720.00");
    operator
        .run(["journal", "resubmit", &place, "--force"])
        .await
        .done();
    assert_eq!(total().await, "710.00");

    // The same holds for its client: another order of his brought a new name.
    app.accept(&with_remark("b-1")).await;
    let mut other = changed(order("b-2"), "/client/id", json!("client of b-1"));
    other["client"]["username"] = json!("Василиса Тестовая");
    app.accept(&other).await;
    let kept = objects(operator.run(["journal", "remarks", "--json"]).await);
    let of = |id: &str| kept.iter().find(|order| order["order"] == id).unwrap();
    let place = format!("{}/0", of("b-1")["batch"].as_str().unwrap());
    let said = operator
        .run(["journal", "resubmit", &place])
        .await
        .refused();
    assert!(said.contains("the client of order b-1, number "), "{said}");

    // And for a rejected order that was accepted meanwhile.
    app.post(&json!([changed(order("c-1"), "/total", json!(-1))]))
        .await;
    app.accept(&order("c-1")).await;
    let rejected = objects(operator.run(["journal", "rejected", "--json"]).await);
    let place = format!("{}/0", rejected[0]["batch"].as_str().unwrap());
    let said = operator
        .run(["journal", "resubmit", &place])
        .await
        .refused();
    assert!(said.contains("there is an order c-1 by now"), "{said}");
    // Of a change that was rejected, to an order that stays as it was, nothing stands in the way.
    app.post(&json!([changed(order("c-1"), "/total", json!(-1))]))
        .await;
    let rejected = objects(operator.run(["journal", "rejected", "--json"]).await);
    let place = format!("{}/0", rejected[0]["batch"].as_str().unwrap());
    let said = operator.run(["journal", "resubmit", &place]).await;
    assert!(
        said.stdout.contains("order c-1 is rejected"),
        "{}",
        said.stderr
    );
}

#[tokio::test]
async fn what_a_later_element_of_the_same_batch_did_is_not_undone_by_sending_an_earlier_one_again()
{
    let app = TestApp::start().await;
    let operator = Operator::of(&app.database);
    let of = |id: &str, client: &str, username: &str| {
        let mut order = changed(order(id), "/client/id", json!(client));
        order["client"]["username"] = json!(username);
        order
    };
    let corrected = changed(with_remark("a-1"), "/total", json!(720));
    app.post(&json!([
        with_remark("a-1"),
        corrected,
        // A later order brings its client's new name.
        with_remark("b-1"),
        of("b-2", "client of b-1", "Василиса"),
        // One does that before it becomes another client's.
        with_remark("c-1"),
        of("c-2", "client of c-1", "Василиса"),
        of("c-2", "client of c-3", "Мария"),
        with_remark("d-1"),
    ]))
    .await
    .order("d-1");
    let batch: String = app.value("SELECT batch::text FROM journal_batch").await;
    let before = rows(&app).await;
    for (place, why) in [
        (0, "order a-1, number "),
        (2, "the client of order b-1, number "),
        (4, "the client of order c-1, number "),
    ] {
        let place = format!("{batch}/{place}");
        let resubmit = ["journal", "resubmit", &place];
        let said = operator.run(resubmit).await.refused();
        assert!(said.contains(why), "{place}: {said}");
        assert!(said.contains("has changed since"), "{place}: {said}");
    }
    assert_eq!(rows(&app).await, before);
    // Behind the last one nothing came.
    for (place, id) in [(1, "a-1"), (7, "d-1")] {
        let place = format!("{batch}/{place}");
        let resubmit = ["journal", "resubmit", &place];
        let said = operator.run(resubmit).await.done();
        let accepted = format!("order {id} is accepted, number ");
        assert!(said.contains(&accepted), "{place}: {said}");
    }
    assert_eq!(rows(&app).await, before);
}

/// All orders and clients.
async fn rows(app: &TestApp) -> Vec<String> {
    app.values("SELECT o::text FROM orders o UNION ALL SELECT c::text FROM client c ORDER BY 1")
        .await
}

#[tokio::test]
async fn of_a_batch_the_rejected_order_is_meant_before_those_with_remarks() {
    let app = TestApp::start().await;
    let operator = Operator::of(&app.database);
    let rejected = changed(order("bad"), "/total", json!(-1));
    app.post(&json!([with_remark("a-1"), with_remark("a-2"), rejected]))
        .await;
    let batch: String = app.value("SELECT batch::text FROM journal_batch").await;
    let said = operator.run(["journal", "resubmit", &batch]).await;
    assert!(
        said.stdout.contains("order bad is rejected"),
        "{}",
        said.stderr
    );
    app.post(&json!([with_remark("b-1"), with_remark("b-2")]))
        .await;
    let kept = objects(operator.run(["journal", "remarks", "--json"]).await);
    let batch = kept[0]["batch"].as_str().unwrap();
    let said = operator.run(["journal", "resubmit", batch]).await.refused();
    assert!(
        said.contains("2 orders of that batch were accepted with remarks"),
        "{said}"
    );
}

#[tokio::test]
async fn orders_with_remarks_are_removed_as_rejected_ones_are_and_their_batch_stays_with_them() {
    let app = TestApp::start().await;
    app.accept(&with_remark("a-1")).await;
    app.accept(&order("a-2")).await;
    app.run("ALTER TABLE journal_rejected DROP CONSTRAINT journal_rejected_publication_batch_fkey;
         UPDATE journal_batch SET received_at = received_at - interval '100 days', stored_at = stored_at - interval '100 days'",
    )
    .await;
    let store = Store::new(app.database.options(), &app.database.settings());
    let clear_up = async |keep_rejected| {
        let settings = Journal {
            keep_batches: 99,
            keep_rejected,
            keep_changes: 99,
            rejected_bytes_per_day: 0,
        };
        retention::round(&store, "demodelivery", &settings)
            .await
            .unwrap();
    };
    clear_up(365).await;
    assert_eq!(app.count("journal_rejected").await, 1);
    assert_eq!(app.count("journal_batch").await, 1);
    for table in ["journal_rejected", "journal_batch"] {
        let sql = format!("UPDATE {table} SET batch = '01800000-0000-7000-8000-000000000000'");
        app.run(&sql).await;
    }
    clear_up(99).await;
    assert_eq!(app.count("journal_rejected").await, 0);
    assert_eq!(app.count("journal_batch").await, 0);
    assert_eq!(app.count("orders").await, 2, "orders stay");
}
