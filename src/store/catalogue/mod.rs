//! What import reads and writes (contract §5): districts, products, clients with their addresses and prices.
//!
//! An import is one transaction of several statements, each for a chunk of rows. It runs beside the intake, which
//! holds no locks but counts versions; so do these statements, and whoever loses reads again.

use std::time::Duration;

use serde_json::json;
use sqlx::{PgConnection, Postgres, Transaction};

use super::{Error, Store, console::Act, numbers::Kind};
use crate::{
    catalogue::decide::{FreeNumbers, Shortage},
    config::Publication,
};

mod read;
mod write;

/// Rows in a statement: enough to make round trips cheap, few enough to show progress.
const CHUNK: usize = 1000;
/// For one statement of an import; the intake's is meant for callers who wait.
const STATEMENT_TIMEOUT: Duration = Duration::from_mins(2);
/// For another import of the publication, or for orders that write a client just now.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// Is told how many rows are done, and of how many.
pub type Progress<'p> = &'p (dyn Fn(usize, usize) + Send + Sync);

/// An import on its way. Dropped without [`Import::commit`], it leaves nothing behind.
#[derive(Debug)]
pub struct Import {
    transaction: Transaction<'static, Postgres>,
    publication: String,
}

/// An import's statement failed. Waiting too long for a lock is no reason to give up here.
fn of_import(error: sqlx::Error) -> Error {
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code);
    if code.as_deref() == Some("55P03") {
        return Error::Overtaken(error);
    }
    Error::of_statement(error)
}

/// Nothing was written yet: a broken connection leaves nothing open.
fn of_reading(error: sqlx::Error) -> Error {
    match of_import(error) {
        Error::Unsure(error) => Error::Unavailable(error),
        other => other,
    }
}

impl Store {
    /// Starts an import. Imports of one publication take turns; [`Error::Overtaken`] when the other one takes its time.
    pub async fn begin_import(&self, publication: &str) -> Result<Import, Error> {
        let mut transaction = self.pool().begin().await.map_err(Error::Unavailable)?;
        let milliseconds = |duration: Duration| duration.as_millis().to_string();
        // Not the intake's one plan for ever: made while a table is empty, it would walk the whole table for every chunk
        // that follows.
        sqlx::query!(
            "SELECT set_config('statement_timeout', $1, true) AS statement, set_config('lock_timeout', $2, true) AS lock,
                    set_config('idle_in_transaction_session_timeout', $1, true) AS idle,
                    set_config('plan_cache_mode', 'auto', true) AS plans",
            milliseconds(STATEMENT_TIMEOUT),
            milliseconds(LOCK_TIMEOUT),
        )
        .fetch_one(&mut *transaction)
        .await
        .map_err(of_reading)?;
        sqlx::query!(
            "SELECT pg_advisory_xact_lock(hashtextextended('import ' || $1, 0))",
            publication
        )
        .fetch_one(&mut *transaction)
        .await
        .map_err(of_reading)?;
        Ok(Import {
            transaction,
            publication: publication.to_owned(),
        })
    }

    /// Whether the publication has no district, product or client yet, and never got this mark.
    pub async fn is_untouched(&self, publication: &str, mark: &str) -> Result<bool, Error> {
        let mut connection = self.pool().acquire().await.map_err(Error::Unavailable)?;
        is_untouched(&mut connection, publication, mark).await
    }

    /// Lets the planner know of an import's rows at once: PostgreSQL itself gets round to it a minute later, and until
    /// then orders may be slow (see statistics.rs). Nothing depends on it.
    pub async fn note_import(&self) -> Result<(), Error> {
        sqlx::query!("ANALYZE district, product, product_sender_id, client, client_price, address, imported_order")
            .execute(self.pool())
            .await
            .map(drop)
            .map_err(Error::Unavailable)
    }

    /// Takes numbers off the publication's counters, just as many as are short.
    pub async fn take_numbers(
        &self,
        publication: &Publication,
        short: Shortage,
        free: &mut FreeNumbers,
    ) -> Result<(), Error> {
        let first = publication.first_numbers;
        for (kind, first, short, free) in [
            (
                Kind::Product,
                first.product,
                short.product,
                &mut free.product,
            ),
            (Kind::Client, first.client, short.client, &mut free.client),
            (
                Kind::Address,
                first.address,
                short.address,
                &mut free.address,
            ),
        ] {
            let numbers = self.take(&publication.name, kind, first, short).await?;
            free.extend(numbers);
        }
        Ok(())
    }
}

