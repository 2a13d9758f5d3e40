//! Heavy work: in the middle of a task, or shared among threads.

use std::{panic::resume_unwind, thread};

use tokio::runtime::{Handle, RuntimeFlavor};

/// Work on more orders or rows than this takes so long that others on the thread would feel it.
const MANY: usize = 200;

/// Does work on so many orders or rows; where they are many, the other tasks of this thread go on elsewhere meanwhile.
pub(crate) fn in_place<T>(rows: usize, work: impl FnOnce() -> T) -> T {
    // A runtime of one thread has nowhere else; nor does it serve anybody else.
    let elsewhere = || {
        Handle::try_current()
            .is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread)
    };
    if rows > MANY && elsewhere() {
        tokio::task::block_in_place(work)
    } else {
        work()
    }
}

/// Shares work on `items` among so many threads, this one included. `work` gets a part's place and its items; what it made
/// of each part comes back in their order, one at least.
pub(crate) fn shared<T: Sync, R: Send>(
    items: &[T],
    threads: usize,
    work: impl Fn(usize, &[T]) -> R + Sync,
) -> Vec<R> {
    let share = items.len().div_ceil(threads.max(1)).max(1);
    let (first, others) = items.split_at(share.min(items.len()));
    let work = &work;
    thread::scope(|scope| {
        let others: Vec<_> = others
            .chunks(share)
            .enumerate()
            .map(|(place, part)| scope.spawn(move || work(place + 1, part)))
            .collect();
        let mut done = vec![work(0, first)];
        for other in others {
            done.push(other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        done
    })
}

#[cfg(test)]
mod tests {
    use super::shared;

    #[test]
    fn every_item_is_worked_on_once_and_in_order() {
        for count in [0, 1, 2, 7, 8] {
            let items: Vec<usize> = (0..count).collect();
            for threads in [0, 1, 2, 3, 20] {
                let parts = shared(&items, threads, |place, part| (place, part.to_vec()));
                assert!(parts.len() <= threads.max(1), "{parts:?}");
                let (places, parts): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
                assert_eq!(places, (0..places.len()).collect::<Vec<_>>());
                assert_eq!(parts.concat(), items);
            }
        }
    }
}
