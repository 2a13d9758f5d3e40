//! The console's role at the database (contract §9): it may do what the pages need and no more. All tests of the console run as it
//! (`support/postgres.rs`).

use std::{fs, time::Duration};

use aqua_orders::database::{self, Error};
use nix::sys::signal::Signal;
use sqlx::{AssertSqlSafe, PgPool, postgres::PgPoolOptions};

use crate::support::{
    app::{TestApp, order},
    console::{Browser, PASSWORD, operators},
    postgres::{TestDatabase, database},
    process::Scratch,
    serving::{self, Serving, hash_password},
};

const OVERVIEW: &str = "/console/p/demodelivery/overview";
const PATIENCE: Duration = Duration::from_secs(10);

/// A pool of that role.
fn pool_of(database: &TestDatabase, role: &str) -> PgPool {
    let pool = PgPoolOptions::new().max_connections(1);
    pool.connect_lazy(&database.url_of(role)).unwrap()
}

/// Runs statements as the database's owner.
async fn run(database: &TestDatabase, sql: &str) {
    let ran = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(&database.pool())
        .await;
    ran.unwrap();
}

/// The code of the error that a statement ends with; `None`: it is done.
async fn code(pool: &PgPool, sql: &str) -> Option<String> {
    let mut transaction = pool.begin().await.unwrap();
    let done = sqlx::query(AssertSqlSafe(sql.to_owned()))
        .execute(&mut *transaction)
        .await;
    transaction.rollback().await.unwrap();
    let error = done.err()?;
    let refusal = error
        .as_database_error()
        .expect("an answer of the server's");
    Some(refusal.code().unwrap_or_default().into_owned())
}

const FORBIDDEN: Option<&str> = Some("42501");

#[tokio::test]
async fn what_no_page_needs_is_closed_to_the_consoles_role() {
    let app = TestApp::with(operators).await;
    app.accept(&order("A-1")).await;
    let mut browser = Browser::of(&app, "boss").await;
    assert_eq!(browser.get(OVERVIEW).await.status, 200);
    let users: Vec<String> = app
        .values(
            "SELECT DISTINCT usename::text FROM pg_stat_activity
             WHERE datname = current_database() AND application_name = 'aqua-orders' ORDER BY 1",
        )
        .await;
    assert_eq!(
        users,
        ["aqua-Console", "postgres"],
        "the pages' sessions, and the intake's"
    );
    let pool = pool_of(&app.database, "aqua-Console");
    for sql in [
        // Nobody's to read but the service's.
        "SELECT * FROM _sqlx_migrations",
        "SELECT * FROM number_counter",
        "SELECT * FROM publication_mark",
        "SELECT mark FROM feed_mark",
        "SELECT mark FROM feed_head",
        "SELECT lease FROM target",
        "SELECT * FROM target",
        // An order stays, and is worth what it is worth.
        "DELETE FROM orders",
        "DELETE FROM order_item",
        "DELETE FROM client",
        "TRUNCATE orders",
        "TRUNCATE operator_session",
        "UPDATE orders SET total = 0",
        "UPDATE orders SET client_number = 1",
        "UPDATE order_item SET price = 0",
        "INSERT INTO orders SELECT * FROM orders",
        "INSERT INTO client SELECT * FROM client",
        "UPDATE client SET coins_amount = 1000",
        // Who did what, and what came, is not written anew.
        "DELETE FROM operator_action",
        "UPDATE operator_action SET login = 'Анна'",
        "DELETE FROM journal_change",
        "UPDATE journal_change SET login = 'Анна'",
        "DELETE FROM journal_rejected",
        "UPDATE journal_batch SET accepted = 0",
        "UPDATE operator_session SET login = 'boss'",
        "UPDATE target SET position = 0",
        "UPDATE number_counter SET next = 1",
        // Nor is it anybody else.
        "CREATE TABLE mine ()",
        "ALTER TABLE orders ADD COLUMN mine int",
        "DROP TABLE orders",
        "SET ROLE postgres",
        "GRANT SELECT ON number_counter TO PUBLIC",
    ] {
        assert_eq!(code(&pool, sql).await.as_deref(), FORBIDDEN, "{sql}");
    }
    for sql in [
        "SELECT * FROM orders",
        "UPDATE orders SET status = 'approved', version = version + 1",
        "SELECT number FROM client WHERE publication = 'demodelivery' FOR UPDATE",
        "DELETE FROM operator_session",
    ] {
        assert_eq!(code(&pool, sql).await, None, "{sql}");
    }
}

