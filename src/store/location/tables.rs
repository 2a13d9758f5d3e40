//! A shard's tables in place of those that a statement names, and the shard held where it is while one writes.

use std::collections::HashMap;

use parking_lot::Mutex;
use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

/// Says in a statement that writes where it is to hold its shard: before anything is written, and with all the patience of
/// `lock_timeout`.
const HOLD_HERE: &str = "/* hold the shard */";

/// PostgreSQL's number of a lock that many may hold and that shuts out an exclusive one.
const SHARE_LOCK: i32 = 5;

/// Whether a statement, its tables put in place, holds the shard.
pub(super) fn holds_shard(statement: &str) -> bool {
    statement.contains("pg_temp.hold_shard(")
}

/// What each table is called in a shard.
#[derive(Debug, Default)]
pub(super) struct Tables {
    names: HashMap<String, String>,
    /// Holds the shard, in the list of a SELECT.
    hold: String,
    /// Statements that were asked for.
    statements: Mutex<HashMap<SqlStr, SqlStr>>,
}

impl PartialEq for Tables {
    fn eq(&self, other: &Self) -> bool {
        self.names == other.names
    }
}

impl Tables {
    /// From the shard of `orders`, and (table, shard's table).
    pub(super) fn new(shard: i64, names: impl IntoIterator<Item = (String, String)>) -> Self {
        // The lock by itself: what it reports is not to look like a row's (`store/error.rs`). Of a shard that was split there is
        // nothing left to lock.
        let hold = format!(
            "pg_temp.hold_shard({shard}, (SELECT lock_shard_metadata({SHARE_LOCK}, ARRAY[shardid])::text
                                          FROM pg_dist_placement JOIN pg_dist_local_group USING (groupid)
                                          WHERE shardid = {shard})),"
        );
        Self {
            names: names.into_iter().collect(),
            hold,
            statements: Mutex::default(),
        }
    }

    /// One of them; as it is, where the shard has none of its own.
    pub(super) fn name<'a>(&'a self, table: &'a str) -> &'a str {
        self.names.get(table).map_or(table, String::as_str)
    }

    /// Puts the shard's tables where a statement names a table: after FROM, JOIN, INTO and UPDATE. Elsewhere the same word is a
    /// column (`journal_batch.orders`).
    pub(super) fn put_into(&self, statement: SqlStr) -> SqlStr {
        let mut statements = self.statements.lock();
        let placed = statements
            .entry(statement)
            .or_insert_with_key(|text| AssertSqlSafe(self.replace(text.as_str())).into_sql_str());
        placed.clone()
    }

    fn replace(&self, statement: &str) -> String {
        let is_of_word = |c: char| c.is_alphanumeric() || c == '_';
        let mut placed = String::with_capacity(statement.len() + 256);
        let mut names_a_table = false;
        let mut rest = statement;
        while let Some(first) = rest.chars().next() {
            let same = |c: char| is_of_word(c) != is_of_word(first);
            let (piece, after) = rest.split_at(rest.find(same).unwrap_or(rest.len()));
            rest = after;
            if is_of_word(first) {
                placed.push_str(if names_a_table {
                    self.name(piece)
                } else {
                    piece
                });
                names_a_table = matches!(piece, "FROM" | "JOIN" | "INTO" | "UPDATE");
            } else {
                placed.push_str(piece);
                names_a_table &= piece.trim().is_empty();
            }
        }
        placed.replacen(HOLD_HERE, &self.hold, 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_replaced_and_columns_are_not() {
        let names = ["orders", "client"].map(|name| (name.to_owned(), format!("{name}_102034")));
        let tables = Tables::new(102_034, names);
        for (statement, placed) in [
            ("SELECT * FROM orders o", "SELECT * FROM orders_102034 o"),
            (
                "INSERT INTO journal_batch (batch, orders) SELECT t.orders FROM t",
                "INSERT INTO journal_batch (batch, orders) SELECT t.orders FROM t",
            ),
            (
                "INSERT INTO client AS c\n (number) SELECT 1 ON CONFLICT (number) DO UPDATE SET client = 1",
                "INSERT INTO client_102034 AS c\n (number) SELECT 1 ON CONFLICT (number) DO UPDATE SET client = 1",
            ),
            (
                "DELETE FROM orders USING client WHERE 'клиент' = $1",
                "DELETE FROM orders_102034 USING client WHERE 'клиент' = $1",
            ),
            (
                "UPDATE orders\nSET x = 1 FROM (orders) JOIN client_price ON true",
                "UPDATE orders_102034\nSET x = 1 FROM (orders) JOIN client_price ON true",
            ),
            ("", ""),
        ] {
            assert_eq!(tables.replace(statement), placed);
        }
        assert_eq!(tables.name("district"), "district");
    }

    #[test]
    fn a_statement_that_writes_holds_its_shard() {
        let tables = Tables::new(102_034, []);
        for statement in [
            include_str!("../write.sql"),
            include_str!("../write_new.sql"),
        ] {
            assert!(!holds_shard(statement));
            assert!(holds_shard(&tables.replace(statement)));
        }
    }
}
