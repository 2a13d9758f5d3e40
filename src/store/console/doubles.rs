//! Orders that somebody may have sent twice: of the same client, or of one with the same phone, with the same lines and sum, made
//! within a few minutes under another id.
//!
//! Looked for where an order is shown, and not where it is taken: a batch reads no other orders of its clients, and must not.

use crate::store::{Error, Store};

/// Orders of a client that are compared, on either side of the one that is shown.
pub const NEIGHBOURS: i64 = 10;

/// An order that looks like another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Double {
    pub number: i32,
    pub other: i32,
}

impl Store {
    /// Of each of these orders one that it looks like, made within so many minutes of it. Cancelled orders are none.
    pub async fn doubles(
        &self,
        publication: &str,
        numbers: &[i32],
        minutes: u32,
    ) -> Result<Vec<Double>, Error> {
        if minutes == 0 || numbers.is_empty() {
            return Ok(Vec::new());
        }
        self.look_up(async |connection| {
            sqlx::query_as!(
                Double,
                r#"SELECT o.number AS "number!", d.number AS "other!"
                   FROM unnest($2::int[]) AS k (number)
                   CROSS JOIN LATERAL (
                       SELECT o.number, o.client_number, o.created_at, o.total FROM orders o
                       WHERE o.publication = $1 AND o.number = k.number AND o.status <> 'removed' OFFSET 0
                   ) o
                   CROSS JOIN LATERAL (
                       SELECT coalesce(c.phone, c.phones[1]) AS phone FROM client c
                       WHERE c.publication = $1 AND c.number = o.client_number OFFSET 0
                   ) c
                   CROSS JOIN LATERAL (
                       SELECT n.number FROM (
                           SELECT o.client_number AS number
                           UNION
                           (SELECT p.number FROM client p
                            WHERE p.publication = $1 AND p.phone IS NOT NULL
                              AND reverse(p.phone) COLLATE "C" = reverse(c.phone) COLLATE "C" LIMIT 5)
                           UNION
                           (SELECT p.number FROM client p
                            WHERE p.publication = $1 AND p.phones[1] IS NOT NULL
                              AND reverse(p.phones[1]) COLLATE "C" = reverse(c.phone) COLLATE "C" LIMIT 5)
                       ) p
                       CROSS JOIN LATERAL (
                           (SELECT n.number, n.created_at, n.total, n.status FROM orders n
                            WHERE n.publication = $1 AND n.number > 0 AND n.client_number = p.number AND n.number < o.number
                            ORDER BY n.number DESC LIMIT $4)
                           UNION ALL
                           (SELECT n.number, n.created_at, n.total, n.status FROM orders n
                            WHERE n.publication = $1 AND n.number > 0 AND n.client_number = p.number AND n.number > o.number
                            ORDER BY n.number LIMIT $4)
                       ) n
                       WHERE n.total = o.total AND n.status <> 'removed'
                         AND n.created_at BETWEEN o.created_at - make_interval(mins => $3)
                                              AND o.created_at + make_interval(mins => $3)
                         AND (SELECT array_agg((i.product_id, i.price, i.quantity)::text ORDER BY i.product_id, i.price, i.quantity)
                              FROM order_item i WHERE i.publication = $1 AND i.order_number = n.number)
                           = (SELECT array_agg((i.product_id, i.price, i.quantity)::text ORDER BY i.product_id, i.price, i.quantity)
                              FROM order_item i WHERE i.publication = $1 AND i.order_number = o.number)
                       ORDER BY n.number LIMIT 1
                   ) d"#,
                publication,
                numbers,
                i32::try_from(minutes).unwrap_or(i32::MAX),
                NEIGHBOURS,
            )
            .fetch_all(connection)
            .await
        })
        .await
    }
}