#[tokio::test]
async fn each_start_gives_what_is_missing_and_takes_what_is_too_much() {
    let database = database().await;
    let (owner, role) = (database.options(), "aqua-Console");
    let lacks = async || {
        let lacks = database::console_lacks_rights(&owner, role, PATIENCE).await;
        lacks.unwrap()
    };
    assert!(
        !lacks().await,
        "a start that changes nothing writes nothing"
    );
    let sql = "REVOKE ALL ON orders FROM \"aqua-Console\";
               REVOKE UPDATE (seen_at) ON operator_session FROM \"aqua-Console\";
               GRANT DELETE ON order_item, client TO \"aqua-Console\";
               GRANT UPDATE ON feed, address TO \"aqua-Console\";
               GRANT SELECT (lease) ON target TO \"aqua-Console\";
               GRANT SELECT ON number_counter, _sqlx_migrations TO \"aqua-Console\"";
    run(&database, sql).await;
    assert!(lacks().await);
    assert!(lacks().await, "to look changes nothing");
    database::grant_to_console(&owner, role, PATIENCE)
        .await
        .unwrap();
    assert!(!lacks().await);
    let pool = pool_of(&database, role);
    for sql in [
        "DELETE FROM client",
        "UPDATE feed SET order_number = 1",
        "SELECT lease FROM target",
        "SELECT * FROM number_counter",
    ] {
        assert_eq!(code(&pool, sql).await.as_deref(), FORBIDDEN, "{sql}");
    }
    for sql in [
        "UPDATE orders SET status = 'approved'",
        "UPDATE feed SET version = 1",
        "UPDATE address SET str = ''",
        "UPDATE operator_session SET seen_at = now()",
    ] {
        assert_eq!(code(&pool, sql).await, None, "{sql}");
    }
}

#[tokio::test]
async fn several_instances_may_give_rights_at_once() {
    let database = database().await;
    let sql = "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM \"aqua-Console\"";
    run(&database, sql).await;
    let owner = database.options();
    let grant = || database::grant_to_console(&owner, "aqua-Console", PATIENCE);
    let (one, other, third) = tokio::join!(grant(), grant(), grant());
    for granted in [one, other, third] {
        granted.unwrap();
    }
}

