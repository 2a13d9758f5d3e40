//! The first page after the login: whether orders come in, what is rejected and why, and whether 1C gets them.

use std::collections::HashMap;

use askama::Template;
use axum::{http::StatusCode, response::Response};
use chrono::{DateTime, Datelike, Days, FixedOffset, NaiveDate, TimeDelta, Timelike, Utc, Weekday};

use super::{
    chart::{Bar, Bars, bars},
    faults::fault_title,
    kept,
    page::{self, Notice, Page, Section, base, render},
    refusal::Refusal,
    session::Desk,
    shown,
    texts::{Texts, texts},
};
use crate::{
    config::{Protocol, Target},
    order::{fault::Language, zone::Zone},
    store::{
        self,
        console::{At1c, COUNTED, CameIn, KEPT, Made, NEWEST, Reason, SLOT_SECONDS, Since},
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
    /// How many orders 1C does not have, those among them that it said so of by itself.
    not_taken: Option<String>,
    at_1c: Option<At1cShown>,
    periods: [Period; 2],
    /// That rejections of earlier days are not known.
    known_since: Option<String>,
    publications: Vec<PublicationShown>,
}

struct SinceShown {
    accepted: String,
    rejected: String,
    with_remarks: String,
    /// How long it took to store, where something came in.
    median: Option<String>,
    slow: Option<String>,
}

struct ReasonShown {
    what: String,
    code: String,
    /// The orders that wait for a person because of it.
    href: String,
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

/// How far the new orders of a day have come with 1C.
struct At1cShown {
    orders: String,
    taken: String,
    refused: String,
    rest: String,
    /// From receipt until 1C had it: half of them, 95 of a hundred, the longest; `None`: 1C has said nothing of any.
    took: Option<[String; 3]>,
    note: Option<String>,
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
    /// The orders of that day.
    href: Option<String>,
    is_weekend: bool,
    orders: String,
    rejected: String,
    with_remarks: String,
}

/// An hour or a day, before it is counted.
struct Slot {
    /// Below its bar.
    label: String,
    title: String,
    href: Option<String>,
    is_weekend: bool,
    sum: Sum,
    /// Whether the journal tells what was rejected then.
    is_known: bool,
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
    let kept_for = desk.keep_batches;
    let kept_since = (kept_for > 0).then(|| now - TimeDelta::days(kept_for.into()));
    let one_c = desk.publication.targets.iter();
    let one_c = one_c.filter(|target| target.protocol == Protocol::OneC);
    let one_c: Vec<String> = one_c.map(|target| target.name.clone()).collect();
    // What takes longest, on two of the console's connections.
    let of_orders = async {
        let made = store.orders_made(name, first, now + TimeDelta::days(1));
        let made = made.await?;
        let at_1c = store.at_1c(name, day, &one_c).await?;
        Ok((made, at_1c))
    };
    let of_calls = async {
        let came_in = store.came_in(name, first).await?;
        let known_since = store.calls_known_since(name, kept_since).await?;
        let reasons = store.reasons(name, first, day).await?;
        Ok::<_, store::Error>((came_in, known_since, reasons))
    };
    let ((made, at_1c), (came_in, known_since, reasons)) = tokio::try_join!(of_orders, of_calls)?;
    let known_since = known_since.filter(|since| *since > first);
    let mut targets = Vec::new();
    for target in &desk.publication.targets {
        let key = targets::Target {
            publication: name,
            name: &target.name,
            since: target.since,
        };
        let overview = store.target_overview(key).await?;
        // One that nothing was ever to be sent to would be made by looking, which is the service's to do.
        let look = match overview {
            Some(_) => {
                let takes = target.takes.as_slice().into();
                store.look_at_target(key, takes).await?
            }
            None => Look::default(),
        };
        targets.push(TargetShown::of(target, &look, overview, t, zone));
    }
    let last =
        |at: Option<DateTime<Utc>>| at.map(|at| (shown::moment(at, zone), shown::ago(now - at, t)));
    let mut publications = Vec::new();
    let all = &desk.visit.user.publications;
    for other in all.iter().filter(|_| all.len() > 1).take(OTHERS + 1) {
        publications.push(PublicationShown {
            name: other.clone(),
            href: Section::Overview.href(other),
            last: last(store.last_accepted_lately(other).await?),
        });
    }
    let notice = (made.is_cut || came_in.is_cut)
        .then(|| Notice::note(t.counts_cut.replace("{}", &shown::count(COUNTED, language))));
    let counted = Counts {
        made: &made.rows,
        came_in: &came_in.rows,
        known_since,
    };
    let page = OverviewPage {
        last: last(store.last_accepted_lately(name).await?),
        hour: SinceShown::of(&store.came_in_since(name, hour).await?, language),
        day: SinceShown::of(&store.came_in_since(name, day).await?, language),
        reasons_note: reasons
            .is_cut
            .then(|| t.reasons_cut.replace("{}", &shown::count(KEPT, language))),
        reasons: reasons
            .rows
            .into_iter()
            .map(|reason| ReasonShown::of(reason, name, language))
            .collect(),
        targets,
        not_taken: page::count(desk.waiting.refused),
        at_1c: At1cShown::of(&at_1c, language),
        periods: [
            hours(now, zone, counted, language),
            days(now, zone, counted, &base(name), language),
        ],
        known_since: known_since.map(|since| {
            let since = zone.local(since).format("%d.%m.%Y").to_string();
            t.known_since.replace("{}", &since)
        }),
        publications,
        base: base(name),
        page: Page::of(&desk, Section::Overview, t.overview).with(notice),
    };
    Ok(render(StatusCode::OK, &page))
}

/// What was counted, by quarters of an hour.
#[derive(Clone, Copy)]
struct Counts<'a> {
    made: &'a [Made],
    came_in: &'a [CameIn],
    /// Of what came in earlier nothing is known; `None`: all that is shown is known.
    known_since: Option<DateTime<Utc>>,
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

fn hours(now: DateTime<Utc>, zone: Zone, counted: Counts<'_>, language: Language) -> Period {
    let of = |at: DateTime<FixedOffset>| (at.num_days_from_ce(), at.hour());
    let sums = sums(counted.made, counted.came_in, zone, of);
    let known_since = counted.known_since.map(|since| of(zone.local(since)));
    let slots = (0..HOURS).rev().map(|back| {
        let at = zone.local(now - TimeDelta::hours(back));
        Slot {
            label: format!("{:02}:00", at.hour()),
            title: at.format("%d.%m %H:00").to_string(),
            href: None,
            is_weekend: false,
            sum: sums.get(&of(at)).copied().unwrap_or_default(),
            is_known: known_since.is_none_or(|since| of(at) >= since),
        }
    });
    let t = texts(language);
    Period::of("hours", t.by_hour, t.hour, slots.collect(), language)
}

fn days(
    now: DateTime<Utc>,
    zone: Zone,
    counted: Counts<'_>,
    base: &str,
    language: Language,
) -> Period {
    let t = texts(language);
    let sums = sums(counted.made, counted.came_in, zone, |at| at.date_naive());
    let known_since = counted
        .known_since
        .map(|since| zone.local(since).date_naive());
    let today = zone.local(now).date_naive();
    let slots = (0..DAYS).rev().map(|back| {
        let day: NaiveDate = today
            .checked_sub_days(Days::new(back.into()))
            .unwrap_or(today);
        let weekday = day.weekday();
        let name = t.weekdays[weekday.num_days_from_monday() as usize];
        Slot {
            label: day.format("%d.%m").to_string(),
            title: format!("{} {name}", day.format("%d.%m")),
            href: Some(format!("{base}/orders?from={day}&to={day}")),
            is_weekend: matches!(weekday, Weekday::Sat | Weekday::Sun),
            sum: sums.get(&day).copied().unwrap_or_default(),
            is_known: known_since.is_none_or(|since| day >= since),
        }
    });
    Period::of("days", t.by_day, t.day, slots.collect(), language)
}

impl Period {
    /// Of hours or days, the oldest first.
    fn of(
        id: &'static str,
        title: &'static str,
        each: &'static str,
        slots: Vec<Slot>,
        language: Language,
    ) -> Self {
        let chart = |kind: Bars, value: fn(&Sum) -> i64| {
            let all: Vec<Bar<'_>> = slots
                .iter()
                .map(|slot| Bar {
                    value: value(&slot.sum),
                    label: &slot.label,
                    title: format!(
                        "{}: {}",
                        slot.title,
                        shown::count(value(&slot.sum), language)
                    ),
                })
                .collect();
            bars(kind, &all)
        };
        let has_rejected = slots.iter().any(|slot| slot.sum.rejected > 0);
        let orders = chart(Bars::Usual, |sum| sum.orders);
        let rejected = has_rejected.then(|| chart(Bars::Bad, |sum| sum.rejected));
        let known = |is_known: bool, count: i64| {
            if is_known {
                shown::count(count, language)
            } else {
                "–".to_owned()
            }
        };
        Self {
            id,
            title,
            each,
            orders,
            rejected,
            rows: slots
                .into_iter()
                .rev()
                .map(|slot| PeriodRow {
                    title: slot.title,
                    href: slot.href,
                    is_weekend: slot.is_weekend,
                    orders: shown::count(slot.sum.orders, language),
                    rejected: known(slot.is_known, slot.sum.rejected),
                    with_remarks: known(slot.is_known, slot.sum.with_remarks),
                })
                .collect(),
        }
    }
}

impl At1cShown {
    /// `None`: nothing came in.
    fn of(at: &At1c, language: Language) -> Option<Self> {
        let t = texts(language);
        let count = |count| shown::count(count, language);
        let took = [at.median, at.slow, at.longest];
        let took: Vec<String> = took
            .into_iter()
            .flatten()
            .map(|seconds| shown::took(seconds, language))
            .collect();
        (at.orders > 0).then(|| Self {
            orders: count(at.orders),
            taken: count(at.taken),
            refused: count(at.refused),
            rest: count(at.orders - at.taken - at.refused),
            took: took.try_into().ok(),
            note: at
                .is_cut
                .then(|| t.newest_counted.replace("{}", &count(NEWEST))),
        })
    }
}

impl SinceShown {
    fn of(since: &Since, language: Language) -> Self {
        let took = |milliseconds: Option<f64>| Some(shown::took(milliseconds? / 1000.0, language));
        Self {
            accepted: shown::count(since.accepted, language),
            rejected: shown::count(since.rejected, language),
            with_remarks: shown::count(since.with_remarks, language),
            median: took(since.median),
            slow: took(since.slow),
        }
    }
}

impl ReasonShown {
    fn of(reason: Reason, publication: &str, language: Language) -> Self {
        let query = kept::Asked::query(&reason.code, Some(&reason.field), &[]);
        Self {
            what: fault_title(&reason.field, &reason.code, language),
            href: format!("{}{query}", Section::Rejected.href(publication)),
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
            None if look.parked + look.dead > 0 => (t.target_works_refuses.to_owned(), "warn"),
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
        let counted = Counts {
            made: &made,
            came_in: &came_in,
            known_since: None,
        };
        let of_days = days(now, zone, counted, "/p", Language::Ru);
        let row = |row: &PeriodRow| {
            format!(
                "{} {} {} {}",
                row.title, row.orders, row.rejected, row.with_remarks
            )
        };
        assert_eq!(of_days.rows.len(), 30);
        assert_eq!(row(&of_days.rows[0]), "26.11 чт 11 5 6");
        assert_eq!(row(&of_days.rows[1]), "25.11 ср 4 0 0");
        assert_eq!(row(&of_days.rows[29]), "28.10 ср 0 0 0");
        let href = of_days.rows[1].href.as_deref();
        assert_eq!(href, Some("/p/orders?from=2026-11-25&to=2026-11-25"));
        let weekend: Vec<bool> = of_days.rows[..7].iter().map(|row| row.is_weekend).collect();
        assert_eq!(weekend, [false, false, false, false, true, true, false]);
        let of_hours = hours(now, zone, counted, Language::Ru);
        assert_eq!(of_hours.rows.len(), 24);
        assert_eq!(row(&of_hours.rows[0]), "26.11 23:00 3 5 6");
        assert_eq!(row(&of_hours.rows[23]), "26.11 00:00 8 0 0");
        assert!(of_days.rejected.is_some());
        // What was rejected before the journal began is not known to be nothing.
        let counted = Counts {
            known_since: Some(at("2026-11-25T21:30:00Z")),
            ..counted
        };
        let of_days = days(now, zone, counted, "/p", Language::Ru);
        assert_eq!(row(&of_days.rows[0]), "26.11 чт 11 5 6");
        assert_eq!(row(&of_days.rows[1]), "25.11 ср 4 – –");
        let of_hours = hours(now, zone, counted, Language::Ru);
        assert_eq!(row(&of_hours.rows[23]), "26.11 00:00 8 0 0");
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
            Counts {
                made: &made,
                came_in: &[],
                known_since: None,
            },
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
