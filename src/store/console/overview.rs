//! What the overview counts. Each count reads the newest entries of an index, up to a bound that the page tells, however many orders
//! there are (`tests/it/console_plans.rs`).

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    order::model::Status,
    store::{Error, Store, journal::remove::first_id_at},
};

/// Orders of one status, and calls, that are counted.
pub const COUNTED: i64 = 100_000;
/// Kept orders whose faults are counted.
pub const KEPT: i64 = 10_000;
/// Calls among which the last accepted order of a publication is looked for.
const LOOKED_AT: i64 = 500;
/// Codes that are told.
const REASONS: i64 = 20;
/// The newest orders among which those that 1C took are counted.
pub const NEWEST: i64 = 3_000;

/// Quarters of an hour since 1970: every time zone's hours and days are made of them.
pub const SLOT_SECONDS: i64 = 900;

/// Orders of a status that were made in a quarter of an hour.
#[derive(Debug, Clone)]
pub struct Made {
    pub status: String,
    pub slot: i64,
    pub orders: i64,
}

/// What came in in a quarter of an hour. An order that is sent again comes in again.
#[derive(Debug, Clone)]
pub struct CameIn {
    pub slot: i64,
    pub calls: i64,
    pub rejected: i64,
    pub with_remarks: i64,
}

/// What came in since a moment.
#[derive(Debug, Clone)]
pub struct Since {
    pub calls: i64,
    pub accepted: i64,
    pub rejected: i64,
    pub with_remarks: i64,
    /// Milliseconds from a call's receipt to its commit: half of them took no longer, and 95 of a hundred.
    pub median: Option<f64>,
    pub slow: Option<f64>,
}

/// Why orders were rejected.
#[derive(Debug, Clone)]
pub struct Reason {
    pub code: String,
    /// The path without the places of lines: `order_item_list[].price`.
    pub field: String,
    pub in_a_day: i64,
    pub in_all: i64,
}

/// How far the orders that are new since a moment have come with 1C.
#[derive(Debug, Clone)]
pub struct At1c {
    pub orders: i64,
    /// It gave a number of its own or an id, and complains of nothing.
    pub taken: i64,
    /// It, or a target, refused them.
    pub refused: i64,
    /// Seconds from an order's receipt until 1C had it: half of them took no longer, and 95 of a hundred; and the longest.
    pub median: Option<f64>,
    pub slow: Option<f64>,
    pub longest: Option<f64>,
    /// Whether older ones were left out.
    pub is_cut: bool,
}

/// Counts, and whether older ones were left out.
#[derive(Debug, Clone)]
pub struct Counted<T> {
    pub rows: Vec<T>,
    pub is_cut: bool,
}