#[tokio::test]
async fn a_role_that_is_none_of_the_consoles_own_is_refused_and_left_as_it_was() {
    let database = database().await;
    let owner = database.options();
    let grant = async |role: &str| database::grant_to_console(&owner, role, PATIENCE).await;
    let acls = "SELECT string_agg(relname || relacl::text, ',' ORDER BY relname) FROM pg_class WHERE relacl IS NOT NULL";
    let before: String = sqlx::query_scalar(acls)
        .fetch_one(&database.pool())
        .await
        .unwrap();
    let missing = grant("no \"such\" role").await.unwrap_err();
    assert!(matches!(missing, Error::NoConsoleRole { .. }));
    let said = missing.to_string();
    assert!(
        said.contains(r#"CREATE ROLE "no ""such"" role" LOGIN"#),
        "{said}"
    );
    // The service's own, which is a superuser here; and one that reads everything.
    let reader = format!("reader_{}", std::process::id());
    let sql = format!("CREATE ROLE {reader} LOGIN IN ROLE pg_read_all_data");
    run(&database, &sql).await;
    for role in ["postgres", &reader] {
        let refused = grant(role).await.unwrap_err();
        assert!(matches!(refused, Error::ConsoleMayMore { .. }), "{refused}");
    }
    let after: String = sqlx::query_scalar(acls)
        .fetch_one(&database.pool())
        .await
        .unwrap();
    assert_eq!(after, before);
}

/// Settings with an admin, for a database that forgets.
fn settings(scratch: &Scratch) {
    let hash = hash_password(scratch, PASSWORD);
    let text = format!(
        "[database]\nmay_lose_orders = true\n[[publication]]\nname = \"demodelivery\"\nanonymous = true\n\
         [[operator.user]]\nlogin = \"boss\"\npassword_hash = \"{hash}\"\nrole = \"admin\"\n"
    );
    fs::write(scratch.join("aqua.toml"), text).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_login_that_cannot_be_used_is_told_in_words_at_the_start_and_by_check() {
    let database = database().await;
    let scratch = Scratch::new();
    settings(&scratch);
    let closed = format!("closed_{}", std::process::id());
    run(&database, &format!("CREATE ROLE {closed}")).await;
    let (own, folder) = (database.console_url(), database.folder().display());
    let (login, _) = own.rsplit_once("/test_").unwrap();
    let elsewhere = format!("{login}/postgres?host={folder}");
    for (url, said) in [
        (database.url_of("nobody"), "CREATE ROLE \"nobody\" LOGIN"),
        (
            database.url_of("postgres"),
            "may do more than its pages need",
        ),
        (database.url_of(&closed), "not permitted to log in"),
        (elsewhere, "does not find the service's tables"),
        (
            "mysql://db/aqua".to_owned(),
            "does not start with postgres://",
        ),
    ] {
        for command in ["check", "serve"] {
            let output = serving::command(&scratch)
                .arg(command)
                .env("DATABASE_URL", database.url())
                .env("AQUA_CONSOLE_DATABASE_URL", &url)
                .output()
                .unwrap();
            let text = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{text}");
            assert!(text.contains(said), "{command} {url}: {text}");
            assert!(text.contains("AQUA_CONSOLE_DATABASE_URL"), "{text}");
        }
    }
    let output = serving::command(&scratch)
        .arg("check")
        .env("DATABASE_URL", database.url())
        .env("AQUA_CONSOLE_DATABASE_URL", database.console_url())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("console: its role aqua-Console has its rights"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_login_of_its_own_the_console_uses_the_services_and_says_so() {
    let database = database().await;
    let scratch = Scratch::new();
    settings(&scratch);
    let mut serving =
        Serving::spawn(serving::command(&scratch).env("DATABASE_URL", database.url()));
    serving.hear("the console uses the service's own role");
    serving.is_ready();
    let mut browser = Browser::at(serving.operators_address());
    assert_eq!(browser.log_in("boss", PASSWORD).await.status, 303);
    assert_eq!(browser.get(OVERVIEW).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_do_not_wait_for_a_way_to_the_console_that_is_away() {
    let database = database().await;
    let scratch = Scratch::new();
    settings(&scratch);
    let nowhere = "postgres://aqua-Console@127.0.0.1:1/aqua";
    let mut serving = Serving::spawn(
        serving::command(&scratch)
            .env("DATABASE_URL", database.url())
            .env("AQUA_CONSOLE_DATABASE_URL", nowhere),
    );
    serving.hear("until there is an answer, the console has none either");
    serving.is_ready();
    serving.post_example().await;
    let mut browser = Browser::at(serving.operators_address());
    assert_eq!(browser.log_in("boss", PASSWORD).await.status, 503);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_private_cluster_has_a_role_for_the_console() {
    let scratch = Scratch::new();
    settings(&scratch);
    let serving = Serving::start(&mut serving::command(&scratch));
    let mut browser = Browser::at(serving.operators_address());
    assert_eq!(browser.log_in("boss", PASSWORD).await.status, 303);
    assert_eq!(browser.get(OVERVIEW).await.status, 200);
    let said = serving.said_so_far();
    let granted = said.iter().any(|line| line.contains("aqua_console"));
    assert!(granted, "{said:?}");
    serving.signal(Signal::SIGTERM);
    assert_eq!(serving.end().0, Some(0));
}
