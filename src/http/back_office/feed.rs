//! `GET /<publication>/hs/AquaDeliveri/v1/orders`: the feed (contract §8.1).

use std::{sync::Arc, time::Instant};

use axum::{
    Extension,
    body::Body,
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};

use super::parameters::question;
use crate::{
    config::Role,
    exchange::feed::Error,
    http::{
        app::App,
        body::reply::ReplyBody,
        exchange::Facts,
        failure::{Failure, json},
        listener::address::SenderAddress,
    },
    share::Share,
};

/// Answers with what comes next.
pub async fn read(
    State(app): State<Arc<App>>,
    Extension(address): Extension<SenderAddress>,
    request: Request,
) -> Response {
    let mut facts = Facts::default();
    let outcome = process(&app, address, request, &mut facts).await;
    facts.with(outcome)
}

async fn process(
    app: &App,
    address: SenderAddress,
    request: Request,
    facts: &mut Facts,
) -> Result<Response, Failure> {
    let (head, _) = request.into_parts();
    let caller = app.log_in(Role::BackOffice, &head, address, facts).await?;
    let publication = &caller.publication;
    let question = question(&head.uri, publication.rules.timezone)?;
    let store = app.intake.get().ok_or(Failure::StorageUnavailable)?.store();
    let mut memory = (app.bodies.memory).reserve(&Share::new(&publication.name, address.0));
    let begin = Instant::now();
    let login = caller.login.as_deref().unwrap_or_default();
    let page = (app.feeds)
        .read(
            store,
            publication,
            login,
            question,
            &mut memory,
            app.stops(),
        )
        .await?;
    facts.waited("feed", begin);
    facts.orders = page.orders;
    facts.range = Some(page.range);
    app.metrics.feed_read(&publication.name, page.orders);
    Ok(json(
        StatusCode::OK,
        Body::new(ReplyBody::new(page.body, memory)),
    ))
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error {
            Error::CursorLost => Self::CursorLost,
            Error::TooManyWait => Self::TooManyWait,
            Error::Overloaded => Self::Overloaded,
            Error::Store(error) => {
                tracing::warn!(error = %error.in_full(), "the feed cannot be read");
                Self::StorageUnavailable
            }
        }
    }
}