impl Store {
    /// Orders by when they were made, as their sender says.
    pub async fn orders_made(
        &self,
        publication: &str,
        since: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> Result<Counted<Made>, Error> {
        let statuses: Vec<String> = Status::ALL.map(|status| status.as_str().to_owned()).into();
        let rows = self.look_up(async |connection| {
            sqlx::query_as!(
                Made,
                r#"SELECT s.status AS "status!", floor(date_part('epoch', o.created_at) / 900)::bigint AS "slot!",
                          count(*) AS "orders!"
                   FROM unnest($2::text[]) AS s (status)
                   CROSS JOIN LATERAL (
                       SELECT o.created_at FROM orders o
                       WHERE o.publication = $1 AND o.number > 0 AND o.status = s.status AND o.created_at >= $3
                         AND o.created_at < $4
                       ORDER BY o.created_at DESC, o.number DESC LIMIT $5
                   ) o
                   GROUP BY 1, 2"#,
                publication,
                &statuses,
                since,
                until,
                COUNTED,
            )
            .fetch_all(connection)
            .await
        });
        let rows: Vec<Made> = rows.await?;
        let of = |status: Status| {
            let of_status = rows.iter().filter(|made| made.status == status.as_str());
            of_status.map(|made| made.orders).sum::<i64>()
        };
        let is_cut = Status::ALL.into_iter().any(|status| of(status) >= COUNTED);
        Ok(Counted { rows, is_cut })
    }

    /// What came in, by when.
    pub async fn came_in(
        &self,
        publication: &str,
        since: DateTime<Utc>,
    ) -> Result<Counted<CameIn>, Error> {
        let rows = self.look_up(async |connection| {
            sqlx::query_as!(
                CameIn,
                r#"SELECT floor(date_part('epoch', b.received_at) / 900)::bigint AS "slot!", count(*) AS "calls!",
                          coalesce(sum(b.rejected) FILTER (WHERE NOT b.dry_run), 0)::bigint AS "rejected!",
                          coalesce(sum(b.with_remarks) FILTER (WHERE NOT b.dry_run), 0)::bigint AS "with_remarks!"
                   FROM (
                       SELECT b.received_at, b.rejected, b.with_remarks, b.dry_run FROM journal_batch b
                       WHERE b.publication = $1 AND b.received_at >= $2
                       ORDER BY b.received_at DESC LIMIT $3
                   ) b
                   GROUP BY 1"#,
                publication,
                since,
                COUNTED,
            )
            .fetch_all(connection)
            .await
        });
        let rows: Vec<CameIn> = rows.await?;
        let is_cut = rows.iter().map(|row| row.calls).sum::<i64>() >= COUNTED;
        Ok(Counted { rows, is_cut })
    }

    /// Since when the journal tells of calls, where it tells of any. A batch stays longer if one of its orders is kept: of the days
    /// before `kept_since` it may tell of others no more.
    pub async fn calls_known_since(
        &self,
        publication: &str,
        kept_since: Option<DateTime<Utc>>,
    ) -> Result<Option<DateTime<Utc>>, Error> {
        let first = self.look_up(async |connection| {
            sqlx::query_scalar!(
                "SELECT received_at FROM journal_batch WHERE publication = $1 ORDER BY received_at LIMIT 1",
                publication,
            )
            .fetch_optional(connection)
            .await
        });
        Ok(first
            .await?
            .map(|first| Some(first).max(kept_since).unwrap_or(first)))
    }

    /// How far the newest orders have come with 1C, of those that came in since then. Numbers are given in the order of arrival.
    pub async fn at_1c(
        &self,
        publication: &str,
        since: DateTime<Utc>,
        targets: &[String],
    ) -> Result<At1c, Error> {
        self.look_up(async |connection| {
            sqlx::query_as!(
                At1c,
                r#"SELECT count(*) AS "orders!", count(*) FILTER (WHERE x.is_taken) AS "taken!",
                          count(*) FILTER (WHERE x.is_refused AND NOT x.is_taken) AS "refused!",
                          percentile_cont(0.5) WITHIN GROUP (ORDER BY x.took) FILTER (WHERE x.is_taken) AS median,
                          percentile_cont(0.95) WITHIN GROUP (ORDER BY x.took) FILTER (WHERE x.is_taken) AS slow,
                          max(x.took) FILTER (WHERE x.is_taken) AS longest, count(*) >= $5 AS "is_cut!"
                   FROM (
                       SELECT coalesce(r.error IS NULL AND (r.number IS NOT NULL OR r.uid IS NOT NULL), false) AS is_taken,
                              r.error IS NOT NULL OR d.is_refused AS is_refused,
                              greatest(extract(epoch FROM r.said_at - b.received_at)::float8, 0) AS took
                       FROM (
                           SELECT o.number, o.made_by FROM orders o
                           WHERE o.publication = $1 ORDER BY o.number DESC LIMIT $5
                       ) o
                       CROSS JOIN LATERAL (
                           SELECT b.received_at FROM journal_batch b WHERE b.publication = $1 AND b.batch = o.made_by OFFSET 0
                       ) b
                       LEFT JOIN LATERAL (
                           SELECT r.number, r.uid, r.error, r.said_at FROM order_receiver r
                           WHERE r.publication = $1 AND r.order_number = o.number OFFSET 0
                       ) r ON true
                       CROSS JOIN LATERAL (
                           SELECT count(*) > 0 AS is_refused FROM target_delivery d
                           WHERE d.publication = $1 AND d.target = ANY ($4) AND d.order_number = o.number AND d.error IS NOT NULL
                       ) d
                       WHERE o.made_by >= $3 AND b.received_at >= $2
                   ) x"#,
                publication,
                since,
                first_id_at(since - TimeDelta::hours(1)),
                targets,
                NEWEST,
            )
            .fetch_one(connection)
            .await
        })
        .await
    }

    /// What came in since then, and how long it took to store.
    pub async fn came_in_since(
        &self,
        publication: &str,
        since: DateTime<Utc>,
    ) -> Result<Since, Error> {
        self.look_up(async |connection| {
            sqlx::query_as!(
                Since,
                r#"SELECT count(*) AS "calls!", coalesce(sum(b.accepted), 0)::bigint AS "accepted!",
                          coalesce(sum(b.rejected), 0)::bigint AS "rejected!",
                          coalesce(sum(b.with_remarks), 0)::bigint AS "with_remarks!",
                          percentile_cont(0.5) WITHIN GROUP (ORDER BY b.took) AS median,
                          percentile_cont(0.95) WITHIN GROUP (ORDER BY b.took) AS slow
                   FROM (
                       SELECT b.accepted, b.rejected, b.with_remarks, b.dry_run, b.abandoned,
                              (extract(epoch FROM b.stored_at - b.received_at) * 1000)::float8 AS took
                       FROM journal_batch b
                       WHERE b.publication = $1 AND b.received_at >= $2
                       ORDER BY b.received_at DESC LIMIT $3
                   ) b
                   WHERE NOT b.dry_run AND NOT b.abandoned"#,
                publication,
                since,
                COUNTED,
            )
            .fetch_one(connection)
            .await
        })
        .await
    }

    /// When the last order was accepted, if that is not too many calls ago.
    pub async fn last_accepted_lately(
        &self,
        publication: &str,
    ) -> Result<Option<DateTime<Utc>>, Error> {
        self.look_up(async |connection| {
            sqlx::query_scalar!(
                "SELECT max(b.received_at) FROM (
                     SELECT b.received_at, b.accepted, b.dry_run FROM journal_batch b
                     WHERE b.publication = $1 ORDER BY b.received_at DESC LIMIT $2
                 ) b
                 WHERE b.accepted > 0 AND NOT b.dry_run",
                publication,
                LOOKED_AT,
            )
            .fetch_one(connection)
            .await
        })
        .await
    }

