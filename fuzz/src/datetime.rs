//! Moments: what is printed is read as what was printed, and chrono reads RFC 3339 as we do (contract §3).

use aqua_orders::{
    config,
    order::{
        datetime::{is_empty_date, parse, print},
        zone::Zone,
    },
};
use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, TimeDelta, Timelike, Utc};

/// With and without summer time, east and west, one that left out a whole day, one that moved by half an hour, and one
/// whose first offset had seconds.
const ZONES: [&str; 8] = [
    "Europe/Moscow",
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kathmandu",
    "Pacific/Apia",
    "Australia/Lord_Howe",
    "Africa/Monrovia",
];

/// One of them.
pub fn zone(number: u8) -> Zone {
    let name = ZONES[usize::from(number) % ZONES.len()];
    config::zone(name).expect("a zone")
}

/// The first byte chooses a zone, the rest is a text.
pub fn check(input: &[u8]) {
    let Some((zone, text)) = input.split_first() else {
        return;
    };
    let zone = self::zone(*zone);
    let text = String::from_utf8_lossy(text);
    let read = parse(&text, zone).ok();
    if is_empty_date(&text) {
        let beginnings = ["0001-01-01", "0000-00-00", "01.01.0001", "1.1.0001"];
        assert!(beginnings.iter().any(|empty| text.contains(empty)));
    }
    if is_chronos(&text) {
        let expected = rfc_3339(&text).map(|moment| bounded(&text, moment, zone));
        let expected = expected.filter(|moment| is_printable(*moment, zone));
        assert_eq!(read, expected, "{text:?}");
    } else {
        local(&text, zone, read);
    }
    if let Some(moment) = read {
        prints(moment, zone);
    }
}

/// A moment leaves with its seconds, and comes in again as what left.
pub fn prints(moment: DateTime<Utc>, zone: Zone) {
    assert!(is_printable(moment, zone), "{moment} cannot be printed");
    assert_eq!(
        moment.nanosecond() % 1_000,
        0,
        "PostgreSQL keeps microseconds"
    );
    let out = print(moment, zone);
    let expected = zone.local(moment).format("%Y-%m-%d %H:%M:%S");
    assert_eq!(out, expected.to_string());
    let again = parse(&out, zone).unwrap_or_else(|_| panic!("{out} does not come in again"));
    assert_eq!(print(again, zone), out);
    // Of an hour that comes twice it is the first, else the same.
    assert!(
        again <= moment && moment - again < TimeDelta::hours(25),
        "{out}: {again} of {moment}"
    );
}

fn is_printable(moment: DateTime<Utc>, zone: Zone) -> bool {
    [moment.year(), zone.local(moment).year()]
        .iter()
        .all(|year| (1..=9999).contains(year))
}

/// "For ever" is the end of the last year, in UTC or in the zone, whichever comes first.
fn bounded(text: &str, moment: DateTime<Utc>, zone: Zone) -> DateTime<Utc> {
    let years = [moment.year(), zone.local(moment).year()];
    if !text.starts_with("9999") || !years.contains(&10_000) {
        return moment;
    }
    let last = NaiveDate::from_ymd_opt(9999, 12, 31).and_then(|day| day.and_hms_opt(23, 59, 59));
    let last = last.expect("a moment");
    let there = shown(last, zone).expect("no clock changes then");
    there.min(last.and_utc())
}

/// Whether chrono may say what a text means: it has a zone as RFC 3339 has it and seconds, is no leap second, which chrono
/// keeps and we move on, and not 24:00, which only we know.
fn is_chronos(text: &str) -> bool {
    let (Some(moment), Some(behind)) = (text.get(..19), text.get(19..)) else {
        return false;
    };
    let zone = behind.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    text.is_ascii()
        && is_plain(moment)
        && !moment.ends_with(":60")
        && &moment[11..13] != "24"
        && (zone.starts_with(['Z', 'z']) || zone.get(3..4) == Some(":"))
        && text.trim() == text
}

/// Whether it has the form `2019-11-06 11:00:00`, whatever its digits are.
fn is_plain(text: &str) -> bool {
    let form = |b: u8| {
        if b.is_ascii_digit() {
            '0'
        } else {
            char::from(b)
        }
    };
    let form: String = text.bytes().map(form).collect();
    matches!(
        &*form,
        "0000-00-00 00:00:00" | "0000-00-00T00:00:00" | "0000-00-00t00:00:00"
    )
}

/// What chrono makes of it, to the microsecond.
fn rfc_3339(text: &str) -> Option<DateTime<Utc>> {
    let moment = DateTime::parse_from_rfc3339(text).ok()?.to_utc();
    moment.with_nanosecond(moment.nanosecond() / 1_000 * 1_000)
}

/// A text of the plain form is a moment of its zone, whatever the clocks did. Unit tests hold the other forms.
fn local(text: &str, zone: Zone, read: Option<DateTime<Utc>>) {
    if !is_plain(text) || &text[11..13] == "24" {
        return;
    }
    let expected =
        NaiveDateTime::parse_from_str(&text.replace(['T', 't'], " "), "%Y-%m-%d %H:%M:%S").ok();
    // A second 60 is the second after it, wherever it stands.
    let expected = expected.filter(|_| !text.ends_with(":60"));
    let Some(expected) = expected else {
        assert!(
            read.is_none() || text.ends_with(":60"),
            "{text:?} was read as {read:?}"
        );
        return;
    };
    match (shown(expected, zone), read) {
        (Some(expected), Some(read)) => {
            let expected = bounded(text, expected, zone);
            assert_eq!(read, expected, "{text:?} in {zone:?}");
        }
        (Some(expected), None) => assert!(
            !is_printable(expected, zone),
            "{text:?} was refused in {zone:?}"
        ),
        // The clock left it out: it shows a later time then.
        (None, Some(read)) => assert!(zone.local(read).naive_local() > expected, "{text:?}"),
        (None, None) => panic!("{text:?} was left out by the clock of {zone:?}, and refused"),
    }
}

/// When the clocks there show that for the first time: whatever offset holds within a day of it is tried.
fn shown(local: NaiveDateTime, zone: Zone) -> Option<DateTime<Utc>> {
    let around = (-27..=27).map(|hours| local.and_utc() + TimeDelta::hours(hours));
    let moments = around.filter_map(|moment| {
        let offset = TimeDelta::seconds(zone.local(moment).offset().local_minus_utc().into());
        let moment = local.checked_sub_signed(offset)?.and_utc();
        (zone.local(moment).naive_local() == local).then_some(moment)
    });
    moments.min()
}
