//! What the back office made of orders: its own numbers of them, how far they have come, or why it could not take one
//! (contract §8.1).

use std::collections::HashMap;

use serde::{Serialize, Serializer, ser::SerializeStruct};

use crate::{
    order::{
        Rules,
        fault::{
            Fault, FaultCode, FaultText, Hint, Language, Remark, RemarkText, Warning, WarningCode,
            summary,
        },
        model::Status,
        wire::{OrderResult, parse_result},
    },
    store::{
        self, Store,
        feed::{Known, Reported, Who},
    },
};

/// How often others may write the same orders first.
const ATTEMPTS: u32 = 20;

/// What became of one result.
#[derive(Debug)]
pub struct Entry {
    /// `None` where it is unreadable.
    number: Option<i32>,
    outcome: Result<(i32, Status), Vec<Fault>>,
    warnings: Vec<Warning>,
}

impl Entry {
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.outcome.is_ok()
    }
}

/// Stores results, each by itself, all in one transaction; one entry each, in their order.
///
/// # Errors
/// When the database does not take them; nothing is stored then, and the same again is safe.
pub async fn report<'e>(
    store: &Store,
    publication: &str,
    rules: &Rules,
    elements: impl Iterator<Item = &'e str>,
    who: &Who<'_>,
) -> Result<Vec<Entry>, store::Error> {
    let read: Vec<_> = elements
        .map(|element| parse_result(element, rules))
        .collect();
    let said: Vec<_> = read
        .iter()
        .filter_map(|(said, _)| said.as_ref().ok())
        .collect();
    let numbers = said.iter().filter_map(|said| said.receiver_number.clone());
    let numbers: Vec<String> = numbers.collect();
    let mut called = store.orders_called(publication, &numbers).await?;
    let mut outcomes = store_all(store, publication, &said, who).await?.into_iter();
    Ok(read
        .into_iter()
        .map(|(said, mut warnings)| match said {
            Err(faults) => Entry {
                number: None,
                outcome: Err(faults),
                warnings,
            },
            Ok(said) => {
                // One for each that was read.
                let outcome = (outcomes.next()).unwrap_or_else(|| Err(not_found("number")));
                let outcome = outcome.map(|stored| {
                    warnings.extend(stored.warnings);
                    warnings.extend(clash(&said, &mut called));
                    (stored.version, stored.status)
                });
                Entry {
                    number: Some(said.number),
                    outcome: outcome.map_err(|fault| vec![fault]),
                    warnings,
                }
            }
        })
        .collect())
}

/// Two orders may bear one number of the back office's: 1C begins anew every year, or makes one document of both.
fn clash(said: &OrderResult, called: &mut Vec<(String, i32)>) -> Option<Warning> {
    let number = said.receiver_number.as_ref()?;
    let is_anothers = is_called(called, number, |order| order != said.number);
    called.push((number.clone(), said.number));
    is_anothers.then(|| Warning::new(&"receiver_number", WarningCode::NotUnique))
}

/// Whether such an order bears the number.
fn is_called(called: &[(String, i32)], number: &str, order: impl Fn(i32) -> bool) -> bool {
    (called.iter()).any(|(its_number, its_order)| its_number == number && order(*its_order))
}

/// Whether the number is another order's, and not this one's.
pub(super) fn is_anothers(called: &[(String, i32)], number: &str, order: i32) -> bool {
    is_called(called, number, |whose| whose != order)
        && !is_called(called, number, |whose| whose == order)
}

fn not_found(field: &str) -> Fault {
    Fault {
        field: field.to_owned(),
        code: FaultCode::NotFound,
        hint: Hint::None,
    }
}

/// Stores results that were read already; an outcome for each.
pub(super) async fn store_all(
    store: &Store,
    publication: &str,
    said: &[&OrderResult],
    who: &Who<'_>,
) -> Result<Vec<Outcome>, store::Error> {
    let numbers: Vec<i32> = said.iter().map(|said| said.number).collect();
    let mut attempt = 0;
    loop {
        attempt += 1;
        let decide = |known: &HashMap<i32, Known>| decide_all(known, said);
        match store.report(publication, &numbers, who, decide).await {
            Err(store::Error::Overtaken(_)) if attempt < ATTEMPTS => {}
            outcomes => return outcomes,
        }
    }
}

/// An order once the result is stored, and what there is to say; or why it is not.
pub(super) type Outcome = Result<Stored, Fault>;

#[derive(Debug)]
pub(super) struct Stored {
    pub version: i32,
    pub status: Status,
    pub warnings: Vec<Warning>,
}

