//! Moments: with a zone or in the publication's own time in, the publication's local time out (contract §3).

use std::fmt::Write as _;

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, SecondsFormat, TimeDelta, Timelike, Utc};

use super::{
    invisible::{is_blank, is_invisible},
    zone::Zone,
};

/// Why a text is no moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invalid {
    /// It has no form that we read.
    Form,
    /// It has one, but no calendar or clock shows it in the years 1 to 9999: 31 February, 25:00.
    NoSuchMoment,
}

/// Reads RFC 3339 with a zone (also as `+0300`, `+03` or `UTC`), or `YYYY-MM-DD[T ]HH:MM[:SS]` or `DD.MM.YYYY[ HH:MM[:SS]]` in
/// the publication's time. Without a time it is midnight; `24:00` is the next one.
///
/// The result has microseconds at most, as PostgreSQL keeps them. A local time that a clock change leaves out is read
/// as PHP does, one hour later; one that comes twice is the first. A leap second is the second after it.
///
/// # Errors
/// [`Invalid`]
pub fn parse(text: &str, timezone: Zone) -> Result<DateTime<Utc>, Invalid> {
    let written = if text.is_ascii() {
        Written::of(text)
    } else {
        // Copied from a page or a message: blanks of other widths, and marks that nobody sees.
        let visible = text.chars().filter(|c| !is_invisible(*c));
        let plain = |c: char| if c.is_whitespace() { ' ' } else { c };
        Written::of(&visible.map(plain).collect::<String>())
    };
    let written = written.ok_or(Invalid::Form)?;
    written.moment(timezone).ok_or(Invalid::NoSuchMoment)
}

/// The numbers of a moment as they are written, whether or not there is such a moment.
struct Written {
    year: u32,
    month: u32,
    day: u32,
    time: Time,
    zone: Option<Offset>,
}

#[derive(Default)]
struct Time {
    hour: u32,
    minute: u32,
    second: u32,
    micros: u32,
}

struct Offset {
    is_west: bool,
    hours: u32,
    minutes: u32,
}

impl Written {
    fn of(text: &str) -> Option<Self> {
        let mut rest = text.trim().as_bytes();
        let rest = &mut rest;
        let is_dotted = rest.iter().take(3).any(|b| *b == b'.');
        let [year, month, day] = if is_dotted {
            dotted_date(rest)?
        } else {
            iso_date(rest)?
        };
        let mut written = Self {
            year,
            month,
            day,
            time: Time::default(),
            zone: None,
        };
        if rest.is_empty() {
            // 1C shows a day alone so; an ISO date must have its time (contract §3).
            return is_dotted.then_some(written);
        }
        // JavaScript's ru-RU writes `06.11.2019, 11:00:00`.
        let has_mark = one_of(rest, if is_dotted { b"," } else { b"Tt" }).is_some();
        (blanks(rest) || has_mark).then_some(())?;
        written.time = time(rest)?;
        blanks(rest);
        if !is_dotted && !rest.is_empty() {
            written.zone = Some(offset(rest)?);
        }
        rest.is_empty().then_some(written)
    }

    fn moment(&self, timezone: Zone) -> Option<DateTime<Utc>> {
        let year = i32::try_from(self.year).ok()?;
        let date = NaiveDate::from_ymd_opt(year, self.month, self.day)?;
        let local = date
            .and_time(NaiveTime::MIN)
            .checked_add_signed(self.time.since_midnight()?)?;
        let moment = match &self.zone {
            None => timezone.moment(local)?,
            Some(offset) => local.checked_sub_signed(offset.delta()?)?.and_utc(),
        };
        // Both ends must print with four digits of a year, in UTC (the database) and in local time (the answer).
        let years = [moment.year(), timezone.local(moment).year()];
        if years.iter().all(|year| (1..=9999).contains(year)) {
            return Some(moment);
        }
        // "For ever" is the end of the last year somewhere, and must not be past it elsewhere.
        let last = NaiveDate::from_ymd_opt(9999, 12, 31)?.and_hms_opt(23, 59, 59)?;
        let is_past = self.year == 9999 && years.contains(&10_000);
        is_past.then_some(last.and_utc().min(timezone.moment(last)?))
    }
}

