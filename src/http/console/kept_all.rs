//! All kept orders of a list's filter sent again as they came: for a while at a time, from the newest on, so that it may be stopped and
//! goes on where it was. What was changed since is left alone.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{
    Form,
    extract::State,
    response::{IntoResponse, Redirect, Response},
};

use super::{
    Console, corrected,
    kept::{Asked, Kind},
    kept_send::note_rejected,
    refusal::Refusal,
    session::Desk,
};
use crate::{
    intake::{Intake, Unavailable, resubmit::Resubmit},
    store::{
        console::{Act, KeptPosition, KeptRow},
        journal::{Filter, KeptOrder},
    },
};

/// Orders are sent for so long before the browser hears how far it is.
const SENDS_FOR: Duration = Duration::from_secs(2);
/// Orders that are looked up at a time.
const ROWS: usize = 20;

pub(super) async fn rejected(
    console: State<Arc<Console>>,
    desk: Desk,
    form: Form<Asked>,
) -> Result<Response, Refusal> {
    send(Kind::Rejected, &console.0, &desk, form.0).await
}

pub(super) async fn remarks(
    console: State<Arc<Console>>,
    desk: Desk,
    form: Form<Asked>,
) -> Result<Response, Refusal> {
    send(Kind::Remarks, &console.0, &desk, form.0).await
}

async fn send(
    kind: Kind,
    console: &Console,
    desk: &Desk,
    asked: Asked,
) -> Result<Response, Refusal> {
    let intake = console.app.intake.get().ok_or(Refusal::NotReady)?;
    let name = &desk.publication.name;
    let filter = asked.filter(kind);
    let mut progress = asked.progress();
    let began = Instant::now();
    'pages: loop {
        let page = desk
            .store()
            .list_kept(name, &filter, progress.next, ROWS)
            .await?;
        for row in page.rows {
            if began.elapsed() > SENDS_FOR {
                break 'pages;
            }
            let position = KeptPosition {
                batch: row.batch,
                position: row.position,
            };
            match send_one(intake, desk, &row).await? {
                Outcome::Sent { accepted } => {
                    progress.sent += 1;
                    progress.accepted += usize::from(accepted);
                }
                Outcome::LeftAlone => {}
                // The rest waits for a better moment.
                Outcome::NotStored => break 'pages,
            }
            progress.next = Some(position);
        }
        progress.next = page.next;
        if page.next.is_none() || began.elapsed() > SENDS_FOR {
            break;
        }
    }
    let query = asked.query_of(&progress);
    let list = kind.section().href(name);
    Ok(Redirect::to(&format!("{list}{query}")).into_response())
}

enum Outcome {
    Sent {
        accepted: bool,
    },
    /// It was changed since, or somebody has seen to it.
    LeftAlone,
    NotStored,
}

async fn send_one(intake: &Intake, desk: &Desk, row: &KeptRow) -> Result<Outcome, Refusal> {
    let (name, store) = (&desk.publication.name, desk.store());
    let login = &desk.visit.user.login;
    let filter = Filter {
        position: Some(row.position),
        limit: 1,
        ..Filter::default()
    };
    let kept = store.journal_orders(name, Some(row.batch), &filter).await?;
    let is_open = |kept: &KeptOrder| kept.settled_at.is_none() && !kept.is_erased();
    let Some(kept) = kept.into_iter().find(is_open) else {
        return Ok(Outcome::LeftAlone);
    };
    let now = store.versions(name, &kept.order_key).await?;
    if now.is_some_and(|now| kept.changed_since(&now).is_some()) {
        return Ok(Outcome::LeftAlone);
    }
    let sent = Resubmit {
        publication: Arc::new(desk.publication.clone()),
        request_id: corrected::request_id(),
        login: Some(login.clone()),
        order: kept.body.clone(),
        language: desk.visit.language,
    };
    let resubmitted = match intake.resubmit(sent, false).await {
        Ok(resubmitted) => resubmitted,
        Err(Unavailable::AnswerTooLarge(_)) => return Ok(Outcome::LeftAlone),
        Err(Unavailable::Overloaded | Unavailable::Storage) => return Ok(Outcome::NotStored),
    };
    let accepted = resubmitted.is_accepted();
    if accepted {
        let by = (Act::of(login), "resubmit", resubmitted.number());
        store.settle_kept(name, &kept, Some(by)).await?;
    } else {
        note_rejected(desk, &kept).await?;
    }
    Ok(Outcome::Sent { accepted })
}
