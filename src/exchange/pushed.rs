//! Statuses and 1C's numbers of orders, as a 1C pushes them to the site's import call (contract §8.3).

use std::collections::HashMap;

use indexmap::IndexMap;
use serde::{Serialize, Serializer, ser::SerializeStruct};
use uuid::Uuid;

use super::results::{is_anothers, store_all};
use crate::{
    order::{
        Rules,
        fault::{
            Fault, FaultCode, FaultText, Hint, Language, Remark, RemarkText, Warning, summary,
        },
        model::Status,
        wire::{OrderResult, Pushed, parse_pushed},
    },
    store::{self, Store, feed::Who},
};

/// What became of one order.
#[derive(Debug)]
pub struct Entry {
    outcome: Result<Taken, Vec<Fault>>,
    warnings: Vec<Warning>,
}

/// An order that was found, as it is now.
#[derive(Debug)]
struct Taken {
    number: i32,
    status: Status,
    /// As 1C calls it.
    id: Option<String>,
}

impl Entry {
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.outcome.is_ok()
    }
}

/// Takes what is pushed, all in one transaction. An entry for each of 1C's ids, or for each element without one (`#0`), in the
/// order of their first appearance.
///
/// # Errors
/// When the database does not take it; nothing is stored then, and the same again is safe.
pub async fn take<'e>(
    store: &Store,
    publication: &str,
    rules: &Rules,
    elements: impl Iterator<Item = &'e str>,
    who: &Who<'_>,
) -> Result<IndexMap<String, Entry>, store::Error> {
    let read: Vec<Pushed> = elements
        .map(|element| parse_pushed(element, rules))
        .collect();
    let ids = read.iter().filter_map(|pushed| pushed.sender_id.clone());
    let orders = store
        .orders_of(publication, &ids.collect::<Vec<_>>())
        .await?;
    let numbers = read.iter().filter_map(|pushed| pushed.id.clone());
    let mut called = store
        .orders_called(publication, &numbers.collect::<Vec<_>>())
        .await?;
    let mut said = Vec::new();
    let found: Vec<Result<i32, Vec<Fault>>> = read
        .iter()
        .map(|pushed| {
            let result = find(pushed, &orders, &mut called)?;
            let number = result.number;
            said.push(result);
            Ok(number)
        })
        .collect();
    let said: Vec<&OrderResult> = said.iter().collect();
    let mut outcomes = store_all(store, publication, &said, who).await?.into_iter();
    let mut entries = IndexMap::new();
    for (place, (pushed, found)) in read.into_iter().zip(found).enumerate() {
        let key = pushed.id.clone().unwrap_or_else(|| format!("#{place}"));
        let mut warnings = pushed.warnings;
        let outcome = found.and_then(|number| {
            // One for each that was found.
            let stored = outcomes.next().and_then(Result::ok).ok_or_else(not_found)?;
            warnings.extend(stored.warnings);
            Ok(Taken {
                number,
                status: stored.status,
                id: pushed.id,
            })
        });
        entries.insert(key, Entry { outcome, warnings });
    }
    Ok(entries)
}

fn fault(field: &str, code: FaultCode) -> Vec<Fault> {
    vec![Fault {
        field: field.into(),
        code,
        hint: Hint::None,
    }]
}

fn not_found() -> Vec<Fault> {
    fault("external_id", FaultCode::NotFound)
}

/// The order that is meant, and what is said of it.
fn find(
    pushed: &Pushed,
    orders: &HashMap<String, i32>,
    called: &mut Vec<(String, i32)>,
) -> Result<OrderResult, Vec<Fault>> {
    if !pushed.faults.is_empty() {
        return Err(pushed.faults.clone());
    }
    let sender_id = pushed.sender_id.as_ref();
    let number = *sender_id
        .and_then(|id| orders.get(id))
        .ok_or_else(not_found)?;
    let is_uid = |id: &&String| Uuid::try_parse(id).is_ok();
    let uid = pushed.id.as_ref().filter(is_uid).cloned();
    let receiver_number = pushed.id.clone().filter(|_| uid.is_none());
    if let Some(receiver_number) = &receiver_number {
        if is_anothers(called, receiver_number, number) {
            return Err(fault("id", FaultCode::Conflict));
        }
        called.push((receiver_number.clone(), number));
    }
    Ok(OrderResult {
        number,
        version: None,
        receiver_number,
        receiver_uid: uid,
        status: pushed.status,
        error: None,
    })
}

/// The answer: a map as a batch of orders gets.
pub fn to_json(
    entries: &IndexMap<String, Entry>,
    language: Language,
) -> serde_json::Result<Vec<u8>> {
    #[derive(Serialize)]
    struct Answer<'a> {
        success: bool,
        data: Map<'a>,
    }
    serde_json::to_vec(&Answer {
        success: true,
        data: Map(entries, language),
    })
}

struct Map<'a>(&'a IndexMap<String, Entry>, Language);

impl Serialize for Map<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let entries = self.0.iter();
        serializer.collect_map(entries.map(|(key, entry)| (key, Written(entry, self.1))))
    }
}

struct Written<'a>(&'a Entry, Language);

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Order<'a> {
            id: String,
            external_id: Option<&'a str>,
            status: &'a str,
        }
        let Self(entry, language) = self;
        let mut s = serializer.serialize_struct("Entry", 4)?;
        s.serialize_field("success", &entry.is_accepted())?;
        match &entry.outcome {
            Ok(taken) => {
                let order = Order {
                    id: taken.number.to_string(),
                    external_id: taken.id.as_deref(),
                    status: taken.status.as_str(),
                };
                s.serialize_field("data", &[order])?;
                if !entry.warnings.is_empty() {
                    let warnings = entry.warnings.iter().map(Remark::Warning);
                    let warnings = warnings.map(|warning| RemarkText(warning, *language));
                    s.serialize_field("warnings", &warnings.collect::<Vec<_>>())?;
                }
            }
            Err(faults) => {
                let faults: Vec<&Fault> = faults.iter().collect();
                s.serialize_field("data", &[(); 0])?;
                s.serialize_field("message", &summary(&faults, *language))?;
                let texts = faults.into_iter();
                let texts = texts.map(|fault| FaultText::whole(fault, *language));
                s.serialize_field("errors", &texts.collect::<Vec<_>>())?;
            }
        }
        s.end()
    }
}
