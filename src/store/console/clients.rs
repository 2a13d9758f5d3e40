//! Clients as whoever is asked by one of them looks for them, and what their page shows besides the client itself.

use super::{
    KeptPosition, Search,
    orders::{CLIENTS, clients},
};
use crate::store::{Error, Store, personal::Called};

/// Nothing of a client's is counted further.
pub const ORDERS_COUNTED: i64 = 1_000;

/// A kept order, as far as a list of a client's names it.
#[derive(Debug, Clone)]
pub struct KeptOfClient {
    pub at: KeptPosition,
    pub order_key: String,
    pub body: String,
    pub is_rejected: bool,
}

impl Store {
    /// The clients whose phone ends, or whose name begins, like that, in the order of their names; and whether there may be more.
    pub async fn search_clients(
        &self,
        publication: &str,
        search: &Search,
        most: usize,
    ) -> Result<(Vec<Called>, bool), Error> {
        self.look_up(async |connection| {
            let numbers = clients(connection, publication, search).await?;
            let mut found = sqlx::query_as!(
                Called,
                r#"SELECT c.number, c.sender_id, c.guest_phone IS NOT NULL AS "is_guest!", c.username,
                          coalesce(c.phone, c.phones[1], c.guest_phone) AS phone
                   FROM unnest($2::int[]) AS k (number)
                   CROSS JOIN LATERAL (
                       SELECT * FROM client c WHERE c.publication = $1 AND c.number = k.number OFFSET 0
                   ) c
                   ORDER BY c.username, c.number"#,
                publication,
                &numbers,
            )
            .fetch_all(connection)
            .await?;
            let is_cut = found.len() > most || numbers.len() > usize::try_from(CLIENTS).unwrap_or(usize::MAX);
            found.truncate(most);
            Ok((found, is_cut))
        })
        .await
    }

    /// How many orders a client has, [`ORDERS_COUNTED`] at most.
    pub async fn count_orders_of_client(
        &self,
        publication: &str,
        client: i32,
    ) -> Result<i64, Error> {
        self.look_up(async |connection| {
            sqlx::query_scalar!(
                r#"SELECT count(*) AS "orders!" FROM (
                       SELECT FROM orders WHERE publication = $1 AND client_number = $2 AND number > 0 LIMIT $3
                   ) o"#,
                publication,
                client,
                ORDERS_COUNTED,
            )
            .fetch_one(connection)
            .await
        })
        .await
    }

    /// The newest orders that are kept as they came, whosoever they are, without those that were erased; and whether there may be more.
    pub async fn newest_kept(
        &self,
        publication: &str,
        most: i64,
    ) -> Result<(Vec<KeptOfClient>, bool), Error> {
        let found = self.look_up(async |connection| {
            sqlx::query!(
                r#"SELECT batch, position, order_key, body, warnings IS NULL AS "is_rejected!" FROM journal_rejected
                   WHERE publication = $1 ORDER BY batch DESC, position DESC LIMIT $2"#,
                publication,
                most,
            )
            .fetch_all(connection)
            .await
        });
        let found = found.await?;
        let is_cut = i64::try_from(found.len()).unwrap_or(i64::MAX) >= most;
        let found = found.into_iter().filter(|kept| !kept.body.is_empty());
        let found = found.map(|kept| KeptOfClient {
            at: KeptPosition {
                batch: kept.batch,
                position: kept.position,
            },
            order_key: kept.order_key,
            body: kept.body,
            is_rejected: kept.is_rejected,
        });
        Ok((found.collect(), is_cut))
    }
}
