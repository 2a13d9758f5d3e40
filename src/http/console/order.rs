//! The page of one order, and what may be done there: its status goes forward, it is sent again, or not any more.

use askama::Template;
use axum::{
    Form,
    extract::{Path, Query},
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use rust_decimal::Decimal;
use serde::Deserialize;

use super::{
    asked::{Came, Done, Number},
    history::{self, Event},
    orders::status_class,
    page::{Notice, Page, Section, base, render},
    refusal::Refusal,
    session::Desk,
    shown,
    texts::{Texts, texts},
    unmatched,
};
use crate::{
    config::Target,
    order::{
        content::Shown,
        maker::Maker,
        model::{Client, Order, Status},
        reply,
        zone::Zone,
    },
    store::{
        console::{Act, OrderAtTarget},
        feed::Receiver,
        operator::Found,
        targets::{self, Which},
    },
};

/// How often an order may go to another client while it is read.
const ATTEMPTS: u32 = 5;

#[derive(Template)]
#[template(path = "order.html")]
struct OrderPage {
    page: Page,
    base: String,
    /// The list to go back to, and what it is called.
    list: (String, &'static str),
    came: Came,
    /// Where an open remark of it is.
    remark: Option<String>,
    number: i32,
    version: i32,
    sender_id: String,
    /// An order that it may be the same as.
    double: Option<i32>,
    status: &'static str,
    status_class: &'static str,
    /// The one step that is usual next, and whether it may be cancelled.
    next: Option<Step>,
    cancel: Option<Step>,
    created: String,
    delivery: String,
    address: String,
    address_line: String,
    total: String,
    lines: Vec<Line>,
    /// What the lines cost, where it is not the total.
    sum_of_lines: Option<String>,
    /// Whether that is not explained by the delivery and the points either.
    is_off: bool,
    /// Titles and values.
    more: Vec<(&'static str, String)>,
    comment: Option<String>,
    client: ClientShown,
    receiver: Option<Receiver>,
    /// Whether what 1C said by itself was put aside.
    is_put_aside: bool,
    targets: Vec<TargetShown>,
    /// Its client's data was erased: nothing is left to send.
    is_erased: bool,
    events: Vec<Event>,
}

struct Step {
    status: &'static str,
    title: &'static str,
}

struct Line {
    name: String,
    product_id: String,
    /// Where it is told what the product is; `None`: it is known.
    unmatched: Option<Unmatched>,
    price: String,
    quantity: i32,
    sum: String,
}

struct Unmatched {
    href: String,
    is_left_empty: bool,
}

struct ClientShown {
    number: i32,
    /// Whether there is a page of it for the visitor.
    has_page: bool,
    name: String,
    kind: &'static str,
    sender_id: Option<String>,
    phones: Vec<String>,
    email: Option<String>,
    comment: Option<String>,
}

struct TargetShown {
    name: String,
    state: String,
    class: &'static str,
    why: Option<String>,
    /// Whether it was refused, and nobody has said yet that it is not to be sent any more.
    may_withhold: bool,
}

/// An order as it is now.
struct Now {
    found: Found,
    order: Order,
    client: Client,
}

async fn read(desk: &Desk, number: i32) -> Result<Now, Refusal> {
    let name = &desk.publication.name;
    for _ in 0..ATTEMPTS {
        let mut found = desk.store().find_orders(name, None, Some(number)).await?;
        let found = found.pop().ok_or(Refusal::NotFound)?;
        let both = desk.store().order_with_client(name, &found).await?;
        if let Some((order, client)) = both {
            return Ok(Now {
                found,
                order,
                client,
            });
        }
    }
    Err(Refusal::Away("the order is written all the time".into()))
}

pub(super) async fn show(
    desk: Desk,
    Path(which): Path<Number>,
    Query(done): Query<Done>,
) -> Result<Response, Refusal> {
    let now = read(&desk, which.number).await?;
    let t = texts(desk.visit.language);
    let notice = match done.done.as_str() {
        "status" => Some(Notice::good(t.status_set)),
        "resend" => Some(Notice::good(t.resent)),
        "withhold" => Some(Notice::good(t.withheld)),
        "nothing" => Some(Notice::note(t.nothing_to_withhold)),
        "put_aside" => Some(Notice::good(t.put_aside)),
        "put_back" => Some(Notice::good(t.kept_reopened)),
        "no_refusal" => Some(Notice::note(t.nothing_to_put_aside)),
        "accepted" => Some(Notice::good(t.order_accepted)),
        _ => None,
    };
    let page = page(&desk, now, done.from, notice).await?;
    Ok(render(StatusCode::OK, &page))
}

#[derive(Debug, Deserialize)]
pub(super) struct NewStatus {
    status: String,
    /// Of the order as the page showed it.
    version: i32,
    #[serde(default)]
    from: Came,
}

pub(super) async fn set_status(
    desk: Desk,
    Path(which): Path<Number>,
    Form(form): Form<NewStatus>,
) -> Result<Response, Refusal> {
    let now = read(&desk, which.number).await?;
    let t = texts(desk.visit.language);
    let publication = &desk.publication.name;
    let refused = async |now: Now, why: &'static str| {
        let page = page(&desk, now, form.from.clone(), Some(Notice::bad(why))).await?;
        Ok(render(StatusCode::CONFLICT, &page))
    };
    let Some(status) = Status::parse(&form.status) else {
        return refused(now, t.no_such_step).await;
    };
    let from = form.from.query();
    let done = format!(
        "{}/orders/{}?done=status{from}",
        base(publication),
        which.number
    );
    let done = Ok(Redirect::to(&done).into_response());
    // The second click of two: it is as was wanted.
    if now.found.status == status {
        return done;
    }
    if now.found.version != form.version {
        return refused(now, t.stale).await;
    }
    if !now.found.status.may_become(status) {
        return refused(now, t.no_such_step).await;
    }
    let act = Act::of(&desk.visit.user.login);
    let set = desk
        .store()
        .set_status(publication, &now.found, status, Some(act))
        .await?;
    if set {
        desk.store().tell_news(publication);
        return done;
    }
    let now = read(&desk, which.number).await?;
    if now.found.status == status {
        return done;
    }
    refused(now, t.stale).await
}

#[derive(Debug, Deserialize)]
pub(super) struct Resent {
    target: String,
    #[serde(default)]
    from: Came,
}

/// The target of that name.
fn target<'a>(desk: &'a Desk, name: &str) -> Result<targets::Target<'a>, Refusal> {
    let publication = &desk.publication;
    let mut targets = publication.targets.iter();
    let target = targets.find(|target| target.name == name);
    let target = target.ok_or(Refusal::NotFound)?;
    Ok(targets::Target {
        publication: &publication.name,
        name: &target.name,
        since: target.since,
    })
}

