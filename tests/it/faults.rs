//! What breaks on the way (contract §1, "Whatever may pass by itself"): answers that are lost, connections that are
//! cut, a database that is away, callers that vanish.

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use aqua_orders::config::{Config, Secret};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::support::{
    app::{Answer, ORDERS, TestApp, changed, guest_order, order},
    postgres::database,
    proxy::{Moment, Proxy, Rule, Then},
};

/// Nothing here takes as long: a test that would hang fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// A service whose line to PostgreSQL can be cut.
struct Cuttable {
    app: TestApp,
    line: Proxy,
    _folder: TempDir,
}

impl Cuttable {
    async fn start() -> Self {
        Self::with(|_| ()).await
    }

    /// One that gives up soon.
    async fn hasty() -> Self {
        Self::with(|config| {
            config.times.answer = Duration::from_secs(4);
            config.database.statement_timeout = Duration::from_secs(1);
            config.database.lock_timeout = Duration::from_secs(1);
        })
        .await
    }

    async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let database = Arc::new(database().await);
        let (line, folder) = Proxy::before_postgres(database.folder());
        let url = database.url_by_way_of(folder.path());
        let app = TestApp::beside(database, |config| {
            config.database.url = Some(Secret::new(url));
            change(config);
        })
        .await;
        Self {
            app,
            line,
            _folder: folder,
        }
    }

    fn cut(&self, moment: Moment, then: Then) {
        self.line.set(Rule::CutWrite { moment, then });
    }

    /// Has a few connections lie idle in the pool.
    async fn warm_up(&self) {
        let mut posts = JoinSet::new();
        for n in 0..8 {
            let orders: Vec<Value> = (0..n * 40).map(|m| order(&format!("{n} {m}"))).collect();
            posts.spawn(Answer::of(
                self.app.request().body(json!(orders).to_string()),
            ));
        }
        while let Some(answer) = posts.join_next().await {
            assert_eq!(answer.unwrap().status, 200);
        }
        let connections = self
            .number("SELECT count(*) FROM pg_stat_activity WHERE {ours}")
            .await;
        assert!(connections > 1, "{connections} connections");
    }

    async fn number(&self, sql: &str) -> i64 {
        number(&self.app, sql).await
    }
}

/// Asks PostgreSQL itself. `{ours}` stands for the service's connections in `pg_stat_activity`.
async fn number(app: &TestApp, sql: &str) -> i64 {
    let ours = "application_name = 'aqua-orders' AND datname = current_database()";
    sqlx::query_scalar(AssertSqlSafe(sql.replace("{ours}", ours)))
        .fetch_one(&app.pool())
        .await
        .unwrap()
}

/// Asks until it is so.
async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let asking = async {
        while !is_so().await {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, asking).await.expect(what);
}

/// Waits until nothing of the service's runs in PostgreSQL any more, connection or none.
async fn quiet(app: &TestApp) {
    until("PostgreSQL comes to rest", || async {
        number(
            app,
            "SELECT count(*) FROM pg_stat_activity WHERE {ours} AND state <> 'idle'",
        )
        .await
            == 0
    })
    .await;
}

/// Waits until so many of the service's statements wait for a lock.
async fn behind_a_lock(app: &TestApp, count: i64) {
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE {ours} AND wait_event_type = 'Lock'";
    until("statements wait for a lock", || async {
        number(app, waiting).await == count
    })
    .await;
}

/// Three orders: two of clients of their own, one of a guest.
fn batch(name: &str) -> Value {
    let phone = name.bytes().fold(9_000_000_000, |sum: u64, byte| {
        (sum * 31 + u64::from(byte)) % 1_000_000_000 + 9_000_000_000
    });
    json!([
        order(&format!("{name} 1")),
        order(&format!("{name} 2")),
        guest_order(&format!("{name} 3"), &phone.to_string()),
    ])
}