impl Time {
    fn since_midnight(&self) -> Option<TimeDelta> {
        let Self {
            hour,
            minute,
            second,
            micros,
        } = *self;
        let is_midnight = hour == 24 && (minute, second, micros) == (0, 0, 0);
        if minute > 59 || second > 60 || (hour > 23 && !is_midnight) {
            return None;
        }
        let seconds = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
        Some(TimeDelta::seconds(seconds) + TimeDelta::microseconds(i64::from(micros)))
    }
}

impl Offset {
    const UTC: Self = Self {
        is_west: false,
        hours: 0,
        minutes: 0,
    };

    fn delta(&self) -> Option<TimeDelta> {
        if self.hours > 23 || self.minutes > 59 {
            return None;
        }
        let offset = TimeDelta::minutes(i64::from(self.hours * 60 + self.minutes));
        Some(if self.is_west { -offset } else { offset })
    }
}

/// Cuts `N` digits off the front.
fn digits(text: &mut &[u8], n: usize) -> Option<u32> {
    let (head, tail) = text.split_at_checked(n)?;
    *text = tail;
    head.iter().try_fold(0, |value, b| {
        b.is_ascii_digit().then(|| value * 10 + u32::from(b - b'0'))
    })
}

/// Cuts one digit or two off the front.
fn short(text: &mut &[u8]) -> Option<u32> {
    let is_two = text.get(1).is_some_and(u8::is_ascii_digit);
    digits(text, if is_two { 2 } else { 1 })
}

/// Cuts one of these bytes off the front.
fn one_of(text: &mut &[u8], bytes: &[u8]) -> Option<u8> {
    let (first, tail) = text.split_first()?;
    bytes.contains(first).then(|| {
        *text = tail;
        *first
    })
}

/// Cuts the blanks off the front, and says whether there were any.
fn blanks(text: &mut &[u8]) -> bool {
    let all = *text;
    *text = all.trim_ascii_start();
    text.len() < all.len()
}

/// Cuts `YYYY-MM-DD` off the front.
fn iso_date(rest: &mut &[u8]) -> Option<[u32; 3]> {
    let year = digits(rest, 4)?;
    one_of(rest, b"-")?;
    let month = digits(rest, 2)?;
    one_of(rest, b"-")?;
    Some([year, month, digits(rest, 2)?])
}

/// Cuts `DD.MM.YYYY` off the front.
fn dotted_date(rest: &mut &[u8]) -> Option<[u32; 3]> {
    let day = short(rest)?;
    one_of(rest, b".")?;
    let month = short(rest)?;
    one_of(rest, b".")?;
    Some([digits(rest, 4)?, month, day])
}

/// Cuts `HH:MM[:SS[.fraction]]` off the front.
fn time(rest: &mut &[u8]) -> Option<Time> {
    let hour = short(rest)?;
    one_of(rest, b":")?;
    let minute = digits(rest, 2)?;
    let mut second = 0;
    let mut micros = 0;
    if one_of(rest, b":").is_some() {
        second = digits(rest, 2)?;
        if one_of(rest, b".").is_some() {
            let mut unit = 100_000;
            let mut any = false;
            while let Some(b) = one_of(rest, b"0123456789") {
                micros += u32::from(b - b'0') * unit;
                unit /= 10;
                any = true;
            }
            any.then_some(())?;
        }
    }
    Some(Time {
        hour,
        minute,
        second,
        micros,
    })
}

/// Cuts a zone off the front: `Z`, `UTC`, `+03:00`, `+0300` or `+03`.
fn offset(rest: &mut &[u8]) -> Option<Offset> {
    if rest.eq_ignore_ascii_case(b"UTC") {
        *rest = &[];
        return Some(Offset::UTC);
    }
    let sign = one_of(rest, b"Zz+-")?;
    if matches!(sign, b'Z' | b'z') {
        return Some(Offset::UTC);
    }
    let hours = digits(rest, 2)?;
    let has_minutes = one_of(rest, b":").is_some() || !rest.is_empty();
    Some(Offset {
        is_west: sign == b'-',
        hours,
        minutes: if has_minutes { digits(rest, 2)? } else { 0 },
    })
}

/// Whether this is a date that says "no date": 1C's `0001-01-01…`, as it shows it too, or `0000-00-00…` as `MySQL` has it.
#[must_use]
pub fn is_empty_date(text: &str) -> bool {
    let text = text.trim_start_matches(is_blank);
    ["0001-01-01", "0000-00-00", "01.01.0001", "1.1.0001"]
        .iter()
        .any(|empty| text.starts_with(empty))
}

