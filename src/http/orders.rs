//! `POST /<publication>/hs/AquaDeliveri/getOrdersURL`: body -> intake -> reply (contract §1).

use std::{sync::Arc, time::Instant};

use axum::{
    Extension,
    body::Body,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use percent_encoding::percent_decode_str;
use tokio::time::timeout_at;

use super::{
    app::App,
    body::reply::Answer,
    exchange::{Exchange, Facts},
    failure::{Failure, json},
    listener::address::SenderAddress,
    path::publication_of,
};
use crate::{intake::RawBatch, share::Share};

/// Takes a batch; whatever became of it, the log line's facts go out with the response.
pub async fn receive(
    State(app): State<Arc<App>>,
    Extension(exchange): Extension<Exchange>,
    Extension(peer): Extension<SenderAddress>,
    request: Request,
) -> Response {
    let mut facts = Facts::default();
    let outcome = take(&app, exchange, peer, request, &mut facts).await;
    let mut response = outcome.into_response();
    response.extensions_mut().insert(facts);
    response
}

/// Tells a caller that nothing was stored.
const X_DRY_RUN: HeaderName = HeaderName::from_static("x-dry-run");

/// Whether the batch is only to be checked, as the address's query says.
///
/// Whoever means to try something out must not have it stored for a slip of the pen: what looks like this parameter, and
/// is not it, is refused.
fn is_dry_run(uri: &Uri) -> Result<bool, Failure> {
    let mut dry_run = None;
    for parameter in uri.query().unwrap_or_default().split('&') {
        let parameter = parameter.replace('+', " ");
        let parameter = percent_decode_str(&parameter).decode_utf8_lossy();
        // A copied address brings blanks along.
        let this = match parameter.trim().split_once('=') {
            Some(("dry_run", value)) => match value.to_ascii_lowercase().as_str() {
                "true" | "1" => true,
                "false" | "0" => false,
                _ => return Err(Failure::InvalidDryRun),
            },
            _ if looks_like_it(&parameter) => return Err(Failure::InvalidDryRun),
            _ => continue,
        };
        if *dry_run.get_or_insert(this) != this {
            return Err(Failure::InvalidDryRun);
        }
    }
    Ok(dry_run.unwrap_or(false))
}

/// `dryRun`, `dry-run`, `dry_run[]`, `amp;dry_run` and whatever else a hand writes.
fn looks_like_it(parameter: &str) -> bool {
    let letters = parameter.chars().filter(char::is_ascii_alphanumeric);
    let letters: String = letters.map(|letter| letter.to_ascii_lowercase()).collect();
    letters.contains("dryrun")
}

/// The same on the operator's listener: orders are tried out there, and not taken.
pub async fn dry_run_only(
    state: State<Arc<App>>,
    exchange: Extension<Exchange>,
    peer: Extension<SenderAddress>,
    request: Request,
) -> Response {
    match is_dry_run(request.uri()) {
        Ok(false) => Failure::DryRunOnly.into_response(),
        Ok(true) | Err(_) => receive(state, exchange, peer, request).await,
    }
}

async fn take(
    app: &App,
    exchange: Exchange,
    SenderAddress(peer): SenderAddress,
    request: Request,
    facts: &mut Facts,
) -> Result<Response, Failure> {
    let (head, body) = request.into_parts();
    let credentials = head
        .headers
        .get(header::AUTHORIZATION)
        .map(HeaderValue::as_bytes);
    let begin = Instant::now();
    let caller = app
        .gate
        .admit(&publication_of(&head.uri), credentials, peer)
        .await?;
    facts.waited("login", begin);
    facts.publication = Some(Arc::clone(&caller.publication));
    facts.login.clone_from(&caller.login);
    facts.dry_run = is_dry_run(&head.uri)?;
    let intake = app.intake.get().ok_or(Failure::StorageUnavailable)?;

    let config = &app.config;
    let begin = Instant::now();
    let share = Share::new(&caller.publication.name, peer);
    let elements = app
        .bodies
        .read(&head.headers, body, &share)
        .await
        .map_err(|failure| failure.with_query(head.uri.query()))?;
    facts.waited("body", begin);
    facts.bytes = elements.bytes;
    facts.orders = elements.ranges.len();

    let batch = RawBatch {
        publication: caller.publication,
        request_id: exchange.request_id,
        login: caller.login,
        body: elements.text,
        elements: elements.ranges,
        language: exchange.language,
        memory: elements.memory,
        complete_at: elements.complete_at,
    };
    // The intake's database work runs in its own task, with shorter deadlines than this one: dropping it here is
    // harmless, and nothing lands after this answer.
    let reply = async {
        if facts.dry_run {
            intake.dry_run(batch).await
        } else {
            intake.accept(batch).await
        }
    };
    let reply = timeout_at((elements.complete_at + config.times.answer).into(), reply)
        .await
        .map_err(|_elapsed| Failure::StorageUnavailable)??;
    (facts.orders, facts.accepted, facts.rejected) = (reply.orders, reply.accepted, reply.rejected);
    facts.stages.extend(reply.stages);
    let answer = Answer::new(reply.body, reply.memory);
    let mut response = json(StatusCode::OK, Body::new(answer));
    if facts.dry_run {
        let headers = response.headers_mut();
        headers.insert(X_DRY_RUN, HeaderValue::from_static("true"));
    }
    Ok(response)
}
