//! Who is logged in: a cookie here, its hash in the database, so that any instance knows it.

use std::{fmt::Write as _, sync::Arc};

use argon2::password_hash::generate_salt;
use axum::{
    extract::{FromRequestParts, Request},
    http::{HeaderMap, HeaderValue, request},
    middleware::Next,
    response::Response,
};
use sha2::{Digest, Sha256};

use super::{Console, cookies::cookies, refusal::Refusal};
use crate::{
    config::{OperatorRole, OperatorUser, Publication},
    http::listener::address::{ViaProxy, X_FORWARDED_PROTO},
    order::fault::Language,
    store::{
        Store,
        console::{LIFETIME, Session, SessionKey, Waiting},
    },
};

/// The cookie's name under TLS; a browser takes such a one over TLS alone, and for this host alone.
const SECURE_NAME: &str = "__Host-aqua-console";
const PLAIN_NAME: &str = "aqua-console";

/// Whose request it is.
#[derive(Debug, Clone)]
pub(super) struct Visit {
    pub user: Arc<OperatorUser>,
    pub language: Language,
    /// The path and query of the request, to come back to.
    pub path: String,
    pub store: Store,
}

/// A visit to one publication, which is the visitor's to see.
#[derive(Debug, Clone)]
pub(super) struct Desk {
    pub visit: Visit,
    pub publication: Publication,
    /// The names of those that its orders are sent to.
    pub targets: Vec<String>,
    /// How much waits for a person there.
    pub waiting: Waiting,
    /// For how many days the journal keeps calls; 0: for ever.
    pub keep_batches: u32,
}

impl Visit {
    pub fn is_admin(&self) -> bool {
        self.user.role == OperatorRole::Admin
    }
}

impl Desk {
    pub fn store(&self) -> &Store {
        &self.visit.store
    }
}

impl FromRequestParts<Arc<Console>> for Visit {
    type Rejection = Refusal;

    async fn from_request_parts(
        parts: &mut request::Parts,
        _: &Arc<Console>,
    ) -> Result<Self, Refusal> {
        // Every page but the login's is behind `require`.
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or(Refusal::Defect)
    }
}

impl FromRequestParts<Arc<Console>> for Desk {
    type Rejection = Refusal;

    async fn from_request_parts(
        parts: &mut request::Parts,
        console: &Arc<Console>,
    ) -> Result<Self, Refusal> {
        let visit = Visit::from_request_parts(parts, console).await?;
        let path = axum::extract::RawPathParams::from_request_parts(parts, console).await;
        let path = path.map_err(|_invalid| Refusal::NotFound)?;
        let name = path.iter().find(|(key, _)| *key == "publication");
        let name = name.ok_or(Refusal::Defect)?.1.to_lowercase();
        // Another's looks like one that is not there.
        let own = visit.user.publications.contains(&name);
        let config = console.app.config();
        let mut publications = config.publications.iter();
        let publication = publications.find(|known| own && known.name == name);
        let publication = publication.ok_or(Refusal::NotFound)?.clone();
        let targets = publication.targets.iter();
        let targets: Vec<String> = targets.map(|target| target.name.clone()).collect();
        let waiting = visit.store.waiting(&publication.name, &targets).await?;
        Ok(Self {
            visit,
            publication,
            targets,
            waiting,
            keep_batches: config.journal.keep_batches,
        })
    }
}

/// For pages that are an admin's.
pub(super) async fn require_admin(request: Request, next: Next) -> Result<Response, Refusal> {
    let visit = request.extensions().get::<Visit>();
    if visit.is_some_and(Visit::is_admin) {
        Ok(next.run(request).await)
    } else {
        Err(Refusal::Forbidden)
    }
}

/// Who made a request, for its log line.
#[derive(Debug, Clone)]
pub(super) struct Login(pub String);

/// The operator who is logged in, if he is still one and his password is still the same.
pub(super) async fn who(
    console: &Console,
    store: &Store,
    headers: &HeaderMap,
) -> Result<Option<Arc<OperatorUser>>, Refusal> {
    let Some(token) = token(headers) else {
        return Ok(None);
    };
    let Some(session) = store.session(&key(token)).await? else {
        return Ok(None);
    };
    let user = console.user(&session.login);
    let user = user.filter(|user| fingerprint(user) == *session.fingerprint);
    Ok(user.map(Arc::new))
}

/// Begins a session, under a token that nobody had before, and ends the one that the browser had. Returns the cookie.
pub(super) async fn begin(
    store: &Store,
    user: &OperatorUser,
    request: &request::Parts,
    console: &Console,
) -> Result<HeaderValue, Refusal> {
    end(store, &request.headers).await?;
    // Sixteen random bytes each.
    let token = hex(&[generate_salt(), generate_salt()].concat());
    let session = Session {
        login: user.login.clone(),
        fingerprint: fingerprint(user).to_vec(),
    };
    store.begin_session(&key(&token), &session).await?;
    Ok(cookie(
        &token,
        LIFETIME.as_secs(),
        is_secure(console, request),
    ))
}

pub(super) async fn end(store: &Store, headers: &HeaderMap) -> Result<(), Refusal> {
    for token in tokens(headers) {
        store.end_session(&key(token)).await?;
    }
    Ok(())
}

/// The cookie that takes the session's cookie away.
pub(super) fn no_cookie(request: &request::Parts, console: &Console) -> HeaderValue {
    cookie("", 0, is_secure(console, request))
}

/// Whether the browser speaks TLS, with us or with the proxy.
pub(super) fn is_secure(console: &Console, request: &request::Parts) -> bool {
    let is_behind_proxy = request.extensions.get::<ViaProxy>().is_some();
    let spoken = request.headers.get(X_FORWARDED_PROTO);
    console.app.config().operator.tls.is_some()
        || (is_behind_proxy && spoken.is_some_and(|spoken| spoken == "https"))
}

fn cookie(token: &str, seconds: u64, is_secure: bool) -> HeaderValue {
    let cookie = if is_secure {
        format!(
            "{SECURE_NAME}={token}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Strict; Secure"
        )
    } else {
        format!("{PLAIN_NAME}={token}; Path=/console; Max-Age={seconds}; HttpOnly; SameSite=Strict")
    };
    // Hexadecimal digits.
    HeaderValue::from_str(&cookie).unwrap_or(HeaderValue::from_static(""))
}

fn tokens(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    cookies(headers)
        .filter(|(name, token)| [SECURE_NAME, PLAIN_NAME].contains(name) && !token.is_empty())
        .map(|(_, token)| token)
}

fn token(headers: &HeaderMap) -> Option<&str> {
    tokens(headers).next()
}

fn key(token: &str) -> SessionKey {
    Sha256::digest(token.as_bytes()).into()
}

/// Of the password's hash: a session does not outlive it.
fn fingerprint(user: &OperatorUser) -> [u8; 32] {
    Sha256::digest(user.password_hash.expose().as_bytes()).into()
}

pub(super) fn hex(bytes: &[u8]) -> String {
    let mut digits = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}
