//! What every page has: texts, navigation, a notice; and the pages of what could not be done.

use std::borrow::Cow;

use askama::Template;
use axum::{
    http::{StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{
    assets,
    refusal::Refusal,
    session::Desk,
    texts::{Texts, texts},
};
use crate::{
    config::OperatorUser,
    order::fault::Language,
    store::console::{MOST_COUNTED, Waiting},
};

/// The parts of the console, in the order of the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Overview,
    Orders,
    Rejected,
    Remarks,
    Unmatched,
    Refused,
    Clients,
    Actions,
}

impl Section {
    const ALL: [Self; 8] = [
        Self::Overview,
        Self::Orders,
        Self::Rejected,
        Self::Remarks,
        Self::Unmatched,
        Self::Refused,
        Self::Clients,
        Self::Actions,
    ];

    /// What follows the publication in its path.
    pub fn path(self) -> &'static str {
        match self {
            Self::Overview => "overview",
            Self::Orders => "orders",
            Self::Rejected => "rejected",
            Self::Remarks => "remarks",
            Self::Unmatched => "unmatched",
            Self::Refused => "refused",
            Self::Clients => "clients",
            Self::Actions => "actions",
        }
    }

    /// Where it is, of that publication.
    pub fn href(self, publication: &str) -> String {
        format!("{}/{}", base(publication), self.path())
    }

    pub fn title(self, t: &Texts) -> &'static str {
        match self {
            Self::Overview => t.overview,
            Self::Orders => t.orders,
            Self::Rejected => t.rejected_orders,
            Self::Remarks => t.with_remarks,
            Self::Unmatched => t.unmatched_products,
            Self::Refused => t.refused_by_1c,
            Self::Clients => t.clients,
            Self::Actions => t.actions,
        }
    }

    /// How much of it waits for a person; `None`: it is no such list.
    fn waiting(self, waiting: &Waiting) -> Option<i64> {
        match self {
            Self::Overview | Self::Orders | Self::Clients | Self::Actions => None,
            Self::Rejected => Some(waiting.rejected),
            Self::Remarks => Some(waiting.remarks),
            Self::Unmatched => Some(waiting.unmatched),
            Self::Refused => Some(waiting.refused),
        }
    }

    fn is_for_admins(self) -> bool {
        matches!(self, Self::Clients | Self::Actions)
    }
}

/// What the layout needs of every page.
#[derive(Debug)]
pub(super) struct Page {
    pub t: &'static Texts,
    pub language: &'static str,
    pub assets: &'static str,
    pub title: Cow<'static, str>,
    pub navigation: Option<Navigation>,
    pub notice: Option<Notice>,
}

#[derive(Debug, Clone)]
pub(super) struct Navigation {
    pub login: String,
    pub publication: String,
    /// The visitor's other publications.
    pub others: Vec<Link>,
    pub links: Vec<Link>,
    /// To come back to.
    pub path: String,
}

#[derive(Debug, Clone)]
pub(super) struct Link {
    pub title: String,
    pub href: String,
    pub is_current: bool,
    /// How much waits there, "99+" at most.
    pub count: Option<String>,
}

/// What became of an action, or what should be known of a page.
#[derive(Debug)]
pub(super) struct Notice {
    /// How it looks.
    pub class: &'static str,
    /// Whether whoever hears the page is told at once.
    pub is_urgent: bool,
    pub text: Cow<'static, str>,
}

impl Notice {
    fn new(class: &'static str, is_urgent: bool, text: Cow<'static, str>) -> Self {
        Self {
            class,
            is_urgent,
            text,
        }
    }

    /// It is done.
    pub fn good(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new("good", false, text.into())
    }

    /// It is not done.
    pub fn bad(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new("bad", true, text.into())
    }

    /// There is more than the page shows.
    pub fn note(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new("warn", false, text.into())
    }
}

