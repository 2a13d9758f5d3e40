//! Where a publication's rows are: in the one database, or, on Citus, on the worker that holds the publication's shard.
//!
//! On Citus a batch goes straight to that worker and names the shard's own tables (`orders_102034`). Over the coordinator Citus
//! plans a statement of many tables anew each time, which takes many times what the statement itself takes; it makes
//! a two-phase commit of it, which a crash leaves in doubt for a minute; and the session's timeouts end at the coordinator. On the
//! worker it is the same statement, the same local transaction and the same errors as on plain PostgreSQL.
//!
//! What Citus does for its own statements we do for ours: whatever writes holds the lock by which Citus keeps a shard where it is
//! ([`Location::execute`]).

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use sqlx::{
    Execute, Executor, PgConnection, PgPool, Postgres, Row, SqlSafeStr, SqlStr,
    postgres::PgPoolOptions,
};

use self::tables::Tables;
use super::{
    Error, Store,
    connection::{Connections, Taken},
};
use crate::database::{Servers, to_worker};

mod tables;

/// A worker that does not answer may have been replaced: the coordinator is asked again, but not for every batch.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// What a session at a worker is set to besides.
const OF_WORKER: [(&str, &str); 3] = [
    // Citus refuses to have a shard's tables written to by whoever may not know what he does.
    ("citus.enable_manual_changes_to_shards", "on"),
    // It hides them from pg_class, too, where statistics.rs looks how large they are.
    ("citus.override_table_visibility", "off"),
    // The session's own function (hold.sql) is no other node's business.
    ("citus.enable_ddl_propagation", "off"),
];
/// Prepared statements that a connection to a worker keeps: a worker has many shards, each with statements of its own.
const STATEMENTS: usize = 1024;

/// Where one publication's rows are.
#[derive(Debug, Clone)]
pub(super) struct Location {
    connections: Arc<Connections>,
    shard: Option<Shard>,
}

#[derive(Debug, Clone)]
struct Shard {
    /// The worker's host and port.
    worker: Arc<str>,
    /// The shard of `orders`. The other tables' shards are always with it.
    id: i64,
    tables: Arc<Tables>,
    /// Tells one stay at a worker from another.
    stay: u64,
    asked_at: Instant,
}

impl Location {
    /// Changes whenever what was read here before may be of a history that is gone ([`Store::history`]).
    pub(super) fn history(&self) -> u64 {
        let stay = self.shard.as_ref().map_or(0, |shard| shard.stay);
        stay << 32 | self.connections.history()
    }

    /// The worker, for people; nothing where there is but one database.
    pub(super) fn name(&self) -> &str {
        self.shard.as_ref().map_or("", |shard| &shard.worker)
    }

    /// Connections that batches do not use.
    pub(super) fn pool(&self) -> &PgPool {
        self.connections.pool()
    }

    pub(super) async fn connection(&self) -> Result<Taken, Error> {
        self.connections.take().await
    }

    /// A table's name here.
    pub(super) fn table<'a>(&'a self, name: &'a str) -> &'a str {
        self.shard
            .as_ref()
            .map_or(name, |shard| shard.tables.name(name))
    }

    /// A statement's text with the tables that are here.
    pub(super) fn text(&self, text: impl SqlSafeStr) -> SqlStr {
        let text = text.into_sql_str();
        match &self.shard {
            Some(shard) => shard.tables.put_into(text),
            None => text,
        }
    }

    /// Runs a statement that writes. `probe`: takes it back.
    ///
    /// Where the shard is here no more, nothing is written, and the error is the one of a table that is missing.
    pub(super) async fn execute<'q>(
        &self,
        connection: &mut PgConnection,
        mut statement: impl Execute<'q, Postgres>,
        probe: bool,
    ) -> Result<(), sqlx::Error> {
        let arguments = statement.take_arguments().map_err(sqlx::Error::Encode)?;
        let text = self.text(statement.sql());
        if self.shard.is_some() && !tables::holds_shard(text.as_str()) {
            let error = "a statement that writes and does not hold its shard";
            return Err(sqlx::Error::Configuration(error.into()));
        }
        if !probe {
            return connection.execute((text, arguments)).await.map(|_done| ());
        }
        // By hand, and nobody drops it half-way: it runs in the intake's own task. Where the server falls silent in it, the
        // connection is closed.
        connection.execute("BEGIN").await?;
        let executed = connection.execute((text, arguments)).await;
        connection.execute("ROLLBACK").await?;
        executed.map(|_done| ())
    }
}

/// The workers, and which of them has which publication.
#[derive(Debug)]
pub(super) struct Shards {
    /// How to connect to a worker is how to connect to the coordinator, elsewhere.
    servers: Servers,
    pool: PgPoolOptions,
    for_batches: usize,
    workers: Mutex<HashMap<(String, u16), Arc<Connections>>>,
    locations: Mutex<HashMap<String, Location>>,
    /// Many publications share a shard.
    tables: Mutex<HashMap<i64, Arc<Tables>>>,
    stays: AtomicU64,
}

impl Shards {
    pub(super) fn new(servers: Servers, pool: PgPoolOptions, for_batches: usize) -> Self {
        Self {
            servers,
            pool,
            for_batches,
            workers: Mutex::default(),
            locations: Mutex::default(),
            tables: Mutex::default(),
            stays: AtomicU64::new(1),
        }
    }

    /// Where the service connects to, with what its sessions are set to.
    pub(super) fn servers(&self) -> Servers {
        self.servers.clone()
    }

