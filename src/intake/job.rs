//! A batch on its way: read, waiting or being stored, answered.

use std::{fmt::Display, ops::Range, sync::Arc, time::Instant};

use chrono::{DateTime, SubsecRound, Utc};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::{
    Inner, RawBatch, Reply, Unavailable,
    conflict::ConflictKeys,
    size::{SMALL_RESPONSE, Size},
};
use crate::{
    config::Publication,
    memory::Reservation,
    order::{
        decide::Verdict,
        fault::Language,
        known::Keys,
        reply::{Envelope, Stored},
        wire::{self, Element},
    },
    telemetry::{metrics::Verdicts, traces::Stage},
    threads::in_parallel,
};

/// A batch's faults and warnings are reported in full up to this number. After that each order reports its first
/// [`FEW_FAULTS`] of each. No honest batch comes near, but the response to a body full of empty objects, and its row in the
/// journal, must not be a hundred times as large as the body.
const MOST_FAULTS: usize = 20_000;
/// See [`MOST_FAULTS`].
const FEW_FAULTS: usize = 10;

#[derive(Debug)]
pub struct Job {
    pub publication: Arc<Publication>,
    pub request_id: String,
    pub login: Option<String>,
    pub body: String,
    pub ranges: Vec<Range<usize>>,
    pub elements: Vec<Element>,
    language: Language,
    /// The sender's, as [`crate::share::Share::wide_network`] has it.
    pub wide_network: u64,
    /// Goes to the response in the end.
    memory: Mutex<Option<Reservation>>,
    pub received_at: DateTime<Utc>,
    pub queued_at: Instant,
    /// See [`Inner::store_within`] and [`Inner::settle_within`].
    pub store_until: Instant,
    pub settle_until: Instant,
}

pub type Responder = oneshot::Sender<Answer>;
/// The response to a batch that is stored, or why it has none.
pub type Answer = Result<Reply, Unavailable>;

#[derive(Debug)]
pub struct Pending {
    pub job: Arc<Job>,
    pub responder: Responder,
}

impl Job {
    pub fn read(batch: RawBatch, inner: &Inner) -> (Self, ConflictKeys) {
        let rules = &batch.publication.rules;
        let ranges = &batch.elements;
        let read = |part: Range<usize>| {
            let mut faults_left = MOST_FAULTS;
            let mut orders = Vec::with_capacity(part.len());
            let mut clients = Vec::with_capacity(part.len());
            let elements: Vec<Element> = ranges[part]
                .iter()
                .map(|range| {
                    let most_faults = faults_left.max(FEW_FAULTS);
                    let text = &batch.body[range.clone()];
                    let mut element = wire::parse(text, rules, most_faults);
                    limit_faults(&mut element, &mut faults_left);
                    orders.extend(inner.hasher.order(&element));
                    clients.extend(inner.hasher.client_of(&element));
                    element
                })
                .collect();
            (elements, orders, clients)
        };
        let mut elements = Vec::with_capacity(ranges.len());
        let mut keys = ConflictKeys::default();
        let threads = Size::of(&batch.body).threads();
        for (more_elements, orders, clients) in in_parallel(ranges.len(), threads, read) {
            elements.extend(more_elements);
            keys.orders.extend(orders);
            keys.clients.extend(clients);
        }
        // Each thread kept to the limit by itself; all of them together must, too.
        let mut faults_left = MOST_FAULTS;
        for element in &mut elements {
            limit_faults(element, &mut faults_left);
        }
        wire::number_entries(&mut elements);
        let job = Self {
            publication: batch.publication,
            request_id: batch.request_id,
            login: batch.login,
            body: batch.body,
            ranges: batch.elements,
            elements,
            language: batch.language,
            wide_network: batch.memory.share().wide_network(),
            memory: Mutex::new(Some(batch.memory)),
            // PostgreSQL keeps microseconds, and what is answered now must be what is read back later.
            received_at: Utc::now().trunc_subsecs(6),
            queued_at: Instant::now(),
            store_until: batch.complete_at + inner.store_within,
            settle_until: batch.complete_at + inner.settle_within,
        };
        (job, keys)
    }

