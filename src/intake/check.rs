//! A batch tried out (`?dry_run=true`): the verdicts it would have now, and nothing is stored, not even its line in the
//! journal. It waits for nobody and keeps nobody waiting: it only reads.

use std::{collections::HashSet, sync::Arc};

use super::{Batch, Done, Intake, Reply, Unavailable, large_body, off_thread};
use crate::{
    heavy::in_place,
    order::{
        decide::{self, FreeNumbers, Shortage, Undecided},
        known::Keys,
        reply::Stored,
    },
};

/// So many are tried out at the same time; others wait, for those that are to be stored come first.
pub(super) const AT_ONCE: usize = 2;

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
    pub async fn check(&self, batch: Batch) -> Result<Reply, Unavailable> {
        let taken_at = batch.whole_at;
        let language = batch.language;
        let large = large_body(&batch.body);
        let turn = self.inner.checks.take(batch.place.share(), 1).await;
        let _turn = turn.map_err(|_too_many| Unavailable::Overloaded)?;
        let _room = self.turn(&batch).await?;
        let inner = Arc::clone(&self.inner);
        let (job, place) = off_thread(large, move || inner.read(batch)).await?;
        let job = Arc::new(job);

        let mut keys = Keys::default();
        job.keys(&mut keys);
        let publication = &job.publication.name;
        let known = self.inner.store.read(publication, &keys, false).await;
        let known = known.map_err(|error| {
            tracing::warn!(error = %error.in_full(), "reading failed");
            Unavailable::Storage
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
            let decided = in_place(job.elements.len(), || {
                let batches = std::slice::from_ref(&batch);
                decide::decide(&known, batches, &mut numbers, most_addresses, &go_on)
            });
            match decided {
                Ok(decision) => break decision,
                Err(Undecided::Short(missing)) => imagined.add(missing),
                Err(Undecided::Stopped) => return Err(Unavailable::Storage),
            }
        };
        let done = Done {
            verdicts: decision.verdicts.pop().unwrap_or_default(),
            stored: Arc::new(Stored::of(decision)),
            stages: Vec::new(),
            job: Arc::clone(&job),
        };
        off_thread(large, move || done.reply(language, place)).await?
    }
}
