//! Faults caused for real while orders go out: whoever reads the feed, and every target, has all of them in the end, as they are
//! (contract §8.1, §8.3).
//!
//! `./test.sh faults` does it at length and prints the figures.

use std::{
    collections::HashMap,
    fmt,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{http::StatusCode, response::IntoResponse};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection, PgPool};
use tokio::{task::JoinHandle, time::sleep};

use crate::{
    fault_run::{Database, PEACE, Service, WHILE, pool},
    support::{
        app::{changed, order},
        back_office::FEED,
        cluster::Cluster,
        process::Scratch,
        register::{Acknowledged, Figures, Register},
        serving::PATIENCE,
        target::{FakeTarget, Seen as Request, takes},
    },
};

/// Of either instance.
const WRITERS: usize = 8;

/// Waits for a lock longer than anybody holds one here. The password is `secret`.
const SETTINGS: &str = r#"
[database]
statement_timeout = 15
lock_timeout = 12
start_timeout = 60

[times]
answer = 25
stop = 15

[[publication]]
name = "demodelivery"
anonymous = true
users = [{ login = "1c", role = "back_office", password_hash = "$argon2id$v=19$m=19456,t=2,p=1$/hmWLkCHym/tCzHudILjuQ$3lR8FAZ35WqDDxv7RqVup0q9BFhqfXAtTo4/5ZRPgFQ" }]
"#;

/// Two instances of the service, and their PostgreSQL.
struct World {
    // The services first: dropped, they are to find their database.
    services: [Service; 2],
    postgres: Cluster,
    _scratch: Scratch,
}

/// How long what is in the way lasts.
#[derive(Clone, Copy)]
struct Obstacles {
    lock: Duration,
    foreign_transaction: Duration,
}

impl World {
    async fn make(settings: &str) -> Self {
        let scratch = Scratch::new();
        let mut postgres = Cluster::make(&scratch, "postgres", "");
        postgres.start().await;
        let service = || Service::with(settings, Scratch::new(), Database::Url(postgres.url()));
        Self {
            services: [service(), service()],
            postgres,
            _scratch: scratch,
        }
    }

    fn addresses(&self) -> [SocketAddr; 2] {
        self.services.each_ref().map(Service::address)
    }

    async fn connection(&self) -> PgConnection {
        PgConnection::connect_with(&self.postgres.options("postgres"))
            .await
            .unwrap()
    }

    /// Has writers and readers at work, puts everything in their way, and compares what was read with what is stored.
    async fn suffer(&mut self, name: &str, obstacles: Obstacles) -> (Figures, Reading) {
        let [one, other] = self.addresses();
        let names = [format!("{name} one"), format!("{name} other")];
        let registers = [one, other]
            .into_iter()
            .zip(&names)
            .map(|(address, name)| Register::of(WRITERS, name, address))
            .collect::<Vec<_>>();
        // One goes from instance to instance with his cursor, and one stays.
        let readers = [vec![one, other], vec![other]].map(|from| Reader::start(name, from));
        for register in &registers {
            register.hears_something().await;
        }
        let begin = Instant::now();
        let mut foreign = self.connection().await;
        let mut foreign = foreign.begin().await.unwrap();
        sqlx::query(
            "INSERT INTO publication_mark (publication, mark) VALUES ('demodelivery', 'foreign')",
        )
        .execute(&mut *foreign)
        .await
        .unwrap();

        let free = self.lock_a_client(&names[0], obstacles.lock).await;
        for register in &registers {
            register.hears_something().await;
        }
        sleep(PEACE).await;
        let quiet = free..Instant::now();
        // By then whoever is not late has read what was acknowledged.
        sleep(WHILE).await;
        for service in &mut self.services {
            service.kill();
            service.start_again();
            sleep(PEACE).await;
        }
        sleep(
            obstacles
                .foreign_transaction
                .saturating_sub(begin.elapsed()),
        )
        .await;
        foreign.rollback().await.unwrap();
        self.postgres.end(Signal::SIGKILL);
        self.postgres.start().await;
        for register in &registers {
            register.hears_something().await;
        }
        sleep(PEACE).await;

        let database = pool(&self.postgres);
        let mut figures = Figures::default();
        let mut acknowledged = Vec::new();
        for (register, name) in registers.into_iter().zip(&names) {
            let (of_one, answers) = register.close_and_tell(name, &database).await;
            figures = figures.and(of_one);
            acknowledged.extend(answers);
        }
        acknowledged.retain(|order| quiet.contains(&order.at));
        let mut reading = Reading::default();
        for reader in readers {
            let seen = reader.end().await;
            reading = reading.and(seen.compare(name, &database, &acknowledged).await);
        }
        (figures, reading)
    }

