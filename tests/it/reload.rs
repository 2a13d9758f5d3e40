//! SIGHUP: the settings are read again while orders come in.

use std::{
    fs,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use base64::{Engine, prelude::BASE64_STANDARD};
use nix::sys::signal::Signal;
use tokio::net::TcpStream;

use crate::support::{
    app::{ORDERS, order},
    console::Browser,
    postgres::{self, TestDatabase},
    process::Scratch,
    serving::{Serving, command, hash_password},
    talk::{Answer, Caller, post},
    target::{FakeTarget, takes, until},
};

const OPEN: &str = "[[publication]]\nname = \"demodelivery\"\nanonymous = true\n";

/// `serve` with settings that can be changed.
struct Service {
    scratch: Scratch,
    database: TestDatabase,
    serving: Serving,
}

impl Service {
    async fn start(settings: &str) -> Self {
        Self::with(Scratch::new(), settings).await
    }

    async fn with(scratch: Scratch, settings: &str) -> Self {
        let database = postgres::database().await;
        write(&scratch, settings);
        let mut serve = command(&scratch);
        let serving = Serving::start(serve.env("DATABASE_URL", database.url()));
        Self {
            scratch,
            database,
            serving,
        }
    }

    /// Has it read other settings; what it says of them last.
    fn reload(&mut self, settings: &str) -> String {
        write(&self.scratch, settings);
        self.serving.signal(Signal::SIGHUP);
        self.serving.hear("the settings are re")
    }

    /// Somebody's order of that id.
    async fn send(&self, publication: &str, login: Option<&str>, id: &str) -> Answer {
        let mut caller = Caller::new(TcpStream::connect(self.serving.address).await.unwrap());
        sent(&mut caller, publication, login, id).await
    }

    async fn metrics(&self) -> String {
        let address = format!("http://{}/metrics", self.serving.operators_address());
        let response = reqwest::get(address).await.unwrap();
        response.text().await.unwrap()
    }
}

fn write(scratch: &Scratch, settings: &str) {
    let common = "[database]\nmay_lose_orders = true\n[logins]\nfree_failures = 1000\n";
    fs::write(scratch.join("aqua.toml"), format!("{common}{settings}")).unwrap();
}

async fn sent(caller: &mut Caller, publication: &str, login: Option<&str>, id: &str) -> Answer {
    let path = ORDERS.replace("demodelivery", publication);
    let header = login.map_or_else(String::new, |login| {
        format!("Authorization: Basic {}\r\n", BASE64_STANDARD.encode(login))
    });
    let body = format!("[{}]", order(id));
    caller.send(post(&path, &header, body)).await;
    caller.answer().await
}

/// Sends orders over one connection until it is done; says how many were taken. Every one must be.
async fn send_until(
    done: Arc<AtomicBool>,
    address: SocketAddr,
    (publication, login): (&'static str, Option<&'static str>),
    sender: usize,
) -> i64 {
    let mut caller = Caller::new(TcpStream::connect(address).await.unwrap());
    let mut taken = 0;
    while !done.load(Ordering::Relaxed) {
        let id = format!("s{sender}-{taken}");
        let answer = sent(&mut caller, publication, login, &id).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.took(1);
        taken += 1;
    }
    taken
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn reloads_under_load_drop_no_connection_lose_no_order_and_take_up_whom_they_name() {
    let scratch = Scratch::new();
    let [first, second] = ["one", "two"].map(|password| hash_password(&scratch, password));
    let settings = |round: usize| {
        let other = if round.is_multiple_of(2) {
            &first
        } else {
            &second
        };
        let extra = if round.is_multiple_of(2) {
            ""
        } else {
            "[[publication]]\nname = \"extra\"\nanonymous = true\n"
        };
        format!(
            "{OPEN}{extra}[[publication]]\nname = \"shop\"\nusers = [\n\
             {{ login = \"site\", password_hash = \"{first}\" }},\n{{ login = \"other\", password_hash = \"{other}\" }}]\n"
        )
    };
    let mut service = Service::with(scratch, &settings(0)).await;
    let done = Arc::new(AtomicBool::new(false));
    let senders: Vec<_> = (0..6)
        .map(|sender| {
            let to = [("demodelivery", None), ("shop", Some("site:one"))][sender % 2];
            let (done, address) = (Arc::clone(&done), service.serving.address);
            tokio::spawn(send_until(done, address, to, sender))
        })
        .collect();
    for round in 1..=20 {
        let said = service.reload(&settings(round));
        assert!(said.contains("read again"), "{said}");
        let is_odd = !round.is_multiple_of(2);
        let id = format!("e{round}");
        let answer = service.send("extra", None, &id).await;
        assert_eq!(answer.status, if is_odd { 200 } else { 401 }, "{round}");
        for (password, is_right) in [("other:two", is_odd), ("other:one", !is_odd)] {
            let answer = service.send("shop", Some(password), &id).await;
            assert_eq!(answer.status == 200, is_right, "{round}: {}", answer.text());
        }
        let shown = service.metrics().await.contains("publication=\"extra\"");
        assert_eq!(shown, is_odd, "{round}");
    }
    done.store(true, Ordering::Relaxed);
    let mut acknowledged = 0;
    for sender in senders {
        acknowledged += sender.await.unwrap();
    }
    assert!(acknowledged > 60, "{acknowledged}");
    let stored: i64 = sqlx::query_scalar("SELECT count(*) FROM orders WHERE sender_id LIKE 's%'")
        .fetch_one(&service.database.pool())
        .await
        .unwrap();
    assert_eq!(stored, acknowledged);
}

#[tokio::test]
async fn a_wrong_file_is_refused_with_its_reasons_and_the_settings_before_it_go_on() {
    let scratch = Scratch::new();
    let hash = hash_password(&scratch, "secret");
    let users = format!("users = [{{ login = \"site\", password_hash = \"{hash}\" }}]\n");
    let right = format!("[[publication]]\nname = \"shop\"\n{users}");
    let mut service = Service::with(scratch, &right).await;
    for (wrong, why) in [
        (
            "[[publication]]\nname = \"shop\"\n".to_owned(),
            "nobody could post",
        ),
        (
            format!("{right}anonymuos = true\n"),
            "did you mean `anonymous`?",
        ),
        ("[[publication\n".to_owned(), "this is not TOML"),
    ] {
        let said = service.reload(&wrong);
        assert!(said.contains("the settings are refused"), "{said}");
        let lines = service.serving.said_so_far();
        let reason = lines.iter().find(|line| line.contains(why));
        assert!(reason.unwrap().contains("aqua.toml:"), "{lines:?}");
        let answer = service.send("shop", Some("site:secret"), "a").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    fs::remove_file(service.scratch.join("aqua.toml")).unwrap();
    service.serving.signal(Signal::SIGHUP);
    service.serving.hear("cannot read the settings file");
    service.serving.hear("the settings are refused");
    let said = service.reload(&right);
    assert!(said.contains("read again"), "{said}");
}

#[tokio::test]
async fn what_needs_a_restart_is_named_and_not_taken_up() {
    let mut service = Service::start(OPEN).await;
    let before = service.serving.address;
    service.reload(&format!(
        "{OPEN}[limits]\nbatch_orders = 1\n[times]\nanswer = 17\nstop = 5\n"
    ));
    let said = service.serving.said_so_far().join("\n");
    for name in ["[limits]", "[times]"] {
        assert!(
            said.contains(&format!("{name} is another now in the settings")),
            "{said}"
        );
    }
    assert!(!said.contains("[log] is another"), "{said}");
    let mut caller = Caller::new(TcpStream::connect(before).await.unwrap());
    let body = format!("[{},{}]", order("a"), order("b"));
    caller.send(post(ORDERS, "", body)).await;
    caller.answer().await.took(2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_begins_and_ends_with_a_reload() {
    let one_c = FakeTarget::start(takes).await;
    let target = format!(
        "{OPEN}[[publication.target]]\nname = \"1c\"\nprotocol = \"one_c\"\nurl = \"http://{}/\"\n",
        one_c.address
    );
    let mut service = Service::start(OPEN).await;
    service.send("demodelivery", None, "early").await.took(1);
    assert!(!service.metrics().await.contains("aqua_target_lag_orders{"));
    service.reload(&target);
    service.send("demodelivery", None, "late").await.took(1);
    until("both orders are sent", async || one_c.newest().len() == 2).await;
    assert!(service.metrics().await.contains("aqua_target_lag_orders{"));

    service.reload(OPEN);
    service.send("demodelivery", None, "later").await.took(1);
    assert!(!service.metrics().await.contains("target=\"1c\""));
    service.reload(&target);
    until("the third is sent", async || one_c.newest().len() == 3).await;
    let seen = one_c.seen();
    assert!(seen.iter().all(|request| request.at_once == 1), "{seen:?}");
    let ids: Vec<_> = one_c
        .orders()
        .iter()
        .map(|sent| sent["id"].clone())
        .collect();
    assert_eq!(ids.len(), 3, "{ids:?}");
}

#[tokio::test]
async fn an_operators_session_ends_when_a_reload_changes_his_password_or_removes_him() {
    let scratch = Scratch::new();
    let [first, second] = ["one", "two"].map(|password| hash_password(&scratch, password));
    let operator = |login: &str, hash: &str| {
        format!(
            "[[operator.user]]\nlogin = \"{login}\"\nrole = \"admin\"\npassword_hash = \"{hash}\"\n"
        )
    };
    let settings = |anna: &str| format!("{anna}{}{OPEN}", operator("boss", &first));
    let mut service = Service::with(scratch, &settings(&operator("anna", &first))).await;
    let orders = "/console/p/demodelivery/orders";
    let mut browsers = [("anna", "one"), ("boss", "one")].map(|(login, password)| {
        let browser = Browser::at(service.serving.operators_address());
        (browser, login, password)
    });
    for (browser, login, password) in &mut browsers {
        assert_eq!(browser.log_in(login, password).await.status, 303);
        assert_eq!(browser.get(orders).await.status, 200);
    }
    let [(anna, ..), (boss, ..)] = &mut browsers;
    service.reload(&settings(&operator("anna", &second)));
    assert_eq!(anna.get(orders).await.status, 303);
    assert_eq!(boss.get(orders).await.status, 200);
    assert_eq!(anna.log_in("anna", "one").await.status, 403);
    assert_eq!(anna.log_in("anna", "two").await.status, 303);
    assert_eq!(anna.get(orders).await.status, 200);
    service.reload(&settings(""));
    assert_eq!(anna.get(orders).await.status, 303);
    assert_eq!(anna.log_in("anna", "two").await.status, 403);
    assert_eq!(boss.get(orders).await.status, 200);
}