pub(super) async fn resend(
    desk: Desk,
    Path(which): Path<Number>,
    Form(form): Form<Resent>,
) -> Result<Response, Refusal> {
    let now = read(&desk, which.number).await?;
    let publication = &desk.publication;
    let key = target(&desk, &form.target)?;
    if now.order.shipping_address.is_erased() {
        let why = texts(desk.visit.language).order_is_erased;
        let page = page(&desk, now, form.from, Some(Notice::bad(why))).await?;
        return Ok(render(StatusCode::CONFLICT, &page));
    }
    let act = Act::of(&desk.visit.user.login);
    desk.store()
        .resend(key, Which::Numbers(&[now.found.number]), Some(act))
        .await?;
    desk.store().tell_news(&publication.name);
    let done = format!(
        "{}/orders/{}?done=resend{}",
        base(&publication.name),
        which.number,
        form.from.query()
    );
    Ok(Redirect::to(&done).into_response())
}

pub(super) async fn withhold(
    desk: Desk,
    Path(which): Path<Number>,
    Form(form): Form<Resent>,
) -> Result<Response, Refusal> {
    let key = target(&desk, &form.target)?;
    let act = Act::of(&desk.visit.user.login);
    let is_new = desk.store().withhold(key, which.number, act).await?;
    let done = if is_new { "withhold" } else { "nothing" };
    let order = format!("{}/orders/{}", base(key.publication), which.number);
    let from = form.from.query();
    Ok(Redirect::to(&format!("{order}?done={done}{from}")).into_response())
}

#[derive(Debug, Deserialize)]
pub(super) struct PutAside {
    #[serde(default)]
    from: Came,
}

/// What 1C said by itself waits for nobody any more.
pub(super) async fn put_aside(
    desk: Desk,
    which: Path<Number>,
    form: Form<PutAside>,
) -> Result<Response, Refusal> {
    set_put_aside(&desk, which.number, true, &form.from).await
}