    /// Holds a client of one of the writers, and his orders, for so long; says since when they are free.
    async fn lock_a_client(&self, name: &str, time: Duration) -> Instant {
        let client = format!("client of {name} 0");
        let mut holder = self.connection().await;
        let mut lock = holder.begin().await.unwrap();
        let begin = Instant::now();
        // His first order may be on its way still.
        while sqlx::query(
            "SELECT FROM client c JOIN orders o ON o.publication = c.publication AND o.client_number = c.number
             WHERE c.sender_id = $1 FOR UPDATE",
        )
        .bind(&client)
        .execute(&mut *lock)
        .await
        .unwrap()
        .rows_affected()
            == 0
        {
            assert!(begin.elapsed() < PATIENCE, "nobody is held up");
            sleep(PEACE / 10).await;
        }
        sleep(time).await;
        let free = Instant::now();
        lock.rollback().await.unwrap();
        free
    }
}

/// A back office that reads on and on, and remembers what it saw.
struct Reader {
    task: JoinHandle<Seen>,
    over: Arc<AtomicBool>,
}

/// What a reader saw of the orders of that name.
#[derive(Default)]
struct Seen {
    /// By the sender's id: versions and totals, in the order in which they came, and when they did.
    orders: HashMap<String, Vec<(i64, u64, Instant)>>,
}

/// What became of it all.
#[derive(Debug, Default, Clone, Copy)]
struct Reading {
    /// Orders that are stored, for each reader.
    stored: usize,
    /// Of these, those that he did not see as they are.
    missed: usize,
    /// Orders that he saw and nobody stored.
    invented: usize,
    /// How often an older version came behind a newer one.
    fell: usize,
    /// From the response to a sender until a reader had the order, from the lock's end until the first kill: the longest.
    lag: Duration,
}

impl Reading {
    fn and(self, more: Self) -> Self {
        Self {
            stored: self.stored + more.stored,
            missed: self.missed + more.missed,
            invented: self.invented + more.invented,
            fell: self.fell + more.fell,
            lag: self.lag.max(more.lag),
        }
    }

    #[track_caller]
    fn hold(&self) {
        assert!(self.stored > 0, "nothing was tried: {self}");
        let faults = (self.missed, self.invented, self.fell);
        assert_eq!(faults, (0, 0, 0), "{self}");
    }
}

impl fmt::Display for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>7} to be read  {:>2} missed  {:>2} invented  {:>2} older behind newer  {:>5.2} s longest lag behind a lock",
            self.stored,
            self.missed,
            self.invented,
            self.fell,
            self.lag.as_secs_f64()
        )
    }
}

impl Reader {
    /// Reads from these instances in turn.
    fn start(name: &str, from: Vec<SocketAddr>) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let (name, is_over) = (name.to_owned(), Arc::clone(&over));
        Self {
            task: tokio::spawn(async move { Seen::collect(&name, &from, &is_over).await }),
            over,
        }
    }

    /// Lets it read to the end.
    async fn end(self) -> Seen {
        self.over.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}

impl Seen {
    async fn collect(name: &str, from: &[SocketAddr], over: &AtomicBool) -> Self {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let (mut seen, mut cursor) = (Self::default(), String::new());
        for address in from.iter().cycle() {
            let was_over = over.load(Ordering::Relaxed);
            let asked = client
                .get(format!(
                    "http://{address}{FEED}?after={cursor}&limit=100&wait=1"
                ))
                .basic_auth("1c", Some("secret"))
                .timeout(PATIENCE)
                .send();
            let page: Value = match asked.await {
                Ok(answer) if answer.status() == 200 => match answer.json().await {
                    Ok(page) => page,
                    Err(_broken) => continue,
                },
                Ok(answer) => {
                    assert_eq!(answer.status(), 503);
                    sleep(PEACE / 10).await;
                    continue;
                }
                Err(_away) => {
                    sleep(PEACE / 10).await;
                    continue;
                }
            };
            let orders = page["orders"].as_array().unwrap();
            for order in orders {
                seen.note(name, order);
            }
            page["cursor"].as_str().unwrap().clone_into(&mut cursor);
            if was_over && orders.is_empty() {
                break;
            }
        }
        seen
    }

    fn note(&mut self, name: &str, order: &Value) {
        let id = order["id"].as_str().unwrap();
        if id.starts_with(name) {
            let version = order["version"].as_i64().unwrap();
            let total = order["order"]["total"].as_u64().unwrap();
            let came = self.orders.entry(id.to_owned()).or_default();
            came.push((version, total, Instant::now()));
        }
    }

