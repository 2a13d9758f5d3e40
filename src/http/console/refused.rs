//! What 1C, or another target, refused: orders that are tried again or dead, target by target, and the last requests. They are sent
//! again, or not any more.

use askama::Template;
use axum::{
    Form,
    extract::Query,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use serde::Deserialize;

use super::{
    page::{Notice, Page, Section, base, count, encoded, render},
    refusal::Refusal,
    session::Desk,
    shown,
    texts::{Texts, texts},
};
use crate::{
    config::{Protocol, Publication, Target},
    order::zone::Zone,
    store::{
        console::{Act, MOST_FOUND, OrdersFilter, RefusedRow},
        targets::{self, Overview, PastAttempt, TRIES, Which},
    },
};

const ROWS: usize = 50;
/// Requests that are shown of a target.
const ATTEMPTS: i64 = 20;

#[derive(Template)]
#[template(path = "refused.html")]
struct RefusedPage {
    page: Page,
    base: String,
    targets: Vec<TargetShown>,
    /// How many orders 1C does not have, those among them that it said so of by itself.
    not_taken: Option<String>,
    /// How many are not sent any more, or were put aside.
    withheld: Option<String>,
    /// Whether one target's further page is shown.
    is_first: bool,
}

struct TargetShown {
    name: String,
    is_app: bool,
    state: String,
    class: &'static str,
    error: Option<String>,
    rows: Vec<Row>,
    has_dead: bool,
    older: Option<String>,
    attempts: Vec<Attempt>,
}

struct Row {
    number: i32,
    sender_id: String,
    since: String,
    /// How often it was refused, of how many tries.
    tries: String,
    state: String,
    class: &'static str,
    why: String,
}

struct Attempt {
    when: String,
    milliseconds: i32,
    status: String,
    orders: i32,
    taken: i32,
    refused: i32,
    error: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    /// Only this one, below that number.
    #[serde(default)]
    target: String,
    below: Option<i32>,
    #[serde(default)]
    done: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Resent {
    target: String,
    /// One order's number, `dead` or `all`.
    which: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Withheld {
    target: String,
    order: i32,
}

fn key<'a>(publication: &'a Publication, target: &'a Target) -> targets::Target<'a> {
    targets::Target {
        publication: &publication.name,
        name: &target.name,
        since: target.since,
    }
}

pub(super) async fn list(desk: Desk, Query(asked): Query<Asked>) -> Result<Response, Refusal> {
    let (publication, store) = (&desk.publication, desk.store());
    let t = texts(desk.visit.language);
    let mut shown = Vec::new();
    for target in &publication.targets {
        if asked.below.is_some() && asked.target != target.name {
            continue;
        }
        let below = asked.below;
        let rows = store
            .list_refused(&publication.name, &target.name, below, ROWS)
            .await?;
        let overview = store.target_overview(key(publication, target)).await?;
        let attempts = store
            .target_attempts(key(publication, target), ATTEMPTS)
            .await?;
        shown.push(TargetShown::of(target, overview, rows, attempts, &desk));
    }
    let notice = match asked.done.as_str() {
        "resend" => Some(Notice::good(t.resent_refused)),
        "nothing" => Some(Notice::note(t.nothing_to_resend)),
        "withhold" => Some(Notice::good(t.withheld)),
        "not_withheld" => Some(Notice::note(t.nothing_to_withhold)),
        _ => None,
    };
    let filter = OrdersFilter {
        withheld: true,
        ..OrdersFilter::default()
    };
    let (withheld, _) = store
        .count_and_list_orders(&publication.name, &desk.targets, &filter, None, 0)
        .await?;
    let page = RefusedPage {
        base: base(&publication.name),
        targets: shown,
        not_taken: count(desk.waiting.refused),
        withheld: (withheld.orders > 0).then(|| {
            let more = if withheld.orders > MOST_FOUND {
                "+"
            } else {
                ""
            };
            format!("{}{more}", withheld.orders.min(MOST_FOUND))
        }),
        is_first: asked.below.is_none(),
        page: Page::of(&desk, Section::Refused, t.refused_by_1c).with(notice),
    };
    Ok(render(StatusCode::OK, &page))
}

pub(super) async fn resend(desk: Desk, Form(form): Form<Resent>) -> Result<Response, Refusal> {
    let publication = &desk.publication;
    let mut targets = publication.targets.iter();
    let target = targets.find(|target| target.name == form.target);
    let target = target.ok_or(Refusal::NotFound)?;
    let which = match form.which.as_str() {
        "dead" => Which::Dead,
        "all" => Which::All,
        number => Which::One(number.parse().map_err(|_other| Refusal::NotFound)?),
    };
    let by = Act::of(&desk.visit.user.login);
    let resent = desk
        .store()
        .resend(key(publication, target), which, Some(by))
        .await?;
    desk.store().tell_news(&publication.name);
    // Meanwhile it was taken, or somebody else has it sent again.
    let done = if resent > 0 { "resend" } else { "nothing" };
    let list = Section::Refused.href(&publication.name);
    Ok(Redirect::to(&format!("{list}?done={done}")).into_response())
}

pub(super) async fn withhold(desk: Desk, Form(form): Form<Withheld>) -> Result<Response, Refusal> {
    let publication = &desk.publication;
    let mut targets = publication.targets.iter();
    let target = targets.find(|target| target.name == form.target);
    let key = key(publication, target.ok_or(Refusal::NotFound)?);
    let by = Act::of(&desk.visit.user.login);
    let is_new = desk.store().withhold(key, form.order, by).await?;
    let done = if is_new { "withhold" } else { "not_withheld" };
    let list = Section::Refused.href(&publication.name);
    Ok(Redirect::to(&format!("{list}?done={done}")).into_response())
}

impl TargetShown {
    fn of(
        target: &Target,
        overview: Option<Overview>,
        mut rows: Vec<RefusedRow>,
        attempts: Vec<PastAttempt>,
        desk: &Desk,
    ) -> Self {
        let t = texts(desk.visit.language);
        let zone = desk.publication.rules.timezone;
        let has_more = rows.len() > ROWS;
        rows.truncate(ROWS);
        let older = rows.last().filter(|_| has_more).map(|last| {
            let target = encoded(&target.name);
            format!("?target={target}&below={}", last.order_number)
        });
        let (state, class) = match &overview {
            Some(overview) if overview.paused => (t.paused.to_owned(), "warn"),
            Some(Overview {
                failing_since: Some(since),
                ..
            }) => {
                let text = t.fails_since.replace("{}", &shown::moment(*since, zone));
                (text, "bad")
            }
            _ => (t.works.to_owned(), "good"),
        };
        Self {
            name: target.name.clone(),
            is_app: target.protocol == Protocol::Aqua,
            state,
            class,
            error: overview.and_then(|overview| overview.error),
            has_dead: rows.iter().any(|row| row.next_try_at.is_none()),
            rows: rows.into_iter().map(|row| Row::of(row, t, zone)).collect(),
            older,
            attempts: attempts
                .into_iter()
                .map(|attempt| Attempt::of(attempt, zone))
                .collect(),
        }
    }
}

impl Row {
    fn of(row: RefusedRow, t: &Texts, zone: Zone) -> Self {
        let (state, class) = match row.next_try_at {
            None => (t.target_dead.to_owned(), "bad"),
            Some(next) => {
                let text = t.target_parked.replace("{}", &shown::moment(next, zone));
                (text, "warn")
            }
        };
        Self {
            number: row.order_number,
            sender_id: row.sender_id,
            since: shown::moment(row.since, zone),
            tries: {
                let text = t.of_tries.replacen("{}", &row.refusals.to_string(), 1);
                text.replacen("{}", &TRIES.to_string(), 1)
            },
            state,
            class,
            why: row.error.unwrap_or_default(),
        }
    }
}

impl Attempt {
    fn of(attempt: PastAttempt, zone: Zone) -> Self {
        let status = attempt.status.map(|status| status.to_string());
        Self {
            when: shown::moment(attempt.began_at, zone),
            milliseconds: attempt.milliseconds,
            status: status.unwrap_or_else(|| "–".to_owned()),
            orders: attempt.orders,
            taken: attempt.taken,
            refused: attempt.refused,
            error: attempt.error.unwrap_or_default(),
        }
    }
}
