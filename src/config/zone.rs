use std::collections::BTreeMap;

use jiff::tz::{self, TimeZone, TimeZoneDatabase, TimeZoneName};
use parking_lot::Mutex;

use super::file::closest;
use crate::order::zone::Zone;

/// The zone of that name, as the system's database has it: that is kept up to date. One that it does not have is taken from the
/// database that is compiled in.
#[must_use]
pub fn zone(name: &str) -> Option<Zone> {
    // Each for ever, and again when the system's database has it otherwise: a few kilobytes at most.
    static KNOWN: Mutex<BTreeMap<String, &'static TimeZone>> = Mutex::new(BTreeMap::new());
    let found = tz::db().get(name);
    let found = found
        .or_else(|_| TimeZoneDatabase::bundled().get(name))
        .ok()?;
    let mut known = KNOWN.lock();
    if let Some(known) = known.get(found.iana_name()?)
        && **known == found
    {
        return Some(Zone::new(known));
    }
    let name = found.iana_name()?.to_owned();
    let kept: &'static TimeZone = Box::leak(Box::new(found));
    known.insert(name, kept);
    Some(Zone::new(kept))
}

/// Of a publication that says nothing of it.
pub(super) fn usual() -> Zone {
    // The database that is compiled in has it.
    zone("Europe/Moscow").unwrap_or(Zone::UTC)
}

/// A setting's zone; `Err`: what to write instead.
pub(super) fn parse(text: &str) -> Result<Zone, String> {
    zone(text).ok_or_else(|| {
        let bundled = TimeZoneDatabase::bundled();
        let known: Vec<_> = bundled.available().collect();
        match closest(text, known.iter().map(TimeZoneName::as_str)) {
            Some(zone) => format!("no time zone is called {text:?}; did you mean {zone:?}?"),
            None => format!("no time zone is called {text:?}; write one as in \"Europe/Moscow\""),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_known_by_its_name_in_any_case_and_kept_once() {
        let moscow = zone("Europe/Moscow").expect("a zone");
        assert_eq!(zone("europe/MOSCOW"), Some(moscow));
        assert_eq!(format!("{moscow:?}"), "Europe/Moscow");
        assert_ne!(zone("Asia/Yekaterinburg"), Some(moscow));
        assert_eq!(zone("Europe/Moskow"), None);
        assert_eq!(zone("../passwd"), None);
        assert_eq!(zone(""), None);
    }
}
