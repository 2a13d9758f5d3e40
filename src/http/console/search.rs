//! What somebody means who types into the search: our number, an id, 1C's number, a phone, a name. Whatever it may be is looked for.

use axum::http::{HeaderMap, HeaderValue};
use chrono::{DateTime, Utc};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use uuid::Uuid;

use super::cookies::cookies;
use crate::{
    order::{
        invisible::is_blank,
        phone::{self, Region},
    },
    store::console::Search,
};

/// Nothing that is looked for is longer.
pub(super) const LONGEST: usize = 255;
/// The fewest digits of a phone, and letters of a name.
const DIGITS: usize = 4;
const LETTERS: usize = 2;
/// A shorter id of a request is not looked for.
const SHORTEST_REQUEST_ID: usize = 8;
/// Characters of a UUID.
const UUID: usize = 36;

/// Keeps what was searched for last, so that a browser comes back to what was found: in no URL, for it may be a phone or a name.
const COOKIE: &str = "aqua-search";

pub(super) fn cookie(typed: &str, is_secure: bool) -> HeaderValue {
    let short: String = typed.chars().take(LONGEST).collect();
    let text = utf8_percent_encode(&short, NON_ALPHANUMERIC);
    let secure = if is_secure { "; Secure" } else { "" };
    let cookie =
        format!("{COOKIE}={text}; Path=/console; Max-Age=3600; HttpOnly; SameSite=Strict{secure}");
    // It is ASCII.
    HeaderValue::from_str(&cookie).unwrap_or(HeaderValue::from_static(""))
}

/// The cookie that takes it away.
pub(super) const NO_COOKIE: HeaderValue =
    HeaderValue::from_static("aqua-search=; Path=/console; Max-Age=0; HttpOnly; SameSite=Strict");

pub(super) fn typed(headers: &HeaderMap) -> Option<String> {
    let (_, text) = cookies(headers).find(|(name, _)| *name == COOKIE)?;
    let text = percent_decode_str(text).decode_utf8().ok()?;
    Some(text.into_owned())
}

/// `None`: nothing was typed.
pub(super) fn read(typed: &str, region: Region) -> Option<Search> {
    let text = typed.trim_matches(is_blank);
    let id = text.trim_start_matches('№').trim_matches(is_blank);
    if id.is_empty() || id.chars().count() > LONGEST {
        return None;
    }
    Some(Search {
        number: id.parse().ok().filter(|number| *number > 0),
        id: Some(id.to_owned()),
        phone_end: phone_end(text, region),
        names: names(text),
    })
}

/// What may be the X-Request-Id of a call, and when that came, where the id tells: ours do (UUID v7), and some have a word in front.
pub(super) fn request_id(typed: &str) -> Option<(&str, Option<DateTime<Utc>>)> {
    let id = typed.trim_matches(is_blank);
    let is_one = |c: u8| c.is_ascii_alphanumeric() || b"._:/+=-".contains(&c);
    let has_sense = (SHORTEST_REQUEST_ID..=128).contains(&id.len()) && id.bytes().all(is_one);
    // A phone is none.
    if !has_sense || id.bytes().all(|c| !c.is_ascii_alphabetic()) {
        return None;
    }
    let uuid = id
        .get(id.len().saturating_sub(UUID)..)
        .and_then(|end| Uuid::parse_str(end).ok());
    let made_at = uuid.and_then(|uuid| {
        let (seconds, nanoseconds) = uuid.get_timestamp()?.to_unix();
        DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanoseconds)
    });
    Some((id, made_at))
}

/// Whom somebody looks for among orders that came and are not stored.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// A part of the name, in small letters.
    pub name: Option<String>,
    /// The last digits of a phone, from the last to the first.
    pub phone_end: Option<String>,
}

impl Wanted {
    /// `None`: what was typed is neither.
    pub fn of(typed: &str, region: Region) -> Option<Self> {
        let text = typed.trim_matches(is_blank);
        let wanted = Self {
            name: is_of_a_name(text).then(|| in_single_blanks(text).to_lowercase()),
            phone_end: phone_end(text, region),
        };
        (wanted.name.is_some() || wanted.phone_end.is_some()).then_some(wanted)
    }
}

/// The digits from the last to the first.
fn phone_end(text: &str, region: Region) -> Option<String> {
    let is_of_a_phone = |c: char| c.is_ascii_digit() || is_blank(c) || "+()-–.".contains(c);
    if !text.chars().all(is_of_a_phone) {
        return None;
    }
    let whole = phone::parse(text, region).map(|phone| phone.e164);
    let digits = whole.as_deref().unwrap_or(text).chars();
    let end: String = digits.rev().filter(char::is_ascii_digit).collect();
    (end.len() >= DIGITS).then_some(end)
}

