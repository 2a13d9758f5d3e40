//! How a sender writes the faults that it wants.

use std::{
    fmt::{self, Display},
    num::NonZeroU32,
    str::FromStr,
    time::Duration,
};

/// Nobody waits longer, in seconds.
const SLOWEST: f64 = 3600.0;

/// How faults are written, for people.
pub const GRAMMAR: &str = "\
Faults are written alike in the header X-Mock-Fault of a request and in --fault, which stands
for every request without that header. Several have commas between them:

  unauthorized[=N]   401, as for a wrong password; nothing is stored
  unavailable[=N]    503 storage_unavailable with Retry-After; nothing is stored
  lost-answer[=N]    the batch is taken, and the connection cut without an answer
  reject-one[=N]     of every ten orders the first loses its `total` on the way and
                     is rejected for that (but for a cancellation, which needs none)
  slow=SECONDS[:N]   whatever is to be answered is answered so much later
  none               no fault

N: only the first N times that a batch (the same bytes) comes; without N every time. Of the
first three one strikes at a time, in this order. A batch that came through all its faults
begins anew when it comes again.";

/// What a sender wants to go wrong; no kind of fault twice.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Faults(pub(super) Vec<Fault>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Fault {
    pub kind: FaultKind,
    /// Only the first times that a batch comes.
    pub times: Option<NonZeroU32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum FaultKind {
    Unauthorized,
    Unavailable,
    LostAnswer,
    RejectOne,
    Slow(Duration),
}

/// What is wrong with faults that are not written as in [`GRAMMAR`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Misspelt {
    #[error(
        "there is no fault {0:?}: there are unauthorized, unavailable, lost-answer, reject-one, slow and none"
    )]
    Unknown(String),
    #[error("{0:?}: how often must be a whole number from 1 on")]
    Times(String),
    #[error("{0:?}: write slow=SECONDS, with at most 3600 seconds")]
    Seconds(String),
    #[error("{0} stands twice")]
    Doubled(String),
}

impl FaultKind {
    /// Whether it is the same kind, however slow.
    pub fn is_like(self, other: Self) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }
}

impl Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unauthorized => "unauthorized",
            Self::Unavailable => "unavailable",
            Self::LostAnswer => "lost-answer",
            Self::RejectOne => "reject-one",
            Self::Slow(_) => "slow",
        })
    }
}

impl FromStr for Faults {
    type Err = Misspelt;

    fn from_str(text: &str) -> Result<Self, Misspelt> {
        let mut faults: Vec<Fault> = Vec::new();
        for word in text.split(',').map(str::trim) {
            if word == "none" {
                continue;
            }
            let fault = word.parse::<Fault>()?;
            if faults.iter().any(|other| other.kind.is_like(fault.kind)) {
                return Err(Misspelt::Doubled(fault.kind.to_string()));
            }
            faults.push(fault);
        }
        Ok(Self(faults))
    }
}

impl FromStr for Fault {
    type Err = Misspelt;

    fn from_str(word: &str) -> Result<Self, Misspelt> {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
        let (kind, times) = match name {
            "unauthorized" => (FaultKind::Unauthorized, value),
            "unavailable" => (FaultKind::Unavailable, value),
            "lost-answer" => (FaultKind::LostAnswer, value),
            "reject-one" => (FaultKind::RejectOne, value),
            "slow" => {
                let value = value.unwrap_or_default();
                let (seconds, times) = match value.split_once(':') {
                    Some((seconds, times)) => (seconds, Some(times)),
                    None => (value, None),
                };
                let time = seconds
                    .parse()
                    .ok()
                    .filter(|seconds| *seconds <= SLOWEST)
                    .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
                    .ok_or_else(|| Misspelt::Seconds(word.to_owned()))?;
                (FaultKind::Slow(time), times)
            }
            _ => return Err(Misspelt::Unknown(word.to_owned())),
        };
        let times = times
            .map(|times| times.parse().map_err(|_| Misspelt::Times(word.to_owned())))
            .transpose()?;
        Ok(Self { kind, times })
    }
}
