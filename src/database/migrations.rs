//! The schema, brought up to this program's.

use std::time::Duration;

use sqlx::{
    AssertSqlSafe, Connection, Executor, PgConnection, Row,
    migrate::{Migrate, MigrateError, Migration, Migrator},
    postgres::PgConnectOptions,
};

use super::{Error, connect};

pub(super) static MIGRATIONS: Migrator = sqlx::migrate!();

/// Where sqlx writes down what is applied.
pub(super) const TABLE: &str = "_sqlx_migrations";

/// The last migration that this program carries.
#[must_use]
pub fn last_migration() -> i64 {
    MIGRATIONS
        .iter()
        .map(|migration| migration.version)
        .max()
        .unwrap_or_default()
}

/// Brings the schema up to this program's. Waits for the server to answer, at most `patience`; then any number of
/// instances may do this at once: an advisory lock of the database's lets them through one by one.
///
/// All in one transaction, and the lock is the transaction's: sqlx's own lock is the session's, and behind a pooler that
/// shares sessions (`PgBouncer`) it would stay with whichever session was asked first, for ever.
///
/// Statement by statement: Citus, where the tables are spread, takes no text with several. It is told to change shards one
/// after another, for several connections cannot do so in one transaction.
///
/// # Errors
/// [`Error::NoAnswer`] and [`Error::Refused`] by the server, [`Error::Newer`], [`Error::Altered`] and
/// [`Error::Migration`] by the schema.
pub async fn migrate(options: &PgConnectOptions, patience: Duration) -> Result<(), Error> {
    let mut connection = connect(options, patience).await?;
    let mut transaction = connection.begin().await?;
    lock(&mut transaction).await?;
    let known = last_migration();
    let migrations = Migrator {
        migrations: MIGRATIONS.migrations.clone(),
        locking: false,
        ..Migrator::DEFAULT
    };
    let applied = applied(&mut transaction).await?;
    // It only writes down that they are applied. They are, by us, or the transaction does not commit.
    match migrations.run_direct(None, &mut *transaction, true).await {
        Ok(()) => {
            let pending = MIGRATIONS
                .iter()
                .filter(|own| !applied.contains(&own.version));
            for migration in pending {
                apply(&mut transaction, migration).await?;
            }
            transaction.commit().await?;
            Ok(connection.close().await?)
        }
        Err(MigrateError::VersionMissing(found)) if found > known => {
            Err(Error::Newer { found, known })
        }
        Err(MigrateError::VersionMissing(version) | MigrateError::VersionMismatch(version)) => {
            Err(Error::Altered(version))
        }
        Err(error) => Err(Error::Migration(error)),
    }
}

/// Lets nobody else set the database up until the transaction is over.
pub(super) async fn lock(transaction: &mut PgConnection) -> Result<(), sqlx::Error> {
    // Without the notice that the migrations' own table exists already, which every start but the first would log, and
    // without timeouts that the role may have: others may take their time with the lock.
    sqlx::query(
        "SELECT set_config('client_min_messages', 'warning', true), set_config('lock_timeout', '0', true),
                set_config('statement_timeout', '0', true),
                set_config('idle_in_transaction_session_timeout', '0', true),
                set_config('citus.multi_shard_modify_mode', 'sequential', true)",
    )
    .execute(&mut *transaction)
    .await?;
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('aqua-orders migrations', 0))")
        .execute(transaction)
        .await?;
    Ok(())
}

/// The migrations that are applied.
async fn applied(connection: &mut PgConnection) -> Result<Vec<i64>, Error> {
    let listed = async {
        connection.ensure_migrations_table(TABLE).await?;
        connection.list_applied_migrations(TABLE).await
    };
    let applied = listed.await.map_err(Error::Migration)?;
    Ok(applied.iter().map(|applied| applied.version).collect())
}

async fn apply(connection: &mut PgConnection, migration: &Migration) -> Result<(), Error> {
    let failed = |error| Error::Migration(MigrateError::ExecuteMigration(error, migration.version));
    for statement in statements(migration.sql.as_str()) {
        let text = AssertSqlSafe(statement.to_owned());
        connection.execute(text).await.map_err(failed)?;
        if statement.contains("CREATE TABLE") {
            spread_new_tables(connection).await.map_err(failed)?;
        }
    }
    Ok(())
}

/// Where the tables are spread over a Citus cluster, spreads those that are not yet. Before that, none of them can refer to others.
async fn spread_new_tables(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    let has_citus = "SELECT to_regclass('pg_dist_partition') IS NOT NULL";
    if !connection.fetch_one(has_citus).await?.try_get(0)? {
        return Ok(());
    }
    connection
        .execute(
            "SELECT create_distributed_table(c.oid::regclass, 'publication', colocate_with => 'orders')
             FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'publication'
             WHERE c.relkind = 'r' AND c.oid NOT IN (SELECT logicalrelid FROM pg_dist_partition)
               AND c.relnamespace = (
                   SELECT o.relnamespace FROM pg_dist_partition p JOIN pg_class o ON o.oid = p.logicalrelid
                   WHERE o.oid = to_regclass('orders')
               )",
        )
        .await?;
    Ok(())
}

/// A script's statements. It may hold comments, strings and bodies in `$$`.
fn statements(script: &str) -> impl Iterator<Item = &str> {
    let mut rest = script;
    let split = std::iter::from_fn(move || {
        let (statement, after) = rest.split_at(end_of_statement(rest));
        rest = after;
        (!statement.is_empty()).then_some(statement)
    });
    split.filter(|statement| {
        let mut lines = statement.lines().map(str::trim_start);
        lines.any(|line| !line.is_empty() && !line.starts_with("--"))
    })
}

/// Where the first statement ends, its semicolon included.
fn end_of_statement(script: &str) -> usize {
    let mut at = 0;
    while let Some(next) = script[at..].find([';', '\'', '"', '-', '$']) {
        at += next;
        let rest = &script[at..];
        let (open, close) = match rest.as_bytes() {
            [b';', ..] => return at + 1,
            [b'\'', ..] => ("'", "'"),
            [b'"', ..] => ("\"", "\""),
            [b'-', b'-', ..] => ("--", "\n"),
            [b'$', b'$', ..] => ("$$", "$$"),
            _ => {
                at += 1;
                continue;
            }
        };
        let inside = &rest[open.len()..];
        let length = inside
            .find(close)
            .map_or(inside.len(), |end| end + close.len());
        at += open.len() + length;
    }
    script.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_taken_apart_where_statements_end_and_nowhere_else() {
        let script = "-- one; two\nCREATE TABLE a (t text DEFAULT ';''');\n\n-- the end;\nDO $$ BEGIN; END $$;\n\
                      SELECT 1 - 2 AS \"a;b\";\n-- nothing\n";
        let statements: Vec<&str> = statements(script).map(str::trim).collect();
        assert_eq!(
            statements,
            [
                "-- one; two\nCREATE TABLE a (t text DEFAULT ';''');",
                "-- the end;\nDO $$ BEGIN; END $$;",
                "SELECT 1 - 2 AS \"a;b\";"
            ]
        );
    }

    #[test]
    fn every_migration_is_taken_apart_into_all_of_it() {
        for migration in MIGRATIONS.iter() {
            let sql = migration.sql.as_str();
            let ends = sql.lines().filter(|line| {
                let line = line.trim();
                line.ends_with(';') && !line.starts_with("--")
            });
            assert_eq!(
                statements(sql).count(),
                ends.count(),
                "{}",
                migration.description
            );
        }
    }
}
