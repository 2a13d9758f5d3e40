//! The service under systemd: what it says to it, and what it takes from it. systemd itself is played here.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    os::{fd::OwnedFd, unix::net::UnixDatagram},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;

use crate::support::{
    app::{ORDERS, example_request},
    postgres,
    process::Scratch,
    serving::{PATIENCE, Serving, command},
};

const SETTINGS: &str = "[database]\nmay_lose_orders = true\n[[publication]]\nname = \"demodelivery\"\nanonymous = true\n";

/// `serve` as systemd starts it with a socket: as file 3, and with the number of the process that it is meant for.
fn activated(scratch: &Scratch, socket: &TcpListener, database: &str) -> Command {
    let serve = command(scratch);
    let mut shell = Command::new("sh");
    shell
        .current_dir(scratch.path())
        .args([
            "-c",
            "exec 3<&0 </dev/null; export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$0\" \"$@\"",
        ])
        .arg(serve.get_program());
    for (name, value) in serve.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell
        .env("AQUA_LISTEN", socket.local_addr().unwrap().to_string())
        .env("DATABASE_URL", database)
        .stdin(Stdio::from(OwnedFd::from(socket.try_clone().unwrap())));
    shell
}

fn socket() -> (TcpListener, SocketAddr) {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

#[tokio::test]
async fn systemd_hears_that_we_are_ready_and_alive_and_stopping() {
    let database = postgres::database().await;
    let scratch = Scratch::new();
    fs::write(scratch.join("aqua.toml"), SETTINGS).unwrap();
    let path = scratch.join("notify");
    let systemd = UnixDatagram::bind(&path).unwrap();
    systemd.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut serve = command(&scratch);
    serve
        .env("DATABASE_URL", database.url())
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "400000");
    let mut serving = Serving::start(&mut serve);
    let mut said = String::new();
    let mut hear = |what: &str| {
        while !said.contains(what) {
            let mut message = [0; 4096];
            let length = systemd.recv(&mut message).expect(what);
            said.push_str(std::str::from_utf8(&message[..length]).unwrap());
            said.push('\n');
        }
        let behind = said.split_off(said.find(what).unwrap() + what.len());
        said.clear();
        behind
    };
    hear("STATUS=waiting for the database");
    let status = hear("READY=1");
    assert!(
        status.contains("STATUS=takes orders for 1 publications"),
        "{status}"
    );
    hear("WATCHDOG=1");
    hear("WATCHDOG=1");
    serving.signal(Signal::SIGHUP);
    let reloading = hear("RELOADING=1");
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    hear("READY=1");
    fs::write(scratch.join("aqua.toml"), "").unwrap();
    serving.signal(Signal::SIGHUP);
    hear("RELOADING=1");
    let status = hear("READY=1");
    assert!(
        status.contains("STATUS=the settings are refused"),
        "{status}"
    );
    serving.signal(Signal::SIGTERM);
    hear("STOPPING=1");
    serving.hear("stopped");
    assert_eq!(serving.end().0, Some(0));
}

// The senders go on while this one waits for the service's end: one that has connected must not be held up before its request.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_on_systemds_socket_refuses_no_connection_and_loses_no_order() {
    let database = postgres::database().await;
    let scratch = Scratch::new();
    fs::write(scratch.join("aqua.toml"), SETTINGS).unwrap();
    let (socket, address) = socket();
    let mut serving = Serving::start(&mut activated(&scratch, &socket, &database.url()));
    assert_eq!(serving.address, address);

    let done = Arc::new(AtomicBool::new(false));
    let senders: Vec<_> = (0..4)
        .map(|sender| tokio::spawn(send_until(Arc::clone(&done), address, sender)))
        .collect();
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        serving.signal(Signal::SIGTERM);
        serving.hear("stopped");
        let (code, _) = serving.end();
        assert_eq!(code, Some(0));
        serving = Serving::start(&mut activated(&scratch, &socket, &database.url()));
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    done.store(true, Ordering::Relaxed);
    let mut acknowledged = 0;
    for sender in senders {
        acknowledged += sender.await.unwrap();
    }
    let stored: i64 = sqlx::query_scalar("SELECT count(*) FROM orders")
        .fetch_one(&database.pool())
        .await
        .unwrap();
    assert!(acknowledged >= 8, "{acknowledged}");
    assert_eq!(stored, acknowledged);
}

/// Sends orders, a connection each, until it is done; says how many were taken. Every one must be.
async fn send_until(done: Arc<AtomicBool>, address: SocketAddr, sender: usize) -> i64 {
    let client = reqwest::Client::builder()
        .no_proxy()
        .pool_max_idle_per_host(0)
        .timeout(PATIENCE)
        .build()
        .unwrap();
    let mut taken = 0;
    while !done.load(Ordering::Relaxed) {
        let mut batch = example_request();
        batch[0]["id"] = format!("s{sender}-{taken}").into();
        let sent = client.post(format!("http://{address}{ORDERS}"));
        let response = sent.body(batch.to_string()).send().await.unwrap();
        assert_eq!(response.status(), 200);
        let answer: serde_json::Value = response.json().await.unwrap();
        assert_eq!(
            answer["data"][format!("s{sender}-{taken}")]["success"],
            true,
            "{answer}"
        );
        taken += 1;
    }
    taken
}

// The caller goes on while this one waits for the service's end.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_while_there_is_no_database_is_at_once_and_leaves_callers_to_the_next_process() {
    let scratch = Scratch::new();
    fs::write(scratch.join("aqua.toml"), SETTINGS).unwrap();
    let (socket, address) = socket();
    let path = scratch.join("notify");
    let systemd = UnixDatagram::bind(&path).unwrap();
    systemd.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut serve = activated(&scratch, &socket, "postgres://nobody@127.0.0.1:1/nothing");
    let mut serving = Serving::spawn(serve.env("NOTIFY_SOCKET", &path));
    let mut said = [0; 4096];
    let length = systemd.recv(&mut said).unwrap();
    let said = String::from_utf8_lossy(&said[..length]);
    assert!(said.contains("waiting for the database"), "{said}");

    let caller = tokio::spawn(async move {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let sent = client.post(format!("http://{address}{ORDERS}"));
        let sent = sent.body(example_request().to_string()).send().await;
        sent.unwrap().status()
    });
    let begun = Instant::now();
    serving.signal(Signal::SIGTERM);
    serving.hear("stopped");
    assert_eq!(serving.end().0, Some(0));
    // Callers are given five seconds in which the database may come.
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(3), "{took:?}");

    let database = postgres::database().await;
    let _next = Serving::start(&mut activated(&scratch, &socket, &database.url()));
    assert_eq!(caller.await.unwrap(), 200);
}

#[tokio::test]
async fn a_socket_that_no_setting_listens_on_is_refused_at_the_start() {
    let scratch = Scratch::new();
    fs::write(scratch.join("aqua.toml"), SETTINGS).unwrap();
    let (socket, address) = socket();
    let mut serve = activated(&scratch, &socket, "postgres://nobody@127.0.0.1:1/nothing");
    let mut serving = Serving::spawn(serve.env("AQUA_LISTEN", "127.0.0.1:0"));
    let said = serving.hear("ListenStream=");
    assert!(said.contains(&address.to_string()), "{said}");
    assert_eq!(serving.end().0, Some(1));
}