/// It waits again.
pub(super) async fn put_back(
    desk: Desk,
    which: Path<Number>,
    form: Form<PutAside>,
) -> Result<Response, Refusal> {
    set_put_aside(&desk, which.number, false, &form.from).await
}

async fn set_put_aside(
    desk: &Desk,
    number: i32,
    aside: bool,
    from: &Came,
) -> Result<Response, Refusal> {
    let name = &desk.publication.name;
    let act = Act::of(&desk.visit.user.login);
    let is_new = desk.store().put_aside(name, number, aside, act).await?;
    let done = match (is_new, aside) {
        (false, _) => "no_refusal",
        (true, true) => "put_aside",
        (true, false) => "put_back",
    };
    let to = format!("{}/orders/{number}?done={done}{}", base(name), from.query());
    Ok(Redirect::to(&to).into_response())
}

async fn page(
    desk: &Desk,
    now: Now,
    came: Came,
    notice: Option<Notice>,
) -> Result<OrderPage, Refusal> {
    let Now {
        found,
        order,
        client,
    } = now;
    let (name, rules) = (&desk.publication.name, &desk.publication.rules);
    let language = desk.visit.language;
    let (t, zone) = (texts(language), rules.timezone);
    let receiver = desk.store().receiver_of(name, order.number).await?;
    let at_targets = desk.store().order_at_targets(name, order.number).await?;
    let minutes = desk.publication.double_minutes;
    let doubles = desk.store().doubles(name, &[order.number], minutes).await?;
    let events = history::events(desk, &order, &client, receiver.as_ref()).await?;
    let left_empty = desk.store().left_empty(name).await?;
    let own = order
        .address_number
        .and_then(|number| client.address(number));
    let district = own.and_then(|address| address.district_name.as_deref());
    let lines: Vec<Line> = order
        .items
        .iter()
        .map(|item| Line {
            name: item.name.clone().unwrap_or_else(|| item.product_id.clone()),
            product_id: item.product_id.clone(),
            unmatched: item.product_number.is_none().then(|| Unmatched {
                href: unmatched::href(name, &item.product_id, &[]),
                is_left_empty: (left_empty.iter()).any(|left| left.product_id == item.product_id),
            }),
            price: shown::money(item.price, language),
            quantity: item.quantity,
            sum: shown::money(item.price * Decimal::from(item.quantity), language),
        })
        .collect();
    let of_lines = order.items.iter();
    let of_lines: Decimal = of_lines
        .map(|item| item.price * Decimal::from(item.quantity))
        .sum();
    let targets = desk.publication.targets.iter().map(|target| {
        let at = at_targets.iter().find(|at| at.target == target.name);
        TargetShown::of(target, at, t, zone)
    });
    let title = format!("{} {}", t.order, order.number);
    Ok(OrderPage {
        base: base(name),
        list: came.list(name, t),
        came,
        remark: events.iter().find_map(|event| event.open_remark.clone()),
        number: order.number,
        double: doubles.first().map(|double| double.other),
        version: found.version,
        status: t.status(order.status),
        status_class: status_class(order.status),
        next: next_step(order.status, t),
        cancel: order
            .status
            .may_become(Status::Removed)
            .then_some(Step {
                status: Status::Removed.as_str(),
                title: t.cancel_order,
            })
            .filter(|_| order.status != Status::Removed),
        created: shown::moment(order.created_at, zone),
        delivery: shown::window(order.shipping_date_from, order.shipping_date_to, zone),
        address: shown::or_erased(reply::address_name(&order.shipping_address, district), t),
        address_line: order.shipping_address.str.clone(),
        total: shown::money(order.total, language),
        lines,
        is_off: !adds_up(&order, of_lines),
        sum_of_lines: (of_lines != order.total).then(|| shown::money(of_lines, language)),
        more: more(&order, desk),
        comment: order.content.comment.clone(),
        client: ClientShown::of(&client, desk.visit.is_admin(), t),
        is_put_aside: desk.store().is_put_aside(name, order.number).await?,
        receiver: receiver.map(|(receiver, _)| receiver),
        targets: targets.collect(),
        is_erased: order.shipping_address.is_erased(),
        events,
        page: Page::of(desk, Section::Orders, title).with(notice),
        sender_id: order.sender_id,
    })
}

