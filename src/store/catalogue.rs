//! What import reads and writes (contract §5): districts, products, clients with their addresses and prices.
//!
//! An import is one transaction of several statements, each for a chunk of rows. It runs beside the intake, which
//! holds no locks but counts versions; so do these statements, and whoever loses reads again.

use std::{collections::BTreeSet, time::Duration};

use serde_json::json;
use sqlx::{PgConnection, Postgres, Transaction, types::Json};

use super::{Error, Store, numbers::Kind};
use crate::{
    catalogue::decide::{Changes, FreeNumbers, Keys, Product, Put, Shortage, Stored},
    config::Publication,
    order::{
        list::List,
        model::{Address, AddressContent, BankAccount, Client, ClientPrice, ClientType},
    },
};

/// Rows in a statement: enough to make round trips cheap, few enough to show progress.
const CHUNK: usize = 1000;
/// For one statement of an import; the intake's is meant for callers who wait.
const STATEMENT_TIMEOUT: Duration = Duration::from_mins(2);
/// For another import of the publication, or for orders that write a client just now.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

/// Tells how many rows of how many are done.
pub type Progress<'p> = &'p (dyn Fn(usize, usize) + Send + Sync);

/// An import on its way. Dropped without [`Import::commit`], it leaves nothing behind.
#[derive(Debug)]
pub struct Import {
    transaction: Transaction<'static, Postgres>,
    publication: String,
}

