//! A backup brings everything back: what was answered before the loss is answered after it, byte by byte.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, SystemTime},
};

use aqua_orders::database::Account;
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use sqlx::{ConnectOptions, Connection, postgres::PgConnectOptions};

use crate::support::{
    app::{ORDERS, TestApp, changed, example_request, guest_order, order},
    cluster::until,
    postgres::database,
    process::{Scratch, runnable},
    serving::{self, Serving},
};

/// A script of `deploy/`, with nothing of our environment that it would heed.
fn script(name: &str, backups: &Path) -> Command {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("deploy")
        .join(name);
    let mut command = Command::new(path);
    command
        .env("AQUA_BACKUP_FOLDER", backups)
        .env_remove("DATABASE_URL")
        .env_remove("DATABASE_URL_FILE")
        .env_remove("AQUA_DATA_DIR")
        .env_remove("AQUA_BACKUP_KEEP")
        .stdin(Stdio::null());
    command
}

/// It is done; gives what was printed.
fn done(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).unwrap()
}

/// It is refused; gives why.
fn refused(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

/// What lies in a folder, hidden files too.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Orders of every kind, one of them with faults, and the example's.
fn batch() -> Value {
    let mut batch = example_request();
    let orders = batch.as_array_mut().unwrap();
    orders.extend([
        order("A-1"),
        guest_order("A-2", "+79191991919"),
        changed(
            order("A-3"),
            "/comment",
            json!("кавычки \" и \\ и \u{1f4a7}"),
        ),
        changed(order("A-4"), "/total", json!("-1")),
    ]);
    batch
}

#[tokio::test]
async fn what_was_answered_before_the_loss_is_answered_after_the_restore() {
    let app = TestApp::start().await;
    app.post(&batch()).await;
    // What the same batch is answered from now on, and will be after the loss.
    let before = app.post(&batch()).await;
    assert_eq!(
        before.order("A-3")["comment"],
        "кавычки \" и \\ и \u{1f4a7}"
    );
    let rows = app.count("journal_rejected").await;

    let scratch = Scratch::new();
    let backups = scratch.join("backups");
    // Beside the running service.
    let said = done(script("backup.sh", &backups).env("DATABASE_URL", app.database.url()));
    let dump = PathBuf::from(said.trim());
    assert_eq!(
        names(&backups),
        [dump.file_name().unwrap().to_str().unwrap()]
    );
    let lost = app.accept(&order("A-5")).await;

    // Every file on every machine is gone, but the dump.
    let fresh = Arc::new(database().await);
    let mut restore = script("restore.sh", &backups);
    restore.arg(&dump).env("DATABASE_URL", fresh.url());
    let said = done(&mut restore);
    assert!(said.contains("restored: 4 orders"), "{said}");
    let second = TestApp::beside(Arc::clone(&fresh), |_| ()).await;
    let after = second.post(&batch()).await;
    assert_eq!(after.text, before.text);
    assert_eq!(second.count("journal_rejected").await, rows + 1);
    // Counting goes on, and no number is given twice.
    let number = |order: &Value| order["id"].as_str().unwrap().parse::<i32>().unwrap();
    let highest = ["A-1", "A-2", "A-3"]
        .map(|id| number(after.order(id)))
        .into_iter()
        .max();
    let new = number(&second.accept(&order("A-6")).await);
    assert!(Some(new) > highest, "{new} after {highest:?}");
    assert!(new > number(&lost), "not that of an order after the dump");
    let client = |order: &Value| order["client"]["id"].as_i64().unwrap();
    let address = |order: &Value| order["shipping_address"]["id"].as_i64().unwrap();
    let strangers = second.accept(&order("A-7")).await;
    assert!(client(&strangers) > client(&lost));
    assert!(address(&strangers) > address(&lost));
}

#[tokio::test]
async fn a_restore_throws_nothing_away_unasked_and_is_whole_or_not_at_all() {
    let database = database().await;
    let scratch = Scratch::new();
    let settings = "[database]\nmay_lose_orders = true\n[[publication]]\nname = \"demodelivery\"\nanonymous = true\n";
    fs::write(scratch.join("aqua.toml"), settings).unwrap();
    let backups = scratch.join("backups");
    let url = database.url();
    let serve = || Serving::start(serving::command(&scratch).env("DATABASE_URL", &url));
    let stop = |serving: Serving| {
        serving.signal(Signal::SIGTERM);
        assert_eq!(serving.end().0, Some(0));
    };
    let restore = |file: &str, more: &[&str]| {
        let mut restore = script("restore.sh", &backups);
        restore.arg(file).args(more).env("DATABASE_URL", &url);
        restore
    };
    let count = async |what: &str| {
        let pool = database.pool();
        let sql = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {what}"));
        let count: i64 = sqlx::query_scalar(sql).fetch_one(&pool).await.unwrap();
        pool.close().await;
        count
    };

    let serving = serve();
    serving.post_example().await;
    let dump = done(script("backup.sh", &backups).env("DATABASE_URL", &url));
    let why = refused(&mut restore(dump.trim(), &["--replace"]));
    assert!(why.contains("stop every instance"), "{why}");
    let body = json!([order("A-1")]).to_string();
    let address = format!("http://{}{ORDERS}", serving.address);
    let posted = reqwest::Client::new().post(address).body(body).send().await;
    assert_eq!(posted.unwrap().status(), 200);
    stop(serving);
    assert_eq!(count("orders").await, 2);

    let why = refused(&mut restore(dump.trim(), &[]));
    assert!(why.contains("--replace throws them away"), "{why}");
    // One that was cut short on its way says so, and changes nothing.
    let whole = fs::read(dump.trim()).unwrap();
    let cut = scratch.join("cut.dump");
    fs::write(&cut, &whole[..whole.len() - 200]).unwrap();
    refused(&mut restore(cut.to_str().unwrap(), &["--replace"]));
    assert_eq!(count("orders").await, 2);

    // A newer service has made a table that the dump knows nothing of.
    let pool = database.pool();
    sqlx::query("CREATE TABLE newer (publication text, number int, FOREIGN KEY (publication, number) REFERENCES orders)")
        .execute(&pool)
        .await
        .unwrap();
    pool.close().await;
    // What it knows of numbers is not thrown away.
    let pool = database.pool();
    sqlx::query("UPDATE number_counter SET next = 7000 WHERE kind = 'order'")
        .execute(&pool)
        .await
        .unwrap();
    pool.close().await;
    refused(restore(dump.trim(), &["--replace"]).env("AQUA_SKIP_NUMBERS", "1e6"));
    done(restore(dump.trim(), &["--replace"]).env("AQUA_SKIP_NUMBERS", "500"));
    assert_eq!(count("orders").await, 1, "the order after the dump is gone");
    let counters = "number_counter WHERE next = CASE kind WHEN 'order' THEN 7000 ELSE 500 + 33 END";
    assert_eq!(count(counters).await, 3);
    assert_eq!(count("pg_class WHERE relname = 'newer'").await, 0);
    stop(serve());
}

#[tokio::test]
async fn no_command_line_shows_the_databases_password() {
    let app = TestApp::start().await;
    let scratch = Scratch::new();
    let backups = scratch.join("backups");
    // PostgreSQL's programs, which say what they are given.
    let programs = scratch.join("bin");
    fs::create_dir(&programs).unwrap();
    let said = scratch.join("said");
    for name in ["pg_dump", "pg_restore", "psql"] {
        let text = format!(
            "#!/bin/sh\nprintf '%s\\n' \"$0 $*\" \"password is $PGPASSWORD\" >>{said}\nexec {name} \"$@\"\n",
            said = said.display()
        );
        let write = r#"printf '%s' "$1" >"$0" && chmod 755 "$0""#;
        let path = programs.join(name);
        runnable(
            "sh",
            [
                "-c".as_ref(),
                write.as_ref(),
                path.as_os_str(),
                text.as_ref(),
            ],
        );
    }
    let run = |name: &str, url: &str| {
        let mut script = script(name, &backups);
        script
            .env("AQUA_POSTGRES_BIN", &programs)
            .env("DATABASE_URL", url);
        script
    };
    let url = app.database.url();
    let in_user = url.replace("postgres@", "postgres:p%40ss%2Fw%C3%B6rd@");
    let as_parameter = url.replace('?', "?password=p%40ss%2Fw%C3%B6rd&");
    let at_the_end = format!("{url}&pass%77ord=p%40ss%2Fw%C3%B6rd");
    for url in [&in_user, &as_parameter, &at_the_end] {
        let dump = done(&mut run("backup.sh", url));
        let fresh = database().await;
        let there = url.replace(database_in(&app.database.url()), database_in(&fresh.url()));
        done(run("restore.sh", &there).arg(dump.trim()));
        let text = fs::read_to_string(&said).unwrap();
        fs::remove_file(&said).unwrap();
        fs::remove_file(dump.trim()).unwrap();
        for line in text.lines() {
            let hidden = line.strip_prefix("password is ");
            match hidden {
                Some(password) => assert!(password == "p@ss/wörd", "{text}"),
                None => assert!(!line.contains("p%40ss") && !line.contains("p@ss"), "{line}"),
            }
        }
        assert!(text.contains("pg_dump") && text.contains("psql"), "{text}");
    }

    for (url, why) in [
        (url.replace("postgres@", "postgres:p/w@"), "percent-encoded"),
        (format!("{url}&sslpassword=secret-42"), "sslpassword"),
        ("host=db password=secret-42".to_owned(), "postgres://"),
    ] {
        let said = refused(&mut run("backup.sh", &url));
        assert!(said.contains(why) && !said.contains("secret-42"), "{said}");
    }
}

/// The database's name in its URL.
fn database_in(url: &str) -> &str {
    let (_, rest) = url.rsplit_once("5432/").unwrap();
    rest.split('?').next().unwrap()
}

#[tokio::test]
async fn only_whole_backups_bear_a_name_and_the_oldest_give_way() {
    let app = TestApp::start().await;
    let scratch = Scratch::new();
    let backups = scratch.join("backups");
    fs::create_dir(&backups).unwrap();
    let old = [
        "aqua-orders-20200101T000000Z.dump",
        "aqua-orders-20200102T000000Z.dump",
        "aqua-orders-20200103T000000Z.dump",
        // Of another kind, and not ours.
        "aqua-orders-20200101T000000Z.base.tar.gz",
        "letters.dump",
    ];
    for name in old {
        fs::write(backups.join(name), "x").unwrap();
    }
    let left = backups.join(".aqua-orders-000000.part");
    fs::write(&left, "x").unwrap();
    let long_ago = SystemTime::now() - Duration::from_hours(48);
    let file = fs::File::open(&left).unwrap();
    file.set_modified(long_ago).unwrap();

    // A server that is not there: nothing is lost and nothing left.
    let mut backup = script("backup.sh", &backups);
    backup.env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing");
    refused(backup.env("AQUA_BACKUP_KEEP", "2"));
    let mut all: Vec<String> = old.map(str::to_owned).into();
    all.sort();
    assert_eq!(names(&backups), all);

    let said = done(backup.env("DATABASE_URL", app.database.url()));
    let made = Path::new(said.trim()).file_name().unwrap();
    let mut kept = vec![
        made.to_str().unwrap(),
        "aqua-orders-20200103T000000Z.dump",
        "aqua-orders-20200101T000000Z.base.tar.gz",
        "letters.dump",
    ];
    kept.sort_unstable();
    assert_eq!(names(&backups), kept);
}

#[tokio::test]
async fn a_private_cluster_is_backed_up_while_it_runs_and_restored_while_it_does_not() {
    let scratch = Scratch::new();
    let settings = "[[publication]]\nname = \"demodelivery\"\nanonymous = true\n";
    fs::write(scratch.join("aqua.toml"), settings).unwrap();
    let backups = scratch.join("backups");
    let with_data = |mut command: Command, data: &str| {
        command
            .current_dir(scratch.path())
            .env("AQUA_DATA_DIR", data);
        command
    };
    let stop = |serving: Serving| {
        serving.signal(Signal::SIGTERM);
        assert_eq!(serving.end().0, Some(0));
    };

    let serving = Serving::start(&mut with_data(serving::command(&scratch), "first"));
    serving.post_example().await;
    let before = serving.post_example().await;
    let made = ["dump", "base"].map(|kind| {
        let mut backup = with_data(script("backup.sh", &backups), "first");
        done(backup.arg(kind)).trim().to_owned()
    });
    stop(serving);
    let mut backup = with_data(script("backup.sh", &backups), "first");
    assert!(refused(&mut backup).contains("does not run"));

    // The dump, into a cluster that a service has just made.
    let restore = || {
        let mut restore = with_data(script("restore.sh", &backups), "second");
        restore.arg(&made[0]);
        restore
    };
    assert!(refused(&mut restore()).contains("start the service once"));
    let serving = Serving::start(&mut with_data(serving::command(&scratch), "second"));
    assert!(refused(&mut restore()).contains("stop the service first"));
    stop(serving);
    done(&mut restore());
    let serving = Serving::start(&mut with_data(serving::command(&scratch), "second"));
    assert_eq!(serving.post_example().await, before);
    stop(serving);

    // The whole cluster, unpacked where one is to be.
    fs::create_dir(scratch.join("third")).unwrap();
    let mut unpack = Command::new("tar");
    unpack.arg("-xzf").arg(&made[1]).arg("-C");
    done(unpack.arg(scratch.join("third")));
    let serving = Serving::start(&mut with_data(serving::command(&scratch), "third"));
    assert_eq!(serving.post_example().await, before);
    stop(serving);
}

#[tokio::test]
async fn a_private_cluster_comes_back_as_it_was_at_a_moment() {
    let scratch = Scratch::new();
    let settings = "[[publication]]\nname = \"demodelivery\"\nanonymous = true\n";
    fs::write(scratch.join("aqua.toml"), settings).unwrap();
    let backups = scratch.join("backups");
    let wal = backups.join("wal");
    let data = scratch.join("data");
    let with_data = |mut command: Command| {
        command
            .current_dir(scratch.path())
            .env("AQUA_DATA_DIR", &data);
        command
    };
    let serve = || Serving::start(&mut with_data(serving::command(&scratch)));
    let stop = |serving: Serving| {
        serving.signal(Signal::SIGTERM);
        assert_eq!(serving.end().0, Some(0));
    };
    let post = async |serving: &Serving, id: &str| {
        let address = format!("http://{}{ORDERS}", serving.address);
        let body = json!([order(id)]).to_string();
        let posted = reqwest::Client::new().post(address).body(body).send().await;
        posted.unwrap().text().await.unwrap()
    };
    let account = Account::for_postgres(&data).unwrap();
    stop(serve());
    // PostgreSQL runs as somebody else where we are root.
    fs::create_dir_all(&wal).unwrap();
    account.own(&wal).unwrap();
    // Its user may not be able to enter the checkout.
    let archive_wal = scratch.join("archive-wal.sh");
    fs::copy(
        script("archive-wal.sh", &backups).get_program(),
        &archive_wal,
    )
    .unwrap();
    let archive = format!(
        "archive_mode = on\narchive_command = '{} %p {}/%f'\n",
        archive_wal.display(),
        wal.display()
    );
    let file = data.join("postgresql.conf");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text + &archive).unwrap();

    let serving = serve();
    post(&serving, "A-1").await;
    let base = done(with_data(script("backup.sh", &backups)).arg("base"));
    post(&serving, "A-2").await;
    let before = post(&serving, "A-2").await;
    let options = PgConnectOptions::new_without_pgpass()
        .socket(&data)
        .username("postgres")
        .database("postgres");
    let mut superuser = options.connect().await.unwrap();
    let moment: String = sqlx::query_scalar("SELECT clock_timestamp()::text")
        .fetch_one(&mut superuser)
        .await
        .unwrap();
    // The mistake that is to be undone.
    post(&serving, "A-3").await;
    let piece: String = sqlx::query_scalar("SELECT pg_walfile_name(pg_switch_wal())")
        .fetch_one(&mut superuser)
        .await
        .unwrap();
    superuser.close().await.unwrap();
    until("the WAL is archived", || {
        wal.join(format!("{piece}.gz")).exists()
    });
    stop(serving);

    let old = scratch.join("old");
    let recover = |moment: &str| {
        let mut recover = with_data(script("recover.sh", &backups));
        recover
            .arg(base.trim())
            .arg(&wal)
            .arg(moment)
            .env("AQUA_USER", &account.name);
        recover
    };
    let why = refused(&mut recover(&moment));
    assert!(why.contains("is not empty"), "{why}");
    for (moment, orders) in [("latest", 3), (moment.as_str(), 2)] {
        let _first_time = fs::remove_dir_all(&old);
        fs::rename(&data, &old).unwrap();
        let said = done(&mut recover(moment));
        assert!(
            said.contains(&format!("recovered: {orders} orders")),
            "{moment}: {said}"
        );
        let serving = serve();
        assert_eq!(post(&serving, "A-2").await, before);
        // Not the numbers of what is undone.
        let new: Value = serde_json::from_str(&post(&serving, "A-4").await).unwrap();
        let number = new["data"]["A-4"]["data"][0]["id"].as_str().unwrap();
        assert!(number.parse::<i32>().unwrap() > 1_000_000, "{number}");
        stop(serving);
    }
    // Each life after a recovery has a history of its own in the archive, so that the next one is told from it.
    let histories = names(&wal)
        .into_iter()
        .filter(|name| name.ends_with(".history.gz"));
    assert_eq!(histories.count(), 2);
}

