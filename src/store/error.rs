//! What a failed statement means for the batch. SQLSTATEs and constraint names are read here and nowhere else.

use sqlx::{
    error::DatabaseError,
    postgres::{PgDatabaseError, PgSeverity},
};

/// `read_only_sql_transaction`
const READ_ONLY: &str = "25006";

/// `undefined_table`
const UNDEFINED_TABLE: &str = "42P01";
/// `feature_not_supported`: what a session prepared is no more, or its tables were spread over a Citus cluster meanwhile.
const NOT_SUPPORTED: &str = "0A000";

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody else changed or made a record between our reading and writing; nothing of ours is stored. Read again.
    #[error("overtaken by another writer")]
    Overtaken(#[source] sqlx::Error),
    /// A number that we were about to give belongs to a record already; nothing is stored. Take others.
    #[error("a number is taken")]
    NumberTaken(#[source] sqlx::Error),
    /// The database will never take this; nothing is stored.
    #[error("refused by the database")]
    Refused(#[source] sqlx::Error),
    /// Somebody's lock on a row stands in the way; nothing is stored.
    #[error("somebody's lock stands in the way")]
    Locked(#[source] sqlx::Error),
    /// The caller was given up on by then; nothing is stored.
    #[error("past its deadline")]
    Late(#[source] sqlx::Error),
    /// A connection broke, or another server takes the writes, since it was read: what was read may be of a history that
    /// is gone. Nothing is stored. Read again.
    #[error("the database's history may have changed since it was read")]
    HistoryChanged,
    /// The database cannot do it now; nothing is stored. Sending again later is safe.
    #[error("database unavailable")]
    Unavailable(#[source] sqlx::Error),
    /// The connection broke with the outcome open: the journal must settle it (contract §1).
    #[error("connection broke, outcome open")]
    Unsure(#[source] sqlx::Error),
    /// More is stored under a batch's keys than it may have read.
    #[error("more is stored than may be read at a time")]
    TooMuch,
    #[error("all numbers up to 2147483647 are used: {0}")]
    NumbersUsedUp(&'static str),
    /// What is stored cannot be read as what it should be.
    #[error("unreadable row")]
    Corrupt(#[source] sqlx::Error),
}

impl Error {
    /// Whether another connection may do what this one did not: it broke, or it leads to a server that takes no writes
    /// (any more: a primary that became a standby).
    pub(super) fn is_connection_error(&self) -> bool {
        match self {
            Self::Unsure(_) => true,
            Self::Unavailable(sqlx::Error::Database(error)) => {
                matches!(error.code().as_deref(), Some(READ_ONLY | NOT_SUPPORTED))
            }
            _ => false,
        }
    }

    /// Whether a table that a statement names is not there.
    pub(super) fn is_of_no_table(&self) -> bool {
        matches!(self, Self::Unavailable(sqlx::Error::Database(error)) if error.code().as_deref() == Some(UNDEFINED_TABLE))
    }

    /// With everything behind it, in one line.
    #[must_use]
    pub fn in_full(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        text
    }

    /// Says what is not as it should be.
    pub(crate) fn corrupt(what: &'static str) -> Self {
        Self::Corrupt(sqlx::Error::Decode(what.into()))
    }

    /// Reads the error of a statement that was sent.
    pub(super) fn of_statement(error: sqlx::Error) -> Self {
        let database = match &error {
            sqlx::Error::Database(database) => database,
            sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } => {
                return Self::Corrupt(error);
            }
            _ => return Self::Unsure(error),
        };
        let code = database.code().unwrap_or_default();
        match (&*code, constraint(&**database)) {
            (_, "journal_batch_not_overtaken")
            | (
                "23505",
                // Whoever leaves the same version behind has read the same one.
                "journal_change_pkey"
                | "orders_sender_id" | "client_sender_id" | "client_guest_phone" | "address_sender_id"
                | "district_pkey" | "product_sender_id_pkey" | "client_price_pkey" | "publication_mark_pkey",
            )
            // 23503: a product or district that import took away meanwhile; 40…: serialization failure, deadlock.
            | ("23503" | "40001" | "40P01", _) => Self::Overtaken(error),
            // The lines and the feed's row may be written before their order, and are then the first to meet another's number.
            (
                "23505",
                "orders_pkey" | "client_pkey" | "address_pkey" | "order_item_pkey" | "feed_pkey" | "product_pkey",
            ) => Self::NumberTaken(error),
            (_, "journal_batch_in_time") => Self::Late(error),
            (_, "journal_batch_pkey") => Self::Unavailable(error),
            // Of a table's lock PostgreSQL does not say where it was met.
            ("55P03", _) if is_of_a_row(&**database) => Self::Locked(error),
            // Ended by an administrator or a crash, or by a pooler that lost its own line to PostgreSQL (08…): even then
            // the commit may have come first.
            ("57P01" | "57P02" | "57P03", _) => Self::Unsure(error),
            _ if code.starts_with("08") || ends_connection(&**database) => Self::Unsure(error),
            _ => match code.get(..2) {
                Some("21" | "22" | "23" | "54" | "P0") => Self::Refused(error),
                _ => Self::Unavailable(error),
            },
        }
    }
}

/// The constraint that is violated, as the migrations name it: in a shard Citus adds the shard's number (`orders_pkey_102034`).
pub(super) fn constraint(error: &dyn DatabaseError) -> &str {
    let name = error.constraint().unwrap_or_default();
    let plain = name.trim_end_matches(|c: char| c.is_ascii_digit());
    match plain.strip_suffix('_') {
        Some(plain_name) if plain.len() < name.len() => plain_name,
        _ => name,
    }
}

/// Whether it is the last word of a connection.
fn ends_connection(error: &dyn DatabaseError) -> bool {
    let error = error.try_downcast_ref::<PgDatabaseError>();
    error.is_some_and(|error| matches!(error.severity(), PgSeverity::Fatal | PgSeverity::Panic))
}

/// Whether it was met at some row.
fn is_of_a_row(error: &dyn DatabaseError) -> bool {
    let error = error.try_downcast_ref::<PgDatabaseError>();
    error.is_some_and(|error| error.r#where().is_some())
}
