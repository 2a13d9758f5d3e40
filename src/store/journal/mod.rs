//! The journal as an operator reads it. Each statement names one publication.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::{Postgres, Transaction};
use uuid::Uuid;

use super::{Error, Store};
use crate::order::fault::{Language, usual_message};

pub mod remove;

/// What an operator looks for.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Received from then on …
    pub since: Option<DateTime<Utc>>,
    /// … and before then.
    pub until: Option<DateTime<Utc>>,
    pub login: Option<String>,
    pub request_id: Option<String>,
    /// With a kept order that has a fault or a warning of this code.
    pub code: Option<String>,
    /// Of kept orders: only the rejected ones, or only those with remarks.
    pub rejected: Option<bool>,
    /// Of kept orders: under this key.
    pub order_key: Option<String>,
    /// Of kept orders: at that place of its batch.
    pub position: Option<i32>,
    /// Not more than so many, the newest.
    pub limit: i64,
}

impl Filter {
    /// What `faults` or `warnings` must contain.
    fn entries(&self) -> Option<Value> {
        self.code.as_ref().map(|code| json!([{ "code": code }]))
    }
}

#[derive(Debug, Clone)]
pub struct JournalBatch {
    pub batch: Uuid,
    pub received_at: DateTime<Utc>,
    pub request_id: String,
    pub login: Option<String>,
    pub orders: i32,
    pub accepted: i32,
    pub rejected: i32,
    /// Of the accepted: those of which a value was left out, rounded or shortened.
    pub with_remarks: i32,
    /// Whether it was only tried out.
    pub dry_run: bool,
}

/// An order that is kept as it came: it was rejected, or accepted with remarks.
#[derive(Debug, Clone)]
pub struct KeptOrder {
    pub batch: Uuid,
    /// Its place there, from 0.
    pub position: i32,
    pub received_at: DateTime<Utc>,
    pub request_id: String,
    pub login: Option<String>,
    /// The order's id, without the blanks around it; `#n` where it has none: it was the n-th of its batch, from 0.
    pub order_key: String,
    pub body: String,
    /// As answered, in Russian: `[{field, code, message}]`.
    pub faults: Value,
    /// All warnings of an accepted order, in the same form; `None` of a rejected one.
    pub warnings: Option<Value>,
    /// The version of the order that its batch left behind, if there was such an order; 0 where a later element of the
    /// transaction named it, too.
    pub order_version: Option<i32>,
    /// The same of the order's client.
    pub client_version: Option<i32>,
    /// How many more elements of the batch, without an id of their own, were the same.
    pub repeated: i32,
    /// Our number of the order with that sender's id, where there is one by now.
    pub order_number: Option<i32>,
    /// Since when nobody need look at it any more.
    pub settled_at: Option<DateTime<Utc>>,
    /// The operator who saw to it; `None` of a settled one: nobody had to.
    pub settled_by: Option<String>,
}

/// What happened to an order after a kept one of its id came in. To send that again would undo it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// It came in again, and was taken.
    CameIn,
    OrderChanged,
    ClientChanged,
}

/// An order and its client as they are now.
#[derive(Debug, Clone, Copy)]
pub struct Versions {
    pub order: i32,
    pub order_version: i32,
    pub client: i32,
    /// Counts its changes, and those of its addresses.
    pub client_version: i32,
}

impl KeptOrder {
    /// Whether it has an id of its own.
    #[must_use]
    pub fn has_id(&self) -> bool {
        let place = self.order_key.strip_prefix('#');
        place.is_none_or(|place| place.is_empty() || !place.bytes().all(|b| b.is_ascii_digit()))
    }

    /// Whether its text was erased at its client's request: nothing is left to send.
    #[must_use]
    pub fn is_erased(&self) -> bool {
        self.body.is_empty()
    }

    /// What was stored since, where the order and its client are like that now.
    #[must_use]
    pub fn changed_since(&self, now: &Versions) -> Option<Since> {
        match (self.order_version, self.client_version) {
            (None, _) => Some(Since::CameIn),
            (Some(version), _) if version != now.order_version => Some(Since::OrderChanged),
            (_, Some(version)) if version != now.client_version => Some(Since::ClientChanged),
            _ => None,
        }
    }

