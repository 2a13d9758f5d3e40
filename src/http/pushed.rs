//! `POST /v1/order/import/`: the call by which a 1C tells the site of its orders (contract §8.3). The token says of which
//! publication.

use std::{sync::Arc, time::Instant};

use axum::{
    Extension,
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    response::Response,
};

use super::{
    app::App,
    body::reply::ReplyBody,
    exchange::{Exchange, Facts},
    failure::{Failure, json},
    listener::address::SenderAddress,
};
use crate::{
    exchange::pushed::{Entry, take, to_json},
    store::feed::Who,
};

/// Takes what is pushed.
pub async fn receive(
    State(app): State<Arc<App>>,
    Extension(exchange): Extension<Exchange>,
    Extension(address): Extension<SenderAddress>,
    request: Request,
) -> Response {
    let mut facts = Facts::default();
    let outcome = process(&app, exchange, address, request, &mut facts).await;
    facts.with(outcome)
}

async fn process(
    app: &App,
    exchange: Exchange,
    address: SenderAddress,
    request: Request,
    facts: &mut Facts,
) -> Result<Response, Failure> {
    let (head, body) = request.into_parts();
    let authorization = head.headers.get(header::AUTHORIZATION);
    let authorization = authorization.map(HeaderValue::as_bytes);
    let caller = (app.gate.admit_token(authorization, address.0))
        .inspect_err(|refused| facts.refused(*refused, authorization, address.0))?;
    facts.know(&caller);
    let publication = &caller.publication;
    let store = app.intake.get().ok_or(Failure::StorageUnavailable)?.store();
    let read = app.read(&caller, address, &head, body, facts).await?;
    let begin = Instant::now();
    let who = Who {
        login: caller.login.as_deref(),
        request_id: Some(&exchange.request_id),
    };
    let entries = take(
        store,
        &publication.name,
        &publication.rules,
        read.each(),
        &who,
    )
    .await?;
    facts.waited("results", begin);
    facts.counts(entries.values().map(Entry::is_accepted));
    let text = to_json(&entries, exchange.language).map_err(|_never| Failure::Internal)?;
    let body = ReplyBody::new(vec![text], read.memory);
    Ok(json(StatusCode::OK, Body::new(body)))
}
