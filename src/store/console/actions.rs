//! Who did what in the console. What an action changes and its row here are written by one transaction.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::store::{Error, Store, journal::remove::first_id_at};

/// Somebody's action.
#[derive(Debug, Clone, Copy)]
pub struct Act<'a> {
    /// A UUID v7.
    pub id: Uuid,
    pub login: &'a str,
}

impl<'a> Act<'a> {
    #[must_use]
    pub fn of(login: &'a str) -> Self {
        Self {
            id: Uuid::now_v7(),
            login,
        }
    }

    /// Notes the action, in the transaction of what it does.
    pub(in crate::store) async fn note(
        self,
        connection: &mut PgConnection,
        publication: &str,
        kind: &str,
        order_number: Option<i32>,
        details: &Value,
    ) -> Result<(), sqlx::Error> {
        sqlx::query!(
            "INSERT INTO operator_action (publication, action, made_at, login, kind, order_number, details)
             VALUES ($1, $2, now(), $3, $4, $5, $6)",
            publication,
            self.id,
            self.login,
            kind,
            order_number,
            details,
        )
        .execute(connection)
        .await?;
        Ok(())
    }
}

/// The newest actions among which some person's are looked for, and which are counted by person.
pub const ACTIONS_LOOKED_AT: i64 = 1_500;

/// Which actions a page shows.
#[derive(Debug, Clone, Default)]
pub struct ActionsFilter {
    /// `None`: of anybody.
    pub login: Option<String>,
    /// Done from then on …
    pub since: Option<DateTime<Utc>>,
    /// … and before then.
    pub until: Option<DateTime<Utc>>,
}

impl ActionsFilter {
    /// The actions' ids between which they are: an id (UUID v7) tells when it was.
    fn ids(&self) -> (Uuid, Uuid) {
        (
            self.since.map_or(Uuid::nil(), first_id_at),
            self.until.map_or(Uuid::max(), first_id_at),
        )
    }
}

/// A page of the operators' journal.
#[derive(Debug, Clone)]
pub struct ActionsPage {
    pub rows: Vec<ActionRow>,
    /// Where the next page begins; `None`: there is none.
    pub next: Option<Uuid>,
}

/// How much somebody did.
#[derive(Debug, Clone)]
pub struct ActionsOf {
    pub login: String,
    pub actions: i64,
}

/// An action as it was written down.
#[derive(Debug, Clone)]
pub struct ActionRow {
    pub action: Uuid,
    pub made_at: DateTime<Utc>,
    pub login: String,
    pub kind: String,
    pub order_number: Option<i32>,
    pub details: Value,
}

impl Store {
    /// Notes an action that changes nothing stored, before what it is about leaves.
    pub async fn note_action(
        &self,
        publication: &str,
        act: Act<'_>,
        kind: &str,
        details: &Value,
    ) -> Result<(), Error> {
        let noted = async {
            let mut connection = self.pool().acquire().await?;
            act.note(&mut connection, publication, kind, None, details)
                .await
        };
        self.answer(noted).await
    }

    /// The newest actions that the filter lets through, `most` of them before that one.
    pub async fn operator_actions(
        &self,
        publication: &str,
        filter: &ActionsFilter,
        before: Option<Uuid>,
        most: usize,
    ) -> Result<ActionsPage, Error> {
        let (first, end) = filter.ids();
        let end = before.map_or(end, |before| before.min(end));
        // One more tells whether there are more.
        let looked_at = match filter.login {
            Some(_) => ACTIONS_LOOKED_AT,
            None => i64::try_from(most).unwrap_or(i64::MAX).saturating_add(1),
        };
        let rows = self.look_up(async |connection| {
            sqlx::query_as!(
                ActionRow,
                "SELECT action, made_at, login, kind, order_number, details FROM operator_action
                 WHERE publication = $1 AND action >= $2 AND action < $3 ORDER BY action DESC LIMIT $4",
                publication,
                first,
                end,
                looked_at,
            )
            .fetch_all(connection)
            .await
        });
        let mut rows = rows.await?;
        let last = rows.last().map(|row| row.action);
        let is_full = i64::try_from(rows.len()).unwrap_or(i64::MAX) >= looked_at;
        if let Some(login) = &filter.login {
            rows.retain(|row| row.login == *login);
        }
        let has_more = rows.len() > most;
        rows.truncate(most);
        Ok(ActionsPage {
            next: if has_more {
                rows.last().map(|row| row.action)
            } else {
                // Of this person there was little here, and further back there may be more.
                last.filter(|_| is_full)
            },
            rows,
        })
    }

    /// Who did how much, of the newest [`ACTIONS_LOOKED_AT`] actions that the filter lets through, whoever's they are.
    pub async fn actions_by_login(
        &self,
        publication: &str,
        filter: &ActionsFilter,
    ) -> Result<Vec<ActionsOf>, Error> {
        let (first, end) = filter.ids();
        self.look_up(async |connection| {
            sqlx::query_as!(
                ActionsOf,
                r#"SELECT a.login AS "login!", count(*) AS "actions!" FROM (
                       SELECT login FROM operator_action
                       WHERE publication = $1 AND action >= $2 AND action < $3 ORDER BY action DESC LIMIT $4
                   ) a
                   GROUP BY 1 ORDER BY 2 DESC, 1"#,
                publication,
                first,
                end,
                ACTIONS_LOOKED_AT,
            )
            .fetch_all(connection)
            .await
        })
        .await
    }

    /// What our products of these numbers are called.
    pub async fn product_names(
        &self,
        publication: &str,
        numbers: &[i32],
    ) -> Result<HashMap<i32, String>, Error> {
        let found = self.look_up(async |connection| {
            sqlx::query!(
                "SELECT p.number, p.name FROM unnest($2::int[]) AS k (number)
                 CROSS JOIN LATERAL (
                     SELECT p.number, p.name FROM product p WHERE p.publication = $1 AND p.number = k.number OFFSET 0
                 ) p",
                publication,
                numbers,
            )
            .fetch_all(connection)
            .await
        });
        let found = found.await?.into_iter();
        Ok(found
            .map(|product| (product.number, product.name))
            .collect())
    }

    /// Who erased a client last, among the newest actions of all.
    pub async fn erasure_of(
        &self,
        publication: &str,
        client: i32,
    ) -> Result<Option<ActionRow>, Error> {
        self.look_up(async |connection| {
            sqlx::query_as!(
                ActionRow,
                "SELECT a.action, a.made_at, a.login, a.kind, a.order_number, a.details FROM (
                     SELECT * FROM operator_action WHERE publication = $1 ORDER BY action DESC LIMIT 3000
                 ) a
                 WHERE a.kind = 'erase_client' AND a.details->'client' = to_jsonb($2::int)
                 ORDER BY a.action DESC LIMIT 1",
                publication,
                client,
            )
            .fetch_optional(connection)
            .await
        })
        .await
    }

    /// Removes actions from before then, `step` at most; says how many.
    pub async fn remove_actions(
        &self,
        publication: &str,
        before: DateTime<Utc>,
        step: i64,
    ) -> Result<u64, Error> {
        let removed = sqlx::query!(
            "DELETE FROM operator_action
             WHERE publication = $1 AND action IN (
                 SELECT action FROM operator_action WHERE publication = $1 ORDER BY action LIMIT $3
             ) AND made_at < $2",
            publication,
            before,
            step,
        )
        .execute(self.pool());
        let removed = self.answer(removed).await?;
        Ok(removed.rows_affected())
    }
}