    fn worker(&self, host: &str, port: u16) -> Result<Arc<Connections>, Error> {
        let mut workers = self.workers.lock();
        let worker = match workers.entry((host.to_owned(), port)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let options = to_worker(self.servers.first(), host, port).map_err(|error| {
                    Error::Unavailable(sqlx::Error::Configuration(error.into()))
                })?;
                let options = options
                    .statement_cache_capacity(STATEMENTS)
                    .options(OF_WORKER);
                let pool = self.pool.clone();
                place.insert(Arc::new(Connections::to_worker(
                    pool,
                    options,
                    self.for_batches,
                )))
            }
        };
        Ok(Arc::clone(worker))
    }

    /// Connections to workers: at work, idle, and the most there may be.
    pub(super) fn counts(&self) -> (usize, usize, usize) {
        let workers = self.workers.lock();
        workers.values().fold((0, 0, 0), |sum, worker| {
            let counts = worker.counts();
            (sum.0 + counts.0, sum.1 + counts.1, sum.2 + counts.2)
        })
    }

    pub(super) async fn close(&self) {
        let workers = std::mem::take(&mut *self.workers.lock());
        for worker in workers.into_values() {
            worker.close().await;
        }
    }

    /// Whether a publication is there as it was when the coordinator was last asked.
    fn known(&self, publication: &str) -> Option<Location> {
        let location = self.locations.lock().get(publication).cloned()?;
        let asked_at = location.shard.as_ref().map(|shard| shard.asked_at);
        let is_sound = location.connections.is_sound();
        let is_fresh = asked_at.is_some_and(|at| at.elapsed() < ASK_AGAIN);
        (is_sound || is_fresh).then_some(location)
    }
}

impl Store {
    /// Where a publication's rows are.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where the coordinator must be asked and does not answer.
    pub(super) async fn locate(&self, publication: &str) -> Result<Location, Error> {
        if !self.connections.is_citus().await? {
            return Ok(Location {
                connections: Arc::clone(&self.connections),
                shard: None,
            });
        }
        if let Some(location) = self.shards.known(publication) {
            return Ok(location);
        }
        let asked = self.ask_for_location(publication).await;
        let mut locations = self.shards.locations.lock();
        match (asked, locations.get(publication)) {
            // Without the coordinator the worker may be there all the same.
            (Err(_), Some(location)) => Ok(location.clone()),
            (asked, _) => {
                let location = asked?;
                locations.insert(publication.to_owned(), location.clone());
                Ok(location)
            }
        }
    }

    async fn ask_for_location(&self, publication: &str) -> Result<Location, Error> {
        let mut connection = self.connection().await?;
        // Citus' own catalogue: nothing for the compiler to check against.
        let rows = sqlx::query(
            "SELECT t.name, shard_name(t.logicalrelid, t.shard) AS shard_name, t.shard, n.nodename, n.nodeport
             FROM (
                 SELECT p.logicalrelid, c.relname::text AS name,
                        get_shard_id_for_distribution_column(p.logicalrelid, $1) AS shard
                 FROM pg_dist_partition p JOIN pg_class c ON c.oid = p.logicalrelid
                 WHERE p.colocationid = (
                     SELECT o.colocationid FROM pg_dist_partition o WHERE o.logicalrelid = 'orders'::regclass
                 )
                 -- Of others Citus tells nothing: the console's role may not read all of them.
                 AND has_table_privilege(p.logicalrelid, 'SELECT')
             ) t
             JOIN pg_dist_placement l ON l.shardid = t.shard
             JOIN pg_dist_node n ON n.groupid = l.groupid AND n.noderole = 'primary'",
        )
        .bind(publication)
        .fetch_all(&mut *connection);
        let rows = self.in_time(rows).await;
        let rows = connection.done(rows)?;
        let mut tables = Vec::with_capacity(rows.len());
        let mut orders = None;
        for row in &rows {
            let read = || -> Result<_, sqlx::Error> {
                let at: (String, i32) = (row.try_get("nodename")?, row.try_get("nodeport")?);
                Ok((
                    row.try_get("name")?,
                    row.try_get("shard_name")?,
                    row.try_get("shard")?,
                    at,
                ))
            };
            let (name, shard_name, shard, at): (String, String, i64, _) =
                read().map_err(Error::Corrupt)?;
            if name == "orders" {
                orders = Some((shard, at));
            }
            tables.push((name, shard_name));
        }
        let (id, (host, port)) = orders.ok_or_else(|| Error::corrupt("no shard of orders"))?;
        let port = u16::try_from(port).map_err(|_| Error::corrupt("a worker's port"))?;
        let connections = self.shards.worker(&host, port)?;
        let known = self.shards.locations.lock().get(publication).cloned();
        let known = known.and_then(|location| {
            let is_same = Arc::ptr_eq(&location.connections, &connections);
            location.shard.filter(|shard| is_same && shard.id == id)
        });
        let stay = match known {
            Some(shard) => shard.stay,
            None => self.shards.stays.fetch_add(1, Ordering::Relaxed),
        };
        let tables = Tables::new(id, tables);
        let tables = match self.shards.tables.lock().entry(id) {
            Entry::Occupied(known) if **known.get() == tables => Arc::clone(known.get()),
            other => Arc::clone(other.insert_entry(Arc::new(tables)).into_mut()),
        };
        Ok(Location {
            connections,
            shard: Some(Shard {
                worker: format!("{host}:{port}").into(),
                id,
                tables,
                stay,
                asked_at: Instant::now(),
            }),
        })
    }

    /// Where the shard's tables were found gone, it is elsewhere now, and that is forgotten.
    pub(super) fn found<T>(
        &self,
        publication: &str,
        outcome: Result<T, Error>,
    ) -> Result<T, Error> {
        if !outcome.as_ref().is_err_and(Error::is_of_no_table) {
            return outcome;
        }
        self.shards.locations.lock().remove(publication);
        Err(Error::HistoryChanged)
    }
}
