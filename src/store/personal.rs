//! A client's data as whoever asks for it gets it, and its erasure (src/personal.rs). All in steps: no statement looks at many rows.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::{Error, Store, console::Act};
use crate::order::{
    known::Keys,
    model::{Client, Order},
};

/// A client, as far as it takes to tell it from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Called {
    pub number: i32,
    pub sender_id: Option<String>,
    pub is_guest: bool,
    pub username: String,
    pub phone: Option<String>,
}

/// An order of a client's.
#[derive(Debug, Clone)]
pub struct OrderKey {
    pub number: i32,
    pub sender_id: String,
    pub status: String,
    pub created_at: DateTime<Utc>,
}

/// Where a step through the journal's kept orders ended.
#[derive(Debug, Clone, Copy)]
pub struct KeptPlace {
    pub batch: Uuid,
    pub position: i32,
}

impl KeptPlace {
    pub const START: Self = Self {
        batch: Uuid::nil(),
        position: -1,
    };
}

/// An order that is kept as it came.
#[derive(Debug, Clone)]
pub struct KeptBody {
    pub batch: Uuid,
    pub position: i32,
    pub order_key: String,
    pub body: String,
    pub faults: Value,
    pub warnings: Option<Value>,
    pub received_at: DateTime<Utc>,
}

impl KeptBody {
    #[must_use]
    pub fn place(&self) -> KeptPlace {
        KeptPlace {
            batch: self.batch,
            position: self.position,
        }
    }
}

/// A change of an order.
#[derive(Debug, Clone)]
pub struct Change {
    pub order_number: i32,
    pub version: i32,
    pub made_at: DateTime<Utc>,
    pub changes: Value,
}

/// What the back office said of an order.
#[derive(Debug, Clone)]
pub struct SaidOf {
    pub order_number: i32,
    pub number: Option<String>,
    pub uid: Option<String>,
    pub error: Option<String>,
}

/// Where a step through the requests to targets ended.
#[derive(Debug, Clone)]
pub struct AttemptPlace {
    pub target: String,
    pub attempt: Uuid,
}

/// A request to a target, and what the target said of it.
#[derive(Debug, Clone)]
pub struct Attempt {
    pub target: String,
    pub attempt: Uuid,
    pub error: Option<String>,
}

impl Store {
    /// The clients with that sender's id, that number, or that phone (E.164), in the order of their numbers.
    pub async fn clients_called(
        &self,
        publication: &str,
        sender_id: Option<&str>,
        number: Option<i32>,
        phone: Option<&str>,
    ) -> Result<Vec<Called>, Error> {
        let reversed = phone.map(|phone| phone.chars().rev().collect::<String>());
        let found = sqlx::query_as!(
            Called,
            r#"SELECT c.number AS "number!", c.sender_id, c.guest_phone IS NOT NULL AS "is_guest!", c.username AS "username!",
                      coalesce(c.phone, c.phones[1], c.guest_phone) AS phone
               FROM (
                   SELECT * FROM client WHERE publication = $1 AND number = $3
                   UNION SELECT * FROM client WHERE publication = $1 AND sender_id = $2
                   UNION SELECT * FROM client WHERE publication = $1 AND guest_phone = $4
                   UNION SELECT * FROM client
                       WHERE publication = $1 AND reverse(phone) COLLATE "C" = $5 AND phone IS NOT NULL
                   UNION SELECT * FROM client
                       WHERE publication = $1 AND reverse(phones[1]) COLLATE "C" = $5 AND phones[1] IS NOT NULL
                   UNION SELECT * FROM client
                       WHERE publication = $1 AND reverse(phones[2]) COLLATE "C" = $5 AND phones[2] IS NOT NULL
               ) c
               ORDER BY c.number LIMIT 50"#,
            publication,
            sender_id,
            number,
            phone,
            reversed,
        )
        .fetch_all(self.pool());
        self.answer(found).await
    }

    /// The client of that number, whole.
    pub async fn client(&self, publication: &str, number: i32) -> Result<Option<Client>, Error> {
        let mut keys = Keys::default();
        keys.client_numbers.insert(number);
        let mut known = self.read(publication, &keys, true, usize::MAX).await?;
        Ok(known.clients.pop().map(Arc::unwrap_or_clone))
    }

