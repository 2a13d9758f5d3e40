//! Connections for the statements of a batch.
//!
//! sqlx's pool asks a connection how it is each time it is given back: two more wake-ups of a PostgreSQL process for
//! every order, on the cores that the order needs. So a connection that did its work stays out of the pool, on a stack,
//! until it is old or has nothing to do; a broken one shows itself, and takes those of its age along.

use std::{
    ops::{Deref, DerefMut},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use sqlx::{
    Connection, Executor, PgConnection, PgPool, Postgres,
    pool::PoolConnection,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::{
    sync::{Mutex as AsyncMutex, OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};

use super::Error;
use crate::database::{Servers, place};

/// How long a free connection is waited for.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a worker may take to let a connection in; for as long again nobody else tries. Its publications hear of it at
/// once, and the others do not notice.
const WORKER_TIMEOUT: Duration = Duration::from_secs(1);
/// What a session at a worker brings along ([`super::location`]).
const HOLD: &str = include_str!("hold.sql");
/// A connection that had nothing to do for so long is closed.
const IDLE: Duration = Duration::from_mins(1);
/// One that is older makes way for a fresh one: PostgreSQL's processes grow with time.
const LIFETIME: Duration = Duration::from_mins(30);
/// Between two looks for the server that takes writes.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

#[derive(Debug)]
pub(super) struct Connections {
    pool: PgPool,
    /// The last used is the next to use: it is warm.
    idle: Mutex<Vec<Kept>>,
    permits: Arc<Semaphore>,
    most: usize,
    /// When a connection last turned out to be broken: those made before it are not trusted any more.
    broken_at: Arc<Mutex<Option<Instant>>>,
    history: Arc<History>,
    /// Where there is a choice: locked while somebody looks for the one that takes writes.
    servers: Arc<AsyncMutex<Servers>>,
    are_many: bool,
    /// Of a worker of a Citus cluster, used as a plain server.
    is_worker: bool,
    /// Whether each goes back to the pool after its use, and is asked there how it is before the next.
    is_pooled: bool,
    /// When a new connection was last wanted in vain.
    unreachable_at: Mutex<Option<Instant>>,
}

/// Whether the connections lead to what they led to before. A server that took over may lack the other's last commits, and
/// one that was put back to an earlier state has others under the same versions.
#[derive(Debug, Default)]
struct History {
    changes: AtomicU64,
    /// Whether the tables are spread over a Citus cluster, as the last new connection found them.
    is_citus: Mutex<Option<bool>>,
    /// When the server was started that the last new connection led to.
    life: Mutex<Option<DateTime<Utc>>>,
}

impl History {
    fn may_have_changed(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
    }

    /// Takes note of where a new connection leads; says whether that is another server, or another life of it.
    fn is_new(&self, life: DateTime<Utc>) -> bool {
        let before = self.life.lock().replace(life);
        let is_new = before.is_some_and(|before| before != life);
        if is_new {
            self.may_have_changed();
        }
        is_new
    }
}

#[derive(Debug)]
struct Kept {
    connection: PoolConnection<Postgres>,
    /// It left the pool then, and was sound.
    since: Instant,
    used: Instant,
}

/// A connection taken. Dropped without a word, as by a panic, it goes to the pool, which looks at it closely.
#[derive(Debug)]
pub(super) struct Taken {
    connection: PoolConnection<Postgres>,
    since: Instant,
    permit: OwnedSemaphorePermit,
    owner: Arc<Connections>,
}

impl Taken {
    /// Gives it back after a statement, or closes it where it broke, and says what the statement's error means.
    pub(super) fn done<T>(self, outcome: Result<T, sqlx::Error>) -> Result<T, Error> {
        let outcome = outcome.map_err(Error::of_statement);
        let owner = Arc::clone(&self.owner);
        if outcome.as_ref().is_err_and(Error::is_connection_error) {
            owner.broke(self);
        } else {
            owner.give_back(self);
        }
        outcome
    }

    /// Closes it, though nothing is wrong with it: an answer of the server's is not read to its end.
    pub(super) fn close(self) {
        drop(self.connection.detach());
    }
}

impl Deref for Taken {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.connection
    }
}

impl DerefMut for Taken {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.connection
    }
}

/// Whether the service's tables are spread over a Citus cluster; if so, has the session plan each statement for its publication:
/// Citus cannot do it for any.
async fn plan_for_citus(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let spread = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = to_regclass('orders'))",
    );
    let is_spread = spread.fetch_one(&mut *connection).await?;
    if is_spread {
        sqlx::query("SET plan_cache_mode = force_custom_plan")
            .execute(connection)
            .await?;
    }
    Ok(is_spread)
}

