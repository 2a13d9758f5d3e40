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
    Connection, PgConnection, PgPool, Postgres, pool::PoolConnection, postgres::PgPoolOptions,
};
use tokio::{
    sync::{Mutex as AsyncMutex, OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};

use super::Error;
use crate::database::{Servers, place};

/// How long a free connection is waited for.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);
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
}

/// Whether the connections lead to what they led to before. A server that took over may lack the other's last commits, and
/// one that was put back to an earlier state has others under the same versions.
#[derive(Debug, Default)]
struct History {
    changes: AtomicU64,
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
}

impl Taken {
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

impl Connections {
    /// Up to `most` at a time, which the pool must be able to give. It connects lazily.
    pub(super) fn new(pool: PgPoolOptions, servers: Servers, most: usize) -> Self {
        let broken_at = Arc::new(Mutex::new(None::<Instant>));
        let seen_broken_at = Arc::clone(&broken_at);
        let history = Arc::new(History::default());
        let (seen_history, others_broken_at) = (Arc::clone(&history), Arc::clone(&broken_at));
        let pool = pool
            .after_connect(move |connection, _| {
                let (history, broken_at) =
                    (Arc::clone(&seen_history), Arc::clone(&others_broken_at));
                Box::pin(async move {
                    let life =
                        sqlx::query_scalar!(r#"SELECT pg_postmaster_start_time() AS "life!""#);
                    if history.is_new(life.fetch_one(connection).await?) {
                        // Whatever still leads to the one before.
                        *broken_at.lock() = Some(Instant::now());
                    }
                    Ok(())
                })
            })
            // A ping before each use would double the round trips; a dead connection shows itself, and then the others
            // of its age make way for new ones.
            .test_before_acquire(false)
            .before_acquire(move |_, connection| {
                let is_younger = seen_broken_at
                    .lock()
                    .is_none_or(|at| connection.age < at.elapsed());
                Box::pin(async move { Ok(is_younger) })
            })
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .connect_lazy_with(servers.first().clone());
        Self {
            pool,
            idle: Mutex::default(),
            permits: Arc::new(Semaphore::new(most)),
            most,
            broken_at,
            history,
            are_many: servers.are_many(),
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

    /// Takes one, and makes it where none is idle.
    pub(super) async fn take(&self) -> Result<Taken, Error> {
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
                });
            }
        }
        let since = Instant::now();
        let connection = self.pool.acquire().await.map_err(|error| {
            self.look_for_primary();
            Error::Unavailable(error)
        })?;
        Ok(Taken {
            connection,
            since,
            permit,
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
    pub(super) fn give_back(&self, taken: Taken) {
        let Taken {
            mut connection,
            since,
            permit,
        } = taken;
        // A large batch leaves large ones behind.
        connection.shrink_buffers();
        if self.permits.is_closed() {
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
    pub(super) fn broke(&self, taken: Taken) {
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
