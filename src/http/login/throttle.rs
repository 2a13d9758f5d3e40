//! Failed logins slow down the address that they come from and the login that they are meant for.
//!
//! A credential that was right once is not checked again (see [`super::Gate`]), so failed logins do not slow down the site
//! whose password they guess at. A site that is new, as after our restart, waits for a few pauses at most: an address
//! without a failed login of its own does not queue behind those who guess at the same login.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use quick_cache::sync::Cache;

use super::user::KeyedHash;
use crate::{
    config::Logins,
    fair_semaphore::QueueFull,
    http::bounds::{FIRST_PAUSE, REMEMBERED, WAITING_ATTEMPTS},
    share::network_of,
};

/// Knows the failed logins of late.
#[derive(Debug)]
pub struct Throttle {
    settings: Logins,
    addresses: Cache<IpAddr, Arc<Mutex<Record>>>,
    /// By publication and login, whether such exist or not.
    logins: Cache<KeyedHash, Arc<Mutex<Record>>>,
}

/// Of one address or login.
#[derive(Debug, Default)]
struct Record {
    failures: u32,
    last_failure: Option<Instant>,
    /// When the next attempt may begin.
    free_at: Option<Instant>,
}

impl Throttle {
    pub fn new(settings: &Logins) -> Self {
        Self {
            settings: settings.clone(),
            addresses: Cache::new(REMEMBERED),
            logins: Cache::new(REMEMBERED),
        }
    }

    /// How long an attempt must wait before its password is checked.
    pub fn delay(
        &self,
        address: IpAddr,
        login: KeyedHash,
        now: Instant,
    ) -> Result<Duration, QueueFull> {
        let Some(address) = self.addresses.get(&network_of(address)) else {
            return Ok(Duration::ZERO);
        };
        if address.lock().fresh(&self.settings, now).failures == 0 {
            return Ok(Duration::ZERO);
        }
        let mut delay = address.lock().delay(&self.settings, now)?;
        if let Some(login) = self.logins.get(&login) {
            delay = delay.max(login.lock().delay(&self.settings, now)?);
        }
        Ok(delay)
    }

    /// The attempt's password was wrong.
    pub fn failed(&self, address: IpAddr, login: KeyedHash, now: Instant) {
        let records = [
            remembered(&self.addresses, &network_of(address)),
            remembered(&self.logins, &login),
        ];
        for record in records {
            let mut record = record.lock();
            record.fresh(&self.settings, now);
            record.failures = record.failures.saturating_add(1);
            record.last_failure = Some(now);
        }
    }
}

fn remembered<K: Eq + std::hash::Hash + Clone>(
    cache: &Cache<K, Arc<Mutex<Record>>>,
    key: &K,
) -> Arc<Mutex<Record>> {
    let made = cache.get_or_insert_with(key, || Ok::<_, std::convert::Infallible>(Arc::default()));
    match made {
        Ok(record) => record,
        Err(never) => match never {},
    }
}

impl Record {
    /// Forgets failures of long ago.
    fn fresh(&mut self, settings: &Logins, now: Instant) -> &mut Self {
        if self
            .last_failure
            .is_some_and(|last| now.saturating_duration_since(last) >= settings.forget)
        {
            *self = Self::default();
        }
        self
    }

    fn pause(&self, settings: &Logins) -> Duration {
        match self.failures.checked_sub(settings.free_failures) {
            None => Duration::ZERO,
            Some(more) => FIRST_PAUSE
                .saturating_mul(1 << more.min(20))
                .min(settings.longest_pause),
        }
    }

    fn delay(&mut self, settings: &Logins, now: Instant) -> Result<Duration, QueueFull> {
        let pause = self.fresh(settings, now).pause(settings);
        let begin = self.free_at.map_or(now, |at| at.max(now));
        let wait = begin - now;
        if wait > pause * WAITING_ATTEMPTS {
            return Err(QueueFull);
        }
        self.free_at = Some(begin + pause);
        Ok(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUESSER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const SITE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 7));

    fn throttle() -> Throttle {
        Throttle::new(&Logins {
            free_failures: 3,
            longest_pause: Duration::from_secs(4),
            forget: Duration::from_mins(10),
        })
    }

    /// Failed logins one after the other, and when they are through.
    fn guess(throttle: &Throttle, from: IpAddr, login: u8, begin: Instant, times: u32) -> Instant {
        let mut now = begin;
        for _ in 0..times {
            now += delay(throttle, from, login, now).expect("a delay");
            throttle.failed(from, [login; 32], now);
        }
        now
    }

    fn delay(
        throttle: &Throttle,
        from: IpAddr,
        login: u8,
        now: Instant,
    ) -> Result<Duration, QueueFull> {
        throttle.delay(from, [login; 32], now)
    }

    #[test]
    fn the_pause_doubles_with_each_wrong_password_after_the_first_few() {
        let throttle = throttle();
        let begin = Instant::now();
        let mut now = guess(&throttle, GUESSER, 1, begin, 3);
        assert_eq!(now, begin);
        let mut pauses = Vec::new();
        for _ in 0..8 {
            let wait = delay(&throttle, GUESSER, 1, now).expect("a delay");
            pauses.push(wait.as_millis());
            now += wait;
            throttle.failed(GUESSER, [1; 32], now);
        }
        assert_eq!(pauses, [0, 250, 500, 1000, 2000, 4000, 4000, 4000]);
    }

    #[test]
    fn attempts_at_once_wait_one_behind_the_other_and_only_a_few_of_them() {
        let throttle = throttle();
        let now = guess(&throttle, GUESSER, 1, Instant::now(), 20);
        let mut attempts = 0;
        while let Ok(wait) = delay(&throttle, GUESSER, 1, now) {
            attempts += 1;
            assert!(wait <= Duration::from_secs(16), "{wait:?}");
        }
        assert_eq!(attempts, WAITING_ATTEMPTS);
    }

    #[test]
    fn another_login_does_not_help_the_address() {
        let throttle = throttle();
        let mut now = Instant::now();
        for login in 0..20 {
            now = guess(&throttle, GUESSER, login, now, 1);
        }
        assert!(delay(&throttle, GUESSER, 99, now).expect("a delay") > Duration::ZERO);
    }

    #[test]
    fn another_address_helps_for_one_attempt() {
        let throttle = throttle();
        let now = guess(&throttle, GUESSER, 1, Instant::now(), 20);
        // The login's next attempt is taken, so an address that has failed before waits for the one after.
        delay(&throttle, GUESSER, 1, now).expect("a delay");
        let other = IpAddr::from([192, 0, 2, 2]);
        assert_eq!(delay(&throttle, other, 1, now), Ok(Duration::ZERO));
        throttle.failed(other, [1; 32], now);
        assert!(delay(&throttle, other, 1, now).expect("a delay") > Duration::ZERO);
    }

    #[test]
    fn the_honest_site_is_not_slowed_by_those_who_guess_at_its_login() {
        let throttle = throttle();
        let now = guess(&throttle, GUESSER, 1, Instant::now(), 50);
        while delay(&throttle, GUESSER, 1, now).is_ok() {}
        assert_eq!(delay(&throttle, SITE, 1, now), Ok(Duration::ZERO));
    }

    #[test]
    fn all_is_forgotten_after_a_while() {
        let throttle = throttle();
        let now = guess(&throttle, GUESSER, 1, Instant::now(), 20) + Duration::from_mins(10);
        assert_eq!(delay(&throttle, GUESSER, 1, now), Ok(Duration::ZERO));
        assert_eq!(guess(&throttle, GUESSER, 1, now, 3), now);
    }
}
