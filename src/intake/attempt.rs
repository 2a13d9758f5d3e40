//! One attempt to store some batches in one transaction: read what is known, decide, write once.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::TimeDelta;
use prometheus_client::metrics::histogram::Histogram;
use uuid::Uuid;

use super::{
    Inner, Unavailable,
    job::{Answer, Job},
    settle::Open,
    write::{may_need_journal, to_write},
};
use crate::{
    order::{
        decide::{self, Batch, Decision, FreeNumbers, Shortage, Undecided},
        known::{Keys, Known},
        reply::Stored,
    },
    store::{Error, Write, numbers::Lease},
    telemetry::{metrics::Retry, traces::Stage},
    threads::block_if_many,
};

#[derive(Default)]
pub struct Options<'a> {
    /// Entries that the database refuses, in a transaction of one batch.
    pub refused: Option<&'a HashSet<usize>>,
    /// Entries to leave out, likewise.
    pub skipped: Option<&'a HashSet<usize>>,
    /// Only find out whether the database would take it.
    pub probe: bool,
    /// How long to wait for somebody's lock; `None`: as long as `lock_timeout` says.
    pub lock_patience: Option<Duration>,
    /// Keep no orders in the journal, for the database does not take them.
    pub without_kept: bool,
    pub on_progress: Option<&'a (dyn Fn(Progress<'_>) + Sync)>,
}

/// A response's body, in pieces.
type Response = Result<Vec<Vec<u8>>, Unavailable>;

/// How far a transaction is.
pub enum Progress<'a> {
    /// It has decided for the first time.
    Decided(&'a Decision<'a>),
    /// It begins again, with the number of attempts that failed.
    Again(u32),
}

/// What set an attempt back. Nothing of it is stored, unless its outcome is open.
pub enum Setback {
    /// Another attempt may do better.
    Again(Retry),
    /// The connection broke before anything was written. It may have been an old one that the server has closed meanwhile.
    Broken,
    /// Another attempt would do no better.
    Failed(Failure),
}

pub enum Failure {
    Refused,
    Locked,
    /// The time of the batch that has waited longest is up.
    Late,
    /// The connection broke, and it may yet be stored.
    Open(Open),
    Unavailable,
    /// This one of its batches cannot get its response.
    NoResponse(usize, Unavailable),
    /// More is stored under its keys than may be read at a time.
    TooMuch,
}

impl From<Failure> for Setback {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// What stays the same from one attempt to the next.
pub struct Transaction<'a> {
    inner: &'a Inner,
    jobs: &'a [Arc<Job>],
    options: &'a Options<'a>,
    batches: Vec<Batch<'a>>,
    keys: Keys<'a>,
    orders: usize,
    /// The batch that has waited longest must not be stored after its answer.
    pub store_until: Instant,
    settle_until: Instant,
    /// What was waited for, in all attempts.
    stages: Vec<Stage>,
}

