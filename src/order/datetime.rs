//! Moments: with a zone or in the publication's own time in, the publication's local time out (contract §3).

use std::fmt::Write as _;

use chrono::{
    DateTime, Datelike, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone,
    Timelike, Utc,
};
use chrono_tz::Tz;

/// Cuts `N` digits off the front.
fn digits(text: &mut &[u8], n: usize) -> Option<u32> {
    let (head, tail) = text.split_at_checked(n)?;
    *text = tail;
    head.iter().try_fold(0, |value, b| {
        b.is_ascii_digit().then(|| value * 10 + u32::from(b - b'0'))
    })
}

/// Cuts one of these bytes off the front.
fn one_of(text: &mut &[u8], bytes: &[u8]) -> Option<u8> {
    let (first, tail) = text.split_first()?;
    bytes.contains(first).then(|| {
        *text = tail;
        *first
    })
}

/// Reads RFC 3339 with a zone (also as `+0300` or `+03`), or `YYYY-MM-DD[T ]HH:MM[:SS]` or `DD.MM.YYYY[ HH:MM[:SS]]` in the
/// publication's time. `24:00` is the next midnight.
///
/// The result has microseconds at most, as PostgreSQL keeps them. A local time that a clock change leaves out is read
/// as PHP does, one hour later; one that comes twice is the first. A leap second is the second after it.
///
/// `None` when the text has another form, names no real moment, or one outside the years 1 to 9999.
#[must_use]
pub fn parse(text: &str, timezone: Tz) -> Option<DateTime<Utc>> {
    let mut rest = text.trim().as_bytes();
    let rest = &mut rest;
    let moment = if rest.get(2) == Some(&b'.') {
        from_local(dotted(rest)?, timezone)?
    } else {
        let date = iso_date(rest)?;
        one_of(rest, b"Tt ")?;
        let hour = digits(rest, 2)?;
        let midnight = date.and_time(NaiveTime::MIN);
        let local = midnight.checked_add_signed(time_of_day(rest, hour)?)?;
        match one_of(rest, b"Zz+-") {
            None => from_local(local, timezone)?,
            Some(sign) => local.checked_sub_signed(offset(rest, sign)?)?.and_utc(),
        }
    };
    // Both ends must print with four digits of a year, in UTC (the database) and in local time (the answer).
    let printable = |year| (1..=9999).contains(&year);
    (rest.is_empty()
        && printable(moment.year())
        && printable(moment.with_timezone(&timezone).year()))
    .then_some(moment)
}

/// Cuts `YYYY-MM-DD` off the front.
fn iso_date(rest: &mut &[u8]) -> Option<NaiveDate> {
    let year = digits(rest, 4)?;
    one_of(rest, b"-")?;
    let month = digits(rest, 2)?;
    one_of(rest, b"-")?;
    let day = digits(rest, 2)?;
    NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)
}

/// Cuts `DD.MM.YYYY[ HH:MM[:SS]]` off the front, as 1C shows it: there an hour below ten has one digit.
fn dotted(rest: &mut &[u8]) -> Option<NaiveDateTime> {
    let day = digits(rest, 2)?;
    one_of(rest, b".")?;
    let month = digits(rest, 2)?;
    one_of(rest, b".")?;
    let year = digits(rest, 4)?;
    let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?;
    let midnight = date.and_time(NaiveTime::MIN);
    if rest.is_empty() {
        return Some(midnight);
    }
    one_of(rest, b" ")?;
    let hour_digits = if rest.get(1) == Some(&b':') { 1 } else { 2 };
    let hour = digits(rest, hour_digits)?;
    midnight.checked_add_signed(time_of_day(rest, hour)?)
}

/// Cuts `:MM[:SS[.fraction]]` off the front, what stands behind an hour: the time since midnight.
fn time_of_day(rest: &mut &[u8], hour: u32) -> Option<TimeDelta> {
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
    let is_midnight = hour == 24 && (minute, second, micros) == (0, 0, 0);
    if minute > 59 || second > 60 || (hour > 23 && !is_midnight) {
        return None;
    }
    let seconds = i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
    Some(TimeDelta::seconds(seconds) + TimeDelta::microseconds(i64::from(micros)))
}

