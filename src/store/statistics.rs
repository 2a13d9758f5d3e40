//! The planner's statistics, in time.
//!
//! PostgreSQL gathers them by itself, up to a minute after a table grew. Until then it takes a publication for a single
//! row and may walk all of its rows where it should go by number: in its own checks of foreign keys too, which no
//! wording of a statement reaches. A first load of some ten thousand orders would spend that minute walking.

use std::sync::atomic::{AtomicUsize, Ordering};

use sqlx::{AssertSqlSafe, Executor};

use super::{Store, location::Location};

/// After so many rows written by this instance it looks whether the tables have outgrown their statistics. Later than
/// that PostgreSQL's own minute is soon enough.
const STEPS: [usize; 4] = [100, 1_000, 10_000, 100_000];

/// Rows written since the start.
#[derive(Debug, Default)]
pub(super) struct Growth(AtomicUsize);

impl Growth {
    /// Counts rows; says whether they reached a step.
    fn reaches_a_step(&self, rows: usize) -> bool {
        let before = self.0.fetch_add(rows, Ordering::Relaxed);
        STEPS
            .iter()
            .any(|step| before < *step && before + rows >= *step)
    }
}

impl Store {
    /// Takes note of rows written. What there is to do is done beside, and nobody waits for it.
    pub(super) fn grew(&self, location: Location, rows: usize) {
        if self.growth.reaches_a_step(rows) {
            tokio::spawn(async move {
                if let Err(error) = analyze(&location).await {
                    // PostgreSQL will do it a little later.
                    tracing::debug!(%error, "statistics could not be gathered");
                }
            });
        }
    }
}

/// Has PostgreSQL look at the tables anew, if they have outgrown what it knows of them.
async fn analyze(location: &Location) -> Result<(), sqlx::Error> {
    let tables = ["orders", "order_item", "client", "address"].map(|name| location.table(name));
    let outgrown = sqlx::query_scalar!(
            r#"SELECT EXISTS (
                   SELECT FROM pg_class
                   WHERE oid = ANY ($1::text[]::regclass[])
                     AND pg_relation_size(oid) > 2 * relpages::bigint * current_setting('block_size')::bigint
               ) AS "outgrown!""#,
            &tables as _,
        )
        .fetch_one(location.pool())
        .await?;
    if outgrown {
        let analyze = format!("ANALYZE {}", tables.join(", "));
        location.pool().execute(AssertSqlSafe(analyze)).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Growth;

    #[test]
    fn each_step_is_reached_once() {
        let growth = Growth::default();
        let reached: Vec<usize> = (1..=300).filter(|_| growth.reaches_a_step(4)).collect();
        assert_eq!(reached, [25, 250], "at 100 and at 1,000 rows");
        assert!(growth.reaches_a_step(1_000_000), "two at once are one");
        assert!(!growth.reaches_a_step(1_000_000));
    }
}
