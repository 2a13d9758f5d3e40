//! One sending: what is due is read, posted, and what became of it is written down, all under the target's lease.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::StatusCode;
use parking_lot::Mutex;
use tokio::sync::{Semaphore, SemaphorePermit};
use uuid::Uuid;

use super::{
    answer::{self, Answer, Sent, Verdict},
    call::{CallError, Caller, Response, SetupError, in_full},
    pause,
    take_over::{Told, take_over},
};
use crate::{
    config::{Protocol, Target},
    order::{
        known::Keys,
        request::{Ids, Request},
    },
    store::{
        self, Store,
        targets::{self, Attempt, Claim, Finish, Look, Progress, Refused, Takes},
    },
    telemetry::targets::{Standing, TargetMetrics},
};

/// The most orders in a request.
const MOST_ORDERS: usize = 50;
/// A request ends behind the order with which it gets so long.
const LONG_BODY: usize = 4 * 1024 * 1024;
/// The most that is read of the database for a request, roughly; of a single order whatever it is.
const MOST_READ: usize = 32 * 1024 * 1024;
/// A lease is so much longer than the request may take: for the database before and after it.
const LEASE_MARGIN: Duration = Duration::from_secs(30);
/// Of that so much must be left when the request begins.
const LEASE_LEFT: Duration = Duration::from_secs(10);
/// When to look again where another instance sends.
const LEASED_ELSEWHERE: Duration = Duration::from_secs(1);
/// From so many failures on a single order with which the target fails is set aside: it may be this order that it fails with.
const SET_ASIDE_AFTER: i32 = 5;
/// Placements before a sending: each has a thousand orders at most, and the rest can wait for the next sending.
const PLACEMENTS: usize = 3;

/// Sends to one target.
pub(super) struct Sender {
    publication: String,
    target: Target,
    takes: Takes,
    caller: Caller,
    store: Store,
    metrics: TargetMetrics,
    /// Turns at the database, for all targets together.
    turns: Arc<Semaphore>,
    memory: Mutex<Memory>,
}

/// What is remembered from one sending to the next. It may be lost.
struct Memory {
    /// How many orders a request may have.
    limit: usize,
    /// Whether the last request was of a parked order.
    was_parked: bool,
}

/// When to go on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Now,
    /// When something is stored, or after that time.
    Later(Option<Duration>),
    /// After that time, whatever is stored.
    Pause(Duration),
}

/// A request, and what it is about.
struct Batch {
    orders: Vec<Outgoing>,
    body: Bytes,
    /// The position in the feed once these are sent; `None`: they were parked.
    position: Option<i64>,
}

struct Outgoing {
    number: i32,
    version: i32,
    sent: Sent,
}

/// What a request came to.
enum Outcome {
    Answered(Answer),
    /// The batch is at fault.
    Refused(String),
    /// Our credentials or the address are at fault.
    RefusesUs(String),
    Fails {
        error: String,
        retry_after: Option<Duration>,
        /// Whether it may be the order that the target fails with.
        may_be_the_order: bool,
    },
}

impl Sender {
    pub fn new(
        publication: &str,
        target: &Target,
        store: &Store,
        metrics: TargetMetrics,
        turns: &Arc<Semaphore>,
    ) -> Result<Self, SetupError> {
        Ok(Self {
            publication: publication.to_owned(),
            takes: target.takes.as_slice().into(),
            caller: Caller::new(target)?,
            target: target.clone(),
            store: store.clone(),
            metrics,
            turns: Arc::clone(turns),
            memory: Mutex::new(Memory {
                limit: MOST_ORDERS,
                was_parked: false,
            }),
        })
    }

    pub fn publication(&self) -> &str {
        &self.publication
    }

    pub fn name(&self) -> &str {
        &self.target.name
    }

