//! How much waits for a person: the numbers beside the lists. One statement for every page, so each of them is bounded.

use crate::store::{Error, Store};

/// Nothing is counted further.
pub const MOST_COUNTED: i64 = 100;

/// Of each list how much is on it, [`MOST_COUNTED`] at most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Waiting {
    pub rejected: i64,
    pub remarks: i64,
    pub unmatched: i64,
    pub refused: i64,
}

impl Store {
    /// Counts what the lists show, among the newest of each. What a list passes over is settled every hour, so few are looked at in
    /// vain.
    pub async fn waiting(&self, publication: &str, targets: &[String]) -> Result<Waiting, Error> {
        self.look_up(async |connection| {
            sqlx::query_as!(
                Waiting,
                r#"WITH RECURSIVE id AS (
                       (SELECT i.product_id, 1 AS place FROM order_item i
                        WHERE i.publication = $1 AND i.product_number IS NULL AND i.product_id > ''
                        ORDER BY i.product_id LIMIT 1)
                       UNION ALL
                       SELECT n.product_id, id.place + 1 FROM id
                       CROSS JOIN LATERAL (
                           SELECT i.product_id FROM order_item i
                           WHERE i.publication = $1 AND i.product_number IS NULL AND i.product_id > id.product_id
                           ORDER BY i.product_id LIMIT 1
                       ) n
                       WHERE id.place < 200
                   )
                   SELECT
                       (SELECT count(*) FROM (
                           SELECT FROM (
                               SELECT batch, position, order_key, order_version FROM journal_rejected
                               WHERE publication = $1 AND settled_at IS NULL AND warnings IS NULL
                               ORDER BY batch DESC, position DESC LIMIT 300
                           ) r
                           LEFT JOIN LATERAL (
                               SELECT o.number FROM orders o WHERE o.publication = $1 AND o.sender_id = r.order_key OFFSET 0
                           ) o ON true
                           WHERE (o.number IS NULL OR (r.order_version > 0 AND NOT EXISTS (
                                     SELECT FROM journal_change c
                                     WHERE c.publication = $1 AND c.order_number = o.number AND c.version > r.order_version
                                       AND c.batch IS NOT NULL)))
                             AND (r.order_key ~ '^#[0-9]+$' OR NOT EXISTS (
                                     SELECT FROM journal_rejected n
                                     WHERE n.publication = $1 AND n.order_key = r.order_key AND n.settled_at IS NULL
                                       AND (n.batch, n.position) > (r.batch, r.position) AND n.warnings IS NULL))
                           LIMIT $2
                       ) r) AS "rejected!",
                       (SELECT count(*) FROM (
                           SELECT FROM (
                               SELECT batch, position, order_key FROM journal_rejected
                               WHERE publication = $1 AND settled_at IS NULL AND warnings IS NOT NULL
                               ORDER BY batch DESC, position DESC LIMIT 300
                           ) r
                           WHERE r.order_key ~ '^#[0-9]+$' OR NOT EXISTS (
                                     SELECT FROM journal_rejected n
                                     WHERE n.publication = $1 AND n.order_key = r.order_key AND n.settled_at IS NULL
                                       AND (n.batch, n.position) > (r.batch, r.position) AND n.warnings IS NOT NULL)
                           LIMIT $2
                       ) r) AS "remarks!",
                       (SELECT count(*) FROM (
                           SELECT FROM id
                           WHERE NOT EXISTS (
                                   SELECT FROM product_left_empty e WHERE e.publication = $1 AND e.sender_id = id.product_id)
                             AND EXISTS (
                                   SELECT FROM (
                                       SELECT i.order_number FROM order_item i
                                       WHERE i.publication = $1 AND i.product_number IS NULL AND i.product_id = id.product_id
                                       ORDER BY i.order_number DESC LIMIT 5
                                   ) i
                                   CROSS JOIN LATERAL (
                                       SELECT o.status FROM orders o
                                       WHERE o.publication = $1 AND o.number = i.order_number OFFSET 0
                                   ) o
                                   WHERE o.status IN ('new', 'approved'))
                           LIMIT $2
                       ) i) AS "unmatched!",
                       (SELECT count(*) FROM (
                           SELECT FROM (
                               SELECT 1 FROM unnest($3::text[]) AS t (name)
                               CROSS JOIN LATERAL (
                                   SELECT FROM target_delivery d
                                   WHERE d.publication = $1 AND d.target = t.name
                                     AND d.error IS NOT NULL AND (d.next_try_at IS NULL OR d.next_try_at > now())
                                   LIMIT $2
                               ) d
                               UNION ALL
                               (SELECT 1 FROM order_receiver WHERE publication = $1 AND error IS NOT NULL LIMIT $2)
                           ) d
                           LIMIT $2
                       ) d) AS "refused!""#,
                publication,
                MOST_COUNTED,
                targets,
            )
            .fetch_one(connection)
            .await
        })
        .await
    }
}