/// Decides on one after the other; gives the orders that are to be written, and an outcome for each.
fn decide_all(known: &HashMap<i32, Known>, said: &[&OrderResult]) -> (Vec<Reported>, Vec<Outcome>) {
    let mut after = known.clone();
    let outcomes = said
        .iter()
        .map(|said| {
            let missing = || not_found("number");
            let order = after.get_mut(&said.number).ok_or_else(missing)?;
            let warnings = decide(order, said)?;
            // Written once, however much of it is said.
            let before = known.get(&said.number).ok_or_else(missing)?;
            Ok(Stored {
                version: order.version + i32::from(order.status != before.status),
                status: order.status,
                warnings,
            })
        })
        .collect();
    let changed = after.into_values().filter_map(|after| {
        let before = known.get(&after.number)?;
        (*before != after).then(|| Reported {
            before: before.clone(),
            after,
        })
    });
    (changed.collect(), outcomes)
}

/// Applies a result to an order.
fn decide(order: &mut Known, said: &OrderResult) -> Result<Vec<Warning>, Fault> {
    // It may be of a history of the database that is gone. Kept, it would shut out what is said of the next versions.
    if said.version.is_some_and(|version| version > order.version) {
        return Err(not_found("version"));
    }
    let of = said.version.unwrap_or(order.version);
    let receiver = &mut order.receiver;
    let is_older = of < receiver.version;
    let mut warnings = Vec::new();
    let mut kept = |field: &str| {
        warnings.push(Warning {
            hint: Hint::Older,
            ..Warning::new(&field, WarningCode::KeptAsStored)
        });
    };
    for (field, said, stored) in [
        (
            "receiver_number",
            &said.receiver_number,
            &mut receiver.number,
        ),
        ("receiver_uid", &said.receiver_uid, &mut receiver.uid),
    ] {
        if said.is_none() || said == stored {
            continue;
        }
        if is_older && stored.is_some() {
            kept(field);
        } else {
            stored.clone_from(said);
        }
    }
    if !is_older {
        receiver.version = of;
        receiver.error.clone_from(&said.error);
    } else if said.error.is_some() {
        kept("error");
    }
    match said.status {
        Some(status) if order.status.may_become(status) => order.status = status,
        Some(_) => warnings.push(Warning::new(&"status", WarningCode::StatusNotChanged)),
        None => {}
    }
    Ok(warnings)
}

/// The answer: an entry for each result, each with the same keys.
pub fn to_json(entries: &[Entry], language: Language) -> serde_json::Result<Vec<u8>> {
    #[derive(Serialize)]
    struct Answer<'a> {
        success: bool,
        results: Vec<Written<'a>>,
    }
    serde_json::to_vec(&Answer {
        success: true,
        results: entries
            .iter()
            .map(|entry| Written(entry, language))
            .collect(),
    })
}

