//! Who comes in whose way: locks, deadlines and histories of the database that meet (contract §1, §7).

use std::{fs, sync::Arc, time::Duration};

use aqua_orders::config::Secret;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection, postgres::PgConnectOptions};
use tempfile::TempDir;
use tokio::{
    task::{JoinHandle, JoinSet},
    time::sleep,
};

use crate::support::{
    app::{Answer, ORDERS, TestApp, changed, order},
    cluster::{Cluster, until},
    command::Operator,
    postgres::database,
    process::Scratch,
    proxy::{Proxy, Rule},
    serving::{self, Serving},
};

/// Posts a batch in a task of its own.
fn posted(app: &TestApp, batch: &Value) -> JoinHandle<Answer> {
    tokio::spawn(Answer::of(app.request().body(batch.to_string())))
}

/// Waits until it is so.
async fn soon(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..12_000 {
        if is_so() {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("{what}");
}

/// A service whose writing statements can be held on their way to PostgreSQL.
struct Held {
    app: TestApp,
    line: Proxy,
    _folder: TempDir,
}

impl Held {
    async fn start(answer: Duration) -> Self {
        let database = Arc::new(database().await);
        let (line, folder) = Proxy::before_postgres(database.folder());
        let url = database.url_by_way_of(folder.path());
        let app = TestApp::beside(database, |config| {
            config.database.url = Some(Secret::new(url));
            config.times.answer = answer;
            config.database.statement_timeout = Duration::from_secs(10);
        })
        .await;
        Self {
            app,
            line,
            _folder: folder,
        }
    }

    /// Holds what comes from now on.
    fn hold(&self) {
        self.line.set(Rule::HoldWrites);
    }

    async fn holds(&self, count: usize) {
        soon("statements are held", || self.line.held() == count).await;
    }

    fn let_go(&self) {
        self.line.set(Rule::Pass);
    }
}

// --- Deadlines ---

#[tokio::test]
async fn a_batch_whose_time_is_up_does_not_take_along_those_that_wait_with_it() {
    // PostgreSQL has ten of it to end what has begun: a batch is stored within 4.5 s, or not at all.
    let held = Held::start(Duration::from_secs(15)).await;
    let app = &held.app;
    held.hold();
    let first = [order("first"), order("second")].map(|order| posted(app, &json!([order])));
    held.holds(2).await;
    let old = posted(app, &json!([order("old")]));
    sleep(Duration::from_millis(4300)).await;
    let young = posted(app, &json!([order("young")]));
    sleep(Duration::from_millis(400)).await;
    held.let_go();
    for answer in first {
        // Theirs came too late, too.
        assert_eq!(answer.await.unwrap().status, 503);
    }
    assert_eq!(old.await.unwrap().status, 503);
    young.await.unwrap().order("young");
    assert_eq!(app.count("orders").await, 1);
    assert_eq!(app.accept(&order("old")).await["status"], "new");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_whose_time_is_up_in_a_shared_transaction_does_not_take_along_the_others_of_it() {
    let held = Held::start(Duration::from_secs(15)).await;
    let app = &held.app;
    held.hold();
    let first = [order("first"), order("second")].map(|order| posted(app, &json!([order])));
    held.holds(2).await;
    let old = posted(app, &json!([order("old")]));
    sleep(Duration::from_millis(3700)).await;
    let young = posted(app, &json!([order("young")]));
    sleep(Duration::from_millis(100)).await;
    // The two that wait are sent on together, and are on their way when the time of one is up.
    held.line.let_held_go();
    for answer in first {
        answer.await.unwrap();
    }
    held.holds(1).await;
    sleep(Duration::from_secs(1)).await;
    held.let_go();
    assert_eq!(old.await.unwrap().status, 503);
    young.await.unwrap().order("young");
}

// --- Locks ---

#[tokio::test]
async fn an_order_goes_in_beside_rows_that_somebody_has_locked() {
    let app = TestApp::start().await;
    let locked = ["locked 1", "locked 2", "locked 3"];
    for id in locked {
        app.accept(&order(id)).await;
    }
    let pool = app.pool();
    let mut hand = pool.begin().await.unwrap();
    sqlx::query("SELECT FROM client FOR UPDATE")
        .fetch_all(&mut *hand)
        .await
        .unwrap();
    let renamed =
        |id: &str, name: &str| json!([changed(order(id), "/client/username", json!(name))]);
    let mut again = JoinSet::new();
    for n in 0..20 {
        for id in locked {
            again.spawn(Answer::of(
                app.request().body(renamed(id, &n.to_string()).to_string()),
            ));
        }
        // Others come at the same moment, and share a transaction with those wherever they can.
        let honest = [0, 1, 2].map(|m| posted(&app, &json!([order(&format!("{n} {m}"))])));
        for (m, answer) in honest.into_iter().enumerate() {
            answer.await.unwrap().order(&format!("{n} {m}"));
        }
        sleep(Duration::from_millis(100)).await;
    }
    hand.rollback().await.unwrap();
    while let Some(answer) = again.join_next().await {
        answer.unwrap();
    }
    for id in locked {
        app.post(&renamed(id, "Иван")).await.order(id);
    }
    let renamed = "SELECT count(*) FROM client WHERE username = 'Иван'";
    assert_eq!(app.value::<i64>(renamed).await, 3);
}

#[tokio::test]
async fn what_made_way_for_a_lock_keeps_its_order_of_arrival() {
    let app = TestApp::start().await;
    for id in ["a", "b"] {
        app.accept(&order(id)).await;
    }
    let pool = app.pool();
    let mut hand = pool.begin().await.unwrap();
    sqlx::query("SELECT FROM client WHERE sender_id = 'client of a' FOR UPDATE")
        .fetch_all(&mut *hand)
        .await
        .unwrap();
    let named = |id: &str, name: &str| changed(order(id), "/client/username", json!(name));
    let mut answers = vec![posted(&app, &json!([named("a", "0"), named("b", "0")]))];
    for n in 1..8 {
        sleep(Duration::from_millis(100)).await;
        let id = if n % 2 == 0 { "a" } else { "b" };
        answers.push(posted(&app, &json!([named(id, &n.to_string())])));
    }
    hand.rollback().await.unwrap();
    for answer in answers {
        assert_eq!(answer.await.unwrap().status, 200);
    }
    let last = "SELECT string_agg(username, ' ' ORDER BY sender_id)::bigint FROM client
                WHERE sender_id = 'client of ";
    assert_eq!(app.value::<i64>(&format!("{last}a'")).await, 6);
    assert_eq!(app.value::<i64>(&format!("{last}b'")).await, 7);
}

// --- Histories of the database ---

#[tokio::test]
async fn what_is_changed_is_not_made_anew_by_halves_where_it_is_not_there_any_more() {
    let held = Held::start(Duration::from_secs(20)).await;
    let app = &held.app;
    let line = json!({ "product_id": "water-19", "price": "355.00", "quantity": 1 });
    let two_lines = changed(order("a"), "/order_item_list", json!([line, line]));
    let whole = changed(
        two_lines,
        "/client/addresses",
        json!([{ "id": "its", "city": "Ухта", "street": "Ленина", "house": "1", "str": "Ухта, Ленина, 1" }]),
    );
    app.accept(&whole).await;
    let gone = [
        "DELETE FROM order_item; DELETE FROM orders;",
        "DELETE FROM order_item WHERE position = 1;",
        "DELETE FROM address WHERE sender_id = 'its';",
        "DELETE FROM order_item; DELETE FROM orders; DELETE FROM address; DELETE FROM client;",
    ];
    for (n, gone) in (2..).zip(gone) {
        let more = changed(whole.clone(), "/order_item_list/1/quantity", json!(n));
        let more = changed(more, "/client/addresses/0/room", json!(n.to_string()));
        held.hold();
        let answer = posted(app, &json!([more]));
        held.holds(1).await;
        app.run(gone).await;
        held.let_go();
        let answer = answer.await.unwrap();
        let lines = &answer.order("a")["order_item_list"];
        assert_eq!(lines.as_array().unwrap().len(), 2, "{gone} {lines}");
        assert_eq!(app.count("orders").await, 1, "{gone}");
        assert_eq!(app.count("order_item").await, 2, "{gone}");
        assert_eq!(app.count("address").await, 2, "{gone}");
        // As a batch that comes again sees it.
        assert_eq!(app.post(&json!([more])).await.text, answer.text, "{gone}");
    }
}

/// A hand on a PostgreSQL of the test's own.
async fn hand(options: &PgConnectOptions) -> PgConnection {
    PgConnection::connect_with(options).await.unwrap()
}

async fn by_hand(hand: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(hand)
        .await
        .unwrap();
}

async fn text(hand: &mut PgConnection, sql: &str) -> String {
    sqlx::query_scalar(AssertSqlSafe(sql.to_owned()))
        .fetch_one(hand)
        .await
        .unwrap()
}

const SETTINGS: &str = "[[publication]]\nname = 'demodelivery'\nanonymous = true\n";

async fn post(serving: &Serving, batch: &Value) -> Answer {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!("http://{}{ORDERS}", serving.address);
    Answer::of(client.post(url).body(batch.to_string())).await
}

#[tokio::test]
async fn a_server_that_took_over_without_the_last_commits_is_not_taken_for_the_one_that_had_them() {
    let scratch = Scratch::new();
    fs::write(scratch.join("aqua.toml"), SETTINGS).unwrap();
    let mut one = Cluster::make(&scratch, "one", "autovacuum = off");
    one.start().await;
    let url = format!(
        "postgres://postgres@{},{}/postgres",
        one.host(),
        one.host().replace("one", "two")
    );
    let serving = Serving::start(serving::command(&scratch).env("DATABASE_URL", url));
    post(&serving, &json!([order("first")]))
        .await
        .order("first");
    let mut two = one.standby(&scratch, "two");
    // What the other never hears of: the client is changed, and known to the service so.
    let mut hand_on_one = hand(&one.options("postgres")).await;
    for _ in 0..200 {
        by_hand(&mut hand_on_one, "SELECT txid_current()").await;
    }
    let client = |email: Value| {
        let client = json!({ "id": "client of first", "username": "Василий", "email": email });
        move |id: &str| json!([changed(order(id), "/client", client.clone())])
    };
    let known_to_one = client(json!("one@example.org"));
    post(&serving, &known_to_one("second"))
        .await
        .order("second");
    post(&serving, &known_to_one("third")).await.order("third");
    let stamp = text(
        &mut hand_on_one,
        "SELECT xmin::text || ' ' || version FROM client",
    )
    .await;
    let (xmin, _) = stamp.split_once(' ').unwrap();
    one.end(Signal::SIGKILL);

    two.start().await;
    two.promote();
    let mut hand_on_two = hand(&two.options("postgres")).await;
    let next = "SELECT txid_current()::text";
    let before = xmin.parse::<u64>().unwrap() - 1;
    while text(&mut hand_on_two, next).await.parse::<u64>().unwrap() < before {}
    by_hand(
        &mut hand_on_two,
        "UPDATE client SET email = 'two@example.org', username = 'Пётр', version = version + 1",
    )
    .await;
    let same = text(
        &mut hand_on_two,
        "SELECT xmin::text || ' ' || version FROM client",
    )
    .await;
    assert_eq!(same, stamp, "the same stamp means something else");

    // Somebody else hears first that the connections are dead.
    let stranger = json!([order("fourth")]);
    let mut answer = post(&serving, &stranger).await;
    while answer.status == 503 {
        sleep(Duration::from_millis(200)).await;
        answer = post(&serving, &stranger).await;
    }
    // Nobody gets the numbers that went to the lost orders.
    assert_eq!(answer.order("fourth")["id"], "4");
    let known = json!([changed(
        order("fifth"),
        "/client",
        json!({ "id": "client of first" })
    )]);
    let answer = post(&serving, &known).await;
    let client = &answer.order("fifth")["client"];
    assert_eq!(client["email"], "two@example.org", "{client}");
    assert_eq!(client["username"], "Пётр");
}

// --- Outcomes that stay open ---

#[tokio::test]
async fn while_a_commit_hangs_that_was_answered_503_nothing_else_of_its_order_is_acknowledged() {
    let scratch = Scratch::new();
    let settings = "[database]\nstatement_timeout = 1\nlock_timeout = 1\n[times]\nanswer = 4\n";
    fs::write(scratch.join("aqua.toml"), format!("{settings}{SETTINGS}")).unwrap();
    let mut postgres = Cluster::make(&scratch, "one", "");
    postgres.start().await;
    let serving = Serving::start(serving::command(&scratch).env("DATABASE_URL", postgres.url()));
    let total = |total: i64| json!([changed(order("a"), "/total", json!(total))]);
    post(&serving, &total(710)).await.order("a");

    let mut hand = hand(&postgres.options("postgres")).await;
    by_hand(
        &mut hand,
        "ALTER SYSTEM SET synchronous_standby_names = 'nobody'",
    )
    .await;
    by_hand(&mut hand, "SELECT pg_reload_conf()").await;
    while text(&mut hand, "SHOW synchronous_standby_names").await != "nobody" {
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(post(&serving, &total(720)).await.status, 503);
    // The one that hangs may yet land, and then it is not so.
    for _ in 0..2 {
        assert_eq!(post(&serving, &total(710)).await.status, 503);
    }
    by_hand(&mut hand, "ALTER SYSTEM RESET synchronous_standby_names").await;
    by_hand(&mut hand, "SELECT pg_reload_conf()").await;
    let mut answer = post(&serving, &total(710)).await;
    while answer.status == 503 {
        answer = post(&serving, &total(710)).await;
    }
    answer.order("a");
    let stored = "SELECT total::bigint::text FROM orders";
    assert_eq!(text(&mut hand, stored).await, "710");
    sleep(Duration::from_secs(2)).await;
    assert_eq!(text(&mut hand, stored).await, "710");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_ends_although_postgresql_is_frozen_and_batches_wait() {
    let scratch = Scratch::new();
    fs::write(
        scratch.join("aqua.toml"),
        format!("[times]\nstop = 1\n{SETTINGS}"),
    )
    .unwrap();
    let mut postgres = Cluster::make(&scratch, "one", "");
    postgres.start().await;
    let mut serving =
        Serving::start(serving::command(&scratch).env("DATABASE_URL", postgres.url()));
    post(&serving, &json!([order("before")]))
        .await
        .order("before");
    let waiting = async |serving: &Serving, series: &str| {
        let address = format!("http://{}/metrics", serving.operators_address());
        let text = reqwest::get(address).await.unwrap().text().await.unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(series));
        value.map_or(0, |value| value.trim().parse::<u64>().unwrap())
    };
    postgres.signal_all(Signal::SIGSTOP);
    let url = format!("http://{}{ORDERS}", serving.address);
    let mut posts = JoinSet::new();
    // Of many clients, and all of one order, so that they cannot go together.
    for n in 0..60 {
        let body = json!([order(&n.to_string()), order("shared")]).to_string();
        posts.spawn(reqwest::Client::new().post(&url).body(body).send());
    }
    while waiting(
        &serving,
        r#"aqua_queue_batches{publication="demodelivery"}"#,
    )
    .await
        < 50
    {
        sleep(Duration::from_millis(20)).await;
    }
    serving.signal(Signal::SIGTERM);
    until("it ends", || !serving.lives());
    postgres.signal_all(Signal::SIGCONT);
}

// --- Numbers ---

#[tokio::test]
async fn a_counter_that_falls_back_while_the_service_runs_gives_no_number_twice() {
    let app = TestApp::start().await;
    let number = async |id: &str| -> i64 {
        let order = app.accept(&order(id)).await;
        order["id"].as_str().unwrap().parse().unwrap()
    };
    let lost = number("lost").await;
    // The database of before, but the service does not know.
    app.run(
        "DELETE FROM order_item; DELETE FROM orders; DELETE FROM address; DELETE FROM client;
         UPDATE number_counter SET next = 1;",
    )
    .await;
    // More than it had in reserve.
    for n in 1..=100 {
        assert!(number(&n.to_string()).await > lost);
    }
}

#[tokio::test]
async fn numbers_are_skipped_at_an_operators_word() {
    let app = TestApp::start().await;
    app.accept(&order("a")).await;
    let operator = Operator::of(&app.database);
    let said = operator
        .run(["numbers", "skip", "--by", "5000"])
        .await
        .done();
    assert_eq!(
        said,
        "demodelivery: the next are order 5033, client 5033, address 5033, product 5001\n"
    );
    let more = ["numbers", "skip", "--publication", "demodelivery_web"];
    let said = operator.run(more).await.done();
    assert!(said.contains("order 1005033"), "{said}");
    // One that starts now, as all do after a restore.
    let other = TestApp::beside(app.database.clone(), |_| ()).await;
    assert_eq!(other.accept(&order("b")).await["id"], "1005033");

    app.run("UPDATE number_counter SET next = 2147483000").await;
    let said = operator.run(["numbers", "skip", "--by", "5000"]).await;
    assert_eq!(said.code, Some(1));
    assert!(said.stderr.contains("are used: order"), "{}", said.stderr);
}
