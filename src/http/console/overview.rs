//! The first page after the login: whether orders come in, what is rejected and why, and whether 1C gets them.

use std::collections::HashMap;

use askama::Template;
use axum::{http::StatusCode, response::Response};
use chrono::{DateTime, Datelike, Days, FixedOffset, NaiveDate, TimeDelta, Timelike, Utc};

use super::{
    chart::{Bars, bars},
    faults::path_title,
    page::{Notice, Page, Section, base, render},
    refusal::Refusal,
    session::Desk,
    shown,
    texts::{Texts, texts},
};
use crate::{
    config::Target,
    order::{
        fault::{Language, usual_message},
        zone::Zone,
    },
    store::{
        console::{COUNTED, CameIn, KEPT, Made, Reason, SLOT_SECONDS, Since},
        targets::{self, COUNTED as LAG_COUNTED, Look, Overview},
    },
};

const HOURS: i64 = 24;
const DAYS: u32 = 30;
/// Publications beside the page's own that are told of.
const OTHERS: usize = 20;

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    page: Page,
    base: String,
    /// When the last order was accepted, and how long ago.
    last: Option<(String, String)>,
    hour: SinceShown,
    day: SinceShown,
    reasons: Vec<ReasonShown>,
    reasons_note: Option<String>,
    targets: Vec<TargetShown>,
    periods: [Period; 2],
    publications: Vec<PublicationShown>,
}

struct SinceShown {
    accepted: String,
    rejected: String,
    with_remarks: String,
    /// Milliseconds, where something came in.
    median: Option<String>,
    slow: Option<String>,
}

struct ReasonShown {
    what: String,
    code: String,
    in_a_day: String,
    in_all: String,
}

struct TargetShown {
    name: String,
    state: String,
    class: &'static str,
    why: Option<String>,
    behind: String,
    parked: i64,
    dead: i64,
    delivered: Option<String>,
}

/// Hours or days, with their charts and their table.
struct Period {
    id: &'static str,
    title: &'static str,
    each: &'static str,
    orders: String,
    /// Where there are any.
    rejected: Option<String>,
    rows: Vec<PeriodRow>,
}

struct PeriodRow {
    title: String,
    orders: String,
    rejected: String,
    with_remarks: String,
}

struct PublicationShown {
    name: String,
    href: String,
    /// When the last order was accepted, and how long ago.
    last: Option<(String, String)>,
}

/// What is counted of an hour or a day.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sum {
    orders: i64,
    rejected: i64,
    with_remarks: i64,
}

pub(super) async fn show(desk: Desk) -> Result<Response, Refusal> {
    let (store, name) = (desk.store(), desk.publication.name.as_str());
    let language = desk.visit.language;
    let (t, zone) = (texts(language), desk.publication.rules.timezone);
    // The database's clock, by which it is noted what came in.
    let now = store.now().await?;
    let (hour, day) = (now - TimeDelta::hours(1), now - TimeDelta::days(1));
    // The first day may have begun a day earlier.
    let first = now - TimeDelta::days(i64::from(DAYS) + 1);
    let made = store.orders_made(name, first, now + TimeDelta::days(1));
    let made = made.await?;
    let came_in = store.came_in(name, first).await?;
    let reasons = store.reasons(name, first, day).await?;
    let mut targets = Vec::new();
    for target in &desk.publication.targets {
        let key = targets::Target {
            publication: name,
            name: &target.name,
            since: target.since,
        };
        let look = store.look_at_target(key, target.takes.as_slice().into());
        let look = look.await?;
        let overview = store.target_overview(key).await?;
        targets.push(TargetShown::of(target, &look, overview, t, zone));
    }
    let last =
        |at: Option<DateTime<Utc>>| at.map(|at| (shown::moment(at, zone), shown::ago(now - at, t)));
    let mut publications = Vec::new();
    let all = &desk.visit.user.publications;
    for other in all.iter().filter(|_| all.len() > 1).take(OTHERS + 1) {
        publications.push(PublicationShown {
            name: other.clone(),
            href: format!("{}/{}", base(other), Section::Overview.path()),
            last: last(store.last_accepted_lately(other).await?),
        });
    }
    let notice = (made.is_cut || came_in.is_cut)
        .then(|| Notice::note(t.counts_cut.replace("{}", &shown::count(COUNTED, language))));
    let page = OverviewPage {
        base: base(name),
        last: last(store.last_accepted_lately(name).await?),
        hour: SinceShown::of(&store.came_in_since(name, hour).await?, language),
        day: SinceShown::of(&store.came_in_since(name, day).await?, language),
        reasons_note: reasons
            .is_cut
            .then(|| t.reasons_cut.replace("{}", &shown::count(KEPT, language))),
        reasons: reasons
            .rows
            .into_iter()
            .map(|reason| ReasonShown::of(reason, language))
            .collect(),
        targets,
        periods: [
            hours(now, zone, &made.rows, &came_in.rows, language),
            days(now, zone, &made.rows, &came_in.rows, language),
        ],
        publications,
        page: Page::of(&desk, Section::Overview, t.overview).with(notice),
    };
    Ok(render(StatusCode::OK, &page))
}