    /// Its faults, or its warnings.
    pub fn entries(&self) -> impl Iterator<Item = &Value> {
        let entries = self.warnings.as_ref().unwrap_or(&self.faults);
        entries.as_array().into_iter().flatten()
    }

    /// Adds the usual message of a code to each fault: the journal keeps only messages that say more.
    fn in_full(mut self) -> Self {
        for fault in self.faults.as_array_mut().into_iter().flatten() {
            let part = |name: &str| fault[name].as_str().unwrap_or_default();
            let usual = usual_message(part("field"), part("code"), Language::Ru);
            if let (Some(message), Some(fault)) = (usual, fault.as_object_mut()) {
                fault.entry("message").or_insert(message.into());
            }
        }
        self
    }
}

#[derive(Debug, Clone)]
pub struct JournalChange {
    /// The one that it leaves behind. The first is what an operator corrected before the order was taken.
    pub version: i32,
    pub made_at: DateTime<Utc>,
    /// By which batch; `None`: by an operator's hand.
    pub batch: Option<Uuid>,
    pub request_id: Option<String>,
    pub login: Option<String>,
    /// `{field: [from, to]}`
    pub changes: Value,
}

/// How an order came to be.
#[derive(Debug, Clone)]
pub struct Creation {
    /// The batch that made it; `None` for orders from before that was kept.
    pub batch: Option<Uuid>,
    /// That batch, while it is in the journal.
    pub received_at: Option<DateTime<Utc>>,
    pub request_id: Option<String>,
    pub login: Option<String>,
}

