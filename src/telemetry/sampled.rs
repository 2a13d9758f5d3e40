//! Log lines that anybody can cause for free: the first few of a kind are written, the others counted.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

/// So many lines of a kind are written …
const LINES: u64 = 5;
/// … in such a time.
const WITHIN: Duration = Duration::from_secs(1);

/// Lines of late, by kind.
#[derive(Debug, Default)]
pub struct Sampled {
    kinds: Mutex<BTreeMap<&'static str, Lately>>,
}

#[derive(Debug)]
struct Lately {
    since: Instant,
    lines: u64,
}

/// Whether a line is written.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    Written,
    /// The first that is not written: at that moment the others are counted up.
    CountedUpAt(Instant),
    Counted,
}

impl Sampled {
    /// Whether one more line of that kind is written. Those that are not are told of in one line, a second later at most.
    /// Within tokio's runtime.
    pub fn is_written(self: &Arc<Self>, kind: &'static str) -> bool {
        match self.line(kind, Instant::now()) {
            Line::Written => true,
            Line::Counted => false,
            Line::CountedUpAt(then) => {
                let sampled = Arc::clone(self);
                tokio::spawn(async move {
                    tokio::time::sleep_until(then.into()).await;
                    let more = sampled.count_up(kind);
                    tracing::info!(code = kind, more, "answered, not line by line");
                });
                false
            }
        }
    }

    fn line(&self, kind: &'static str, now: Instant) -> Line {
        let mut kinds = self.kinds.lock();
        let lately = kinds.entry(kind).or_insert(Lately {
            since: now,
            lines: 0,
        });
        // One with lines to tell of ends when they are told.
        if lately.lines <= LINES && now.saturating_duration_since(lately.since) >= WITHIN {
            *lately = Lately {
                since: now,
                lines: 0,
            };
        }
        lately.lines += 1;
        match lately.lines {
            ..=LINES => Line::Written,
            lines if lines == LINES + 1 => Line::CountedUpAt(lately.since + WITHIN),
            _ => Line::Counted,
        }
    }

    /// How many were not written, and begins anew.
    fn count_up(&self, kind: &'static str) -> u64 {
        let lately = self.kinds.lock().remove(kind);
        lately.map_or(0, |lately| lately.lines.saturating_sub(LINES))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_few_of_a_kind_are_written_each_second_and_none_is_lost_from_the_count() {
        let sampled = Sampled::default();
        let begin = Instant::now();
        let at = |milliseconds| begin + Duration::from_millis(milliseconds);
        for n in 0..5 {
            assert_eq!(sampled.line("not_found", at(n)), Line::Written);
        }
        assert_eq!(
            sampled.line("not_found", at(5)),
            Line::CountedUpAt(at(1000))
        );
        // Another kind has lines of its own.
        assert_eq!(sampled.line("unauthorized", at(5)), Line::Written);
        for n in 6..100 {
            assert_eq!(sampled.line("not_found", at(n)), Line::Counted);
        }
        // Late to be told of, they are still counted.
        assert_eq!(sampled.line("not_found", at(1200)), Line::Counted);
        assert_eq!(sampled.count_up("not_found"), 96);
        assert_eq!(sampled.line("not_found", at(1300)), Line::Written);
        // A kind that had its lines and no more begins anew by itself.
        for n in 1301..1305 {
            assert_eq!(sampled.line("not_found", at(n)), Line::Written);
        }
        assert_eq!(sampled.line("not_found", at(2300)), Line::Written);
    }
}
