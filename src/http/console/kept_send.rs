//! What somebody wrote on the page of a kept order is checked, or sent by the way that orders come in.

use std::sync::Arc;

use axum::{
    Form,
    extract::{Path, State},
    http::{StatusCode, Uri},
    response::{IntoResponse, Redirect, Response},
};
use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{
    Console,
    carried::KEEP,
    corrected,
    faults::path_title,
    kept_fields::Written,
    kept_order::{LONGEST, Over, Shown, Which, page, path, read, settled},
    page::{Notice, base, render},
    refusal::Refusal,
    session::Desk,
    texts::{Texts, texts},
};
use crate::{
    intake::{
        Intake, Unavailable,
        resubmit::{NotOneOrder, Resubmit, Resubmitted, one_order},
    },
    order::fault::Language,
    store::{
        console::Act,
        journal::{Filter, KeptOrder},
    },
};

/// The second click of two comes within it.
const SECOND_CLICK: TimeDelta = TimeDelta::seconds(10);

/// The id in a text, as it is written there.
fn id_of(text: &str) -> Value {
    let order: Value = serde_json::from_str(text).unwrap_or_default();
    order["id"].clone()
}

/// What is to be sent, or why it is no order.
fn order_of(written: &Written, language: Language) -> Result<String, (StatusCode, String)> {
    let t = texts(language);
    let unreadable = |error| (StatusCode::UNPROCESSABLE_ENTITY, not_one(&error, t));
    let order = one_order(&written.order).map_err(unreadable)?;
    let order = written.applied_to(order).map_err(|path| {
        let why = t.no_place.replace("{}", &path_title(path, language));
        (StatusCode::UNPROCESSABLE_ENTITY, why)
    })?;
    if order.len() > LONGEST {
        return Err((StatusCode::PAYLOAD_TOO_LARGE, t.order_too_long.to_owned()));
    }
    Ok(order)
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

/// A kept order, what somebody wrote of it, and who he is.
struct Correction<'c> {
    desk: &'c Desk,
    kept: &'c KeptOrder,
    written: &'c Written,
}

impl Correction<'_> {
    /// The page again, with what he wrote.
    async fn told(&self, status: StatusCode, notice: Notice) -> Result<Response, Refusal> {
        self.shown(status, Some(notice), None, None).await
    }

    async fn shown(
        &self,
        status: StatusCode,
        notice: Option<Notice>,
        checked: Option<&Resubmitted>,
        over: Option<Over>,
    ) -> Result<Response, Refusal> {
        let shown = Shown {
            written: Some(self.written),
            notice,
            checked,
            over,
        };
        let page = page(self.desk, self.kept, shown).await?;
        Ok(render(status, &page))
    }

    /// Somebody has seen to it.
    async fn is_settled(&self) -> Result<Response, Refusal> {
        let Self { desk, kept, .. } = self;
        let is_recent = kept
            .settled_at
            .is_some_and(|settled_at| Utc::now() - settled_at < SECOND_CLICK);
        // The second click of two.
        if is_recent && kept.settled_by.as_ref() == Some(&desk.visit.user.login) {
            let to = kept.order_number.map_or_else(
                || path(desk, kept),
                |number| format!("{}/orders/{number}", base(&desk.publication.name)),
            );
            return Ok(Redirect::to(&to).into_response());
        }
        let who = settled(kept, desk).unwrap_or_default();
        let t = texts(desk.visit.language);
        let why = t.settled_meanwhile.replace("{}", &who);
        self.told(StatusCode::CONFLICT, Notice::bad(why)).await
    }

    /// Sends the order in, or only has it checked; `None`: that took too long.
    async fn try_out(
        &self,
        console: &Console,
        intake: &Intake,
        request_id: String,
        is_check: bool,
    ) -> Option<Result<Resubmitted, Unavailable>> {
        let sent = Resubmit {
            publication: Arc::new(self.desk.publication.clone()),
            request_id,
            login: Some(self.desk.visit.user.login.clone()),
            order: self.written.order.clone(),
            language: self.desk.visit.language,
        };
        let most = console.app.config().times.answer;
        timeout(most, intake.resubmit(sent, is_check)).await.ok()
    }

    /// It is stored.
    async fn is_accepted(
        &self,
        request_id: String,
        number: Option<i32>,
    ) -> Result<Response, Refusal> {
        let Self { desk, kept, .. } = self;
        let (name, login) = (&desk.publication.name, &desk.visit.user.login);
        if let Some(number) = number {
            let changes = corrected::changes(&kept.body, &self.written.order);
            let store = desk.store();
            let noted = store.note_correction(name, number, &request_id, login, &changes);
            noted.await?;
        }
        let by = (Act::of(login), "resubmit", number);
        desk.store().settle_kept(name, kept, Some(by)).await?;
        let to = number.map_or_else(
            || path(desk, kept),
            |number| format!("{}/orders/{number}?done=accepted", base(name)),
        );
        Ok(Redirect::to(&to).into_response())
    }

    /// It is in the journal as another attempt, with what he wrote.
    async fn is_rejected(
        &self,
        request_id: String,
        resubmitted: &Resubmitted,
    ) -> Result<Response, Refusal> {
        let Self { desk, kept, .. } = self;
        let name = &desk.publication.name;
        note_rejected(desk, kept).await?;
        let filter = Filter {
            since: Some(Utc::now() - TimeDelta::hours(1)),
            request_id: Some(request_id),
            limit: 1,
            ..Filter::default()
        };
        let again = desk.store().journal_orders(name, None, &filter).await?;
        if let Some(again) = again.first() {
            let to = format!("{}?done=rejected", path(desk, again));
            return Ok(Redirect::to(&to).into_response());
        }
        let notice = Notice::bad(texts(desk.visit.language).rejected_again);
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        self.shown(status, Some(notice), Some(resubmitted), None)
            .await
    }
}