    async fn compare(
        mut self,
        name: &str,
        database: &PgPool,
        acknowledged: &[Acknowledged],
    ) -> Reading {
        let lags = acknowledged.iter().map(|order| {
            let came = self.orders.get(&order.id).into_iter().flatten();
            // Totals rise; changes may merge.
            let first = came
                .filter(|(_, total, _)| *total >= order.total)
                .min_by_key(|(_, _, at)| *at);
            first.map_or(Duration::MAX, |(_, _, at)| at.duration_since(order.at))
        });
        let lag = lags.max().unwrap_or_default();
        let stored: Vec<(String, i32, i64)> = sqlx::query_as(
            "SELECT sender_id, version, total::bigint FROM orders WHERE starts_with(sender_id, $1)",
        )
        .bind(name)
        .fetch_all(database)
        .await
        .unwrap();
        let mut reading = Reading {
            stored: stored.len(),
            lag,
            ..Reading::default()
        };
        for (id, version, total) in stored {
            let came = self.orders.remove(&id).unwrap_or_default();
            let last = came.last().map(|(version, total, _)| (*version, *total));
            let is = (version.into(), u64::try_from(total).unwrap());
            reading.missed += usize::from(last != Some(is));
            reading.fell += came.windows(2).filter(|two| two[0].0 > two[1].0).count();
        }
        reading.invented = self.orders.len();
        reading
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_the_feed_misses_nothing_though_rows_hang_and_instances_and_postgresql_are_killed()
 {
    let mut world = World::make(SETTINGS).await;
    let obstacles = Obstacles {
        lock: Duration::from_secs(2),
        foreign_transaction: Duration::ZERO,
    };
    let (figures, reading) = world.suffer("order", obstacles).await;
    println!("{figures}\n{reading}");
    figures.hold();
    reading.hold();
}

/// Has a target away for so long while 500 orders change five times; says how many orders it took when it was back.
async fn an_outage(time: Duration) -> usize {
    let is_away = Arc::new(AtomicBool::new(true));
    let taken = Arc::new(AtomicUsize::new(0));
    let target = {
        let (is_away, taken) = (Arc::clone(&is_away), Arc::clone(&taken));
        FakeTarget::start(move |request: &Request| {
            if is_away.load(Ordering::SeqCst) {
                return StatusCode::BAD_GATEWAY.into_response();
            }
            taken.fetch_add(request.orders.len(), Ordering::SeqCst);
            takes(request)
        })
        .await
    };
    let settings = format!(
        "{SETTINGS}\n[[publication.target]]\nname = \"1c\"\nprotocol = \"one_c\"\nurl = \"http://{}/getOrdersURL\"\n",
        target.address
    );
    let world = World::make(&settings).await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let begin = Instant::now();
    for change in 0..5u32 {
        let orders: Vec<Value> = (0..500)
            .map(|n| changed(order(&format!("o{n}")), "/total", change))
            .collect();
        for (part, address) in orders.chunks(100).zip(world.addresses().iter().cycle()) {
            let url = format!("http://{address}{}", crate::support::app::ORDERS);
            let answer = client.post(url).body(json!(part).to_string()).send().await;
            assert_eq!(answer.unwrap().status(), 200);
        }
        let due = time * (change + 1) / 5;
        sleep(due.saturating_sub(begin.elapsed())).await;
    }
    assert!(target.requests() > 0, "it was never tried");
    target.forget();
    is_away.store(false, Ordering::SeqCst);
    let database = pool(&world.postgres);
    let patience = PATIENCE + time;
    let back = Instant::now();
    while position(&database).await < head(&database).await {
        assert!(back.elapsed() < patience, "it is never sent all");
        sleep(PEACE).await;
    }
    let newest = target.newest();
    assert_eq!(newest.len(), 500);
    assert!(newest.values().all(|order| order["total"] == 4));
    taken.load(Ordering::SeqCst)
}

async fn position(database: &PgPool) -> i64 {
    let position = sqlx::query_scalar("SELECT position FROM target");
    position.fetch_one(database).await.unwrap()
}

async fn head(database: &PgPool) -> i64 {
    let head = sqlx::query_scalar("SELECT position FROM feed_head");
    head.fetch_one(database).await.unwrap()
}

/// How a long feed was read from the beginning to the end.
struct Whole {
    orders: usize,
    time: Duration,
    /// MiB that the service came to have at most, and had after the first pages.
    memory: (u64, u64),
}

impl fmt::Display for Whole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.time.as_secs_f64();
        let speed = f64::from(u32::try_from(self.orders).unwrap()) / seconds;
        let (most, first) = self.memory;
        write!(
            f,
            "{} orders in {seconds:.1} s, {speed:.0} a second, {most} MiB at most, {first} after the first pages",
            self.orders
        )
    }
}

