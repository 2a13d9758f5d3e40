//! What is stored under the keys of an import.

use std::collections::BTreeSet;

use sqlx::{PgConnection, types::Json};

use super::{CHUNK, Import, Progress, of_reading};
use crate::{
    catalogue::decide::{ImportedOrder, Keys, Product, Stored},
    order::{
        list::List,
        model::{Address, AddressContent, BankAccount, Client, ClientPrice, ClientType, Status},
    },
    store::Error,
};

impl Import {
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
            + keys.addresses.len()
            + keys.orders.len()
            + keys.order_ids.len();
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
        for numbers in chunks(&keys.orders) {
            read_orders(&mut *connection, publication, &numbers, &[], &mut stored).await?;
            step(numbers.len());
        }
        for ids in chunks(&keys.order_ids) {
            read_orders(&mut *connection, publication, &[], &ids, &mut stored).await?;
            step(ids.len());
        }
        Ok(stored)
    }
}

async fn read_orders(
    connection: &mut PgConnection,
    publication: &str,
    numbers: &[i32],
    ids: &[String],
    stored: &mut Stored,
) -> Result<(), Error> {
    let rows = sqlx::query!(
        r#"SELECT sender_id AS "sender_id!", number AS "number!", status AS "status!", receiver_number, receiver_uid,
                  true AS "was_imported!"
           FROM imported_order WHERE publication = $1 AND number = ANY ($2)
           UNION ALL
           SELECT sender_id, number, status, receiver_number, receiver_uid, true
           FROM imported_order WHERE publication = $1 AND sender_id = ANY ($3)
           UNION ALL
           SELECT sender_id, number, status, NULL, NULL, false
           FROM orders WHERE publication = $1 AND number = ANY ($2)
           UNION ALL
           SELECT sender_id, number, status, NULL, NULL, false
           FROM orders WHERE publication = $1 AND sender_id = ANY ($3)"#,
        publication,
        numbers,
        ids,
    )
    .fetch_all(connection)
    .await
    .map_err(of_reading)?;
    for row in rows {
        let status = Status::parse(&row.status).ok_or_else(|| Error::corrupt("a status"))?;
        stored
            .order_numbers
            .insert(row.number, row.sender_id.clone());
        if row.was_imported {
            let order = ImportedOrder {
                sender_id: row.sender_id.clone(),
                number: row.number,
                status,
                receiver_number: row.receiver_number,
                receiver_uid: row.receiver_uid,
            };
            stored.imported.insert(row.sender_id, order);
        } else {
            stored.orders.insert(row.sender_id, (row.number, status));
        }
    }
    Ok(())
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
