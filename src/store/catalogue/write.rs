//! What an import changes, a statement for each chunk of a table's rows.

use std::collections::HashSet;

use serde_json::json;
use sqlx::{PgConnection, Postgres, postgres::PgArguments, query::Query, types::Json};

use super::{CHUNK, Import, Progress, of_reading};
use crate::{
    catalogue::decide::{Changes, ImportedOrder, Product, Put},
    order::model::{Address, Client, ClientPrice},
    store::Error,
};

impl Import {
    /// Writes what was decided. [`Error::Overtaken`]: a client is not as it was read, or somebody made what
    /// was to be made. Nothing is stored.
    pub async fn write(&mut self, changes: &Changes, progress: Progress<'_>) -> Result<(), Error> {
        let total = changes.districts.len()
            + changes.products.len()
            + changes.product_ids.len()
            + changes.clients.len()
            + changes.addresses.len()
            + changes.prices.len()
            + changes.orders.len();
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
            write_clients(
                &mut *connection,
                publication,
                chunk,
                &changes.numbered_clients,
            )
            .await?;
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
        for chunk in changes.orders.chunks(CHUNK) {
            write_orders(&mut *connection, publication, chunk).await?;
            step(chunk.len());
        }
        if total > 0 {
            raise_version(connection, publication, !changes.orders.is_empty()).await?;
        }
        Ok(())
    }
}

/// The service's cache of clients is out of date from then on, and so may be its reserve of numbers.
pub(super) async fn raise_version(
    connection: &mut PgConnection,
    publication: &str,
    has_orders: bool,
) -> Result<(), Error> {
    let statement = sqlx::query!(
        "INSERT INTO catalogue_version AS v (publication, version, has_orders) VALUES ($1, 1, $2)
         ON CONFLICT (publication) DO UPDATE
         SET version = v.version + 1, has_orders = v.has_orders OR excluded.has_orders",
        publication,
        has_orders,
    );
    execute(connection, statement).await
}

async fn execute(
    connection: &mut PgConnection,
    statement: Query<'_, Postgres, PgArguments>,
) -> Result<(), Error> {
    let written = statement.execute(connection).await;
    written.map(drop).map_err(of_reading)
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
    let statement = sqlx::query!(
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
    );
    execute(connection, statement).await
}

async fn write_products(
    connection: &mut PgConnection,
    publication: &str,
    chunk: &[Put<Product>],
) -> Result<(), Error> {
    let statement = sqlx::query!(
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
    );
    execute(connection, statement).await
}

async fn write_product_ids(
    connection: &mut PgConnection,
    publication: &str,
    chunk: &[Put<(String, i32)>],
) -> Result<(), Error> {
    let statement = sqlx::query!(
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
    );
    execute(connection, statement).await
}

async fn write_clients(
    connection: &mut PgConnection,
    publication: &str,
    chunk: &[Put<Client>],
    numbered: &HashSet<i32>,
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
                           $15::numeric[], $16::boolean[], $17::boolean[])
                   AS t (number, version, sender_id, guest_phone, username, phone, phones, email, comment,
                         account_number, type, bank_account, legal_address, coins_amount, loyalty_system_is_active,
                         numbered_by_receiver)
           ), new_client AS (
               INSERT INTO client
                   (publication, number, sender_id, guest_phone, username, phone, phones, email, comment,
                    account_number, type, bank_account, legal_address, coins_amount, loyalty_system_is_active,
                    numbered_by_receiver)
               SELECT $1, number, sender_id, guest_phone, username, phone, string_to_array(phones, ' '), email,
                      comment, account_number, type, bank_account,
                      ARRAY(SELECT line FROM jsonb_array_elements_text(legal_address)
                                WITH ORDINALITY AS l (line, place) ORDER BY place),
                      coins_amount, loyalty_system_is_active, numbered_by_receiver
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
        &column(chunk, |client| numbered.contains(&client.number)),
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
    let statement = sqlx::query!(
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
    );
    execute(connection, statement).await
}

async fn write_orders(
    connection: &mut PgConnection,
    publication: &str,
    chunk: &[Put<ImportedOrder>],
) -> Result<(), Error> {
    let statement = sqlx::query!(
        "INSERT INTO imported_order AS i (publication, sender_id, number, status, receiver_number, receiver_uid)
         SELECT $1, t.* FROM unnest($2::text[], $3::int[], $4::text[], $5::text[], $6::text[]) AS t
         ON CONFLICT (publication, sender_id) DO UPDATE
         SET number = excluded.number, status = excluded.status, receiver_number = excluded.receiver_number,
             receiver_uid = excluded.receiver_uid",
        publication,
        &column(chunk, |order| order.sender_id.as_str()) as _,
        &column(chunk, |order| order.number),
        &column(chunk, |order| order.status.as_str()) as _,
        &column(chunk, |order| order.receiver_number.as_deref()) as _,
        &column(chunk, |order| order.receiver_uid.as_deref()) as _,
    );
    execute(connection, statement).await
}

async fn write_prices(
    connection: &mut PgConnection,
    publication: &str,
    chunk: &[Put<(i32, ClientPrice)>],
) -> Result<(), Error> {
    let statement = sqlx::query!(
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
    );
    execute(connection, statement).await
}
