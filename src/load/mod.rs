//! The load tool: drives a running service with made-up orders, checks every response, and says how long it took.
//!
//! It is made to cost next to nothing beside the service, with which it shares its processors: orders come from a stock
//! made before the clock starts ([`orders`]), responses are checked in passing ([`caller`]), and the command runs it all on
//! one thread. What it cost is in its report.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::BytesMut;
use hdrhistogram::Histogram;
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeValLike,
};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::time::sleep_until;

pub mod caller;
pub mod orders;

use self::{
    caller::{Caller, Outcome},
    orders::{Body, Orders, Stock},
};
use crate::config::Secret;

/// Anything that keeps a run from its end.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug, Clone)]
pub struct Target {
    pub address: SocketAddr,
    pub host: String,
    pub path: String,
    pub authorization: Option<Secret>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workload {
    New,
    /// The same batches again, unchanged.
    Resend,
    /// The same batches again, each order with another total.
    ResendChanged,
}

/// How much, how, for how long.
#[derive(Debug, Clone)]
pub struct Plan {
    pub batch: usize,
    /// Callers at once, each on a connection of its own.
    pub callers: usize,
    pub workload: Workload,
    /// Stop after so many orders …
    pub orders: Option<u64>,
    /// … or after this time.
    pub duration: Duration,
    /// Batches a second of all callers together, whether they are answered or not: waiting counts then. `None`: each
    /// caller sends its next batch when the last is answered.
    pub rate: Option<f64>,
    pub bad_percent: u32,
    /// All orders come from the client of this id; `None`: from everybody.
    pub client: Option<String>,
    /// Makes two runs alike but for the ids.
    pub seed: u64,
}

/// What a run came to.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub batch: usize,
    pub callers: usize,
    /// Batches answered as they should be.
    pub batches: u64,
    pub orders: u64,
    pub busy: u64,
    /// Batches answered otherwise than expected, and connections that broke. Not 0: the run is no result.
    pub wrong: u64,
    /// Seconds from the first request to the last answer.
    pub seconds: f64,
    /// Of them those in which at least one call was under way.
    pub call_seconds: f64,
    /// Orders a second of `call_seconds`: while nobody calls, because a lone caller checks a response and makes its next
    /// body, the service has nothing to do. With `--rate`, of `seconds`.
    pub orders_per_second: f64,
    /// Seconds of processor time that this program used itself, of the same processors.
    pub own_cpu_seconds: f64,
    pub latency_ms: Latency,
}

/// Times of batches, milliseconds.
#[derive(Debug, Clone, Serialize)]
pub struct Latency {
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

impl Latency {
    /// Of a histogram of microseconds.
    pub fn of(times: &Histogram<u64>) -> Self {
        let at = |quantile| milliseconds(times.value_at_quantile(quantile));
        Self {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: milliseconds(times.max()),
        }
    }