#[track_caller]
fn storage_unavailable(answer: &Answer) {
    assert_eq!(answer.status, 503, "{}", answer.text);
    assert_eq!(answer.body["errors"][0]["code"], "storage_unavailable");
    assert_eq!(answer.body["data"], json!({}));
    let seconds = answer.headers["retry-after"].to_str().unwrap();
    assert!(seconds.parse::<u32>().unwrap() > 0);
}

// --- Between the sender and the service ---

#[tokio::test]
async fn an_answer_that_is_lost_on_its_way_and_the_batch_sent_again_makes_no_second_order() {
    let app = TestApp::start().await;
    let (line, address) = Proxy::before_service(app.address).await;
    let client = reqwest::Client::builder()
        .no_proxy()
        .pool_max_idle_per_host(0)
        .build()
        .unwrap();
    let send = |batch: &Value| {
        client
            .post(format!("http://{address}{ORDERS}"))
            .body(batch.to_string())
    };
    for lost in 1..=3 {
        let batch = batch(&format!("batch {lost}"));
        line.set(Rule::LoseAnswer);
        send(&batch).send().await.expect_err("the answer is lost");
        assert_eq!(line.cuts(), lost);
        let stored = app.rows().await;
        let again = Answer::of(send(&batch)).await;
        let number = |id: &str| again.order(&format!("batch {lost} {id}"))["id"].clone();
        assert_ne!(number("1"), number("2"));
        let lost = i64::try_from(lost).unwrap();
        assert_eq!(stored, [3 * lost; 4]);
        assert_eq!(app.rows().await, stored);
        assert_eq!(Answer::of(send(&batch)).await.text, again.text);
    }
}