/// Reads the error of an import's statement: here being too late for a lock is no reason to give up.
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
    /// Starts an import. Imports of one publication take turns.
    ///
    /// # Errors
    /// [`Error::Overtaken`] when the other one takes its time.
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
    /// then orders may be slow (see statistics.rs).
    ///
    /// # Errors
    /// When the database is away; nothing depends on it.
    pub async fn note_import(&self) -> Result<(), Error> {
        sqlx::query!("ANALYZE district, product, product_sender_id, client, client_price, address")
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
    /// Keeps orders from writing these clients until the import is over.
    ///
    /// # Errors
    /// [`Error::Overtaken`] means "again", nothing is stored.
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

    /// Reads all that is stored under the keys. A client's addresses and prices are read after its version: should
    /// somebody change them in between, the version tells when it comes to writing.
    pub async fn read(&mut self, keys: &Keys, progress: Progress<'_>) -> Result<Stored, Error> {
        let mut stored = Stored::default();
        let (publication, connection) = (&self.publication, &mut *self.transaction);
        let total = keys.districts.len()
            + keys.products.len()
            + keys.product_ids.len()
            + keys.clients.len()
            + keys.client_ids.len()
            + keys.addresses.len();
        let mut done = 0;
        let mut step = |rows: usize| {
            done += rows;
            progress(done, total);
        };

        for numbers in chunks(&keys.districts) {
            let rows = sqlx::query!(
                "SELECT number, name FROM district WHERE publication = $1 AND number = ANY ($2)",
                publication,
                &numbers,
            )
            .fetch_all(&mut *connection)
            .await
            .map_err(of_reading)?;
            stored
                .districts
                .extend(rows.into_iter().map(|row| (row.number, row.name)));
            step(numbers.len());
        }
        let mut product_numbers = keys.products.clone();
        for ids in chunks(&keys.product_ids) {
            let rows = sqlx::query!(
                "SELECT sender_id, product_number FROM product_sender_id
                 WHERE publication = $1 AND sender_id = ANY ($2)",
                publication,
                &ids,
            )
            .fetch_all(&mut *connection)
            .await
            .map_err(of_reading)?;
            for row in rows {
                product_numbers.insert(row.product_number);
                stored.product_ids.insert(row.sender_id, row.product_number);
            }
            step(ids.len());
        }
        for numbers in chunks(&product_numbers) {
            let rows = sqlx::query_as!(
                Product,
                "SELECT number, name, active FROM product WHERE publication = $1 AND number = ANY ($2)",
                publication,
                &numbers,
            )
            .fetch_all(&mut *connection)
            .await
            .map_err(of_reading)?;
            stored
                .products
                .extend(rows.into_iter().map(|row| (row.number, row)));
        }
        step(keys.products.len());
        for numbers in chunks(&keys.clients) {
            read_clients(&mut *connection, publication, &numbers, &[], &mut stored).await?;
            step(numbers.len());
        }
        for ids in chunks(&keys.client_ids) {
            read_clients(&mut *connection, publication, &[], &ids, &mut stored).await?;
            step(ids.len());
        }
        for numbers in chunks(&keys.addresses) {
            let rows = sqlx::query!(
                "SELECT number, client_number FROM address WHERE publication = $1 AND number = ANY ($2)",
                publication,
                &numbers,
            )
            .fetch_all(&mut *connection)
            .await
            .map_err(of_reading)?;
            stored
                .addresses
                .extend(rows.into_iter().map(|row| (row.number, row.client_number)));
            step(numbers.len());
        }
        Ok(stored)
    }

    /// Writes what was decided.
    ///
    /// # Errors
    /// [`Error::Overtaken`]: a client is not as it was read, or somebody made what was to be made. Nothing is stored.
    pub async fn write(&mut self, changes: &Changes, progress: Progress<'_>) -> Result<(), Error> {
        let total = changes.districts.len()
            + changes.products.len()
            + changes.product_ids.len()
            + changes.clients.len()
            + changes.addresses.len()
            + changes.prices.len();
        let mut done = 0;
        let mut step = |rows: usize| {
            done += rows;
            progress(done, total);
        };
        let (publication, connection) = (&self.publication, &mut *self.transaction);
        for chunk in changes.districts.chunks(CHUNK) {
            write_districts(&mut *connection, publication, chunk).await?;
            step(chunk.len());
        }
        for chunk in changes.products.chunks(CHUNK) {
            write_products(&mut *connection, publication, chunk).await?;
            step(chunk.len());
        }
        for chunk in changes.product_ids.chunks(CHUNK) {
            write_product_ids(&mut *connection, publication, chunk).await?;
            step(chunk.len());
        }
        for chunk in changes.clients.chunks(CHUNK) {
            write_clients(&mut *connection, publication, chunk).await?;
            step(chunk.len());
        }
        for chunk in changes.addresses.chunks(CHUNK) {
            write_addresses(&mut *connection, publication, chunk).await?;
            step(chunk.len());
        }
        for chunk in changes.prices.chunks(CHUNK) {
            write_prices(&mut *connection, publication, chunk).await?;
            step(chunk.len());
        }
        if total > 0 {
            // What the service has in its memory of clients holds no longer.
            sqlx::query!(
                "INSERT INTO catalogue_version AS v (publication, version) VALUES ($1, 1)
                 ON CONFLICT (publication) DO UPDATE SET version = v.version + 1",
                publication,
            )
            .execute(&mut *connection)
            .await
            .map_err(of_reading)?;
        }
        Ok(())
    }

    /// Leaves all as it was.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the connection broke; nothing is stored then either.
    pub async fn roll_back(self) -> Result<(), Error> {
        self.transaction
            .rollback()
            .await
            .map_err(Error::Unavailable)
    }

    /// Stores it all.
    ///
    /// # Errors
    /// [`Error::Unsure`] when the connection broke just then; importing once more is safe either way.
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

fn chunks<T: Clone + Ord>(keys: &BTreeSet<T>) -> impl Iterator<Item = Vec<T>> {
    let mut keys = keys.iter().cloned().peekable();
    std::iter::from_fn(move || {
        keys.peek()?;
        Some(keys.by_ref().take(CHUNK).collect())
    })
}

async fn read_clients(
    connection: &mut PgConnection,
    publication: &str,
    numbers: &[i32],
    ids: &[String],
    stored: &mut Stored,
) -> Result<(), Error> {
    let rows = sqlx::query!(
        r#"SELECT number, version, sender_id, guest_phone, username, phone, phones, email, comment, account_number,
                  type AS client_type, bank_account AS "bank_account: Json<BankAccount>", legal_address,
                  coins_amount, loyalty_system_is_active
           FROM client WHERE publication = $1 AND number = ANY ($2)
           UNION ALL
           SELECT number, version, sender_id, guest_phone, username, phone, phones, email, comment, account_number,
                  type, bank_account, legal_address, coins_amount, loyalty_system_is_active
           FROM client WHERE publication = $1 AND sender_id = ANY ($3)"#,
        publication,
        numbers,
        ids,
    )
    .fetch_all(&mut *connection)
    .await
    .map_err(of_reading)?;
    let corrupt = || Error::corrupt("a row of client");
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        let number = row.number.ok_or_else(corrupt)?;
        // Found by its number before.
        if stored.clients.contains_key(&number) {
            continue;
        }
        let client = Client {
            number,
            version: row.version.ok_or_else(corrupt)?,
            sender_id: row.sender_id,
            guest_phone: row.guest_phone,
            username: row.username.ok_or_else(corrupt)?,
            phone: row.phone,
            phones: row.phones.ok_or_else(corrupt)?,
            email: row.email,
            comment: row.comment,
            account_number: row.account_number,
            kind: row
                .client_type
                .as_deref()
                .and_then(ClientType::parse)
                .ok_or_else(corrupt)?,
            bank_account: row.bank_account.map(|Json(account)| account),
            legal_address: row.legal_address.ok_or_else(corrupt)?,
            coins_amount: row.coins_amount.ok_or_else(corrupt)?,
            loyalty_system_is_active: row.loyalty_system_is_active,
            addresses: List::default(),
            prices: List::default(),
        };
        stored.clients.insert(number, client);
        found.push(number);
    }
    let addresses = sqlx::query!(
        "SELECT number, client_number, sender_id, city, street, house, str, entrance, floor, room, district_number
         FROM address WHERE publication = $1 AND client_number = ANY ($2) ORDER BY number",
        publication,
        &found,
    )
    .fetch_all(&mut *connection)
    .await
    .map_err(of_reading)?;
    for row in addresses {
        let client = stored.clients.get_mut(&row.client_number);
        client.ok_or_else(corrupt)?.addresses.push(Address {
            number: row.number,
            sender_id: row.sender_id,
            content: AddressContent {
                city: row.city,
                street: row.street,
                house: row.house,
                str: row.str,
                entrance: row.entrance,
                floor: row.floor,
                room: row.room,
            },
            district_number: row.district_number,
            district_name: None,
        });
    }
    let prices = sqlx::query!(
        "SELECT client_number, product_number, price, active
         FROM client_price WHERE publication = $1 AND client_number = ANY ($2)",
        publication,
        &found,
    )
    .fetch_all(&mut *connection)
    .await
    .map_err(of_reading)?;
    for row in prices {
        let client = stored.clients.get_mut(&row.client_number);
        client.ok_or_else(corrupt)?.prices.push(ClientPrice {
            product_number: row.product_number,
            external_product_id: None,
            price: row.price,
            active: row.active,
        });
    }
    Ok(())
}

