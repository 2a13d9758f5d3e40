//! What a target answered to a batch: a stranger's input. Ids that were not sent, numbers of two orders and statuses that nobody
//! knows are ignored and noted.

use std::collections::HashSet;

use serde_json::{Map, Value};

use crate::{
    config::Protocol,
    order::{model::Status, wire::is_blank},
};

/// Characters that are kept of why an order was refused.
const LONGEST_REASON: usize = 500;
/// Characters of a number that 1C gives.
const LONGEST_NUMBER: usize = 255;

/// How an order that was sent may be named in the answer.
#[derive(Debug, Clone)]
pub struct Sent {
    /// As in the request.
    pub id: String,
    pub external_id: String,
}

/// What became of one order.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    Taken(Taken),
    /// Why not, in the target's words. They may name a person: they are shown to the operator, and never in the log.
    Refused(String),
}

/// What the target said of an order that it took.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Taken {
    pub number: Option<String>,
    pub status: Option<Status>,
}

/// An answer, read.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// Of each order that was sent, in the same order.
    pub verdicts: Vec<Verdict>,
    /// What was ignored, each kind once.
    pub notes: Vec<&'static str>,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error("its answer is not JSON")]
    NoJson,
    #[error("its answer is no object with the orders in `data`")]
    OtherJson,
    #[error("its answer says `success: false` for the whole batch")]
    Failed,
    #[error("its answer names none of the orders that were sent")]
    NamesNone,
}

/// Reads the body of a 2xx.
pub fn read(protocol: Protocol, body: &[u8], sent: &[Sent]) -> Result<Answer, Unreadable> {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body);
    let answer: Value = serde_json::from_slice(body).map_err(|_| Unreadable::NoJson)?;
    let Value::Object(answer) = answer else {
        return Err(Unreadable::OtherJson);
    };
    if !answer.get("success").is_some_and(is_yes) {
        return Err(if answer.contains_key("success") {
            Unreadable::Failed
        } else {
            Unreadable::OtherJson
        });
    }
    let nothing = Map::new();
    let entries = match answer.get("data") {
        Some(Value::Object(entries)) => entries,
        // PHP's and others' empty map; an app need say no more than that it took them all.
        Some(Value::Array(list)) if list.is_empty() => &nothing,
        None | Some(Value::Null) => &nothing,
        _ => return Err(Unreadable::OtherJson),
    };
    let entry = |sent: &Sent| {
        let by_external_id = (protocol == Protocol::Aqua).then_some(&sent.external_id);
        let mut ids = [Some(&sent.id), by_external_id].into_iter().flatten();
        ids.find_map(|id| entries.get(id))
    };
    let mut reader = Reader::default();
    let found: Vec<Option<&Value>> = sent.iter().map(entry).collect();
    let named = found.iter().flatten().count();
    if named == 0 {
        return match protocol {
            Protocol::Aqua if entries.is_empty() => Ok(Answer {
                verdicts: (sent.iter().map(|_| Verdict::Taken(Taken::default()))).collect(),
                notes: Vec::new(),
            }),
            _ => Err(Unreadable::NamesNone),
        };
    }
    if named < entries.len() {
        reader.note("orders that were not sent");
    }
    let verdicts = sent.iter().zip(found);
    let verdicts = verdicts.map(|(sent, entry)| reader.verdict(protocol, sent, entry));
    Ok(Answer {
        verdicts: verdicts.collect(),
        notes: reader.notes,
    })
}

/// What a refusal of the whole request says, if it is one of ours.
pub fn reason(body: &[u8]) -> Option<String> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    Some(reason_of(answer.as_object()?)).filter(|reason| !reason.is_empty())
}

#[derive(Default)]
struct Reader {
    notes: Vec<&'static str>,
    numbers: HashSet<String>,
}

impl Reader {
    fn note(&mut self, what: &'static str) {
        if !self.notes.contains(&what) {
            self.notes.push(what);
        }
    }

