//! The load tool: drives a running service with made-up orders, checks every answer, and says how long it took.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use serde::Serialize;
use serde_json::Value;
use tokio::time::sleep_until;

pub mod caller;
pub mod floor;
pub mod orders;

use self::{
    caller::{Caller, Outcome},
    orders::{Expected, Orders, body},
};
use crate::config::Secret;

/// Anything that keeps a run from its end.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// Whom to call.
#[derive(Debug, Clone)]
pub struct Target {
    /// Where it listens.
    pub address: SocketAddr,
    /// For the `Host` header.
    pub host: String,
    /// The orders' address.
    pub path: String,
    /// `Basic …`
    pub authorization: Option<Secret>,
}

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// New orders all the time.
    New,
    /// The same batches again, unchanged.
    Resend,
    /// The same batches again, each order with another total.
    ResendChanged,
}

/// How much, how, for how long.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Orders in a batch.
    pub batch: usize,
    /// Callers at once, each on a connection of its own.
    pub callers: usize,
    /// What is sent.
    pub kind: Kind,
    /// Stop after so many orders …
    pub orders: Option<u64>,
    /// … or after this time.
    pub duration: Duration,
    /// Batches a second of all callers together, whether they are answered or not: waiting counts then. `None`: each
    /// caller sends its next batch when the last is answered.
    pub rate: Option<f64>,
    /// Bad orders of a hundred.
    pub bad_percent: u32,
    /// Makes two runs alike.
    pub seed: u64,
}

/// What a run came to.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Orders in a batch.
    pub batch: usize,
    /// Callers at once.
    pub callers: usize,
    /// Batches answered as they should be.
    pub batches: u64,
    /// Orders in them.
    pub orders: u64,
    /// Batches answered 503.
    pub busy: u64,
    /// Batches answered otherwise than expected, and connections that broke. Not 0: the run is no result.
    pub wrong: u64,
    /// Seconds from the first request to the last answer.
    pub seconds: f64,
    /// Orders a second.
    pub orders_per_second: f64,
    /// A batch's time, milliseconds.
    pub latency_ms: Latency,
}

/// Times of batches, milliseconds.
#[derive(Debug, Clone, Serialize)]
pub struct Latency {
    /// Half were quicker.
    pub p50: f64,
    /// 90 %
    pub p90: f64,
    /// 99 %
    pub p99: f64,
    /// 99.9 %
    pub p999: f64,
    /// The slowest.
    pub max: f64,
}

impl Latency {
    /// Of a histogram of microseconds.
    #[must_use]
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
}

fn milliseconds(microseconds: u64) -> f64 {
    Duration::from_micros(microseconds).as_secs_f64() * 1000.0
}

/// So many in that time, a second.
#[expect(clippy::cast_precision_loss, reason = "nobody counts to 2^52 here")]
fn per_second(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}

/// A histogram of microseconds, up to ten minutes.
///
/// # Errors
/// Never with these bounds; the library cannot know.
pub fn histogram() -> Result<Histogram<u64>, Error> {
    Ok(Histogram::new_with_bounds(1, 600_000_000, 3)?)
}

/// What a re-send sends: each caller goes round its own batches.
const RESENT_BATCHES: usize = 16;

