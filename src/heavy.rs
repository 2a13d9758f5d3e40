//! Heavy work in the middle of a task.

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
