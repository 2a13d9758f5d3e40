//! Logging in and out, and the choice of a language.

use std::sync::Arc;

use askama::Template;
use axum::{
    Extension, Form,
    extract::{Query, State},
    http::{HeaderMap, StatusCode, header, request},
    response::{AppendHeaders, IntoResponse, Redirect, Response},
};
use serde::Deserialize;

use super::{
    Console,
    page::{Notice, Page, render},
    refusal::Refusal,
    search, session,
    texts::{self, language, texts},
};
use crate::{
    http::{
        listener::address::SenderAddress,
        login::{Credentials, Refused},
    },
    order::fault::Language,
};

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    page: Page,
    login: String,
    next: String,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    next: String,
}

#[derive(Deserialize)]
pub(super) struct Given {
    #[serde(default)]
    login: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    next: String,
}

fn form(language: Language, login: String, next: String, notice: Option<Notice>) -> LoginPage {
    LoginPage {
        page: Page::plain(language, texts(language).log_in).with(notice),
        login,
        next,
    }
}

pub(super) async fn show(headers: HeaderMap, Query(asked): Query<Asked>) -> Response {
    let page = form(language(&headers), String::new(), asked.next, None);
    render(StatusCode::OK, &page)
}

pub(super) async fn log_in(
    State(console): State<Arc<Console>>,
    Extension(SenderAddress(address)): Extension<SenderAddress>,
    head: request::Parts,
    Form(given): Form<Given>,
) -> Result<Response, Refusal> {
    let language = language(&head.headers);
    let store = console.store()?;
    let login = given.login.trim().to_owned();
    let credentials = Credentials {
        login: login.clone(),
        password: given.password,
    };
    // Before the password is checked: if it is another one meanwhile, the session is over as soon as it begins.
    let user = console.user(&login);
    match console.app.gate.admit_operator(credentials, address).await {
        Ok(()) => {}
        Err(Refused::Overloaded) => return Err(Refusal::Busy),
        Err(Refused::Unauthorized) => {
            let wrong = Notice::bad(texts(language).wrong_password);
            let page = form(language, login, given.next, Some(wrong));
            return Ok(render(StatusCode::FORBIDDEN, &page));
        }
    }
    let user = user.ok_or(Refusal::Defect)?;
    let cookie = session::begin(store, &user, &head, &console).await?;
    let to = Redirect::to(own_path(&given.next));
    Ok(([(header::SET_COOKIE, cookie)], to).into_response())
}

pub(super) async fn log_out(
    State(console): State<Arc<Console>>,
    head: request::Parts,
) -> Result<Response, Refusal> {
    session::end(console.store()?, &head.headers).await?;
    let cookies = [session::no_cookie(&head, &console), search::NO_COOKIE];
    let cookies = AppendHeaders(cookies.map(|cookie| (header::SET_COOKIE, cookie)));
    Ok((cookies, Redirect::to("/console/login")).into_response())
}

#[derive(Debug, Deserialize)]
pub(super) struct Chosen {
    language: String,
    #[serde(default)]
    next: String,
}

pub(super) async fn set_language(Form(chosen): Form<Chosen>) -> Response {
    let language = match chosen.language.as_str() {
        "en" => Language::En,
        _ => Language::Ru,
    };
    let cookie = [(header::SET_COOKIE, texts::cookie(language))];
    (cookie, Redirect::to(own_path(&chosen.next))).into_response()
}

/// A path of the console's, and of no other site.
fn own_path(path: &str) -> &str {
    let is_own = path.starts_with("/console/") && path.bytes().all(|byte| byte.is_ascii_graphic());
    if is_own { path } else { "/console" }
}

#[cfg(test)]
mod tests {
    use super::own_path;

    #[test]
    fn after_the_login_nobody_is_led_elsewhere() {
        for (path, due) in [
            (
                "/console/p/shop/orders?status=new",
                "/console/p/shop/orders?status=new",
            ),
            ("https://evil.example/", "/console"),
            ("//evil.example/console/", "/console"),
            ("/metrics", "/console"),
            ("/console/\r\nSet-Cookie: a=b", "/console"),
            ("", "/console"),
        ] {
            assert_eq!(own_path(path), due);
        }
    }
}