impl Connections {
    /// Up to `most` at a time, which the pool must be able to give. It connects lazily.
    pub(super) fn new(pool: PgPoolOptions, servers: Servers, most: usize) -> Self {
        Self::to(pool.test_before_acquire(false), servers, most, false)
    }

    /// The same for people, to whom one more round trip is less than an error for a connection that broke meanwhile. All are the pool's
    /// when nobody uses them, so that who asks the pool itself finds one, too.
    pub(super) fn pooled(pool: PgPoolOptions, servers: Servers, most: usize) -> Self {
        Self {
            is_pooled: true,
            ..Self::to(pool.test_before_acquire(true), servers, most, false)
        }
    }

    /// The same to a worker of a Citus cluster, to use it as a plain server.
    pub(super) fn to_worker(pool: PgPoolOptions, worker: PgConnectOptions, most: usize) -> Self {
        Self::to(pool.test_before_acquire(false), worker.into(), most, true)
    }

    fn to(pool: PgPoolOptions, servers: Servers, most: usize, is_worker: bool) -> Self {
        let acquire_timeout = if is_worker {
            WORKER_TIMEOUT
        } else {
            ACQUIRE_TIMEOUT
        };
        let broken_at = Arc::new(Mutex::new(None::<Instant>));
        let seen_broken_at = Arc::clone(&broken_at);
        let history = Arc::new(History::default());
        let (seen_history, others_broken_at) = (Arc::clone(&history), Arc::clone(&broken_at));
        let pool = pool
            .after_connect(move |connection, _| {
                let (history, broken_at) =
                    (Arc::clone(&seen_history), Arc::clone(&others_broken_at));
                Box::pin(async move {
                    let server = sqlx::query!(
                        r#"SELECT pg_postmaster_start_time() AS "life!",
                                  to_regclass('pg_dist_partition') IS NOT NULL AS "has_citus!""#
                    );
                    let server = server.fetch_one(&mut *connection).await?;
                    if history.is_new(server.life) {
                        // Whatever still leads to the one before.
                        *broken_at.lock() = Some(Instant::now());
                    }
                    if is_worker {
                        connection.execute(HOLD).await?;
                    } else {
                        let is_citus = server.has_citus && plan_for_citus(connection).await?;
                        *history.is_citus.lock() = Some(is_citus);
                    }
                    Ok(())
                })
            })
            // A ping before each use would double a batch's round trips; a dead connection shows itself, and then the others
            // of its age make way for new ones.
            .before_acquire(move |_, connection| {
                let is_younger = seen_broken_at
                    .lock()
                    .is_none_or(|at| connection.age < at.elapsed());
                Box::pin(async move { Ok(is_younger) })
            })
            .acquire_timeout(acquire_timeout)
            .connect_lazy_with(servers.first().clone());
        Self {
            pool,
            idle: Mutex::default(),
            permits: Arc::new(Semaphore::new(most)),
            most,
            broken_at,
            history,
            are_many: servers.are_many(),
            is_worker,
            is_pooled: false,
            unreachable_at: Mutex::default(),
            servers: Arc::new(AsyncMutex::new(servers)),
        }
    }

    /// At work, idle, and the most there may be.
    pub(super) fn counts(&self) -> (usize, usize, usize) {
        let idle = self.idle.lock().len();
        let busy = self.most.saturating_sub(self.permits.available_permits());
        (busy, idle, self.most)
    }

    pub(super) fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// See [`super::Store::history`].
    pub(super) fn history(&self) -> u64 {
        self.history.changes.load(Ordering::SeqCst)
    }

    /// Whether the tables are spread over a Citus cluster.
    pub(super) async fn is_citus(self: &Arc<Self>) -> Result<bool, Error> {
        let known = *self.history.is_citus.lock();
        if let Some(is_citus) = known {
            return Ok(is_citus);
        }
        // A new connection finds it out.
        self.take().await?.done(Ok(()))?;
        let known = *self.history.is_citus.lock();
        Ok(known.unwrap_or(false))
    }

