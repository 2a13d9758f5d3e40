//! The parameters of the query. Whoever misspells one must not be answered as if it were not there: what is unknown is refused.

use std::time::Duration;

use axum::http::Uri;
use percent_encoding::percent_decode_str;

use crate::{
    exchange::feed::{After, MOST_ORDERS, Question},
    http::failure::{Failure, Parameter, looks_like::SafeName},
    import::Options,
    order::{datetime, zone::Zone},
};

const LIMIT: usize = 100;
const MOST_WAIT: u64 = 30;

/// The value of each of these names, blanks cut off; `None` where it is not there.
fn values<const N: usize>(uri: &Uri, names: [&str; N]) -> Result<[Option<String>; N], Failure> {
    let mut found = [const { None }; N];
    for parameter in uri.query().unwrap_or_default().split('&') {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let unescaped = |text: &str| {
            let text = percent_decode_str(text).decode_utf8_lossy();
            text.trim().to_owned()
        };
        let (name, value) = (unescaped(name), unescaped(value));
        if name.is_empty() && value.is_empty() {
            continue;
        }
        let invalid =
            |what: fn(SafeName) -> Parameter| Failure::InvalidParameter(what(SafeName::of(&name)));
        let position = names.iter().position(|known| *known == name);
        let position = position.ok_or_else(|| invalid(Parameter::Unknown))?;
        if *found[position].get_or_insert_with(|| value.clone()) != value {
            return Err(invalid(Parameter::Twice));
        }
    }
    Ok(found)
}

/// How a file is to be taken.
pub fn import_options(uri: &Uri) -> Result<Options, Failure> {
    let [dry_run, skip_bad] = values(uri, ["dry_run", "skip_bad"])?;
    let flag = |text: Option<String>, parameter| match text {
        None => Ok(false),
        Some(text) => match text.to_ascii_lowercase().as_str() {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err(Failure::InvalidParameter(parameter)),
        },
    };
    Ok(Options {
        dry_run: flag(dry_run, Parameter::DryRun)?,
        skip_bad: flag(skip_bad, Parameter::SkipBad)?,
    })
}

/// Where there are no parameters.
pub fn none(uri: &Uri) -> Result<(), Failure> {
    values(uri, []).map(|[]| ())
}

/// What is asked of the feed.
pub fn question(uri: &Uri, timezone: Zone) -> Result<Question, Failure> {
    let [after, since, limit, wait] = values(uri, ["after", "since", "limit", "wait"])?;
    let invalid = Failure::InvalidParameter;
    let after = after.filter(|cursor| !cursor.is_empty());
    let after = match (after, since) {
        (None, None) => After::Beginning,
        (Some(_), Some(_)) => return Err(invalid(Parameter::AfterAndSince)),
        (Some(cursor), None) => {
            After::Cursor(cursor.parse().map_err(|()| invalid(Parameter::After))?)
        }
        (None, Some(moment)) => {
            // A blank is often written as a plus, and a plus not escaped.
            let read = |text: &str| datetime::parse(text, timezone);
            let moment = read(&moment).or_else(|_| read(&moment.replacen('+', " ", 1)));
            After::Since(moment.map_err(|_| invalid(Parameter::Since))?)
        }
    };
    let limit = match limit {
        None => LIMIT,
        Some(text) => (whole(&text).and_then(|number| usize::try_from(number).ok()))
            .filter(|limit| (1..=MOST_ORDERS).contains(limit))
            .ok_or(invalid(Parameter::Limit))?,
    };
    let wait = match wait {
        None => 0,
        Some(text) => whole(&text)
            .filter(|seconds| *seconds <= MOST_WAIT)
            .ok_or(invalid(Parameter::Wait))?,
    };
    Ok(Question {
        after,
        limit,
        wait: Duration::from_secs(wait),
    })
}

/// Digits and nothing else: `+5` is somebody's slip.
fn whole(text: &str) -> Option<u64> {
    let is_whole = text.bytes().all(|byte| byte.is_ascii_digit());
    is_whole.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use chrono::{TimeZone, Utc};
    use uuid::Uuid;

    use super::*;
    use crate::store::feed::Cursor;

    fn asked(query: &str) -> Result<Question, Failure> {
        let uri = format!("/x{query}").parse().expect("a URI");
        question(&uri, crate::order::zone::zone("Europe/Moscow"))
    }

    #[test]
    fn a_question_has_defaults_and_bounds() {
        let cursor = Cursor {
            position: 5,
            mark: Uuid::from_u128(7),
        };
        let at = Utc
            .with_ymd_and_hms(2026, 11, 24, 11, 0, 0)
            .single()
            .expect("a moment");
        for (query, after, limit, wait) in [
            (String::new(), After::Beginning, 100, 0),
            ("?".into(), After::Beginning, 100, 0),
            (
                "?after=&limit=500&wait=30".into(),
                After::Beginning,
                500,
                30,
            ),
            ("?limit=1&wait=0&limit=%201".into(), After::Beginning, 1, 0),
            (format!("?after={cursor}"), After::Cursor(cursor), 100, 0),
            (
                "?since=2026-11-24T14:00:00%2B03:00".into(),
                After::Since(at),
                100,
                0,
            ),
            (
                "?since=2026-11-24T14:00:00+03:00".into(),
                After::Since(at),
                100,
                0,
            ),
            (
                "?since=2026-11-24T11:00:00Z".into(),
                After::Since(at),
                100,
                0,
            ),
            (
                "?since=2026-11-24+14:00:00".into(),
                After::Since(at),
                100,
                0,
            ),
            (
                "?since=24.11.2026%2014:00&after=".into(),
                After::Since(at),
                100,
                0,
            ),
        ] {
            let wait = Duration::from_secs(wait);
            assert_eq!(
                asked(&query),
                Ok(Question { after, limit, wait }),
                "{query}"
            );
        }
    }

    #[test]
    fn what_is_no_value_of_a_parameter_is_refused_and_so_is_what_is_none() {
        let name = |text| SafeName::of(text);
        for (query, due) in [
            ("?limit=", Parameter::Limit),
            ("?limit=0", Parameter::Limit),
            ("?limit=501", Parameter::Limit),
            ("?limit=-1", Parameter::Limit),
            ("?limit=%2B5", Parameter::Limit),
            ("?limit=1e2", Parameter::Limit),
            ("?limit=99999999999999999999", Parameter::Limit),
            ("?wait=31", Parameter::Wait),
            ("?wait=1.5", Parameter::Wait),
            ("?wait=", Parameter::Wait),
            ("?after=5", Parameter::After),
            (
                "?after=0.00000000000000000000000000000007",
                Parameter::After,
            ),
            ("?after=%00", Parameter::After),
            ("?since=", Parameter::Since),
            ("?since=yesterday", Parameter::Since),
            ("?since=2026-02-30", Parameter::Since),
            (
                "?since=2026-11-24&after=5.00000000000000000000000000000007",
                Parameter::AfterAndSince,
            ),
            ("?limit=1&limit=2", Parameter::Twice(name("limit"))),
            ("?aftr=5", Parameter::Unknown(name("aftr"))),
            ("?After=5", Parameter::Unknown(name("After"))),
            ("?=5", Parameter::Unknown(name(""))),
        ] {
            assert_eq!(asked(query), Err(Failure::InvalidParameter(due)), "{query}");
        }
    }
}