    fn key(&self) -> targets::Target<'_> {
        targets::Target {
            publication: &self.publication,
            name: &self.target.name,
            since: self.target.since,
        }
    }

    async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        // Nobody closes it.
        self.turns.acquire().await.ok()
    }

    /// Sends once, if there is something to send.
    pub async fn send_once(&self) -> Result<Next, store::Error> {
        let turn = self.turn().await;
        for _ in 0..PLACEMENTS {
            if self.store.place(&self.publication).await? == 0 {
                break;
            }
        }
        let look = self.store.look_at_target(self.key(), self.takes).await?;
        self.report(&look);
        let parked_is_due = look.next_parked.is_some_and(|wait| wait.is_zero());
        if look.paused {
            // Whatever is due waits: looking again at once would find the same.
            return Ok(Next::Later(None));
        }
        if !(look.feed_goes_on || parked_is_due) {
            return Ok(Next::Later(look.next_parked));
        }
        if !look.wait.is_zero() {
            return Ok(Next::Pause(look.wait));
        }
        let (token, begun) = (Uuid::new_v4(), Instant::now());
        let lease = self.target.timeout + LEASE_MARGIN;
        let claim = self.store.claim_target(self.key(), token, lease).await?;
        let Some(claim) = claim else {
            return Ok(Next::Pause(LEASED_ELSEWHERE));
        };
        let parked_turn = parked_is_due && !(look.feed_goes_on && self.memory.lock().was_parked);
        self.memory.lock().was_parked = parked_turn;
        let batch = if parked_turn {
            self.parked_batch().await
        } else {
            self.feed_batch(claim).await
        };
        let sent = match batch {
            Ok(batch) => self.post(claim, token, begun + lease, batch, turn).await,
            Err(error) => Err(error),
        };
        if sent.is_err() {
            // Where that fails, too, the lease ends by itself.
            let _ = self.store.release_target(self.key(), token).await;
        }
        sent
    }

    fn report(&self, look: &Look) {
        self.metrics.stands(Standing {
            lag_orders: look.lag_orders,
            lag: look.lag,
            parked: look.parked,
            dead: look.dead,
            failures: look.failures,
            refuses_us: look.refuses_us,
            paused: look.paused,
        });
    }

    /// The parked order that is due first, by itself: what it does to the target it does to no other order.
    async fn parked_batch(&self) -> Result<Batch, store::Error> {
        let due = self.store.due_delivery(self.key()).await?;
        let (orders, body) = self.write(due.as_slice()).await?;
        Ok(Batch {
            orders,
            body,
            position: None,
        })
    }

    /// What the feed has next.
    async fn feed_batch(&self, claim: Claim) -> Result<Batch, store::Error> {
        // The first try after a pause is one order.
        let limit = match claim.failures {
            0 => self.memory.lock().limit,
            _ => 1,
        };
        let rows = self
            .store
            .target_rows(&self.publication, claim.position, self.takes)
            .await?;
        let wanted: Vec<_> = rows
            .iter()
            .filter(|row| row.is_wanted)
            .take(limit)
            .collect();
        let numbers: Vec<i32> = wanted.iter().map(|row| row.order_number).collect();
        let (orders, body) = self.write(&numbers).await?;
        // Up to the first that did not find room, or else to the last that was looked at.
        let cut = wanted.get(orders.len()).map(|row| row.position - 1);
        let position = match wanted.last() {
            Some(_) if cut.is_some() => cut,
            Some(last) if wanted.len() == limit => Some(last.position),
            _ => rows.last().map(|row| row.position),
        };
        Ok(Batch {
            orders,
            body,
            position: position.or(Some(claim.position)),
        })
    }

    /// Writes the first of these orders, as many as find room.
    async fn write(&self, mut numbers: &[i32]) -> Result<(Vec<Outgoing>, Bytes), store::Error> {
        let named = (self.store.orders_to_send(&self.publication, numbers)).await?;
        let named: HashMap<i32, _> = named.iter().map(|order| (order.number, order)).collect();
        let known = loop {
            let mut keys = Keys::default();
            let these = numbers.iter().filter_map(|number| named.get(number));
            for order in these {
                keys.order_ids.insert(&order.sender_id);
                keys.client_numbers.insert(order.client_number);
            }
            keys.orders_clients = true;
            let most = if numbers.len() > 1 {
                MOST_READ
            } else {
                usize::MAX
            };
            match self.store.read(&self.publication, &keys, false, most).await {
                Err(store::Error::TooMuch) => numbers = &numbers[..numbers.len() / 2],
                read => break read?,
            }
        };
        let orders: HashMap<i32, _> = known.orders.iter().map(|o| (o.number, o)).collect();
        let clients: HashMap<i32, _> = known.clients.iter().map(|c| (c.number, c)).collect();
        let mut body = vec![b'['];
        let mut outgoing = Vec::new();
        for number in numbers {
            let order = orders.get(number);
            let found = order.and_then(|order| Some((order, clients.get(&order.client_number)?)));
            let (order, client) =
                found.ok_or_else(|| store::Error::corrupt("an order of the feed"))?;
            let named = named.get(number);
            let there = named.and_then(|named| named.receiver_number.as_ref());
            let ids = match self.target.protocol {
                Protocol::OneC => Ids::Senders {
                    number_there: there
                        .and_then(|number| number.parse().ok())
                        .filter(|n| *n > 0),
                    // Its client may be another one since.
                    client_is_numbered_there: named.is_some_and(|named| {
                        named.client_is_numbered_there && named.client_number == client.number
                    }),
                },
                Protocol::Aqua => Ids::Ours,
            };
            let request = Request { order, client, ids };
            if body.len() > 1 {
                body.push(b',');
            }
            // Nothing of a record can make this fail; the library cannot know.
            serde_json::to_writer(&mut body, &request)
                .map_err(|_never| store::Error::corrupt("an order of the feed"))?;
            outgoing.push(Outgoing {
                number: *number,
                version: order.version,
                sent: Sent {
                    id: request.id(),
                    external_id: order.sender_id.clone(),
                },
            });
            if body.len() >= LONG_BODY {
                break;
            }
        }
        body.push(b']');
        Ok((outgoing, body.into()))
    }

    async fn post(
        &self,
        claim: Claim,
        token: Uuid,
        leased_until: Instant,
        batch: Batch,
        turn: Option<SemaphorePermit<'_>>,
    ) -> Result<Next, store::Error> {
        if batch.orders.is_empty() {
            let finish = Finish {
                position: batch.position,
                ..Finish::default()
            };
            self.store
                .finish_sending(self.key(), token, &finish)
                .await?;
            return Ok(Next::Now);
        }
        // A process that was stopped and goes on must not send under a lease that another may have by now.
        if Instant::now() + self.target.timeout + LEASE_LEFT > leased_until {
            self.store.release_target(self.key(), token).await?;
            return Ok(Next::Now);
        }
        drop(turn);
        let (id, begun) = (Uuid::now_v7(), Instant::now());
        let response = self.caller.post(batch.body.clone(), &id.to_string()).await;
        let mut attempt = Attempt {
            id,
            took: begun.elapsed(),
            status: response
                .as_ref()
                .ok()
                .map(|response| response.status.as_u16()),
            orders: batch.orders.len(),
            taken: 0,
            refused: 0,
            error: None,
        };
        let outcome = self.outcome(response, &batch);
        let _turn = self.turn().await;
        let (mut finish, next) = match outcome {
            Outcome::Answered(answer) => (self.answered(answer, &batch, id).await?, Next::Now),
            Outcome::Refused(reason) => (self.halved(reason, &batch, &mut attempt), Next::Now),
            Outcome::RefusesUs(error) => {
                let pause = pause::jittered(pause::LONGEST, fastrand::f64());
                (fails(error, pause, true), Next::Pause(pause))
            }
            Outcome::Fails {
                error,
                retry_after,
                may_be_the_order,
            } => {
                let failures = claim.failures.saturating_add(1);
                let pause = pause::after(failures, retry_after, fastrand::f64());
                let mut finish = fails(error, pause, false);
                set_aside(&mut finish, claim, &batch, may_be_the_order);
                (finish, Next::Pause(pause))
            }
        };
        attempt.taken = finish.taken.len();
        attempt.refused = finish.refused.len();
        if let Progress::Fails { error, .. } = &finish.progress {
            attempt.error = Some(error.clone());
        }
        self.tell(&finish, &attempt);
        finish.attempt = Some(attempt);
        if self
            .store
            .finish_sending(self.key(), token, &finish)
            .await?
        {
            return Ok(next);
        }
        tracing::warn!(
            publication = self.publication,
            target = self.target.name,
            "the lease was lost while the target answered: the orders are sent again"
        );
        Ok(Next::Pause(LEASED_ELSEWHERE))
    }

    fn outcome(&self, response: Result<Response, CallError>, batch: &Batch) -> Outcome {
        let fails = |error: String, retry_after, may_be_the_order| Outcome::Fails {
            error,
            retry_after,
            may_be_the_order,
        };
        let response = match response {
            Ok(response) => response,
            Err(error @ CallError::TooLarge) => return Outcome::Refused(error.to_string()),
            Err(error) => {
                let was_reached = matches!(
                    error,
                    CallError::Broken(_) | CallError::TimedOut | CallError::Unreadable(_)
                );
                return fails(in_full(&error), None, was_reached);
            }
        };
        let Response {
            status,
            retry_after,
            body,
            stale_secret,
        } = response;
        if status.is_success() {
            let sent: Vec<Sent> = batch
                .orders
                .iter()
                .map(|order| order.sent.clone())
                .collect();
            return match answer::read(self.target.protocol, &body, &sent) {
                Ok(answer) => Outcome::Answered(answer),
                Err(unreadable) => fails(unreadable.to_string(), retry_after, true),
            };
        }
        let said = format!("it answered {status}");
        match status {
            StatusCode::BAD_REQUEST
            | StatusCode::PAYLOAD_TOO_LARGE
            | StatusCode::UNPROCESSABLE_ENTITY => Outcome::Refused(match answer::reason(&body) {
                Some(reason) => format!("{said}: {reason}"),
                None => said,
            }),
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
                fails(said, retry_after, false)
            }
            status if status.is_client_error() => Outcome::RefusesUs(match stale_secret {
                Some(why) => format!(
                    "{said}, and `secret_file` cannot be read any more (give it to the service's user): {why}"
                ),
                None => said,
            }),
            // A proxy's word for a target that is away is nothing that an order could do.
            StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => fails(said, retry_after, false),
            status => fails(said, retry_after, status.is_server_error()),
        }
    }

    /// The target has looked at each order.
    async fn answered(
        &self,
        answer: Answer,
        batch: &Batch,
        attempt: Uuid,
    ) -> Result<Finish, store::Error> {
        let mut finish = Finish {
            position: batch.position,
            progress: Progress::Works,
            ..Finish::default()
        };
        let mut told = Vec::new();
        for (order, verdict) in batch.orders.iter().zip(answer.verdicts) {
            match verdict {
                Verdict::Taken(taken) => {
                    finish.taken.push(order.number);
                    told.push(Told {
                        number: order.number,
                        version: order.version,
                        taken,
                    });
                }
                Verdict::Refused(error) => finish.refused.push(refused(order, error, true)),
            }
        }
        let mut notes = answer.notes;
        if self.target.protocol == Protocol::OneC {
            notes.extend(take_over(&self.store, self.key(), attempt, told).await?);
        }
        if !notes.is_empty() {
            tracing::warn!(
                publication = self.publication,
                target = self.target.name,
                ignored = notes.join("; "),
                "the target answered what cannot be"
            );
        }
        let mut memory = self.memory.lock();
        memory.limit = (memory.limit * 2).min(MOST_ORDERS);
        Ok(finish)
    }

    /// The target takes none of the batch: half of it is tried, down to the order at fault.
    fn halved(&self, reason: String, batch: &Batch, attempt: &mut Attempt) -> Finish {
        attempt.error = Some(reason.clone());
        let [order] = &batch.orders[..] else {
            self.memory.lock().limit = batch.orders.len() / 2;
            return Finish::default();
        };
        Finish {
            position: batch.position,
            progress: Progress::Works,
            refused: vec![refused(order, reason, true)],
            ..Finish::default()
        }
    }

    fn tell(&self, finish: &Finish, attempt: &Attempt) {
        let failed = attempt.orders - attempt.taken.min(attempt.orders);
        let (publication, target) = (&self.publication, &self.target.name);
        let milliseconds = u64::try_from(attempt.took.as_millis()).unwrap_or(u64::MAX);
        let (status, orders) = (attempt.status, attempt.orders);
        if let Progress::Fails { error, pause, .. } = &finish.progress {
            self.metrics.sent(0, 0, failed);
            tracing::warn!(
                publication, target, attempt = %attempt.id, status, orders, milliseconds, error,
                again_in = pause.as_secs_f64(), "the target fails"
            );
        } else {
            let (taken, refused) = (attempt.taken, attempt.refused);
            self.metrics
                .sent(taken, refused, failed.saturating_sub(refused));
            tracing::info!(
                publication, target, attempt = %attempt.id, status, orders, taken, refused, milliseconds, "sent"
            );
        }
    }
}

fn refused(order: &Outgoing, error: String, counts: bool) -> Refused {
    Refused {
        order_number: order.number,
        version: order.version,
        error,
        counts,
    }
}

fn fails(error: String, pause: Duration, refuses_us: bool) -> Finish {
    Finish {
        progress: Progress::Fails {
            error,
            pause,
            refuses_us,
        },
        ..Finish::default()
    }
}

/// Lets others by an order with which the target fails, though nothing may be wrong with it. It counts against the order only where
/// the target worked a moment before, and the order had failed by itself already.
fn set_aside(finish: &mut Finish, claim: Claim, batch: &Batch, may_be_the_order: bool) {
    let ([order], Progress::Fails { error, .. }) = (&batch.orders[..], &finish.progress) else {
        return;
    };
    let was_parked = batch.position.is_none();
    let works_otherwise = claim.failures == 0;
    if was_parked || (may_be_the_order && claim.failures >= SET_ASIDE_AFTER) {
        let counts = was_parked && may_be_the_order && works_otherwise;
        finish.refused = vec![refused(order, error.clone(), counts)];
        finish.position = batch.position;
    }
}
