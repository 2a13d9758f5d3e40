//! Migrations at start (issue 3, "The database"), and the harness that every other test stands on.

use std::{fs, path::Path, time::Duration};

use aqua_orders::database::{self, Error};
use sqlx::ConnectOptions;

use crate::support::{
    postgres::{self, QUICK, Server},
    process::{self, Process, Scratch},
};

const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn any_number_of_instances_may_start_at_once() {
    let database = postgres::database().await;
    let mut connection = database.options().connect().await.expect("connected");
    sqlx::raw_sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        .execute(&mut connection)
        .await
        .expect("emptied");
    let mut starts = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let options = database.options();
        starts.spawn(async move { database::migrate(&options, PATIENCE).await });
    }
    while let Some(start) = starts.join_next().await {
        start.expect("no panic").expect("migrated");
    }
    let applied: i64 = sqlx::query_scalar("SELECT count(*) FROM _sqlx_migrations")
        .fetch_one(&mut connection)
        .await
        .expect("counted");
    let carried = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations"))
        .expect("there")
        .count();
    assert_eq!(usize::try_from(applied).expect("few"), carried, "each once");
}

#[tokio::test]
async fn a_database_of_a_newer_program_is_refused() {
    let database = postgres::database().await;
    let mut connection = database.options().connect().await.expect("connected");
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (999999, 'from the future', true, '', 0)",
    )
    .execute(&mut connection)
    .await
    .expect("written");
    let error = database::migrate(&database.options(), PATIENCE)
        .await
        .expect_err("refused");
    assert!(
        matches!(error, Error::Newer { found: 999_999, .. }),
        "{error}"
    );
    assert!(error.to_string().contains("a newer aqua-orders"), "{error}");
}

#[tokio::test]
async fn a_database_with_other_migrations_is_refused_and_its_lock_let_go() {
    let database = postgres::database().await;
    let mut connection = database.options().connect().await.expect("connected");
    sqlx::query("UPDATE _sqlx_migrations SET checksum = '\\x00' WHERE version = 1")
        .execute(&mut connection)
        .await
        .expect("written");
    for _ in 0..2 {
        let again =
            tokio::time::timeout(PATIENCE, database::migrate(&database.options(), PATIENCE)).await;
        let error = again.expect("no lock in the way").expect_err("refused");
        assert!(matches!(error, Error::Altered(1)), "{error}");
    }
}

#[tokio::test]
async fn a_url_is_checked_without_showing_its_password() {
    let database = postgres::database().await;
    let mut settings = database.settings();
    let opened = database::open(&settings).await.expect("a good URL");
    assert!(opened.private.is_none());
    database::migrate(opened.servers.first(), PATIENCE)
        .await
        .expect("reached");

    for wrong in [
        "mysql://u:secret@localhost/d",
        "postgres://u:secret@localhost:port/d",
        "secret",
    ] {
        settings.url = Some(aqua_orders::config::Secret::new(wrong));
        let error = database::open(&settings).await.expect_err("refused");
        assert!(matches!(error, Error::Url(_)), "{error}");
        assert!(
            !format!("{error} {error:?}").contains("secret"),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn a_server_that_is_away_or_refuses_is_told_apart() {
    let database = postgres::database().await;
    let error = database::migrate(&database.options().database("nonexistent"), PATIENCE)
        .await
        .expect_err("refused");
    assert!(matches!(error, Error::Refused(_)), "{error}");
    let nowhere = database.options().socket("/nonexistent");
    let error = database::migrate(&nowhere, Duration::from_millis(300))
        .await
        .expect_err("nobody there");
    assert!(matches!(error, Error::NoAnswer { .. }), "{error}");
}

#[tokio::test]
async fn every_test_has_a_database_of_its_own() {
    let (one, other) = tokio::join!(postgres::database(), postgres::database());
    sqlx::query("INSERT INTO publication_mark (publication, mark) VALUES ('p', 'one')")
        .execute(&one.pool())
        .await
        .expect("written");
    let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM publication_mark")
        .fetch_one(&other.pool())
        .await
        .expect("counted");
    assert_eq!(seen, 0);
}

#[tokio::test]
#[ignore = "the process that the next test starts and kills; by itself it does nothing"]
async fn as_a_test_binary() {
    if std::env::var_os("AQUA_TEST_HARNESS").is_some() {
        let server = Server::start(&QUICK).await;
        process::say(&server.folder().display().to_string());
        process::wait_for_release();
    }
}

#[tokio::test]
async fn nothing_is_left_of_a_killed_test_binary() {
    let scratch = Scratch::new();
    let environment = [("AQUA_TEST_HARNESS", "1".as_ref())];
    let mut binary = Process::start("migration::as_a_test_binary", &environment, None, &scratch);
    let folder = binary.hear();
    let pid = fs::read_to_string(Path::new(&folder).join("data/postmaster.pid")).expect("it runs");
    let process = format!("/proc/{}", pid.lines().next().expect("a process id"));
    assert!(Path::new(&process).exists());
    binary.kill();
    for _ in 0..200 {
        if !Path::new(&folder).exists() && !Path::new(&process).exists() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{folder} or {process} is still there");
}
