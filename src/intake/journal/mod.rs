//! What of a batch goes into the journal, within a publication's budget for the day (contract §7): strangers' rubbish must
//! not take the disk from orders.

use std::{cell::OnceCell, collections::HashMap, iter, sync::Arc};

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use uuid::Uuid;

mod kept_today;
mod versions;

pub use kept_today::KeptToday;
use versions::{Position, Versions, outcomes};

use super::job::{Job, accepted};
use crate::{
    order::{
        decide::{Decision, Outcome, Verdict},
        fault::{FaultText, Language, RemarkText},
        reply,
    },
    store::{BatchRow, KeptRow},
};

/// What a batch's row costs the database, with its entries in the indexes.
const BATCH_BYTES: usize = 256;
/// The same of a kept order besides its texts.
const KEPT_BYTES: usize = 448;
/// How often its key counts: two indexes have it, too, and their pages are never full.
const KEY_COPIES: usize = 4;

/// What a transaction decided, for the rows of its orders.
pub struct Records<'d> {
    jobs: &'d [Arc<Job>],
    decision: &'d Decision<'d>,
    kept_today: &'d KeptToday,
    /// Made when the first order is kept.
    versions: OnceCell<Versions<'d>>,
}

impl<'d> Records<'d> {
    pub fn new(
        jobs: &'d [Arc<Job>],
        decision: &'d Decision<'d>,
        kept_today: &'d KeptToday,
    ) -> Self {
        Self {
            jobs,
            decision,
            kept_today,
            versions: OnceCell::new(),
        }
    }

    fn versions(&self, id: Option<&str>, position: Position) -> (Option<i32>, Option<i32>) {
        let versions = || Versions::of(self.jobs, self.decision);
        self.versions.get_or_init(versions).for_row(id, position)
    }

    /// Whether the journal has it from today, and nothing was stored since.
    fn is_kept(&self, job: &Job, verdict: &Verdict, body: &str) -> bool {
        let is_unchanged = |order: usize| self.decision.orders[order].is_unchanged();
        verdict.order.is_some_and(is_unchanged) && self.kept_today.has(&job.publication.name, body)
    }
}

/// What the journal's row of a batch takes of the budget by itself. A batch that stores something has its row in any case, for
/// that is the receipt for what it stores.
fn row_bytes(accepted: usize, is_dry_run: bool) -> usize {
    if accepted == 0 || is_dry_run {
        BATCH_BYTES
    } else {
        0
    }
}

#[derive(Debug, Default)]
pub struct Rows<'j> {
    /// One for each batch, but for those of which nothing was accepted once the budget is used up.
    pub batches: Vec<BatchRow>,
    /// Orders of which something was not taken, with their bodies, as far as the budget goes.
    pub kept: Vec<KeptRow<'j>>,
    /// Such orders that found no room.
    pub not_kept: usize,
    bytes_left: usize,
}

impl<'j> Rows<'j> {
    pub fn within(bytes: usize) -> Self {
        Self {
            bytes_left: bytes,
            ..Self::default()
        }
    }

    fn take(&mut self, bytes: usize) -> bool {
        let left = self.bytes_left.checked_sub(bytes);
        self.bytes_left = left.unwrap_or(self.bytes_left);
        left.is_some()
    }

    /// Adds a batch, and its orders of which something was not taken. `of` are its transaction's records, and
    /// which batch of the transaction it is; a dry run has none, and none of its orders are kept.
    pub fn add(
        &mut self,
        batch: Uuid,
        job: &'j Job,
        verdicts: &[Verdict],
        of: Option<(&Records<'_>, usize)>,
    ) {
        let accepted = accepted(verdicts);
        let rejected = verdicts.len() - accepted;
        let with_remarks = verdicts.iter().filter(|v| v.has_remarks()).count();
        let bytes_left = self.bytes_left;
        if !self.take(row_bytes(accepted, of.is_none())) {
            self.not_kept += rejected;
            return;
        }
        if let Some((records, index)) = of
            && (rejected > 0 || with_remarks > 0)
        {
            let batch = KeptBatch {
                id: batch,
                index,
                job,
                verdicts,
                keys: reply::keys(&job.elements),
                records,
            };
            // The rejected ones first: of them nothing is stored.
            self.keep(&batch, |verdict, _| !verdict.is_accepted());
            if with_remarks > 0 {
                self.keep(&batch, |verdict, outcome| {
                    verdict.is_accepted() && outcome.is_loss()
                });
            }
        }
        self.batches.push(BatchRow {
            batch,
            received_at: job.received_at,
            request_id: job.request_id.clone(),
            login: job.login.clone(),
            orders: verdicts.len(),
            accepted,
            rejected,
            with_remarks,
            kept_bytes: bytes_left - self.bytes_left,
            dry_run: of.is_none(),
        });
    }

    /// Keeps the elements of which that became.
    fn keep(&mut self, batch: &KeptBatch<'j, '_, '_>, is_one: impl Fn(&Verdict, &Outcome) -> bool) {
        let KeptBatch { job, records, .. } = *batch;
        // Elements without an id of their own, by their text.
        let mut seen: HashMap<&str, usize> = HashMap::new();
        for (position, element, verdict, outcome) in outcomes(job, batch.verdicts) {
            if !is_one(verdict, outcome) {
                continue;
            }
            let body = &job.body[job.ranges[position].clone()];
            let id = element.id.as_deref();
            if id.is_none()
                && let Some(first) = seen.get(body)
            {
                self.kept[*first].repeated += 1;
                continue;
            }
            if records.is_kept(job, verdict, body) {
                continue;
            }
            let (faults, warnings) = match outcome {
                Outcome::Refused(faults) if !verdict.is_accepted() => {
                    let faults = faults.iter();
                    let texts = faults.map(|fault| FaultText::brief(fault, Language::Ru));
                    (list(texts), None)
                }
                outcome => {
                    let texts = outcome.remarks().map(|r| RemarkText(r, Language::Ru));
                    (list(iter::empty::<()>()), Some(list(texts)))
                }
            };
            let key = id.unwrap_or(&batch.keys[element.entry]);
            let texts = faults.get().len() + warnings.as_ref().map_or(0, |w| w.get().len());
            if !self.take(KEPT_BYTES + body.len() + KEY_COPIES * key.len() + texts) {
                self.not_kept += 1;
                continue;
            }
            if id.is_none() {
                seen.insert(body, self.kept.len());
            }
            let versions = records.versions(id, (batch.index, position));
            let (order_version, client_version) = versions;
            self.kept.push(KeptRow {
                batch: batch.id,
                position,
                key: key.to_owned(),
                body,
                faults,
                warnings,
                order_version,
                client_version,
                repeated: 0,
            });
        }
    }

    /// Leaves out the orders, of which the database does not take one.
    pub fn leave_out_kept(&mut self) {
        self.not_kept += self.kept.len();
        self.kept.clear();
        for batch in &mut self.batches {
            batch.kept_bytes = row_bytes(batch.accepted, batch.dry_run);
        }
    }
}

struct KeptBatch<'j, 'r, 'd> {
    id: Uuid,
    /// Which batch of its transaction it is.
    index: usize,
    job: &'j Job,
    verdicts: &'r [Verdict],
    keys: Vec<String>,
    records: &'r Records<'d>,
}

fn list(texts: impl Iterator<Item: Serialize>) -> Box<RawValue> {
    // Texts and nothing else: they cannot fail to become JSON.
    to_raw_value(&texts.collect::<Vec<_>>()).unwrap_or_else(|_| RawValue::NULL.to_owned())
}