/// The moment with its offset in the publication's time: `2026-11-24T14:00:00+03:00`.
#[must_use]
pub fn print_iso(moment: DateTime<Utc>, timezone: Zone) -> String {
    let local = timezone.local(moment);
    local.to_rfc3339_opts(SecondsFormat::Secs, false)
}

/// `YYYY-MM-DD HH:MM:SS`, local time of the publication.
#[must_use]
pub fn print(moment: DateTime<Utc>, timezone: Zone) -> String {
    let local = timezone.local(moment).naive_local();
    let mut text = String::with_capacity(19);
    // Four of these are in every answered order, and the standard library's way takes three times as long.
    let two_digits = |text: &mut String, number: u32| {
        for digit in [number / 10 % 10, number % 10] {
            text.extend(char::from_digit(digit, 10));
        }
    };
    match u32::try_from(local.year()) {
        Ok(year @ 0..=9999) => {
            two_digits(&mut text, year / 100);
            two_digits(&mut text, year);
        }
        // New Year's Eve of 9999 is over in Moscow three hours earlier. Writing to a String cannot fail.
        _ => drop(write!(text, "{:04}", local.year())),
    }
    for (before, number) in [
        ('-', local.month()),
        ('-', local.day()),
        (' ', local.hour()),
        (':', local.minute()),
        (':', local.second()),
    ] {
        text.push(before);
        two_digits(&mut text, number);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::zone::zone;

    fn moscow() -> Zone {
        zone("Europe/Moscow")
    }

    fn there_and_back(text: &str) -> Option<String> {
        let moment = parse(text, moscow()).ok()?;
        Some(print(moment, moscow()))
    }

    #[test]
    fn a_datetime_leaves_in_local_time_of_the_publication() {
        for (sent, left) in [
            ("2019-11-06T11:00:00Z", "2019-11-06 14:00:00"),
            ("2019-11-06t11:00:00z", "2019-11-06 14:00:00"),
            ("2019-11-06T11:00:00.999999999Z", "2019-11-06 14:00:00"),
            ("2019-11-06T11:00:00+03:00", "2019-11-06 11:00:00"),
            ("2019-11-06 11:00:00-01:30", "2019-11-06 15:30:00"),
            ("2019-11-06 11:00:00", "2019-11-06 11:00:00"),
            ("2019-11-06T11:00", "2019-11-06 11:00:00"),
            (" 2019-11-06T11:00:00Z\n", "2019-11-06 14:00:00"),
            ("2019-11-06T11:00:00+0300", "2019-11-06 11:00:00"),
            ("2019-11-06T11:00:00-0130", "2019-11-06 15:30:00"),
            ("2019-11-06T11:00:00.5+03", "2019-11-06 11:00:00"),
            ("2019-11-06T11:00+03", "2019-11-06 11:00:00"),
            ("06.11.2019", "2019-11-06 00:00:00"),
            ("6.11.2019", "2019-11-06 00:00:00"),
            ("06.1.2019", "2019-01-06 00:00:00"),
            ("6.1.2019 9:05", "2019-01-06 09:05:00"),
            ("06.11.2019, 11:00:00", "2019-11-06 11:00:00"),
            ("06.11.2019,11:00", "2019-11-06 11:00:00"),
            ("2019-11-06 9:05", "2019-11-06 09:05:00"),
            ("2019-11-06T9:05:00Z", "2019-11-06 12:05:00"),
            ("2019-11-06 11:00:00 +0300", "2019-11-06 11:00:00"),
            ("2019-11-06 11:00:00 +03:00", "2019-11-06 11:00:00"),
            ("2019-11-06 11:00:00 -01", "2019-11-06 15:00:00"),
            ("2019-11-06 11:00:00 UTC", "2019-11-06 14:00:00"),
            ("2019-11-06 11:00:00utc", "2019-11-06 14:00:00"),
            ("2019-11-06   11:00  Z", "2019-11-06 14:00:00"),
            ("2019-11-06\t11:00", "2019-11-06 11:00:00"),
            (
                "\u{a0}2019-11-06\u{a0}\u{202f}11:00\u{3000}",
                "2019-11-06 11:00:00",
            ),
            (
                "\u{feff}06.11.2019\u{200e}, 11\u{200b}:00",
                "2019-11-06 11:00:00",
            ),
            ("06.11.2019 11:00", "2019-11-06 11:00:00"),
            ("06.11.2019 9:05:07", "2019-11-06 09:05:07"),
            ("06.11.2019 09:05:07", "2019-11-06 09:05:07"),
            ("2019-11-06T24:00", "2019-11-07 00:00:00"),
            ("2019-12-31T24:00:00Z", "2020-01-01 03:00:00"),
            ("06.11.2019 24:00:00", "2019-11-07 00:00:00"),
            ("2016-12-31T23:59:60Z", "2017-01-01 03:00:00"),
            ("9999-12-31T20:59:59Z", "9999-12-31 23:59:59"),
        ] {
            assert_eq!(there_and_back(sent).as_deref(), Some(left), "{sent}");
        }
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in [
            "",
            "\u{feff}",
            "06.11.19",
            "2019-11-06",
            "2019-1-6",
            "06.11.2019T11:00",
            "06.11.2019 11:00 +03",
            "06.11.2019,",
            "06.11.201911:00",
            "2019-11-06, 11:00",
            "2019-11-06 11",
            "2019-11-06 11:00 MSK",
            "2019-11-06 11:00 UTC+3",
            "2019-11-06T11",
            "2019-11-06T",
            "2019-11-06T110:00",
            "2019-11-06T1:0",
            "2019-11-06T11:00:00Z x",
            "2019-11-06T11:00:00+3",
            "2019-11-06T11:00:00+3:00",
            "2019-11-06T11:00:00+030",
            "2019-11-06T11:00:00+03:",
            "2019-11-06T11:00:00+03000",
            "2019-11-06T11:00:00.Z",
            "２019-11-06T11:00:00",
            "31.02.2019 завтра",
        ] {
            assert_eq!(parse(text, moscow()), Err(Invalid::Form), "{text}");
        }
    }

    #[test]
    fn what_has_the_form_of_a_moment_and_is_none_is_told_apart() {
        for text in [
            "2019-02-30 11:00",
            "2019-13-01 00:00",
            "31.02.2019",
            "0.11.2019",
            "2019-13-01T00:00:00",
            "2019-02-29T00:00:00",
            "2019-11-06T24:00:01",
            "2019-11-06T24:01",
            "2019-11-06T25:00:00",
            "2019-11-06T11:60:00",
            "2019-11-06T11:00:61",
            "2019-11-06T11:00:00+24:00",
            "0000-01-01T00:00:00",
        ] {
            assert_eq!(parse(text, moscow()), Err(Invalid::NoSuchMoment), "{text}");
        }
    }

    #[test]
    fn for_ever_is_the_end_of_the_last_year() {
        let new_york = zone("America/New_York");
        for (text, timezone, left) in [
            ("9999-12-31T23:59:59Z", moscow(), "9999-12-31 23:59:59"),
            ("9999-12-31T23:59:59-12:00", moscow(), "9999-12-31 23:59:59"),
            ("9999-12-31 24:00", moscow(), "9999-12-31 23:59:59"),
            ("9999-12-31 23:59:59", new_york, "9999-12-31 18:59:59"),
        ] {
            let moment = parse(text, timezone).expect(text);
            assert_eq!(print(moment, timezone), left, "{text}");
            assert_eq!(moment.year(), 9999, "{text}");
        }
    }

    #[test]
    fn a_clock_change_makes_no_order_fail() {
        let berlin = zone("Europe/Berlin");
        let gap = parse("2024-03-31 02:30:00", berlin).expect("left out by the clock");
        assert_eq!(print(gap, berlin), "2024-03-31 03:30:00");
        let samoa = zone("Pacific/Apia");
        let day = parse("2011-12-30 12:00:00", samoa).expect("a day left out");
        assert_eq!(print(day, samoa), "2011-12-31 12:00:00");
        let twice = parse("2024-10-27 02:30:00", berlin).expect("comes twice");
        assert_eq!(twice.to_rfc3339(), "2024-10-27T00:30:00+00:00");
    }

    #[test]
    fn dates_that_say_no_date_are_recognised() {
        for text in [
            "0001-01-01T00:00:00",
            "0001-01-01 00:00:00",
            "0001-01-01T00:00:00Z",
            "0001-01-01",
            "0000-00-00 00:00:00",
            "0000-00-00",
            "01.01.0001 0:00:00",
            "1.1.0001 0:00",
            " 0001-01-01T00:00:00",
            "\u{feff}0001-01-01",
        ] {
            assert!(is_empty_date(text), "{text}");
        }
        for text in ["0001-01-02T00:00:00", "0000-01-01", "2019-11-06", ""] {
            assert!(!is_empty_date(text), "{text}");
        }
    }
}
