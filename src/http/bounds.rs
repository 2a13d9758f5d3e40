//! What callers can take up, where no setting says so (docs/ARCHITECTURE.md has a table of all gates).

use std::time::Duration;

// Connections

/// Connections over the limit that are told so at the same time, in all, of a wide network and of a network; more are hung
/// up on.
pub const OVERLOADED_AT_ONCE: [usize; 3] = [64, 32, 16];
/// Connections to the operator's listener at the same time: an operator and a few machines use it.
pub const OPERATOR_CONNECTIONS: usize = 64;
/// How long a connection that must end may take to do so: one over the limit, from its headers to its response; one that
/// makes room for another, to get the rest of its response; one whose request was refused, to send the rest of it; one without
/// a request so far when the service stops, to send its first.
pub const LAST_WORDS: Duration = Duration::from_secs(2);
/// How much is read of a refused body so that the connection can serve the next request.
pub const DRAINED_BYTES: u64 = 1024 * 1024;
/// How much a caller whose request was not read to its end may go on sending before we hang up.
pub const LINGER_BYTES: u64 = 64 * 1024 * 1024;
/// The most that a request's line and headers may take, and what is read of a body at a time.
pub const READ_BUFFER: usize = 64 * 1024;

// Logins

/// Passwords checked at the same time, on a machine of any size: failed logins must not take the processor from those who
/// were let in.
pub const PASSWORD_CHECKS: usize = 2;
/// How many more may wait for that: in all, of a wide network and of a network.
pub const WAITING_CHECKS: [usize; 3] = [512, 128, 16];
/// How many attempts of an address, or at a login, may wait for the pause after a failed one.
pub const WAITING_ATTEMPTS: u32 = 4;
/// The pause after the first failed login that is not free; it doubles from here.
pub const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// How many networks that were let in are remembered, and of failed logins how many addresses and how many logins; those
/// that were not seen for longest are forgotten.
pub const REMEMBERED: usize = 10_000;

// Bodies

/// Up to here a body is split where it arrived; parsing more would hold up everybody else on the thread.
pub const SMALL_BODY: usize = 256 * 1024;
/// So many large or compressed bodies are unpacked and split at a time: each may take several times its reservation
/// meanwhile.
pub const UNPACKED_AT_ONCE: usize = 2;
/// How much longer than its content a compressed body may be: what incompressible data costs with any compression.
pub const COMPRESSION_OVERHEAD: usize = 64 * 1024;
/// zstd's largest window, as a power of two, that RFC 9659 grants HTTP: 8 MiB. The library's own bound is 128 MiB.
pub const ZSTD_WINDOW_LOG: u32 = 23;
