//! Contract §7 and how a batch is stored: what is stored never lies.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs,
    future::Future,
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use aqua_orders::{
    config::Config,
    intake::{self, Intake, Reply, Unavailable},
    memory::MemoryBudget,
    order::fault::Language,
    share::Share,
    store::Store,
    telemetry::metrics::Metrics,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor, PgPool, Row};
use tokio::{task::JoinSet, time::sleep};

use crate::support::{
    app::{Answer, TestApp, changed, guest_order, order, order_of},
    config::demo_config,
    postgres::{DURABLE, QUICK, Server, TestDatabase, database},
};

async fn run(pool: &PgPool, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(pool)
        .await
        .unwrap();
}

async fn number_of(pool: &PgPool, sql: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(sql.to_owned()))
        .fetch_one(pool)
        .await
        .unwrap()
}

/// Does it all at once and gives back what came of it, in the order given.
async fn at_once<T: Send + 'static>(
    work: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let tasks: Vec<_> = work.into_iter().map(tokio::spawn).collect();
    let mut done = Vec::with_capacity(tasks.len());
    for task in tasks {
        done.push(task.await.unwrap());
    }
    done
}

/// Posts through one of the instances.
async fn posted(app: Arc<TestApp>, batch: Value) -> Answer {
    app.post(&batch).await
}