/// What was counted, by whatever a moment belongs to.
fn sums<K: std::hash::Hash + Eq>(
    made: &[Made],
    came_in: &[CameIn],
    zone: Zone,
    key: impl Fn(DateTime<FixedOffset>) -> K,
) -> HashMap<K, Sum> {
    let mut sums: HashMap<K, Sum> = HashMap::new();
    let mut add = |slot: i64, add: &dyn Fn(&mut Sum)| {
        let begin = slot.checked_mul(SLOT_SECONDS);
        let begin = begin.and_then(|seconds| DateTime::from_timestamp(seconds, 0));
        if let Some(begin) = begin {
            add(sums.entry(key(zone.local(begin))).or_default());
        }
    };
    for row in made {
        add(row.slot, &|sum| sum.orders += row.orders);
    }
    for row in came_in {
        add(row.slot, &|sum| {
            sum.rejected += row.rejected;
            sum.with_remarks += row.with_remarks;
        });
    }
    sums
}

fn hours(
    now: DateTime<Utc>,
    zone: Zone,
    made: &[Made],
    came_in: &[CameIn],
    language: Language,
) -> Period {
    let of = |at: DateTime<FixedOffset>| (at.num_days_from_ce(), at.hour());
    let sums = sums(made, came_in, zone, of);
    let rows = (0..HOURS).rev().map(|back| {
        let at = zone.local(now - TimeDelta::hours(back));
        let sum = sums.get(&of(at)).copied().unwrap_or_default();
        (
            format!("{:02}:00", at.hour()),
            at.format("%d.%m %H:00").to_string(),
            sum,
        )
    });
    let t = texts(language);
    Period::of("hours", t.by_hour, t.hour, rows.collect(), language)
}

fn days(
    now: DateTime<Utc>,
    zone: Zone,
    made: &[Made],
    came_in: &[CameIn],
    language: Language,
) -> Period {
    let sums = sums(made, came_in, zone, |at| at.date_naive());
    let today = zone.local(now).date_naive();
    let rows = (0..DAYS).rev().map(|back| {
        let day: NaiveDate = today
            .checked_sub_days(Days::new(back.into()))
            .unwrap_or(today);
        let sum = sums.get(&day).copied().unwrap_or_default();
        (
            day.format("%d.%m").to_string(),
            day.format("%d.%m.%Y").to_string(),
            sum,
        )
    });
    let t = texts(language);
    Period::of("days", t.by_day, t.day, rows.collect(), language)
}

impl Period {
    /// Of rows with what stands below their bars and what they are called in the table, the oldest first.
    fn of(
        id: &'static str,
        title: &'static str,
        each: &'static str,
        rows: Vec<(String, String, Sum)>,
        language: Language,
    ) -> Self {
        let labels: Vec<String> = rows.iter().map(|(label, _, _)| label.clone()).collect();
        let values = |value: fn(&Sum) -> i64| rows.iter().map(|(_, _, sum)| value(sum)).collect();
        let orders: Vec<i64> = values(|sum| sum.orders);
        let rejected: Vec<i64> = values(|sum| sum.rejected);
        let has_rejected = rejected.iter().any(|count| *count > 0);
        Self {
            id,
            title,
            each,
            orders: bars(Bars::Usual, &orders, &labels),
            rejected: has_rejected.then(|| bars(Bars::Bad, &rejected, &labels)),
            rows: rows
                .into_iter()
                .rev()
                .map(|(_, title, sum)| PeriodRow {
                    title,
                    orders: shown::count(sum.orders, language),
                    rejected: shown::count(sum.rejected, language),
                    with_remarks: shown::count(sum.with_remarks, language),
                })
                .collect(),
        }
    }
}

impl SinceShown {
    fn of(since: &Since, language: Language) -> Self {
        let milliseconds = |value: Option<f64>| {
            let value = value?;
            let digits = usize::from(value < 10.0);
            let text = format!("{value:.digits$}");
            Some(match language {
                Language::Ru => text.replace('.', ","),
                Language::En => text,
            })
        };
        Self {
            accepted: shown::count(since.accepted, language),
            rejected: shown::count(since.rejected, language),
            with_remarks: shown::count(since.with_remarks, language),
            median: milliseconds(since.median),
            slow: milliseconds(since.slow),
        }
    }
}

