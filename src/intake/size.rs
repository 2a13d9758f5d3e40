//! How large a batch is, and what batches of each size get.
//!
//! Two things grow with a batch. Its text takes memory and processor time: that is its [`Size`]. Its orders take time in the
//! database: by their number it shares a transaction with others or has one of its own ([`is_large`]).

use std::thread;

use tokio::task::{JoinError, spawn_blocking};

use crate::{
    fair_semaphore::{FairSemaphore, Permit, QueueFull},
    share::Share,
    threads::block_if,
};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// By the length of its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    Small,
    Medium,
    Large,
    Huge,
}

struct Treatment {
    size: Size,
    most_bytes: usize,
    /// How many threads read the body and write the response, if the machine has as many. Starting a thread takes longer
    /// than reading a small body.
    threads: usize,
    /// Whether they do so away from the threads that serve everybody.
    off_thread: bool,
    /// What limits how many of them are under way.
    gate: Gate,
}

/// Batches wait here with their bodies unread: while an order is read, decided and answered, it takes ten times its text.
enum Gate {
    None,
    /// [`BYTES_AT_ONCE`] of bodies
    Bytes,
    /// [`HUGE_AT_ONCE`] batches
    Huge,
}

#[rustfmt::skip]
const TREATMENTS: [Treatment; 4] = [
    Treatment { size: Size::Small, most_bytes: 64 * KIB, threads: 1, off_thread: false, gate: Gate::None },
    Treatment { size: Size::Medium, most_bytes: 256 * KIB, threads: 4, off_thread: false, gate: Gate::Bytes },
    Treatment { size: Size::Large, most_bytes: MIB, threads: 4, off_thread: true, gate: Gate::Bytes },
    Treatment { size: Size::Huge, most_bytes: usize::MAX, threads: 4, off_thread: true, gate: Gate::Huge },
];

const BYTES_AT_ONCE: usize = 8 * MIB;
/// While the database stores one, another is read or answered.
const HUGE_AT_ONCE: usize = 2;
/// Of any size. Others wait, for batches that are to be stored come first.
const DRY_RUNS_AT_ONCE: usize = 2;

/// A response of up to this many bytes is written even if no memory is left for it.
pub const SMALL_RESPONSE: usize = 64 * KIB;

/// A batch of more orders than this has a transaction of its own.
const SMALL_BATCH: usize = 100;
/// Small batches bring together at most this many orders into one transaction.
pub const ORDERS_PER_TRANSACTION: usize = 500;

pub fn is_large(orders: usize) -> bool {
    orders > SMALL_BATCH
}

impl Size {
    pub fn of(body: &str) -> Self {
        let fits = |treatment: &&Treatment| body.len() <= treatment.most_bytes;
        TREATMENTS.iter().find(fits).map_or(Self::Huge, |t| t.size)
    }

    fn treatment(self) -> &'static Treatment {
        &TREATMENTS[self as usize]
    }

    pub fn threads(self) -> usize {
        match self.treatment().threads {
            1 => 1,
            most => thread::available_parallelism().map_or(1, |cores| cores.get().min(most)),
        }
    }

    /// Does work that takes as long as the batch is large.
    pub async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, JoinError> {
        if self.treatment().off_thread {
            spawn_blocking(work).await
        } else {
            Ok(work())
        }
    }

    /// The same work where it stands.
    pub fn run_here<T>(self, work: impl FnOnce() -> T) -> T {
        block_if(self.treatment().off_thread, work)
    }
}

#[derive(Debug)]
pub struct Gates {
    bytes: FairSemaphore,
    huge: FairSemaphore,
    pub dry_runs: FairSemaphore,
}

impl Gates {
    pub fn new() -> Self {
        Self {
            bytes: FairSemaphore::new(BYTES_AT_ONCE),
            huge: FairSemaphore::new(HUGE_AT_ONCE),
            dry_runs: FairSemaphore::new(DRY_RUNS_AT_ONCE),
        }
    }

    /// Waits until a body may be read. The batch is under way as long as the permit is held.
    pub async fn pass(&self, share: &Share, body: &str) -> Result<Option<Permit>, QueueFull> {
        match Size::of(body).treatment().gate {
            Gate::None => Ok(None),
            Gate::Bytes => self.bytes.acquire(share, body.len()).await.map(Some),
            Gate::Huge => self.huge.acquire(share, 1).await.map(Some),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn each_size_has_its_line_in_the_table_and_ends_where_the_next_begins() {
        for (at, treatment) in TREATMENTS.iter().enumerate() {
            assert_eq!(treatment.size as usize, at);
        }
        assert!(TREATMENTS.is_sorted_by_key(|treatment| treatment.most_bytes));
        let size = |bytes: usize| Size::of(&" ".repeat(bytes));
        assert_eq!(size(0), Size::Small);
        assert_eq!(
            [size(64 * KIB), size(64 * KIB + 1)],
            [Size::Small, Size::Medium]
        );
        assert_eq!(
            [size(256 * KIB), size(256 * KIB + 1)],
            [Size::Medium, Size::Large]
        );
        assert_eq!([size(MIB), size(MIB + 1)], [Size::Large, Size::Huge]);
    }

    #[tokio::test]
    async fn two_huge_batches_are_under_way_at_a_time_and_small_ones_pass_them() {
        let gates = Gates::new();
        let share = Share::new("shop", Ipv4Addr::LOCALHOST.into());
        let (large, huge) = (" ".repeat(MIB), " ".repeat(MIB + 1));
        let pass = async |body| {
            gates
                .pass(&share, body)
                .await
                .expect("no limit to the queue")
        };
        let (first, second) = (pass(&huge).await, pass(&huge).await);
        assert!(first.is_some() && second.is_some());
        assert!(pass(" ").await.is_none());
        assert!(pass(&large).await.is_some());
        assert_eq!(gates.huge.total_and_free(), (HUGE_AT_ONCE, 0));
        drop(first);
        assert!(pass(&huge).await.is_some());
    }
}