/// Notes that somebody sent an order in vain. Of one without an id that is the end: it came in as another one, and is not to be on the
/// list twice.
pub(super) async fn note_rejected(desk: &Desk, kept: &KeptOrder) -> Result<(), Refusal> {
    let (store, name) = (desk.store(), &desk.publication.name);
    let act = Act::of(&desk.visit.user.login);
    let kind = "resubmit_in_vain";
    if kept.has_id() {
        let details =
            json!({ "order": kept.order_key, "batch": kept.batch, "position": kept.position });
        store.note_action(name, act, kind, &details).await?;
    } else {
        store
            .settle_kept(name, kept, Some((act, kind, None)))
            .await?;
    }
    Ok(())
}

/// Whoever looks here, as after a choice of the language, gets to the order's page.
pub(super) async fn lead_to_page(uri: Uri) -> Redirect {
    let path = uri.path();
    Redirect::to(path.strip_suffix("/send").unwrap_or(path))
}

pub(super) async fn send(
    State(console): State<Arc<Console>>,
    desk: Desk,
    Path(which): Path<Which>,
    Form(form): Form<Vec<(String, String)>>,
) -> Result<Response, Refusal> {
    let language = desk.visit.language;
    let t = texts(language);
    let kept = read(&desk, &which).await?;
    let mut written = Written::of(form);
    let order = order_of(&written, language);
    if let Ok(order) = &order {
        written.is_taken_by(order.clone());
    }
    let correction = Correction {
        desk: &desk,
        kept: &kept,
        written: &written,
    };
    if kept.is_erased() {
        let notice = Notice::bad(t.kept_is_erased);
        return correction.told(StatusCode::CONFLICT, notice).await;
    }
    if kept.settled_at.is_some() {
        return correction.is_settled().await;
    }
    if written.action == KEEP {
        let notice = Notice::note(t.text_is_back);
        return correction.told(StatusCode::OK, notice).await;
    }
    let order = match order {
        Ok(order) => order,
        Err((status, why)) => return correction.told(status, Notice::bad(why)).await,
    };
    let is_check = written.action == "check";
    let request_id = corrected::request_id();
    let intake = console.app.intake.get().ok_or(Refusal::NotReady)?;
    // The id may have been made that of another order: a check tells.
    let needs_check = is_check || id_of(&order) != id_of(&kept.body);
    let checked = if needs_check {
        let id = format!("{request_id}-check");
        Some(correction.try_out(&console, intake, id, true).await)
    } else {
        None
    };
    let key = match &checked {
        Some(Some(Ok(checked))) => checked.key.as_str(),
        _ => kept.order_key.as_str(),
    };
    let over = Over::of(&desk, &kept, key).await?;
    if !is_check
        && let Some(over) = &over
        && written.over != over.stamp()
    {
        let (status, notice) = (StatusCode::CONFLICT, Notice::bad(t.changed_since));
        return correction
            .shown(status, Some(notice), None, Some(*over))
            .await;
    }
    let resubmitted = match checked {
        Some(checked) if is_check || !matches!(checked, Some(Ok(_))) => checked,
        _ => {
            let id = request_id.clone();
            correction.try_out(&console, intake, id, false).await
        }
    };
    let resubmitted = match resubmitted {
        Some(Ok(resubmitted)) => resubmitted,
        // What he wrote is not lost with it.
        Some(Err(Unavailable::Overloaded | Unavailable::Storage)) | None => {
            let notice = Notice::bad(t.not_stored);
            return correction
                .told(StatusCode::SERVICE_UNAVAILABLE, notice)
                .await;
        }
        Some(Err(Unavailable::AnswerTooLarge(_))) => {
            let notice = Notice::bad(t.order_too_long);
            return correction.told(StatusCode::PAYLOAD_TOO_LARGE, notice).await;
        }
    };
    if is_check {
        return correction
            .shown(StatusCode::OK, None, Some(&resubmitted), over)
            .await;
    }
    if resubmitted.is_accepted() {
        return correction
            .is_accepted(request_id, resubmitted.number())
            .await;
    }
    correction.is_rejected(request_id, &resubmitted).await
}
