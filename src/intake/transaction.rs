//! A transaction: attempts, until one succeeds or there is no use in another.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use uuid::Uuid;

use super::{
    Inner,
    attempt::{Failure, Options, Progress, Setback, Transaction},
    job::{Answer, Job},
};
use crate::telemetry::metrics::Retry;

/// How often somebody else may be faster before we give up. Each time somebody's batch was stored, so a crowd of instances
/// on the same records makes progress; the deadline ends it in any case.
const ATTEMPTS: u32 = 50;
/// The longest pause before the next attempt.
const LONGEST_PAUSE: Duration = Duration::from_millis(64);
/// How many broken connections are replaced by another one. Old ones may all be broken; new ones are fresh.
const FRESH_CONNECTIONS: u32 = 2;

/// Stores batches of one publication, all of them or none.
pub async fn transact(
    inner: &Inner,
    jobs: &[Arc<Job>],
    options: &Options<'_>,
) -> Result<Vec<Answer>, Failure> {
    let none = HashSet::new();
    let mut transaction = Transaction::new(inner, jobs, options, &none);
    let mut fresh_connections = FRESH_CONNECTIONS;
    for number in 0..ATTEMPTS {
        if number > 0 {
            tokio::time::sleep(pause(number)).await;
        }
        if Instant::now() >= transaction.store_until {
            return Err(Failure::Late);
        }
        if let Some(on_progress) = options.on_progress
            && number > 0
        {
            on_progress(Progress::Again(number));
        }
        let retry = match transaction.attempt(number).await {
            Ok(answers) => return Ok(answers),
            Err(Setback::Failed(failure)) => return Err(failure),
            Err(Setback::Again(retry)) => retry,
            Err(Setback::Broken) if fresh_connections == 0 => return Err(Failure::Unavailable),
            Err(Setback::Broken) => {
                fresh_connections -= 1;
                Retry::Connection
            }
        };
        inner.metrics.retried(retry);
        if let Retry::NumberTaken = retry {
            let publication = &jobs[0].publication.name;
            let sorted_out = inner.store.discard_taken(&inner.numbers, publication).await;
            if let Err(error) = sorted_out {
                tracing::warn!(error = %error.in_full(), "the reserve could not be sorted out");
                return Err(Failure::Unavailable);
            }
        }
    }
    tracing::warn!(attempts = ATTEMPTS, "others were faster every time");
    Err(Failure::Unavailable)
}

/// Those who were faster are done by now, or soon. Chance keeps two from meeting again and again, the more of it the longer a
/// crowd lasts. It is as random as a UUID.
fn pause(attempt: u32) -> Duration {
    let longest = Duration::from_millis(1 << attempt.min(6)).min(LONGEST_PAUSE);
    let chance = u32::try_from(Uuid::new_v4().as_u128() & 0xffff).unwrap_or(0);
    longest * chance / 0xffff
}