impl Page {
    /// Without navigation: for whoever is not logged in.
    pub fn plain(language: Language, title: impl Into<Cow<'static, str>>) -> Self {
        Self {
            t: texts(language),
            language: match language {
                Language::Ru => "ru",
                Language::En => "en",
            },
            assets: &assets::FOLDER,
            title: title.into(),
            navigation: None,
            notice: None,
        }
    }

    /// A page of one publication.
    pub fn of(desk: &Desk, section: Section, title: impl Into<Cow<'static, str>>) -> Self {
        Self {
            navigation: Some(Navigation::of(desk, Some(section))),
            ..Self::plain(desk.visit.language, title)
        }
    }

    pub fn with(self, notice: Option<Notice>) -> Self {
        Self { notice, ..self }
    }
}

impl Navigation {
    /// `section`: where the visitor is.
    pub fn of(desk: &Desk, section: Option<Section>) -> Self {
        let visit = &desk.visit;
        let name = &desk.publication.name;
        let others = visit
            .user
            .publications
            .iter()
            .filter(|other| *other != name);
        let sections = Section::ALL.into_iter();
        let sections = sections.filter(|section| visit.is_admin() || !section.is_for_admins());
        let t = texts(visit.language);
        Self {
            login: visit.user.login.clone(),
            publication: name.clone(),
            others: others
                .map(|other| Link {
                    title: other.clone(),
                    href: section.unwrap_or(Section::ALL[0]).href(other),
                    is_current: false,
                    count: None,
                })
                .collect(),
            links: sections
                .map(|known| Link {
                    title: known.title(t).to_owned(),
                    href: known.href(name),
                    is_current: Some(known) == section,
                    count: known.waiting(&desk.waiting).and_then(count),
                })
                .collect(),
            path: visit.path.clone(),
        }
    }
}

/// As it stands beside a list; nothing where nothing waits.
pub(super) fn count(waiting: i64) -> Option<String> {
    match waiting {
        ..=0 => None,
        MOST_COUNTED.. => Some(format!("{}+", MOST_COUNTED - 1)),
        waiting => Some(waiting.to_string()),
    }
}

/// A value as it stands in a query.
pub(super) fn encoded(value: &str) -> impl std::fmt::Display {
    utf8_percent_encode(value, NON_ALPHANUMERIC)
}

/// Where the pages of a publication are.
pub(super) fn base(publication: &str) -> String {
    let name = utf8_percent_encode(publication, NON_ALPHANUMERIC);
    format!("/console/p/{name}")
}

/// What an operator sees first.
pub(super) fn first_page(user: &OperatorUser) -> String {
    // A checked config has one at least.
    let publication = user.publications.first().map_or("", String::as_str);
    Section::ALL[0].href(publication)
}

/// A page with that status.
pub(super) fn render(status: StatusCode, page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => (status, Html(text)).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page of the console could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    page: Page,
    text: &'static str,
}

impl Refusal {
    pub fn page(&self, language: Language, navigation: Option<Navigation>) -> Response {
        let t = texts(language);
        let (status, title, text) = match self {
            Self::NotFound => (StatusCode::NOT_FOUND, t.not_found, t.not_found_text),
            Self::Forbidden => (StatusCode::FORBIDDEN, t.forbidden, t.forbidden_text),
            Self::ForeignOrigin => (StatusCode::FORBIDDEN, t.refused, t.foreign_origin_text),
            Self::PlainText => (StatusCode::FORBIDDEN, t.refused, t.plain_text_text),
            Self::NotReady | Self::Away(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, t.away, t.away_text)
            }
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, t.busy, t.busy_text),
            Self::ManyExports => (
                StatusCode::SERVICE_UNAVAILABLE,
                t.refused,
                t.many_exports_text,
            ),
            Self::Defect => (StatusCode::INTERNAL_SERVER_ERROR, t.defect, t.defect_text),
        };
        let page = Page {
            navigation,
            ..Page::plain(language, title)
        };
        let mut response = render(status, &ErrorPage { page, text });
        if status == StatusCode::SERVICE_UNAVAILABLE {
            let seconds = header::HeaderValue::from_static("5");
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}
