//! The sender's ids of products that found nothing: the list of them.

use askama::Template;
use axum::{extract::Query, http::StatusCode, response::Response};
use serde::Deserialize;

use super::{
    page::{Notice, Page, Section, base, encoded, render},
    refusal::Refusal,
    session::Desk,
    shown,
    texts::texts,
};
use crate::store::console::LINES_COUNTED;

const ROWS: usize = 50;

#[derive(Template)]
#[template(path = "unmatched.html")]
struct UnmatchedList {
    page: Page,
    base: String,
    rows: Vec<Row>,
    left_empty: Vec<LeftEmpty>,
    matched: Vec<MatchedShown>,
    older: Option<String>,
    is_first: bool,
}

struct Row {
    id: String,
    href: String,
    name: Option<String>,
    lines: String,
    /// Our product that it means by now.
    product: Option<i32>,
}

struct LeftEmpty {
    id: String,
    who: String,
    when: String,
}

/// What an operator chose for an id.
struct MatchedShown {
    id: String,
    /// Where it is taken back, or goes on being so.
    href: String,
    product: String,
    who: String,
    when: String,
    taken_back: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    after: Option<String>,
    #[serde(default)]
    done: String,
    /// Lines that were emptied.
    lines: Option<usize>,
}

pub(super) async fn list(desk: Desk, Query(asked): Query<Asked>) -> Result<Response, Refusal> {
    let publication = &desk.publication;
    let t = texts(desk.visit.language);
    let name = &publication.name;
    let after = asked.after.as_deref();
    let mut found = desk.store().list_unmatched(name, after, ROWS).await?;
    let left_empty = desk.store().left_empty(name).await?;
    let matched = desk.store().matched_products(name).await?;
    // What most orders wait for comes first, of those of a page.
    found.rows.sort_by_key(|row| std::cmp::Reverse(row.lines));
    let rows = found.rows.into_iter().map(|row| Row {
        href: href(name, &row.product_id, &[]),
        lines: if row.lines >= LINES_COUNTED {
            format!("{LINES_COUNTED}+")
        } else {
            row.lines.to_string()
        },
        id: row.product_id,
        name: row.name,
        product: row.product,
    });
    let zone = publication.rules.timezone;
    let left_empty = left_empty.into_iter().map(|left| LeftEmpty {
        when: shown::moment(left.made_at, zone),
        id: left.product_id,
        who: left.login,
    });
    let matched = matched.into_iter().map(|matched| {
        let number = matched.product.to_string();
        let more = (!matched.taken_back).then_some(("back", number.as_str()));
        MatchedShown {
            href: href(name, &matched.product_id, more.as_slice()),
            product: format!("{number} {}", matched.name.unwrap_or_default()),
            when: shown::moment(matched.made_at, zone),
            id: matched.product_id,
            who: matched.login,
            taken_back: matched.taken_back,
        }
    });
    let notice = match asked.done.as_str() {
        "taken_back" => {
            let lines = asked.lines.unwrap_or(0).to_string();
            Some(Notice::good(t.taken_back.replace("{}", &lines)))
        }
        "nothing_back" => Some(Notice::note(t.nothing_to_take_back)),
        "left_empty" => Some(Notice::good(t.now_left_empty)),
        "put_back" => Some(Notice::good(t.put_back)),
        _ => None,
    };
    let page = UnmatchedList {
        base: base(name),
        rows: rows.collect(),
        left_empty: left_empty.collect(),
        matched: matched.collect(),
        older: found.next.map(|next| format!("?after={}", encoded(&next))),
        is_first: after.is_none(),
        page: Page::of(&desk, Section::Unmatched, t.unmatched_products).with(notice),
    };
    Ok(render(StatusCode::OK, &page))
}

/// Where the page of one id is.
pub(super) fn href(publication: &str, product_id: &str, more: &[(&str, &str)]) -> String {
    let list = Section::Unmatched.href(publication);
    let id = encoded(product_id);
    let id = [("id", id.to_string())].into_iter();
    let more = more
        .iter()
        .map(|(name, value)| (*name, encoded(value).to_string()));
    let parameters = id.chain(more);
    let parameters = parameters.map(|(name, value)| format!("{name}={value}"));
    let query = parameters.collect::<Vec<_>>().join("&");
    format!("{list}/product?{query}")
}