impl Import {
    /// Keeps orders from writing these clients until the import is over. [`Error::Overtaken`] means "again".
    pub async fn lock_clients(&mut self, numbers: &[i32]) -> Result<(), Error> {
        for chunk in numbers.chunks(CHUNK) {
            sqlx::query!(
                "SELECT number FROM client WHERE publication = $1 AND number = ANY ($2)
                 ORDER BY number FOR NO KEY UPDATE",
                self.publication,
                chunk,
            )
            .fetch_all(&mut *self.transaction)
            .await
            .map_err(of_reading)?;
        }
        Ok(())
    }

    /// As [`Store::is_untouched`], with nobody else importing meanwhile.
    pub async fn is_untouched(&mut self, mark: &str) -> Result<bool, Error> {
        is_untouched(&mut self.transaction, &self.publication, mark).await
    }

    pub async fn mark(&mut self, mark: &str) -> Result<(), Error> {
        sqlx::query!(
            "INSERT INTO publication_mark (publication, mark) VALUES ($1, $2)",
            self.publication,
            mark,
        )
        .execute(&mut *self.transaction)
        .await
        .map_err(of_reading)?;
        Ok(())
    }

    /// Writes down that an operator of the console had an id mean a product.
    pub async fn note_match(
        &mut self,
        product_id: &str,
        product: i32,
        by: Act<'_>,
    ) -> Result<(), Error> {
        sqlx::query!(
            "INSERT INTO product_match (publication, sender_id, product_number, made_at, login) VALUES ($1, $2, $3, now(), $4)
             ON CONFLICT (publication, sender_id, product_number) DO UPDATE SET
                 made_at = excluded.made_at, login = excluded.login, taken_back = false",
            self.publication,
            product_id,
            product,
            by.login,
        )
        .execute(&mut *self.transaction)
        .await
        .map_err(of_reading)?;
        self.note("match", product_id, product, by).await
    }

    /// Has an id not mean a product any more that an operator of the console chose for it. `false`: no operator did, or it means
    /// another one by now; then nothing is changed.
    pub async fn take_match_back(
        &mut self,
        product_id: &str,
        product: i32,
        by: Act<'_>,
    ) -> Result<bool, Error> {
        let found = sqlx::query!(
            "UPDATE product_match SET taken_back = true
             WHERE publication = $1 AND sender_id = $2 AND product_number = $3 AND NOT taken_back",
            self.publication,
            product_id,
            product,
        )
        .execute(&mut *self.transaction)
        .await
        .map_err(of_reading)?;
        let gone = sqlx::query!(
            "DELETE FROM product_sender_id WHERE publication = $1 AND sender_id = $2 AND product_number = $3",
            self.publication,
            product_id,
            product,
        )
        .execute(&mut *self.transaction)
        .await
        .map_err(of_reading)?;
        if found.rows_affected() == 0 || gone.rows_affected() == 0 {
            return Ok(false);
        }
        write::raise_version(&mut self.transaction, &self.publication, false).await?;
        self.note("take_back", product_id, product, by).await?;
        Ok(true)
    }

    async fn note(
        &mut self,
        kind: &str,
        product_id: &str,
        product: i32,
        by: Act<'_>,
    ) -> Result<(), Error> {
        let details = json!({ "product_id": product_id, "product": product });
        by.note(
            &mut self.transaction,
            &self.publication,
            kind,
            None,
            &details,
        )
        .await
        .map_err(of_reading)
    }

    /// Stores nothing, also when the connection breaks.
    pub async fn roll_back(self) -> Result<(), Error> {
        self.transaction
            .rollback()
            .await
            .map_err(Error::Unavailable)
    }

    /// Stores everything. [`Error::Unsure`] when the connection broke just then; importing once more is safe either way.
    pub async fn commit(self) -> Result<(), Error> {
        self.transaction.commit().await.map_err(of_import)
    }
}

async fn is_untouched(
    connection: &mut PgConnection,
    publication: &str,
    mark: &str,
) -> Result<bool, Error> {
    sqlx::query_scalar!(
        r#"SELECT NOT (EXISTS (SELECT FROM publication_mark WHERE publication = $1 AND mark = $2)
                    OR EXISTS (SELECT FROM district WHERE publication = $1)
                    OR EXISTS (SELECT FROM product WHERE publication = $1)
                    OR EXISTS (SELECT FROM client WHERE publication = $1)) AS "untouched!""#,
        publication,
        mark,
    )
    .fetch_one(connection)
    .await
    .map_err(of_reading)
}