    /// Whether the last new connection that was wanted was had.
    pub(super) fn is_sound(&self) -> bool {
        self.unreachable_at.lock().is_none()
    }

    /// Takes one, and makes it where none is idle.
    pub(super) async fn take(self: &Arc<Self>) -> Result<Taken, Error> {
        let permit = Arc::clone(&self.permits).acquire_owned();
        let permit = timeout(ACQUIRE_TIMEOUT, permit)
            .await
            .map_err(|_elapsed| Error::Unavailable(sqlx::Error::PoolTimedOut))?
            .map_err(|_closed| Error::Unavailable(sqlx::Error::PoolClosed))?;
        let broken_at = *self.broken_at.lock();
        loop {
            let kept = self.idle.lock().pop();
            let Some(Kept {
                mut connection,
                since,
                ..
            }) = kept
            else {
                break;
            };
            if broken_at.is_some_and(|at| since <= at) {
                // Not back to the pool, which would ask a silent server how it is.
                drop(connection.detach());
            } else if since.elapsed() > LIFETIME {
                connection.close_on_drop();
            } else {
                return Ok(Taken {
                    connection,
                    since,
                    permit,
                    owner: Arc::clone(self),
                });
            }
        }
        let since = Instant::now();
        let is_away = |at: Instant| self.is_worker && at.elapsed() < WORKER_TIMEOUT;
        let connection = if self.unreachable_at.lock().is_some_and(is_away) {
            Err(sqlx::Error::PoolTimedOut)
        } else {
            let connection = self.pool.acquire().await;
            *self.unreachable_at.lock() = connection.is_err().then(Instant::now);
            connection
        };
        let connection = connection.map_err(|error| {
            self.look_for_primary();
            Error::Unavailable(error)
        })?;
        Ok(Taken {
            connection,
            since,
            permit,
            owner: Arc::clone(self),
        })
    }

    /// Closes what is idle; what is taken closes when it comes back.
    pub(super) async fn close(&self) {
        self.permits.close();
        let idle = std::mem::take(&mut *self.idle.lock());
        drop(idle);
        self.pool.close().await;
    }

    /// Takes back one that did its work.
    fn give_back(&self, taken: Taken) {
        let Taken {
            mut connection,
            since,
            permit,
            ..
        } = taken;
        // A large batch leaves large ones behind.
        connection.shrink_buffers();
        if self.permits.is_closed() || self.is_pooled {
            return;
        }
        let mut idle = self.idle.lock();
        idle.push(Kept {
            connection,
            since,
            used: Instant::now(),
        });
        // The least used lies at the bottom.
        if idle[0].used.elapsed() > IDLE {
            idle.remove(0).connection.close_on_drop();
        }
        drop(idle);
        drop(permit);
    }

    /// Closes one that broke, and trusts none that is as old.
    fn broke(&self, taken: Taken) {
        *self.broken_at.lock() = Some(Instant::now());
        self.history.may_have_changed();
        // Not back to the pool, which would ask a silent server how it is.
        drop(taken.connection.detach());
        self.look_for_primary();
    }

    /// Where there are several servers, looks for the one that takes writes until it is found, and has new connections
    /// lead there. One look at a time; nobody waits for it.
    fn look_for_primary(&self) {
        if !self.are_many {
            return;
        }
        let Ok(mut servers) = Arc::clone(&self.servers).try_lock_owned() else {
            return;
        };
        let (pool, broken_at) = (self.pool.clone(), Arc::clone(&self.broken_at));
        let history = Arc::clone(&self.history);
        tokio::spawn(async move {
            let before = place(servers.first());
            while !pool.is_closed() {
                if !servers.look_for_primary().await {
                    sleep(LOOK_AGAIN).await;
                    continue;
                }
                let now = place(servers.first());
                if now != before {
                    tracing::warn!(server = now, "another server takes the writes now");
                    pool.set_connect_options(servers.first().clone());
                    // Whatever still leads to the old one.
                    *broken_at.lock() = Some(Instant::now());
                    history.may_have_changed();
                }
                break;
            }
        });
    }
}
