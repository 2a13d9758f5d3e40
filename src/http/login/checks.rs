//! The queue of password checks.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use parking_lot::Mutex;
use quick_cache::sync::Cache;
use tokio::sync::OnceCell;

use super::user::{KeyedHash, User};
use crate::{
    fair_semaphore::{FairSemaphore, QueueFull},
    http::bounds::REMEMBERED,
    share::{Share, network_of},
};

/// Checks a few passwords at a time.
pub struct Checks {
    /// Networks take turns; those from which somebody was let in have every other one.
    pub(super) queue: FairSemaphore,
    /// Networks from which somebody was let in, in this process.
    known_networks: Cache<IpAddr, ()>,
    /// The same credential that comes again meanwhile waits for the same check.
    pub(super) running: Mutex<Running>,
}

/// By the credential and the user that it is checked against: where the settings are read again meanwhile, the same login is
/// another user, perhaps with another password.
type Running = HashMap<(KeyedHash, usize), Arc<OnceCell<bool>>>;

impl Checks {
    pub fn new(most: usize, most_waiting: [usize; 3]) -> Self {
        Self {
            queue: FairSemaphore::with_most_waiting(most, most_waiting),
            known_networks: Cache::new(REMEMBERED),
            running: Mutex::default(),
        }
    }

    pub async fn check(
        &self,
        credential: KeyedHash,
        user: &Arc<User>,
        password: &str,
        peer: IpAddr,
    ) -> Result<bool, QueueFull> {
        let shared = SharedCheck::join(self, (credential, Arc::as_ptr(user).addr()));
        let is_right = *shared
            .result
            .get_or_try_init(|| self.run(user, password, peer))
            .await?;
        if is_right {
            self.known_networks.insert(network_of(peer), ());
        }
        Ok(is_right)
    }

    async fn run(&self, user: &Arc<User>, password: &str, peer: IpAddr) -> Result<bool, QueueFull> {
        // Nothing but the network decides: a publication or a login that does not exist waits as long as one that does.
        let is_known = self.known_networks.get(&network_of(peer)).is_some();
        let share = Share::new(if is_known { "known" } else { "new" }, peer);
        let permit = self.queue.acquire(&share, 1).await?;
        let (user, password) = (Arc::clone(user), password.to_owned());
        let checked = tokio::task::spawn_blocking(move || {
            // Held by the work itself: a caller that hangs up makes room for nobody while its password is being checked.
            let _permit = permit;
            user.password.matches(password.as_bytes())
        });
        Ok(checked.await.unwrap_or(false))
    }
}

/// Takes part in a running check. The last to leave, also by hanging up, removes it.
struct SharedCheck<'c> {
    checks: &'c Checks,
    key: (KeyedHash, usize),
    result: Arc<OnceCell<bool>>,
}

impl<'c> SharedCheck<'c> {
    fn join(checks: &'c Checks, key: (KeyedHash, usize)) -> Self {
        Self {
            result: Arc::clone(checks.running.lock().entry(key).or_default()),
            checks,
            key,
        }
    }
}

impl Drop for SharedCheck<'_> {
    fn drop(&mut self) {
        let mut running = self.checks.running.lock();
        // Let go of under the lock, so that of two who leave at once the second sees that it is the last.
        self.result = Arc::default();
        if let Some(result) = running.get(&self.key)
            && Arc::strong_count(result) == 1
        {
            running.remove(&self.key);
        }
    }
}
