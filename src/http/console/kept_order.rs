//! One kept order: its JSON beside what is wrong with it, a field for each value that is; settled as it is, or put on its list again.

use askama::Template;
use axum::{
    Form,
    extract::{Path, Query},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::{
    as_it_came::Readable,
    asked::Done,
    escape::spelled_out,
    faults::{came, in_words, path_title},
    kept::{Kind, back_to_list, shown_key},
    kept_fields::{Input, Inputs, Written},
    page::{Notice, Page, base, render},
    refusal::Refusal,
    session::Desk,
    shown,
    texts::texts,
};
use crate::{
    intake::resubmit::{Resubmitted, one_order},
    order::{fault::Language, legible::laid_out},
    store::{
        console::Act,
        journal::{Filter, KeptOrder, Since, Versions},
    },
};

/// A longer order is not corrected in a browser.
pub(super) const LONGEST: usize = 256 * 1024;
/// The form of one: of a Cyrillic letter's two bytes six are sent.
pub(super) const FORM_BYTES: usize = 4 * LONGEST;

#[derive(Template)]
#[template(path = "kept_order.html")]
pub(super) struct KeptOrderPage {
    page: Page,
    base: String,
    /// Of the list that it is on, and what that is called.
    list: String,
    list_title: &'static str,
    path: String,
    order: Option<i32>,
    received: String,
    who: String,
    request_id: String,
    repeated: i32,
    badge: &'static str,
    badge_class: &'static str,
    told: Told,
    /// What a person reads in it; `None`: nothing is left to read.
    readable: Option<Readable>,
    /// Whether its text was erased.
    is_erased: bool,
    /// Whether it may be put on the list again.
    may_reopen: bool,
    /// Who settled it, and when.
    settled: Option<String>,
    /// What is in the field; `None`: it is too long for one.
    text: Option<String>,
    /// Whether that is what somebody wrote.
    is_unsaved: bool,
    /// Who is writing it.
    writer: String,
    /// What somebody wrote while another settled it.
    in_vain: Option<String>,
    rows: usize,
    /// As it came.
    original: String,
    confirm: Option<Confirm>,
}

/// What is wrong with it, and with what somebody made of it.
struct Told {
    verdict: Option<Verdict>,
    faults: Vec<Fault>,
    /// Values that may be corrected besides.
    others: Vec<Fault>,
    has_fields: bool,
}

/// What is wrong, where in the text, what stands there, and the field in which it is corrected.
struct Fault {
    text: String,
    path: String,
    came: Option<String>,
    input: Option<Input>,
}

/// What would become of the text.
struct Verdict {
    class: &'static str,
    title: String,
    errors: Vec<Fault>,
    /// Of what is taken: nothing need be corrected for it.
    warnings: Vec<String>,
}

/// What sending it would write over, and the versions that somebody agrees to write over.
struct Confirm {
    text: String,
    versions: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Which {
    batch: Uuid,
    position: i32,
}

#[derive(Debug, Deserialize)]
pub(super) struct Settled {
    /// On a list: he goes back to it, with its filter.
    #[serde(default)]
    list: String,
    #[serde(default)]
    code: String,
    field: Option<String>,
}

/// What is shown besides the kept order itself.
#[derive(Default)]
pub(super) struct Shown<'s> {
    /// What somebody wrote; else it is as it came.
    pub written: Option<&'s Written>,
    pub notice: Option<Notice>,
    /// What a check said.
    pub checked: Option<&'s Resubmitted>,
    /// The order that the text would become or change.
    pub over: Option<Over>,
}

/// A stored order that somebody would write over without knowing.
#[derive(Clone, Copy)]
pub(super) struct Over {
    since: Option<Since>,
    now: Versions,
}

impl Over {
    /// What a text with that id would be written over: something that was stored since the kept order came in, or an order that has
    /// nothing to do with it.
    pub async fn of(desk: &Desk, kept: &KeptOrder, key: &str) -> Result<Option<Self>, Refusal> {
        let name = &desk.publication.name;
        let Some(now) = desk.store().versions(name, key).await? else {
            return Ok(None);
        };
        if key != kept.order_key {
            return Ok(Some(Self { since: None, now }));
        }
        let since = kept.changed_since(&now);
        Ok(since.map(|since| Self {
            since: Some(since),
            now,
        }))
    }

    pub fn stamp(&self) -> String {
        let now = &self.now;
        format!("{}.{}.{}", now.order, now.order_version, now.client_version)
    }
}

pub(super) async fn read(desk: &Desk, which: &Which) -> Result<KeptOrder, Refusal> {
    let filter = Filter {
        position: Some(which.position),
        limit: 1,
        ..Filter::default()
    };
    let name = &desk.publication.name;
    let found = desk
        .store()
        .journal_orders(name, Some(which.batch), &filter)
        .await?;
    found.into_iter().next().ok_or(Refusal::NotFound)
}

pub(super) async fn show(
    desk: Desk,
    Path(which): Path<Which>,
    Query(done): Query<Done>,
) -> Result<Response, Refusal> {
    let t = texts(desk.visit.language);
    let kept = read(&desk, &which).await?;
    let notice = match done.done.as_str() {
        "settled" => Some(Notice::good(t.kept_settled)),
        "reopened" => Some(Notice::good(t.kept_reopened)),
        "rejected" => Some(Notice::bad(t.rejected_again)),
        _ => None,
    };
    let shown = Shown {
        notice,
        ..Shown::default()
    };
    let page = page(&desk, &kept, shown).await?;
    Ok(render(StatusCode::OK, &page))
}

pub(super) async fn settle(
    desk: Desk,
    Path(which): Path<Which>,
    Form(form): Form<Settled>,
) -> Result<Response, Refusal> {
    let kept = read(&desk, &which).await?;
    let name = &desk.publication.name;
    let act = Act::of(&desk.visit.user.login);
    desk.store()
        .settle_kept(name, &kept, Some((act, "settle", kept.order_number)))
        .await?;
    Ok(if form.list.is_empty() {
        Redirect::to(&format!("{}?done=settled", path(&desk, &kept))).into_response()
    } else {
        back_to_list(&desk, Kind::of(&kept), &form.code, form.field.as_deref())
    })
}

/// Puts it on its list again.
pub(super) async fn reopen(desk: Desk, Path(which): Path<Which>) -> Result<Response, Refusal> {
    let kept = read(&desk, &which).await?;
    let act = Act::of(&desk.visit.user.login);
    desk.store()
        .reopen_kept(&desk.publication.name, &kept, act)
        .await?;
    let to = format!("{}?done=reopened", path(&desk, &kept));
    Ok(Redirect::to(&to).into_response())
}

pub(super) fn path(desk: &Desk, kept: &KeptOrder) -> String {
    let base = base(&desk.publication.name);
    format!("{base}/kept/{}/{}", kept.batch, kept.position)
}

/// Who settled it, and when.
pub(super) fn settled(kept: &KeptOrder, desk: &Desk) -> Option<String> {
    let t = texts(desk.visit.language);
    let who = kept.settled_by.as_deref().unwrap_or(t.by_itself);
    let at = shown::moment(kept.settled_at?, desk.publication.rules.timezone);
    Some(format!("{who}, {at}"))
}

/// What is wrong, each value with its field once: of what a check found, of what was found when it came, and of what somebody had
/// before him besides. `text`: what may be corrected.
fn told(desk: &Desk, kept: &KeptOrder, shown: &Shown<'_>, text: Option<&str>) -> Told {
    let language = desk.visit.language;
    let rules = &desk.publication.rules;
    let mut inputs = text.map(|text| {
        let order = one_order(text).ok();
        Inputs::new(order, &kept.body, shown.written, rules, language)
    });
    let mut input = |path: &str| inputs.as_mut()?.make(path);
    let body: Value = serde_json::from_str(&kept.body).unwrap_or_default();
    let fault = |text, path: &str, input| Fault {
        text,
        came: came(&body, path),
        path: path.to_owned(),
        input,
    };
    let mut fault_of = |entry: &Value| {
        let path = path_of(entry);
        fault(in_words(entry, language), path, input(path))
    };
    // One with remarks is stored: sending it changes that order, as one that stands in its way would be changed.
    let is_own = (shown.checked).is_some_and(|checked| checked.key == kept.order_key);
    let own = kept.order_number.filter(|_| is_own);
    let changed = (shown.over.map(|over| over.now.order)).or(own);
    let verdict = shown
        .checked
        .map(|checked| verdict(checked, changed, language, &mut fault_of));
    let is_told = |entry: &Value| {
        let text = in_words(entry, language);
        let mut told = verdict.iter().flat_map(|verdict| &verdict.errors);
        told.any(|told| told.path == path_of(entry) && told.text == text)
    };
    let mut faults = Vec::new();
    let mut others = Vec::new();
    let mut beside = Vec::new();
    for entry in kept.entries() {
        // A period that ends before it begins may as well begin too late.
        let is_period = path_of(entry) == "shipping_date_to" && entry["code"] == "invalid_range";
        beside.extend(is_period.then_some("shipping_date_from"));
        // What is still so is told once.
        if !is_told(entry) {
            faults.push(fault_of(entry));
        }
    }
    others.extend(beside.into_iter().filter_map(&mut input));
    others.extend(inputs.iter_mut().flat_map(Inputs::make_others));
    let other = |input: Input| {
        let path = input.path.clone();
        fault(path_title(&path, language), &path, Some(input))
    };
    Told {
        verdict,
        faults,
        others: others.into_iter().map(other).collect(),
        has_fields: inputs.is_some_and(|inputs| inputs.has_some()),
    }
}

/// What a check said; where the order would be rejected, with fields for what is wrong.
fn verdict(
    checked: &Resubmitted,
    changed: Option<i32>,
    language: Language,
    fault: &mut dyn FnMut(&Value) -> Fault,
) -> Verdict {
    let t = texts(language);
    let (class, title) = match changed {
        _ if !checked.is_accepted() => ("bad", t.would_be_rejected.to_owned()),
        Some(number) => ("warn", t.would_change.replace("{}", &number.to_string())),
        None => ("good", t.would_be_accepted.to_owned()),
    };
    let listed = |list: &str| checked.entry[list].as_array().into_iter().flatten();
    Verdict {
        class,
        title,
        errors: listed("errors").map(fault).collect(),
        warnings: listed("warnings")
            .map(|entry| in_words(entry, language))
            .collect(),
    }
}

fn path_of(entry: &Value) -> &str {
    entry["field"].as_str().unwrap_or_default()
}

pub(super) async fn page(
    desk: &Desk,
    kept: &KeptOrder,
    shown: Shown<'_>,
) -> Result<KeptOrderPage, Refusal> {
    let (language, zone) = (desk.visit.language, desk.publication.rules.timezone);
    let t = texts(language);
    let kind = Kind::of(kept);
    let section = kind.section();
    let name = &desk.publication.name;
    let known = match shown.over {
        Some(known) => Some(known),
        None => Over::of(desk, kept, &kept.order_key).await?,
    };
    // Of a rejected order that came in since, and of a changed one, it is said before somebody has worked on it.
    let confirm = known.map(|over| Confirm {
        text: match over.since {
            Some(Since::CameIn) => t.since_came_in,
            Some(Since::OrderChanged) => t.since_order_changed,
            Some(Since::ClientChanged) => t.since_client_changed,
            None => t.over_another_order,
        }
        .replace("{}", &over.now.order.to_string()),
        versions: over.stamp(),
    });
    let original = laid_out(&kept.body);
    let text = match shown.written {
        // As a browser sends it, lines end with CR LF.
        Some(written) => Some(spelled_out(&written.order.replace("\r\n", "\n")).into_owned()),
        None if original.len() <= LONGEST => Some(original.clone()),
        None => None,
    };
    let is_unsaved = text.as_ref().is_some_and(|text| *text != original);
    let is_settled = kept.settled_at.is_some();
    let in_vain = text
        .clone()
        .filter(|_| is_settled && shown.written.is_some());
    let is_erased = kept.is_erased();
    let (badge, badge_class) = match kind {
        _ if is_settled => (t.settled, "none"),
        Kind::Rejected => (t.event_rejected, "bad"),
        Kind::Remarks => (t.event_remarks, "warn"),
    };
    let title = format!("{} {}", t.order, shown_key(&kept.order_key, t));
    // As a check found it, or as it came.
    let readable = match (shown.checked, &text) {
        (Some(checked), Some(text)) => {
            let entries = ["errors", "warnings"].into_iter();
            let entries = entries.filter_map(|list| checked.entry[list].as_array());
            (text.as_str(), entries.flatten().collect::<Vec<&Value>>())
        }
        _ => (kept.body.as_str(), kept.entries().collect()),
    };
    let (order, entries) = readable;
    let readable = one_order(order)
        .ok()
        .map(|order| Readable::of(order, &entries, zone, language));
    let correctable = text.as_deref().filter(|_| !is_settled && !is_erased);
    let told = told(desk, kept, &shown, correctable);
    Ok(KeptOrderPage {
        base: base(name),
        list: section.href(name),
        list_title: section.title(t),
        path: path(desk, kept),
        order: kept.order_number,
        received: shown::moment(kept.received_at, zone),
        who: kept.login.clone().unwrap_or_else(|| t.by_sender.to_owned()),
        request_id: kept.request_id.clone(),
        repeated: kept.repeated,
        badge,
        badge_class,
        told,
        readable: readable.filter(|readable| !readable.is_empty()),
        is_erased,
        // An order that was taken is not rejected any more, and of an erased one nothing is left to look at.
        may_reopen: kept.settled_by.is_some()
            && !is_erased
            && (kind == Kind::Remarks || kept.order_number.is_none()),
        settled: settled(kept, desk),
        rows: text
            .as_ref()
            .map_or(0, |text| (text.lines().count() + 1).clamp(8, 40)),
        text,
        is_unsaved,
        writer: desk.visit.user.login.clone(),
        in_vain,
        original,
        confirm,
        page: Page::of(desk, section, title).with(shown.notice),
    })
}
