//! What an export has of orders besides what the list shows.

use rust_decimal::Decimal;
use serde_json::Value;

use crate::store::{Error, Store};

#[derive(Debug, Clone)]
pub struct OrderDetails {
    pub number: i32,
    /// Of each line what it is called, and how many.
    pub names: Vec<String>,
    pub quantities: Vec<i32>,
    pub payment_type: Option<String>,
    pub payment_status: bool,
    pub delivery_cost: Option<Decimal>,
    pub count_of_returned_bottles: i32,
    pub comment: Option<String>,
    /// Its open remarks, as the journal keeps them.
    pub remarks: Option<Value>,
}

impl Store {
    /// Of the orders of these numbers, in that order.
    pub async fn order_details(
        &self,
        publication: &str,
        numbers: &[i32],
    ) -> Result<Vec<OrderDetails>, Error> {
        self.look_up(async |connection| {
            sqlx::query_as!(
                OrderDetails,
                r#"SELECT o.number, coalesce(i.names, '{}') AS "names!", coalesce(i.quantities, '{}') AS "quantities!",
                          o.payment_type, o.payment_status, o.delivery_cost, o.count_of_returned_bottles, o.comment,
                          j.warnings AS "remarks?"
                   FROM unnest($2::int[]) WITH ORDINALITY AS k (number, place)
                   CROSS JOIN LATERAL (
                       SELECT * FROM orders o WHERE o.publication = $1 AND o.number = k.number OFFSET 0
                   ) o
                   CROSS JOIN LATERAL (
                       SELECT array_agg(coalesce(i.name, i.product_id) ORDER BY i.position) AS names,
                              array_agg(i.quantity ORDER BY i.position) AS quantities
                       FROM order_item i WHERE i.publication = $1 AND i.order_number = o.number
                   ) i
                   LEFT JOIN LATERAL (
                       SELECT j.warnings FROM journal_rejected j
                       WHERE j.publication = $1 AND j.order_key = o.sender_id AND j.warnings IS NOT NULL
                         AND j.settled_at IS NULL
                       ORDER BY j.batch DESC, j.position DESC LIMIT 1
                   ) j ON true
                   ORDER BY k.place"#,
                publication,
                numbers,
            )
            .fetch_all(connection)
            .await
        })
        .await
    }
}
