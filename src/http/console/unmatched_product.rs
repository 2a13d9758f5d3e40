//! One id of a product that found nothing: our products that may be meant, what choosing one would do, and the filling of lines; and
//! the way back.

use std::time::{Duration, Instant};

use askama::Template;
use axum::{
    Form,
    extract::Query,
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use serde::Deserialize;
use tokio::time::timeout;

use super::{
    page::{Notice, Page, Section, base, render},
    refusal::Refusal,
    session::Desk,
    shown,
    suggest::suggest,
    texts::{Texts, texts},
    unmatched::href,
};
use crate::{
    import::{self, match_product, take_match_back},
    store::{
        self,
        console::{
            Act, COUNTED_IN_FULL, CatalogueProduct, Change, Matched, ORDERS_LOOKED_AT, PRODUCTS,
            Unmatched,
        },
    },
};

/// Lines are filled for so long before the browser hears how far it is.
const FILLS_FOR: Duration = Duration::from_secs(2);
/// A file that is being imported keeps others out; nobody waits longer for it.
const MATCHES_WITHIN: Duration = Duration::from_secs(10);
/// How often orders may be written first.
const ATTEMPTS: u32 = 5;

#[derive(Template)]
#[template(path = "unmatched_product.html")]
struct ProductPage {
    page: Page,
    base: String,
    id: String,
    /// Where the page is.
    href: String,
    name: Option<String>,
    examples: Vec<i32>,
    /// How many lines of how many orders wait.
    waiting: Option<String>,
    product: Option<CatalogueProduct>,
    is_left_empty: bool,
    /// What was typed to look for a product.
    searched: String,
    suggested: Vec<CatalogueProduct>,
    /// Whether there are more products than were looked at.
    is_cut: Option<String>,
    /// The product that was chosen, to be confirmed.
    chosen: Option<CatalogueProduct>,
    /// Who chose the product that it means, and when.
    matched: Option<String>,
    /// That choice is to be taken back, once that is confirmed: lines that would be emptied.
    taking_back: Option<String>,
    /// Choices that are taken back, and of which lines are left to be emptied.
    unfinished: Vec<Matched>,
    /// Filling or emptying that goes on.
    goes_on: Option<GoesOn>,
}

struct GoesOn {
    product: i32,
    below: i32,
    done: usize,
    /// Whether lines are emptied.
    is_back: bool,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    id: String,
    /// To look for a product: its number, or words of its name.
    #[serde(default)]
    q: String,
    /// The one that was chosen.
    #[serde(default)]
    product: String,
    /// Lines filled so far.
    filled: Option<usize>,
    /// Where filling goes on.
    below: Option<i32>,
    /// The product that the id is not to mean any more.
    back: Option<i32>,
}

impl Asked {
    fn of(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            ..Self::default()
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Chosen {
    id: String,
    product: i32,
    filled: Option<usize>,
    below: Option<i32>,
    /// Not empty: lines are emptied.
    #[serde(default)]
    back: String,
}

impl Chosen {
    fn change(&self) -> Change {
        if self.back.is_empty() {
            Change::Fill(self.product)
        } else {
            Change::Empty(self.product)
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct LeaveEmpty {
    id: String,
    /// Empty: it is put on the list again.
    #[serde(default)]
    leave: String,
}

pub(super) async fn show(desk: Desk, Query(asked): Query<Asked>) -> Result<Response, Refusal> {
    let t = texts(desk.visit.language);
    let notice = match (asked.filled, asked.below) {
        (Some(filled), None) => Some(Notice::good(t.filled.replace("{}", &filled.to_string()))),
        _ => None,
    };
    let page = page(&desk, asked, notice).await?;
    Ok(render(StatusCode::OK, &page))
}

/// Has the id mean a product, and fills its empty lines.
pub(super) async fn choose(desk: Desk, Form(form): Form<Chosen>) -> Result<Response, Refusal> {
    let (publication, store) = (&desk.publication, desk.store());
    let t = texts(desk.visit.language);
    let known = store.unmatched(&publication.name, &form.id).await?;
    known.ok_or(Refusal::NotFound)?;
    let by = Act::of(&desk.visit.user.login);
    let matched = match_product(store, publication, &form.id, form.product, by);
    let refused = async |why| {
        let page = page(&desk, Asked::of(&form.id), Some(Notice::bad(why))).await?;
        Ok(render(StatusCode::CONFLICT, &page))
    };
    match timeout(MATCHES_WITHIN, matched).await {
        Ok(Ok(Some(report))) if report.stored => {}
        Ok(Ok(Some(_))) => return refused(t.no_such_product).await,
        Ok(Ok(None)) => return refused(t.matched_meanwhile).await,
        Ok(Err(import::Error::Store(error) | import::Error::Unsure(error))) => {
            return Err(error.into());
        }
        Ok(Err(_)) | Err(_) => return refused(t.catalogue_busy).await,
    }
    fill(&desk, form).await
}

/// Has the id not mean the product any more that was chosen for it, and empties the lines that have it.
pub(super) async fn take_back(desk: Desk, Form(form): Form<Chosen>) -> Result<Response, Refusal> {
    let (publication, store) = (&desk.publication, desk.store());
    let by = Act::of(&desk.visit.user.login);
    let taken = take_match_back(store, publication, &form.id, form.product, by);
    match timeout(MATCHES_WITHIN, taken).await {
        // The second click of two goes on, if there is something left.
        Ok(Ok(_)) => {}
        Ok(Err(import::Error::Store(error) | import::Error::Unsure(error))) => {
            return Err(error.into());
        }
        Ok(Err(_)) | Err(_) => {
            let notice = Notice::bad(texts(desk.visit.language).catalogue_busy);
            let page = page(&desk, Asked::of(&form.id), Some(notice)).await?;
            return Ok(render(StatusCode::CONFLICT, &page));
        }
    }
    let back = "1".to_owned();
    fill(&desk, Chosen { back, ..form }).await
}

/// Goes on filling, or emptying.
pub(super) async fn go_on(desk: Desk, Form(form): Form<Chosen>) -> Result<Response, Refusal> {
    fill(&desk, form).await
}

/// Whether operators chose that product for the id, and took it back.
fn is_taken_back(found: &Unmatched, product: i32) -> bool {
    let mut matches = found.matches.iter();
    matches.any(|matched| matched.taken_back && matched.product == product)
}

/// Fills or empties lines for a while, and says how far it is.
async fn fill(desk: &Desk, form: Chosen) -> Result<Response, Refusal> {
    let (name, change) = (&desk.publication.name, form.change());
    let list = Section::Unmatched.href(name);
    if let Change::Empty(product) = change {
        let found = desk.store().unmatched(name, &form.id).await?;
        if !found.is_some_and(|found| is_taken_back(&found, product)) {
            return Ok(Redirect::to(&format!("{list}?done=nothing_back")).into_response());
        }
    }
    let began = Instant::now();
    let mut filled = form.filled.unwrap_or(0);
    let mut below = form.below;
    let mut attempts = 0;
    loop {
        let by = Act::of(&desk.visit.user.login);
        let step = desk.store().fill_lines(name, &form.id, change, below, by);
        match step.await {
            Ok(Some(step)) => {
                filled += step.lines;
                below = step.below;
                attempts = 0;
            }
            // Another product is meant by now.
            Ok(None) => {
                let notice = Notice::bad(texts(desk.visit.language).matched_meanwhile);
                let page = page(desk, Asked::of(&form.id), Some(notice)).await?;
                return Ok(render(StatusCode::CONFLICT, &page));
            }
            Err(store::Error::Overtaken(_) | store::Error::Locked(_)) if attempts < ATTEMPTS => {
                attempts += 1;
                tokio::time::sleep(Duration::from_millis(50 * u64::from(attempts))).await;
                continue;
            }
            Err(error) => return Err(error.into()),
        }
        if below.is_none() || began.elapsed() > FILLS_FOR {
            break;
        }
    }
    let is_back = matches!(change, Change::Empty(_));
    if is_back && below.is_none() {
        let store = desk.store();
        store.forget_match(name, &form.id, form.product).await?;
        let done = format!("{list}?done=taken_back&lines={filled}");
        return Ok(Redirect::to(&done).into_response());
    }
    let (filled, product) = (filled.to_string(), form.product.to_string());
    let mut more = vec![("filled", filled.as_str())];
    let below = below.map(|below| below.to_string());
    more.extend(below.as_deref().map(|below| ("below", below)));
    more.extend(is_back.then_some(("back", product.as_str())));
    Ok(Redirect::to(&href(name, &form.id, &more)).into_response())
}

/// Has lines with that id stay empty on purpose, or not.
pub(super) async fn leave_empty(
    desk: Desk,
    Form(form): Form<LeaveEmpty>,
) -> Result<Response, Refusal> {
    let (name, store) = (&desk.publication.name, desk.store());
    let known = store.unmatched(name, &form.id).await?;
    known.ok_or(Refusal::NotFound)?;
    let leave = !form.leave.is_empty();
    let by = Act::of(&desk.visit.user.login);
    store.leave_empty(name, &form.id, leave, by).await?;
    let done = if leave { "left_empty" } else { "put_back" };
    let list = Section::Unmatched.href(name);
    Ok(Redirect::to(&format!("{list}?done={done}")).into_response())
}

async fn page(desk: &Desk, asked: Asked, notice: Option<Notice>) -> Result<ProductPage, Refusal> {
    let (name, store) = (&desk.publication.name, desk.store());
    let t = texts(desk.visit.language);
    let found = store.unmatched(name, &asked.id).await?;
    let found = found.ok_or(Refusal::NotFound)?;
    let mut suggested = Vec::new();
    let mut chosen = None;
    let mut is_cut = None;
    if found.product.is_none() {
        let products = store.catalogue_products(name).await?;
        if i64::try_from(products.len()).is_ok_and(|count| count >= PRODUCTS) {
            is_cut = Some(t.products_cut.replace("{}", &PRODUCTS.to_string()));
        }
        let like = if asked.q.trim().is_empty() {
            found.name.as_deref().unwrap_or(&asked.id)
        } else {
            &asked.q
        };
        suggested = suggest(like, &products);
        // A number is that product's, wherever in the catalogue it is.
        if let Ok(number) = asked.q.trim().parse() {
            let named = store.catalogue_product(name, number).await?;
            suggested.retain(|product| Some(product) != named.as_ref());
            suggested.splice(0..0, named);
        }
        if let Ok(number) = asked.product.parse() {
            chosen = store.catalogue_product(name, number).await?;
        }
    }
    let holds = found.matches.iter().find(|matched| !matched.taken_back);
    let taking_back = match (asked.back, holds) {
        (Some(product), Some(holds)) if holds.product == product && asked.below.is_none() => {
            Some(given(desk, &asked.id, product).await?)
        }
        _ => None,
    };
    let matched = holds.map(|holds| {
        let at = shown::moment(holds.made_at, desk.publication.rules.timezone);
        format!("{}, {at}", holds.login)
    });
    let means = found.product.as_ref().map(|product| product.number);
    let taken_back = asked.back.filter(|product| is_taken_back(&found, *product));
    let goes_on = taken_back.or(means).zip(asked.below);
    let goes_on = goes_on.map(|(product, below)| GoesOn {
        product,
        below,
        done: asked.filled.unwrap_or(0),
        is_back: taken_back.is_some(),
    });
    let unfinished = found.matches.iter().filter(|matched| matched.taken_back);
    let title = format!("{} {}", t.product, asked.id);
    Ok(ProductPage {
        base: base(name),
        href: href(name, &asked.id, &[]),
        waiting: waiting(&found, t),
        id: asked.id,
        name: found.name,
        examples: found.examples,
        product: found.product,
        is_left_empty: found.is_left_empty,
        searched: asked.q,
        suggested,
        is_cut,
        chosen,
        matched,
        taking_back,
        unfinished: unfinished.cloned().collect(),
        goes_on,
        page: Page::of(desk, Section::Unmatched, title).with(notice),
    })
}

/// `120 lines of 80 open orders` that have the product by the id.
async fn given(desk: &Desk, id: &str, product: i32) -> Result<String, Refusal> {
    let t = texts(desk.visit.language);
    let name = &desk.publication.name;
    let given = desk.store().lines_given(name, id, product).await?;
    let cut = given.is_cut.then_some((t.orders_cut, ORDERS_LOOKED_AT));
    Ok(counted(given.lines, given.orders, cut, t))
}

/// The same of empty ones; `None`: there is none.
fn waiting(found: &Unmatched, t: &Texts) -> Option<String> {
    if found.lines == 0 && !found.is_cut {
        return None;
    }
    let cut = found.is_cut.then_some((t.lines_cut, COUNTED_IN_FULL));
    Some(counted(found.lines, found.orders, cut, t))
}

/// `cut`: what is said where there may be more than were looked at, and how many those were.
fn counted(lines: i64, orders: i64, cut: Option<(&str, i64)>, t: &Texts) -> String {
    let counts = [(lines, t.empty_lines), (orders, t.in_open_orders)];
    let text = t.counted(t.lines_of_orders, &counts);
    match cut {
        Some((cut, looked_at)) => format!("{text} {}", cut.replace("{}", &looked_at.to_string())),
        None => text,
    }
}