/// Stores so many orders and reads them all, twice: the first reader has them placed.
async fn a_long_feed(orders: usize) -> [Whole; 2] {
    let scratch = Scratch::new();
    let mut postgres = Cluster::make(&scratch, "postgres", "");
    postgres.start().await;
    let service = Service::with(SETTINGS, Scratch::new(), Database::Url(postgres.url()));
    let address = service.address().to_string();
    let load = service
        .command("load")
        .args([
            "--target",
            &address,
            "--batch",
            "500",
            "--callers",
            "2",
            "--orders",
        ])
        .arg(orders.to_string())
        .output()
        .unwrap();
    assert!(load.status.success(), "{load:?}");
    let mut wholes = Vec::new();
    for _ in 0..2 {
        wholes.push(read_whole(&service).await);
    }
    wholes.try_into().ok().unwrap()
}

async fn read_whole(service: &Service) -> Whole {
    /// What is in use after so many is in use for each one.
    const FIRST_PAGES: usize = 8;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let (mut cursor, mut orders, mut first) = (String::new(), 0, 0);
    service.serving().forget_peak();
    let begin = Instant::now();
    for page in 1.. {
        let url = format!(
            "http://{}{FEED}?after={cursor}&limit=500",
            service.address()
        );
        let answer = client
            .get(url)
            .basic_auth("1c", Some("secret"))
            .send()
            .await;
        let text = answer
            .unwrap()
            .error_for_status()
            .unwrap()
            .text()
            .await
            .unwrap();
        // To read it as JSON would take longer than to write it.
        let (head, _) = text.split_once(",\"orders\":[").unwrap();
        orders += text.matches("\"changed_by\":").count();
        let head: Value = serde_json::from_str(&format!("{head}}}")).unwrap();
        head["cursor"].as_str().unwrap().clone_into(&mut cursor);
        if page == FIRST_PAGES {
            first = service.serving().peak_memory();
        }
        if head["more"] == false {
            break;
        }
    }
    Whole {
        orders,
        time: begin.elapsed(),
        memory: (service.serving().peak_memory(), first),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_memory_that_reading_takes_does_not_grow_with_the_feed() {
    const ORDERS: usize = 20_000;
    for whole in a_long_feed(ORDERS).await {
        println!("{whole}");
        assert_eq!(whole.orders, ORDERS, "{whole}");
        let (most, first) = whole.memory;
        assert!(most <= first + 16, "{whole}");
    }
}

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |number| number.parse().unwrap())
}

/// `./test.sh faults`: the same at length.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: ./test.sh faults"]
async fn the_feed_run() {
    let obstacles = Obstacles {
        lock: Duration::from_secs(5),
        foreign_transaction: Duration::from_mins(1),
    };
    println!(
        "\nTwo instances, 16 writers, two readers; a client locked for 5 s, a foreign transaction open for a minute,\n\
         kill -9 of either instance and of PostgreSQL:"
    );
    let mut world = World::make(SETTINGS).await;
    let (mut figures, mut reading) = (Figures::default(), Reading::default());
    for round in 0..number("AQUA_FAULT_ROUNDS", 2) {
        let (of_round, read) = world.suffer(&format!("order {round} "), obstacles).await;
        (figures, reading) = (figures.and(of_round), reading.and(read));
    }
    println!("{figures}\n{reading}");
    figures.hold();
    reading.hold();
    assert!(reading.lag < Duration::from_secs(2), "{reading}");
}

/// `./test.sh faults`: a target that is away for as many seconds as `AQUA_OUTAGE_SECONDS` says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: ./test.sh faults"]
async fn the_outage_run() {
    let outage = Duration::from_secs(number("AQUA_OUTAGE_SECONDS", 60));
    let sent = an_outage(outage).await;
    println!(
        "\nA target away for {} s while 500 orders changed five times: {sent} sent",
        outage.as_secs()
    );
    assert_eq!(sent, 500);
}

/// `./test.sh faults`: a feed of as many orders as `AQUA_FEED_ORDERS` says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes: ./test.sh faults"]
async fn the_long_feed_run() {
    let orders = number("AQUA_FEED_ORDERS", 1_000_000);
    println!(
        "\nA feed of {orders} orders, read to its end by the first reader, and by the second:"
    );
    for whole in a_long_feed(usize::try_from(orders).unwrap()).await {
        println!("{whole}");
    }
}
