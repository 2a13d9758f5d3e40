//! Time zones: how local time and UTC belong together.

use std::fmt;

use chrono::{DateTime, Datelike, FixedOffset, NaiveDateTime, Offset, TimeDelta, Timelike, Utc};
use jiff::{
    Timestamp, civil,
    tz::{self, AmbiguousOffset, TimeZone},
};

/// A zone of the IANA database. It is copied like a number: there are a few hundred, and `config::zone` keeps each.
#[derive(Clone, Copy, PartialEq)]
pub struct Zone(&'static TimeZone);

static UTC: TimeZone = TimeZone::UTC;

impl Zone {
    pub const UTC: Self = Self(&UTC);

    #[must_use]
    pub fn new(zone: &'static TimeZone) -> Self {
        Self(zone)
    }

    /// What the clocks there show at that moment.
    #[must_use]
    pub fn local(self, moment: DateTime<Utc>) -> DateTime<FixedOffset> {
        // The library's time ends a day before ours does; the offset stays what it was.
        let at = Timestamp::from_second(moment.timestamp()).unwrap_or(Timestamp::MAX);
        moment.with_timezone(&fixed(self.0.to_offset(at)))
    }

    /// When the clocks there show that. A local time that a clock change leaves out is read by the offset of before the change;
    /// one that comes twice is the first. `None` past the end of all dates.
    #[must_use]
    pub fn moment(self, local: NaiveDateTime) -> Option<DateTime<Utc>> {
        let shown = civil(local).unwrap_or(civil::DateTime::MAX);
        let offset = match self.0.to_ambiguous_timestamp(shown).offset() {
            AmbiguousOffset::Unambiguous { offset: before }
            | AmbiguousOffset::Gap { before, .. }
            | AmbiguousOffset::Fold { before, .. } => before,
        };
        let offset = TimeDelta::seconds(offset.seconds().into());
        Some(local.checked_sub_signed(offset)?.and_utc())
    }
}

/// Its name.
impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.iana_name().unwrap_or("?"))
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn fixed(offset: tz::Offset) -> FixedOffset {
    // No clock is a day off.
    FixedOffset::east_opt(offset.seconds()).unwrap_or_else(|| Utc.fix())
}

/// To the second. `None` from the year 10000 on.
fn civil(local: NaiveDateTime) -> Option<civil::DateTime> {
    let small = |number: u32| i8::try_from(number).ok();
    let made = civil::DateTime::new(
        i16::try_from(local.year()).ok()?,
        small(local.month())?,
        small(local.day())?,
        small(local.hour())?,
        small(local.minute())?,
        small(local.second())?,
        0,
    );
    made.ok()
}

/// For tests.
#[cfg(test)]
pub(crate) fn zone(name: &str) -> Zone {
    Zone(Box::leak(Box::new(TimeZone::get(name).expect(name))))
}
