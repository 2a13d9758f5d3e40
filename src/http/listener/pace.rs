//! Writing to callers who must keep up a pace: one that reads its responses too slowly for too long is hung up on.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

const MIB: u32 = 1024 * 1024;

#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// It may keep us waiting for so long …
    pub patience: Duration,
    /// … and for so long more with each MiB that it reads, though never more than `patience` at a time.
    pub each_mib: Duration,
}

/// What is left of our patience with a caller.
struct Patience {
    pace: Pace,
    /// So much was left at `since`.
    left: Duration,
    /// Since when it keeps us waiting, or does not.
    since: Instant,
    is_waiting: bool,
}

impl Patience {
    fn new(pace: Pace, now: Instant) -> Self {
        Self {
            pace,
            left: pace.patience,
            since: now,
            is_waiting: false,
        }
    }

    fn took(&mut self, bytes: usize) {
        if self.is_waiting {
            self.took_at(bytes, Instant::now());
        } else {
            self.earn(bytes);
        }
    }

    fn took_at(&mut self, bytes: usize, now: Instant) {
        self.left = self.left.saturating_sub(now - self.since);
        self.since = now;
        self.is_waiting = false;
        self.earn(bytes);
    }

    fn earn(&mut self, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let earned = self.pace.each_mib.saturating_mul(bytes) / MIB;
        self.left = self.left.saturating_add(earned).min(self.pace.patience);
    }

    /// The caller reads nothing from now on. Returns when our patience ends.
    fn waits(&mut self, now: Instant) -> Instant {
        let left = self.left.saturating_add(now - self.since);
        self.left = left.min(self.pace.patience);
        self.since = now;
        self.is_waiting = true;
        now + self.left
    }
}

/// A stream whose other end must keep up with a [`Pace`]. Writing to one that does not is [`io::ErrorKind::TimedOut`].
///
/// Only the time counts in which there is something to write and the caller does not read it; time in which there is nothing
/// to write gives patience back.
pub struct Paced<S> {
    stream: S,
    patience: Patience,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl<S> Paced<S> {
    pub fn new(stream: S, pace: Pace) -> Self {
        Self {
            stream,
            patience: Patience::new(pace, Instant::now()),
            alarm: None,
        }
    }

    /// The caller reads nothing at the moment.
    fn waits<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if !self.patience.is_waiting {
            let end = self.patience.waits(Instant::now());
            match &mut self.alarm {
                Some(alarm) => alarm.as_mut().reset(end),
                none => *none = Some(Box::pin(sleep_until(end))),
            }
        }
        if let Some(alarm) = &mut self.alarm {
            ready!(alarm.as_mut().poll(cx));
        }
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    fn progress<T>(
        &mut self,
        cx: &mut Context<'_>,
        progress: Poll<io::Result<T>>,
        bytes: impl FnOnce(&T) -> usize,
    ) -> Poll<io::Result<T>> {
        match &progress {
            Poll::Ready(Ok(done)) => self.patience.took(bytes(done)),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => return self.waits(cx),
        }
        progress
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Paced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Paced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buffer);
        self.progress(cx, written, |bytes| *bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, buffers);
        self.progress(cx, written, |bytes| *bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.stream).poll_flush(cx);
        self.progress(cx, done, |()| 0)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.progress(cx, done, |()| 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const PACE: Pace = Pace {
        patience: Duration::from_secs(10),
        each_mib: Duration::from_secs(1024),
    };

    /// Whether a caller who takes 1 KiB each time that so much has passed gets all of a response.
    fn gets_it(each: Duration, kib: usize) -> bool {
        let mut now = Instant::now();
        let mut patience = Patience::new(PACE, now);
        (0..kib).all(|_| {
            let end = patience.waits(now);
            now += each;
            patience.took_at(1024, now);
            now < end
        })
    }

    #[test]
    fn whoever_keeps_the_pace_gets_everything_and_whoever_does_not_is_hung_up_on() {
        for keeps_up in [SECOND / 2, SECOND * 9 / 10] {
            assert!(gets_it(keeps_up, 1000), "{keeps_up:?}");
        }
        // One that falls behind gets a little more than the patience is worth.
        assert!(gets_it(2 * SECOND, 8) && !gets_it(2 * SECOND, 10));
        assert!(!gets_it(10 * SECOND, 1));
    }

    #[test]
    fn time_in_which_there_is_nothing_to_write_gives_patience_back() {
        let mut now = Instant::now();
        let mut patience = Patience::new(PACE, now);
        for _ in 0..5 {
            assert_eq!(patience.waits(now), now + PACE.patience);
            now += 8 * SECOND;
            patience.took_at(0, now);
            now += 8 * SECOND;
        }
        patience.waits(now);
        patience.took_at(0, now + 8 * SECOND);
        assert_eq!(patience.waits(now + 9 * SECOND), now + 12 * SECOND);
    }
}