    /// A client's orders behind that number, in the order of their numbers.
    pub async fn orders_of_client(
        &self,
        publication: &str,
        client: i32,
        after: i32,
        most: i64,
    ) -> Result<Vec<OrderKey>, Error> {
        let found = sqlx::query_as!(
            OrderKey,
            "SELECT number, sender_id, status, created_at FROM orders
             WHERE publication = $1 AND client_number = $2 AND number > $3 AND number > 0 ORDER BY number LIMIT $4",
            publication,
            client,
            after,
            most,
        )
        .fetch_all(self.pool());
        self.answer(found).await
    }

    /// A client's last orders, the newest first.
    pub async fn last_orders_of_client(
        &self,
        publication: &str,
        client: i32,
        most: i64,
    ) -> Result<Vec<OrderKey>, Error> {
        let found = sqlx::query_as!(
            OrderKey,
            "SELECT number, sender_id, status, created_at FROM orders
             WHERE publication = $1 AND client_number = $2 AND number > 0 ORDER BY number DESC LIMIT $3",
            publication,
            client,
            most,
        )
        .fetch_all(self.pool());
        self.answer(found).await
    }

    /// The orders with those ids, whole.
    pub async fn whole_orders(&self, publication: &str, ids: &[&str]) -> Result<Vec<Order>, Error> {
        let mut keys = Keys::default();
        keys.order_ids.extend(ids.iter().copied());
        let known = self.read(publication, &keys, true, usize::MAX).await?;
        let orders = known.orders.into_iter();
        Ok(orders.map(Arc::unwrap_or_clone).collect())
    }

    pub async fn changes_of_orders(
        &self,
        publication: &str,
        numbers: &[i32],
    ) -> Result<Vec<Change>, Error> {
        let found = sqlx::query_as!(
            Change,
            "SELECT order_number, version, made_at, changes FROM journal_change
             WHERE publication = $1 AND order_number = ANY ($2) ORDER BY order_number, version",
            publication,
            numbers,
        )
        .fetch_all(self.pool());
        self.answer(found).await
    }

    pub async fn said_of_orders(
        &self,
        publication: &str,
        numbers: &[i32],
    ) -> Result<Vec<SaidOf>, Error> {
        let found = sqlx::query_as!(
            SaidOf,
            "SELECT order_number, number, uid, error FROM order_receiver
             WHERE publication = $1 AND order_number = ANY ($2)",
            publication,
            numbers,
        )
        .fetch_all(self.pool());
        self.answer(found).await
    }

    /// Kept orders behind that place whose bodies are not erased, and where the step ended; `None` at the end.
    pub async fn kept_bodies(
        &self,
        publication: &str,
        after: KeptPlace,
        most: i64,
    ) -> Result<(Vec<KeptBody>, Option<KeptPlace>), Error> {
        let found = sqlx::query_as!(
            KeptBody,
            "SELECT r.batch, r.position, r.order_key, r.body, r.faults, r.warnings, b.received_at
             FROM journal_rejected r
             JOIN journal_batch b ON b.publication = r.publication AND b.batch = r.batch
             WHERE r.publication = $1 AND (r.batch, r.position) > ($2::uuid, $3::int)
             ORDER BY r.batch, r.position LIMIT $4",
            publication,
            after.batch,
            after.position,
            most,
        )
        .fetch_all(self.pool());
        let mut found = self.answer(found).await?;
        let last = found.last().map(KeptBody::place);
        found.retain(|kept| !kept.body.is_empty());
        Ok((found, last))
    }

    /// Which orders went to a client or from it, among the changes behind that place; and where the step ended, `None` at the end.
    pub async fn moves_of_client(
        &self,
        publication: &str,
        client: i32,
        after: (i32, i32),
        most: i64,
    ) -> Result<(Vec<i32>, Option<(i32, i32)>), Error> {
        let found = sqlx::query!(
            r#"SELECT c.order_number, c.version,
                      coalesce(c.changes->'client'->0 = to_jsonb($5::int) OR c.changes->'client'->1 = to_jsonb($5::int), false)
                          AS "is_its!"
               FROM journal_change c
               WHERE c.publication = $1 AND (c.order_number, c.version) > ($2::int, $3::int)
               ORDER BY c.order_number, c.version LIMIT $4"#,
            publication,
            after.0,
            after.1,
            most,
            client,
        )
        .fetch_all(self.pool());
        let found = self.answer(found).await?;
        let last = found.last().map(|last| (last.order_number, last.version));
        let its = found.into_iter().filter(|change| change.is_its);
        Ok((its.map(|change| change.order_number).collect(), last))
    }