    fn verdict(&mut self, protocol: Protocol, sent: &Sent, entry: Option<&Value>) -> Verdict {
        let Some(entry) = entry.and_then(Value::as_object) else {
            return Verdict::Refused("its answer says nothing of the order".into());
        };
        if !entry.get("success").is_some_and(is_yes) {
            return Verdict::Refused(reason_of(entry));
        }
        let said = match entry.get("data") {
            Some(Value::Array(list)) => list.first(),
            other => other,
        };
        let Some(said) = said.and_then(Value::as_object) else {
            return Verdict::Taken(Taken::default());
        };
        // What the app calls an order is known already, and its status is ours.
        if protocol == Protocol::Aqua {
            return Verdict::Taken(Taken::default());
        }
        let whose = said.get("external_id").and_then(id);
        if whose.is_some_and(|whose| whose != sent.id) {
            self.note("another order's data under the id of one that was sent");
            return Verdict::Taken(Taken::default());
        }
        Verdict::Taken(Taken {
            number: self.number(said.get("id")),
            status: self.status(said.get("status")),
        })
    }

    fn number(&mut self, value: Option<&Value>) -> Option<String> {
        let number = id(value.filter(|value| !value.is_null())?);
        let Some(number) = number.filter(|number| number.chars().count() <= LONGEST_NUMBER) else {
            self.note("a number that can be none");
            return None;
        };
        if !self.numbers.insert(number.clone()) {
            self.note("one number of two orders");
            return None;
        }
        Some(number)
    }

    fn status(&mut self, value: Option<&Value>) -> Option<Status> {
        let value = value.filter(|value| !value.is_null())?;
        let status = value.as_str().and_then(Status::parse);
        if status.is_none() {
            self.note("a status that nobody knows");
        }
        status
    }
}

