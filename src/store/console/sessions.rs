//! Who is logged in. The moments are the database's: no instance's clock decides anything.

use std::time::Duration;

use sqlx::postgres::types::PgInterval;

use crate::store::{Error, Store};

/// How long a session lives at most.
pub const LIFETIME: Duration = Duration::from_hours(12);
/// And how long without a request.
const IDLE: Duration = Duration::from_hours(1);
/// That it was used is written down so often at most.
const NOTED_EVERY: Duration = Duration::from_mins(1);

/// The hash of a session's token.
pub type SessionKey = [u8; 32];

/// A session that is in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    pub login: String,
    /// Of the password that it was begun with.
    pub fingerprint: Vec<u8>,
}

fn interval(duration: Duration) -> PgInterval {
    PgInterval {
        months: 0,
        days: 0,
        microseconds: i64::try_from(duration.as_micros()).unwrap_or(i64::MAX),
    }
}

impl Store {
    pub async fn begin_session(&self, key: &SessionKey, session: &Session) -> Result<(), Error> {
        let mut connection = self.connection().await?;
        let begun = sqlx::query!(
            "INSERT INTO operator_session (token_hash, login, fingerprint) VALUES ($1, $2, $3)",
            key,
            session.login,
            session.fingerprint,
        )
        .execute(&mut *connection);
        let begun = self.in_time(begun).await;
        connection.done(begun)?;
        Ok(())
    }

    /// The session of that key, unless it is over; its use is noted.
    pub async fn session(&self, key: &SessionKey) -> Result<Option<Session>, Error> {
        let mut connection = self.connection().await?;
        let found = sqlx::query!(
            r#"SELECT login, fingerprint, seen_at < now() - $4::interval AS "is_to_be_noted!" FROM operator_session
               WHERE token_hash = $1 AND created_at > now() - $2::interval AND seen_at > now() - $3::interval"#,
            key,
            interval(LIFETIME),
            interval(IDLE),
            interval(NOTED_EVERY),
        )
        .fetch_optional(&mut *connection);
        let found = self.in_time(found).await;
        let Some(found) = connection.done(found)? else {
            return Ok(None);
        };
        if found.is_to_be_noted {
            let mut connection = self.connection().await?;
            let noted = sqlx::query!(
                "UPDATE operator_session SET seen_at = now() WHERE token_hash = $1",
                key,
            )
            .execute(&mut *connection);
            let noted = self.in_time(noted).await;
            connection.done(noted)?;
        }
        Ok(Some(Session {
            login: found.login,
            fingerprint: found.fingerprint,
        }))
    }

    pub async fn end_session(&self, key: &SessionKey) -> Result<(), Error> {
        let mut connection = self.connection().await?;
        let ended = sqlx::query!("DELETE FROM operator_session WHERE token_hash = $1", key)
            .execute(&mut *connection);
        let ended = self.in_time(ended).await;
        connection.done(ended)?;
        Ok(())
    }

    /// Removes the sessions that are over.
    pub async fn remove_sessions(&self) -> Result<u64, Error> {
        let removed = sqlx::query!(
            "DELETE FROM operator_session WHERE created_at < now() - $1::interval OR seen_at < now() - $2::interval",
            interval(LIFETIME),
            interval(IDLE),
        )
        .execute(self.pool());
        let removed = self.answer(removed).await?;
        Ok(removed.rows_affected())
    }
}
