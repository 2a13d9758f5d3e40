//! A dry run (`?dry_run=true`): the verdicts that a batch would get now. Nothing of it is stored but its line in the journal.
//! It waits for no other batch and keeps none waiting.

use std::{
    collections::HashSet,
    convert::Infallible,
    slice,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::Mutex;
use quick_cache::sync::Cache;
use uuid::Uuid;

use super::{Inner, Intake, RawBatch, Reply, Unavailable, job::Job, journal::Rows, size::Size};
use crate::{
    order::{
        decide::{self, Batch, FreeNumbers, Shortage, Undecided, Verdict},
        known::Keys,
        reply::Stored,
    },
    share::Share,
    store::{Error, Write},
    threads::block_if_many,
};

/// How many callers are remembered; those that were not heard of for longest are forgotten.
const CALLERS_REMEMBERED: usize = 10_000;
const MINUTE: Duration = Duration::from_mins(1);
/// How long the line in the journal may take, by the database's clock.
const LINE_WITHIN: TimeDelta = TimeDelta::seconds(10);

/// Limits the dry runs of each caller without a login: who guesses ids and phones must not guess fast.
#[derive(Debug)]
pub struct RateLimiter {
    /// Between two dry runs of a caller that has used up the minute's worth.
    every: Option<Duration>,
    /// When each caller's minute's worth will be used up.
    callers: Cache<u64, Arc<Mutex<Instant>>>,
}

impl RateLimiter {
    pub fn new(per_minute: u32) -> Self {
        Self {
            every: MINUTE.checked_div(per_minute),
            callers: Cache::new(CALLERS_REMEMBERED),
        }
    }

    fn allows(&self, share: &Share, now: Instant) -> bool {
        let Some(every) = self.every else {
            return false;
        };
        let caller = self.callers.get_or_insert_with(&share.network(), || {
            Ok::<_, Infallible>(Arc::new(Mutex::new(now)))
        });
        let used_up_at = match caller {
            Ok(used_up_at) => used_up_at,
            Err(never) => match never {},
        };
        let mut used_up_at = used_up_at.lock();
        let next = (*used_up_at).max(now) + every;
        let allowed = next <= now + MINUTE;
        if allowed {
            *used_up_at = next;
        }
        allowed
    }
}

/// Adds numbers that stand for those a real batch would be given. No record has them, and the response shows `null`.
fn add_placeholders(numbers: &mut FreeNumbers, missing: Shortage) {
    for (numbers, missing) in [
        (&mut numbers.order, missing.order),
        (&mut numbers.client, missing.client),
        (&mut numbers.address, missing.address),
    ] {
        let lowest = numbers.back().copied().unwrap_or(0);
        numbers.extend((i32::MIN..lowest).rev().take(missing));
    }
}

impl Intake {
    /// Says what would become of a batch now. Numbers of orders, clients and addresses that would be new are `null` in the
    /// response. It does not know what only the database could say: that it refuses an order, or that another sender is faster.
    pub async fn dry_run(&self, batch: RawBatch) -> Result<Reply, Unavailable> {
        let inner = &self.inner;
        let share = batch.memory.share();
        if batch.login.is_none() && !inner.dry_run_rate.allows(share, batch.complete_at) {
            return Err(Unavailable::Overloaded);
        }
        let size = Size::of(&batch.body);
        let _permit = inner.gates.dry_runs.acquire(share, 1).await?;
        let _of_its_size = inner.gates.pass(share, &batch.body).await?;
        let reader = Arc::clone(inner);
        let (job, _) = size.run(move || Job::read(batch, &reader)).await?;

        let mut keys = Keys::default();
        job.add_keys(&mut keys);
        let publication = &job.publication.name;
        let most_bytes = inner.answer_bytes;
        let read = async || {
            inner
                .store
                .read(publication, &keys, false, most_bytes)
                .await
        };
        // A connection that broke while nobody used it takes those of its age along: the next one is sound.
        let known = match read().await {
            Err(Error::Unsure(_)) => read().await,
            known => known,
        };
        let known = known.map_err(|error| match error {
            Error::TooMuch => Unavailable::AnswerTooLarge(most_bytes),
            error => {
                tracing::warn!(error = %error.in_full(), "reading failed");
                Unavailable::Storage
            }
        })?;
        let none = HashSet::new();
        let batch = Batch {
            elements: &job.elements,
            received_at: job.received_at,
            refused: &none,
            skipped: &none,
        };
        let most_addresses = job.publication.rules.max_client_addresses;
        let go_on = || inner.may_go_on(job.store_until);
        let mut placeholders = FreeNumbers::default();
        let mut decision = loop {
            let mut numbers = placeholders.clone();
            let decided = block_if_many(job.elements.len(), || {
                let batches = slice::from_ref(&batch);
                decide::decide(
                    &known,
                    batches,
                    &mut numbers,
                    most_addresses,
                    Uuid::now_v7,
                    &go_on,
                )
            });
            match decided {
                Ok(decision) => break decision,
                Err(Undecided::Short(missing)) => add_placeholders(&mut placeholders, missing),
                Err(Undecided::Stopped) => return Err(Unavailable::Storage),
            }
        };
        let verdicts = decision.verdicts.pop().unwrap_or_default();
        let stored = Stored::of(&decision);
        block_if_many(job.elements.len(), || {
            job.reserve_response(&verdicts, &stored, most_bytes)
        })?;
        inner.note(&job, &verdicts, known.now).await;
        let body = job.write_response(&verdicts, &stored)?;
        job.reply(body, &verdicts, Vec::new())
    }
}

impl Inner {
    /// Leaves a line in the journal. A database that takes no writes, as a standby, is no reason not to answer.
    async fn note(&self, job: &Job, verdicts: &[Verdict], now: DateTime<Utc>) {
        let publication = &job.publication.name;
        let mut rows = Rows::within(self.journal_room(publication).await);
        rows.add(Uuid::now_v7(), job, verdicts, None);
        if rows.batches.is_empty() {
            return;
        }
        let written = async {
            let history = self.store.history(publication).await?;
            let write = Write::journal(rows.batches, now + LINE_WITHIN, history);
            self.store.write(publication, &write).await.map(|()| write)
        };
        match written.await {
            Ok(write) => self.journaled(publication, &write, 0),
            Err(error) => {
                tracing::warn!(error = %error.in_full(), "a dry run is not in the journal");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    #[test]
    fn a_caller_may_try_out_so_many_in_a_minute_and_others_are_not_concerned() {
        let rate = RateLimiter::new(3);
        let share = |last| Share::new("shop", IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)));
        let now = Instant::now();
        let allowed = |last, seconds| rate.allows(&share(last), now + Duration::from_secs(seconds));
        assert_eq!(
            [0; 5].map(|at| allowed(1, at)),
            [true, true, true, false, false]
        );
        assert!(allowed(2, 0));
        assert!(!allowed(1, 19));
        assert!(allowed(1, 20));
        assert!(!allowed(1, 21));
        assert_eq!([200; 4].map(|at| allowed(1, at)), [true, true, true, false]);
        assert!(!RateLimiter::new(0).allows(&share(1), now));
    }
}
