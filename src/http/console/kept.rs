//! Rejected orders and those with remarks: what of them is open, grouped by what is wrong.

use askama::Template;
use axum::{
    extract::Query,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use serde::Deserialize;
use uuid::Uuid;

use super::{
    as_it_came::{Person, text},
    faults::{group_title, in_words},
    page::{Notice, Page, Section, base, encoded, render},
    refusal::Refusal,
    session::Desk,
    shown,
    texts::{Texts, texts},
};
use crate::{
    order::patch::value_at,
    store::{
        console::{KeptFilter, KeptGroup, KeptPosition, KeptRow, LOOKED_AT},
        journal::KeptOrder,
    },
};

const ROWS: usize = 50;
/// Letters of a name, or of what stands in its place, that a row shows.
const LONGEST_PART: usize = 60;
/// Phones that it shows.
const PHONES: usize = 2;
/// Faults of an order that its row shows.
const FAULTS: usize = 4;

/// Which of the two lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Rejected,
    Remarks,
}

impl Kind {
    pub fn of(kept: &KeptOrder) -> Self {
        if kept.warnings.is_none() {
            Self::Rejected
        } else {
            Self::Remarks
        }
    }

    pub fn section(self) -> Section {
        match self {
            Self::Rejected => Section::Rejected,
            Self::Remarks => Section::Remarks,
        }
    }

    fn hint(self, t: &Texts) -> &'static str {
        match self {
            Self::Rejected => t.rejected_hint,
            Self::Remarks => t.remarks_hint,
        }
    }
}

#[derive(Template)]
#[template(path = "kept.html")]
struct KeptList {
    page: Page,
    base: String,
    /// Of this list.
    path: String,
    section: &'static str,
    hint: &'static str,
    is_of_rejected: bool,
    asked: Asked,
    all: Tab,
    groups: Vec<Tab>,
    /// Whether the groups are of the newest only.
    is_cut: Option<String>,
    rows: Vec<Row>,
    /// How many all that match are.
    matching: String,
    /// The query of the next page.
    older: Option<String>,
    is_first: bool,
    /// Of sending all that match again, where that goes on.
    goes_on: Option<Progress>,
}

/// How far it is with sending all that match again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Progress {
    pub sent: usize,
    pub accepted: usize,
    /// Behind which it goes on; `None`: it is done.
    pub next: Option<KeptPosition>,
}

impl Progress {
    fn after(&self) -> String {
        self.next.map_or_else(String::new, |next| after_text(&next))
    }
}

fn after_text(position: &KeptPosition) -> String {
    format!("{}.{}", position.batch, position.position)
}

struct Tab {
    title: String,
    count: Option<usize>,
    query: String,
    is_current: bool,
}

struct Row {
    batch: Uuid,
    position: i32,
    received: String,
    key: String,
    /// Whose it is and what it costs, as it came.
    about: Vec<String>,
    order: Option<i32>,
    who: String,
    faults: Vec<String>,
    more_faults: usize,
    repeated: i32,
}

/// The filter as it stands in the URL. What cannot be read is as if it were not there.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    pub code: String,
    /// Absent: any; empty: of the order as a whole.
    pub field: Option<String>,
    #[serde(default)]
    after: String,
    #[serde(default)]
    done: String,
    /// Orders sent again so far, and of these accepted.
    sent: Option<usize>,
    accepted: Option<usize>,
}

impl Asked {
    pub fn filter(&self, kind: Kind) -> KeptFilter {
        let code = Some(self.code.clone()).filter(|code| !code.is_empty());
        KeptFilter {
            remarks: kind == Kind::Remarks,
            field: self.field.clone().filter(|_| code.is_some()),
            code,
        }
    }

    pub fn after(&self) -> Option<KeptPosition> {
        let (batch, position) = self.after.split_once('.')?;
        Some(KeptPosition {
            batch: batch.parse().ok()?,
            position: position.parse().ok()?,
        })
    }

