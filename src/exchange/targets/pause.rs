//! How long a target that fails is left alone.

use std::time::Duration;

/// After the first failure; it doubles with each.
const FIRST: Duration = Duration::from_secs(1);
/// The longest, and what a target gets that refuses us.
pub(super) const LONGEST: Duration = Duration::from_mins(5);

/// The pause after so many failures in a row, this one included. `jitter` is from 0 to 1: targets that failed together, on one
/// machine, need not come back together.
pub(super) fn after(failures: i32, retry_after: Option<Duration>, jitter: f64) -> Duration {
    let doublings = u32::try_from(failures - 1).unwrap_or_default().min(16);
    let pause = (FIRST * 2_u32.pow(doublings)).min(LONGEST);
    jittered(pause.max(retry_after.unwrap_or_default()), jitter)
}

/// Up to a fifth longer, never shorter.
pub(super) fn jittered(pause: Duration, jitter: f64) -> Duration {
    pause + pause.mul_f64(jitter.clamp(0.0, 1.0) / 5.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_from_a_second_to_five_minutes_and_heed_retry_after() {
        let milliseconds = |failures, retry_after: Option<u64>, jitter| {
            after(failures, retry_after.map(Duration::from_secs), jitter).as_millis()
        };
        let without = [1, 2, 3, 4, 9, 10, 1000, i32::MAX].map(|n| milliseconds(n, None, 0.0));
        assert_eq!(
            without,
            [
                1_000, 2_000, 4_000, 8_000, 256_000, 300_000, 300_000, 300_000
            ]
        );
        assert_eq!(milliseconds(1, None, 1.0), 1_200);
        assert_eq!(milliseconds(1, Some(120), 0.0), 120_000);
        assert_eq!(milliseconds(10, Some(120), 0.0), 300_000);
    }
}
