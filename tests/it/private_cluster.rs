//! The private cluster (issue 3, "The database"): started, found again, killed, shared, refused.

use std::{
    ffi::OsStr,
    fs::{self, File, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use aqua_orders::{
    config,
    database::{self, Error, PrivateCluster, binaries},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use sqlx::{ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};

use crate::support::process::{self, NOBODY, Process, Scratch, is_root, runnable};

fn settings(data_dir: impl Into<PathBuf>) -> config::Database {
    config::Database {
        url: None,
        data_dir: data_dir.into(),
        connections: 10,
        client_cache_bytes: 0,
        may_lose_orders: false,
        statement_timeout: Duration::from_secs(5),
        lock_timeout: Duration::from_secs(2),
        start_timeout: Duration::from_mins(1),
    }
}

async fn start(data_dir: &Path) -> PrivateCluster {
    let opened = database::open(&settings(data_dir))
        .await
        .expect("the cluster");
    database::migrate(opened.servers.first(), Duration::from_secs(5))
        .await
        .expect("the schema");
    opened.private.expect("a cluster of our own")
}

async fn refusal(data_dir: &Path) -> Error {
    database::open(&settings(data_dir))
        .await
        .expect_err("a refusal")
}

async fn note(options: &PgConnectOptions, mark: &str) {
    let mut connection = options.connect().await.expect("connected");
    sqlx::query("INSERT INTO publication_mark (publication, mark) VALUES ('p', $1)")
        .bind(mark)
        .execute(&mut connection)
        .await
        .expect("written");
}

async fn notes(options: &PgConnectOptions) -> Vec<String> {
    let mut connection = options.connect().await.expect("connected");
    sqlx::query_scalar("SELECT mark FROM publication_mark ORDER BY mark")
        .fetch_all(&mut connection)
        .await
        .expect("read")
}

async fn setting(connection: &mut PgConnection, name: &str) -> String {
    sqlx::query_scalar("SELECT current_setting($1)")
        .bind(name)
        .fetch_one(connection)
        .await
        .expect(name)
}

fn pid(cluster: &PrivateCluster) -> Pid {
    Pid::from_raw(
        cluster
            .pid()
            .expect("running")
            .try_into()
            .expect("a process id"),
    )
}

fn is_alive(pid: Pid) -> bool {
    // A zombie is dead; its folder cannot be read.
    fs::read_link(format!("/proc/{pid}/cwd")).is_ok()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("there").mode() & 0o777
}

/// Another aqua-orders: see [`as_a_service`]. Its first word is "ready", with the postmaster's id, or its error.
fn service(
    scratch: &Scratch,
    data_dir: &Path,
    environment: &[(&str, &str)],
    user: Option<u32>,
) -> Process {
    let mut all = vec![("AQUA_TEST_DATA_DIR", data_dir.as_os_str())];
    all.extend(
        environment
            .iter()
            .map(|(name, value)| (*name, OsStr::new(value))),
    );
    Process::start("private_cluster::as_a_service", &all, user, scratch)
}

fn ready(service: &mut Process) -> Pid {
    let word = service.hear();
    let pid = word
        .strip_prefix("ready ")
        .unwrap_or_else(|| panic!("{word}"));
    Pid::from_raw(pid.parse().expect("a process id"))
}

#[tokio::test]
#[ignore = "the process that tests here start and kill; by itself it does nothing"]
async fn as_a_service() {
    let Some(data_dir) = std::env::var_os("AQUA_TEST_DATA_DIR") else {
        return;
    };
    match database::open(&settings(data_dir)).await {
        Ok(opened) => {
            database::migrate(opened.servers.first(), Duration::from_secs(5))
                .await
                .expect("the schema");
            let cluster = opened.private.expect("a cluster of our own");
            process::say(&format!("ready {}", cluster.pid().expect("running")));
            process::wait_for_release();
            cluster.stop().await.expect("stopped");
            process::say("stopped");
        }
        Err(error) => process::say(&format!("{:?}", error.to_string())),
    }
}

#[tokio::test]
async fn a_first_start_makes_it_and_a_second_start_finds_its_data() {
    let scratch = Scratch::new();
    let data_dir = scratch.join("not/yet/there");
    let cluster = start(&data_dir).await;
    note(&cluster.options(), "first").await;
    let first = pid(&cluster);
    cluster.stop().await.expect("stopped");
    assert!(!is_alive(first), "it stops with the service");
    assert!(
        !data_dir.join("postmaster.pid").exists(),
        "it was stopped cleanly"
    );

    let cluster = start(&data_dir).await;
    assert_eq!(notes(&cluster.options()).await, ["first"]);
    assert_ne!(pid(&cluster), first);
    cluster.stop().await.expect("stopped");
}

#[tokio::test]
async fn it_is_durable_and_speaks_utf8() {
    let scratch = Scratch::new();
    let cluster = start(&scratch.join("data")).await;
    let mut connection = cluster.options().connect().await.expect("connected");
    for (name, value) in [
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("full_page_writes", "on"),
        ("data_checksums", "on"),
        ("server_encoding", "UTF8"),
        ("lc_collate", "C"),
    ] {
        // lc_collate is no setting any more since PostgreSQL 16.
        let now = match name {
            "lc_collate" => sqlx::query_scalar(
                "SELECT datcollate::text FROM pg_database WHERE datname = current_database()",
            )
            .fetch_one(&mut connection)
            .await
            .expect("its collation"),
            _ => setting(&mut connection, name).await,
        };
        assert_eq!(now, value, "{name}");
    }
    let superuser: bool =
        sqlx::query_scalar("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
            .fetch_one(&mut connection)
            .await
            .expect("who we are");
    assert!(!superuser, "the service owns its database and nothing else");
    connection.close().await.expect("closed");
    cluster.stop().await.expect("stopped");
}

#[tokio::test]
async fn it_is_reached_by_its_owner_only_and_never_by_tcp() {
    let scratch = Scratch::new();
    let data_dir = scratch.join("data");
    let cluster = start(&data_dir).await;
    let mut superuser = cluster
        .options()
        .username("postgres")
        .connect()
        .await
        .expect("connected");
    assert_eq!(setting(&mut superuser, "listen_addresses").await, "");
    superuser.close().await.expect("closed");

    let sockets: Vec<String> = fs::read_dir(format!("/proc/{}/fd", pid(&cluster)))
        .expect("its files")
        .filter_map(|file| fs::read_link(file.ok()?.path()).ok())
        .filter_map(|file| {
            Some(
                file.to_str()?
                    .strip_prefix("socket:[")?
                    .strip_suffix(']')?
                    .to_owned(),
            )
        })
        .collect();
    assert!(!sockets.is_empty(), "it listens somewhere");
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        for line in fs::read_to_string(table).unwrap_or_default().lines() {
            let inode = line.split_whitespace().nth(9).unwrap_or_default();
            assert!(
                !sockets.iter().any(|socket| socket == inode),
                "{table}: {line}"
            );
        }
    }

    assert_eq!(mode(&data_dir), 0o700);
    assert_eq!(cluster.socket_dir(), data_dir);
    assert_eq!(mode(&data_dir.join(".s.PGSQL.5432")), 0o700);
    for entry in fs::read_dir(&data_dir).expect("its files") {
        let path = entry.expect("a file").path();
        assert_eq!(mode(&path) & 0o077, 0, "{}", path.display());
    }
    if is_root() {
        let mut stranger = Command::new("/bin/ls");
        std::os::unix::process::CommandExt::uid(&mut stranger, NOBODY);
        let looked = stranger
            .arg(&data_dir)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .expect("ls");
        assert!(!looked.success(), "a stranger sees nothing");
    }
    cluster.stop().await.expect("stopped");
}

#[tokio::test]
async fn what_was_committed_survives_a_kill_9_of_postgres() {
    let scratch = Scratch::new();
    let data_dir = scratch.join("data");
    let cluster = start(&data_dir).await;
    let options = cluster.options();
    // A connection that stays open, so that a child of the killed postmaster may still be there.
    let mut connection = options.connect().await.expect("connected");
    note(&options, "committed").await;
    sqlx::query("BEGIN")
        .execute(&mut connection)
        .await
        .expect("begun");
    sqlx::query("INSERT INTO publication_mark (publication, mark) VALUES ('p', 'not committed')")
        .execute(&mut connection)
        .await
        .expect("written");
    kill(pid(&cluster), Signal::SIGKILL).expect("killed");
    drop(cluster);
    assert!(
        data_dir.join("postmaster.pid").exists(),
        "it was no clean stop"
    );

    let cluster = start(&data_dir).await;
    assert_eq!(notes(&cluster.options()).await, ["committed"]);
    cluster.stop().await.expect("stopped");
}

#[tokio::test]
async fn a_postgres_that_dies_beside_its_service_is_started_again() {
    let scratch = Scratch::new();
    let mut cluster = start(&scratch.join("data")).await;
    let options = cluster.options();
    note(&options, "before").await;
    let first = pid(&cluster);
    kill(first, Signal::SIGKILL).expect("killed");
    let seen_again = async {
        let until = Instant::now() + Duration::from_secs(30);
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            match options.connect().await {
                Ok(_) if !is_alive(first) => return,
                outcome => assert!(Instant::now() < until, "{outcome:?}"),
            }
        }
    };
    tokio::select! {
        error = cluster.keep_running() => panic!("{error}"),
        () = seen_again => {}
    }
    assert_eq!(notes(&options).await, ["before"]);
    cluster.stop().await.expect("stopped");
}

#[tokio::test]
async fn after_a_kill_9_of_the_service_the_running_postgres_is_taken_over() {
    let scratch = Scratch::new();
    let data_dir = scratch.join("data");
    let mut before = service(&scratch, &data_dir, &[], None);
    let left = ready(&mut before);
    before.kill();
    assert!(is_alive(left), "PostgreSQL runs on by itself");

    let cluster = start(&data_dir).await;
    assert_eq!(pid(&cluster), left, "the same server");
    note(&cluster.options(), "taken over").await;
    cluster.stop().await.expect("stopped");
    assert!(
        !is_alive(left),
        "a server taken over is stopped like our own"
    );
}

#[tokio::test]
async fn after_a_kill_9_of_both_the_next_start_recovers() {
    let scratch = Scratch::new();
    let data_dir = scratch.join("data");
    let mut before = service(&scratch, &data_dir, &[], None);
    let left = ready(&mut before);
    before.kill();
    kill(left, Signal::SIGKILL).expect("killed");
    let cluster = start(&data_dir).await;
    assert_ne!(pid(&cluster), left);
    cluster.stop().await.expect("stopped");
}

#[tokio::test]
async fn a_postgres_left_with_other_settings_is_restarted_with_ours() {
    let scratch = Scratch::new();
    let data_dir = scratch.join("data");
    start(&data_dir).await.stop().await.expect("stopped");
    let account = database::Account::for_postgres(&data_dir).expect("its owner");
    let program = binaries::find(None).expect("PostgreSQL").postgres();
    let mut careless = account
        .command(&program, &data_dir)
        .arg("-D")
        .arg(&data_dir)
        .args([
            "-c",
            "fsync=off",
            "-c",
            "listen_addresses=",
            "-c",
            "unix_socket_directories=.",
        ])
        .stderr(Stdio::null())
        .spawn()
        .expect("postgres");
    let until = Instant::now() + Duration::from_secs(20);
    while !data_dir.join("postmaster.pid").exists() && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let cluster = start(&data_dir).await;
    assert_ne!(cluster.pid(), Some(careless.id()));
    let mut connection = cluster.options().connect().await.expect("connected");
    assert_eq!(setting(&mut connection, "fsync").await, "on");
    assert!(
        careless.wait().expect("ended").success(),
        "the other was stopped cleanly"
    );
    connection.close().await.expect("closed");
    cluster.stop().await.expect("stopped");
}

#[tokio::test]
async fn a_stale_postmaster_pid_with_a_strangers_number_is_seen_through() {
    let scratch = Scratch::new();
    let data_dir = scratch.join("data");
    let cluster = start(&data_dir).await;
    let kept = fs::read_to_string(data_dir.join("postmaster.pid")).expect("its file");
    cluster.stop().await.expect("stopped");
    // As after a power cut, when the number has been given to somebody else: to us.
    let (_, rest) = kept.split_once('\n').expect("lines");
    let stale = data_dir.join("postmaster.pid");
    fs::write(&stale, format!("{}\n{rest}", std::process::id())).expect("written");
    start(&data_dir).await.stop().await.expect("stopped");
}

#[tokio::test]
async fn an_initdb_killed_in_the_middle_is_done_again() {
    let scratch = Scratch::new();
    let data_dir = scratch.join("data");
    let before = service(&scratch, &data_dir, &[], None);
    let until = Instant::now() + Duration::from_secs(20);
    let half_made = || {
        let entries = fs::read_dir(&data_dir).into_iter().flatten().flatten();
        entries
            .map(|entry| entry.path())
            .find(|path| path.join("base").exists())
    };
    while half_made().is_none() {
        assert!(Instant::now() < until, "initdb began");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    before.kill();
    assert!(
        !data_dir.join("PG_VERSION").exists(),
        "killed in the middle"
    );

    let cluster = start(&data_dir).await;
    assert!(half_made().is_none(), "nothing of it is left");
    cluster.stop().await.expect("stopped");
}

#[tokio::test]
async fn a_cluster_killed_while_it_moved_into_place_is_finished() {
    let scratch = Scratch::new();
    let data_dir = scratch.join("data");
    let cluster = start(&data_dir).await;
    note(&cluster.options(), "kept").await;
    cluster.stop().await.expect("stopped");
    let finished = data_dir.join("initdb.finished");
    fs::create_dir(&finished).expect("made");
    let account = database::Account::for_postgres(&data_dir).expect("its owner");
    account.own(&finished).expect("handed over");
    for name in ["PG_VERSION", "base", "global"] {
        fs::rename(data_dir.join(name), finished.join(name)).expect("moved");
    }
    let cluster = start(&data_dir).await;
    assert_eq!(notes(&cluster.options()).await, ["kept"]);
    assert!(!finished.exists());
    cluster.stop().await.expect("stopped");
}

#[tokio::test]
async fn a_folder_with_something_else_in_it_is_left_alone() {
    let scratch = Scratch::new();
    let data_dir = scratch.join("data");
    fs::create_dir(&data_dir).expect("made");
    fs::write(data_dir.join("thesis.odt"), "years of work").expect("written");
    let error = refusal(&data_dir).await;
    assert!(
        matches!(&error, Error::NotACluster { entry, .. } if entry == "thesis.odt"),
        "{error}"
    );
    assert_eq!(
        fs::read_to_string(data_dir.join("thesis.odt")).expect("there"),
        "years of work"
    );
}

#[tokio::test]
async fn a_second_service_on_one_folder_says_so_and_stops() {
    let scratch = Scratch::new();
    let data_dir = scratch.join("data");
    let mut first = service(&scratch, &data_dir, &[], None);
    let postmaster = ready(&mut first);

    let error = refusal(&data_dir).await.to_string();
    assert!(error.contains("in use by another aqua-orders"), "{error}");
    assert!(
        error.contains(&format!("process {}", first.id())),
        "{error}"
    );
    assert!(is_alive(postmaster), "the first is not disturbed");

    // A command beside the running service uses its cluster.
    let opened = database::open_beside(&settings(&data_dir))
        .await
        .expect("a way in");
    assert!(opened.private.is_none());
    note(opened.servers.first(), "beside").await;

    first.release();
    assert_eq!(first.hear(), "stopped");
    assert!(!is_alive(postmaster));

    let opened = database::open_beside(&settings(&data_dir))
        .await
        .expect("a way in");
    assert_eq!(notes(opened.servers.first()).await, ["beside"]);
    opened
        .private
        .expect("nobody else runs it")
        .stop()
        .await
        .expect("stopped");
}

#[tokio::test]
async fn without_postgresqls_programs_it_names_what_to_install() {
    let scratch = Scratch::new();
    let data_dir = scratch.join("data");
    let word = service(
        &scratch,
        &data_dir,
        &[("AQUA_POSTGRES_BIN", "/nonexistent")],
        None,
    )
    .hear();
    for part in [
        "/nonexistent",
        "apt-get install",
        "dnf install postgresql-server",
        "apk add postgresql",
        "brew install",
        "DATABASE_URL",
    ] {
        assert!(word.contains(part), "{part}: {word}");
    }
    assert!(!data_dir.exists(), "nothing was made");

    // Programs that are none.
    let bin = scratch.join("bin");
    fs::create_dir(&bin).expect("made");
    for name in ["initdb", "postgres"] {
        let write =
            r#"printf '#!/bin/sh\necho "postgres (PostgreSQL) 12.22"\n' > "$0" && chmod 755 "$0""#;
        runnable(
            "sh",
            ["-c".as_ref(), write.as_ref(), bin.join(name).as_os_str()],
        );
    }
    let word = service(
        &scratch,
        &data_dir,
        &[("AQUA_POSTGRES_BIN", bin.to_str().expect("text"))],
        None,
    )
    .hear();
    assert!(word.contains("version 12 is too old"), "{word}");
}

#[tokio::test]
async fn with_an_empty_path_the_usual_folders_still_serve() {
    let found = binaries::find(None).expect("PostgreSQL");
    if found.folder.starts_with("/usr/lib/postgresql") {
        let scratch = Scratch::new();
        let mut service = service(&scratch, &scratch.join("data"), &[("PATH", "")], None);
        ready(&mut service);
    }
}

#[tokio::test]
async fn data_of_another_major_version_asks_for_that_versions_programs() {
    let scratch = Scratch::new();
    let data_dir = scratch.join("data");
    fs::create_dir(&data_dir).expect("made");
    fs::write(data_dir.join("PG_VERSION"), "99\n").expect("written");
    let error = refusal(&data_dir).await;
    assert!(
        matches!(error, Error::WrongMajor { data: 99, .. }),
        "{error}"
    );
    assert!(
        error.to_string().contains("install PostgreSQL 99"),
        "{error}"
    );
}

#[tokio::test]
async fn as_root_and_as_an_ordinary_user_it_runs_unprivileged() {
    let scratch = Scratch::new();
    let ourselves = nix::unistd::geteuid().as_raw();

    let cluster = start(&scratch.join("data")).await;
    let runs_as = fs::metadata(format!("/proc/{}", pid(&cluster)))
        .expect("running")
        .uid();
    assert_ne!(runs_as, 0);
    assert!(is_root() || runs_as == ourselves);
    cluster.stop().await.expect("stopped");
    if !is_root() {
        return;
    }

    // The same as somebody who is not root, in a folder that they may write to.
    let home = scratch.join("home");
    fs::create_dir(&home).expect("made");
    std::os::unix::fs::chown(&home, Some(NOBODY), Some(NOBODY)).expect("handed over");
    let data_dir = home.join("data");
    let mut theirs = service(&scratch, &data_dir, &[], Some(NOBODY));
    let postmaster = ready(&mut theirs);
    assert_eq!(
        fs::metadata(format!("/proc/{postmaster}"))
            .expect("running")
            .uid(),
        NOBODY
    );
    theirs.release();
    assert_eq!(theirs.hear(), "stopped");
    drop(theirs);

    // Root once, on the same folder: it stays theirs, and they find it again.
    let cluster = start(&data_dir).await;
    assert_eq!(
        fs::metadata(format!("/proc/{}", pid(&cluster)))
            .expect("running")
            .uid(),
        NOBODY
    );
    note(&cluster.options(), "by root").await;
    cluster.stop().await.expect("stopped");
    ready(&mut service(&scratch, &data_dir, &[], Some(NOBODY)));

    // Somebody else's folder.
    let word = service(&scratch, &scratch.join("data"), &[], Some(NOBODY)).hear();
    assert!(word.contains("belongs to the user"), "{word}");
}

#[tokio::test]
async fn as_root_a_folder_behind_a_closed_door_is_named() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    let closed = scratch.join("closed");
    fs::create_dir(&closed).expect("made");
    fs::set_permissions(&closed, Permissions::from_mode(0o700)).expect("closed");
    let error = refusal(&closed.join("a/b")).await;
    assert!(
        matches!(&error, Error::Unreachable { folder, .. } if *folder == closed),
        "{error}"
    );
    assert!(error.to_string().contains("data_dir"), "{error}");
}

#[tokio::test]
async fn a_long_path_has_its_socket_in_a_short_folder_of_its_own() {
    let scratch = Scratch::new();
    let data_dir = scratch
        .join("очень, длинный \"путь\"/".repeat(4))
        .join("data");
    let cluster = start(&data_dir).await;
    note(&cluster.options(), "long").await;
    let socket_dir = cluster.socket_dir().to_path_buf();
    assert!(
        socket_dir.as_os_str().len() < 80,
        "{}",
        socket_dir.display()
    );
    assert_eq!(mode(&socket_dir), 0o700);
    cluster.stop().await.expect("stopped");
    assert!(!socket_dir.exists(), "it goes with the server");

    // Somebody else was there first, for /tmp is everybody's.
    fs::create_dir(&socket_dir).expect("made");
    fs::set_permissions(&socket_dir, Permissions::from_mode(0o777)).expect("opened");
    let error = refusal(&data_dir).await;
    fs::remove_dir(&socket_dir).expect("removed");
    assert!(
        matches!(&error, Error::SocketFolder { path, .. } if *path == socket_dir),
        "{error}"
    );

    let cluster = start(&data_dir).await;
    assert_eq!(cluster.socket_dir(), socket_dir, "the same again");
    assert_eq!(notes(&cluster.options()).await, ["long"]);
    cluster.stop().await.expect("stopped");
}

#[tokio::test]
async fn a_path_of_odd_characters_works() {
    let scratch = Scratch::new();
    let cluster = start(&scratch.join("a, \"b\" 'c' $d")).await;
    assert_eq!(cluster.socket_dir(), cluster.data_dir());
    cluster.stop().await.expect("stopped");
}

#[tokio::test]
async fn a_cluster_that_cannot_start_shows_its_log() {
    let scratch = Scratch::new();
    let data_dir = scratch.join("data");
    start(&data_dir).await.stop().await.expect("stopped");
    let mut conf = File::options()
        .append(true)
        .open(data_dir.join("postgresql.conf"))
        .expect("its settings");
    std::io::Write::write_all(&mut conf, b"shared_buffers = 'plenty'\n").expect("written");
    let error = refusal(&data_dir).await;
    assert!(
        matches!(&error, Error::Died { log, .. } if log.contains("shared_buffers")),
        "{error}"
    );
}

#[tokio::test]
async fn dropped_without_a_stop_it_does_not_stay_behind() {
    let scratch = Scratch::new();
    let cluster = start(&scratch.join("data")).await;
    let postmaster = pid(&cluster);
    drop(cluster);
    assert!(!is_alive(postmaster));
}