impl Store {
    /// A transaction for a search: what is not searched by is left out of its plan. The one plan that fits the statements of
    /// batches would not use an index for what may as well be absent.
    async fn searching(&self) -> Result<Transaction<'static, Postgres>, Error> {
        let mut transaction = self.pool().begin().await.map_err(Error::Unavailable)?;
        sqlx::query("SELECT set_config('plan_cache_mode', 'force_custom_plan', true)")
            .execute(&mut *transaction)
            .await
            .map_err(Error::Unavailable)?;
        Ok(transaction)
    }

    /// Batches, the newest first.
    pub async fn journal_batches(
        &self,
        publication: &str,
        filter: &Filter,
    ) -> Result<Vec<JournalBatch>, Error> {
        let mut transaction = self.searching().await?;
        sqlx::query_as!(
            JournalBatch,
            "SELECT batch, received_at, request_id, login, orders, accepted, rejected, with_remarks, dry_run
             FROM journal_batch b
             WHERE publication = $1 AND NOT abandoned
               AND ($2::timestamptz IS NULL OR received_at >= $2) AND ($3::timestamptz IS NULL OR received_at < $3)
               AND ($4::text IS NULL OR login = $4) AND ($5::text IS NULL OR request_id = $5)
               AND ($6::jsonb IS NULL OR EXISTS (
                   SELECT FROM journal_rejected r
                   WHERE r.publication = $1 AND r.batch = b.batch AND (r.faults @> $6 OR r.warnings @> $6)))
             ORDER BY received_at DESC, batch DESC LIMIT $7",
            publication,
            filter.since,
            filter.until,
            filter.login,
            filter.request_id,
            filter.entries(),
            filter.limit,
        )
        .fetch_all(&mut *transaction)
        .await
        .map_err(Error::Unavailable)
    }

    pub async fn journal_batch(
        &self,
        publication: &str,
        batch: Uuid,
    ) -> Result<Option<JournalBatch>, Error> {
        sqlx::query_as!(
            JournalBatch,
            "SELECT batch, received_at, request_id, login, orders, accepted, rejected, with_remarks, dry_run
             FROM journal_batch WHERE publication = $1 AND batch = $2 AND NOT abandoned",
            publication,
            batch,
        )
        .fetch_optional(self.pool())
        .await
        .map_err(Error::Unavailable)
    }

    /// Kept orders, the newest first; of one batch only where that is given, in their places.
    pub async fn journal_orders(
        &self,
        publication: &str,
        batch: Option<Uuid>,
        filter: &Filter,
    ) -> Result<Vec<KeptOrder>, Error> {
        let mut transaction = self.searching().await?;
        sqlx::query_as!(
            KeptOrder,
            r#"SELECT r.batch, r.position, b.received_at, b.request_id, b.login, r.order_key, r.body, r.faults,
                      r.warnings, r.order_version, r.client_version, r.repeated, o.number AS "order_number?",
                      r.settled_at, r.settled_by
             FROM journal_rejected r
             JOIN journal_batch b ON b.publication = r.publication AND b.batch = r.batch
             LEFT JOIN orders o ON o.publication = r.publication AND o.sender_id = r.order_key
             WHERE r.publication = $1 AND ($2::uuid IS NULL OR r.batch = $2)
               AND ($3::timestamptz IS NULL OR b.received_at >= $3) AND ($4::timestamptz IS NULL OR b.received_at < $4)
               AND ($5::text IS NULL OR b.login = $5) AND ($6::text IS NULL OR b.request_id = $6)
               AND ($7::jsonb IS NULL OR r.faults @> $7 OR r.warnings @> $7)
               AND ($8::text IS NULL OR r.order_key = $8) AND ($10::boolean IS NULL OR (r.warnings IS NULL) = $10)
               AND ($11::int IS NULL OR r.position = $11)
             ORDER BY b.received_at DESC, r.batch DESC, r.position LIMIT $9"#,
            publication,
            batch,
            filter.since,
            filter.until,
            filter.login,
            filter.request_id,
            filter.entries(),
            filter.order_key,
            filter.limit,
            filter.rejected,
            filter.position,
        )
        .fetch_all(&mut *transaction)
        .await
        .map(|found| found.into_iter().map(KeptOrder::in_full).collect())
        .map_err(Error::Unavailable)
    }

    /// The order with that sender's id, and its client, as they are now.
    pub async fn versions(
        &self,
        publication: &str,
        sender_id: &str,
    ) -> Result<Option<Versions>, Error> {
        sqlx::query_as!(
            Versions,
            r#"SELECT o.number AS "order", o.version AS order_version, c.number AS client, c.version AS client_version
             FROM orders o JOIN client c ON c.publication = o.publication AND c.number = o.client_number
             WHERE o.publication = $1 AND o.sender_id = $2"#,
            publication,
            sender_id,
        )
        .fetch_optional(self.pool())
        .await
        .map_err(Error::Unavailable)
    }

    /// What batches that were received since then have taken of the budget for kept orders.
    pub async fn kept_bytes(
        &self,
        publication: &str,
        since: DateTime<Utc>,
    ) -> Result<usize, Error> {
        let bytes = sqlx::query_scalar!(
            r#"SELECT coalesce(sum(kept_bytes), 0)::bigint AS "bytes!" FROM journal_batch
             WHERE publication = $1 AND received_at >= $2 AND kept_bytes > 0"#,
            publication,
            since,
        )
        .fetch_one(self.pool());
        let bytes = self.answer(bytes).await?;
        Ok(usize::try_from(bytes).unwrap_or(usize::MAX))
    }

    pub async fn order_creation(
        &self,
        publication: &str,
        number: i32,
    ) -> Result<Option<Creation>, Error> {
        sqlx::query_as!(
            Creation,
            r#"SELECT o.made_by AS batch, b.received_at AS "received_at?", b.request_id AS "request_id?", b.login
             FROM orders o
             LEFT JOIN journal_batch b ON b.publication = o.publication AND b.batch = o.made_by
             WHERE o.publication = $1 AND o.number = $2"#,
            publication,
            number,
        )
        .fetch_optional(self.pool())
        .await
        .map_err(Error::Unavailable)
    }

    pub async fn order_changes(
        &self,
        publication: &str,
        number: i32,
    ) -> Result<Vec<JournalChange>, Error> {
        sqlx::query_as!(
            JournalChange,
            "SELECT version, made_at, batch, request_id, login, changes FROM journal_change
             WHERE publication = $1 AND order_number = $2
             ORDER BY version",
            publication,
            number,
        )
        .fetch_all(self.pool())
        .await
        .map_err(Error::Unavailable)
    }

    pub async fn now(&self) -> Result<DateTime<Utc>, Error> {
        let now = sqlx::query_scalar!(r#"SELECT now() AS "now!""#).fetch_one(self.pool());
        self.answer(now).await
    }
}