/// A column of a chunk, for `unnest`.
fn column<'r, T, V>(chunk: &'r [Put<T>], value: impl Fn(&'r T) -> V) -> Vec<V> {
    chunk.iter().map(|put| value(&put.row)).collect()
}

fn is_new<T>(chunk: &[Put<T>]) -> Vec<bool> {
    chunk.iter().map(|put| put.is_new).collect()
}

async fn write_districts(
    connection: &mut PgConnection,
    publication: &str,
    chunk: &[Put<(i32, String)>],
) -> Result<(), Error> {
    sqlx::query!(
        "WITH sent AS MATERIALIZED (
             SELECT * FROM unnest($2::boolean[], $3::int[], $4::text[]) AS t (is_new, number, name)
         ), changed AS (
             UPDATE district d SET name = s.name
             FROM sent s WHERE NOT s.is_new AND d.publication = $1 AND d.number = s.number
         )
         INSERT INTO district (publication, number, name)
         SELECT $1, number, name FROM sent WHERE is_new",
        publication,
        &is_new(chunk),
        &column(chunk, |(number, _)| *number),
        &column(chunk, |(_, name)| name.as_str()) as _,
    )
    .execute(connection)
    .await
    .map_err(of_reading)?;
    Ok(())
}

async fn write_products(
    connection: &mut PgConnection,
    publication: &str,
    chunk: &[Put<Product>],
) -> Result<(), Error> {
    sqlx::query!(
        "WITH sent AS MATERIALIZED (
             SELECT * FROM unnest($2::boolean[], $3::int[], $4::text[], $5::boolean[])
                 AS t (is_new, number, name, active)
         ), changed AS (
             UPDATE product p SET name = s.name, active = s.active
             FROM sent s WHERE NOT s.is_new AND p.publication = $1 AND p.number = s.number
         )
         INSERT INTO product (publication, number, name, active)
         SELECT $1, number, name, active FROM sent WHERE is_new",
        publication,
        &is_new(chunk),
        &column(chunk, |product| product.number),
        &column(chunk, |product| product.name.as_str()) as _,
        &column(chunk, |product| product.active),
    )
    .execute(connection)
    .await
    .map_err(of_reading)?;
    Ok(())
}