#[tokio::test]
async fn the_age_of_the_newest_backup_is_a_metric_where_the_settings_name_its_folder() {
    let scratch = Scratch::new();
    let folder = scratch.path().to_owned();
    let app = TestApp::with(|config| config.backup.folder = Some(folder)).await;
    let age = async || {
        let (_, text) = app.operator("/metrics").await;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("aqua_backup_age_seconds "));
        line.unwrap().parse::<f64>().unwrap()
    };
    assert!(age().await.is_infinite());
    let file = fs::File::create(scratch.join("monday.dump")).unwrap();
    std::io::Write::write_all(&mut &file, b"x").unwrap();
    file.set_modified(SystemTime::now() - Duration::from_hours(3))
        .unwrap();
    assert!(age().await >= 10_800.0);

    let without = TestApp::start().await;
    let (_, text) = without.operator("/metrics").await;
    assert!(!text.contains("aqua_backup_age_seconds "), "{text}");
}

#[tokio::test]
async fn doctor_says_when_no_backup_was_made_for_long() {
    let scratch = Scratch::new();
    fs::write(
        scratch.join("aqua.toml"),
        "[backup]\nfolder = \"backups\"\nmax_age = 3600\n[[publication]]\nname = \"a\"\nanonymous = true\n",
    )
    .unwrap();
    let doctor = || {
        let mut command = serving::command(&scratch);
        let output = command.arg("doctor").output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(doctor().contains("FAULT  backups: cannot look into"));
    fs::create_dir(scratch.join("backups")).unwrap();
    assert!(doctor().contains("FAULT  backups: none in"));
    let file = scratch.join("backups/monday.dump");
    fs::write(&file, "x").unwrap();
    assert!(doctor().contains("ok     backups: the newest"));
    let file = fs::File::open(&file).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_hours(3))
        .unwrap();
    let said = doctor();
    assert!(
        said.contains("FAULT  backups: the newest") && said.contains("is 3 h old"),
        "{said}"
    );
    fs::write(
        scratch.join("aqua.toml"),
        "[[publication]]\nname = \"a\"\nanonymous = true\n",
    )
    .unwrap();
    assert!(doctor().contains("note   backups: nobody looks"));
}