    pub fn median(rounds: &[Self]) -> Self {
        let of = |field: fn(&Self) -> f64| median(rounds.iter().map(field));
        Self {
            p50: of(|latency| latency.p50),
            p90: of(|latency| latency.p90),
            p99: of(|latency| latency.p99),
            p999: of(|latency| latency.p999),
            max: of(|latency| latency.max),
        }
    }
}

impl Report {
    /// Several rounds as one: counts and seconds of all, medians of speed and times. `None` of none.
    pub fn median(rounds: &[Self]) -> Option<Self> {
        let mut sum = rounds.first()?.clone();
        for round in &rounds[1..] {
            sum.batches += round.batches;
            sum.orders += round.orders;
            sum.busy += round.busy;
            sum.wrong += round.wrong;
            sum.seconds += round.seconds;
            sum.call_seconds += round.call_seconds;
            sum.own_cpu_seconds += round.own_cpu_seconds;
        }
        sum.orders_per_second = median(rounds.iter().map(|round| round.orders_per_second));
        let times: Vec<Latency> = rounds
            .iter()
            .map(|round| round.latency_ms.clone())
            .collect();
        sum.latency_ms = Latency::median(&times);
        Some(sum)
    }
}

fn milliseconds(microseconds: u64) -> f64 {
    Duration::from_micros(microseconds).as_secs_f64() * 1000.0
}

/// So many in that time, a second.
#[expect(clippy::cast_precision_loss, reason = "nobody counts to 2^52 here")]
pub fn per_second(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

/// A histogram of microseconds, up to ten minutes.
pub fn histogram() -> Result<Histogram<u64>, Error> {
    Ok(Histogram::new_with_bounds(1, 600_000_000, 3)?)
}

const STOCK: usize = 4_096;
/// What a re-send sends: each caller goes round its own batches, so many of them at most …
const RESENT_BATCHES: usize = 16;
/// … and at least two, of about so many orders among all callers.
const RESENT_ORDERS: usize = 16_000;

/// A plan with everything ready that it needs: the orders, the connections, what is sent again. It may run any number of
/// times.
pub struct Load {
    target: Target,
    plan: Plan,
    stock: Arc<Stock>,
    callers: Vec<Work>,
}

impl Load {
    pub async fn prepare(target: &Target, plan: &Plan) -> Result<Self, Error> {
        // Ids of one run apart from another's.
        let run = format!("{:x}", uuid::Uuid::now_v7().as_u128() >> 48);
        let orders = Orders::new(run, plan.seed, plan.bad_percent).of_client(plan.client.clone());
        let enough = plan.orders.map_or(STOCK, |orders| {
            usize::try_from(orders).unwrap_or(STOCK).clamp(1, STOCK)
        });
        let stock = Stock::of(orders, enough).ok_or("a made-up order is not as it should be")?;
        let resent = RESENT_ORDERS / plan.batch.max(1) / plan.callers.max(1);
        let mut callers = Vec::with_capacity(plan.callers);
        for number in 0..plan.callers {
            let mut caller = Caller::connect(target).await?;
            // Each begins elsewhere in the stock.
            let mut at = number * (enough / plan.callers.max(1)).max(1);
            let mut stored = Vec::new();
            if plan.workload != Workload::New {
                for _ in 0..resent.clamp(2, RESENT_BATCHES) {
                    let body = stock.batch(&mut at, plan.batch, BytesMut::new());
                    let came = caller.post(body.bytes.clone()).await?;
                    if came.check(&body) != Outcome::Right {
                        return Err(
                            format!("the first sending was answered {}", came.status).into()
                        );
                    }
                    stored.push(body);
                }
            }
            callers.push(Work {
                caller,
                at,
                buffer: BytesMut::new(),
                stored,
                turn: 0,
            });
        }
        Ok(Self {
            target: target.clone(),
            plan: plan.clone(),
            stock: Arc::new(stock),
            callers,
        })
    }

    /// Runs the plan once. `progress` is told how many orders are done, now and then.
    pub async fn run(&mut self, progress: impl Fn(u64)) -> Result<Report, Error> {
        let plan = Arc::new(self.plan.clone());
        let cpu_before = own_cpu()?;
        let begun = Instant::now();
        let pace = Arc::new(Pace {
            begun,
            until: begun + plan.duration,
            between: plan.rate.map(|rate| Duration::from_secs_f64(1.0 / rate)),
            taken: AtomicU64::new(0),
            most: plan
                .orders
                .map(|orders| orders.div_ceil(plan.batch.max(1) as u64)),
            stopped: AtomicBool::new(false),
        });
        let total = Arc::new(Mutex::new(Counts::default()));
        let mut tasks = tokio::task::JoinSet::new();
        for work in self.callers.drain(..) {
            let run = Run {
                target: self.target.clone(),
                plan: Arc::clone(&plan),
                stock: Arc::clone(&self.stock),
                pace: Arc::clone(&pace),
                total: Arc::clone(&total),
            };
            tasks.spawn(work.go(run));
        }
        let mut times = histogram()?;
        let mut ticks = tokio::time::interval(Duration::from_millis(100));
        loop {
            tokio::select! {
                done = tasks.join_next() => match done {
                    Some(done) => {
                        let (work, its_times) = done??;
                        times.add(its_times)?;
                        self.callers.push(work);
                    }
                    None => break,
                },
                _ = ticks.tick() => progress(total.lock().orders),
            }
        }
        let elapsed = begun.elapsed();
        let own_cpu_seconds = (own_cpu()?.saturating_sub(cpu_before)).as_secs_f64();
        let counts = *total.lock();
        Ok(Report {
            batch: plan.batch,
            callers: plan.callers,
            batches: counts.right,
            orders: counts.orders,
            busy: counts.busy,
            wrong: counts.wrong,
            seconds: elapsed.as_secs_f64(),
            call_seconds: counts.calling.as_secs_f64(),
            orders_per_second: per_second(
                counts.orders,
                if plan.rate.is_some() {
                    elapsed
                } else {
                    counts.calling
                },
            ),
            own_cpu_seconds,
            latency_ms: Latency::of(&times),
        })
    }
}

fn own_cpu() -> Result<Duration, Error> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let microseconds =
        usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(Duration::from_micros(microseconds.try_into().unwrap_or(0)))
}

/// The middle one; of an even number the upper of the two.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    right: u64,
    orders: u64,
    busy: u64,
    wrong: u64,
    /// Calls under way, since when there was at least one, and how long there was before that.
    under_way: usize,
    since: Option<Instant>,
    calling: Duration,
}

