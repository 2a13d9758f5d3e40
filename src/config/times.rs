use std::time::Duration;

use super::file::Section;

/// `[times]`: how long things may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Times {
    /// From the whole body read to the response; past it the response is 503.
    pub answer: Duration,
    /// For a caller to send its request line and headers.
    pub headers: Duration,
    pub body: Duration,
    /// How long a caller may keep us waiting with the rest of a response; then we hang up.
    pub write: Duration,
    /// How much longer it may with each MiB of the response that it takes.
    pub write_mib: Duration,
    /// How long a stop waits for accepted requests.
    pub stop: Duration,
}

impl Times {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let times = Self {
            answer: section.seconds("answer"),
            headers: section.seconds("headers"),
            body: section.seconds("body"),
            write: section.seconds("write"),
            write_mib: section.seconds("write_mib"),
            stop: section.seconds("stop"),
        };
        section.finish(&[]);
        times
    }
}
