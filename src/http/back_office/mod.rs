//! What a back office calls (contract §8): the feed of orders, what became of them, reference data. All of it wants a login
//! of the role `back_office`.

use std::{sync::Arc, time::Instant};

use axum::http::{HeaderValue, header, request};

use super::{
    app::App, exchange::Facts, failure::Failure, listener::address::SenderAddress, login::Caller,
    path::publication_of,
};

pub mod feed;
mod parameters;
pub mod reference;
pub mod results;

async fn log_in(
    app: &App,
    head: &request::Parts,
    SenderAddress(address): SenderAddress,
    facts: &mut Facts,
) -> Result<Caller, Failure> {
    let begin = Instant::now();
    let publication = publication_of(&head.uri);
    let authorization = head.headers.get(header::AUTHORIZATION);
    let authorization = authorization.map(HeaderValue::as_bytes);
    let admitted = (app.gate).admit_back_office(&publication, authorization, address);
    let caller = admitted.await?;
    facts.waited("login", begin);
    facts.publication = Some(Arc::clone(&caller.publication));
    facts.login.clone_from(&caller.login);
    Ok(caller)
}