fn in_single_blanks(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn is_of_a_name(text: &str) -> bool {
    text.chars().filter(|c| c.is_alphabetic()).count() >= LETTERS
}

/// The text in the cases in which it may be stored.
fn names(text: &str) -> Vec<String> {
    if !is_of_a_name(text) {
        return Vec::new();
    }
    let text = &in_single_blanks(text);
    let (lower, upper) = (text.to_lowercase(), text.to_uppercase());
    let mut title = String::with_capacity(lower.len());
    let mut begins = true;
    for c in lower.chars() {
        if begins {
            title.extend(c.to_uppercase());
        } else {
            title.push(c);
        }
        begins = !c.is_alphanumeric();
    }
    let mut names = vec![text.to_owned(), title, lower, upper];
    // Surname and name, as they may be stored the other way round.
    names.extend(names.clone().iter().filter_map(|name| turned_round(name)));
    names.sort();
    names.dedup();
    names
}

/// `Анна Петрова` of `Петрова Анна`.
fn turned_round(name: &str) -> Option<String> {
    let (first, second) = name.split_once(' ')?;
    (!second.contains(' ')).then(|| format!("{second} {first}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_an_id_of_a_request_is_one_and_ours_tell_when_it_came() {
        let moment = "2026-11-26T10:00:00Z"
            .parse::<DateTime<Utc>>()
            .expect("a moment");
        let seconds = u64::try_from(moment.timestamp()).expect("after 1970");
        let time = uuid::Timestamp::from_unix(uuid::NoContext, seconds, 0);
        let ours = Uuid::new_v7(time).to_string();
        let console = format!("console-{ours}");
        for (typed, due) in [
            (&*ours, Some(Some(moment))),
            (&*console, Some(Some(moment))),
            ("site:42/abc", Some(None)),
            ("89083280832", None),
            ("+7-908-328-08-32", None),
            ("A-1", None),
            ("иванов иван", None),
            ("ivanov ivan", None),
        ] {
            let read = request_id(typed).map(|(_, made_at)| made_at);
            assert_eq!(read, due, "{typed}");
        }
    }

    #[test]
    fn a_name_is_looked_for_the_other_way_round_too() {
        let names = read("петрова  анна", Region::Ru).expect("something").names;
        assert!(names.iter().any(|name| name == "Анна Петрова"), "{names:?}");
        assert_eq!(turned_round("Анна"), None);
        assert_eq!(turned_round("Анна Ивановна Петрова"), None);
    }

    #[test]
    fn what_was_typed_comes_back_out_of_the_cookie() {
        for text in ["+7 (908) 328-08-32", "Иванов; path=/", "\u{202e}=\"%"] {
            let cookie = cookie(text, true);
            let cookie = cookie.to_str().expect("ASCII");
            assert!(
                cookie.ends_with("; Secure") && !cookie.contains("Иванов"),
                "{cookie}"
            );
            let (pair, _) = cookie.split_once(';').expect("a cookie");
            let mut headers = HeaderMap::new();
            headers.insert("cookie", pair.parse().expect("a header"));
            assert_eq!(typed(&headers).as_deref(), Some(text));
        }
        assert_eq!(typed(&HeaderMap::new()), None);
    }

    fn end(text: &str) -> Option<String> {
        read(text, Region::Ru).and_then(|search| search.phone_end)
    }

    #[test]
    fn a_phone_is_known_in_any_spelling_and_by_its_last_digits() {
        for text in ["89083280832", "+7 (908) 328-08-32", "9083280832"] {
            assert_eq!(end(text).as_deref(), Some("23808238097"), "{text}");
        }
        assert_eq!(end("0832").as_deref(), Some("2380"));
        assert_eq!(end(" 28-08-32 ").as_deref(), Some("238082"));
        for other in ["832", "А-0832", "657f0832", ""] {
            assert_eq!(end(other), None, "{other}");
        }
    }

    #[test]
    fn a_number_may_be_ours_an_id_or_the_end_of_a_phone() {
        let search = read("№ 50894", Region::Ru).expect("something");
        assert_eq!(search.number, Some(50894));
        assert_eq!(search.id.as_deref(), Some("50894"));
        assert_eq!(search.names, [""; 0]);
        assert_eq!(
            read("50894", Region::Ru)
                .expect("something")
                .phone_end
                .as_deref(),
            Some("49805")
        );
        assert_eq!(
            read("АВ-000123", Region::Ru).expect("something").number,
            None
        );
        assert_eq!(
            read("99999999999", Region::Ru).expect("something").number,
            None
        );
        assert_eq!(read(" \u{feff} ", Region::Ru), None);
        assert_eq!(read(&"x".repeat(256), Region::Ru), None);
    }

    #[test]
    fn a_name_is_looked_for_in_every_case() {
        let names = read("иванов пёТр", Region::Ru).expect("something").names;
        for case in ["иванов пёТр", "иванов пётр", "Иванов Пётр", "ИВАНОВ ПЁТР"]
        {
            assert!(names.iter().any(|name| name == case), "{names:?}");
        }
    }
}