/// Ten orders, some of one client or guest, with an address list.
fn batch_of_ten() -> Value {
    let orders = (0..10).map(|n| {
        let id = format!("order {n}");
        match n % 3 {
            0 => guest_order(&id, &format!("+7919199191{}", n % 2)),
            1 => order_of("shared", &id),
            _ => changed(order(&id), "/client/external_id", 1000 + n),
        }
    });
    json!(orders.collect::<Vec<_>>())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_batch_ten_times_at_once_leaves_what_one_sending_does_and_answers_the_same() {
    let app = Arc::new(TestApp::start().await);
    let answers = at_once((0..10).map(|_| posted(Arc::clone(&app), batch_of_ten()))).await;
    answers[0].order("order 9");
    for answer in &answers {
        assert_eq!(answer.text, answers[0].text);
    }
    assert_eq!(app.rows().await, [10, 10, 6, 6]);
    assert_eq!(app.count("journal_batch").await, 10);
    assert_eq!(
        app.accept(&order("next")).await["id"],
        "11",
        "nor a number more than one sending"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_batch_at_once_through_two_instances_leaves_what_one_sending_does() {
    let here = Arc::new(TestApp::start().await);
    let there = Arc::new(TestApp::beside(Arc::clone(&here.database), |_| ()).await);
    let apps = [&here, &there];
    let answers = at_once((0..10).map(|n| posted(Arc::clone(apps[n % 2]), batch_of_ten()))).await;
    answers[0].order("order 9");
    for answer in &answers {
        assert_eq!(answer.text, answers[0].text);
    }
    assert_eq!(here.rows().await, [10, 10, 6, 6]);
}

/// Nine senders spread over three instances send the same forty orders of eight clients, each in batches and an order of
/// its own, twice.
#[tokio::test(flavor = "multi_thread")]
async fn senders_of_the_same_orders_spread_over_three_instances_make_no_doubles_and_hear_the_same_numbers()
 {
    let first = Arc::new(TestApp::start().await);
    let database = &first.database;
    let mut apps = vec![Arc::clone(&first)];
    for _ in 0..2 {
        apps.push(Arc::new(
            TestApp::beside(Arc::clone(database), |_| ()).await,
        ));
    }
    let senders = (0..9).map(|sender: usize| {
        let app = Arc::clone(&apps[sender % 3]);
        async move {
            let mut numbers = BTreeMap::new();
            for round in 0..2 {
                // Steps that have nothing in common with forty: every order comes once, and everybody's turn is another.
                let order_of_turn: Vec<usize> = (0..40)
                    .map(|turn| (turn * [1, 3, 7, 9, 11, 13, 17, 19, 21][sender] + round) % 40)
                    .collect();
                for part in order_of_turn.chunks(3 + sender) {
                    let orders = part
                        .iter()
                        .map(|n| order_of(&format!("client {}", n % 8), &format!("order {n}")));
                    let answer = app.post(&json!(orders.collect::<Vec<_>>())).await;
                    for n in part {
                        let id = format!("order {n}");
                        let number = answer.order(&id)["id"].as_str().unwrap().to_owned();
                        let client = answer.order(&id)["client"]["id"].clone();
                        let before = numbers.insert(id, (number.clone(), client.clone()));
                        assert!(before.is_none_or(|before| before == (number, client)));
                    }
                }
            }
            numbers
        }
    });
    let heard = at_once(senders).await;
    for other in &heard {
        assert_eq!(*other, heard[0]);
    }
    let numbers: HashSet<&String> = heard[0].values().map(|(number, _)| number).collect();
    assert_eq!(numbers.len(), 40);
    assert_eq!(first.rows().await, [40, 40, 8, 8]);
}

#[tokio::test(flavor = "multi_thread")]
async fn forty_callers_with_overlapping_clients_in_opposite_order_all_succeed() {
    // One instance brings what it can together in one transaction; so there are eight, that really meet.
    let mut apps = vec![Arc::new(TestApp::start().await)];
    for _ in 1..8 {
        let database = Arc::clone(&apps[0].database);
        apps.push(Arc::new(TestApp::beside(database, |_| ()).await));
    }
    // First the clients are new, then they are there and changed by everybody.
    for round in ["first", "second"] {
        let callers = (0..40).map(|caller| {
            let mut batch: Vec<Value> = (0..15)
                .map(|n| {
                    let id = format!("{round} {caller} {n}");
                    let order = if n < 10 {
                        order_of(&format!("client {n}"), &id)
                    } else {
                        guest_order(&id, &format!("+791919919{n}"))
                    };
                    changed(order, "/client/comment", id)
                })
                .collect();
            if caller % 2 == 0 {
                batch.reverse();
            }
            posted(Arc::clone(&apps[caller % 8]), json!(batch))
        });
        for (caller, answer) in at_once(callers).await.into_iter().enumerate() {
            for n in 0..15 {
                answer.order(&format!("{round} {caller} {n}"));
            }
        }
    }
    assert_eq!(apps[0].rows().await, [1200, 1200, 15, 15]);
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_that_meet_take_their_locks_in_one_order() {
    let settings: Vec<_> = QUICK.into_iter().chain(["deadlock_timeout=10ms"]).collect();
    let server = Server::start(&settings).await;
    let here = Arc::new(TestApp::beside(Arc::new(server.database().await), |_| ()).await);
    let there = Arc::new(TestApp::beside(Arc::clone(&here.database), |_| ()).await);
    let log = || fs::read_to_string(server.folder().join("log")).unwrap();
    // Whether the two meet is a matter of luck on a busy machine: as many rounds as it takes.
    for round in 0..40 {
        if round >= 4 && log().contains("duplicate key") {
            break;
        }
        let batch: Vec<Value> = (0..800)
            .map(|n| {
                // In every other round everybody is new, in the next everybody is changed.
                let id = format!("{} {n}", round / 2);
                changed(
                    changed(order(&id), "/client/comment", round.to_string()),
                    "/comment",
                    round.to_string(),
                )
            })
            .collect();
        let turned: Vec<Value> = batch.iter().rev().cloned().collect();
        for answer in at_once([
            posted(Arc::clone(&here), json!(batch)),
            posted(Arc::clone(&there), json!(turned)),
        ])
        .await
        {
            answer.order(&format!("{} 799", round / 2));
        }
    }
    let log = log();
    assert!(log.contains("duplicate key"), "they did meet");
    assert!(!log.contains("deadlock detected"), "{log}");
}

/// Where every row stands and who wrote it.
async fn row_versions(pool: &PgPool) -> HashMap<String, Vec<String>> {
    let mut versions = HashMap::new();
    for table in [
        "orders",
        "order_item",
        "client",
        "address",
        "number_counter",
    ] {
        let query =
            format!("SELECT concat_ws(' ', ctid, xmin, xmax, t) FROM {table} t ORDER BY ctid");
        let rows = sqlx::query_scalar(AssertSqlSafe(query))
            .fetch_all(pool)
            .await
            .unwrap();
        versions.insert(table.to_owned(), rows);
    }
    versions
}

#[tokio::test]
async fn a_batch_that_changes_nothing_writes_no_order_line_client_or_address() {
    let app = TestApp::start().await;
    let pool = app.pool();
    let rich = changed(
        order_of("c", "rich"),
        "/client/addresses",
        json!([
            { "id": "home", "external_id": 500, "city": "a", "street": "b", "house": "c", "str": "d", "floor": "1" },
            { "city": "a", "street": "b", "house": "c", "str": "d" },
        ]),
    );
    let rich = changed(
        rich,
        "/client/phones",
        json!(["+79083280832", "+49301234567"]),
    );
    let rich = changed(rich, "/created_at", "2026-11-06T11:00:00.1234567Z");
    let rich = changed(rich, "/delivery_cost", "30.00");
    let rich = changed(rich, "/ask_for_checkout", false);
    let rich = changed(
        rich,
        "/order_item_list",
        json!([
            { "product_id": "p", "price": "0.10", "quantity": "1", "external_id": 5, "order_product_id": 7, "name": "n" },
            { "product_id": "p", "price": "0.10", "quantity": "1" },
        ]),
    );
    let mut batch = batch_of_ten();
    batch.as_array_mut().unwrap().push(rich);
    let first = app.post(&batch).await;
    let before = row_versions(&pool).await;

    let mut shuffled = batch.clone();
    shuffled.as_array_mut().unwrap().reverse();
    for again in [&batch, &batch, &shuffled] {
        let answer = app.post(again).await;
        for n in 0..10 {
            let id = format!("order {n}");
            assert_eq!(answer.order(&id), first.order(&id));
        }
        assert_eq!(answer.order("rich"), first.order("rich"));
        assert_eq!(row_versions(&pool).await, before);
    }
    // Nor does one whose only news is an old status, or a number of its own.
    let moved = changed(
        changed(order("order 2"), "/client/external_id", 1002),
        "/status",
        "approved",
    );
    app.accept(&moved).await;
    let before = row_versions(&pool).await;
    let known = changed(changed(moved, "/status", "new"), "/external_id", 3);
    app.accept(&known).await;
    assert_eq!(row_versions(&pool).await, before);

    assert_eq!(
        app.count("journal_batch").await,
        6,
        "but a row of the journal each"
    );
    assert_eq!(
        app.accept(&order("next")).await["id"],
        "12",
        "and it used up no number"
    );
}

#[tokio::test]
async fn only_what_changed_is_written() {
    let app = TestApp::start().await;
    let pool = app.pool();
    let batch = json!([order("a"), order("b"), order_of("c", "c")]);
    app.post(&batch).await.order("a");
    let before = row_versions(&pool).await;
    let changed_b = changed(
        changed(batch, "/1/comment", "new"),
        "/2/client/email",
        "c@example.org",
    );
    app.post(&changed_b).await.order("b");
    let after = row_versions(&pool).await;
    let rewritten = |table: &str| {
        after[table]
            .iter()
            .filter(|row| !before[table].contains(row))
            .count()
    };
    assert_eq!(
        [
            rewritten("orders"),
            rewritten("order_item"),
            rewritten("client"),
            rewritten("address")
        ],
        [1, 0, 1, 0]
    );
}

/// The statements that the service sent to a server that logs them all.
fn statements(server: &Server) -> Vec<String> {
    let log = fs::read_to_string(server.folder().join("log")).unwrap();
    log.lines()
        .filter_map(|line| line.strip_prefix("aqua-orders|LOG:  "))
        .filter(|line| line.starts_with("execute ") || line.starts_with("statement: "))
        .map(ToOwned::to_owned)
        .collect()
}

#[tokio::test]
async fn a_batch_of_a_thousand_costs_as_many_statements_as_a_batch_of_one() {
    let settings: Vec<_> = QUICK
        .into_iter()
        .chain(["log_statement=all", "log_line_prefix=%a|"])
        .collect();
    let server = Server::start(&settings).await;
    let app = TestApp::beside(Arc::new(server.database().await), |_| ()).await;
    app.accept(&order("warms up")).await;

    let new = |name: &str, count: usize| -> Value {
        let orders = (0..count).map(|n| order(&format!("{name} {n}")));
        json!(orders.collect::<Vec<_>>())
    };
    let mut costs = Vec::new();
    for count in [1, 10, 1000] {
        let batch = new(&count.to_string(), count);
        for (what, batch) in [
            ("new", batch.clone()),
            ("unchanged", batch.clone()),
            ("changed", {
                let mut batch = batch;
                for order in batch.as_array_mut().unwrap() {
                    order["comment"] = json!("changed");
                    order["client"]["comment"] = json!("changed");
                    order["order_item_list"][0]["quantity"] = json!(7);
                    order["shipping_address"]["house"] = json!("20");
                }
                batch
            }),
        ] {
            let before = statements(&server).len();
            app.post(&batch).await.order(&format!("{count} 0"));
            let sent = statements(&server).split_off(before);
            // Gathering statistics happens beside, and nobody waits for it; its connection may be a new one, which says
            // where it leads.
            let sent = sent.into_iter().filter(|statement| {
                ["SELECT EXISTS (", "ANALYZE", "AS \"life!\""]
                    .iter()
                    .all(|beside| !statement.contains(beside))
            });
            // Blocks of numbers come on top: two statements for a kind, however many numbers.
            let (blocks, of_batch): (Vec<_>, Vec<_>) = sent.partition(|statement| {
                statement.contains("number_counter") || statement.contains("SELECT number ")
            });
            assert!(blocks.len() <= 6, "{count} {what}: {blocks:?}");
            assert!(blocks.is_empty() || what != "unchanged", "{blocks:?}");
            costs.push((what, count, of_batch.len()));
        }
    }
    for (what, count, statements) in costs {
        assert_eq!(
            statements, 2,
            "{what} {count}: one that reads, one that writes"
        );
    }
}

/// How the planner would go about the statements of a batch.
async fn plans(database: &TestDatabase) -> Vec<String> {
    let store = Store::new(database.options(), &database.settings());
    let mut connection = store.pool().acquire().await.unwrap();
    let mut plans = Vec::new();
    for (name, sql, parameters) in [
        ("reads", include_str!("../../src/store/read.sql"), 11),
        ("writes", include_str!("../../src/store/write.sql"), 84),
        (
            "writes_new",
            include_str!("../../src/store/write_new.sql"),
            59,
        ),
    ] {
        connection
            .execute(AssertSqlSafe(format!("PREPARE {name} AS {sql}")))
            .await
            .unwrap();
        let nothing = vec!["NULL"; parameters].join(", ");
        let plan = connection
            .fetch_all(AssertSqlSafe(format!("EXPLAIN EXECUTE {name} ({nothing})")))
            .await
            .unwrap();
        plans.extend(plan.iter().map(|row| row.get::<String, _>(0)));
    }
    plans
}

#[tokio::test]
async fn no_statement_of_a_batch_walks_a_table_on_a_database_without_statistics() {
    let plans = plans(&database().await).await;
    assert!(
        plans
            .iter()
            .any(|line| line.contains("Index Scan using orders_sender_id")),
        "{plans:#?}"
    );
    assert!(
        !plans.iter().any(|line| line.contains("Seq Scan")),
        "{plans:#?}"
    );
    // Nothing is matched by trying all of one side against all of the other.
    assert!(
        !plans.iter().any(|line| line.contains("Join Filter")),
        "{plans:#?}"
    );
}

#[tokio::test]
async fn statistics_are_gathered_while_a_table_is_small_so_that_every_row_is_found_by_its_key() {
    let app = TestApp::start().await;
    let batch: Vec<Value> = (0..100).map(|n| order(&n.to_string())).collect();
    app.post(&json!(batch)).await.order("99");
    let gathered = "SELECT count(*) FROM pg_stat_user_tables WHERE analyze_count > 0
                    AND relname IN ('orders', 'order_item', 'client', 'address')";
    while number_of(&app.pool(), gathered).await < 4 {
        sleep(Duration::from_millis(20)).await;
    }
    let plans = plans(&app.database).await;
    for (at, line) in plans.iter().enumerate() {
        let of_ours = ["orders", "order_item", "client", "address"]
            .iter()
            .any(|table| line.contains("Index") && line.contains(&format!(" on {table} ")));
        if of_ours {
            // The publication and a key, not the publication alone.
            assert!(plans[at + 1].contains(" AND "), "{line}{}", plans[at + 1]);
        }
    }
}

/// Makes the database refuse rows of a table for which the condition on NEW holds, in words that nobody may hear.
fn refusing(table: &str, condition: &str) -> String {
    format!(
        "CREATE FUNCTION refuse_{table}() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             IF {condition} THEN RAISE EXCEPTION 'sekret of {table}'; END IF;
             RETURN NEW;
         END $$;
         CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION refuse_{table}();"
    )
}

#[tokio::test]
async fn an_order_that_the_database_refuses_is_a_conflict_and_the_others_go_in() {
    for refusal in [
        refusing("orders", "NEW.sender_id LIKE 'bad%'"),
        refusing("client", "NEW.sender_id LIKE 'client of bad%'"),
        refusing("order_item", "NEW.product_id = 'bad'"),
        refusing("address", "NEW.city = 'bad'"),
        "ALTER TABLE orders ADD CONSTRAINT sekret CHECK (sender_id NOT LIKE 'bad%')".to_owned(),
    ] {
        let app = TestApp::start().await;
        app.run(&refusal).await;
        let bad = |id: &str| {
            let bad = changed(order(id), "/order_item_list/0/product_id", "bad");
            changed(bad, "/shipping_address/city", "bad")
        };
        // In front, in the middle, at the end, two side by side.
        let batch = json!([
            bad("bad 1"),
            order("a"),
            order("b"),
            bad("bad 2"),
            bad("bad 3"),
            order("c"),
            bad("bad 4")
        ]);
        for turn in ["once", "and again"] {
            let answer = app.post(&batch).await;
            for id in ["a", "b", "c"] {
                answer.order(id);
            }
            for id in ["bad 1", "bad 2", "bad 3", "bad 4"] {
                assert_eq!(answer.faults(id), [": conflict"], "{turn} {refusal}");
            }
            for inside in [
                "sekret",
                "orders",
                "trigger",
                "constraint",
                "SQL",
                "P0001",
                "23514",
                "postgres",
            ] {
                assert!(!answer.text.contains(inside), "{inside} in {}", answer.text);
            }
        }
        assert_eq!(app.rows().await, [3, 3, 3, 3], "{refusal}");
        let journal: Vec<(i32, i32, i32)> =
            sqlx::query_as("SELECT orders, accepted, rejected FROM journal_batch")
                .fetch_all(&app.pool())
                .await
                .unwrap();
        assert_eq!(journal, [(7, 3, 4), (7, 3, 4)]);
        assert_eq!(app.count("journal_rejected").await, 8);
    }
}

#[tokio::test]
async fn orders_that_the_database_refuses_only_together_lose_the_later_one() {
    let app = TestApp::start().await;
    app.run("CREATE UNIQUE INDEX sekret ON orders (publication, comment)")
        .await;
    let commented = |id: &str, comment: &str| changed(order(id), "/comment", comment);
    let batch = json!([
        commented("a", "one"),
        commented("b", "two"),
        commented("c", "one"),
        commented("d", "three"),
        commented("e", "two"),
    ]);
    let answer = app.post(&batch).await;
    for id in ["a", "b", "d"] {
        answer.order(id);
    }
    for id in ["c", "e"] {
        assert_eq!(answer.faults(id), [": conflict"]);
    }
    assert_eq!(app.count("orders").await, 3);
}

#[tokio::test]
async fn a_batch_whose_very_journal_is_refused_is_a_503_and_blames_no_order() {
    let app = TestApp::start().await;
    app.run(&refusing("journal_batch", "NEW.orders > 1")).await;
    assert_eq!(app.post(&json!([order("a"), order("b")])).await.status, 503);
    assert_eq!(app.count("orders").await, 0);
    app.accept(&order("a")).await;
}

#[tokio::test]
async fn rejected_orders_that_the_journal_does_not_take_keep_no_good_one_from_being_stored() {
    let app = TestApp::start().await;
    app.run(&refusing("journal_rejected", "NEW.order_key = 'bad'"))
        .await;
    let bad = changed(order("bad"), "/total", -1);
    for batch in [json!([bad, order("a")]), json!([bad])] {
        let answer = app.post(&batch).await;
        assert_eq!(answer.faults("bad"), ["total: out_of_range"]);
    }
    assert_eq!(app.count("orders").await, 1);
    let counted = "SELECT sum(rejected) FROM journal_batch";
    assert_eq!(number_of(&app.pool(), counted).await, 2);
}

#[tokio::test]
async fn an_order_that_was_stored_once_and_is_refused_now_keeps_what_it_had() {
    let app = TestApp::start().await;
    let first = app.accept(&order("a")).await;
    app.run(&refusing("orders", "NEW.comment = 'bad'")).await;
    let answer = app
        .post(&json!([changed(order("a"), "/comment", "bad"), order("b")]))
        .await;
    assert_eq!(answer.faults("a"), [": conflict"]);
    answer.order("b");
    assert_eq!(app.accept(&order("a")).await, first);
}

#[tokio::test]
async fn a_batch_that_cannot_be_stored_now_is_a_503_and_nothing_of_it_is_stored() {
    let app = TestApp::start().await;
    let pool = app.pool();
    // A full disk, too many connections, a read-only server, a lock that somebody holds too long.
    for (at, passing) in ["53100", "53300", "25006", "55P03"].into_iter().enumerate() {
        run(
            &pool,
            &format!(
                "CREATE FUNCTION pass_{at}() RETURNS trigger LANGUAGE plpgsql AS
                     $$ BEGIN RAISE EXCEPTION 'sekret' USING ERRCODE = '{passing}'; END $$;
                 CREATE TRIGGER pass BEFORE INSERT ON order_item FOR EACH ROW EXECUTE FUNCTION pass_{at}();"
            ),
        )
        .await;
        let batch = json!([order("a"), changed(order("bad"), "/total", -1)]);
        let answer = app.post(&batch).await;
        assert_eq!(answer.status, 503, "{passing}");
        assert!(answer.headers.contains_key("retry-after"));
        assert_eq!(answer.body["success"], false);
        assert_eq!(answer.body["data"], json!({}));
        assert_eq!(answer.body["errors"][0]["code"], "storage_unavailable");
        assert!(!answer.text.contains("sekret"));
        for table in [
            "orders",
            "order_item",
            "client",
            "address",
            "journal_batch",
            "journal_rejected",
        ] {
            assert_eq!(app.count(table).await, 0, "{table} {passing}");
        }
        run(&pool, "DROP TRIGGER pass ON order_item").await;
    }
    assert_eq!(
        app.accept(&order("a")).await["id"],
        "1",
        "sending it again is safe, and no number was lost"
    );
}

#[tokio::test]
async fn a_batch_behind_a_lock_that_is_held_too_long_is_a_503_and_does_not_land_later() {
    let app =
        TestApp::with(|config| config.database.lock_timeout = Duration::from_millis(50)).await;
    let pool = app.pool();
    let mut holder = pool.begin().await.unwrap();
    holder
        .execute("LOCK TABLE orders IN SHARE MODE")
        .await
        .unwrap();
    assert_eq!(app.post(&json!([order("a")])).await.status, 503);
    holder.rollback().await.unwrap();
    assert_eq!(app.count("orders").await, 0);
    app.accept(&order("a")).await;
}

#[tokio::test]
async fn deadlocks_and_serialization_failures_are_retried_inside_unseen() {
    for (code, table) in [
        ("40001", "orders"),
        ("40P01", "client"),
        ("40P01", "order_item"),
        ("40001", "journal_batch"),
    ] {
        let app = TestApp::start().await;
        // A sequence remembers what was rolled back.
        app.run(&format!(
                "CREATE SEQUENCE tries;
                 CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
                 BEGIN
                     IF nextval('tries') <= 4 THEN RAISE EXCEPTION 'meets another' USING ERRCODE = '{code}'; END IF;
                     RETURN NEW;
                 END $$;
                 CREATE TRIGGER fail BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION fail();"
            ),
        )
        .await;
        let answer = app
            .post(&json!([order("a"), changed(order("bad"), "/total", -1)]))
            .await;
        assert_eq!(answer.order("a")["id"], "1");
        assert_eq!(answer.faults("bad"), ["total: out_of_range"]);
        assert_eq!(app.rows().await, [1, 1, 1, 1]);
        assert_eq!(app.count("journal_batch").await, 1, "once");
        assert_eq!(app.count("journal_rejected").await, 1, "once");
        assert_eq!(
            number_of(&app.pool(), "SELECT last_value FROM tries").await,
            5
        );
    }
}

/// publication, login, request id, orders, accepted, rejected, abandoned, in time
type Line = (String, Option<String>, String, i32, i32, i32, bool, bool);

#[tokio::test]
async fn every_batch_is_in_the_journal() {
    let app = TestApp::start().await;
    let bad = changed(order("bad"), "/total", -1);
    for (request_id, batch) in [
        ("one", json!([order("a"), bad, order("b"), 17])),
        ("two", json!([order("a"), order("a")])),
        ("three", json!([])),
        ("four", json!([bad])),
    ] {
        let request = app
            .request()
            .header("X-Request-Id", request_id)
            .body(batch.to_string());
        assert_eq!(Answer::of(request).await.status, 200);
    }
    // What is no batch is not.
    assert_eq!(Answer::of(app.request().body("{")).await.status, 400);
    let journal: Vec<Line> = sqlx::query_as(
        "SELECT publication, login, request_id, orders, accepted, rejected, abandoned,
                received_at <= stored_at AND stored_at <= deadline
         FROM journal_batch ORDER BY received_at",
    )
    .fetch_all(&app.pool())
    .await
    .unwrap();
    let line = |request_id: &str, orders, accepted, rejected| -> Line {
        (
            "demodelivery".into(),
            None,
            request_id.into(),
            orders,
            accepted,
            rejected,
            false,
            true,
        )
    };
    assert_eq!(
        journal,
        [
            line("one", 4, 2, 2),
            line("two", 1, 1, 0),
            line("three", 0, 0, 0),
            line("four", 1, 0, 1)
        ]
    );
}

#[tokio::test]
async fn every_rejected_order_is_in_the_journal_with_its_body_as_received_and_its_faults() {
    let app = TestApp::start().await;
    let bodies = [
        r#"{ "id" : "bad",  "total":-1e0, "комментарий": "\u0416\ud83d\ude00\/", "unknown" : [ 1 , 2 ] }"#,
        r#"{"id":"twice","total":0.10}"#,
        "17",
        "\"\\ud800\"",
        r#"{"id":null, "password": "kept, it is the order's"}"#,
        r#"{"id":"twice","total":0.20}"#,
        r#"{"id":"\u0000","x":"\u0000"}"#,
    ];
    let body = format!("[\n {},{}]", bodies.join(" ,\t"), order("good"));
    let answer = Answer::of(app.request().header("Accept-Language", "en").body(body)).await;
    answer.order("good");
    let rejected: Vec<(i32, String, String, Value)> = sqlx::query_as(
        "SELECT position, order_key, body, faults FROM journal_rejected ORDER BY position",
    )
    .fetch_all(&app.pool())
    .await
    .unwrap();
    let keys = ["bad", "twice", "#2", "#3", "#4", "twice", "#6"];
    assert_eq!(rejected.len(), keys.len());
    for (at, (position, key, body, faults)) in rejected.into_iter().enumerate() {
        assert_eq!(
            (position, key.as_str()),
            (i32::try_from(at).unwrap(), keys[at])
        );
        assert_eq!(body, bodies[at], "to the letter");
        let told: Vec<_> = faults
            .as_array()
            .unwrap()
            .iter()
            .map(|f| (f["field"].clone(), f["code"].clone()))
            .collect();
        let answered = answer.entry(keys[at])["errors"].as_array().unwrap();
        let answered: Vec<_> = answered
            .iter()
            .map(|f| (f["field"].clone(), f["code"].clone()))
            .collect();
        assert_eq!(told, answered);
        assert!(!told.is_empty());
    }
}

#[tokio::test]
async fn no_credentials_are_in_the_database() {
    let app = TestApp::start().await;
    let batch = json!([order("a"), changed(order("bad"), "/total", -1)]);
    let request = app
        .request()
        .basic_auth("site", Some("s3kret-Passwort"))
        .body(batch.to_string());
    Answer::of(request).await.order("a");
    let tables: Vec<String> = app
        .values("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'")
        .await;
    assert!(tables.contains(&"journal_rejected".to_owned()));
    for table in tables {
        // "site:s3kret-Passwort" in base64.
        for secret in [
            "s3kret",
            "c2l0ZTpzM2tyZXQtUGFzc3dvcnQ",
            "Basic ",
            "uthorization",
        ] {
            let found = app
                .count(&format!("{table} t WHERE t::text LIKE '%{secret}%'"))
                .await;
            assert_eq!(found, 0, "{secret} in {table}");
        }
    }
}

/// The intake without HTTP around it: what is handed over in one go waits in the lane in exactly that order.
struct Direct {
    intake: Intake,
    config: Config,
    database: TestDatabase,
}

impl Direct {
    async fn start() -> Self {
        Self::with(|_| ()).await
    }

    async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let database = database().await;
        let mut config = demo_config();
        change(&mut config);
        let intake = Intake::new(
            Store::new(database.options(), &database.settings()),
            &config,
            Arc::new(Metrics::new(&config)),
        );
        Self {
            intake,
            config,
            database,
        }
    }

    /// Hands these batches over, each before any of them is stored.
    async fn accept(&self, batches: Vec<Vec<Value>>) -> Vec<Result<Value, Unavailable>> {
        let publication = Arc::new(self.config.publications[0].clone());
        let share = Share::new(&publication.name, Ipv4Addr::LOCALHOST.into());
        let work = batches.into_iter().map(|orders| {
            let mut body = "[".to_owned();
            let mut elements = Vec::new();
            for order in orders {
                if body.len() > 1 {
                    body.push(',');
                }
                let start = body.len();
                body.push_str(&order.to_string());
                elements.push(start..body.len());
            }
            body.push(']');
            let batch = intake::RawBatch {
                publication: Arc::clone(&publication),
                request_id: "test".into(),
                login: Some("сайт".into()),
                body,
                elements,
                language: Language::Ru,
                memory: MemoryBudget::new(usize::MAX).reserve(&share),
                complete_at: Instant::now(),
            };
            let intake = self.intake.clone();
            async move { intake.accept(batch).await }
        });
        let read = |reply: Reply| serde_json::from_slice(&reply.body.concat()).unwrap();
        at_once(work)
            .await
            .into_iter()
            .map(|reply| reply.map(read))
            .collect()
    }

    async fn transactions(&self) -> i64 {
        number_of(
            &self.database.pool(),
            "SELECT count(DISTINCT xmin::text) FROM journal_batch",
        )
        .await
    }
}

#[tokio::test]
async fn the_login_is_in_the_journal() {
    let direct = Direct::start().await;
    direct.accept(vec![vec![order("a")], vec![]]).await[0]
        .as_ref()
        .unwrap();
    let logins: Vec<Option<String>> = sqlx::query_scalar("SELECT login FROM journal_batch")
        .fetch_all(&direct.database.pool())
        .await
        .unwrap();
    assert_eq!(logins, [Some("сайт".to_owned()), Some("сайт".to_owned())]);
}

#[tokio::test]
async fn small_batches_that_wait_together_share_a_transaction() {
    let direct = Direct::start().await;
    let batches = (0..40)
        .map(|n| vec![order(&format!("order {n}"))])
        .collect();
    for (n, answer) in direct.accept(batches).await.into_iter().enumerate() {
        assert_eq!(
            answer.unwrap()["data"][format!("order {n}")]["success"],
            true
        );
    }
    let transactions = direct.transactions().await;
    assert!(transactions < 10, "{transactions} for 40 batches");
    assert_eq!(
        number_of(
            &direct.database.pool(),
            "SELECT count(*) FROM journal_batch"
        )
        .await,
        40,
        "a row each"
    );
    // A lone one, later, goes by itself.
    direct.accept(vec![vec![order("lone")]]).await;
    assert_eq!(direct.transactions().await, transactions + 1);
}

#[tokio::test]
async fn without_coalescing_each_batch_has_a_transaction_of_its_own() {
    let direct = Direct::with(|config| config.limits.coalesce = false).await;
    let batches = (0..40)
        .map(|n| vec![order(&format!("order {n}"))])
        .collect();
    for (n, answer) in direct.accept(batches).await.into_iter().enumerate() {
        assert_eq!(
            answer.unwrap()["data"][format!("order {n}")]["success"],
            true
        );
    }
    assert_eq!(direct.transactions().await, 40);
}

#[tokio::test]
async fn of_two_batches_that_change_an_order_each_has_its_own_change_in_the_history() {
    let direct = Direct::start().await;
    direct.accept(vec![vec![order("a")]]).await;
    // The first two are with the database while the others come; the last one takes back what the one before changed.
    let batches = vec![
        vec![order("b")],
        vec![order("c")],
        vec![changed(order("a"), "/total", 720)],
        vec![changed(order("a"), "/total", 710)],
    ];
    for answer in direct.accept(batches).await {
        answer.unwrap();
    }
    let pool = direct.database.pool();
    let changes: Vec<Value> =
        sqlx::query_scalar("SELECT changes FROM journal_change ORDER BY version")
            .fetch_all(&pool)
            .await
            .unwrap();
    assert_eq!(
        changes,
        [
            json!({ "total": ["710", "720"] }),
            json!({ "total": ["720", "710"] })
        ]
    );
    let batches = "SELECT count(DISTINCT batch) FROM journal_change";
    assert_eq!(number_of(&pool, batches).await, 2);
}

#[tokio::test]
async fn batches_that_share_an_order_a_client_or_a_phone_keep_their_order_of_arrival() {
    let direct = Direct::start().await;
    let totals = |n: i32| {
        [
            changed(order("shared"), "/total", n),
            changed(
                order_of("shared", &format!("of a client {n}")),
                "/client/email",
                n.to_string(),
            ),
            changed(
                guest_order(&format!("of a guest {n}"), "+79191991919"),
                "/client/email",
                n.to_string(),
            ),
        ]
    };
    // Between small ones a big one, which goes by itself.
    let batches = (1..=60)
        .flat_map(|n| {
            let [order_of_all, of_client, of_guest] = totals(n);
            let filler = (0..120)
                .filter(|_| n == 30)
                .map(|m| order(&format!("filler {m}")));
            [
                vec![of_client],
                filler.chain([order_of_all]).collect(),
                vec![of_guest],
            ]
        })
        .collect();
    for answer in direct.accept(batches).await {
        let data = answer.unwrap()["data"].clone();
        assert!(
            data.as_object()
                .unwrap()
                .values()
                .all(|entry| entry["success"] == true),
            "{data}"
        );
    }
    let pool = direct.database.pool();
    assert_eq!(
        number_of(
            &pool,
            "SELECT total::bigint FROM orders WHERE sender_id = 'shared'"
        )
        .await,
        60
    );
    assert_eq!(
        number_of(
            &pool,
            "SELECT email::bigint FROM client WHERE sender_id = 'shared'"
        )
        .await,
        60
    );
    assert_eq!(
        number_of(
            &pool,
            "SELECT email::bigint FROM client WHERE guest_phone IS NOT NULL"
        )
        .await,
        60
    );
}

/// Until a statement on this database waits for a lock.
async fn until_somebody_waits(pool: &PgPool) {
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while number_of(pool, waiting).await == 0 {
        sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_waits_for_one_with_the_same_client_only_where_that_changes_the_client() {
    let app = Arc::new(TestApp::start().await);
    app.accept(&order_of("shared", "first")).await;
    for changes in [false, true] {
        // In somebody else's open transaction stands the order that comes next: its batch has to wait in PostgreSQL.
        let pool = app.pool();
        let mut other = pool.begin().await.unwrap();
        sqlx::query(
            "INSERT INTO orders
             SELECT (jsonb_populate_record(o, jsonb_build_object('number', 1000000, 'sender_id', $1::text))).*
             FROM orders o WHERE sender_id = 'first'",
        )
        .bind(format!("held {changes}"))
        .execute(&mut *other)
        .await
        .unwrap();
        let mut held = order_of("shared", &format!("held {changes}"));
        if changes {
            held = changed(held, "/client/comment", "another");
        }
        let held = tokio::spawn(posted(Arc::clone(&app), json!([held])));
        until_somebody_waits(&pool).await;

        let next = order_of("shared", &format!("next {changes}"));
        let mut next = tokio::spawn(posted(Arc::clone(&app), json!([next])));
        if changes {
            let early = tokio::time::timeout(Duration::from_millis(300), &mut next).await;
            assert!(
                early.is_err(),
                "it must see what the one before it makes of the client"
            );
            other.rollback().await.unwrap();
            held.await.unwrap().order("held true");
            next.await.unwrap().order("next true");
        } else {
            next.await.unwrap().order("next false");
            assert!(!held.is_finished(), "that one still waits");
            other.rollback().await.unwrap();
            held.await.unwrap().order("held false");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_small_batch_does_not_wait_for_what_a_big_one_will_make_of_its_client() {
    let app = Arc::new(TestApp::start().await);
    app.accept(&order_of("shared", "first")).await;
    // The big one has to wait for its numbers before it can be decided on.
    let pool = app.pool();
    let mut other = pool.begin().await.unwrap();
    sqlx::query("SELECT FROM number_counter FOR UPDATE")
        .execute(&mut *other)
        .await
        .unwrap();
    let many: Vec<Value> = (0..120)
        .map(|n| order_of("shared", &format!("of many {n}")))
        .collect();
    let big = tokio::spawn(posted(Arc::clone(&app), json!(many)));
    until_somebody_waits(&pool).await;
    // It changes the client, too: the big one, which knows the client as it was, sees that when it is decided on or written.
    let again = changed(
        changed(order_of("shared", "first"), "/total", 5),
        "/client/comment",
        "changed meanwhile",
    );
    let answer = posted(Arc::clone(&app), json!([again])).await;
    assert_eq!(answer.order("first")["total"], 5);
    assert!(!big.is_finished(), "that one still waits");
    other.rollback().await.unwrap();
    let answer = big.await.unwrap();
    for n in 0..120 {
        answer.order(&format!("of many {n}"));
    }
    let last = app.accept(&order_of("shared", "last")).await;
    assert_eq!(last["client"]["comment"], "changed meanwhile");
    assert_eq!(last["client"]["addresses"].as_array().unwrap().len(), 1);
    assert_eq!(app.count("orders").await, 122);
}

#[tokio::test]
async fn a_refused_order_harms_no_batch_that_shared_its_transaction() {
    let direct = Direct::start().await;
    run(
        &direct.database.pool(),
        &refusing("orders", "NEW.sender_id LIKE 'bad%'"),
    )
    .await;
    let batches = (0..30)
        .map(|n| match n % 10 {
            5 => vec![
                order(&format!("before {n}")),
                order(&format!("bad {n}")),
                order(&format!("after {n}")),
            ],
            _ => vec![order(&format!("good {n}"))],
        })
        .collect();
    for answer in direct.accept(batches).await {
        for (id, entry) in answer.unwrap()["data"].as_object().unwrap() {
            assert_eq!(entry["success"], !id.starts_with("bad"), "{id} {entry}");
        }
    }
    let pool = direct.database.pool();
    assert_eq!(number_of(&pool, "SELECT count(*) FROM orders").await, 33);
    assert_eq!(
        number_of(&pool, "SELECT count(*) FROM journal_batch").await,
        30
    );
    assert_eq!(
        number_of(&pool, "SELECT count(*) FROM journal_rejected").await,
        3
    );
}

#[tokio::test]
async fn a_full_queue_is_an_overload_and_stores_nothing_of_what_it_turned_away() {
    let mut direct = Direct::start().await;
    direct.config.limits.waiting_batches = 5;
    direct.intake = Intake::new(
        Store::new(direct.database.options(), &direct.database.settings()),
        &direct.config,
        Arc::new(Metrics::new(&direct.config)),
    );
    let answers = direct
        .accept(
            (0..50)
                .map(|n| vec![order(&format!("order {n}"))])
                .collect(),
        )
        .await;
    let turned_away = answers
        .iter()
        .filter(|answer| matches!(answer, Err(Unavailable::Overloaded)))
        .count();
    assert!(turned_away > 0);
    let stored = number_of(&direct.database.pool(), "SELECT count(*) FROM orders").await;
    assert_eq!(usize::try_from(stored).unwrap(), 50 - turned_away);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_with_200_survives_a_crash_of_postgres_right_after() {
    let server = Server::start(&DURABLE).await;
    let database = Arc::new(server.database().await);
    let app = Arc::new(TestApp::beside(Arc::clone(&database), |_| ()).await);
    for crash in 0..3 {
        let crashed = Arc::new(AtomicBool::new(false));
        let mut posting = JoinSet::new();
        for caller in 0..4 {
            let app = Arc::clone(&app);
            let crashed = Arc::clone(&crashed);
            posting.spawn(async move {
                let (mut stored, mut unsure) = (Vec::new(), Vec::new());
                for n in 0.. {
                    let id = format!("{crash} {caller} {n}");
                    let over = crashed.load(Ordering::Relaxed);
                    let answer = app.post(&json!([order(&id)])).await;
                    if answer.status == 200 {
                        answer.order(&id);
                        stored.push(id);
                    } else {
                        assert_eq!(answer.status, 503);
                        unsure.push(id);
                    }
                    if over {
                        break;
                    }
                }
                (stored, unsure)
            });
        }
        // Some are answered; then a backend dies as by kill -9, and the whole server forgets what is not on disk.
        let pool = database.pool();
        while number_of(&pool, "SELECT count(*) FROM orders").await < 40 * (crash + 1) {}
        let pid: i32 = sqlx::query_scalar(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'aqua-orders'",
        )
        .fetch_one(&pool)
        .await
        .unwrap();
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        crashed.store(true, Ordering::Relaxed);
        let ended = posting.join_all().await;
        // A connection that had a share in the crash is no use any more.
        let pool = database.pool();
        while sqlx::query("SELECT 1").execute(&pool).await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
        for (stored, unsure) in ended {
            for id in stored {
                let found: i64 = sqlx::query_scalar(
                    "SELECT count(*) FROM orders o JOIN order_item i ON i.order_number = o.number WHERE o.sender_id = $1",
                )
                .bind(&id)
                .fetch_one(&pool)
                .await
                .unwrap();
                assert_eq!(found, 1, "{id}");
            }
            // Sending it again is safe either way.
            for id in unsure {
                let batch = json!([order(&id)]);
                while app.post(&batch).await.status == 503 {
                    sleep(Duration::from_millis(20)).await;
                }
                app.accept(&batch[0]).await;
            }
        }
    }
    let orders = app.count("orders").await;
    assert_eq!(app.count("order_item").await, orders, "none is half stored");
    assert_eq!(app.count("client").await, orders, "none is stored twice");
}