    /// The query of a list with this filter that tells how far sending is.
    pub fn query_of(&self, progress: &Progress) -> String {
        let (sent, accepted) = (progress.sent.to_string(), progress.accepted.to_string());
        let after = progress.after();
        let more = [
            ("done", "sent"),
            ("sent", &*sent),
            ("accepted", &*accepted),
            ("after", &*after),
        ];
        Self::query(&self.code, self.field.as_deref(), &more)
    }

    /// How far sending all that match is.
    pub fn progress(&self) -> Progress {
        Progress {
            sent: self.sent.unwrap_or(0),
            accepted: self.accepted.unwrap_or(0),
            next: self.after(),
        }
    }

    /// The query of a list with that filter.
    pub fn query(code: &str, field: Option<&str>, more: &[(&str, &str)]) -> String {
        let code = Some(("code", code)).filter(|(_, code)| !code.is_empty());
        let field = field.filter(|_| code.is_some());
        let field = field.map(|field| ("field", field));
        let parameters = code.into_iter().chain(field).chain(more.iter().copied());
        let parameters = parameters.map(|(name, value)| format!("{name}={}", encoded(value)));
        format!("?{}", parameters.collect::<Vec<_>>().join("&"))
    }
}

pub(super) async fn rejected(desk: Desk, asked: Query<Asked>) -> Result<Response, Refusal> {
    list(Kind::Rejected, &desk, asked.0).await
}

pub(super) async fn remarks(desk: Desk, asked: Query<Asked>) -> Result<Response, Refusal> {
    list(Kind::Remarks, &desk, asked.0).await
}

async fn list(kind: Kind, desk: &Desk, asked: Asked) -> Result<Response, Refusal> {
    let (publication, language) = (&desk.publication, desk.visit.language);
    let t = texts(language);
    let filter = asked.filter(kind);
    let progress = Some(asked.progress()).filter(|_| asked.done == "sent");
    // Sending goes on behind a row; the list begins with the newest all the same.
    let after = asked.after().filter(|_| progress.is_none());
    let found = desk
        .store()
        .list_kept(&publication.name, &filter, after, ROWS)
        .await?;
    let query = |more: &[(&str, &str)]| Asked::query(&asked.code, asked.field.as_deref(), more);
    let older = found
        .next
        .map(|next| query(&[("after", &after_text(&next))]));
    let group = |group: KeptGroup| Tab {
        title: group_title(&group, kind == Kind::Remarks, language),
        count: Some(group.orders),
        query: Asked::query(&group.code, Some(&group.field), &[]),
        is_current: filter.code.as_ref() == Some(&group.code)
            && filter.field.as_ref() == Some(&group.field),
    };
    let notice = match (asked.done.as_str(), progress) {
        ("settled", _) => Some(Notice::good(t.kept_settled)),
        (_, Some(progress)) => {
            let text = t.sent_again.replacen("{}", &progress.sent.to_string(), 1);
            let text = text.replacen("{}", &progress.accepted.to_string(), 1);
            Some(if progress.accepted == 0 {
                Notice::note(text)
            } else {
                Notice::good(text)
            })
        }
        _ => None,
    };
    let section = kind.section();
    let rows = found.rows.into_iter().map(|row| Row::of(row, desk, t));
    let page = KeptList {
        base: base(&publication.name),
        path: section.href(&publication.name),
        section: section.path(),
        hint: kind.hint(t),
        is_of_rejected: kind == Kind::Rejected,
        all: Tab {
            title: t.all.to_owned(),
            count: None,
            query: Asked::query("", None, &[]),
            is_current: filter.code.is_none(),
        },
        groups: found.groups.into_iter().map(group).collect(),
        is_cut: found
            .is_cut
            .then(|| t.groups_cut.replace("{}", &LOOKED_AT.to_string())),
        rows: rows.collect(),
        matching: match found.next {
            None => found.matching.to_string(),
            Some(_) => format!("{}+", found.matching),
        },
        older,
        is_first: after.is_none(),
        goes_on: progress.filter(|progress| progress.next.is_some()),
        page: Page::of(desk, section, section.title(t)).with(notice),
        asked,
    };
    Ok(render(StatusCode::OK, &page))
}

