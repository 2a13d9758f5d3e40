//! A batch tried out (`?dry_run=true`): the verdicts it would have now. Nothing is stored but its line in the journal. It
//! waits for nobody and keeps nobody waiting.

use std::{
    collections::HashSet,
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use quick_cache::sync::Cache;
use uuid::Uuid;

use super::{
    Done, Inner, Intake, Job, RawBatch, Reply, Unavailable, journal::Entries, large_body,
    off_thread,
};
use crate::{
    order::{
        decide::{self, FreeNumbers, Shortage, Undecided, Verdict},
        known::Keys,
        reply::Stored,
    },
    share::Share,
    store::{Error, Write},
    threads::block_if_many,
};

/// So many are tried out at the same time; others wait, for those that are to be stored come first.
pub(super) const AT_ONCE: usize = 2;

/// How many callers are remembered; those that were not heard of for longest make way.
const REMEMBERED: usize = 10_000;
const MINUTE: Duration = Duration::from_mins(1);
/// How long the line in the journal may take: a span added to the database's clock.
const LINE_WITHIN: TimeDelta = TimeDelta::seconds(10);

/// How often callers without a login may try something out: whoever guesses ids and phones must not guess fast.
#[derive(Debug)]
pub(super) struct Rate {
    /// Between two, when the minute's worth is used up.
    every: Option<Duration>,
    callers: Cache<u64, Arc<Mutex<Instant>>>,
}

impl Rate {
    pub(super) fn new(per_minute: u32) -> Self {
        Self {
            every: MINUTE.checked_div(per_minute),
            callers: Cache::new(REMEMBERED),
        }
    }

    /// Whether a caller may try one more batch out.
    fn allows(&self, share: &Share, now: Instant) -> bool {
        let Some(every) = self.every else {
            return false;
        };
        let made = self.callers.get_or_insert_with(&share.network(), || {
            Ok::<_, Infallible>(Arc::new(Mutex::new(now)))
        });
        let used_up_at = match made {
            Ok(used_up_at) => used_up_at,
            Err(never) => match never {},
        };
        // Nothing under this lock can panic half-way.
        let mut used_up_at = used_up_at.lock().unwrap_or_else(PoisonError::into_inner);
        let next = (*used_up_at).max(now) + every;
        let allowed = next <= now + MINUTE;
        if allowed {
            *used_up_at = next;
        }
        allowed
    }
}

/// Numbers in place of those that a real batch would be given: of no record's, and answered as `null`.
#[derive(Default)]
struct Imagined(FreeNumbers);

impl Imagined {
    /// As many more as are missing.
    fn add(&mut self, missing: Shortage) {
        let Self(numbers) = self;
        for (numbers, missing) in [
            (&mut numbers.order, missing.order),
            (&mut numbers.client, missing.client),
            (&mut numbers.address, missing.address),
        ] {
            let lowest = numbers.back().copied().unwrap_or(0);
            numbers.extend((i32::MIN..lowest).rev().take(missing));
        }
    }
}

impl Intake {
    /// Says what would become of a batch now. The order's, clients' and addresses' numbers that would be new are `null` in
    /// the answer. What only the database could say, it does not know: a refusal of an order, a race with another sender.
    ///
    /// # Errors
    /// [`Unavailable`]
    pub async fn check(&self, batch: RawBatch) -> Result<Reply, Unavailable> {
        let taken_at = batch.complete_at;
        if batch.login.is_none() && !self.inner.dry_runs.allows(batch.memory.share(), taken_at) {
            return Err(Unavailable::Overloaded);
        }
        let large = large_body(&batch.body);
        let turn = self.inner.checks.acquire(batch.memory.share(), 1).await;
        let _turn = turn.map_err(|_too_many| Unavailable::Overloaded)?;
        let _room = self.turn(&batch).await?;
        let inner = Arc::clone(&self.inner);
        let job = off_thread(large, move || inner.read(batch)).await?;
        let job = Arc::new(job);

        let mut keys = Keys::default();
        job.keys(&mut keys);
        let publication = &job.publication.name;
        let most_bytes = self.inner.answer_bytes;
        let known = self.inner.store.read(publication, &keys, false, most_bytes);
        let known = known.await.map_err(|error| match error {
            Error::TooMuch => Unavailable::AnswerTooLarge(most_bytes),
            error => {
                tracing::warn!(error = %error.in_full(), "reading failed");
                Unavailable::Storage
            }
        })?;
        let none = HashSet::new();
        let batch = decide::Batch {
            elements: &job.elements,
            received_at: job.received_at,
            refused: &none,
            skipped: &none,
        };
        let most_addresses = job.publication.rules.max_client_addresses;
        let until = taken_at + self.inner.store_within;
        let go_on = || self.inner.may_go_on(until);
        let mut imagined = Imagined::default();
        let mut decision = loop {
            let mut numbers = imagined.0.clone();
            let decided = block_if_many(job.elements.len(), || {
                let batches = std::slice::from_ref(&batch);
                decide::decide(&known, batches, &mut numbers, most_addresses, &go_on)
            });
            match decided {
                Ok(decision) => break decision,
                Err(Undecided::Short(missing)) => imagined.add(missing),
                Err(Undecided::Stopped) => return Err(Unavailable::Storage),
            }
        };
        let verdicts = decision.verdicts.pop().unwrap_or_default();
        let stored = Arc::new(Stored::of(&decision));
        block_if_many(job.elements.len(), || {
            job.make_room_for_answer(&verdicts, &stored, self.inner.answer_bytes)
        })?;
        self.inner.note(&job, &verdicts, known.now).await;
        let done = Done {
            verdicts,
            stored,
            stages: Vec::new(),
            job: Arc::clone(&job),
        };
        off_thread(large, move || done.reply()).await?
    }
}

impl Inner {
    /// Leaves a line in the journal. A database that takes no writes, as a standby, is no reason not to answer.
    async fn note(&self, job: &Job, verdicts: &[Verdict], now: DateTime<Utc>) {
        let publication = &job.publication.name;
        let mut left = self.journal_room(publication).await;
        let mut entries = Entries::default();
        entries.add(Uuid::now_v7(), job, verdicts, None, &mut left);
        if entries.batches.is_empty() {
            return;
        }
        let history = self.store.history();
        let write = Write::journal(entries.batches, now + LINE_WITHIN, history);
        match self.store.write(publication, &write).await {
            Ok(()) => self.journaled(publication, &write, 0),
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
        let rate = Rate::new(3);
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
        assert!(!Rate::new(0).allows(&share(1), now));
    }
}
