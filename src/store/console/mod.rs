//! What the console asks of the database, on connections of its own: however many people click, no batch waits for them. A page
//! that takes too long is given up on.

mod actions;
mod calls;
mod clients;
mod doubles;
mod exported;
mod filling;
mod kept;
mod order;
mod orders;
mod overview;
mod refused;
mod sessions;
mod unmatched;
mod waiting;

use std::{sync::Arc, time::Duration};

use sqlx::{Connection, PgConnection, postgres::PgPoolOptions};

pub use self::{
    actions::{ACTIONS_LOOKED_AT, Act, ActionRow, ActionsFilter, ActionsOf},
    clients::{KeptOfClient, ORDERS_COUNTED},
    doubles::Double,
    exported::OrderDetails,
    filling::{Change, Filled, Given, ORDERS_LOOKED_AT},
    kept::{KeptFilter, KeptGroup, KeptPage, KeptPosition, KeptRow, LOOKED_AT},
    order::{OrderAtTarget, Refusal},
    orders::{
        MOST_FOUND, OrderRow, OrdersCount, OrdersFilter, OrdersPage, PICKED, Position, Search,
    },
    overview::{At1c, COUNTED, CameIn, Counted, KEPT, Made, NEWEST, Reason, SLOT_SECONDS, Since},
    refused::RefusedRow,
    sessions::{LIFETIME, Session, SessionKey},
    unmatched::{
        COUNTED_IN_FULL, CatalogueProduct, LINES_COUNTED, LeftEmpty, Matched, PRODUCTS, Unmatched,
        UnmatchedPage, UnmatchedRow,
    },
    waiting::{MOST_COUNTED, Waiting},
};
use super::{Error, Store, client_cache::ClientCache, connection::Connections, location::Shards};

/// Connections of all who use the console of this instance.
const CONNECTIONS: u32 = 4;
/// No page needs longer; PostgreSQL ends what does.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(3);

impl Store {
    /// The same database over connections of its own, with the console's role and a shorter patience. Neither connects before it is
    /// used.
    #[must_use]
    pub fn for_console(&self) -> Self {
        let own = self.console.as_deref().cloned();
        let servers = own.unwrap_or_else(|| self.shards.servers());
        let servers = servers.map(|options| {
            let milliseconds = STATEMENT_TIMEOUT.as_millis();
            options.options([("statement_timeout", milliseconds.to_string())])
        });
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS);
        let most = CONNECTIONS as usize;
        Self {
            shards: Arc::new(Shards::new(servers.clone(), pool.clone(), most)),
            connections: Arc::new(Connections::pooled(pool, servers, most)),
            console: None,
            growth: Arc::clone(&self.growth),
            client_cache: Arc::new(ClientCache::new(0)),
            news: Arc::clone(&self.news),
            imported: Arc::clone(&self.imported),
            patience: STATEMENT_TIMEOUT + super::GRACE,
            lock_timeout: self.lock_timeout,
        }
    }
}

impl Store {
    /// Looks something up for a page, within its patience. The transaction changes nothing, and what is not searched by is left out
    /// of its plan: the one plan that fits the statements of batches would not use an index for what may as well be absent. Its
    /// timeout counts behind a pooler, too, that drops those of the session.
    async fn look_up<T>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, Error> {
        let mut connection = self.connection().await?;
        let found = async {
            let mut transaction = connection.begin().await?;
            plan_anew(&mut transaction, true).await?;
            let found = work(&mut transaction).await?;
            transaction.rollback().await?;
            Ok(found)
        };
        let found = self.in_time(found).await;
        connection.done(found)
    }
}

/// Has the rest of a transaction planned for what is asked, and bounds each of its statements.
async fn plan_anew(connection: &mut PgConnection, is_read_only: bool) -> Result<(), sqlx::Error> {
    sqlx::query(
        "SELECT set_config('transaction_read_only', $2, true), set_config('plan_cache_mode', 'force_custom_plan', true),
                set_config('statement_timeout', $1, true)",
    )
    .bind(STATEMENT_TIMEOUT.as_millis().to_string())
    .bind(if is_read_only { "on" } else { "off" })
    .execute(connection)
    .await?;
    Ok(())
}
