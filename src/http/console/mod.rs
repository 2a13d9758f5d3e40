//! The operator's console (contract §9): a file a page, its template beside it. Pages are made here, whole; every action is a form,
//! and works without JavaScript.
//!
//! To add a page: a file with its handler, which takes a [`Desk`](session::Desk) and so a publication that is the visitor's to
//! see; its template, which extends `layout.html`; its texts in `texts/`; its route below. What changes something writes down who
//! did it ([`crate::store::console::Act`]).

mod access;
mod actions;
mod as_it_came;
mod asked;
mod assets;
mod carried;
mod chart;
mod client;
mod cookies;
mod corrected;
mod escape;
mod export;
mod faults;
mod history;
mod kept;
mod kept_all;
mod kept_fields;
mod kept_order;
mod kept_send;
mod login;
mod order;
mod orders;
mod overview;
mod page;
mod period;
mod refusal;
mod refused;
mod search;
mod session;
mod shown;
mod suggest;
mod texts;
mod unmatched;
mod unmatched_product;

use std::sync::{Arc, OnceLock};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware::{from_fn, from_fn_with_state},
    response::Redirect,
    routing::{get, post},
};
use tokio::sync::Semaphore;

use self::{page::first_page, refusal::Refusal, session::Visit};
use super::App;
use crate::{config::OperatorUser, store::Store};

/// The most that a form may have.
const FORM_BYTES: usize = 64 * 1024;

/// The state that every page works with.
#[derive(Debug)]
pub(super) struct Console {
    app: Arc<App>,
    store: OnceLock<Store>,
    /// Turns of exports.
    exports: Arc<Semaphore>,
}

impl Console {
    /// The database over the console's own connections.
    fn store(&self) -> Result<&Store, Refusal> {
        let intake = self.app.intake.get().ok_or(Refusal::NotReady)?;
        Ok(self.store.get_or_init(|| intake.store().for_console()))
    }

    /// The operator of that login, as the settings are now.
    fn user(&self, login: &str) -> Option<OperatorUser> {
        let config = self.app.config();
        let mut users = config.operator.users.iter();
        users.find(|user| user.login == login).cloned()
    }
}

pub(super) fn router(app: &Arc<App>) -> Router {
    let console = Arc::new(Console {
        app: Arc::clone(app),
        store: OnceLock::new(),
        exports: Arc::new(Semaphore::new(export::AT_ONCE)),
    });
    let admins = Router::new()
        .route("/console/p/{publication}/actions", get(actions::show))
        .route(
            "/console/p/{publication}/actions/export",
            post(actions::export),
        )
        .route(
            "/console/p/{publication}/clients",
            get(client::search_page).post(client::search),
        )
        .route(
            "/console/p/{publication}/clients/{number}",
            get(client::show),
        )
        .route(
            "/console/p/{publication}/clients/{number}/export",
            post(client::export),
        )
        .route(
            "/console/p/{publication}/clients/{number}/erase",
            get(client::ask_to_erase).post(client::erase),
        )
        .route_layer(from_fn(session::require_admin));
    let pages = Router::new()
        .route("/console", get(begin))
        .route("/console/p/{publication}/overview", get(overview::show))
        .route(
            "/console/p/{publication}/orders",
            get(orders::list).post(orders::search),
        )
        .route("/console/p/{publication}/orders/found", get(orders::found))
        .route(
            "/console/p/{publication}/orders/export",
            post(export::orders::export),
        )
        .route("/console/p/{publication}/orders/{number}", get(order::show))
        .route(
            "/console/p/{publication}/orders/{number}/status",
            post(order::set_status),
        )
        .route(
            "/console/p/{publication}/orders/{number}/resend",
            post(order::resend),
        )
        .route(
            "/console/p/{publication}/orders/{number}/withhold",
            post(order::withhold),
        )
        .route(
            "/console/p/{publication}/orders/{number}/put_aside",
            post(order::put_aside),
        )
        .route(
            "/console/p/{publication}/orders/{number}/put_back",
            post(order::put_back),
        )
        .route("/console/p/{publication}/rejected", get(kept::rejected))
        .route("/console/p/{publication}/remarks", get(kept::remarks))
        .route(
            "/console/p/{publication}/rejected/send",
            post(kept_all::rejected),
        )
        .route(
            "/console/p/{publication}/remarks/send",
            post(kept_all::remarks),
        )
        .route(
            "/console/p/{publication}/kept/{batch}/{position}",
            get(kept_order::show),
        )
        .route(
            "/console/p/{publication}/kept/{batch}/{position}/settle",
            post(kept_order::settle),
        )
        .route(
            "/console/p/{publication}/kept/{batch}/{position}/reopen",
            post(kept_order::reopen),
        )
        .route(
            "/console/p/{publication}/kept/{batch}/{position}/send",
            get(kept_send::lead_to_page)
                .post(kept_send::send)
                .layer(DefaultBodyLimit::max(kept_order::FORM_BYTES)),
        )
        .route("/console/p/{publication}/unmatched", get(unmatched::list))
        .route(
            "/console/p/{publication}/unmatched/product",
            get(unmatched_product::show),
        )
        .route(
            "/console/p/{publication}/unmatched/match",
            post(unmatched_product::choose),
        )
        .route(
            "/console/p/{publication}/unmatched/fill",
            post(unmatched_product::go_on),
        )
        .route(
            "/console/p/{publication}/unmatched/take_back",
            post(unmatched_product::take_back),
        )
        .route(
            "/console/p/{publication}/unmatched/leave_empty",
            post(unmatched_product::leave_empty),
        )
        .route("/console/p/{publication}/refused", get(refused::list))
        .route(
            "/console/p/{publication}/refused/resend",
            post(refused::resend),
        )
        .route(
            "/console/p/{publication}/refused/withhold",
            post(refused::withhold),
        )
        .merge(admins)
        .route_layer(from_fn_with_state(Arc::clone(&console), login::require));
    Router::new()
        .route("/console/", get(async || Redirect::to("/console")))
        .route(
            "/console/login",
            get(login::show)
                .post(login::log_in)
                .layer(DefaultBodyLimit::max(kept_order::FORM_BYTES)),
        )
        .route("/console/logout", post(login::log_out))
        .route(
            "/console/language",
            post(login::set_language).layer(DefaultBodyLimit::max(kept_order::FORM_BYTES)),
        )
        .merge(pages)
        .route("/console/assets/{hash}/{name}", get(assets::file))
        .route("/console/{*other}", get(async || Refusal::NotFound))
        .layer(DefaultBodyLimit::max(FORM_BYTES))
        .layer(from_fn(access::require_own_origin))
        .layer(from_fn_with_state(
            Arc::clone(&console),
            access::require_tls,
        ))
        .layer(from_fn_with_state(Arc::clone(&console), access::finish))
        .with_state(console)
}

async fn begin(visit: Visit) -> Redirect {
    Redirect::to(&first_page(&visit.user))
}