    /// Requests to targets behind that one, and where the step ended.
    pub async fn attempts_behind(
        &self,
        publication: &str,
        after: Option<&AttemptPlace>,
        most: i64,
    ) -> Result<(Vec<Attempt>, Option<AttemptPlace>), Error> {
        let found = sqlx::query_as!(
            Attempt,
            "SELECT target, attempt, error FROM target_attempt
             WHERE publication = $1 AND (target, attempt) > ($2, $3::uuid) ORDER BY target, attempt LIMIT $4",
            publication,
            after.map_or("", |after| after.target.as_str()),
            after.map_or(Uuid::nil(), |after| after.attempt),
            most,
        )
        .fetch_all(self.pool());
        let found = self.answer(found).await?;
        let last = found.last().map(|last| AttemptPlace {
            target: last.target.clone(),
            attempt: last.attempt,
        });
        Ok((found, last))
    }

    /// What each target said last.
    pub async fn errors_of_targets(
        &self,
        publication: &str,
    ) -> Result<Vec<(String, String)>, Error> {
        let found = sqlx::query!(
            r#"SELECT name, error AS "error!" FROM target WHERE publication = $1 AND error IS NOT NULL"#,
            publication,
        )
        .fetch_all(self.pool());
        let found = self.answer(found).await?;
        Ok(found.into_iter().map(|row| (row.name, row.error)).collect())
    }

    /// Erases what targets said in those requests, and last.
    pub async fn erase_errors(
        &self,
        publication: &str,
        attempts: &[Attempt],
        targets: &[String],
    ) -> Result<(), Error> {
        let (names, ids): (Vec<String>, Vec<Uuid>) = attempts
            .iter()
            .map(|attempt| (attempt.target.clone(), attempt.attempt))
            .unzip();
        if !ids.is_empty() {
            let done = sqlx::query!(
                "UPDATE target_attempt SET error = ''
                 WHERE publication = $1 AND target = ANY ($2) AND attempt = ANY ($3)",
                publication,
                &names,
                &ids,
            )
            .execute(self.pool());
            self.answer(done).await?;
        }
        if !targets.is_empty() {
            let done = sqlx::query!(
                "UPDATE target SET error = '' WHERE publication = $1 AND name = ANY ($2)",
                publication,
                targets,
            )
            .execute(self.pool());
            self.answer(done).await?;
        }
        Ok(())
    }

    /// Erases the bodies of kept orders, and what more than a code was said of them. What was open of them is settled: nothing is left
    /// to look at.
    pub async fn erase_bodies(
        &self,
        publication: &str,
        kept: &[KeptPlace],
        login: &str,
    ) -> Result<(), Error> {
        let (batches, positions): (Vec<Uuid>, Vec<i32>) =
            kept.iter().map(|kept| (kept.batch, kept.position)).unzip();
        if batches.is_empty() {
            return Ok(());
        }
        let mut transaction = self.pool().begin().await.map_err(Error::Unavailable)?;
        let settled = sqlx::query!(
            "UPDATE journal_rejected r SET settled_at = now(), settled_by = $4
             FROM unnest($2::uuid[], $3::int[]) AS k (batch, position)
             WHERE r.publication = $1 AND r.batch = k.batch AND r.position = k.position AND r.settled_at IS NULL",
            publication,
            &batches,
            &positions,
            login,
        )
        .execute(&mut *transaction);
        self.answer(settled).await?;
        let done = sqlx::query!(
            "UPDATE journal_rejected r SET
                 body = '',
                 faults = (SELECT coalesce(jsonb_agg(f - 'message'), '[]') FROM jsonb_array_elements(r.faults) f),
                 warnings = CASE WHEN r.warnings IS NOT NULL THEN
                     (SELECT coalesce(jsonb_agg(w - 'message'), '[]') FROM jsonb_array_elements(r.warnings) w) END
             FROM unnest($2::uuid[], $3::int[]) AS k (batch, position)
             WHERE r.publication = $1 AND r.batch = k.batch AND r.position = k.position",
            publication,
            &batches,
            &positions,
        )
        .execute(&mut *transaction);
        self.answer(done).await?;
        transaction.commit().await.map_err(Error::of_statement)?;
        Ok(())
    }