async fn write_product_ids(
    connection: &mut PgConnection,
    publication: &str,
    chunk: &[Put<(String, i32)>],
) -> Result<(), Error> {
    sqlx::query!(
        "WITH sent AS MATERIALIZED (
             SELECT * FROM unnest($2::boolean[], $3::text[], $4::int[]) AS t (is_new, sender_id, product_number)
         ), moved AS (
             UPDATE product_sender_id p SET product_number = s.product_number
             FROM sent s WHERE NOT s.is_new AND p.publication = $1 AND p.sender_id = s.sender_id
         )
         INSERT INTO product_sender_id (publication, sender_id, product_number)
         SELECT $1, sender_id, product_number FROM sent WHERE is_new",
        publication,
        &is_new(chunk),
        &column(chunk, |(id, _)| id.as_str()) as _,
        &column(chunk, |(_, number)| *number),
    )
    .execute(connection)
    .await
    .map_err(of_reading)?;
    Ok(())
}

async fn write_clients(
    connection: &mut PgConnection,
    publication: &str,
    chunk: &[Put<Client>],
) -> Result<(), Error> {
    let version: Vec<i32> = chunk
        .iter()
        .map(|put| if put.is_new { 0 } else { put.row.version })
        .collect();
    let stored = version.iter().filter(|version| **version > 0).count();
    let updated = sqlx::query_scalar!(
        r#"WITH sent AS MATERIALIZED (
               SELECT *
               FROM unnest($2::int[], $3::int[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                           $9::text[], $10::text[], $11::bigint[], $12::text[], $13::jsonb[], $14::jsonb[],
                           $15::numeric[], $16::boolean[])
                   AS t (number, version, sender_id, guest_phone, username, phone, phones, email, comment,
                         account_number, type, bank_account, legal_address, coins_amount, loyalty_system_is_active)
           ), new_client AS (
               INSERT INTO client
                   (publication, number, sender_id, guest_phone, username, phone, phones, email, comment,
                    account_number, type, bank_account, legal_address, coins_amount, loyalty_system_is_active)
               SELECT $1, number, sender_id, guest_phone, username, phone, string_to_array(phones, ' '), email,
                      comment, account_number, type, bank_account,
                      ARRAY(SELECT line FROM jsonb_array_elements_text(legal_address)
                                WITH ORDINALITY AS l (line, place) ORDER BY place),
                      coins_amount, loyalty_system_is_active
               FROM sent
               WHERE version = 0
           ), changed_client AS (
               UPDATE client c
               SET version = c.version + 1, sender_id = s.sender_id, guest_phone = s.guest_phone,
                   username = s.username, phone = s.phone, phones = string_to_array(s.phones, ' '),
                   email = s.email, comment = s.comment, account_number = s.account_number, type = s.type,
                   bank_account = s.bank_account,
                   legal_address = ARRAY(SELECT line FROM jsonb_array_elements_text(s.legal_address)
                                             WITH ORDINALITY AS l (line, place) ORDER BY place),
                   coins_amount = s.coins_amount, loyalty_system_is_active = s.loyalty_system_is_active
               FROM sent s
               WHERE s.version > 0 AND c.publication = $1 AND c.number = s.number AND c.version = s.version
               RETURNING 1
           )
           SELECT count(*) AS "count!" FROM changed_client"#,
        publication,
        &column(chunk, |client| client.number),
        &version,
        &column(chunk, |client| client.sender_id.as_deref()) as _,
        &column(chunk, |client| client.guest_phone.as_deref()) as _,
        &column(chunk, |client| client.username.as_str()) as _,
        &column(chunk, |client| client.phone.as_deref()) as _,
        &column(chunk, |client| client.phones.join(" ")),
        &column(chunk, |client| client.email.as_deref()) as _,
        &column(chunk, |client| client.comment.as_deref()) as _,
        &column(chunk, |client| client.account_number) as _,
        &column(chunk, |client| client.kind.as_str()) as _,
        &column(chunk, |client| client.bank_account.as_ref().map(Json)) as _,
        &column(chunk, |client| Json(json!(client.legal_address))) as _,
        &column(chunk, |client| client.coins_amount),
        &column(chunk, |client| client.loyalty_system_is_active) as _,
    )
    .fetch_one(connection)
    .await
    .map_err(of_reading)?;
    if usize::try_from(updated) != Ok(stored) {
        return Err(Error::Overtaken(sqlx::Error::RowNotFound));
    }
    Ok(())
}