    /// Adds what the batch names to the keys to be read.
    pub fn add_keys<'k>(&'k self, keys: &mut Keys<'k>) {
        for element in &self.elements {
            keys.add(element);
        }
    }

    fn envelope<'j>(&'j self, verdicts: &'j [Verdict], stored: &'j Stored) -> Envelope<'j> {
        Envelope {
            elements: &self.elements,
            verdicts,
            stored,
            rules: &self.publication.rules,
            language: self.language,
        }
    }

    /// Reserves memory for the response, before anything of the batch is stored.
    pub fn reserve_response(
        &self,
        verdicts: &[Verdict],
        stored: &Stored,
        most_bytes: usize,
    ) -> Result<(), Unavailable> {
        let bytes = self.envelope(verdicts, stored).most_bytes(most_bytes);
        if bytes > most_bytes {
            return Err(Unavailable::AnswerTooLarge(most_bytes));
        }
        let mut memory = self.memory.lock();
        // What its orders reserved as they came in was for the response.
        let grown = memory
            .as_mut()
            .map(|memory| memory.grow(self.body.len() + bytes));
        match grown {
            Some(Err(_exhausted)) if bytes > SMALL_RESPONSE => Err(Unavailable::Overloaded),
            _ => Ok(()),
        }
    }

    /// Writes the response's body, in pieces.
    pub fn write_response(
        &self,
        verdicts: &[Verdict],
        stored: &Stored,
    ) -> Result<Vec<Vec<u8>>, Unavailable> {
        let envelope = self.envelope(verdicts, stored);
        let writer = envelope.writer();
        let size = Size::of(&self.body);
        let written = size.run_here(|| {
            let pieces = |entries| writer.pieces(entries);
            in_parallel(writer.entries(), size.threads(), pieces)
        });
        let mut body = Vec::new();
        for pieces in written {
            body.extend(pieces.map_err(|error| self.unanswerable(&error))?);
        }
        debug_assert!(
            body.iter().map(Vec::len).sum::<usize>() <= envelope.most_bytes(usize::MAX),
            "a response is longer than was reserved"
        );
        Ok(body)
    }

    /// What the caller gets, once: the memory that was reserved goes along.
    pub fn reply(&self, body: Vec<Vec<u8>>, verdicts: &[Verdict], stages: Vec<Stage>) -> Answer {
        let memory = self.memory.lock().take();
        Ok(Reply {
            body,
            verdicts: Verdicts::of(verdicts),
            stages,
            memory: memory.ok_or_else(|| self.unanswerable(&"it was answered before"))?,
        })
    }

    /// Only a bug can bring us here. Sending the orders again is safe, whether they are stored or not.
    fn unanswerable(&self, error: &dyn Display) -> Unavailable {
        tracing::error!(request_id = self.request_id, %error, "the answer could not be written");
        Unavailable::Storage
    }
}

pub fn accepted(verdicts: &[Verdict]) -> usize {
    verdicts.iter().filter(|v| v.is_accepted()).count()
}

/// See [`MOST_FAULTS`].
fn limit_faults(element: &mut Element, left: &mut usize) {
    // An empty `missing` would say that nothing is missing, so some of each are left.
    for faults in [&mut element.faults, &mut element.missing] {
        faults.truncate((*left).max(FEW_FAULTS));
        *left = left.saturating_sub(faults.len());
    }
    let most = (*left).max(FEW_FAULTS);
    if element.warnings.len() > most {
        // A loss is reported, and kept in the journal, whatever else there is to report.
        element.warnings.sort_by_key(|warning| !warning.is_loss());
        element.warnings.truncate(most);
    }
    *left = left.saturating_sub(element.warnings.len());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::{
        Rules,
        fault::{Warning, WarningCode},
    };

    #[test]
    fn of_too_many_warnings_the_first_are_told_and_a_loss_is_never_left_out() {
        let rules = Rules::with_limits(500, 100);
        let mut element = wire::parse("{}", &rules, 1);
        element.faults.clear();
        let everyday = Warning::new(&"external_id", WarningCode::ExternalIdIgnored);
        let loss = Warning::new(&"comment", WarningCode::WrongType);
        element.warnings = vec![everyday; 100];
        element.warnings.push(loss.clone());
        let mut left = 200;
        limit_faults(&mut element, &mut left);
        assert_eq!((element.warnings.len(), left), (101, 99));
        limit_faults(&mut element, &mut left);
        assert_eq!((element.warnings.len(), left), (99, 0));
        limit_faults(&mut element, &mut left);
        assert_eq!(element.warnings.len(), FEW_FAULTS);
        assert_eq!(element.warnings[0], loss);
    }
}
