//! Started as root: nothing of what belongs to another user is touched with root's rights, and they are given up.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use aqua_orders::{
    config,
    database::{self, Account, Error, PrivateCluster},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use crate::support::{
    postgres::database,
    process::{NOBODY, Scratch, is_root},
    serving::{self, PATIENCE, Serving},
};

/// Whether there is anything to test here, which is said where there is not.
fn is_not_root() -> bool {
    if !is_root() {
        eprintln!("SKIPPED: only root can test this");
    }
    !is_root()
}

async fn start(data_dir: &Path) -> Result<PrivateCluster, Error> {
    let settings = config::Database {
        url: None,
        data_dir: data_dir.to_path_buf(),
        connections: 4,
        client_cache_bytes: 0,
        may_lose_orders: false,
        statement_timeout: Duration::from_secs(5),
        lock_timeout: Duration::from_secs(2),
        start_timeout: Duration::from_mins(1),
    };
    Ok(database::open(&settings).await?.private.unwrap())
}

/// What root alone may read and write.
struct Treasure {
    folder: std::path::PathBuf,
}

impl Treasure {
    fn in_folder(scratch: &Scratch) -> Self {
        let folder = scratch.join("treasure");
        fs::create_dir(&folder).unwrap();
        for name in ["file", "PG_VERSION"] {
            fs::write(folder.join(name), "15\nroot's own\n").unwrap();
            fs::set_permissions(folder.join(name), Permissions::from_mode(0o600)).unwrap();
        }
        fs::set_permissions(&folder, Permissions::from_mode(0o700)).unwrap();
        Self { folder }
    }

    fn is_untouched(&self, after: &str) {
        let mut names: Vec<_> = fs::read_dir(&self.folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["PG_VERSION", "file"], "{after}");
        for path in [&self.folder, &self.folder.join("file")] {
            let found = fs::metadata(path).unwrap();
            assert_eq!((found.uid(), found.mode() & 0o077), (0, 0), "{after}");
        }
        let text = fs::read_to_string(self.folder.join("file")).unwrap();
        assert_eq!(text, "15\nroot's own\n", "{after}");
    }
}

#[tokio::test]
async fn a_link_in_the_private_clusters_folder_leads_root_nowhere() {
    if is_not_root() {
        return;
    }
    let scratch = Scratch::new();
    let treasure = Treasure::in_folder(&scratch);
    let data_dir = scratch.join("data");
    start(&data_dir).await.unwrap().stop().await.unwrap();
    let account = Account::for_postgres(&data_dir).unwrap();
    // As that user, who may do in there as he likes.
    let link = |name: &str, to: &Path| {
        let path = data_dir.join(name);
        let _not_there = fs::remove_file(&path);
        symlink(to, &path).unwrap();
        lchown(&path, Some(account.uid), Some(account.gid)).unwrap();
    };
    for name in [
        "start.log",
        "aqua-orders.lock",
        "postmaster.pid",
        "initdb.finished",
    ] {
        let is_folder = name == "initdb.finished";
        let to = treasure.folder.join(if is_folder { "" } else { "file" });
        link(name, &to);
        // It starts or it is refused.
        if let Ok(cluster) = start(&data_dir).await {
            cluster.stop().await.unwrap();
        }
        treasure.is_untouched(name);
        let _gone = fs::remove_file(data_dir.join(name));
    }

    // Before there is a cluster: a finished one that is to be moved up, and a log with the reason why there is none.
    let data_dir = scratch.join("new");
    fs::create_dir(&data_dir).unwrap();
    chown(&data_dir, Some(account.uid), Some(account.gid)).unwrap();
    let finished = data_dir.join("initdb.finished");
    symlink(&treasure.folder, &finished).unwrap();
    let error = start(&data_dir).await.unwrap_err().to_string();
    assert!(!error.contains("root's own"), "{error}");
    treasure.is_untouched("a finished cluster elsewhere");
}

#[tokio::test]
async fn root_gives_away_no_folder_that_others_could_have_put_there() {
    if is_not_root() {
        return;
    }
    let scratch = Scratch::new();
    let theirs = scratch.join("theirs");
    fs::create_dir(&theirs).unwrap();
    let data_dir = theirs.join("data");
    fs::create_dir(&data_dir).unwrap();
    chown(&theirs, Some(NOBODY), Some(NOBODY)).unwrap();
    let error = start(&data_dir).await.unwrap_err();
    assert!(
        matches!(&error, Error::NotRootsAlone { folder, .. } if *folder == theirs),
        "{error}"
    );
    assert!(
        error.to_string().contains("install -d -o postgres -m 700"),
        "{error}"
    );
    assert_eq!(fs::metadata(&data_dir).unwrap().uid(), 0);

    // Nor one with something in it.
    let data_dir = scratch.join("full");
    fs::create_dir(&data_dir).unwrap();
    fs::write(data_dir.join("hosts"), "").unwrap();
    let error = start(&data_dir).await.unwrap_err();
    assert!(
        matches!(&error, Error::NotACluster { entry, .. } if entry == "hosts"),
        "{error}"
    );
    assert_eq!(fs::metadata(&data_dir).unwrap().uid(), 0);
}

/// The user and group ids of every thread of a process.
fn ids(pid: u32) -> Vec<String> {
    let mut ids = Vec::new();
    for thread in fs::read_dir(format!("/proc/{pid}/task")).unwrap() {
        let status = fs::read_to_string(thread.unwrap().path().join("status")).unwrap();
        for line in status.lines() {
            if line.starts_with("Uid:") || line.starts_with("Gid:") || line.starts_with("CapEff:") {
                ids.push(line.to_owned());
            }
        }
    }
    ids.sort();
    ids.dedup();
    ids
}