async fn write_addresses(
    connection: &mut PgConnection,
    publication: &str,
    chunk: &[Put<(i32, Address)>],
) -> Result<(), Error> {
    sqlx::query!(
        "WITH sent AS MATERIALIZED (
             SELECT *
             FROM unnest($2::boolean[], $3::int[], $4::int[], $5::text[], $6::text[], $7::text[], $8::text[],
                         $9::text[], $10::text[], $11::text[], $12::text[], $13::int[])
                 AS t (is_new, number, client_number, sender_id, city, street, house, str, entrance, floor, room,
                       district_number)
         ), changed AS (
             UPDATE address a
             SET sender_id = s.sender_id, city = s.city, street = s.street, house = s.house, str = s.str,
                 entrance = s.entrance, floor = s.floor, room = s.room, district_number = s.district_number
             FROM sent s WHERE NOT s.is_new AND a.publication = $1 AND a.number = s.number
         )
         INSERT INTO address
             (publication, number, client_number, sender_id, city, street, house, str, entrance, floor, room,
              district_number)
         SELECT $1, number, client_number, sender_id, city, street, house, str, entrance, floor, room,
                district_number
         FROM sent WHERE is_new",
        publication,
        &is_new(chunk),
        &column(chunk, |(_, address)| address.number),
        &column(chunk, |(client, _)| *client),
        &column(chunk, |(_, address)| address.sender_id.as_deref()) as _,
        &column(chunk, |(_, address)| address.content.city.as_str()) as _,
        &column(chunk, |(_, address)| address.content.street.as_str()) as _,
        &column(chunk, |(_, address)| address.content.house.as_str()) as _,
        &column(chunk, |(_, address)| address.content.str.as_str()) as _,
        &column(chunk, |(_, address)| address.content.entrance.as_deref()) as _,
        &column(chunk, |(_, address)| address.content.floor.as_deref()) as _,
        &column(chunk, |(_, address)| address.content.room.as_deref()) as _,
        &column(chunk, |(_, address)| address.district_number) as _,
    )
    .execute(connection)
    .await
    .map_err(of_reading)?;
    Ok(())
}

async fn write_prices(
    connection: &mut PgConnection,
    publication: &str,
    chunk: &[Put<(i32, ClientPrice)>],
) -> Result<(), Error> {
    sqlx::query!(
        "WITH sent AS MATERIALIZED (
             SELECT *
             FROM unnest($2::boolean[], $3::int[], $4::int[], $5::numeric[], $6::boolean[])
                 AS t (is_new, client_number, product_number, price, active)
         ), changed AS (
             UPDATE client_price p SET price = s.price, active = s.active
             FROM sent s
             WHERE NOT s.is_new AND p.publication = $1 AND p.client_number = s.client_number
               AND p.product_number = s.product_number
         )
         INSERT INTO client_price (publication, client_number, product_number, price, active)
         SELECT $1, client_number, product_number, price, active FROM sent WHERE is_new",
        publication,
        &is_new(chunk),
        &column(chunk, |(client, _)| *client),
        &column(chunk, |(_, price)| price.product_number),
        &column(chunk, |(_, price)| price.price),
        &column(chunk, |(_, price)| price.active),
    )
    .execute(connection)
    .await
    .map_err(of_reading)?;
    Ok(())
}