/// Runs a plan. `progress` is told how many orders are done.
///
/// # Errors
/// When the service cannot be reached, or refuses what a re-send needs to be there.
pub async fn run(
    target: &Target,
    plan: &Plan,
    progress: impl Fn(u64) + Send + Sync + 'static,
) -> Result<Report, Error> {
    let total = Arc::new(Total::default());
    // Ids of one run apart from another's.
    let run = format!("{:x}", uuid::Uuid::now_v7().as_u128() >> 48);
    let mut callers = Vec::with_capacity(plan.callers);
    for number in 0..plan.callers {
        let mut caller = Caller::connect(target).await?;
        let seed = plan
            .seed
            .wrapping_mul(1_000_003)
            .wrapping_add(number as u64);
        let mut orders = Orders::new(format!("{run}-{number}"), seed, plan.bad_percent);
        let mut stored = Vec::new();
        if plan.kind != Kind::New {
            for _ in 0..RESENT_BATCHES {
                let batch = orders.batch(plan.batch);
                let sent = body(&batch);
                let came = caller.post(sent.bytes).await?;
                if came.check(&sent.expected) != Outcome::Right {
                    return Err(format!("the first sending was answered {}", came.status).into());
                }
                stored.push(batch);
            }
        }
        callers.push(Work {
            caller,
            orders,
            stored,
            at: 0,
        });
    }

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
    let progress = Arc::new(progress);
    let mut tasks = tokio::task::JoinSet::new();
    for work in callers {
        let (plan, pace, total, progress) = (
            plan.clone(),
            Arc::clone(&pace),
            Arc::clone(&total),
            Arc::clone(&progress),
        );
        let target = target.clone();
        tasks.spawn(async move { work.go(&target, &plan, &pace, &total, &*progress).await });
    }
    let mut times = histogram()?;
    while let Some(done) = tasks.join_next().await {
        times.add(done??)?;
    }
    let elapsed = begun.elapsed();
    let counts = *total.counts.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(Report {
        batch: plan.batch,
        callers: plan.callers,
        batches: counts.right,
        orders: counts.orders,
        busy: counts.busy,
        wrong: counts.wrong,
        seconds: elapsed.as_secs_f64(),
        orders_per_second: per_second(counts.orders, elapsed),
        latency_ms: Latency::of(&times),
    })
}

#[derive(Debug, Default)]
struct Total {
    counts: Mutex<Counts>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    right: u64,
    orders: u64,
    busy: u64,
    wrong: u64,
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

struct Work {
    caller: Caller,
    orders: Orders,
    stored: Vec<Vec<(Value, Expected)>>,
    at: usize,
}

impl Work {
    /// The next body. Made before its time is taken: the sender's own work is not the service's.
    fn body(&mut self, plan: &Plan) -> orders::Body {
        match plan.kind {
            Kind::New => body(&self.orders.batch(plan.batch)),
            Kind::Resend | Kind::ResendChanged => {
                self.at += 1;
                let place = self.at % self.stored.len();
                let batch = &mut self.stored[place];
                if plan.kind == Kind::ResendChanged {
                    for (order, _) in &mut *batch {
                        order["total"] = (self.at % 100_000).into();
                    }
                }
                body(batch)
            }
        }
    }

    async fn go(
        mut self,
        target: &Target,
        plan: &Plan,
        pace: &Pace,
        total: &Total,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<Histogram<u64>, Error> {
        let mut times = histogram()?;
        let mut broken_in_a_row = 0;
        loop {
            let next = self.body(plan);
            let Some(due) = pace.next() else { break };
            sleep_until(due.into()).await;
            // In an open loop the time a batch had to wait for a free caller counts.
            let from = if pace.between.is_some() {
                due
            } else {
                Instant::now()
            };
            let came = self.caller.post(next.bytes).await;
            let took = u64::try_from(from.elapsed().as_micros()).unwrap_or(u64::MAX);
            let outcome = match &came {
                Ok(came) => came.check(&next.expected),
                Err(_) => Outcome::Wrong,
            };
            let done = {
                let mut counts = total.counts.lock().unwrap_or_else(PoisonError::into_inner);
                match outcome {
                    Outcome::Right => {
                        counts.right += 1;
                        counts.orders += next.expected.len() as u64;
                        times.saturating_record(took);
                    }
                    Outcome::Busy => counts.busy += 1,
                    Outcome::Wrong => counts.wrong += 1,
                }
                counts.orders
            };
            progress(done);
            if came.is_err() {
                broken_in_a_row += 1;
                // Nobody there any more: there is no point in going on, nor in hammering.
                if broken_in_a_row > 10 {
                    pace.stopped.store(true, Ordering::Relaxed);
                    break;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
                if let Ok(caller) = Caller::connect(target).await {
                    self.caller = caller;
                }
            } else {
                broken_in_a_row = 0;
            }
        }
        Ok(times)
    }
}
