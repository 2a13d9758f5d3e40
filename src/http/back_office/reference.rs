//! `POST /<publication>/hs/AquaDeliveri/v1/products|districts|clients|orders`: what `aqua-orders import` does, with the file
//! as the body (contract §8.2).

use std::{sync::Arc, time::Instant};

use axum::{
    Extension,
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Serialize;

use super::parameters::import_options;
use crate::{
    catalogue::{Counts, Problem, Subject},
    config::Role,
    http::{
        app::App,
        exchange::{Exchange, Facts},
        failure::{Failure, json},
        listener::address::SenderAddress,
    },
    import::{self, Options, Report},
    order::fault::Language,
    share::Share,
};

/// The most bad lines that are told; the counts tell of all.
const MOST_PROBLEMS: usize = 1000;

/// Takes a file of that kind.
pub async fn receive(
    State(app): State<Arc<App>>,
    Extension(subject): Extension<Subject>,
    Extension(exchange): Extension<Exchange>,
    Extension(address): Extension<SenderAddress>,
    request: Request,
) -> Response {
    let mut facts = Facts::default();
    let language = exchange.language;
    let outcome = process(&app, subject, language, address, request, &mut facts).await;
    facts.with(outcome)
}

async fn process(
    app: &App,
    subject: Subject,
    language: Language,
    address: SenderAddress,
    request: Request,
    facts: &mut Facts,
) -> Result<Response, Failure> {
    let (head, body) = request.into_parts();
    let caller = app.log_in(Role::BackOffice, &head, address, facts).await?;
    let options = import_options(&head.uri)?;
    facts.dry_run = options.dry_run;
    let publication = Arc::clone(&caller.publication);
    let store = app.intake.get().ok_or(Failure::StorageUnavailable)?.store();
    let share = Share::new(&publication.name, address.0);
    let begin = Instant::now();
    let mut file = app.bodies.read_file(&head.headers, body, &share).await?;
    facts.waited("body", begin);
    facts.bytes = file.bytes.len();
    let _turn = app
        .imports
        .try_acquire()
        .map_err(|_busy| Failure::Importing)?;
    // What its rows take once they are read.
    file.memory.grow(2 * file.bytes.len())?;
    let rules = publication.rules.clone();
    let begin = Instant::now();
    let entries = tokio::task::spawn_blocking(move || {
        let entries = import::entries_of(subject, &file.bytes, &rules);
        entries.map(|entries| (entries, file.memory))
    });
    let read = entries.await.map_err(|_panic| Failure::Internal)?;
    let (entries, _memory) = match read {
        Ok(read) => read,
        Err(unreadable) => {
            let reason = unreadable.text();
            let reason = reason.in_language(language);
            return Ok(Answer::of_unreadable(reason, options).respond());
        }
    };
    let report = import::import(store, &publication, &entries, options, &|_, _, _| ()).await?;
    facts.waited("import", begin);
    let answer = Answer::of(subject, &report, options, language);
    facts.orders = answer.counts.new + answer.counts.changed + answer.counts.unchanged;
    facts.accepted = facts.orders;
    facts.rejected = answer.counts.refused;
    facts.orders += facts.rejected;
    Ok(answer.respond())
}

impl From<import::Error> for Failure {
    fn from(error: import::Error) -> Self {
        tracing::warn!(%error, "a file could not be imported");
        match error {
            import::Error::Busy => Self::Overloaded,
            _ => Self::StorageUnavailable,
        }
    }
}

/// The envelope of contract §1 and the report of `aqua-orders import` in one, always with the same keys.
#[derive(Serialize)]
struct Answer<'r> {
    success: bool,
    data: Empty,
    message: String,
    errors: Vec<Error>,
    stored: bool,
    dry_run: bool,
    #[serde(flatten)]
    counts: Tally,
    problems: Vec<Line<'r>>,
    notes: Vec<&'r str>,
}

#[derive(Serialize)]
struct Empty {}

#[derive(Serialize)]
struct Error {
    field: &'static str,
    code: &'static str,
    message: String,
}

#[derive(Serialize, Default)]
struct Tally {
    new: usize,
    changed: usize,
    unchanged: usize,
    refused: usize,
}

/// A bad line; 0 is the file as a whole.
#[derive(Serialize)]
struct Line<'r> {
    line: usize,
    column: &'r str,
    reason: &'r str,
}

impl<'r> Line<'r> {
    fn of(problem: &'r Problem, language: Language) -> Self {
        Self {
            line: problem.line,
            column: &problem.column,
            reason: problem.reason.in_language(language),
        }
    }
}

impl<'r> Answer<'r> {
    fn of(subject: Subject, report: &'r Report, options: Options, language: Language) -> Self {
        let Counts {
            new,
            changed,
            unchanged,
            refused,
        } = *{ report.totals }.of(subject);
        let answer = Self {
            success: true,
            data: Empty {},
            message: String::new(),
            errors: Vec::new(),
            stored: report.stored,
            dry_run: options.dry_run,
            counts: Tally {
                new,
                changed,
                unchanged,
                refused,
            },
            problems: (report.problems.iter().take(MOST_PROBLEMS))
                .map(|problem| Line::of(problem, language))
                .collect(),
            notes: (report.notes.iter().map(|note| note.in_language(language))).collect(),
        };
        if report.problems.is_empty() || options.skip_bad {
            return answer;
        }
        let lines = report.problems.len();
        answer.refused(match language {
            Language::Ru => format!(
                "Файл не принят, ничего не сохранено: замечаний к строкам — {lines}. Исправьте их или пропустите: skip_bad=true."
            ),
            Language::En => format!(
                "The file is refused and nothing is stored: {lines} problems with its lines. Fix them, or leave them out with skip_bad=true."
            ),
        })
    }

    fn of_unreadable(reason: &'r str, options: Options) -> Self {
        let answer = Self {
            success: false,
            data: Empty {},
            message: String::new(),
            errors: Vec::new(),
            stored: false,
            dry_run: options.dry_run,
            counts: Tally::default(),
            problems: vec![Line {
                line: 0,
                column: "",
                reason,
            }],
            notes: Vec::new(),
        };
        answer.refused(reason.to_owned())
    }

    fn refused(self, message: String) -> Self {
        Self {
            success: false,
            errors: vec![Error {
                field: "",
                code: "file_refused",
                message: message.clone(),
            }],
            message,
            ..self
        }
    }

    fn respond(&self) -> Response {
        let status = if self.success {
            StatusCode::OK
        } else {
            StatusCode::BAD_REQUEST
        };
        match serde_json::to_string(self) {
            Ok(text) => json(status, text.into()),
            Err(_never) => Failure::Internal.into_response(),
        }
    }
}