/// Whether the total is what the lines cost, with the delivery or without, less the points or not: senders write each of these.
fn adds_up(order: &Order, of_lines: Decimal) -> bool {
    let delivery = order.content.delivery_cost.unwrap_or_default();
    let points = order.content.coins.unwrap_or_default();
    let sums = [of_lines, of_lines + delivery];
    (sums.into_iter()).any(|sum| order.total == sum || order.total == sum - points)
}

fn next_step(status: Status, t: &'static Texts) -> Option<Step> {
    let (next, title) = match status {
        Status::New => (Status::Approved, t.approve),
        Status::Approved => (Status::Completed, t.complete),
        Status::Completed | Status::Removed => return None,
    };
    Some(Step {
        status: next.as_str(),
        title,
    })
}

/// What the sender said of the order besides.
fn more(order: &Order, desk: &Desk) -> Vec<(&'static str, String)> {
    let language = desk.visit.language;
    let t = texts(language);
    let fields = order.content.fields();
    let fields = fields.into_iter().filter(|(name, _)| *name != "comment");
    let fields = fields.filter_map(|(name, value)| {
        let text = match value {
            Shown::Amount(amount) => amount.map(|amount| shown::money(amount, language)),
            Shown::Flag(flag) => Some(if flag { t.yes } else { t.no }.to_owned()),
            Shown::Text(Some(text)) if name == "payment_type" => {
                Some(t.payment_type(text).to_owned())
            }
            other => other.text(),
        };
        Some((t.field(name), text?))
    });
    fields.collect()
}

impl ClientShown {
    fn of(client: &Client, has_page: bool, t: &'static Texts) -> Self {
        let mut phones: Vec<&str> = Vec::new();
        for phone in client.all_phones() {
            if !phones.contains(&phone) {
                phones.push(phone);
            }
        }
        Self {
            number: client.number,
            has_page,
            name: shown::or_erased(client.username.clone(), t),
            kind: if client.guest_phone.is_some() {
                t.guest
            } else {
                t.registered
            },
            sender_id: client.sender_id.clone(),
            phones: phones.into_iter().map(shown::phone).collect(),
            email: client.email.clone(),
            comment: client.comment.clone(),
        }
    }
}

impl TargetShown {
    fn of(target: &Target, at: Option<&OrderAtTarget>, t: &'static Texts, zone: Zone) -> Self {
        let (state, class, why) = match at {
            None => (t.target_waits.to_owned(), "info", None),
            Some(at) => Self::state(target, at, t, zone),
        };
        Self {
            name: target.name.clone(),
            state,
            class,
            why,
            may_withhold: at.is_some_and(|at| !at.withheld && at.refused.is_some()),
        }
    }

    fn state(
        target: &Target,
        at: &OrderAtTarget,
        t: &'static Texts,
        zone: Zone,
    ) -> (String, &'static str, Option<String>) {
        if at.is_parked {
            return match at.next_try_at {
                None if at.withheld => (t.target_withheld.to_owned(), "none", at.refused.clone()),
                None => (t.target_dead.to_owned(), "bad", at.refused.clone()),
                Some(_) if at.refused.is_none() => (t.target_waits.to_owned(), "info", None),
                Some(next) => {
                    let text = t.target_parked.replace("{}", &shown::moment(next, zone));
                    (text, "warn", at.refused.clone())
                }
            };
        }
        let wanted = [
            (Maker::Sender, at.by_sender),
            (Maker::Operator, at.by_operator),
            (Maker::BackOffice, at.by_back_office),
        ];
        let wanted = wanted
            .into_iter()
            .filter(|(maker, _)| target.takes.contains(maker));
        let last = wanted.filter_map(|(_, position)| position).max();
        let changed_by = at.changed_by.as_deref();
        let is_new = at.is_unplaced
            && target
                .takes
                .iter()
                .any(|maker| Some(maker.as_str()) == changed_by);
        if is_new || last.is_some_and(|last| last > at.position) {
            if at.paused {
                return (t.target_paused.to_owned(), "warn", None);
            }
            return match at.failing_since {
                Some(since) => {
                    let text = t.target_fails.replace("{}", &shown::moment(since, zone));
                    (text, "bad", at.error.clone())
                }
                None => (t.target_waits.to_owned(), "info", None),
            };
        }
        if last.is_some() {
            (t.target_has_it.to_owned(), "good", None)
        } else {
            (t.target_nothing.to_owned(), "none", None)
        }
    }
}