impl ReasonShown {
    fn of(reason: Reason, language: Language) -> Self {
        let message = usual_message(&reason.field, &reason.code, language);
        let message = message.unwrap_or_else(|| reason.code.clone());
        let what = if reason.field.is_empty() {
            message
        } else {
            format!("{}: {message}", path_title(&reason.field, language))
        };
        Self {
            what,
            in_a_day: shown::count(reason.in_a_day, language),
            in_all: shown::count(reason.in_all, language),
            code: if reason.field.is_empty() {
                reason.code
            } else {
                format!("{} {}", reason.code, reason.field)
            },
        }
    }
}

impl TargetShown {
    fn of(target: &Target, look: &Look, overview: Option<Overview>, t: &Texts, zone: Zone) -> Self {
        let failing = overview
            .as_ref()
            .and_then(|overview| overview.failing_since);
        let (state, class) = match failing {
            _ if look.paused => (t.target_is_paused.to_owned(), "warn"),
            Some(since) => {
                let text = if look.refuses_us {
                    t.target_refuses_us
                } else {
                    t.target_is_failing
                };
                (text.replace("{}", &shown::moment(since, zone)), "bad")
            }
            None => (t.target_works.to_owned(), "good"),
        };
        let behind = if look.lag_orders == 0 {
            t.nothing_behind.to_owned()
        } else {
            let more = if look.lag_orders >= LAG_COUNTED {
                "+"
            } else {
                ""
            };
            let lag = TimeDelta::from_std(look.lag).unwrap_or_default();
            t.behind_by
                .replacen("{}", &format!("{}{more}", look.lag_orders), 1)
                .replacen("{}", &shown::lasting(lag, t), 1)
        };
        let delivered = overview.as_ref().and_then(|overview| overview.delivered_at);
        Self {
            name: target.name.clone(),
            state,
            class,
            behind,
            parked: look.parked,
            dead: look.dead,
            delivered: delivered.map(|at| shown::moment(at, zone)),
            why: overview
                .and_then(|overview| overview.error)
                .filter(|_| failing.is_some()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("a moment")
    }

    fn made(text: &str, orders: i64) -> Made {
        Made {
            status: "new".into(),
            slot: at(text).timestamp().div_euclid(SLOT_SECONDS),
            orders,
        }
    }

    #[test]
    fn a_moment_counts_for_the_hour_and_the_day_of_the_publications_time() {
        // An hour before midnight in Moscow.
        let now = at("2026-11-26T20:10:00Z");
        let zone = crate::order::zone::zone("Europe/Moscow");
        let made = [
            made("2026-11-26T20:05:00Z", 2),
            made("2026-11-26T20:59:00Z", 1),
            made("2026-11-25T20:59:00Z", 4),
            made("2026-11-25T21:00:00Z", 8),
            made("2020-01-01T00:00:00Z", 16),
        ];
        let came_in = [CameIn {
            slot: made[0].slot,
            calls: 9,
            rejected: 5,
            with_remarks: 6,
        }];
        let days = days(now, zone, &made, &came_in, Language::Ru);
        let row = |row: &PeriodRow| {
            format!(
                "{} {} {} {}",
                row.title, row.orders, row.rejected, row.with_remarks
            )
        };
        assert_eq!(days.rows.len(), 30);
        assert_eq!(row(&days.rows[0]), "26.11.2026 11 5 6");
        assert_eq!(row(&days.rows[1]), "25.11.2026 4 0 0");
        assert_eq!(row(&days.rows[29]), "28.10.2026 0 0 0");
        let hours = hours(now, zone, &made, &came_in, Language::Ru);
        assert_eq!(hours.rows.len(), 24);
        assert_eq!(row(&hours.rows[0]), "26.11 23:00 3 5 6");
        assert_eq!(row(&hours.rows[23]), "26.11 00:00 8 0 0");
        assert!(days.rejected.is_some());
    }

    #[test]
    fn a_zone_of_half_an_hour_has_its_own_hours() {
        let made = [
            made("2026-11-26T18:29:00Z", 1),
            made("2026-11-26T18:31:00Z", 2),
        ];
        let hours = hours(
            at("2026-11-26T18:40:00Z"),
            crate::order::zone::zone("Asia/Kolkata"),
            &made,
            &[],
            Language::En,
        );
        let orders: Vec<&str> = hours.rows[..2]
            .iter()
            .map(|row| row.orders.as_str())
            .collect();
        assert_eq!(
            (hours.rows[0].title.as_str(), orders),
            ("27.11 00:00", vec!["2", "1"])
        );
    }
}