    /// Why orders were rejected since then, as far as they are kept, the most frequent reasons first.
    pub async fn reasons(
        &self,
        publication: &str,
        since: DateTime<Utc>,
        since_a_day: DateTime<Utc>,
    ) -> Result<Counted<Reason>, Error> {
        self.look_up(async |connection| {
            let rows = sqlx::query_as!(
                Reason,
                r#"SELECT f.code AS "code!", f.field AS "field!",
                          coalesce(sum(1 + r.repeated) FILTER (WHERE r.batch >= $3), 0)::bigint AS "in_a_day!",
                          sum(1 + r.repeated)::bigint AS "in_all!"
                   FROM (
                       SELECT r.batch, r.faults, r.repeated, r.warnings FROM journal_rejected r
                       WHERE r.publication = $1 AND r.batch >= $2
                       ORDER BY r.batch DESC, r.position DESC LIMIT $4
                   ) r
                   CROSS JOIN LATERAL (
                       SELECT DISTINCT f.code, regexp_replace(f.field, '\[\d+\]', '[]', 'g') AS field
                       FROM jsonb_to_recordset(r.faults) AS f (code text, field text)
                   ) f
                   WHERE r.warnings IS NULL
                   GROUP BY 1, 2 ORDER BY 4 DESC, 1, 2 LIMIT $5"#,
                publication,
                first_id_at(since),
                first_id_at(since_a_day),
                KEPT,
                REASONS,
            )
            .fetch_all(&mut *connection)
            .await?;
            let looked_at = sqlx::query_scalar!(
                r#"SELECT count(*) AS "rows!" FROM (
                       SELECT FROM journal_rejected r WHERE r.publication = $1 AND r.batch >= $2 LIMIT $3
                   ) r"#,
                publication,
                first_id_at(since),
                KEPT,
            )
            .fetch_one(connection)
            .await?;
            Ok(Counted {
                rows,
                is_cut: looked_at >= KEPT,
            })
        })
        .await
    }
}
