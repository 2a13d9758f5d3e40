//! Orders that the back office had before they came to us.

use super::{ImportedOrder, Picture, Put, tally};
use crate::catalogue::{Subject, entry};

impl Picture<'_> {
    pub(super) fn order(&mut self, entry: &entry::Order) {
        let subject = Subject::Orders;
        let Some(id) = &entry.sender_id else { return };
        let before = self.stored.imported.get(id);
        let here = self.stored.orders.get(id);
        let number = entry.number.or(before.map(|order| order.number));
        let number = number.or(here.map(|(number, _)| *number));
        let status = entry.status.or(before.map(|order| order.status));
        let (Some(number), Some(status)) = (number, status) else {
            for (column, is_missing) in [("number", number.is_none()), ("status", status.is_none())]
            {
                if is_missing {
                    self.required(subject, entry.line, column);
                }
            }
            return;
        };
        if let Some((theirs, _)) = here
            && *theirs != number
        {
            let reason = format!("the order came in, and has the number {theirs}");
            return self.problem(subject, entry.line, "number", reason);
        }
        if let Some(other) = self.stored.order_numbers.get(&number)
            && other != id
        {
            let reason = format!("belongs to the order with the sender's id {other}");
            return self.problem(subject, entry.line, "number", reason);
        }
        if let Some((_, now)) = here
            && *now != status
            && now.may_become(status)
        {
            self.out.notes.push(format!(
                "line {}: order {number} ({id}) came in and is {}, and stays so: move it on to {} with results or `order set-status`",
                entry.line,
                now.as_str(),
                status.as_str(),
            ));
        }
        let mut after = before.cloned().unwrap_or_else(|| ImportedOrder {
            sender_id: id.clone(),
            number,
            status,
            receiver_number: None,
            receiver_uid: None,
        });
        (after.number, after.status) = (number, status);
        entry.receiver_number.apply(&mut after.receiver_number);
        entry.receiver_uid.apply(&mut after.receiver_uid);
        let counts = &mut self.out.totals.orders;
        if before == Some(&after) {
            counts.unchanged += 1;
            return;
        }
        tally(counts, before.is_none());
        self.out.changes.orders.push(Put {
            is_new: before.is_none(),
            row: after,
        });
    }
}