    /// Erases what orders of a client say of a person: the address, the comment, and what the back office and targets said of them.
    /// Nobody is told of it as of a change: 1C would take an empty address for a new one. What a target refused of them is no longer to
    /// be sent. Says how many orders had something.
    pub async fn erase_orders(
        &self,
        publication: &str,
        client: i32,
        numbers: &[i32],
    ) -> Result<u64, Error> {
        let mut transaction = self.pool().begin().await.map_err(Error::Unavailable)?;
        // The version rises, so that no batch writes back what it read before. The feed's row stays at its place, and no target is to
        // be sent what was left of the order.
        let erased = sqlx::query!(
            r#"WITH erased AS (
                   UPDATE orders SET
                       shipping_address = '{"city": "", "street": "", "house": "", "str": "", "entrance": null, "floor": null, "room": null}',
                       comment = NULL, version = version + 1
                   WHERE publication = $1 AND number = ANY ($2) AND client_number = $3
                     AND (shipping_address->>'str' <> '' OR comment IS NOT NULL)
                   RETURNING number, version
               )
               UPDATE feed f SET version = e.version, placed_version = e.version, renumbered = NULL, sender_position = NULL,
                                 operator_position = NULL, back_office_position = NULL
               FROM erased e
               WHERE f.publication = $1 AND f.order_number = e.number"#,
            publication,
            numbers,
            client,
        )
        .execute(&mut *transaction);
        let erased = self.answer(erased).await?;
        for statement in [
            // Nobody need look at what is left of it.
            "UPDATE order_receiver SET error = '', put_aside = true
             WHERE publication = $1 AND order_number = ANY ($2) AND error IS NOT NULL",
            "UPDATE order_refusal SET error = '' WHERE publication = $1 AND order_number = ANY ($2)",
            "DELETE FROM target_delivery WHERE publication = $1 AND order_number = ANY ($2)",
        ] {
            let done = sqlx::query(statement)
                .bind(publication)
                .bind(numbers)
                .execute(&mut *transaction);
            self.answer(done).await?;
        }
        transaction.commit().await.map_err(Error::of_statement)?;
        Ok(erased.rows_affected())
    }

    /// Erases from what to what fields of orders changed, but for those of `kept` and the lines: that they changed stays.
    pub async fn erase_changes(
        &self,
        publication: &str,
        numbers: &[i32],
        kept: &[String],
    ) -> Result<(), Error> {
        let done = sqlx::query!(
            "UPDATE journal_change c SET changes = (
                 SELECT coalesce(jsonb_object_agg(f.key, CASE
                     WHEN f.key = ANY ($3) OR f.key LIKE 'order\\_item\\_list[%' THEN f.value ELSE '[null, null]'
                 END), '{}')
                 FROM jsonb_each(c.changes) f
             )
             WHERE c.publication = $1 AND c.order_number = ANY ($2)",
            publication,
            numbers,
            kept,
        )
        .execute(self.pool());
        self.answer(done).await?;
        Ok(())
    }

    /// Erases a client and its addresses, which keep their numbers; notes who did it. `false`: nothing was left to erase.
    pub async fn erase_client(
        &self,
        publication: &str,
        number: i32,
        act: Act<'_>,
        details: &Value,
    ) -> Result<bool, Error> {
        let mut transaction = self.pool().begin().await.map_err(Error::Unavailable)?;
        // As a batch does: the client first.
        let locked = sqlx::query!(
            "SELECT number FROM client WHERE publication = $1 AND number = $2 FOR UPDATE",
            publication,
            number,
        )
        .fetch_optional(&mut *transaction);
        self.answer(locked).await?;
        let erased = sqlx::query!(
            "UPDATE address SET sender_id = NULL, city = '', street = '', house = '', str = '', entrance = NULL, floor = NULL,
                                room = NULL, district_number = NULL
             WHERE publication = $1 AND client_number = $2 AND (str <> '' OR sender_id IS NOT NULL)",
            publication,
            number,
        )
        .execute(&mut *transaction);
        let addresses = self.answer(erased).await?;
        // A client's version counts the changes of its addresses, too.
        let erased = sqlx::query!(
            "UPDATE client SET version = version + 1, guest_phone = NULL, username = '', phone = NULL, phones = '{}',
                               email = NULL, comment = NULL, bank_account = NULL, legal_address = '{}'
             WHERE publication = $1 AND number = $2
               AND ($3 OR username <> '' OR guest_phone IS NOT NULL OR phone IS NOT NULL OR phones <> '{}' OR email IS NOT NULL
                    OR comment IS NOT NULL OR bank_account IS NOT NULL OR legal_address <> '{}')",
            publication,
            number,
            addresses.rows_affected() > 0,
        )
        .execute(&mut *transaction);
        let client = self.answer(erased).await?;
        let is_done = client.rows_affected() > 0;
        if is_done {
            let noted = act.note(&mut transaction, publication, "erase_client", None, details);
            self.answer(noted).await?;
        }
        transaction.commit().await.map_err(Error::of_statement)?;
        Ok(is_done)
    }
}
