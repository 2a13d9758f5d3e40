//! `POST /<publication>/hs/AquaDeliveri/getOrdersURL`: login -> body -> intake -> response (contract §1).

use std::sync::Arc;

use axum::{
    Extension,
    body::Body,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, StatusCode},
    response::{IntoResponse, Response},
};
use tokio::time::timeout_at;

use super::{
    app::App,
    body::reply::ReplyBody,
    dry_run::is_dry_run,
    exchange::{Exchange, Facts},
    failure::{Failure, json},
    listener::address::SenderAddress,
};
use crate::{
    config::Role,
    intake::{RawBatch, Reply},
};

/// Tells a caller that nothing was stored.
const X_DRY_RUN: HeaderName = HeaderName::from_static("x-dry-run");

/// Takes a batch. Whatever becomes of it, the response carries the facts for the log line.
pub async fn receive(
    State(app): State<Arc<App>>,
    Extension(exchange): Extension<Exchange>,
    Extension(sender): Extension<SenderAddress>,
    request: Request,
) -> Response {
    let mut facts = Facts::default();
    let outcome = process(&app, exchange, sender, request, &mut facts).await;
    facts.with(outcome)
}

/// The same on the operator's listener, for dry runs only.
pub async fn receive_dry_run(
    state: State<Arc<App>>,
    exchange: Extension<Exchange>,
    sender: Extension<SenderAddress>,
    request: Request,
) -> Response {
    match is_dry_run(request.uri()) {
        Ok(false) => Failure::DryRunOnly.into_response(),
        Ok(true) | Err(_) => receive(state, exchange, sender, request).await,
    }
}

async fn process(
    app: &App,
    exchange: Exchange,
    sender: SenderAddress,
    request: Request,
    facts: &mut Facts,
) -> Result<Response, Failure> {
    let (head, body) = request.into_parts();
    let caller = app.log_in(Role::Sender, &head, sender, facts).await?;
    facts.dry_run = is_dry_run(&head.uri)?;
    let intake = app.intake.get().ok_or(Failure::StorageUnavailable)?;
    let elements = app.read(&caller, sender, &head, body, facts).await?;
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
    let deadline = batch.complete_at + app.config().times.answer;
    // The intake's database work runs in its own task, with shorter deadlines than this one: dropping it here is harmless,
    // and nothing is stored after this response.
    let reply = async {
        if facts.dry_run {
            intake.dry_run(batch).await
        } else {
            intake.accept(batch).await
        }
    };
    let reply = timeout_at(deadline.into(), reply)
        .await
        .map_err(|_elapsed| Failure::StorageUnavailable)??;
    Ok(respond(reply, facts))
}

fn respond(reply: Reply, facts: &mut Facts) -> Response {
    let verdicts = &reply.verdicts;
    (facts.accepted, facts.rejected) = (verdicts.accepted, verdicts.rejected);
    facts.orders = verdicts.orders();
    facts.stages.extend(reply.stages);
    let body = ReplyBody::new(reply.body, reply.memory);
    let mut response = json(StatusCode::OK, Body::new(body));
    if facts.dry_run {
        let headers = response.headers_mut();
        headers.insert(X_DRY_RUN, HeaderValue::from_static("true"));
    }
    response
}
