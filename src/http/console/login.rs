//! Logging in and out, and the choice of a language. Every other page is for whoever is logged in.

use std::sync::Arc;

use askama::Template;
use axum::{
    Extension, Form,
    extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Query, Request, State},
    http::{HeaderMap, Method, StatusCode, Uri, header, request},
    middleware::Next,
    response::{AppendHeaders, IntoResponse, Redirect, Response},
};
use serde::Deserialize;

use super::{
    Console,
    carried::{Carried, KEEP, is_kept_order},
    kept_order::FORM_BYTES,
    page::{Notice, Page, encoded, render},
    refusal::Refusal,
    search,
    session::{self, Desk, Login, Visit},
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
    carried: Carried,
}

/// After a login that took along what somebody wrote: it goes on to its page.
#[derive(Template)]
#[template(path = "carried.html")]
struct CarriedPage {
    page: Page,
    next: String,
    action: &'static str,
    carried: Carried,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    next: String,
    /// The session ended before somebody did something.
    #[serde(default)]
    over: String,
}

/// What somebody gave to log in.
#[derive(Default)]
struct Given {
    login: String,
    password: String,
    next: String,
    carried: Carried,
}

impl Given {
    fn of(form: Vec<(String, String)>) -> Self {
        let mut given = Self::default();
        let mut others = Vec::new();
        for (name, value) in form {
            match &*name {
                "login" => value.trim().clone_into(&mut given.login),
                "password" => given.password = value,
                "next" => given.next = value,
                _ => others.push((name, value)),
            }
        }
        given.carried = Carried::of(others);
        given
    }

    /// The form again.
    fn asked_again(
        self,
        status: StatusCode,
        language: Language,
        notice: Option<Notice>,
    ) -> Response {
        let page = LoginPage {
            page: Page::plain(language, texts(language).log_in).with(notice),
            login: self.login,
            next: self.next,
            carried: self.carried,
        };
        render(status, &page)
    }
}

pub(super) async fn show(headers: HeaderMap, Query(asked): Query<Asked>) -> Response {
    let given = Given {
        next: asked.next,
        ..Given::default()
    };
    let language = language(&headers);
    let over = (!asked.over.is_empty()).then(|| Notice::note(texts(language).nothing_done));
    given.asked_again(StatusCode::OK, language, over)
}

/// Lets nobody by who is not logged in; whoever looks for a page logs in first and gets there then.
pub(super) async fn require(
    State(console): State<Arc<Console>>,
    mut request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let store = console.store()?;
    let Some(user) = session::who(&console, store, request.headers()).await? else {
        return Ok(ask(request).await);
    };
    let path = request.uri().path_and_query();
    let visit = Visit {
        language: language(request.headers()),
        path: path.map_or_else(String::new, |path| path.as_str().to_owned()),
        store: store.clone(),
        user,
    };
    let login = visit.user.login.clone();
    request.extensions_mut().insert(visit);
    let (mut parts, body) = request.into_parts();
    let mut response = next.run(Request::from_parts(parts.clone(), body)).await;
    response.extensions_mut().insert(Login(login));
    // Who is told that a page is not for him, or not there, goes on from there.
    let refusal = response.extensions().get::<Refusal>();
    if matches!(refusal, Some(Refusal::Forbidden | Refusal::NotFound))
        && let Ok(desk) = Desk::from_request_parts(&mut parts, &console).await
    {
        response.extensions_mut().insert(desk);
    }
    Ok(response)
}

/// Sends somebody to the login who is not logged in; there he finds what he wrote meanwhile.
async fn ask(mut request: Request) -> Response {
    let language = language(request.headers());
    let to_login = |next: &str| {
        let next = encoded(next);
        Redirect::to(&format!("/console/login?next={next}")).into_response()
    };
    let path = request.uri().path();
    if request.method() == Method::GET {
        let path = request.uri().path_and_query();
        return to_login(path.map_or("/console", |path| path.as_str()));
    }
    let sends = path.strip_suffix("/send");
    let Some(next) = sends.filter(|page| is_kept_order(page)).map(str::to_owned) else {
        let next = came_from(request.headers());
        let to = format!("/console/login?next={}&over=1", encoded(&next));
        return Redirect::to(&to).into_response();
    };
    DefaultBodyLimit::max(FORM_BYTES).apply(&mut request);
    let form = Form::from_request(request, &()).await;
    let carried = form.map_or_else(|_| Carried::default(), |Form(form)| Carried::of(form));
    if carried.is_empty() {
        return to_login(&next);
    }
    let given = Given {
        login: carried.writer.clone(),
        next,
        carried,
        ..Given::default()
    };
    let notice = Notice::note(texts(language).session_is_over);
    given.asked_again(StatusCode::FORBIDDEN, language, Some(notice))
}

/// The page on which somebody was when he did something.
fn came_from(headers: &HeaderMap) -> String {
    let referer = headers.get(header::REFERER);
    let page = referer.and_then(|page| Uri::try_from(page.as_bytes()).ok());
    let path = page.as_ref().and_then(Uri::path_and_query);
    own_path(path.map_or("/console", |path| path.as_str())).to_owned()
}

pub(super) async fn log_in(
    State(console): State<Arc<Console>>,
    Extension(SenderAddress(address)): Extension<SenderAddress>,
    head: request::Parts,
    Form(form): Form<Vec<(String, String)>>,
) -> Result<Response, Refusal> {
    let language = language(&head.headers);
    let store = console.store()?;
    let mut given = Given::of(form);
    let credentials = Credentials {
        login: given.login.clone(),
        password: std::mem::take(&mut given.password),
    };
    // Before the password is checked: if it is another one meanwhile, the session is over as soon as it begins.
    let user = console.user(&given.login);
    match console.app.gate.admit_operator(credentials, address).await {
        Ok(()) => {}
        Err(Refused::Overloaded) => return Err(Refusal::Busy),
        Err(Refused::Unauthorized) => {
            let wrong = Notice::bad(texts(language).wrong_password);
            return Ok(given.asked_again(StatusCode::FORBIDDEN, language, Some(wrong)));
        }
    }
    let user = user.ok_or(Refusal::Defect)?;
    let cookie = session::begin(store, &user, &head, &console).await?;
    let next = own_path(&given.next);
    let is_writer = given.carried.writer == given.login;
    let response = if is_kept_order(next) && is_writer && !given.carried.is_empty() {
        let page = CarriedPage {
            page: Page::plain(language, texts(language).text_goes_on),
            next: next.to_owned(),
            action: KEEP,
            carried: given.carried,
        };
        render(StatusCode::OK, &page)
    } else {
        Redirect::to(next).into_response()
    };
    Ok(([(header::SET_COOKIE, cookie)], response).into_response())
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

/// On the login's page what somebody wrote is taken along, and stays before him.
pub(super) async fn set_language(Form(form): Form<Vec<(String, String)>>) -> Response {
    let mut chosen = form.iter().filter(|(name, _)| name == "language");
    let language = match chosen.next() {
        Some((_, code)) if code == "en" => Language::En,
        _ => Language::Ru,
    };
    let given = Given::of(form);
    let cookie = [(header::SET_COOKIE, texts::cookie(language))];
    if given.carried.is_empty() {
        return (cookie, Redirect::to(own_path(&given.next))).into_response();
    }
    let notice = Notice::note(texts(language).session_is_over);
    let page = given.asked_again(StatusCode::OK, language, Some(notice));
    (cookie, page).into_response()
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