/// An id or a number as a text; nothing where it is none.
fn id(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.trim_matches(is_blank).to_owned(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let is_none = text.is_empty() || text == "0" || text.chars().any(char::is_control);
    (!is_none).then_some(text)
}

fn is_yes(value: &Value) -> bool {
    match value {
        Value::Bool(yes) => *yes,
        Value::Number(number) => number.as_u64() == Some(1),
        Value::String(text) => text.eq_ignore_ascii_case("true") || text == "1",
        _ => false,
    }
}

/// `message`, and of each of the `errors` its field and what is wrong with it.
fn reason_of(refused: &Map<String, Value>) -> String {
    let text = |object: &Map<String, Value>, key: &str| {
        let text = object.get(key).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    let mut reason = text(refused, "message");
    let errors = refused.get("errors").and_then(Value::as_array);
    let message = reason.clone();
    for error in errors.into_iter().flatten().filter_map(Value::as_object) {
        let said = text(error, "message");
        // One of ours says it in its message already.
        if !said.is_empty() && message.contains(&said) {
            continue;
        }
        let what = [text(error, "code"), said];
        let what: Vec<String> = what.into_iter().filter(|what| !what.is_empty()).collect();
        let field = text(error, "field");
        if !reason.is_empty() {
            reason.push_str("; ");
        }
        reason.push_str(&field);
        if !field.is_empty() && !what.is_empty() {
            reason.push_str(": ");
        }
        reason.push_str(&what.join(", "));
    }
    // What PostgreSQL keeps in no text, and what would steer a terminal.
    reason.retain(|char| !char.is_control());
    if reason.is_empty() {
        return "refused without a word".into();
    }
    reason.chars().take(LONGEST_REASON).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sent(ids: &[&str]) -> Vec<Sent> {
        ids.iter()
            .map(|id| Sent {
                id: (*id).to_owned(),
                external_id: format!("site-{id}"),
            })
            .collect()
    }

    fn one_c(answer: &Value, ids: &[&str]) -> Result<Answer, Unreadable> {
        read(Protocol::OneC, answer.to_string().as_bytes(), &sent(ids))
    }

    fn taken(number: Option<&str>, status: Option<Status>) -> Verdict {
        Verdict::Taken(Taken {
            number: number.map(ToOwned::to_owned),
            status,
        })
    }

    #[test]
    fn each_order_that_was_sent_has_its_verdict() {
        let answer = json!({ "success": true, "data": {
            "c": { "success": true, "data": [] },
            "a": { "success": true, "data": [{ "id": "50894", "external_id": "a", "status": "approved" }] },
            "b": { "success": false, "data": [], "message": "нет", "errors": [{ "field": "total", "code": "required" }] },
            "e": { "success": 1, "data": { "id": 7, "status": null } },
        }});
        let answer = one_c(&answer, &["a", "b", "c", "d", "e"]).expect("readable");
        let due = [
            taken(Some("50894"), Some(Status::Approved)),
            Verdict::Refused("нет; total: required".into()),
            taken(None, None),
            Verdict::Refused("its answer says nothing of the order".into()),
            taken(Some("7"), None),
        ];
        assert_eq!(answer.verdicts, due);
        assert_eq!(answer.notes, [""; 0]);
    }

    #[test]
    fn what_a_message_says_already_is_not_said_again() {
        let refused = json!({
            "message": "Заказ не принят: total — обязательное поле",
            "errors": [
                { "field": "total", "code": "required", "message": "обязательное поле" },
                { "field": "id", "code": "conflict", "message": "занят" },
            ],
        });
        let reason = reason_of(refused.as_object().expect("an object"));
        let due = "Заказ не принят: total — обязательное поле; id: conflict, занят";
        assert_eq!(reason, due);
    }

    #[test]
    fn ids_never_sent_numbers_that_clash_and_statuses_unknown_are_ignored_and_noted() {
        let order = |id: &str, number: Value, status: &str| json!({ "success": true, "data": [{ "id": number, "external_id": id, "status": status }] });
        let answer = json!({ "success": true, "data": {
            "a": order("a", json!("1"), "delivered"),
            "b": order("b", json!(1), "new"),
            "c": order("a", json!("3"), "completed"),
            "d": order("d", json!({}), "new"),
            "e": order("e", json!("9".repeat(256)), "new"),
            "f": order("f", json!("0"), "new"),
            "stranger": order("stranger", json!("4"), "completed"),
        }});
        let answer = one_c(&answer, &["a", "b", "c", "d", "e", "f"]).expect("readable");
        let new = Some(Status::New);
        let due = [
            taken(Some("1"), None),
            taken(None, new),
            taken(None, None),
            taken(None, new),
            taken(None, new),
            taken(None, new),
        ];
        assert_eq!(answer.verdicts, due);
        assert_eq!(answer.notes.len(), 5, "{:?}", answer.notes);
    }

    #[test]
    fn what_is_no_answer_of_such_a_target_is_unreadable() {
        for (body, due) in [
            ("<html>Sign in</html>", Unreadable::NoJson),
            ("", Unreadable::NoJson),
            ("[]", Unreadable::OtherJson),
            ("{}", Unreadable::OtherJson),
            (r#"{"data":{}}"#, Unreadable::OtherJson),
            (r#"{"success":true,"data":7}"#, Unreadable::OtherJson),
            (r#"{"success":false,"data":{}}"#, Unreadable::Failed),
            (r#"{"success":true,"data":{}}"#, Unreadable::NamesNone),
            (r#"{"success":true,"data":[]}"#, Unreadable::NamesNone),
            (
                r#"{"success":true,"data":{"b":{"success":true}}}"#,
                Unreadable::NamesNone,
            ),
        ] {
            let answer = read(Protocol::OneC, body.as_bytes(), &sent(&["a"]));
            assert_eq!(answer, Err(due), "{body}");
        }
        let with_bom = "\u{FEFF}{\"success\":true,\"data\":{\"a\":{\"success\":true}}}";
        assert!(read(Protocol::OneC, with_bom.as_bytes(), &sent(&["a"])).is_ok());
    }

    #[test]
    fn an_app_may_say_no_more_than_yes_and_gives_no_numbers() {
        let aqua = |answer: Value| {
            read(
                Protocol::Aqua,
                answer.to_string().as_bytes(),
                &sent(&["1", "2"]),
            )
        };
        let all = aqua(json!({ "success": true })).expect("readable").verdicts;
        assert_eq!(all, [taken(None, None), taken(None, None)]);
        let by_its_own_ids = json!({ "success": true, "data": {
            "site-1": { "success": true, "data": [{ "id": "site-1", "status": "removed" }] },
            "2": { "success": false, "message": "" },
        }});
        let each = aqua(by_its_own_ids).expect("readable").verdicts;
        let refused = Verdict::Refused("refused without a word".into());
        assert_eq!(each, [taken(None, None), refused]);
    }

    #[test]
    fn a_reason_is_kept_short_and_plain() {
        let body = json!({ "message": "\u{1b}[31m".to_owned() + &"я".repeat(900) }).to_string();
        let reason = reason(body.as_bytes()).expect("a reason");
        assert_eq!(reason.chars().count(), LONGEST_REASON);
        assert!(!reason.contains('\u{1b}'));
        assert_eq!(super::reason(b"<html>"), None);
    }
}
