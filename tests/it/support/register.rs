//! A register of what was promised: senders write rising totals and remember each answer; afterwards every promise is
//! looked for in the database.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use sqlx::{PgPool, Row, types::Decimal};
use tokio::{task::JoinHandle, time::sleep};

use super::app::{ORDERS, order};

/// How many send at the same time, unless it is said.
const SENDERS: usize = 6;
/// Orders that each of them writes again and again.
const ORDERS_EACH: usize = 25;
/// What a sender waits before it sends a batch again.
const PAUSE: Duration = Duration::from_millis(50);

/// Senders at work.
pub struct Register {
    senders: Vec<JoinHandle<Book>>,
    over: Arc<AtomicBool>,
    answers: Arc<Mutex<Answers>>,
}

/// When answers with 200 came.
struct Answers {
    last: Instant,
    longest_gap: Duration,
    /// When the last 503 came.
    refused: Option<Instant>,
}

/// What one sender remembers.
#[derive(Debug, Default)]
struct Book {
    /// By order: the last total that was answered as stored, and the number.
    promised: HashMap<String, (u64, String)>,
    /// By order: totals that were sent since then, and not answered so.
    open: HashMap<String, Vec<u64>>,
    /// Two orders that came in one batch, which was not answered and never sent again.
    given_up: Vec<[String; 2]>,
    acknowledged: Vec<Acknowledged>,
    unavailable: usize,
    unanswered: usize,
    /// Orders that were given another number than before.
    renumbered: usize,
}

/// An order that was answered as stored.
#[derive(Debug, Clone)]
pub struct Acknowledged {
    pub at: Instant,
    pub id: String,
    pub total: u64,
}

/// What became of it all.
#[derive(Debug, Default, Clone, Copy)]
pub struct Figures {
    /// Orders answered as stored, each time they were.
    pub acknowledged: usize,
    /// Batches answered 503.
    pub unavailable: usize,
    /// Batches without an answer: the connection broke, or could not be made.
    pub unanswered: usize,
    /// Promised orders that are not there, or with an older total.
    pub lost: usize,
    /// Orders or clients that are there twice, or were given a second number.
    pub doubled: usize,
    /// Orders that are there in part, and batches of which one order is there and another is not.
    pub torn: usize,
    /// Batches that nobody was promised, and nobody sent again, that are there: the commit came, the answer did not.
    pub landed: usize,
    /// The longest time without a single answer of 200.
    pub outage: Duration,
}

impl Figures {
    /// Both together; the longer outage of the two.
    pub fn and(self, more: Self) -> Self {
        Self {
            acknowledged: self.acknowledged + more.acknowledged,
            unavailable: self.unavailable + more.unavailable,
            unanswered: self.unanswered + more.unanswered,
            lost: self.lost + more.lost,
            doubled: self.doubled + more.doubled,
            torn: self.torn + more.torn,
            landed: self.landed + more.landed,
            outage: self.outage.max(more.outage),
        }
    }

    /// Nothing promised is missing, nothing is there twice or by half.
    #[track_caller]
    pub fn hold(&self) {
        assert!(self.acknowledged > 0, "nothing was tried: {self}");
        assert_eq!((self.lost, self.doubled, self.torn), (0, 0, 0), "{self}");
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>7} acknowledged  {:>2} lost  {:>2} doubled  {:>2} torn  {:>5} x 503  {:>5} unanswered  {:>3} landed unanswered  \
             {:>6.2} s longest outage",
            self.acknowledged,
            self.lost,
            self.doubled,
            self.torn,
            self.unavailable,
            self.unanswered,
            self.landed,
            self.outage.as_secs_f64()
        )
    }
}

impl Register {
    /// Starts to send. Every order's id begins with `name`.
    pub fn open(name: &str, service: SocketAddr) -> Self {
        Self::of(SENDERS, name, service)
    }

