//! The senders in examples/, each against `aqua-orders mock`, wherever its interpreter is on the machine: what an
//! integrator takes into a site must send again when it should, and only then.

use std::{
    fs,
    io::{Write, stderr},
    net::SocketAddr,
    path::PathBuf,
    process::{Command, Stdio},
    sync::{Arc, Mutex, PoisonError, Weak},
};

use aqua_orders::config::Tls;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, copy},
    net::{TcpListener, TcpStream},
    spawn,
};

use crate::support::{
    app::{Answer, TestApp, changed, order},
    process::Scratch,
    serving::Serving,
};

/// A sender, and how to ask its interpreter whether it can run it.
struct Sender {
    program: &'static str,
    file: &'static str,
    probe: [&'static str; 2],
}

const PHP: Sender = Sender {
    program: "php",
    file: "send_orders.php",
    probe: [
        "-r",
        "exit(PHP_VERSION_ID >= 70400 && extension_loaded('curl') ? 0 : 1);",
    ],
};
const NODE: Sender = Sender {
    program: "node",
    file: "send_orders.mjs",
    probe: [
        "-e",
        "process.exit(parseInt(process.versions.node) >= 18 ? 0 : 1)",
    ],
};
const PYTHON: Sender = Sender {
    program: "python3",
    file: "send_orders.py",
    probe: ["-c", "import sys; sys.exit(sys.version_info < (3, 8))"],
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_php_sender_sends_again_when_it_should_and_only_then() {
    Box::pin(PHP.is_right()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_node_sender_sends_again_when_it_should_and_only_then() {
    Box::pin(NODE.is_right()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_python_sender_sends_again_when_it_should_and_only_then() {
    Box::pin(PYTHON.is_right()).await;
}

impl Sender {
    async fn is_right(&self) {
        let probed = Command::new(self.program)
            .args(self.probe)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if !probed.is_ok_and(|status| status.success()) {
            // Past the test harness, which keeps to itself what a test prints that passes.
            let _ = writeln!(
                stderr(),
                "skipped: examples/{} ({} is not here)",
                self.file,
                self.program
            );
            return;
        }
        let mock = Mock::shared();
        // They wait most of the time.
        tokio::join!(
            self.tells_what_became_of_each_order(&mock),
            self.sends_again_after_a_lost_answer(&mock),
            self.sends_again_after_a_timeout(&mock),
            self.sends_again_after_a_503(&mock),
            self.gives_up_in_the_end(&mock),
            self.never_sends_a_rejected_order_again(&mock),
            self.never_sends_a_refused_batch_again(&mock),
            self.takes_no_check_for_an_accepted_order(&mock),
            self.follows_nobody_elsewhere(&mock),
            self.trusts_no_certificate_of_a_strangers(&mock),
        );
    }

    async fn tells_what_became_of_each_order(&self, mock: &Mock) {
        for (publication, login) in [
            ("demodelivery", None),
            ("demologin", Some(("site", "test"))),
        ] {
            let line = Line::to(mock.address, "none").await;
            let file = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/orders.json");
            let mut run = self.run(file, &line.url("http", publication));
            if let Some((login, password)) = login {
                run.env("ORDERS_LOGIN", login)
                    .env("ORDERS_PASSWORD", password);
            }
            let ran = Ran::of(run).await;
            assert_eq!(ran.code, Some(0), "{ran:?}");
            let batch = fs::read(file).unwrap();
            assert_eq!(line.bodies(), [batch]);
            let lines: Vec<&str> = ran.out.lines().collect();
            let [first, second, warning] = lines[..] else {
                panic!("{ran:?}");
            };
            assert!(
                first.starts_with("site-1001: принят, наш номер 5"),
                "{ran:?}"
            );
            assert!(
                second.starts_with("site-1002: принят, наш номер 5"),
                "{ran:?}"
            );
            assert!(
                warning.starts_with("site-1002: внимание, order_item_list[0].product_id"),
                "{ran:?}"
            );
            assert!(warning.ends_with("(product_not_found)"), "{ran:?}");
        }
    }

    async fn sends_again_after_a_lost_answer(&self, mock: &Mock) {
        let id = format!("{} lost", self.program);
        let (line, ran) = self
            .send(mock, "lost-answer=2", &json!([order(&id)]), &[])
            .await;
        assert_eq!((ran.code, line.bodies().len()), (Some(0), 3), "{ran:?}");
        line.is_the_same_again();
        mock.has_once(&id, &ran).await;
    }

    async fn sends_again_after_a_timeout(&self, mock: &Mock) {
        let id = format!("{} slow", self.program);
        let few_seconds = [("ORDERS_TIMEOUT", "5")];
        let (line, ran) = self
            .send(mock, "slow=600:1", &json!([order(&id)]), &few_seconds)
            .await;
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(line.bodies().len() > 1, "{ran:?}");
        line.is_the_same_again();
        mock.has_once(&id, &ran).await;
    }

    async fn sends_again_after_a_503(&self, mock: &Mock) {
        let id = format!("{} unavailable", self.program);
        let (line, ran) = self
            .send(mock, "unavailable=2", &json!([order(&id)]), &[])
            .await;
        assert_eq!((ran.code, line.bodies().len()), (Some(0), 3), "{ran:?}");
        line.is_the_same_again();
        mock.has_once(&id, &ran).await;
        // Retry-After says five seconds; its own first pause is shorter.
        let told: Vec<&str> = ran.err.lines().collect();
        assert_eq!(told.len(), 2, "{ran:?}");
        for told in told {
            assert!(
                told.contains("HTTP 503") && told.ends_with(" — повтор через 5 с"),
                "{ran:?}"
            );
        }
    }

    async fn gives_up_in_the_end(&self, mock: &Mock) {
        let id = format!("{} never", self.program);
        let twice = [("ORDERS_ATTEMPTS", "2")];
        let (line, ran) = self
            .send(mock, "unavailable", &json!([order(&id)]), &twice)
            .await;
        assert_eq!((ran.code, line.bodies().len()), (Some(2), 2), "{ran:?}");
        assert_eq!(ran.out, "");
        assert!(
            ran.err
                .contains("Пакет не доставлен, пришлите его позже ещё раз"),
            "{ran:?}"
        );
        assert_eq!(mock.count(&id).await, 0);
    }

    async fn never_sends_a_rejected_order_again(&self, mock: &Mock) {
        let id = |n| format!("{} one of ten, {n}", self.program);
        let mut orders: Vec<Value> = (0..10).map(|n| order(&id(n))).collect();
        orders[0] = changed(orders[0].clone(), "/status", json!("done"));
        let (line, ran) = self.send(mock, "reject-one", &json!(orders), &[]).await;
        assert_eq!((ran.code, line.bodies().len()), (Some(1), 1), "{ran:?}");
        let said = |what: &str| ran.out.lines().filter(|line| line.contains(what)).count();
        assert_eq!(
            (said(": принят, наш номер "), said(": не принят, ")),
            (9, 2),
            "{ran:?}"
        );
        for fault in ["status — ", "total — "] {
            assert_eq!(
                said(&format!("{}: не принят, {fault}", id(0))),
                1,
                "{ran:?}"
            );
        }
        assert_eq!((mock.count(&id(0)).await, mock.count(&id(9)).await), (0, 1));
    }

    async fn never_sends_a_refused_batch_again(&self, mock: &Mock) {
        let batch = json!([order(&format!("{} refused", self.program))]);
        for (faults, batch) in [("unauthorized", batch), ("none", json!({}))] {
            let (line, ran) = self.send(mock, faults, &batch, &[]).await;
            assert_eq!((ran.code, line.bodies().len()), (Some(2), 1), "{ran:?}");
            assert!(
                ran.err
                    .contains("Пакет не принят, повторять его как есть незачем: HTTP 40"),
                "{ran:?}"
            );
        }
    }

    async fn takes_no_check_for_an_accepted_order(&self, mock: &Mock) {
        let id = format!("{} checked", self.program);
        let file = mock.file(&json!([order(&id)]));
        let address = url("http", mock.address, "demodelivery") + "?dry_run=true";
        let ran = Ran::of(self.run(&file, &address)).await;
        let said = format!("{id}: был бы принят; это проверка, ничего не сохранено");
        assert_eq!(ran.out.lines().next(), Some(&*said), "{ran:?}");
        assert_eq!(mock.count(&id).await, 0);
    }

    async fn follows_nobody_elsewhere(&self, mock: &Mock) {
        let elsewhere = Line::to(mock.address, "none").await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let target = elsewhere.url("http", "demodelivery");
        spawn(async move {
            while let Ok((mut caller, _)) = listener.accept().await {
                let _request = Request::read(&mut BufReader::new(&mut caller)).await;
                let answer = format!(
                    "HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                );
                let _ = caller.write_all(answer.as_bytes()).await;
            }
        });
        let file = mock.file(&json!([order("elsewhere")]));
        let ran = Ran::of(self.run(&file, &format!("http://{address}/orders"))).await;
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.err.contains("HTTP 302"), "{ran:?}");
        assert!(elsewhere.bodies().is_empty());
    }

    async fn trusts_no_certificate_of_a_strangers(&self, mock: &Mock) {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let tls = Tls {
            cert: folder.path().join("cert.pem"),
            key: folder.path().join("key.pem"),
        };
        fs::write(&tls.cert, made.cert.pem()).unwrap();
        fs::write(&tls.key, made.signing_key.serialize_pem()).unwrap();
        let app = TestApp::with(|config| config.tls = Some(tls)).await;
        let file = mock.file(&json!([order("secret")]));
        let mut run = self.run(&file, &url("https", app.address, "demodelivery"));
        run.env("ORDERS_ATTEMPTS", "1");
        let ran = Ran::of(run).await;
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.err.contains("ertificate"), "{ran:?}");
        assert_eq!(app.count("orders").await, 0);
    }

    /// Sends a batch to the mock, and what it meets there.
    async fn send(
        &self,
        mock: &Mock,
        faults: &str,
        batch: &Value,
        environment: &[(&str, &str)],
    ) -> (Line, Ran) {
        let line = Line::to(mock.address, faults).await;
        let file = mock.file(batch);
        let mut run = self.run(&file, &line.url("http", "demodelivery"));
        run.envs(environment.iter().copied());
        let ran = Ran::of(run).await;
        assert_eq!(line.bodies()[0], batch.to_string().as_bytes());
        (line, ran)
    }

    /// Its command line, without what would send it elsewhere.
    fn run(&self, file: impl AsRef<std::ffi::OsStr>, url: &str) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(self.program);
        command
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/").to_owned() + self.file)
            .arg(file)
            .arg(url)
            .kill_on_drop(true);
        for name in ["http_proxy", "https_proxy", "all_proxy"] {
            command.env_remove(name).env_remove(name.to_uppercase());
        }
        for name in ["LOGIN", "PASSWORD", "ATTEMPTS", "TIMEOUT"] {
            command.env_remove(format!("ORDERS_{name}"));
        }
        command
    }
}

fn url(scheme: &str, address: SocketAddr, publication: &str) -> String {
    format!("{scheme}://{address}/{publication}/hs/AquaDeliveri/getOrdersURL")
}

/// What a sender said.
#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Ran {
    async fn of(mut command: tokio::process::Command) -> Self {
        let output = command.output().await.unwrap();
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// The program, for all senders that are tried at the same time.
struct Mock {
    address: SocketAddr,
    /// Ended first; what is then left of it the folder's keeper ends.
    _serving: Mutex<Serving>,
    scratch: Scratch,
}

impl Mock {
    fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Mock>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mock) = shared.upgrade() {
            return mock;
        }
        let scratch = Scratch::new();
        let serving = Serving::mock(&scratch, &[]);
        let mock = Arc::new(Self {
            address: serving.address,
            _serving: Mutex::new(serving),
            scratch,
        });
        *shared = Arc::downgrade(&mock);
        mock
    }

    /// A file with that batch.
    fn file(&self, batch: &Value) -> PathBuf {
        let (file, path) = tempfile::Builder::new()
            .suffix(".json")
            .tempfile_in(self.scratch.path())
            .unwrap()
            .keep()
            .unwrap();
        drop(file);
        fs::write(&path, batch.to_string()).unwrap();
        path
    }

    /// How many orders of that sender's id it has.
    async fn count(&self, id: &str) -> i64 {
        let entries = fs::read_dir(self.scratch.path()).unwrap();
        let mut clusters =
            entries.map(|entry| entry.unwrap().path().join("postgres/postmaster.pid"));
        let lock = clusters
            .find_map(|file| fs::read_to_string(file).ok())
            .unwrap();
        let options = PgConnectOptions::new_without_pgpass()
            .socket(lock.lines().nth(4).unwrap())
            .username("aqua_orders")
            .database("aqua_orders");
        let mut connection = PgConnection::connect_with(&options).await.unwrap();
        sqlx::query_scalar("SELECT count(*) FROM orders WHERE sender_id = $1")
            .bind(id)
            .fetch_one(&mut connection)
            .await
            .unwrap()
    }

    /// It has the order once, under the number that the sender was told.
    async fn has_once(&self, id: &str, ran: &Ran) {
        assert_eq!(self.count(id).await, 1);
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let batch = json!([order(id)]).to_string();
        let request = client
            .post(url("http", self.address, "demodelivery"))
            .body(batch);
        let answer = Answer::of(request).await;
        let number = answer.order(id)["id"].as_str().unwrap();
        assert!(
            ran.out
                .starts_with(&format!("{id}: принят, наш номер {number},")),
            "{ran:?}"
        );
    }
}

/// The line to the mock: remembers what is sent, and asks for faults, which a sender of its own accord does not.
struct Line {
    address: SocketAddr,
    bodies: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Line {
    async fn to(mock: SocketAddr, faults: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let bodies = Arc::default();
        let header: Arc<str> = format!("X-Mock-Fault: {faults}\r\n").into();
        let line = Self {
            address,
            bodies: Arc::clone(&bodies),
        };
        spawn(async move {
            while let Ok((caller, _)) = listener.accept().await {
                let mock = TcpStream::connect(mock).await.unwrap();
                spawn(relay(
                    caller,
                    mock,
                    Arc::clone(&header),
                    Arc::clone(&bodies),
                ));
            }
        });
        line
    }

    fn url(&self, scheme: &str, publication: &str) -> String {
        url(scheme, self.address, publication)
    }

    /// What was sent, each time.
    fn bodies(&self) -> Vec<Vec<u8>> {
        self.bodies.lock().unwrap().clone()
    }

    fn is_the_same_again(&self) {
        let bodies = self.bodies();
        assert!(bodies.iter().all(|body| *body == bodies[0]));
    }
}

/// A request, read.
struct Request {
    first_line: String,
    headers: String,
    body: Vec<u8>,
}

impl Request {
    /// `None` when the caller hung up.
    async fn read(caller: &mut (impl AsyncBufReadExt + Unpin)) -> Option<Self> {
        let mut first_line = String::new();
        if caller.read_line(&mut first_line).await.ok()? == 0 {
            return None;
        }
        let (mut headers, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            caller.read_line(&mut line).await.ok()?;
            headers.push_str(&line);
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        caller.read_exact(&mut body).await.ok()?;
        Some(Self {
            first_line,
            headers,
            body,
        })
    }
}

async fn relay(
    caller: TcpStream,
    mock: TcpStream,
    header: Arc<str>,
    bodies: Arc<Mutex<Vec<Vec<u8>>>>,
) {
    let (from_caller, mut to_caller) = caller.into_split();
    let (mut from_mock, mut to_mock) = mock.into_split();
    spawn(async move {
        // Whoever hangs up has its reasons, and the other hears of it.
        let _ = copy(&mut from_mock, &mut to_caller).await;
        let _ = to_caller.shutdown().await;
    });
    let mut from_caller = BufReader::new(from_caller);
    while let Some(request) = Request::read(&mut from_caller).await {
        bodies.lock().unwrap().push(request.body.clone());
        let head = format!("{}{header}{}", request.first_line, request.headers);
        let whole = [head.as_bytes(), &request.body].concat();
        if to_mock.write_all(&whole).await.is_err() {
            return;
        }
    }
}