/// What an order is called in a list: its id, or where in its request it was.
pub(super) fn shown_key(key: &str, t: &Texts) -> String {
    let place = key
        .strip_prefix('#')
        .and_then(|place| place.parse::<usize>().ok());
    place.map_or_else(
        || key.to_owned(),
        |place| {
            t.without_id
                .replace("{}", &place.saturating_add(1).to_string())
        },
    )
}

/// Client, phone and sum of an order as it came, as far as they can be read.
pub(super) fn about(body: &str) -> Vec<String> {
    let person = Person::of(body);
    let phones = person.phones.into_iter().take(PHONES);
    let parts = person.name.into_iter().chain(phones);
    let parts = parts.chain(value_at(body, "total").and_then(text));
    let short = parts.map(|text| text.chars().take(LONGEST_PART).collect());
    short.collect()
}

impl Row {
    fn of(row: KeptRow, desk: &Desk, t: &Texts) -> Self {
        let language = desk.visit.language;
        let entries = row.entries.as_array().map_or(&[][..], Vec::as_slice);
        let faults = entries.iter().take(FAULTS);
        Self {
            received: shown::moment(row.received_at, desk.publication.rules.timezone),
            faults: faults.map(|entry| in_words(entry, language)).collect(),
            more_faults: entries.len().saturating_sub(FAULTS),
            batch: row.batch,
            position: row.position,
            key: shown_key(&row.order_key, t),
            about: row.body.as_deref().map_or_else(Vec::new, about),
            order: row.order_number,
            who: row.login.unwrap_or_else(|| t.by_sender.to_owned()),
            repeated: row.repeated,
        }
    }
}

/// Where somebody goes who settled something on a list with that filter.
pub(super) fn back_to_list(desk: &Desk, kind: Kind, code: &str, field: Option<&str>) -> Response {
    let list = kind.section().href(&desk.publication.name);
    let query = Asked::query(code, field, &[("done", "settled")]);
    Redirect::to(&format!("{list}{query}")).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_whose_order_it_is_as_far_as_it_can_be_read() {
        let body = r#"{"total": "дорого", "client": {"username": " Анна ", "phones": ["8 908", "5"], "phone": 7}}"#;
        assert_eq!(about(body), ["Анна", "7", "8 908", "дорого"]);
        for nothing in ["", "[1]", "{\"client\": []}", "no json"] {
            assert_eq!(about(nothing), [""; 0], "{nothing}");
        }
        let t = texts(crate::order::fault::Language::Ru);
        assert_eq!(shown_key("#3", t), "без id (4-й в запросе)");
        assert_eq!(shown_key("#a", t), "#a");
    }

    #[test]
    fn a_filter_goes_into_the_url_and_comes_back() {
        let query = Asked::query("required", Some("order_item_list[].price"), &[]);
        let uri = format!("http://a/{query}").parse().expect("a URI");
        let back: Asked = Query::try_from_uri(&uri).expect("a query").0;
        let filter = back.filter(Kind::Rejected);
        assert_eq!(filter.code.as_deref(), Some("required"));
        assert_eq!(filter.field.as_deref(), Some("order_item_list[].price"));
        // A fault of the order as a whole has no field.
        assert_eq!(
            Asked::query("conflict", Some(""), &[]),
            "?code=conflict&field="
        );
        assert_eq!(Asked::query("", Some("total"), &[]), "?");
        let garbage = Asked {
            after: "x.1".into(),
            field: Some("total".into()),
            ..Asked::default()
        };
        assert_eq!(garbage.after(), None);
        assert_eq!(garbage.filter(Kind::Remarks).field, None);
    }
}
