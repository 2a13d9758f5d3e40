//! Who did what in the console. What an action changes and its row here are written by one transaction.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::store::{Error, Store};

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
        self.in_time(noted).await.map_err(Error::of_statement)
    }

    /// The newest actions of a publication, or those before that one.
    pub async fn operator_actions(
        &self,
        publication: &str,
        before: Option<Uuid>,
        most: i64,
    ) -> Result<Vec<ActionRow>, Error> {
        self.look_up(async |connection| {
            sqlx::query_as!(
                ActionRow,
                "SELECT action, made_at, login, kind, order_number, details FROM operator_action
                 WHERE publication = $1 AND ($2::uuid IS NULL OR action < $2) ORDER BY action DESC LIMIT $3",
                publication,
                before,
                most,
            )
            .fetch_all(connection)
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
        let removed = self.in_time(removed).await.map_err(Error::of_statement)?;
        Ok(removed.rows_affected())
    }
}
