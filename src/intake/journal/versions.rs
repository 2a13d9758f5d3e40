//! Which versions of an order and its client the journal's row of an element names: as long as they are current, nothing that
//! came later is undone by sending the row again.

use std::{collections::HashMap, sync::Arc};

use crate::{
    intake::job::Job,
    order::{
        decide::{Decision, Outcome, Verdict},
        model::{Client, Order},
        record::Record,
        wire::Element,
    },
};

/// Which batch of its transaction an element is in, and which of that batch it is.
pub type Position = (usize, usize);

/// How the transaction leaves an order or a client.
struct Final {
    version: i32,
    /// The last element that was taken and names it.
    named_last: Option<Position>,
}

impl Final {
    /// The version for the journal's row of an element. If another element came behind it, 0, which is no record's version: to
    /// send the row again would undo what that one did.
    fn version_for(&self, position: Position) -> i32 {
        match self.named_last {
            Some(last) if last > position => 0,
            _ => self.version,
        }
    }
}

pub struct Versions<'d> {
    /// By the sender's id; and whose the order is.
    orders: HashMap<&'d str, (Final, i32)>,
    /// By our number.
    clients: HashMap<i32, Final>,
}

impl<'d> Versions<'d> {
    pub fn of(jobs: &[Arc<Job>], decision: &'d Decision<'d>) -> Self {
        let unnamed = |version| Final {
            version,
            named_last: None,
        };
        let of_order = |record: &'d Record<'d, Order>| {
            let order = &record.after;
            let version = record.version(|order| order.version);
            let whose = order.client_number;
            (order.sender_id.as_str(), (unnamed(version), whose))
        };
        let of_client = |record: &Record<'_, Client>| {
            let version = record.version(|client| client.version);
            (record.after.number, unnamed(version))
        };
        let mut versions = Self {
            orders: decision.orders.iter().map(of_order).collect(),
            clients: decision.clients.iter().map(of_client).collect(),
        };
        versions.note_names(jobs, decision);
        versions
    }

    /// Notes which elements name what. Those that were not taken do nothing to it.
    fn note_names(&mut self, jobs: &[Arc<Job>], decision: &'d Decision<'d>) {
        let mut by_id = HashMap::new();
        let mut by_guest_phone = HashMap::new();
        for Record { after, .. } in &decision.clients {
            by_id.extend(after.sender_id.as_deref().map(|id| (id, after.number)));
            by_guest_phone.extend(after.guest_phone.as_deref().map(|p| (p, after.number)));
        }
        for (at, (job, verdicts)) in jobs.iter().zip(&decision.verdicts).enumerate() {
            for (position, element, _, outcome) in outcomes(job, verdicts) {
                let (Outcome::Taken(_), Some(id)) = (outcome, &element.id) else {
                    continue;
                };
                let Some((order, whose)) = self.orders.get_mut(id.as_str()) else {
                    continue;
                };
                order.named_last = Some((at, position));
                // An order may have been another client's before a later element.
                let key = &element.client;
                let number = |id: &String| by_id.get(id.as_str()).copied();
                let named = match (&key.id, key.external_id, &key.phone) {
                    (Some(id), _, _) => number(id),
                    (None, Some(number), _) => Some(number),
                    (None, None, Some(phone)) => by_guest_phone.get(phone.as_str()).copied(),
                    (None, None, None) => None,
                };
                for client in [Some(*whose), named].into_iter().flatten() {
                    if let Some(client) = self.clients.get_mut(&client) {
                        client.named_last = Some((at, position));
                    }
                }
            }
        }
    }

    /// Of the order with that id and of its client, for the journal's row of an element.
    pub fn for_row(&self, id: Option<&str>, position: Position) -> (Option<i32>, Option<i32>) {
        let Some((order, whose)) = id.and_then(|id| self.orders.get(id)) else {
            return (None, None);
        };
        let client = self.clients.get(whose);
        (
            Some(order.version_for(position)),
            client.map(|client| client.version_for(position)),
        )
    }
}

/// The elements of a batch with their positions, their entries' verdicts, and what became of them.
pub fn outcomes<'o>(
    job: &'o Job,
    verdicts: &'o [Verdict],
) -> impl Iterator<Item = (usize, &'o Element, &'o Verdict, &'o Outcome)> {
    let elements = job.elements.iter().enumerate();
    elements.map(|(position, element)| {
        let verdict = &verdicts[element.entry];
        (position, element, verdict, &verdict.elements[element.nth])
    })
}
