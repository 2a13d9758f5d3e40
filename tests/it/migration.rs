//! Migrations at start (issue 3, "The database"), and the harness that every other test stands on.

use std::{fs, path::Path, sync::Arc, time::Duration};

use aqua_orders::database::{self, Error};
use serde_json::{Value, json};
use sqlx::{ConnectOptions, PgConnection, migrate::Migrator};

use crate::support::{
    app::TestApp,
    postgres::{self, QUICK, Server, TestDatabase},
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

/// The migrations up to this one.
async fn migrate_to(last: &str, connection: &mut PgConnection) {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let some = Scratch::new();
    for file in fs::read_dir(all).expect("there") {
        let file = file.expect("a file");
        if file.file_name().to_str().is_some_and(|name| name <= last) {
            fs::copy(file.path(), some.join(file.file_name())).expect("copied");
        }
    }
    let migrator = Migrator::new(some.path().to_owned()).await.expect("read");
    migrator.run(connection).await.expect("migrated");
}

/// A connection to the database, which has the schema of the release before and nothing in it.
async fn as_the_release_before_left_it(database: &TestDatabase) -> PgConnection {
    let mut connection = database.options().connect().await.expect("connected");
    let empty = "DROP SCHEMA public CASCADE; CREATE SCHEMA public";
    sqlx::raw_sql(empty)
        .execute(&mut connection)
        .await
        .expect("emptied");
    migrate_to("0004_bounds.sql", &mut connection).await;
    connection
}

#[tokio::test]
async fn stored_orders_get_their_own_copy_of_the_address() {
    let database = Arc::new(postgres::database().await);
    let mut connection = as_the_release_before_left_it(&database).await;
    // As the release before wrote them: an order to an address of its client's, and one that found no room there. The
    // address of the same number in another publication is none of theirs.
    sqlx::raw_sql(
        r#"INSERT INTO client (publication, number, sender_id, username)
           VALUES ('demodelivery', 1, 'c', 'Василий'), ('other', 1, 'c', 'Василий');
           INSERT INTO address (publication, number, client_number, city, street, house, str, room)
           VALUES ('demodelivery', 1, 1, 'Эжва', 'Мира', '19', 'Мира 19', '7'),
                  ('other', 1, 1, 'Ухта', 'Мира', '1', 'Мира 1', NULL);
           INSERT INTO orders (publication, number, uuid, sender_id, status, client_number, address_number,
                               delivery_address, created_at, total, shipping_date_from, shipping_date_to)
           SELECT 'demodelivery', n, gen_random_uuid(), 'order ' || n, 'new', 1, CASE n WHEN 1 THEN 1 END,
                  CASE n WHEN 2 THEN '{"city": "Эжва", "street": "Мира", "house": "20", "str": "Мира 20",
                                       "entrance": null, "floor": "2", "room": null}'::jsonb END,
                  '2026-11-06T11:00:00Z', 1, '2026-11-06T11:00:00Z', '2026-11-06T18:00:00Z'
           FROM generate_series(1, 2) AS n;
           INSERT INTO order_item (publication, order_number, position, product_id, price, quantity)
           SELECT 'demodelivery', n, 0, 'w', 1, 1 FROM generate_series(1, 2) AS n"#,
    )
    .execute(&mut connection)
    .await
    .expect("written");

    let options = database.options();
    database::migrate(&options, PATIENCE).await.expect("done");
    let app = TestApp::beside(database, |config| config.limits.client_addresses = 1).await;
    for (id, number, house, floor, room) in [
        ("order 1", json!(1), "19", Value::Null, json!("7")),
        ("order 2", Value::Null, "20", json!("2"), Value::Null),
    ] {
        let sent = json!({
            "id": id, "status": "new", "total": 1, "client": { "id": "c" },
            "shipping_date_from": "2026-11-06T11:00:00Z", "shipping_date_to": "2026-11-06T18:00:00Z",
            "order_item_list": [{ "product_id": "w", "price": 1, "quantity": 1 }],
            "shipping_address": {
                "city": "Эжва", "street": "Мира", "house": house, "str": format!("Мира {house}"),
                "floor": floor, "room": room,
            },
        });
        let shown = &app.accept(&sent).await["shipping_address"];
        let fields = ["id", "user_address_id", "city", "house", "floor", "room"];
        assert_eq!(
            fields.map(|field| &shown[field]),
            [
                &number,
                &number,
                &json!("Эжва"),
                &json!(house),
                &floor,
                &room
            ]
        );
    }
    let versions: Vec<i32> = sqlx::query_scalar("SELECT version FROM orders")
        .fetch_all(&mut connection)
        .await
        .expect("read");
    assert_eq!(versions, [1, 1], "sent again they are as they were");
}

