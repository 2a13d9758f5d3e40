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
use crate::{config::OperatorUser, order::fault::Language};

/// The parts of the console, in the order of the navigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Section {
    Overview,
    Orders,
    Actions,
}

impl Section {
    const ALL: [Self; 3] = [Self::Overview, Self::Orders, Self::Actions];

    /// What follows the publication in its path.
    pub fn path(self) -> &'static str {
        match self {
            Self::Overview => "overview",
            Self::Orders => "orders",
            Self::Actions => "actions",
        }
    }

    fn title(self, t: &Texts) -> &'static str {
        match self {
            Self::Overview => t.overview,
            Self::Orders => t.orders,
            Self::Actions => t.actions,
        }
    }

    fn is_for_admins(self) -> bool {
        self == Self::Actions
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

#[derive(Debug)]
pub(super) struct Navigation {
    pub login: String,
    pub publication: String,
    /// The visitor's other publications.
    pub others: Vec<Link>,
    pub links: Vec<Link>,
    /// To come back to.
    pub path: String,
}

#[derive(Debug)]
pub(super) struct Link {
    pub title: String,
    pub href: String,
    pub is_current: bool,
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
        let visit = &desk.visit;
        let name = &desk.publication.name;
        let to = |publication: &str, section: Section| {
            format!("{}/{}", base(publication), section.path())
        };
        let others = visit
            .user
            .publications
            .iter()
            .filter(|other| *other != name);
        let sections = Section::ALL.into_iter();
        let sections = sections.filter(|section| visit.is_admin() || !section.is_for_admins());
        let t = texts(visit.language);
        Self {
            navigation: Some(Navigation {
                login: visit.user.login.clone(),
                publication: name.clone(),
                others: others
                    .map(|other| Link {
                        title: other.clone(),
                        href: to(other, Section::ALL[0]),
                        is_current: false,
                    })
                    .collect(),
                links: sections
                    .map(|known| Link {
                        title: known.title(t).to_owned(),
                        href: to(name, known),
                        is_current: known == section,
                    })
                    .collect(),
                path: visit.path.clone(),
            }),
            ..Self::plain(visit.language, title)
        }
    }

    pub fn with(self, notice: Option<Notice>) -> Self {
        Self { notice, ..self }
    }
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
    format!("{}/{}", base(publication), Section::ALL[0].path())
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
    pub fn page(&self, language: Language) -> Response {
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
        let page = Page::plain(language, title);
        let mut response = render(status, &ErrorPage { page, text });
        if status == StatusCode::SERVICE_UNAVAILABLE {
            let seconds = header::HeaderValue::from_static("5");
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}