/// Cuts what stands behind a zone's sign off the front: `03:00`, `0300` or `03`; nothing behind a `Z`.
fn offset(rest: &mut &[u8], sign: u8) -> Option<TimeDelta> {
    if matches!(sign, b'Z' | b'z') {
        return Some(TimeDelta::zero());
    }
    let hours = digits(rest, 2)?;
    let has_minutes = one_of(rest, b":").is_some() || !rest.is_empty();
    let minutes = if has_minutes { digits(rest, 2)? } else { 0 };
    if hours > 23 || minutes > 59 {
        return None;
    }
    let offset = TimeDelta::minutes(i64::from(hours * 60 + minutes));
    Some(if sign == b'-' { -offset } else { offset })
}

fn from_local(local: NaiveDateTime, timezone: Tz) -> Option<DateTime<Utc>> {
    let found = match timezone.from_local_datetime(&local) {
        LocalResult::Single(moment) | LocalResult::Ambiguous(moment, _) => moment,
        LocalResult::None => {
            // The clock jumped over it: what it shows that much later, with the offset of before the jump. Mostly it is an
            // hour; Samoa once left out a day.
            [3, 27].into_iter().find_map(|hours| {
                let hours = TimeDelta::hours(hours);
                let before = timezone.from_local_datetime(&(local - hours)).earliest()?;
                Some(before + hours)
            })?
        }
    };
    Some(found.with_timezone(&Utc))
}

/// Whether this is a date that says "no date": 1C's `0001-01-01…`, as it shows it too, or `0000-00-00…` as `MySQL` has it.
#[must_use]
pub fn is_empty_date(text: &str) -> bool {
    let text = text.trim_start();
    ["0001-01-01", "0000-00-00", "01.01.0001"]
        .iter()
        .any(|empty| text.starts_with(empty))
}

/// `YYYY-MM-DD HH:MM:SS`, local time of the publication.
#[must_use]
pub fn print(moment: DateTime<Utc>, timezone: Tz) -> String {
    let local = moment.with_timezone(&timezone).naive_local();
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

    const MOSCOW: Tz = chrono_tz::Europe::Moscow;

    fn there_and_back(text: &str) -> Option<String> {
        parse(text, MOSCOW).map(|moment| print(moment, MOSCOW))
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
            "2019-11-06",
            "06.11.19",
            "6.11.2019",
            "06.11.2019T11:00",
            "06.11.2019 11:00 +03",
            "31.02.2019",
            "2019-11-06T11",
            "2019-13-01T00:00:00",
            "2019-02-29T00:00:00",
            "2019-11-06T24:00:01",
            "2019-11-06T24:01",
            "2019-11-06T25:00:00",
            "2019-11-06T11:60:00",
            "2019-11-06T11:00:00Z x",
            "2019-11-06T11:00:00+3",
            "2019-11-06T11:00:00+3:00",
            "2019-11-06T11:00:00+030",
            "2019-11-06T11:00:00+03:",
            "2019-11-06T11:00:00+03000",
            "2019-11-06T9:00:00",
            "2019-11-06T11:00:00.Z",
            "2019-11-06T11:00:00+24:00",
            "9999-12-31T23:59:59Z",
            "0000-01-01T00:00:00",
            "２019-11-06T11:00:00",
            "2019-11-06T11:00:61",
        ] {
            assert_eq!(there_and_back(text), None, "{text}");
        }
    }

    #[test]
    fn a_clock_change_makes_no_order_fail() {
        let berlin = chrono_tz::Europe::Berlin;
        let gap = parse("2024-03-31 02:30:00", berlin).expect("left out by the clock");
        assert_eq!(print(gap, berlin), "2024-03-31 03:30:00");
        let samoa = chrono_tz::Pacific::Apia;
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
            " 0001-01-01T00:00:00",
        ] {
            assert!(is_empty_date(text), "{text}");
        }
        for text in ["0001-01-02T00:00:00", "0000-01-01", "2019-11-06", ""] {
            assert!(!is_empty_date(text), "{text}");
        }
    }
}
