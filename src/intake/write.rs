//! What a transaction writes once it is decided: the rows that differ, and the journal.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use chrono::DateTime;
use uuid::Uuid;

use super::{
    job::{Job, accepted},
    journal::{KeptToday, Records, Rows},
};
use crate::{
    order::{
        decide::{Decision, Verdict},
        diff, history,
        model::Order,
        record::Record,
    },
    store::{ChangeRow, Write},
};

/// Whether there may be something for the journal besides the receipt of what is stored.
pub fn may_need_journal(decision: &Decision<'_>) -> bool {
    decision.verdicts.iter().any(|verdicts| {
        accepted(verdicts) < verdicts.len().max(1) || verdicts.iter().any(Verdict::has_remarks)
    })
}

/// What to write, and how many orders that should be kept are not: the journal has no room for them within `budget` bytes,
/// or is not to keep any (`keeps_orders`).
pub fn to_write<'w>(
    jobs: &'w [Arc<Job>],
    decision: &'w Decision<'_>,
    kept_today: &KeptToday,
    budget: usize,
    keeps_orders: bool,
) -> (Write<'w>, usize) {
    let mut rows = Rows::within(budget);
    let records = Records::new(jobs, decision, kept_today);
    let mut made_by = HashMap::new();
    let mut changed_by = BTreeMap::new();
    for (index, (job, verdicts)) in jobs.iter().zip(&decision.verdicts).enumerate() {
        // A new id for every attempt: the row of one that was cut off is settled by its own.
        let batch = Uuid::now_v7();
        rows.add(batch, job, verdicts, Some((&records, index)));
        for verdict in verdicts {
            if let Some(order) = verdict.order {
                let record = &decision.orders[order];
                if record.before.is_none() {
                    made_by.entry(record.after.number).or_insert(batch);
                } else if !record.is_unchanged() {
                    changed_by.insert(order, (batch, &**job));
                }
            }
        }
    }
    if !keeps_orders {
        rows.leave_out_kept();
    }
    let write = Write {
        changes: diff::changes(decision),
        kept: rows.kept,
        made_by,
        history: changed_by
            .into_iter()
            .filter_map(|(order, by)| change_row(&decision.orders[order], by))
            .collect(),
        ..Write::journal(rows.batches, DateTime::default(), 0)
    };
    (write, rows.not_kept)
}

fn change_row<'w>(
    record: &Record<'_, Order>,
    (batch, job): (Uuid, &'w Job),
) -> Option<ChangeRow<'w>> {
    let Record { before, after } = record;
    before.map(|before| ChangeRow {
        order_number: after.number,
        version: before.version + 1,
        made_at: job.received_at,
        batch,
        request_id: &job.request_id,
        login: job.login.as_deref(),
        changes: history::changes(before, after),
    })
}
