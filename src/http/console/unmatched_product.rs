//! One id of a product that found nothing: our products that may be meant, what choosing one would do, and the filling of lines.

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
    suggest::suggest,
    texts::{Texts, texts},
    unmatched::href,
};
use crate::{
    import::{self, match_product},
    store::{
        self,
        console::{Act, COUNTED_IN_FULL, CatalogueProduct, PRODUCTS, Unmatched},
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
    /// Filling that goes on.
    goes_on: Option<GoesOn>,
}

struct GoesOn {
    below: i32,
    filled: usize,
}

#[derive(Debug, Deserialize)]
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
}

#[derive(Debug, Deserialize)]
pub(super) struct Chosen {
    id: String,
    product: i32,
    filled: Option<usize>,
    below: Option<i32>,
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
        let asked = Asked {
            id: form.id.clone(),
            q: String::new(),
            product: String::new(),
            filled: None,
            below: None,
        };
        let page = page(&desk, asked, Some(Notice::bad(why))).await?;
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

/// Goes on filling.
pub(super) async fn go_on(desk: Desk, Form(form): Form<Chosen>) -> Result<Response, Refusal> {
    fill(&desk, form).await
}

/// Fills lines for a while, and says how far it is.
async fn fill(desk: &Desk, form: Chosen) -> Result<Response, Refusal> {
    let name = &desk.publication.name;
    let began = Instant::now();
    let mut filled = form.filled.unwrap_or(0);
    let mut below = form.below;
    let mut attempts = 0;
    loop {
        let by = Act::of(&desk.visit.user.login);
        let step = desk
            .store()
            .fill_lines(name, &form.id, form.product, below, by);
        match step.await {
            Ok(Some(step)) => {
                filled += step.lines;
                below = step.below;
                attempts = 0;
            }
            // Another product is meant by now.
            Ok(None) => {
                let asked = Asked {
                    id: form.id,
                    q: String::new(),
                    product: String::new(),
                    filled: None,
                    below: None,
                };
                let t = texts(desk.visit.language);
                let page = page(desk, asked, Some(Notice::bad(t.matched_meanwhile))).await?;
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
    let filled = filled.to_string();
    let mut more = vec![("filled", filled.as_str())];
    let below = below.map(|below| below.to_string());
    more.extend(below.as_deref().map(|below| ("below", below)));
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
    let goes_on = found.product.as_ref().and(asked.below).map(|below| GoesOn {
        below,
        filled: asked.filled.unwrap_or(0),
    });
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
        goes_on,
        page: Page::of(desk, Section::Unmatched, title).with(notice),
    })
}

/// `120 lines of 80 open orders`
fn waiting(found: &Unmatched, t: &Texts) -> Option<String> {
    if found.lines == 0 && !found.is_cut {
        return None;
    }
    let counts = [
        (found.lines, t.empty_lines),
        (found.orders, t.in_open_orders),
    ];
    let text = t.counted(t.lines_of_orders, &counts);
    Some(if found.is_cut {
        let cut = t.lines_cut.replace("{}", &COUNTED_IN_FULL.to_string());
        format!("{text} {cut}")
    } else {
        text
    })
}
