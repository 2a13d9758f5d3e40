//! `POST /<publication>/hs/AquaDeliveri/v1/orders/results`: what became of orders (contract §8.1).

use std::{sync::Arc, time::Instant};

use axum::{
    Extension,
    body::Body,
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};

use super::parameters::none;
use crate::{
    config::Role,
    exchange::results::{Entry, report, to_json},
    http::{
        app::App,
        body::reply::ReplyBody,
        exchange::{Exchange, Facts},
        failure::{Failure, json},
        listener::address::SenderAddress,
    },
    store::{self, feed::Who},
};

/// Takes results.
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
    let caller = app.log_in(Role::BackOffice, &head, address, facts).await?;
    none(&head.uri)?;
    let publication = &caller.publication;
    let store = app.intake.get().ok_or(Failure::StorageUnavailable)?.store();
    let read = app.read(&caller, address, &head, body, facts).await?;
    let begin = Instant::now();
    let who = Who {
        login: caller.login.as_deref(),
        request_id: Some(&exchange.request_id),
    };
    let entries = report(
        store,
        &publication.name,
        &publication.rules,
        read.each(),
        &who,
    )
    .await?;
    facts.waited("results", begin);
    facts.counts(entries.iter().map(Entry::is_accepted));
    let text = to_json(&entries, exchange.language).map_err(|_never| Failure::Internal)?;
    let body = ReplyBody::new(vec![text], read.memory);
    Ok(json(StatusCode::OK, Body::new(body)))
}

impl From<store::Error> for Failure {
    fn from(error: store::Error) -> Self {
        tracing::warn!(error = %error.in_full(), "the database did not take what a back office said");
        Self::StorageUnavailable
    }
}