impl<'a> Transaction<'a> {
    /// `jobs` are one or more of the same publication. `none` is empty.
    pub fn new(
        inner: &'a Inner,
        jobs: &'a [Arc<Job>],
        options: &'a Options<'a>,
        none: &'a HashSet<usize>,
    ) -> Self {
        let mut keys = Keys::default();
        for job in jobs {
            job.add_keys(&mut keys);
        }
        let batch = |job: &'a Arc<Job>| Batch {
            elements: &job.elements,
            received_at: job.received_at,
            refused: options.refused.unwrap_or(none),
            skipped: options.skipped.unwrap_or(none),
        };
        let earliest = |until: fn(&Job) -> Instant| {
            let moments = jobs.iter().map(|job| until(job));
            moments.min().unwrap_or_else(Instant::now)
        };
        Self {
            inner,
            jobs,
            options,
            batches: jobs.iter().map(batch).collect(),
            keys,
            orders: jobs.iter().map(|job| job.elements.len()).sum(),
            store_until: earliest(|job| job.store_until),
            settle_until: earliest(|job| job.settle_until),
            stages: Vec::with_capacity(3),
        }
    }

    /// Reads, decides and writes. `number` counts the attempts, from 0.
    pub async fn attempt(&mut self, number: u32) -> Result<Vec<Answer>, Setback> {
        let (inner, options) = (self.inner, self.options);
        let (store, metrics) = (&inner.store, &*inner.metrics);
        let publication = &*self.jobs[0].publication.name;
        let history = store.history(publication).await;
        let read_in =
            history.map_err(|error| not_begun(&error, "nobody says where it is stored"))?;
        metrics.transactions.inc();

        let begun_at = Instant::now();
        // If we were overtaken, it may have been by somebody's own hand, of which the cache does not know.
        let past_cache = number > 0;
        // Most of what is read is answered, so the limit is the same.
        let read = store.read(publication, &self.keys, past_cache, inner.answer_bytes);
        let known = read.await.map_err(|error| match error {
            Error::TooMuch => Failure::TooMuch.into(),
            error => not_begun(&error, "reading failed"),
        })?;
        let read_at = self.stage("read", begun_at, &metrics.read);

        if let Some(imports) = known.imports
            && inner.numbers.is_new(publication, imports)
        {
            // Numbers that were imported since are given to no other order.
            let discarded = store.discard_taken(&inner.numbers, publication).await;
            discarded.map_err(|error| not_begun(&error, "imported numbers are not known"))?;
        }
        let (decision, lease) = self.decide(&known).await?;
        if let Some(on_progress) = options.on_progress
            && number == 0
        {
            on_progress(Progress::Decided(&decision));
        }
        let stored = Stored::of(&decision);
        block_if_many(self.orders, || self.reserve_responses(&decision, &stored))?;
        let time_left = self.store_until.saturating_duration_since(read_at);
        let deadline = known.now + TimeDelta::from_std(time_left).unwrap_or(TimeDelta::zero());
        let (write, not_kept) = self.to_write(&decision).await;
        let write = Write {
            deadline,
            read_in,
            ..write
        };
        let decided_at = self.stage("decide", read_at, &metrics.decide);

        let written = async {
            match write.batches.as_slice() {
                // Nothing was accepted, and the journal has no room left to say so.
                [] => Ok(()),
                _ => store.write(publication, &write).await,
            }
        };
        // The database takes longer than that. Where it does not take the orders, nobody sees these responses.
        let responses = async { self.write_responses(&decision, &stored) };
        let (written, responses) = tokio::join!(biased; written, responses);
        self.stage("write", decided_at, &metrics.write);
        let outcome = match written {
            Ok(()) => Ok(()),
            Err(error) => self.settle(error, &write, number, lease.is_used()).await,
        };
        match outcome {
            Ok(()) if options.probe => {}
            Ok(()) => {
                inner.journaled(publication, &write, not_kept);
                lease.keep_used();
                let brought = brought_along(&decision, &self.keys);
                inner.numbers.discard(publication, brought);
            }
            Err(setback) => {
                if let Setback::Failed(Failure::Open(_)) = setback {
                    // Records may bear them yet.
                    lease.keep_used();
                }
                return Err(setback);
            }
        }
        Ok(self.answers(&decision, responses))
    }

    /// Ends a stage, now.
    fn stage(&mut self, name: &'static str, begin: Instant, histogram: &Histogram) -> Instant {
        let end = Instant::now();
        histogram.observe((end - begin).as_secs_f64());
        self.stages.push(Stage { name, begin, end });
        end
    }

    /// Decides, with as many new numbers as that takes.
    async fn decide<'k>(&self, known: &'k Known) -> Result<(Decision<'k>, Lease<'a>), Setback> {
        let inner = self.inner;
        let publication = &*self.jobs[0].publication;
        let most_addresses = publication.rules.max_client_addresses;
        let go_on = || inner.may_go_on(self.store_until);
        let not_reserved = |error| not_begun(&error, "numbers could not be reserved");
        let wanted = self.guess_numbers(known);
        let lease = inner.store.lease(&inner.numbers, publication, wanted);
        let mut lease = lease.await.map_err(not_reserved)?;
        loop {
            let numbers = lease.offer();
            let decided = block_if_many(self.orders, || {
                decide::decide(
                    known,
                    &self.batches,
                    numbers,
                    most_addresses,
                    Uuid::now_v7,
                    &go_on,
                )
            });
            match decided {
                Ok(decision) => return Ok((decision, lease)),
                Err(Undecided::Short(more)) => {
                    let extended = inner.store.extend_lease(&mut lease, more).await;
                    extended.map_err(not_reserved)?;
                }
                Err(Undecided::Stopped) if Instant::now() >= self.store_until => {
                    return Err(Failure::Late.into());
                }
                Err(Undecided::Stopped) => return Err(Failure::Unavailable.into()),
            }
        }
    }

    /// How many numbers the batches will likely need, so that they are rarely decided twice. What is too much returns.
    fn guess_numbers(&self, known: &Known) -> Shortage {
        let elements = self.jobs.iter().flat_map(|job| &job.elements);
        let good = elements.filter(|element| element.order.is_some()).count();
        let new = |named: usize, known: usize| named.saturating_sub(known).min(good);
        let clients = self.keys.client_ids.len() + self.keys.guest_phones.len();
        let clients = new(clients, known.clients.len());
        Shortage {
            order: new(self.keys.order_ids.len(), known.orders.len()),
            client: clients,
            address: clients,
        }
    }

    fn reserve_responses(&self, decision: &Decision<'_>, stored: &Stored) -> Result<(), Failure> {
        let most_bytes = self.inner.answer_bytes;
        let mut batches = self.jobs.iter().zip(&decision.verdicts).enumerate();
        batches.try_for_each(|(at, (job, verdicts))| {
            let reserved = job.reserve_response(verdicts, stored, most_bytes);
            reserved.map_err(|why| Failure::NoResponse(at, why))
        })
    }

    /// What to write, and how many orders that should be kept are not.
    async fn to_write<'d>(&self, decision: &'d Decision<'d>) -> (Write<'d>, usize)
    where
        'a: 'd,
    {
        let (inner, options) = (self.inner, self.options);
        let mut budget = 0;
        if may_need_journal(decision) {
            budget = inner.journal_room(&self.jobs[0].publication.name).await;
        }
        let keeps_orders = !options.probe && !options.without_kept;
        let (write, not_kept) = block_if_many(self.orders, || {
            to_write(self.jobs, decision, &inner.kept_today, budget, keeps_orders)
        });
        let write = Write {
            probe: options.probe,
            lock_patience: options.lock_patience,
            ..write
        };
        (write, not_kept)
    }

    /// Finds out what a failed writing means. `Ok`: the transaction is stored all the same.
    async fn settle(
        &self,
        error: Error,
        write: &Write<'_>,
        attempt: u32,
        used: bool,
    ) -> Result<(), Setback> {
        Err(match error {
            Error::Overtaken(error) => {
                tracing::debug!(%error, attempt, "overtaken, reading again");
                Setback::Again(Retry::Overtaken)
            }
            Error::NumberTaken(error) => {
                tracing::debug!(%error, attempt, "a number is taken, taking others");
                Setback::Again(Retry::NumberTaken)
            }
            Error::HistoryChanged => {
                tracing::warn!(
                    "another server, or another life of it, takes the writes: reading again"
                );
                Setback::Again(Retry::Connection)
            }
            Error::Unsure(_) => {
                tracing::warn!(error = %error.in_full(), "the connection broke while writing");
                if self.options.probe {
                    return Err(Failure::Unavailable.into());
                }
                let row = &write.batches[0];
                let publication = &self.jobs[0].publication.name;
                let open = Open::new(publication, row.batch, row.received_at);
                match open
                    .settle_until(&self.inner.store, self.settle_until)
                    .await
                {
                    Ok(true) => return Ok(()),
                    Ok(false) => Setback::Again(Retry::Connection),
                    Err(open) => Failure::Open(open).into(),
                }
            }
            Error::Refused(error) => {
                tracing::warn!(%error, orders = write.changes.orders.len(), "refused by the database");
                Failure::Refused.into()
            }
            Error::Locked(error) => {
                tracing::debug!(%error, "somebody's lock stands in the way");
                Failure::Locked.into()
            }
            Error::Late(error) => {
                tracing::warn!(%error, "too late to be stored");
                Failure::Late.into()
            }
            error => {
                tracing::warn!(error = %error.in_full(), used, "writing failed");
                Failure::Unavailable.into()
            }
        })
    }

    fn write_responses(&self, decision: &Decision<'_>, stored: &Stored) -> Vec<Response> {
        if self.options.probe {
            return Vec::new();
        }
        let batches = self.jobs.iter().zip(&decision.verdicts);
        let written = batches.map(|(job, verdicts)| job.write_response(verdicts, stored));
        written.collect()
    }

    fn answers(&self, decision: &Decision<'_>, responses: Vec<Response>) -> Vec<Answer> {
        let begun_at = self
            .stages
            .first()
            .map_or_else(Instant::now, |first| first.begin);
        let batches = self.jobs.iter().zip(&decision.verdicts);
        let answered = batches.zip(responses).map(|((job, verdicts), response)| {
            let queue = Stage {
                name: "queue",
                begin: job.queued_at,
                end: begun_at,
            };
            let stages = [&[queue], &*self.stages].concat();
            job.reply(response?, verdicts, stages)
        });
        answered.collect()
    }
}

/// An error before anything was written.
fn not_begun(error: &Error, what: &str) -> Setback {
    tracing::warn!(error = %error.in_full(), "{what}");
    match error {
        Error::Unsure(_) => Setback::Broken,
        _ => Failure::Unavailable.into(),
    }
}

/// The numbers that records brought along: the reserve must not give them to others. Known ones among them do no harm, for the
/// reserve does not have them.
fn brought_along(decision: &Decision<'_>, keys: &Keys<'_>) -> FreeNumbers {
    let orders = decision.orders.iter().map(|order| order.after.number);
    let clients = decision.clients.iter().map(|client| &client.after);
    let addresses = clients.clone().flat_map(|client| &client.addresses);
    let addresses = addresses.map(|address| address.number);
    let clients = clients.map(|client| client.number);
    FreeNumbers {
        order: orders.filter(|n| keys.order_numbers.contains(n)).collect(),
        client: clients
            .filter(|n| keys.client_numbers.contains(n))
            .collect(),
        address: addresses
            .filter(|n| keys.address_numbers.contains(n))
            .collect(),
    }
}
