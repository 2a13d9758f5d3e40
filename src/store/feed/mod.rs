//! The feed: each order once, at its last change (contract §8.1). Whoever stores a change leaves the order's row without a
//! position; [`Store::place`] gives positions, and readers read on from one.

use std::{collections::HashMap, fmt, str::FromStr, sync::Arc};

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use tokio::sync::watch;
use uuid::Uuid;

use super::{Error, Store};

mod all_news;
mod place;
mod report;

pub use report::{Known, Receiver, Reported, Who};

pub use all_news::AllNews;

/// The most rows that are read at a time: a page's, and one that tells whether there are more.
pub const MOST_ROWS: usize = 501;

/// How far somebody has read: a position, and the mark of the placement that gave it. In a history where that placement did
/// not take place, nothing has the mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    pub position: i64,
    pub mark: Uuid,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.position, self.mark.simple())
    }
}

impl FromStr for Cursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (position, mark) = text.split_once('.').ok_or(())?;
        let cursor = Self {
            position: position.parse().map_err(drop)?,
            mark: Uuid::try_parse(mark).map_err(drop)?,
        };
        // One spelling each: a cursor is handed back as it was given.
        let is_ours = cursor.position > 0 && cursor.to_string() == text;
        is_ours.then_some(cursor).ok_or(())
    }
}

/// An order's row of the feed.
#[derive(Debug, Clone)]
pub struct FeedRow {
    pub position: i64,
    pub number: i32,
    pub sender_id: String,
    pub client_number: i32,
    pub changed_at: DateTime<Utc>,
    /// `sender`, `operator` or `back_office`.
    pub changed_by: String,
    /// The back office's own number and id of it.
    pub receiver_number: Option<String>,
    pub receiver_uid: Option<String>,
}

/// What tells a waiting reader that it is worth reading again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedState {
    /// The last position that was given.
    pub head: i64,
    /// Whether rows wait for a position.
    pub has_unplaced: bool,
}

/// Wakes those who wait for a publication's feed.
#[derive(Debug, Default)]
pub(super) struct News {
    senders: Mutex<HashMap<String, watch::Sender<()>>>,
    untold: Arc<all_news::Untold>,
}

impl News {
    fn subscribe(&self, publication: &str) -> watch::Receiver<()> {
        let mut senders = self.senders.lock();
        let sender = senders.entry(publication.to_owned());
        sender.or_insert_with(|| watch::Sender::new(())).subscribe()
    }

    fn tell(&self, publication: &str) {
        let senders = self.senders.lock();
        if let Some(sender) = senders.get(publication) {
            sender.send_replace(());
        }
        drop(senders);
        self.untold.tell(publication);
    }
}

impl Store {
    /// Changes whenever this process has stored a change of an order, or [`Self::tell_news`] says that another one has.
    #[must_use]
    pub fn news(&self, publication: &str) -> watch::Receiver<()> {
        self.news.subscribe(publication)
    }

    /// Wakes whoever waits for the publication's feed. Costs next to nothing where nobody does.
    pub fn tell_news(&self, publication: &str) {
        self.news.tell(publication);
    }

    /// A cheap look at the feed, for those who wait.
    pub async fn feed_state(&self, publication: &str) -> Result<FeedState, Error> {
        let mut connection = self.connection().await?;
        let asked = sqlx::query_as!(
            FeedState,
            r#"SELECT coalesce((SELECT position FROM feed_head WHERE publication = $1), 0) AS "head!",
                      EXISTS (SELECT FROM feed WHERE publication = $1 AND position IS NULL) AS "has_unplaced!""#,
            publication,
        )
        .fetch_one(&mut *connection);
        let asked = self.in_time(asked).await;
        connection.done(asked)
    }

    /// Whether the cursor is of this publication, and of this history of the database.
    pub async fn knows_cursor(&self, publication: &str, cursor: Cursor) -> Result<bool, Error> {
        let mark = self.cursor_at(publication, cursor.position).await?;
        Ok(mark.is_some_and(|at| at.mark == cursor.mark))
    }