/// Sends a request up to some point and is gone.
async fn vanish(address: SocketAddr, caller: usize) {
    // Every fifth is one that the database refuses, so that it is taken apart: there the service opens transactions.
    let total = if caller.is_multiple_of(5) { 13 } else { 710 };
    let order = changed(order(&format!("caller {caller}")), "/total", json!(total));
    let body = json!([order]).to_string();
    let head = format!(
        "POST {ORDERS} HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let whole = [head.as_bytes(), body.as_bytes()].concat();
    let sent = match caller % 4 {
        0 => head.len(),
        1 => whole.len() - body.len() / 2,
        _ => whole.len(),
    };
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&whole[..sent]).await.unwrap();
    if caller.is_multiple_of(3) {
        // So that it is at work when they leave.
        let mut little = [0; 1];
        let _ = timeout(
            Duration::from_millis(caller as u64 % 20),
            stream.read(&mut little),
        )
        .await;
    }
    // A reset, as of a process that was killed with unread data.
    #[expect(deprecated, reason = "zero seconds block nobody")]
    stream.set_linger(Some(Duration::ZERO)).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_callers_that_vanish_mid_request_leave_no_open_transaction_and_no_stuck_pool() {
    let app = TestApp::with(|config| {
        // PostgreSQL would clear away after us.
        config.database.statement_timeout = PATIENCE * 2;
        config.times.answer = PATIENCE * 4;
        // What they left behind still waits its turn when the honest ones come, and must not fill the queue.
        config.limits.waiting_batches = 2_000;
    })
    .await;
    app.run(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN RAISE EXCEPTION 'unlucky' USING ERRCODE = '22000'; END $$;
         CREATE TRIGGER refuse BEFORE INSERT ON orders FOR EACH ROW WHEN (NEW.total = 13)
             EXECUTE FUNCTION refuse();",
    )
    .await;
    let mut callers = JoinSet::new();
    for caller in 0..1000 {
        if callers.len() >= 100 {
            callers.join_next().await.unwrap().unwrap();
        }
        callers.spawn(vanish(app.address, caller));
    }
    while let Some(vanished) = callers.join_next().await {
        vanished.unwrap();
    }

    let mut honest = JoinSet::new();
    for n in 0..50 {
        honest.spawn(Answer::of(
            app.request()
                .body(json!([order(&format!("honest {n}"))]).to_string()),
        ));
    }
    while let Some(answer) = honest.join_next().await {
        let answer = answer.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    let open = "SELECT count(*) FROM pg_stat_activity WHERE {ours} AND xact_start IS NOT NULL";
    until("no transaction is open", async || {
        number(&app, open).await == 0
    })
    .await;

    assert!(app.count("orders").await > 50, "some of them were taken");
    // In one statement, for the last of them may still be at work.
    let by_half = "SELECT count(*) FROM (VALUES
             ((SELECT count(*) FROM order_item)), ((SELECT count(*) FROM client)),
             ((SELECT count(*) FROM address)), ((SELECT sum(accepted)::bigint FROM journal_batch))
         ) AS kept (rows) WHERE rows <> (SELECT count(*) FROM orders)";
    assert_eq!(number(&app, by_half).await, 0);
}

// --- Between the service and PostgreSQL ---

#[tokio::test]
async fn a_connection_cut_before_during_or_after_the_writing_statement_loses_and_doubles_nothing() {
    let cuttable = Cuttable::start().await;
    let (app, line) = (&cuttable.app, &cuttable.line);
    let mut cuts = 0;
    // The second time on connections that know the statement already.
    for round in 0..2 {
        for moment in [
            Moment::Before,
            Moment::During,
            Moment::After,
            Moment::AfterPooled,
        ] {
            let batch = batch(&format!("{moment:?} {round}"));
            cuttable.cut(moment, Then::Pass);
            let answer = app.post(&batch).await;
            cuts += 1;
            assert_eq!(line.cuts(), usize::try_from(cuts).unwrap(), "{moment:?}");
            answer.order(&format!("{moment:?} {round} 3"));
            assert_eq!(app.rows().await, [3 * cuts; 4], "{moment:?}");
            assert_eq!(app.post(&batch).await.text, answer.text, "{moment:?}");
            assert_eq!(app.rows().await, [3 * cuts; 4], "{moment:?}");
        }
    }
}

#[tokio::test]
async fn when_the_connection_breaks_in_the_commit_the_batchs_own_journal_row_tells_what_became_of_it()
 {
    let cuttable = Cuttable::start().await;
    let app = &cuttable.app;
    let journal = async |abandoned: bool| {
        let sql = format!("SELECT count(*) FROM journal_batch WHERE abandoned = {abandoned}");
        cuttable.number(&sql).await
    };
    // It is there: nothing is written again.
    cuttable.cut(Moment::After, Then::Pass);
    let answer = app.post(&batch("landed")).await;
    assert_eq!(cuttable.line.cuts(), 1);
    answer.order("landed 1");
    assert_eq!((journal(false).await, journal(true).await), (1, 0));

    // It is not, and never will be: it is written anew, with the same numbers.
    cuttable.cut(Moment::Before, Then::Pass);
    let answer = app.post(&batch("lost")).await;
    assert_eq!(cuttable.line.cuts(), 2);
    assert_eq!(answer.order("lost 1")["id"], "4");
    assert_eq!((journal(false).await, journal(true).await), (2, 1));
}

#[tokio::test]
async fn a_statement_that_still_runs_when_its_connection_is_cut_is_waited_for_or_barred() {
    let cuttable = Cuttable::start().await;
    let app = &cuttable.app;
    // Somebody else is about to make the same client.
    let pool = app.pool();
    let mut other = pool.begin().await.unwrap();
    sqlx::query(
        "INSERT INTO client (publication, number, sender_id, username)
         VALUES ('demodelivery', 1000000, 'client of held 1', 'other')",
    )
    .execute(&mut *other)
    .await
    .unwrap();
    cuttable.cut(Moment::During, Then::Pass);
    let answer = tokio::spawn(Answer::of(app.request().body(batch("held").to_string())));
    until("the line is cut", async || cuttable.line.cuts() == 1).await;
    // Its own, and the question what became of it, or another try.
    behind_a_lock(app, 2).await;
    other.rollback().await.unwrap();
    let answer = answer.await.unwrap();
    answer.order("held 1");
    quiet(app).await;
    assert_eq!(app.rows().await, [3; 4]);
    let stored = "SELECT count(*) FROM journal_batch WHERE NOT abandoned";
    assert_eq!(cuttable.number(stored).await, 1);
    assert_eq!(app.post(&batch("held")).await.text, answer.text);
}

#[tokio::test]
async fn where_the_journal_cannot_be_asked_in_time_the_answer_is_503_and_sending_again_is_safe() {
    for moment in [
        Moment::Before,
        Moment::During,
        Moment::After,
        Moment::AfterPooled,
    ] {
        let cuttable = Cuttable::hasty().await;
        let app = &cuttable.app;
        cuttable.cut(moment, Then::Down);
        storage_unavailable(&app.post(&batch("open")).await);
        assert_eq!(cuttable.line.cuts(), 1);
        quiet(app).await;
        let stored = app.rows().await;
        match moment {
            Moment::Before => assert_eq!(stored, [0; 4]),
            Moment::During => assert!([[0; 4], [3; 4]].contains(&stored), "{stored:?}"),
            Moment::After | Moment::AfterPooled => assert_eq!(stored, [3; 4]),
        }
        cuttable.line.set(Rule::Pass);
        let again = app.post(&batch("open")).await;
        again.order("open 1");
        assert_eq!(app.rows().await, [3; 4], "{moment:?}");
        assert_eq!(app.post(&batch("open")).await.text, again.text);
    }
}

#[tokio::test]
async fn a_database_that_is_away_at_the_start_is_503_and_the_service_recovers_by_itself() {
    let cuttable = Cuttable::start().await;
    cuttable.line.set(Rule::Down);
    for _ in 0..3 {
        storage_unavailable(&cuttable.app.post(&batch("early")).await);
    }
    cuttable.line.set(Rule::Pass);
    cuttable.app.post(&batch("early")).await.order("early 1");
    assert_eq!(cuttable.app.rows().await, [3; 4]);
}

#[tokio::test]
async fn a_database_that_goes_away_midway_is_503_and_the_service_recovers_by_itself() {
    let cuttable = Cuttable::start().await;
    let first = cuttable.app.post(&batch("first")).await;
    for n in 1..=3 {
        cuttable.line.set(Rule::Down);
        let batch = batch(&n.to_string());
        for _ in 0..2 {
            storage_unavailable(&cuttable.app.post(&batch).await);
        }
        assert_eq!(cuttable.app.rows().await, [3 * n; 4]);
        cuttable.line.set(Rule::Pass);
        cuttable.app.post(&batch).await.order(&format!("{n} 1"));
    }
    assert_eq!(cuttable.app.post(&batch("first")).await.text, first.text);
}

#[tokio::test]
async fn a_database_that_was_away_between_two_batches_is_not_noticed() {
    let cuttable = Cuttable::start().await;
    for n in 0..3 {
        cuttable.warm_up().await;
        // Every connection in the pool is dead now, and nobody has said so.
        cuttable.line.set(Rule::Down);
        until("all are hung up on", || async {
            cuttable
                .number("SELECT count(*) FROM pg_stat_activity WHERE {ours}")
                .await
                == 0
        })
        .await;
        cuttable.line.set(Rule::Pass);
        cuttable
            .app
            .post(&batch(&n.to_string()))
            .await
            .order(&format!("{n} 1"));

        cuttable.warm_up().await;
        // The same with a last word.
        let ended = "WITH these AS MATERIALIZED (SELECT pid FROM pg_stat_activity WHERE {ours})
             SELECT count(*) FROM these WHERE pg_terminate_backend(pid)";
        assert!(cuttable.number(ended).await > 0);
        let batch = batch(&format!("{n} again"));
        cuttable
            .app
            .post(&batch)
            .await
            .order(&format!("{n} again 1"));
    }
}

#[tokio::test]
async fn a_database_that_falls_silent_is_503_and_the_service_recovers_by_itself() {
    let cuttable = Cuttable::hasty().await;
    cuttable.warm_up().await;
    let before = cuttable.app.rows().await;
    cuttable.line.set(Rule::Silent);
    let mut posts = JoinSet::new();
    for n in 0..6 {
        let batch = batch(&format!("unheard {n}"));
        posts.spawn(Answer::of(cuttable.app.request().body(batch.to_string())));
    }
    while let Some(answer) = posts.join_next().await {
        storage_unavailable(&answer.unwrap());
    }
    assert_eq!(cuttable.app.rows().await, before);
    // The connections there were stay silent for ever; new ones are heard.
    cuttable.line.set(Rule::Pass);
    until("it is stored", || async {
        cuttable.app.post(&batch("heard")).await.status == 200
    })
    .await;
    for n in 0..6 {
        let answer = cuttable.app.post(&batch(&format!("unheard {n}"))).await;
        answer.order(&format!("unheard {n} 1"));
    }
}

// --- Too much, too late ---

#[tokio::test]
async fn a_full_queue_is_503_overloaded_and_those_who_wait_are_answered() {
    let app = TestApp::with(|config| {
        config.limits.waiting_batches = 2;
        config.database.lock_timeout = PATIENCE;
        config.database.statement_timeout = PATIENCE;
        config.times.answer = PATIENCE * 2;
    })
    .await;
    let pool = app.pool();
    let mut other = pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE client IN ACCESS EXCLUSIVE MODE")
        .execute(&mut *other)
        .await
        .unwrap();
    let mut posts = JoinSet::new();
    let post = |posts: &mut JoinSet<Answer>, n: i64| {
        let batch = json!([order(&n.to_string())]);
        posts.spawn(Answer::of(app.request().body(batch.to_string())));
    };
    // Two are with the database.
    for n in 1..=2 {
        post(&mut posts, n);
        behind_a_lock(&app, n).await;
    }
    // Two of these wait, and the others are sent away at once.
    for n in 3..=12 {
        post(&mut posts, n);
    }
    for _ in 0..8 {
        let answer = posts.join_next().await.unwrap().unwrap();
        assert_eq!(answer.status, 503, "{}", answer.text);
        assert_eq!(answer.body["errors"][0]["code"], "overloaded");
        assert!(answer.headers.contains_key("retry-after"));
    }
    other.rollback().await.unwrap();
    while let Some(answer) = posts.join_next().await {
        assert_eq!(answer.unwrap().status, 200);
    }
    assert_eq!(app.rows().await, [4; 4]);
}

#[tokio::test]
async fn nothing_that_was_given_up_on_is_stored_after_its_answer() {
    let app = TestApp::with(|config| {
        config.times.answer = Duration::from_secs(3);
        config.database.statement_timeout = Duration::from_secs(2);
        config.database.lock_timeout = Duration::from_secs(2);
    })
    .await;
    let pool = app.pool();
    let mut other = pool.begin().await.unwrap();
    sqlx::query(
        "INSERT INTO client (publication, number, sender_id, username)
         VALUES ('demodelivery', 1000000, 'shared', 'other')",
    )
    .execute(&mut *other)
    .await
    .unwrap();
    // They share a client, so each comes to the database only when the one before has been given up on there.
    let mut posts = JoinSet::new();
    for n in 1..=4 {
        let order = changed(order(&n.to_string()), "/client/id", json!("shared"));
        posts.spawn(Answer::of(app.request().body(json!([order]).to_string())));
    }
    while let Some(answer) = posts.join_next().await {
        storage_unavailable(&answer.unwrap());
    }
    other.rollback().await.unwrap();
    quiet(&app).await;
    assert_eq!(app.rows().await, [0; 4]);
    // And what is sent again is stored.
    app.accept(&changed(order("1"), "/client/id", json!("shared")))
        .await;
}
