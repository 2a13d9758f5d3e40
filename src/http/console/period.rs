//! The days of a list's filter: as they are typed, as a browser's field sends them, and those that are one click away.

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, TimeDelta, Utc};

use crate::order::zone::Zone;

/// `2026-11-26`, or `26.11.2026` where somebody typed it.
pub(super) fn read(text: &str) -> Option<NaiveDate> {
    let text = text.trim();
    let typed = || NaiveDate::parse_from_str(text, "%d.%m.%Y").ok();
    text.parse().ok().or_else(typed)
}

/// `26.11.2026`
pub(super) fn shown(day: NaiveDate) -> String {
    day.format("%d.%m.%Y").to_string()
}

/// A day that was typed, likewise; what is none as it stands.
pub(super) fn told(text: &str) -> String {
    read(text).map_or_else(|| text.to_owned(), shown)
}

/// When that day begins.
pub(super) fn begin(day: NaiveDate, zone: Zone) -> Option<DateTime<Utc>> {
    zone.moment(day.and_time(NaiveTime::MIN))
}

/// When it is over.
pub(super) fn end(day: NaiveDate, zone: Zone) -> Option<DateTime<Utc>> {
    begin(day.succ_opt()?, zone)
}

/// Today, yesterday, and the week before this one, from Monday to Sunday: the first and the last day of each.
pub(super) fn usual(today: NaiveDate) -> [(NaiveDate, NaiveDate); 3] {
    let before = |days: i64| {
        let day = today.checked_sub_signed(TimeDelta::days(days));
        day.unwrap_or(today)
    };
    let since_monday = i64::from(today.weekday().num_days_from_monday());
    [
        (today, today),
        (before(1), before(1)),
        (before(since_monday + 7), before(since_monday + 1)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        read(text).expect("a day")
    }

    #[test]
    fn a_day_is_read_as_a_browser_sends_it_and_as_it_is_typed() {
        assert_eq!(day("2026-11-26"), day(" 26.11.2026 "));
        assert_eq!(shown(day("2026-11-06")), "06.11.2026");
        for other in ["", "abc", "2026-02-31", "31.02.2026", "26.11", "11/26/2026"] {
            assert_eq!(read(other), None, "{other}");
        }
    }

    #[test]
    fn the_last_week_is_a_whole_one() {
        for today in ["2026-11-23", "2026-11-26", "2026-11-29"] {
            let [_, _, week] = usual(day(today));
            assert_eq!(week, (day("2026-11-16"), day("2026-11-22")), "{today}");
        }
        let [today, yesterday, _] = usual(day("2027-01-01"));
        assert_eq!(today.0, day("2027-01-01"));
        assert_eq!(yesterday, (day("2026-12-31"), day("2026-12-31")));
    }

    #[test]
    fn a_day_lasts_from_midnight_to_midnight_of_the_publication() {
        let zone = crate::order::zone::zone("Europe/Moscow");
        let at = |text: &str| Some(text.parse().expect("a moment"));
        let day = day("2026-11-26");
        assert_eq!(begin(day, zone), at("2026-11-25T21:00:00Z"));
        assert_eq!(end(day, zone), at("2026-11-26T21:00:00Z"));
        assert_eq!(end(NaiveDate::MAX, zone), None);
    }
}
