//! Work that takes the processor for long: without holding up the thread's other tasks, or spread over several threads.

use std::{ops::Range, panic::resume_unwind, thread};

use tokio::runtime::{Handle, RuntimeFlavor};

/// Work on more orders or rows than this takes so long that other tasks on the thread would feel it.
const MANY: usize = 200;

/// Does work on `rows` orders or rows. If they are many, the thread's other tasks move to another thread meanwhile.
pub(crate) fn block_if_many<T>(rows: usize, work: impl FnOnce() -> T) -> T {
    block_if(rows > MANY, work)
}

/// The same where the work is known to be long.
pub(crate) fn block_if<T>(is_long: bool, work: impl FnOnce() -> T) -> T {
    // A runtime of one thread cannot move them; nor does it serve anybody else.
    let can_move = || {
        Handle::try_current()
            .is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread)
    };
    if is_long && can_move() {
        tokio::task::block_in_place(work)
    } else {
        work()
    }
}

/// Splits the indexes below `count` into ranges and works on them in up to `threads` threads, this one included. The
/// results come back in the ranges' order, at least one.
pub(crate) fn in_parallel<R: Send>(
    count: usize,
    threads: usize,
    work: impl Fn(Range<usize>) -> R + Sync,
) -> Vec<R> {
    let share = count.div_ceil(threads.max(1)).max(1);
    let work = &work;
    thread::scope(|scope| {
        let others: Vec<_> = (share..count)
            .step_by(share)
            .map(|start| scope.spawn(move || work(start..count.min(start + share))))
            .collect();
        let mut results = vec![work(0..count.min(share))];
        for other in others {
            results.push(other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        results
    })
}

#[cfg(test)]
mod tests {
    use super::in_parallel;

    #[test]
    fn every_item_is_worked_on_once_and_in_order() {
        for count in [0, 1, 2, 7, 8] {
            for threads in [0, 1, 2, 3, 20] {
                let ranges = in_parallel(count, threads, |range| range);
                assert!(ranges.len() <= threads.max(1), "{ranges:?}");
                let items: Vec<usize> = ranges.into_iter().flatten().collect();
                assert_eq!(items, (0..count).collect::<Vec<_>>());
            }
        }
    }
}