struct Written<'a>(&'a Entry, Language);

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(entry, language) = self;
        let faults: Vec<_> = entry.outcome.as_ref().err().into_iter().flatten().collect();
        let message = match faults.as_slice() {
            [] => String::new(),
            faults => summary(faults, *language),
        };
        let errors = faults
            .iter()
            .map(|fault| FaultText::whole(fault, *language));
        let warnings = entry.warnings.iter().map(Remark::Warning);
        let warnings = warnings.map(|warning| RemarkText(warning, *language));
        let (version, status) = entry.outcome.as_ref().ok().copied().unzip();
        let mut s = serializer.serialize_struct("Entry", 7)?;
        s.serialize_field("number", &entry.number)?;
        s.serialize_field("success", &entry.is_accepted())?;
        s.serialize_field("version", &version)?;
        s.serialize_field("status", &status.map(Status::as_str))?;
        s.serialize_field("message", &message)?;
        s.serialize_field("errors", &errors.collect::<Vec<_>>())?;
        s.serialize_field("warnings", &warnings.collect::<Vec<_>>())?;
        s.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::feed::Receiver;

    fn order(version: i32, status: Status, receiver: Receiver) -> Known {
        Known {
            number: 7,
            version,
            status,
            receiver,
        }
    }

    fn said(version: Option<i32>, number: Option<&str>, error: Option<&str>) -> OrderResult {
        OrderResult {
            number: 7,
            version,
            receiver_number: number.map(Into::into),
            receiver_uid: None,
            status: None,
            error: error.map(Into::into),
        }
    }

    fn receiver(version: i32, number: Option<&str>, error: Option<&str>) -> Receiver {
        Receiver {
            version,
            number: number.map(Into::into),
            uid: None,
            error: error.map(Into::into),
        }
    }

    #[test]
    fn an_older_version_never_clears_what_a_newer_one_said() {
        for (stored, said, due) in [
            // The first word, of this version and of none.
            (
                receiver(0, None, None),
                said(Some(3), Some("А"), None),
                receiver(3, Some("А"), None),
            ),
            (
                receiver(0, None, None),
                said(None, None, Some("нет")),
                receiver(5, None, Some("нет")),
            ),
            // A newer one takes the error back and keeps the number.
            (
                receiver(3, Some("А"), Some("нет")),
                said(Some(4), None, None),
                receiver(4, Some("А"), None),
            ),
            (
                receiver(3, Some("А"), None),
                said(Some(4), Some("Б"), None),
                receiver(4, Some("Б"), None),
            ),
            // The same once more, and something else of the same.
            (
                receiver(4, Some("Б"), None),
                said(Some(4), Some("Б"), None),
                receiver(4, Some("Б"), None),
            ),
            (
                receiver(4, Some("Б"), None),
                said(Some(4), Some("В"), Some("да")),
                receiver(4, Some("В"), Some("да")),
            ),
            // An older one adds what is not known, and no more.
            (
                receiver(4, None, Some("нет")),
                said(Some(3), Some("А"), None),
                receiver(4, Some("А"), Some("нет")),
            ),
            (
                receiver(4, Some("Б"), None),
                said(Some(3), Some("А"), Some("нет")),
                receiver(4, Some("Б"), None),
            ),
        ] {
            let mut known = order(5, Status::New, stored.clone());
            let warnings = decide(&mut known, &said).expect("taken");
            assert_eq!(known.receiver, due, "{said:?}");
            // What is not taken is said.
            let kept = |said: &Option<String>, now: &Option<String>| {
                usize::from(said.is_some() && said != now)
            };
            let left_out = kept(&said.receiver_number, &due.number) + kept(&said.error, &due.error);
            assert_eq!(warnings.len(), left_out, "{said:?} {warnings:?}");
        }
    }

    #[test]
    fn what_is_said_of_a_version_that_is_not_there_changes_nothing() {
        let stored = order(5, Status::New, receiver(3, None, None));
        let mut known = stored.clone();
        let said = OrderResult {
            status: Some(Status::Approved),
            ..said(Some(6), Some("А"), None)
        };
        assert_eq!(decide(&mut known, &said), Err(not_found("version")));
        assert_eq!(known, stored);
    }

    #[test]
    fn the_status_only_moves_forward() {
        use Status::{Approved, Completed, New, Removed};
        for (stored, sent, due) in [
            (New, Approved, Ok(Approved)),
            (New, Completed, Ok(Completed)),
            (Approved, Approved, Ok(Approved)),
            (Approved, Removed, Ok(Removed)),
            (Approved, New, Err(Approved)),
            (Removed, Approved, Err(Removed)),
            (Completed, Removed, Err(Completed)),
        ] {
            let mut known = order(5, stored, Receiver::default());
            let said = OrderResult {
                status: Some(sent),
                ..said(None, None, None)
            };
            let warnings = decide(&mut known, &said).expect("taken");
            let warning = warnings.first().map(|warning| warning.code);
            let (status, warns) = match due {
                Ok(status) => (status, None),
                Err(status) => (status, Some(WarningCode::StatusNotChanged)),
            };
            assert_eq!(
                (known.status, warning),
                (status, warns),
                "{stored:?} {sent:?}"
            );
        }
    }

    #[test]
    fn several_results_of_an_order_are_one_change_and_what_says_nothing_new_is_none() {
        let stored = order(5, Status::New, receiver(5, Some("А"), None));
        let known = HashMap::from([(7, stored)]);
        let with = |status| OrderResult {
            status: Some(status),
            ..said(Some(5), Some("А"), None)
        };
        let (first, second, unknown) = (
            with(Status::Approved),
            with(Status::Completed),
            OrderResult {
                number: 8,
                ..with(Status::New)
            },
        );
        let (changed, outcomes) = decide_all(&known, &[&first, &second, &unknown]);
        let states: Vec<_> = outcomes
            .iter()
            .map(|outcome| outcome.as_ref().ok().map(|o| (o.version, o.status)))
            .collect();
        assert_eq!(
            states,
            [
                Some((6, Status::Approved)),
                Some((6, Status::Completed)),
                None
            ]
        );
        assert_eq!(changed.len(), 1);
        assert_eq!(changed[0].after.status, Status::Completed);
        let (changed, _) = decide_all(&known, &[&said(Some(5), Some("А"), None)]);
        assert!(changed.is_empty());
    }
}