/// What [`ids`] are of a process with that user's rights and no others.
fn unprivileged(uid: u32, gid: u32) -> Vec<String> {
    vec![
        "CapEff:\t0000000000000000".to_owned(),
        format!("Gid:\t{gid}\t{gid}\t{gid}\t{gid}"),
        format!("Uid:\t{uid}\t{uid}\t{uid}\t{uid}"),
    ]
}

fn postmaster(data_dir: &Path) -> Pid {
    let text = fs::read_to_string(data_dir.join("postmaster.pid")).unwrap();
    Pid::from_raw(text.lines().next().unwrap().parse().unwrap())
}

#[tokio::test]
async fn serve_started_as_root_becomes_the_user_of_its_cluster_and_goes_on_running_it() {
    if is_not_root() {
        return;
    }
    let scratch = Scratch::new();
    // Settings and demo data where only root can read them.
    let closed = scratch.join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, Permissions::from_mode(0o700)).unwrap();
    let demo = closed.join("demo");
    fs::create_dir(&demo).unwrap();
    fs::write(
        demo.join("products.csv"),
        "number;name;sender_ids\n28;Вода;water-19\n",
    )
    .unwrap();
    let settings =
        "[[publication]]\nname = \"demodelivery\"\nanonymous = true\ndemo_data = \"demo\"\n";
    fs::write(closed.join("aqua.toml"), settings).unwrap();
    let data_dir = scratch.join("data");
    let command = || {
        let mut command = serving::command(&scratch);
        command.current_dir(&closed).env("AQUA_DATA_DIR", &data_dir);
        command
    };
    let mut serving = Serving::start(&mut command());
    let account = Account::for_postgres(&data_dir).unwrap();
    assert_ne!(account.uid, 0);
    let Account { uid, gid, .. } = account;
    let rights = unprivileged(uid, gid);
    assert_eq!(ids(serving.id()), rights);
    serving.post_example().await;

    // It starts PostgreSQL again by itself …
    let first = postmaster(&data_dir);
    kill(first, Signal::SIGKILL).unwrap();
    serving.hear("PostgreSQL started");
    assert_ne!(postmaster(&data_dir), first);
    let until = Instant::now() + PATIENCE;
    while ready(&serving).await != 200 {
        assert!(Instant::now() < until);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    serving.post_example().await;

    // … root works beside it …
    let example: Value =
        serde_json::from_str(include_str!("../data/example-request.json")).unwrap();
    let id = example[0]["id"].as_str().unwrap();
    let shown = command().args(["order", "show", id]).output().unwrap();
    let text = String::from_utf8_lossy(&shown.stdout);
    assert!(text.contains("order 1 of demodelivery"), "{text}");

    // … and it stops it.
    serving.signal(Signal::SIGTERM);
    assert_eq!(serving.end().0, Some(0));
    assert!(!data_dir.join("postmaster.pid").exists());
    let serving = Serving::start(&mut command());
    assert_eq!(ids(serving.id()), rights);
}

async fn ready(serving: &Serving) -> u16 {
    let address = format!("http://{}/readyz", serving.operators_address());
    reqwest::get(address).await.unwrap().status().as_u16()
}

#[test]
fn a_mock_started_as_root_becomes_an_ordinary_user() {
    if is_not_root() {
        return;
    }
    let scratch = Scratch::new();
    let mock = Serving::mock(&scratch, &[]);
    let Account { uid, gid, .. } = Account::for_postgres(Path::new("/nonexistent")).unwrap();
    assert_eq!(ids(mock.id()), unprivileged(uid, gid));
}

#[tokio::test]
async fn root_writes_no_backup_into_somebody_elses_folder() {
    if is_not_root() {
        return;
    }
    let (scratch, database) = (Scratch::new(), database().await);
    let backups = scratch.join("backups");
    fs::create_dir(&backups).unwrap();
    chown(&backups, Some(NOBODY), Some(NOBODY)).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/backup.sh");
    let ran = Command::new(script)
        .env("AQUA_BACKUP_FOLDER", &backups)
        .env("DATABASE_URL", database.url())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ran.stderr);
    assert!(said.contains("runuser -u nobody --"), "{said}");
    assert_eq!(fs::read_dir(&backups).unwrap().count(), 0);
}

#[tokio::test]
async fn serve_started_as_root_beside_somebody_elses_server_says_that_it_stays_root() {
    if is_not_root() || Account::named("aqua-orders").is_some() {
        return;
    }
    let (scratch, database) = (Scratch::new(), database().await);
    let settings = "[database]\nmay_lose_orders = true\n[[publication]]\nname = \"demodelivery\"\nanonymous = true\n";
    fs::write(scratch.join("aqua.toml"), settings).unwrap();
    let mut command = serving::command(&scratch);
    let mut serving = Serving::spawn(command.env("DATABASE_URL", database.url()));
    let line = serving.hear("runs as root");
    assert!(line.contains("useradd --system aqua-orders"), "{line}");
    serving.is_ready();
    let mut doctor = serving::command(&scratch);
    doctor.arg("doctor").env("DATABASE_URL", database.url());
    let said = doctor.output().unwrap().stdout;
    let said = String::from_utf8_lossy(&said);
    assert!(said.contains("note   it runs as root"), "{said}");
}
