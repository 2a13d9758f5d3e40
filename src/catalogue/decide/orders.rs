//! Orders that the back office had before they came to us.

use super::{ImportedOrder, Picture, Put, tally};
use crate::catalogue::{Subject, Text, entry};

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
            let reason = Text::new(
                format!("заказ уже пришёл, его номер — {theirs}"),
                format!("the order came in, and has the number {theirs}"),
            );
            return self.problem(subject, entry.line, "number", reason);
        }
        if let Some(other) = self.stored.order_numbers.get(&number)
            && other != id
        {
            let reason = Text::new(
                format!("это номер заказа с id отправителя {other}"),
                format!("belongs to the order with the sender's id {other}"),
            );
            return self.problem(subject, entry.line, "number", reason);
        }
        if let Some((_, now)) = here
            && *now != status
            && now.may_become(status)
        {
            let (line, now, due) = (entry.line, now.as_str(), status.as_str());
            self.out.notes.push(Text::new(
                format!(
                    "строка {line}: заказ {number} ({id}) уже пришёл, его статус {now} остаётся; чтобы стал {due} — итогом или `order set-status`"
                ),
                format!(
                    "line {line}: order {number} ({id}) came in and is {now}, and stays so: move it on to {due} with results or `order set-status`"
                ),
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
