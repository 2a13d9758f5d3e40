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
    escape::spelled_out,
    faults::in_words,
    kept::{Kind, back_to_list},
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
    faults: Vec<String>,
    /// Who settled it, and when.
    settled: Option<String>,
    /// What is in the field; `None`: it is too long for one.
    text: Option<String>,
    /// What somebody wrote while another settled it.
    in_vain: Option<String>,
    rows: usize,
    /// As it came.
    original: String,
    verdict: Option<Verdict>,
    confirm: Option<Confirm>,
}

/// What would become of the text.
struct Verdict {
    class: &'static str,
    title: &'static str,
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

/// What was stored since it came in.
async fn since(desk: &Desk, kept: &KeptOrder) -> Result<Option<(Since, Versions)>, Refusal> {
    let name = &desk.publication.name;
    let now = desk.store().versions(name, &kept.order_key).await?;
    Ok(now.and_then(|now| Some((kept.changed_since(&now)?, now))))
}

fn stamp(now: &Versions) -> String {
    format!("{}.{}", now.order_version, now.client_version)
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
            verdict: None,
        };
        let page = page(&desk, &kept, shown).await?;
        Ok(render(status, &page))
    };
    let login = &desk.visit.user.login;
    if kept.settled_at.is_some() {
        // The second click of two.
        return if kept.settled_by.as_ref() == Some(login) {
            Ok(Redirect::to(&path(&desk, &kept)).into_response())
        } else {
            refused(StatusCode::CONFLICT, t.settled_meanwhile.to_owned()).await
        };
    }
    let order = match one_order(&form.order) {
        Ok(order) if order.len() <= LONGEST => order.to_owned(),
        Ok(_) => return refused(StatusCode::PAYLOAD_TOO_LARGE, t.order_too_long.to_owned()).await,
        Err(error) => return refused(StatusCode::UNPROCESSABLE_ENTITY, not_one(&error, t)).await,
    };
    let is_check = form.action == "check";
    if !is_check
        && let Some((_, now)) = since(&desk, &kept).await?
        && form.over != stamp(&now)
    {
        return refused(StatusCode::CONFLICT, t.changed_since.to_owned()).await;
    }
    let request_id = format!("console-{}", Uuid::now_v7());
    let sent = Resubmit {
        publication: Arc::new(desk.publication.clone()),
        request_id: request_id.clone(),
        login: Some(login.clone()),
        order,
        language: desk.visit.language,
    };
    let intake = console.app.intake.get().ok_or(Refusal::NotReady)?;
    let resubmitted = timeout(
        console.app.config().times.answer,
        intake.resubmit(sent, is_check),
    );
    let resubmitted = match resubmitted.await {
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
            verdict: Some(Verdict::of(&resubmitted, &desk)),
            text: Some(form.order),
            ..Shown::default()
        };
        let page = page(&desk, &kept, shown).await?;
        return Ok(render(StatusCode::OK, &page));
    }
    if resubmitted.is_accepted() {
        let number = resubmitted.number();
        let act = Act::of(login);
        let name = &desk.publication.name;
        desk.store()
            .settle_kept(name, &kept, Some((act, "resubmit", number)))
            .await?;
        let to = number.map_or_else(
            || path(&desk, &kept),
            |number| format!("{}/orders/{number}?done=accepted", base(name)),
        );
        return Ok(Redirect::to(&to).into_response());
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
        verdict: Some(Verdict::of(&resubmitted, &desk)),
        text: Some(form.order),
        notice: Some(Notice::bad(t.rejected_again)),
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

impl Verdict {
    fn of(resubmitted: &Resubmitted, desk: &Desk) -> Self {
        let language = desk.visit.language;
        let t = texts(language);
        let entry = &resubmitted.entry;
        let entries = ["errors", "warnings"]
            .into_iter()
            .flat_map(|list| entry[list].as_array().map_or(&[][..], Vec::as_slice));
        let (class, title) = if resubmitted.is_accepted() {
            ("good", t.would_be_accepted)
        } else {
            ("bad", t.would_be_rejected)
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
    let since = since(desk, kept).await?;
    // Of a rejected order that came in since, and of a changed one, it is said before somebody has worked on it.
    let confirm = since.map(|(since, now)| Confirm {
        text: match since {
            Since::CameIn => t.since_came_in,
            Since::OrderChanged => t.since_order_changed,
            Since::ClientChanged => t.since_client_changed,
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
    let in_vain = shown.text.filter(|_| kept.settled_at.is_some());
    let settled = kept.settled_at.map(|at| {
        let who = kept.settled_by.as_deref().unwrap_or(t.by_itself);
        format!("{who}, {}", shown::moment(at, zone))
    });
    let (badge, badge_class) = match kind {
        Kind::Rejected => (t.event_rejected, "bad"),
        Kind::Remarks => (t.event_remarks, "warn"),
    };
    let title = format!("{} {}", t.order, kept.order_key);
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
        faults: kept
            .entries()
            .map(|entry| in_words(entry, language))
            .collect(),
        settled,
        rows: text
            .as_ref()
            .map_or(0, |text| text.lines().count().clamp(8, 40)),
        text,
        in_vain,
        original,
        verdict: shown.verdict,
        confirm,
        page: Page::of(desk, section, title).with(shown.notice),
    })
}