impl Counts {
    fn begin(&mut self, at: Instant) {
        self.under_way += 1;
        self.since.get_or_insert(at);
    }

    fn end(&mut self, at: Instant) {
        self.under_way -= 1;
        if self.under_way == 0
            && let Some(since) = self.since.take()
        {
            self.calling += at.saturating_duration_since(since);
        }
    }
}

/// When to send the next batch, and when to stop.
#[derive(Debug)]
struct Pace {
    begun: Instant,
    until: Instant,
    between: Option<Duration>,
    taken: AtomicU64,
    most: Option<u64>,
    stopped: AtomicBool,
}

impl Pace {
    /// When the next batch is due; `None` when there is none any more.
    fn next(&self) -> Option<Instant> {
        let place = self.taken.fetch_add(1, Ordering::Relaxed);
        let now = Instant::now();
        let due = match self.between {
            Some(between) => {
                // So many batches that their count does not fit would take years to send.
                self.begun + between.saturating_mul(u32::try_from(place).unwrap_or(u32::MAX))
            }
            None => now,
        };
        let over = match self.most {
            Some(most) => place >= most,
            None => due.max(now) >= self.until,
        };
        (!over && !self.stopped.load(Ordering::Relaxed)).then_some(due)
    }
}

/// What all callers of a run share.
struct Run {
    target: Target,
    plan: Arc<Plan>,
    stock: Arc<Stock>,
    pace: Arc<Pace>,
    total: Arc<Mutex<Counts>>,
}

struct Work {
    caller: Caller,
    /// Where in the stock the next order stands.
    at: usize,
    /// The last body's memory.
    buffer: BytesMut,
    /// What is sent again and again …
    stored: Vec<Body>,
    /// … and how many times something was.
    turn: usize,
}

impl Work {
    /// The next body. Made before its time is taken: the sender's own work is not the service's.
    fn next(&mut self, plan: &Plan, stock: &Stock) -> Body {
        if plan.workload == Workload::New {
            return stock.batch(&mut self.at, plan.batch, std::mem::take(&mut self.buffer));
        }
        self.turn += 1;
        let place = self.turn % self.stored.len();
        let body = std::mem::take(&mut self.stored[place]);
        if plan.workload == Workload::ResendChanged {
            return body.changed(self.turn as u64);
        }
        body
    }

    /// Takes a body back that was answered.
    fn give_back(&mut self, plan: &Plan, body: Body) {
        if plan.workload == Workload::New {
            self.buffer = body.into_buffer();
        } else {
            let place = self.turn % self.stored.len();
            self.stored[place] = body;
        }
    }

    async fn go(mut self, run: Run) -> Result<(Self, Histogram<u64>), Error> {
        let Run {
            target,
            plan,
            stock,
            pace,
            total,
        } = run;
        let mut times = histogram()?;
        let mut broken_in_a_row = 0;
        while let Some(due) = pace.next() {
            let body = self.next(&plan, &stock);
            if pace.between.is_some() {
                sleep_until(due.into()).await;
            }
            let sent_at = Instant::now();
            total.lock().begin(sent_at);
            let came = self.caller.post(body.bytes.clone()).await;
            let done_at = Instant::now();
            total.lock().end(done_at);
            // In an open loop the time a batch had to wait for a free caller counts.
            let from = pace.between.map_or(sent_at, |_| due);
            let took = done_at.saturating_duration_since(from).as_micros();
            let outcome = came
                .as_ref()
                .map_or(Outcome::Wrong, |came| came.check(&body));
            let is_broken = came.is_err();
            {
                let mut counts = total.lock();
                match outcome {
                    Outcome::Right => {
                        counts.right += 1;
                        counts.orders += body.orders() as u64;
                        times.saturating_record(u64::try_from(took).unwrap_or(u64::MAX));
                    }
                    Outcome::Busy => counts.busy += 1,
                    Outcome::Wrong => counts.wrong += 1,
                }
            }
            self.give_back(&plan, body);
            if is_broken {
                broken_in_a_row += 1;
                // Nobody there any more: there is no point in going on, nor in hammering.
                if broken_in_a_row > 10 {
                    pace.stopped.store(true, Ordering::Relaxed);
                    break;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
                if let Ok(caller) = Caller::connect(&target).await {
                    self.caller = caller;
                }
            } else {
                broken_in_a_row = 0;
            }
        }
        Ok((self, times))
    }
}
