//! One kept order: its JSON beside what was wrong with it, corrected, checked and sent again by the way that orders come in; or settled
//! as it is.

use std::sync::Arc;

use askama::Template;
use axum::{
    Form,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use chrono::{TimeDelta, Utc};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::timeout;
use uuid::Uuid;

use super::{
    Console,
    asked::Done,
    corrected,
    escape::spelled_out,
    faults::{came, in_words},
    kept::{Kind, back_to_list, shown_key},
    page::{Notice, Page, base, render},
    refusal::Refusal,
    session::Desk,
    shown,
    texts::{Texts, texts},
};
use crate::{
    intake::{
        Unavailable,
        resubmit::{NotOneOrder, Resubmit, Resubmitted, one_order},
    },
    order::legible::laid_out,
    store::{
        console::Act,
        journal::{Filter, KeptOrder, Since, Versions},
    },
};

/// A longer order is not corrected in a browser.
const LONGEST: usize = 256 * 1024;
/// The form of one: of a Cyrillic letter's two bytes six are sent.
pub(super) const FORM_BYTES: usize = 4 * LONGEST;

#[derive(Template)]
#[template(path = "kept_order.html")]
struct KeptOrderPage {
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
    faults: Vec<Fault>,
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
    /// What somebody wrote while another settled it.
    in_vain: Option<String>,
    rows: usize,
    /// As it came.
    original: String,
    verdict: Option<Verdict>,
    confirm: Option<Confirm>,
}

/// What is wrong, where in the text, and what stands there.
struct Fault {
    text: String,
    path: String,
    came: Option<String>,
}

/// What would become of the text.
struct Verdict {
    class: &'static str,
    title: String,
    entries: Vec<String>,
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
pub(super) struct Sent {
    order: String,
    #[serde(default)]
    action: String,
    /// The versions that it may write over.
    #[serde(default)]
    over: String,
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
struct Shown {
    /// What somebody wrote; else it is as it came.
    text: Option<String>,
    notice: Option<Notice>,
    verdict: Option<Verdict>,
    /// The order that the text would become or change.
    over: Option<Over>,
}

/// A stored order that somebody would write over without knowing.
struct Over {
    since: Option<Since>,
    now: Versions,
}

async fn read(desk: &Desk, which: &Which) -> Result<KeptOrder, Refusal> {
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

/// What a text with that id would be written over: something that was stored since the kept order came in, or an order that has
/// nothing to do with it.
async fn over(desk: &Desk, kept: &KeptOrder, key: &str) -> Result<Option<Over>, Refusal> {
    let name = &desk.publication.name;
    let Some(now) = desk.store().versions(name, key).await? else {
        return Ok(None);
    };
    if key != kept.order_key {
        return Ok(Some(Over { since: None, now }));
    }
    let since = kept.changed_since(&now);
    Ok(since.map(|since| Over {
        since: Some(since),
        now,
    }))
}

fn stamp(now: &Versions) -> String {
    format!("{}.{}.{}", now.order, now.order_version, now.client_version)
}

/// The id in a text, as it is written there.
fn id_of(text: &str) -> Value {
    let order: Value = serde_json::from_str(text).unwrap_or_default();
    order["id"].clone()
}

/// The second click of two comes within it.
const SECOND_CLICK: TimeDelta = TimeDelta::seconds(10);

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

pub(super) async fn send(
    State(console): State<Arc<Console>>,
    desk: Desk,
    Path(which): Path<Which>,
    Form(form): Form<Sent>,
) -> Result<Response, Refusal> {
    let t = texts(desk.visit.language);
    let kept = read(&desk, &which).await?;
    let refused = async |status, why: String| {
        let shown = Shown {
            text: Some(form.order.clone()),
            notice: Some(Notice::bad(why)),
            ..Shown::default()
        };
        let page = page(&desk, &kept, shown).await?;
        Ok(render(status, &page))
    };
    let login = &desk.visit.user.login;
    if let Some(settled_at) = kept.settled_at {
        // The second click of two.
        if kept.settled_by.as_ref() == Some(login) && Utc::now() - settled_at < SECOND_CLICK {
            let to = kept.order_number.map_or_else(
                || path(&desk, &kept),
                |number| format!("{}/orders/{number}", base(&desk.publication.name)),
            );
            return Ok(Redirect::to(&to).into_response());
        }
        let who = settled(&kept, &desk).unwrap_or_default();
        let why = t.settled_meanwhile.replace("{}", &who);
        return refused(StatusCode::CONFLICT, why).await;
    }
    let order = match one_order(&form.order) {
        Ok(order) if order.len() <= LONGEST => order.to_owned(),
        Ok(_) => return refused(StatusCode::PAYLOAD_TOO_LARGE, t.order_too_long.to_owned()).await,
        Err(error) => return refused(StatusCode::UNPROCESSABLE_ENTITY, not_one(&error, t)).await,
    };
    let is_check = form.action == "check";
    let request_id = corrected::request_id();
    let publication = Arc::new(desk.publication.clone());
    let intake = console.app.intake.get().ok_or(Refusal::NotReady)?;
    let send = |request_id, is_check| {
        let sent = Resubmit {
            publication: Arc::clone(&publication),
            request_id,
            login: Some(login.clone()),
            order: order.clone(),
            language: desk.visit.language,
        };
        timeout(
            console.app.config().times.answer,
            intake.resubmit(sent, is_check),
        )
    };
    // The id may have been made that of another order: a check tells.
    let needs_check = is_check || id_of(&order) != id_of(&kept.body);
    let checked = if needs_check {
        Some(send(format!("{request_id}-check"), true).await)
    } else {
        None
    };
    let key = match &checked {
        Some(Ok(Ok(checked))) => checked.key.as_str(),
        _ => kept.order_key.as_str(),
    };
    let over_what = over(&desk, &kept, key).await?;
    if !is_check
        && let Some(Over { now, .. }) = &over_what
        && form.over != stamp(now)
    {
        let shown = Shown {
            text: Some(form.order.clone()),
            notice: Some(Notice::bad(t.changed_since)),
            over: over_what,
            ..Shown::default()
        };
        let page = page(&desk, &kept, shown).await?;
        return Ok(render(StatusCode::CONFLICT, &page));
    }
    let resubmitted = match checked {
        Some(checked) if is_check || !matches!(checked, Ok(Ok(_))) => checked,
        _ => send(request_id.clone(), false).await,
    };
    let resubmitted = match resubmitted {
        Ok(Ok(resubmitted)) => resubmitted,
        // What he wrote is not lost with it.
        Ok(Err(Unavailable::Overloaded | Unavailable::Storage)) | Err(_) => {
            return refused(StatusCode::SERVICE_UNAVAILABLE, t.not_stored.to_owned()).await;
        }
        Ok(Err(Unavailable::AnswerTooLarge(_))) => {
            return refused(StatusCode::PAYLOAD_TOO_LARGE, t.order_too_long.to_owned()).await;
        }
    };
    if is_check {
        let shown = Shown {
            verdict: Some(Verdict::of(&resubmitted, over_what.as_ref(), &desk)),
            text: Some(form.order),
            over: over_what,
            ..Shown::default()
        };
        let page = page(&desk, &kept, shown).await?;
        return Ok(render(StatusCode::OK, &page));
    }
    if resubmitted.is_accepted() {
        let number = resubmitted.number();
        let act = Act::of(login);
        let name = &desk.publication.name;
        if let Some(number) = number {
            let changes = corrected::changes(&kept.body, &order);
            let noted = desk
                .store()
                .note_correction(name, number, &request_id, login, &changes);
            noted.await?;
        }
        desk.store()
            .settle_kept(name, &kept, Some((act, "resubmit", number)))
            .await?;
        let to = number.map_or_else(
            || path(&desk, &kept),
            |number| format!("{}/orders/{number}?done=accepted", base(name)),
        );
        return Ok(Redirect::to(&to).into_response());
    }
    // One without an id is not to be on the list twice.
    if !kept.has_id() {
        let by = (Act::of(login), "resubmit", None);
        let name = &desk.publication.name;
        desk.store().settle_kept(name, &kept, Some(by)).await?;
    }
    // It is in the journal as another attempt, with what he wrote.
    let filter = Filter {
        since: Some(Utc::now() - TimeDelta::hours(1)),
        request_id: Some(request_id),
        limit: 1,
        ..Filter::default()
    };
    let name = &desk.publication.name;
    let again = desk.store().journal_orders(name, None, &filter).await?;
    if let Some(again) = again.first() {
        let to = format!("{}?done=rejected", path(&desk, again));
        return Ok(Redirect::to(&to).into_response());
    }
    let shown = Shown {
        verdict: Some(Verdict::of(&resubmitted, None, &desk)),
        text: Some(form.order),
        notice: Some(Notice::bad(t.rejected_again)),
        over: None,
    };
    let page = page(&desk, &kept, shown).await?;
    Ok(render(StatusCode::UNPROCESSABLE_ENTITY, &page))
}

fn not_one(error: &NotOneOrder, t: &Texts) -> String {
    match error {
        NotOneOrder::Empty => t.order_empty.to_owned(),
        NotOneOrder::List => t.order_list.to_owned(),
        NotOneOrder::NotJson(error) => {
            let at = t.not_json.replacen("{}", &error.line().to_string(), 1);
            at.replacen("{}", &error.column().to_string(), 1)
        }
    }
}

fn path(desk: &Desk, kept: &KeptOrder) -> String {
    let base = base(&desk.publication.name);
    format!("{base}/kept/{}/{}", kept.batch, kept.position)
}

/// Who settled it, and when.
fn settled(kept: &KeptOrder, desk: &Desk) -> Option<String> {
    let t = texts(desk.visit.language);
    let who = kept.settled_by.as_deref().unwrap_or(t.by_itself);
    let at = shown::moment(kept.settled_at?, desk.publication.rules.timezone);
    Some(format!("{who}, {at}"))
}

impl Verdict {
    fn of(resubmitted: &Resubmitted, over: Option<&Over>, desk: &Desk) -> Self {
        let language = desk.visit.language;
        let t = texts(language);
        let entry = &resubmitted.entry;
        let entries = ["errors", "warnings"]
            .into_iter()
            .flat_map(|list| entry[list].as_array().map_or(&[][..], Vec::as_slice));
        let (class, title) = match over {
            _ if !resubmitted.is_accepted() => ("bad", t.would_be_rejected.to_owned()),
            Some(over) => {
                let number = over.now.order.to_string();
                ("warn", t.would_change.replace("{}", &number))
            }
            None => ("good", t.would_be_accepted.to_owned()),
        };
        Self {
            class,
            title,
            entries: entries
                .map(|entry: &Value| in_words(entry, language))
                .collect(),
        }
    }
}

async fn page(desk: &Desk, kept: &KeptOrder, shown: Shown) -> Result<KeptOrderPage, Refusal> {
    let (language, zone) = (desk.visit.language, desk.publication.rules.timezone);
    let t = texts(language);
    let kind = Kind::of(kept);
    let section = kind.section();
    let name = &desk.publication.name;
    let known = match shown.over {
        Some(known) => Some(known),
        None => over(desk, kept, &kept.order_key).await?,
    };
    // Of a rejected order that came in since, and of a changed one, it is said before somebody has worked on it.
    let confirm = known.map(|Over { since, now }| Confirm {
        text: match since {
            Some(Since::CameIn) => t.since_came_in,
            Some(Since::OrderChanged) => t.since_order_changed,
            Some(Since::ClientChanged) => t.since_client_changed,
            None => t.over_another_order,
        }
        .replace("{}", &now.order.to_string()),
        versions: stamp(&now),
    });
    let original = laid_out(&kept.body);
    let text = match &shown.text {
        // As a browser sends it, lines end with CR LF.
        Some(text) => Some(spelled_out(&text.replace("\r\n", "\n")).into_owned()),
        None if original.len() <= LONGEST => Some(original.clone()),
        None => None,
    };
    let is_unsaved = text.as_ref().is_some_and(|text| *text != original);
    let in_vain = shown.text.filter(|_| kept.settled_at.is_some());
    let is_erased = kept.body.is_empty();
    let (badge, badge_class) = match kind {
        _ if kept.settled_at.is_some() => (t.settled, "none"),
        Kind::Rejected => (t.event_rejected, "bad"),
        Kind::Remarks => (t.event_remarks, "warn"),
    };
    let title = format!("{} {}", t.order, shown_key(&kept.order_key, t));
    let body: Value = serde_json::from_str(&kept.body).unwrap_or_default();
    let fault = |entry: &Value| {
        let path = entry["field"].as_str().unwrap_or_default();
        Fault {
            text: in_words(entry, language),
            came: came(&body, path),
            path: path.to_owned(),
        }
    };
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
        faults: kept.entries().map(fault).collect(),
        is_erased,
        // An order that was taken is not rejected any more.
        may_reopen: kept.settled_by.is_some()
            && (kind == Kind::Remarks || kept.order_number.is_none()),
        settled: settled(kept, desk),
        rows: text
            .as_ref()
            .map_or(0, |text| (text.lines().count() + 1).clamp(8, 40)),
        text,
        is_unsaved,
        in_vain,
        original,
        verdict: shown.verdict,
        confirm,
        page: Page::of(desk, section, title).with(shown.notice),
    })
}