    /// The same with so many senders.
    pub fn of(senders: usize, name: &str, service: SocketAddr) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let answers = Arc::new(Mutex::new(Answers {
            last: Instant::now(),
            longest_gap: Duration::ZERO,
            refused: None,
        }));
        let senders = (0..senders)
            .map(|sender| {
                let name = format!("{name} {sender}");
                let (over, answers) = (Arc::clone(&over), Arc::clone(&answers));
                tokio::spawn(async move {
                    let mut book = Book::default();
                    book.keep(&name, sender, service, &over, &answers).await;
                    book
                })
            })
            .collect();
        Self {
            senders,
            over,
            answers,
        }
    }

    /// Waits until something was answered after this moment, by a service that works (again).
    pub async fn hears_something(&self) {
        let now = Instant::now();
        let deadline = now + super::serving::PATIENCE;
        while self.answers.lock().unwrap().last < now {
            assert!(Instant::now() < deadline, "nothing is answered any more");
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until a batch is refused after this moment.
    pub async fn is_refused(&self) {
        let now = Instant::now();
        let deadline = now + super::serving::PATIENCE;
        while self
            .answers
            .lock()
            .unwrap()
            .refused
            .is_none_or(|at| at < now)
        {
            assert!(Instant::now() < deadline, "everything is taken still");
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Ends the sending and compares what was promised with what is there. The service must be back by now, for what
    /// was not answered is sent until it is.
    pub async fn close(self, name: &str, database: &PgPool) -> Figures {
        self.close_and_tell(name, database).await.0
    }

    /// The same, and what was answered when.
    pub async fn close_and_tell(
        self,
        name: &str,
        database: &PgPool,
    ) -> (Figures, Vec<Acknowledged>) {
        self.over.store(true, Ordering::Relaxed);
        let mut books = Vec::new();
        for sender in self.senders {
            books.push(sender.await.unwrap());
        }
        let outage = self.answers.lock().unwrap().longest_gap;
        let figures = Figures {
            outage,
            ..compare(name, &books, database).await
        };
        let acknowledged = books.into_iter().flat_map(|book| book.acknowledged);
        (figures, acknowledged.collect())
    }
}

impl Answers {
    fn note(&mut self) {
        let now = Instant::now();
        self.longest_gap = self.longest_gap.max(now - self.last);
        self.last = now;
    }
}

/// An order whose every part says the same, so that one half of it beside another half is seen.
fn of_total(id: &str, client: &str, total: u64) -> Value {
    let mut order = order(id);
    order["total"] = json!(total);
    order["comment"] = json!(total.to_string());
    order["client"] = json!({ "id": client, "username": client });
    let line = json!({ "product_id": "water-19", "price": total, "quantity": 1 });
    order["order_item_list"] = json!([line, line]);
    order
}

impl Book {
    async fn keep(
        &mut self,
        name: &str,
        sender: usize,
        service: SocketAddr,
        over: &AtomicBool,
        answers: &Mutex<Answers>,
    ) {
        let mut chance = fastrand::Rng::with_seed(sender as u64);
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(40))
            .build()
            .unwrap();
        let address = format!("http://{service}{ORDERS}");
        for total in 1.. {
            let size = chance.usize(1..=8);
            let mut ids: Vec<String> = (0..size)
                .map(|_| format!("{name} {}", chance.usize(0..ORDERS_EACH)))
                .collect::<HashSet<_>>()
                .into_iter()
                .collect();
            // Some batches are given up when they are not answered; they bring orders that come nowhere else.
            let may_give_up = chance.u8(0..3) == 0;
            let pair = [format!("{name} a{total}"), format!("{name} b{total}")];
            if may_give_up {
                ids.extend(pair.clone());
            }
            let batch: Vec<Value> = ids
                .iter()
                .map(|id| of_total(id, &format!("client of {name}"), total))
                .collect();
            let body = json!(batch).to_string();
            for id in &ids {
                self.open.entry(id.clone()).or_default().push(total);
            }
            loop {
                match client.post(&address).body(body.clone()).send().await {
                    Ok(answer) if answer.status() == 200 => {
                        if let Ok(answer) = answer.json::<Value>().await {
                            answers.lock().unwrap().note();
                            self.note(&ids, total, &answer);
                            break;
                        }
                        self.unanswered += 1;
                    }
                    Ok(answer) => {
                        assert_eq!(answer.status(), 503, "{name} {total}");
                        assert!(answer.headers().contains_key("retry-after"));
                        answers.lock().unwrap().refused = Some(Instant::now());
                        self.unavailable += 1;
                    }
                    Err(_broken) => self.unanswered += 1,
                }
                sleep(PAUSE).await;
                if may_give_up {
                    self.given_up.push(pair);
                    break;
                }
            }
            if over.load(Ordering::Relaxed) {
                return;
            }
        }
    }

    fn note(&mut self, ids: &[String], total: u64, answer: &Value) {
        for id in ids {
            let entry = &answer["data"][id];
            assert_eq!(entry["success"], true, "{entry}");
            let number = entry["data"][0]["id"].as_str().unwrap().to_owned();
            self.acknowledged.push(Acknowledged {
                at: Instant::now(),
                id: id.clone(),
                total,
            });
            self.open.remove(id);
            if let Some((_, before)) = self.promised.insert(id.clone(), (total, number.clone()))
                && before != number
            {
                self.renumbered += 1;
            }
        }
    }
}

/// An order as it is stored.
struct Stored {
    number: String,
    total: u64,
    is_whole: bool,
}

async fn compare(name: &str, books: &[Book], database: &PgPool) -> Figures {
    let rows = sqlx::query(
        "SELECT o.sender_id, o.number::text AS number, o.total, o.comment,
                (SELECT count(*) FROM order_item i WHERE i.publication = o.publication AND i.order_number = o.number
                                                     AND i.price = o.total) AS lines,
                (SELECT count(*) FROM order_item i WHERE i.publication = o.publication AND i.order_number = o.number)
                    AS all_lines
         FROM orders o WHERE starts_with(o.sender_id, $1)",
    )
    .bind(name)
    .fetch_all(database)
    .await
    .unwrap();
    let mut figures = Figures::default();
    let mut stored: HashMap<String, Stored> = HashMap::new();
    for row in rows {
        let total: Decimal = row.get("total");
        let (lines, all): (i64, i64) = (row.get("lines"), row.get("all_lines"));
        let is_whole = lines == 2
            && all == 2
            && row.get::<Option<String>, _>("comment") == Some(total.normalize().to_string());
        let order = Stored {
            number: row.get("number"),
            total: total.try_into().unwrap(),
            is_whole,
        };
        if stored.insert(row.get("sender_id"), order).is_some() {
            figures.doubled += 1;
        }
    }
    figures.torn += stored.values().filter(|order| !order.is_whole).count();
    let numbers: HashSet<&str> = stored.values().map(|order| &*order.number).collect();
    figures.doubled += stored.len() - numbers.len();
    let clients: i64 =
        sqlx::query_scalar("SELECT count(*) FROM client WHERE starts_with(sender_id, $1)")
            .bind(format!("client of {name}"))
            .fetch_one(database)
            .await
            .unwrap();
    figures.doubled += usize::try_from(clients)
        .unwrap()
        .saturating_sub(books.len());

    for book in books {
        figures.acknowledged += book.acknowledged.len();
        figures.unavailable += book.unavailable;
        figures.unanswered += book.unanswered;
        figures.doubled += book.renumbered;
        for (id, (total, number)) in &book.promised {
            let is_kept = stored.get(id).is_some_and(|order| {
                let later = book.open.get(id);
                let may_be = order.total == *total
                    || later.is_some_and(|totals| totals.contains(&order.total));
                may_be && order.number == *number
            });
            figures.lost += usize::from(!is_kept);
        }
        for pair in &book.given_up {
            match pair.each_ref().map(|id| stored.contains_key(id)) {
                [true, true] => figures.landed += 1,
                [false, false] => {}
                _ => figures.torn += 1,
            }
        }
    }
    figures
}