    /// The cursor of a position; `None`: no placement gave it.
    pub async fn cursor_at(
        &self,
        publication: &str,
        position: i64,
    ) -> Result<Option<Cursor>, Error> {
        let mut connection = self.connection().await?;
        let asked = sqlx::query_scalar!(
            "SELECT mark FROM feed_mark WHERE publication = $1 AND position >= $2 ORDER BY position LIMIT 1",
            publication,
            position,
        )
        .fetch_optional(&mut *connection);
        let asked = self.in_time(asked).await;
        let mark = connection.done(asked)?;
        Ok(mark.map(|mark| Cursor { position, mark }))
    }

    /// The cursor behind which everything lies that was placed from that moment on, and with it everything that was changed
    /// from then on. `None`: the beginning.
    pub async fn cursor_since(
        &self,
        publication: &str,
        moment: DateTime<Utc>,
    ) -> Result<Option<Cursor>, Error> {
        let mut connection = self.connection().await?;
        let asked = sqlx::query_as!(
            Cursor,
            "SELECT position, mark FROM feed_mark WHERE publication = $1 AND placed_at < $2
             ORDER BY placed_at DESC, position DESC LIMIT 1",
            publication,
            moment,
        )
        .fetch_optional(&mut *connection);
        let asked = self.in_time(asked).await;
        connection.done(asked)
    }

    /// So many rows behind that position, in order: [`MOST_ROWS`] at most.
    pub async fn feed_rows(
        &self,
        publication: &str,
        after: i64,
        most: usize,
    ) -> Result<Vec<FeedRow>, Error> {
        let mut connection = self.connection().await?;
        let asked = sqlx::query_as!(
            FeedRow,
            r#"SELECT f.position AS "position!", f.order_number AS number, o.sender_id, o.client_number,
                      f.changed_at, f.changed_by,
                      coalesce(r.number, i.receiver_number) AS receiver_number,
                      coalesce(r.uid, i.receiver_uid) AS receiver_uid
               FROM (
                   -- A number, for of a parameter the planner believes it may be a tenth of all, and sorts them.
                   SELECT * FROM feed WHERE publication = $1 AND position > $2 ORDER BY position LIMIT 501
               ) f
               CROSS JOIN LATERAL (
                   SELECT o.sender_id, o.client_number FROM orders o
                   WHERE o.publication = $1 AND o.number = f.order_number OFFSET 0
               ) o
               LEFT JOIN LATERAL (
                   SELECT r.number, r.uid FROM order_receiver r
                   WHERE r.publication = $1 AND r.order_number = f.order_number OFFSET 0
               ) r ON true
               LEFT JOIN LATERAL (
                   SELECT i.receiver_number, i.receiver_uid FROM imported_order i
                   WHERE i.publication = $1 AND i.sender_id = o.sender_id OFFSET 0
               ) i ON true
               ORDER BY f.position LIMIT $3"#,
            publication,
            after,
            i64::try_from(most).unwrap_or(i64::MAX),
        )
        .fetch_all(&mut *connection);
        let asked = self.in_time(asked).await;
        connection.done(asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_back_as_it_was_written_and_nothing_else_is_one() {
        let mark = Uuid::now_v7();
        let cursor = Cursor { position: 7, mark };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        let simple = mark.simple();
        for text in [
            String::new(),
            "7".into(),
            format!("0.{simple}"),
            format!("-7.{simple}"),
            format!("+7.{simple}"),
            format!("07.{simple}"),
            format!(" 7.{simple}"),
            format!("7.{mark}"),
            format!("7.{simple}0"),
            format!("99999999999999999999.{simple}"),
            simple.to_string(),
        ] {
            assert_eq!(text.parse::<Cursor>(), Err(()), "{text}");
        }
    }
}
