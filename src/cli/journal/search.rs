//! What to look for in the journal, and the batches of an id.

use std::cmp::Reverse;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use clap::Args;
use uuid::Uuid;

use crate::{
    cli::{CommandError, because, publication},
    config::{Config, Publication},
    order::{
        datetime,
        fault::{FaultCode, WarningCode},
        zone::Zone,
    },
    store::{
        Error, Store,
        journal::{Filter, JournalBatch},
    },
};

/// Where nothing else is said, so many of the newest are shown.
const SHOWN: u32 = 50;

/// What to look for.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct Search {
    /// Received since then: `2h`, `3d`, or a date or moment in the publication's time
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Received before then
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,
    /// Sent by this login
    #[arg(long, value_name = "LOGIN")]
    user: Option<String>,
    /// With a fault or a warning of this code, such as `required`
    #[arg(long)]
    code: Option<String>,
    /// With this `X-Request-Id`
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
    /// Not more than so many
    #[arg(long, default_value_t = SHOWN)]
    limit: u32,
    #[command(flatten)]
    pub(super) how: How,
}

/// Where to look, and how to show it.
#[derive(Debug, Clone, Args)]
pub(in crate::cli) struct How {
    /// A publication's name or alias; all of them where none is given
    #[arg(long, value_name = "NAME")]
    publication: Option<String>,
    /// JSON instead of a table, an object a line
    #[arg(long)]
    pub(super) json: bool,
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err hands it over")]
pub(super) fn away(error: Error) -> CommandError {
    because("the journal cannot be read", &error)
}

impl How {
    /// The publications to look into.
    pub(super) fn publications<'c>(
        &self,
        config: &'c Config,
    ) -> Result<Vec<&'c Publication>, CommandError> {
        match &self.publication {
            Some(name) => Ok(vec![publication(config, Some(name))?]),
            None => Ok(config.publications.iter().collect()),
        }
    }
}

impl Search {
    fn filter(&self, zone: Zone) -> Result<Filter, CommandError> {
        let faults = FaultCode::ALL.map(FaultCode::as_str);
        let warnings = WarningCode::ALL.map(WarningCode::as_str);
        if let Some(code) = &self.code
            && !faults.contains(&code.as_str())
            && !warnings.contains(&code.as_str())
        {
            return Err(format!(
                "there is no fault {code}: there are {}; nor is there such a warning: there are {}",
                faults.join(", "),
                warnings.join(", ")
            ));
        }
        let when = |text: &Option<String>| text.as_ref().map(|text| moment(text, zone)).transpose();
        Ok(Filter {
            since: when(&self.since)?,
            until: when(&self.until)?,
            login: self.user.clone(),
            request_id: self.request_id.clone(),
            code: self.code.clone(),
            rejected: None,
            order_key: None,
            limit: self.limit.into(),
            position: None,
        })
    }
}

/// `2h` ago, a date, or a moment in that zone.
fn moment(text: &str, zone: Zone) -> Result<DateTime<Utc>, CommandError> {
    let ago = || {
        let unit = text.chars().last()?;
        let count: i64 = text.strip_suffix(unit)?.parse().ok()?;
        let span = match unit {
            'm' => TimeDelta::try_minutes(count),
            'h' => TimeDelta::try_hours(count),
            'd' => TimeDelta::try_days(count),
            'w' => TimeDelta::try_weeks(count),
            _ => None,
        };
        Utc::now().checked_sub_signed(span?)
    };
    let day = || {
        let day: NaiveDate = text.parse().ok()?;
        datetime::parse(&format!("{day} 00:00"), zone).ok()
    };
    ago()
        .or_else(day)
        .or_else(|| datetime::parse(text, zone).ok())
        .ok_or_else(|| {
            format!(
                "{text} is no moment: write 30m, 2h, 3d, 2w, 2026-11-25 or \"2026-11-25 14:00\""
            )
        })
}

impl Search {
    /// What is found in each publication, the newest of all of them first.
    pub(super) async fn newest<'c, T>(
        &self,
        config: &'c Config,
        read: impl AsyncFn(&str, &Filter) -> Result<Vec<T>, Error>,
        received_at: impl Fn(&T) -> DateTime<Utc>,
    ) -> Result<Vec<(&'c Publication, T)>, CommandError> {
        let mut found = Vec::new();
        for publication in self.how.publications(config)? {
            let filter = self.filter(publication.rules.timezone)?;
            let here = read(&publication.name, &filter).await.map_err(away)?;
            found.extend(here.into_iter().map(|entry| (publication, entry)));
        }
        found.sort_by_key(|(_, entry)| Reverse(received_at(entry)));
        found.truncate(self.limit as usize);
        Ok(found)
    }
}

/// The batches of that id or `X-Request-Id`, with their publications.
pub(super) async fn find_batches<'c>(
    id: &str,
    how: &How,
    config: &'c Config,
    store: &Store,
) -> Result<Vec<(&'c Publication, JournalBatch)>, CommandError> {
    let mut found = Vec::new();
    for publication in how.publications(config)? {
        let name = &publication.name;
        if let Ok(batch) = id.parse::<Uuid>() {
            let batch = store.journal_batch(name, batch).await.map_err(away)?;
            found.extend(batch.map(|batch| (publication, batch)));
        }
        let filter = Filter {
            request_id: Some(id.to_owned()),
            limit: SHOWN.into(),
            ..Filter::default()
        };
        let batches = store.journal_batches(name, &filter).await.map_err(away)?;
        found.extend(batches.into_iter().map(|batch| (publication, batch)));
    }
    if found.is_empty() {
        return Err(format!(
            "the journal has no batch {id}, and none with such an X-Request-Id"
        ));
    }
    Ok(found)
}

pub(super) fn everything() -> Filter {
    Filter {
        limit: i64::MAX,
        ..Filter::default()
    }
}

#[cfg(test)]
mod tests {
    use chrono::SecondsFormat;

    use super::*;

    #[test]
    fn a_moment_is_a_span_a_date_or_a_time_of_the_publication() {
        let zone = crate::order::zone::zone("Europe/Moscow");
        let at = |text| {
            moment(text, zone).map(|moment| moment.to_rfc3339_opts(SecondsFormat::Millis, true))
        };
        assert_eq!(at("2026-11-25").as_deref(), Ok("2026-11-24T21:00:00.000Z"));
        assert_eq!(
            at("2026-11-25 14:00").as_deref(),
            Ok("2026-11-25T11:00:00.000Z")
        );
        let then = moment("3d", zone).expect("a moment");
        let ago = Utc::now() - then;
        assert_eq!(ago.num_hours(), 72);
        for nonsense in [
            "",
            "3",
            "d",
            "3y",
            "99999999999999d",
            "yesterday",
            "2026-13-01",
            "é",
        ] {
            assert!(at(nonsense).is_err(), "{nonsense}");
        }
    }
}
