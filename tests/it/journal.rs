//! `aqua-orders journal`: nothing that a sender sent is lost (contract §7), and an operator finds it.

use aqua_orders::{config::Journal, retention, store::Store};
use serde_json::{Value, json};

use crate::support::{
    app::{TestApp, changed, order},
    command::{Operator, Said},
};

impl Said {
    /// The JSON objects that were printed, one a line.
    fn objects(self) -> Vec<Value> {
        let lines = self.done();
        lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

/// An order that is rejected for its total.
fn bad(id: &str) -> Value {
    changed(order(id), "/total", json!(-1))
}

async fn post_as(app: &TestApp, request_id: &str, batch: Value) {
    let request = app.request().header("X-Request-Id", request_id);
    let answer = request.body(batch.to_string()).send().await.unwrap();
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn batches_and_rejected_orders_are_found_by_what_an_operator_knows_of_them() {
    let app = TestApp::start().await;
    let operator = Operator::of(&app.database);
    post_as(&app, "first", json!([order("a-1"), bad("a-2")])).await;
    post_as(&app, "second", json!([order("a-3")])).await;
    post_as(
        &app,
        "third",
        json!([changed(order("a-4"), "/status", json!("(absent)"))]),
    )
    .await;

    let table = operator.run(["journal", "batches"]).await.done();
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines.len(), 4, "{table}");
    assert!(lines[0].starts_with("received "), "{table}");
    for (line, id) in lines[1..].iter().zip(["third", "second", "first"]) {
        assert!(
            line.contains(id) && line.contains("demodelivery"),
            "{table}"
        );
    }
    // Columns stand below one another.
    let column = lines[0].find("request id").unwrap();
    let below: String = lines[1].chars().skip(column).take(5).collect();
    assert_eq!(below, "third");

    let ids = async |args: &[&str]| {
        let args = ["journal", "batches", "--json"].iter().chain(args);
        let objects = operator.run(args).await.objects();
        let ids: Vec<String> = objects
            .iter()
            .map(|batch| batch["request_id"].as_str().unwrap().to_owned())
            .collect();
        ids.join(" ")
    };
    assert_eq!(ids(&[]).await, "third second first");
    assert_eq!(ids(&["--limit", "2"]).await, "third second");
    assert_eq!(ids(&["--request-id", "second"]).await, "second");
    assert_eq!(ids(&["--code", "out_of_range"]).await, "first");
    assert_eq!(ids(&["--code", "conflict"]).await, "");
    let unknown = operator
        .run(["journal", "rejected", "--code", "nosuch"])
        .await;
    let unknown = unknown.refused();
    assert!(
        unknown.contains("there is no fault nosuch: there are required"),
        "{unknown}"
    );
    assert_eq!(ids(&["--since", "1h"]).await, "third second first");
    assert_eq!(ids(&["--until", "1h"]).await, "");
    assert_eq!(ids(&["--since", "2100-01-01"]).await, "");
    assert_eq!(ids(&["--user", "site"]).await, "");
    assert_eq!(
        ids(&["--publication", "DEMODELIVERY_WEB"]).await,
        "third second first"
    );

    let rejected = operator.run(["journal", "rejected"]).await.done();
    let lines: Vec<&str> = rejected.lines().collect();
    assert_eq!(lines.len(), 3, "{rejected}");
    assert!(
        lines[1].contains("a-4") && lines[1].contains("status: required"),
        "{rejected}"
    );
    assert!(
        lines[2].contains("a-2") && lines[2].contains("total: out_of_range"),
        "{rejected}"
    );
    let objects = operator
        .run(["journal", "rejected", "--json", "--code", "required"])
        .await
        .objects();
    assert_eq!(objects.len(), 1);
    assert_eq!(objects[0]["order"], "a-4");
    assert_eq!(objects[0]["errors"][0]["code"], "required");
    let body: Value = serde_json::from_str(objects[0]["body"].as_str().unwrap()).unwrap();
    assert_eq!(body["id"], "a-4");

    let said = operator
        .run(["journal", "batches", "--since", "yesterday"])
        .await
        .refused();
    assert!(said.contains("yesterday is no moment"), "{said}");
    let said = operator
        .run(["journal", "batches", "--publication", "other"])
        .await
        .refused();
    assert!(said.contains("there is no publication other"), "{said}");
}

#[tokio::test]
async fn a_batch_is_shown_by_the_request_id_of_its_answer_with_what_was_rejected_as_it_came() {
    let app = TestApp::start().await;
    let operator = Operator::of(&app.database);
    let batch = r#"[{"id":"x-1","total":1.50},"no order",{"id":"x-2","odd":1e400}]"#;
    let answer = app.request().body(batch).send().await.unwrap();
    let id = answer.headers()["x-request-id"]
        .to_str()
        .unwrap()
        .to_owned();

    let shown = operator.run(["journal", "show", &id]).await.done();
    for part in [
        "request id  ",
        &id,
        "order x-1 was rejected",
        "    {\n      \"id\": \"x-1\",\n      \"total\": 1.50\n    }\n",
        "order #1 was rejected",
        "    \"no order\"\n",
        "1e400",
        "(required)",
    ] {
        assert!(shown.contains(part), "{part}\n{shown}");
    }
    let object = &operator
        .run(["journal", "show", &id, "--json"])
        .await
        .objects()[0];
    assert_eq!(object["rejected"], 3);
    assert_eq!(object["rejected_orders"][1]["body"], r#""no order""#);
    let by_uuid = operator
        .run(["journal", "show", object["batch"].as_str().unwrap()])
        .await;
    assert_eq!(by_uuid.done(), shown);
    let said = operator.run(["journal", "show", "nothing"]).await.refused();
    assert!(said.contains("no batch nothing"), "{said}");
}

#[tokio::test]
async fn a_rejected_order_is_mended_and_sent_again_the_way_that_senders_do() {
    let app = TestApp::start().await;
    let operator = Operator::of(&app.database);
    app.post(&json!([bad("a-1"), order("a-2"), bad("a-3")]))
        .await;
    let rejected = operator
        .run(["journal", "rejected", "--json"])
        .await
        .objects();
    let batch = rejected[0]["batch"].as_str().unwrap().to_owned();

    // As it is, it is rejected again, and that is in the journal.
    let again = operator
        .run(["journal", "resubmit", &format!("{batch}/0")])
        .await;
    assert_eq!(again.code, Some(1));
    assert!(
        again.stdout.contains("order a-1 is rejected"),
        "{}",
        again.stdout
    );
    assert!(again.stdout.contains("(out_of_range)"), "{}", again.stdout);
    assert_eq!(app.count("journal_rejected").await, 3);

    let said = operator
        .run(["journal", "resubmit", &batch])
        .await
        .refused();
    assert!(
        said.contains("2 orders of that batch were rejected"),
        "{said}"
    );
    let said = operator
        .run(["journal", "resubmit", &format!("{batch}/1")])
        .await
        .refused();
    assert!(said.contains("no rejected order"), "{said}");
    let said = operator.run(["journal", "resubmit", "a-1"]).await.refused();
    assert!(said.contains("no batch a-1"), "{said}");
    // By the id that its sender knows, too; where that is not one order, it is asked back.
    post_as(&app, "site-42/7", json!([bad("a-4")])).await;
    let by_request = operator.run(["journal", "resubmit", "site-42/7"]).await;
    assert!(
        by_request.stdout.contains("order a-4 is rejected"),
        "{}{}",
        by_request.stdout,
        by_request.stderr
    );
    post_as(&app, "site-42/7", json!([bad("a-4")])).await;
    let said = operator
        .run(["journal", "resubmit", "site-42/7"])
        .await
        .refused();
    assert!(said.contains("2 batches have that"), "{said}");

    let edit = async |editor: &str| {
        let args = ["journal", "resubmit", &format!("{batch}/0"), "--edit"];
        operator.run_with_editor(editor, args).await
    };
    assert!(edit("false").await.refused().contains("nothing is sent"));
    assert!(edit("true").await.refused().contains("nothing was changed"));
    let emptied = edit("sh -c ': >\"$1\"' --").await.refused();
    assert!(emptied.contains("the order is empty"), "{emptied}");
    let broken = edit("sed -i 's/-1/{/'").await.refused();
    assert!(broken.contains("this is not JSON"), "{broken}");
    // What somebody wrote is not thrown away for that.
    let kept = broken
        .rsplit("what you wrote is in ")
        .next()
        .unwrap()
        .trim();
    assert!(
        std::fs::read_to_string(kept)
            .unwrap()
            .contains("\"total\": {")
    );
    std::fs::remove_file(kept).unwrap();
    assert_eq!(app.count("orders").await, 1);

    let said = edit("sed -i 's/\"total\": -1/\"total\": 720.50/'")
        .await
        .done();
    assert!(said.contains("order a-1 is accepted, number "), "{said}");
    assert!(said.contains("(product_not_found)"), "{said}");
    assert_eq!(app.count("orders").await, 2);
    let stored = app
        .accept(&changed(order("a-1"), "/total", json!(720.50)))
        .await;
    assert_eq!(
        (&stored["id"], &stored["total"]),
        (&json!("33"), &json!(720.5))
    );
    // It was an instance of its own that took it, with numbers of its own.
    // The journal knows where it came from, and that there is such an order now.
    let resubmitted =
        "SELECT count(*) FROM journal_batch WHERE request_id LIKE 'resubmit-%' AND accepted = 1";
    assert_eq!(app.value::<i64>(resubmitted).await, 1);
    let rejected = operator
        .run(["journal", "rejected", "--json"])
        .await
        .objects();
    let of = |id: &str| rejected.iter().find(|order| order["order"] == id).unwrap();
    assert_eq!(of("a-1")["number_now"], 33);
    assert_eq!(of("a-3")["number_now"], Value::Null);
}

#[tokio::test]
async fn an_orders_history_tells_every_attempt_and_what_changed_from_what_to_what() {
    let app = TestApp::start().await;
    let operator = Operator::of(&app.database);
    post_as(&app, "rejected", json!([bad("a-1")])).await;
    post_as(&app, "made", json!([order("a-1"), order("a-2")])).await;
    post_as(&app, "sent again", json!([order("a-1")])).await;
    let line = json!({ "product_id": "cooler", "price": 0, "quantity": 1 });
    let changed_order = changed(order("a-1"), "/total", json!("720.00"));
    let changed_order = changed(changed_order, "/comment", json!("домофон 5"));
    let changed_order = changed(
        changed_order,
        "/shipping_date_to",
        json!("2026-11-06T19:00:00Z"),
    );
    let mut changed_order = changed(changed_order, "/order_item_list/0/quantity", json!(3));
    changed_order["order_item_list"]
        .as_array_mut()
        .unwrap()
        .push(line);
    post_as(&app, "changed", json!([changed_order])).await;
    operator
        .run(["order", "set-status", "a-1", "approved"])
        .await
        .done();

    let objects = operator
        .run(["journal", "order", "a-1", "--json"])
        .await
        .objects();
    let events: Vec<_> = objects
        .iter()
        .map(|event| {
            (
                event["event"].as_str().unwrap(),
                event["request_id"].as_str(),
            )
        })
        .collect();
    assert_eq!(
        events,
        [
            ("rejected", Some("rejected")),
            ("created", Some("made")),
            ("changed", Some("changed")),
            ("changed", None),
        ]
    );
    assert_eq!(
        objects[2]["changes"],
        json!({
            "total": ["710", "720"],
            "comment": [null, "домофон 5"],
            "shipping_date_to": ["2026-11-06T18:00:00Z", "2026-11-06T19:00:00Z"],
            "order_item_list[0].quantity": [2, 3],
            "order_item_list[1]": [null, {
                "product_id": "cooler", "id": null, "external_id": null, "product": null, "name": null,
                "price": "0", "quantity": 1, "order_product_id": null
            }],
        })
    );
    assert_eq!(
        objects[3]["changes"],
        json!({ "status": ["new", "approved"] })
    );
    assert_eq!(objects[3]["batch"], Value::Null);

    let sheet = operator.run(["journal", "order", "1"]).await.done();
    for part in [
        "order 1 (a-1) of demodelivery: approved\n",
        "total: out_of_range",
        "accepted, new",
        "total: 710 → 720",
        "shipping_date_to: 2026-11-06 21:00:00 → 2026-11-06 22:00:00",
        "by hand",
        "status: new → approved",
    ] {
        assert!(sheet.contains(part), "{part}\n{sheet}");
    }
    // One that was only ever rejected has a history, too.
    post_as(&app, "never", json!([bad("b-1")])).await;
    let never = operator.run(["journal", "order", "b-1"]).await.done();
    assert!(
        never.contains("has no order b-1; it was rejected"),
        "{never}"
    );
    let said = operator.run(["journal", "order", "c-1"]).await.refused();
    assert!(said.contains("no order c-1"), "{said}");
}

#[tokio::test]
async fn a_batch_that_changes_nothing_leaves_no_change_in_the_journal() {
    let app = TestApp::start().await;
    for _ in 0..3 {
        app.accept(&order("a-1")).await;
    }
    assert_eq!(app.count("journal_change").await, 0);
    // Of two that are sent in one batch, the end counts.
    let there = changed(order("a-1"), "/comment", json!("там"));
    app.post(&json!([there, order("a-1")])).await;
    let back = changed(order("a-1"), "/comment", json!("(absent)"));
    app.post(&json!([back])).await;
    assert_eq!(app.count("journal_change").await, 1);
    app.accept(&changed(order("a-1"), "/comment", json!("там")))
        .await;
    assert_eq!(app.count("journal_change").await, 1);
}

#[tokio::test]
async fn what_is_too_old_is_removed_of_each_kind_and_nothing_else() {
    let app = TestApp::start().await;
    for n in 0..4 {
        post_as(
            &app,
            &format!("batch {n}"),
            json!([order(&format!("a-{n}"))]),
        )
        .await;
    }
    post_as(&app, "rejected", json!([bad("bad")])).await;
    post_as(
        &app,
        "changed",
        json!([changed(order("a-0"), "/comment", json!("да"))]),
    )
    .await;
    let everything = (6, 1, 1);
    let counts = async || {
        (
            app.count("journal_batch").await,
            app.count("journal_rejected").await,
            app.count("journal_change").await,
        )
    };
    assert_eq!(counts().await, everything);
    let store = Store::new(app.database.options(), &app.database.settings());
    let clear_up = async |keep_batches, keep_rejected, keep_changes| {
        let settings = Journal {
            keep_batches,
            keep_rejected,
            keep_changes,
            rejected_bytes_per_day: 0,
        };
        retention::round(&store, "demodelivery", &settings)
            .await
            .unwrap();
    };
    clear_up(1, 1, 1).await;
    assert_eq!(counts().await, everything, "nothing is a day old");

    let age = async |table: &str, column: &str| {
        let sql = format!("UPDATE {table} SET {column} = {column} - interval '100 days'");
        app.run(sql).await;
    };
    age("journal_batch", "received_at").await;
    clear_up(99, 99, 99).await;
    assert_eq!(
        counts().await,
        everything,
        "an instance's clock may be wrong, the database's counts"
    );
    age("journal_batch", "stored_at").await;
    age("journal_change", "made_at").await;
    clear_up(0, 0, 0).await;
    assert_eq!(counts().await, everything, "0 is for ever");
    clear_up(101, 365, 101).await;
    assert_eq!(counts().await, everything);
    retention::round(
        &store,
        "доставка",
        &Journal {
            keep_batches: 1,
            keep_rejected: 1,
            keep_changes: 1,
            rejected_bytes_per_day: 0,
        },
    )
    .await
    .unwrap();
    assert_eq!(counts().await, everything, "another publication's");
    clear_up(99, 365, 99).await;
    assert_eq!(
        counts().await,
        (1, 1, 0),
        "a batch stays with its rejected order"
    );
    // How old a rejected order is, its batch's id tells.
    app.run("ALTER TABLE journal_rejected DROP CONSTRAINT journal_rejected_publication_batch_fkey")
        .await;
    for table in ["journal_rejected", "journal_batch"] {
        let sql = format!("UPDATE {table} SET batch = '01800000-0000-7000-8000-000000000000'");
        app.run(sql).await;
    }
    clear_up(99, 99, 99).await;
    assert_eq!(counts().await, (0, 0, 0));
    assert_eq!(app.count("orders").await, 4, "orders stay");
}

#[tokio::test]
async fn more_than_a_step_of_old_entries_is_removed_in_one_round() {
    let app = TestApp::start().await;
    app.accept(&order("a-1")).await;
    app.run("INSERT INTO journal_batch (publication, batch, received_at, stored_at, deadline, request_id, orders, accepted,
                                    rejected, updated_rows, changed_rows)
         SELECT 'demodelivery', gen_random_uuid(), timestamptz '2020-01-01' + (n / 3) * interval '1 second', timestamptz '2020-01-02', now(),
                '', 1, 1, 0, 0, 0 FROM generate_series(1, 2500) n").await;
    let store = Store::new(app.database.options(), &app.database.settings());
    let settings = Journal {
        keep_batches: 1,
        keep_rejected: 1,
        keep_changes: 1,
        rejected_bytes_per_day: 0,
    };
    let round = async || {
        retention::round(&store, "demodelivery", &settings)
            .await
            .unwrap();
    };
    // Two instances at once.
    tokio::join!(round(), round());
    assert_eq!(app.count("journal_batch").await, 1);
}

#[tokio::test]
async fn rejected_orders_that_a_machine_without_a_clock_took_keep_no_old_ones_in_the_journal() {
    let app = TestApp::start().await;
    // By their ids all are of 1970. More than a step of them are fresh, and an old one comes behind.
    app.run("WITH batch AS (
             INSERT INTO journal_batch (publication, batch, received_at, stored_at, deadline, request_id, orders,
                                        accepted, rejected, updated_rows, changed_rows)
             SELECT 'demodelivery', ('00000000-0001-7000-8000-' || lpad(n::text, 12, '0'))::uuid, now(),
                    CASE WHEN n > 1500 THEN timestamptz '2020-01-01' ELSE now() END, now() + interval '1 day', '', 1, 0, 1,
                    0, 0
             FROM generate_series(1, 1501) n RETURNING batch
         )
         INSERT INTO journal_rejected (publication, batch, position, order_key, body, faults)
         SELECT 'demodelivery', batch, 0, 'a', '{}', '[]' FROM batch").await;
    let store = Store::new(app.database.options(), &app.database.settings());
    let settings = Journal {
        keep_batches: 1,
        keep_rejected: 1,
        keep_changes: 1,
        rejected_bytes_per_day: 0,
    };
    retention::round(&store, "demodelivery", &settings)
        .await
        .unwrap();
    assert_eq!(app.count("journal_rejected").await, 1500);
}

#[tokio::test]
async fn an_orders_rejected_attempts_are_found_by_their_index() {
    let app = TestApp::start().await;
    let operator = Operator::of(&app.database);
    post_as(&app, "rejected", json!([bad("a-1"), bad("a-2")])).await;
    let used = "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'journal_rejected_order_key'";
    assert_eq!(app.value::<i64>(used).await, 0);
    operator.run(["journal", "order", "a-1"]).await.done();
    // A process of PostgreSQL tells what it used when it ends, which the program did not wait for.
    for _ in 0..600 {
        if app.value::<i64>(used).await > 0 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("every rejected order of the publication was looked through");
}