/// The release before goes on storing orders until the migration has the table to itself.
#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_being_stored_when_the_update_starts_gets_its_copy_too() {
    let database = postgres::database().await;
    let mut connection = as_the_release_before_left_it(&database).await;
    sqlx::raw_sql(
        "BEGIN;
         INSERT INTO client (publication, number, sender_id, username) VALUES ('demodelivery', 1, 'c', 'Василий');
         INSERT INTO address (publication, number, client_number, city, street, house, str)
         VALUES ('demodelivery', 1, 1, 'Эжва', 'Мира', '19', 'Мира 19');
         INSERT INTO orders (publication, number, uuid, sender_id, status, client_number, address_number, created_at,
                             total, shipping_date_from, shipping_date_to)
         VALUES ('demodelivery', 1, gen_random_uuid(), 'order 1', 'new', 1, 1, '2026-11-06T11:00:00Z',
                 1, '2026-11-06T11:00:00Z', '2026-11-06T18:00:00Z')",
    )
    .execute(&mut connection)
    .await
    .expect("written");

    let options = database.options();
    let update = tokio::spawn(async move { database::migrate(&options, PATIENCE).await });
    let waits = async {
        let waiting = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'orders'::regclass)";
        while !sqlx::query_scalar::<_, bool>(waiting)
            .fetch_one(&mut connection)
            .await
            .expect("asked")
        {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waits)
        .await
        .expect("the update waits for the order");
    sqlx::raw_sql("COMMIT")
        .execute(&mut connection)
        .await
        .expect("stored");
    update.await.expect("no panic").expect("migrated");
    let house: Option<String> =
        sqlx::query_scalar("SELECT shipping_address ->> 'house' FROM orders")
            .fetch_one(&mut connection)
            .await
            .expect("read");
    assert_eq!(house.as_deref(), Some("19"));
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
    let pid =
        fs::read_to_string(Path::new(&folder).join("data-5432/postmaster.pid")).expect("it runs");
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

#[tokio::test]
async fn stored_orders_stand_in_the_feed_in_the_order_of_their_last_changes() {
    let database = Arc::new(postgres::database().await);
    let mut connection = database.options().connect().await.expect("connected");
    let empty = "DROP SCHEMA public CASCADE; CREATE SCHEMA public";
    sqlx::raw_sql(empty)
        .execute(&mut connection)
        .await
        .expect("emptied");
    migrate_to("0006_orders_with_remarks.sql", &mut connection).await;
    // One of which only its maker's word is known, one that a batch made, one that a sender and then an operator changed; and
    // another publication's.
    sqlx::raw_sql(
        r#"INSERT INTO client (publication, number, sender_id, username)
           VALUES ('demodelivery', 1, 'c', 'Василий'), ('other', 1, 'c', 'Василий');
           INSERT INTO orders (publication, number, uuid, version, sender_id, status, client_number, created_at, total,
                               shipping_date_from, shipping_date_to, shipping_address, batch)
           SELECT p, n, gen_random_uuid(), v, 'A-' || n, 'new', 1, made, 1, now(), now(),
                  '{"city": "Эжва", "street": "Мира", "house": "1", "str": "Мира 1"}', batch::uuid
           FROM (VALUES ('demodelivery', 1, 3, now(), NULL),
                        -- 1 March 2026, 00:00 UTC.
                        ('demodelivery', 2, 1, '2020-01-01', '019ca6b1-dc00-7000-8000-000000000000'),
                        ('demodelivery', 3, 1, '2100-01-01', NULL),
                        ('other', 1, 2, '2020-01-01', NULL)) AS t (p, n, v, made, batch);
           INSERT INTO journal_change (publication, order_number, version, made_at, batch, changes)
           VALUES ('demodelivery', 1, 2, '2026-01-01Z', gen_random_uuid(), '{}'),
                  ('demodelivery', 1, 3, '2026-02-01Z', NULL, '{}');"#,
    )
    .execute(&mut connection)
    .await
    .expect("stored");
    database::migrate(&database.options(), PATIENCE)
        .await
        .expect("migrated");
    let rows: Vec<String> = sqlx::query_scalar(
        "SELECT concat_ws(' ', order_number, version, position, changed_by, by_sender, by_operator, date(changed_at AT TIME ZONE 'UTC'))
         FROM feed WHERE publication = 'demodelivery' AND changed_at < '2026-06-01' ORDER BY position",
    )
    .fetch_all(&mut connection)
    .await
    .expect("read");
    assert_eq!(
        rows,
        [
            "1 3 1 operator 2 3 2026-02-01",
            "2 1 2 sender 1 0 2026-03-01"
        ]
    );
    // What its sender dates into the future was changed by now at the latest.
    let last: String = sqlx::query_scalar(
        "SELECT concat_ws(' ', order_number, position, changed_at <= now()) FROM feed
         WHERE publication = 'demodelivery' ORDER BY position DESC LIMIT 1",
    )
    .fetch_one(&mut connection)
    .await
    .expect("read");
    assert_eq!(last, "3 3 t");
    let heads: Vec<String> = sqlx::query_scalar(
        "SELECT concat_ws(' ', h.publication, h.position) FROM feed_head h JOIN feed_mark m USING (publication, position, mark)
         ORDER BY 1",
    )
    .fetch_all(&mut connection)
    .await
    .expect("read");
    assert_eq!(heads, ["demodelivery 3", "other 1"]);
}
