//! How much waits for a person: the numbers beside the lists. Every page asks for them, so each is bounded.

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
            let counted = sqlx::query!(
                r#"SELECT
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
                           -- Of the newest lines: ids of finished orders stay, and may be many.
                           SELECT DISTINCT i.product_id FROM (
                               SELECT order_number FROM order_item WHERE publication = $1 AND product_number IS NULL
                               ORDER BY order_number DESC LIMIT 300
                           ) n
                           CROSS JOIN LATERAL (
                               SELECT o.number, o.status FROM orders o
                               WHERE o.publication = $1 AND o.number = n.order_number OFFSET 0
                           ) o
                           CROSS JOIN LATERAL (
                               SELECT i.product_id FROM order_item i
                               WHERE i.publication = $1 AND i.order_number = o.number AND i.product_number IS NULL OFFSET 0
                           ) i
                           WHERE o.status IN ('new', 'approved') AND NOT EXISTS (
                                     SELECT FROM product_left_empty e
                                     WHERE e.publication = $1 AND e.sender_id = i.product_id)
                           LIMIT $2
                       ) i) AS "unmatched!",
                       (SELECT count(*) FROM (
                           -- An order that 1C was sent and reported is one.
                           SELECT DISTINCT d.order_number FROM (
                               SELECT d.order_number FROM unnest($3::text[]) AS t (name)
                               CROSS JOIN LATERAL (
                                   SELECT d.order_number FROM target_delivery d
                                   WHERE d.publication = $1 AND d.target = t.name AND NOT d.withheld
                                     AND d.error IS NOT NULL AND (d.next_try_at IS NULL OR d.next_try_at > now())
                                   LIMIT $2
                               ) d
                               UNION ALL
                               -- Whether or not 1C said so by itself, too: of a withheld one it is decided.
                               (SELECT r.order_number FROM order_receiver r
                                WHERE r.publication = $1 AND r.error IS NOT NULL AND NOT r.put_aside AND NOT coalesce((
                                    SELECT bool_or(d.withheld) FROM target_delivery d
                                    WHERE d.publication = $1 AND d.target = ANY ($3) AND d.order_number = r.order_number), false)
                                LIMIT $2)
                           ) d
                           LIMIT $2
                       ) d) AS "refused!""#,
                publication,
                MOST_COUNTED,
                targets,
            )
            .fetch_one(connection)
            .await?;
            Ok(Waiting {
                rejected: counted.rejected,
                remarks: counted.remarks,
                unmatched: counted.unmatched,
                refused: counted.refused,
            })
        })
        .await
    }
}
