//! `aqua-orders journal resubmit`: a kept order, corrected in an editor perhaps, by the same way as over HTTP.

use std::{
    env,
    ffi::OsString,
    fmt::Write as _,
    io::Write as _,
    process::{Command as Process, Stdio},
    sync::Arc,
};

use serde_json::json;
use tempfile::NamedTempFile;
use uuid::Uuid;

use super::{
    search::{How, away, everything, find_batches},
    shown::{in_words, lines},
};
use crate::{
    cli::{
        CommandError, because,
        text::{clean, laid_out},
    },
    config::{Config, Publication},
    intake::{
        Intake,
        resubmit::{NotOneOrder, Resubmit, Resubmitted, one_order},
    },
    order::fault::Language,
    store::{
        Store,
        journal::{KeptOrder, Since},
    },
    telemetry::metrics::Metrics,
};

/// Sends a kept order again. Says what became of it, and whether it was accepted.
pub(super) async fn resubmit(
    id: &str,
    edit: bool,
    force: bool,
    how: &How,
    config: &Config,
    store: &Store,
) -> Result<(String, bool), CommandError> {
    let (batch, place) = match batch_and_place(id) {
        Some(named) => named,
        None => match &find_batches(id, how, config, store).await?[..] {
            [(_, batch)] => (batch.batch, None),
            several => {
                let count = several.len();
                return Err(format!(
                    "{count} batches have that X-Request-Id: name one by its id, as `journal rejected` shows it"
                ));
            }
        },
    };
    let mut found = Vec::new();
    for publication in how.publications(config)? {
        let orders = store
            .journal_orders(&publication.name, Some(batch), &everything())
            .await
            .map_err(away)?;
        let asked_for = orders
            .into_iter()
            .filter(|order| place.is_none_or(|place| order.position == place));
        found.extend(asked_for.map(|order| (publication, order)));
    }
    let mut what = "rejected";
    // Of what was rejected nothing is stored: where no place is named, it is meant first.
    if found.iter().any(|(_, order)| order.warnings.is_none()) {
        found.retain(|(_, order)| order.warnings.is_none());
    } else {
        what = "accepted with remarks";
    }
    let (publication, order) = match found.len() {
        0 => {
            return Err(format!(
                "the journal has no rejected order {id}, and none with remarks"
            ));
        }
        1 => found.remove(0),
        more => {
            return Err(format!(
                "{more} orders of that batch were {what}: say which, as in {batch}/{}",
                found[0].1.position
            ));
        }
    };
    if order.is_erased() {
        return Err(format!(
            "nothing is sent: what came as {id} was erased at its client's request"
        ));
    }
    let may_be_sent = async || match changed_since(publication, &order, store).await? {
        Some(what) if !force => Err(format!(
            "{what}; nothing is sent. --force sends it all the same, over what is there now"
        )),
        _ => Ok(()),
    };
    may_be_sent().await?;
    let (body, file) = if edit {
        let (body, file) = edited(&order.body)?;
        // That may have taken a while.
        if let Err(failure) = may_be_sent().await {
            return Err(kept(file, &failure));
        }
        (body, Some(file))
    } else {
        (order.body.clone(), None)
    };
    // It takes its turn with whatever a service beside us stores.
    let intake = Intake::new(store.clone(), config, Arc::new(Metrics::new(config)));
    let request_id = format!("resubmit-{}", Uuid::now_v7());
    let sent = Resubmit {
        publication: Arc::new(publication.clone()),
        request_id: request_id.clone(),
        login: order.login.clone(),
        order: body,
        language: Language::Ru,
    };
    let resubmitted = match (intake.resubmit(sent, false).await, file) {
        (Ok(resubmitted), _) => resubmitted,
        (Err(error), file) => {
            let failure = because("nothing is stored, try again", &error);
            return Err(file.map_or(failure.clone(), |file| kept(file, &failure)));
        }
    };
    let accepted = resubmitted.is_accepted();
    if accepted && let Err(error) = store.settle_kept(&publication.name, &order, None).await {
        // It is stored, and that is what counts.
        tracing::warn!(error = %error.in_full(), "the kept order could not be marked as settled");
    }
    let Resubmitted { key, entry } = resubmitted;
    if how.json {
        let mut object = entry;
        object["order"] = json!(key);
        object["publication"] = json!(publication.name);
        object["request_id"] = json!(request_id);
        return Ok((lines([object]), accepted));
    }
    let key = clean(&key);
    let mut said = if accepted {
        let number = entry["data"][0]["id"].as_str().unwrap_or("–");
        format!("order {key} is accepted, number {number}\n")
    } else {
        format!("order {key} is rejected\n")
    };
    for (list, kind) in [("errors", "fault"), ("warnings", "warning")] {
        for entry in entry[list].as_array().into_iter().flatten() {
            let _ = writeln!(said, "  {kind}: {}", in_words(entry));
        }
    }
    let _ = writeln!(said, "  request id: {request_id}");
    Ok((said, accepted))
}

/// What was stored after the kept order came in: sending it again would undo that. `None`: nothing.
async fn changed_since(
    publication: &Publication,
    order: &KeptOrder,
    store: &Store,
) -> Result<Option<String>, CommandError> {
    let now = store.versions(&publication.name, &order.order_key).await;
    let Some(now) = now.map_err(away)? else {
        return Ok(None);
    };
    let key = clean(&order.order_key);
    let see = format!("see `aqua-orders journal order {}`", now.order);
    let what = order.changed_since(&now);
    Ok(what.map(|what| match what {
        Since::CameIn => format!(
            "there is an order {key} by now, number {}: {see}",
            now.order
        ),
        Since::OrderChanged => {
            format!(
                "order {key}, number {}, has changed since: {see}",
                now.order
            )
        }
        Since::ClientChanged => format!(
            "the client of order {key}, number {}, has changed since, or an address of his",
            now.client
        ),
    }))
}

/// A batch's id, perhaps with the place of an order in it. `None`: it is something else.
fn batch_and_place(id: &str) -> Option<(Uuid, Option<i32>)> {
    match id.split_once('/') {
        None => Some((id.parse().ok()?, None)),
        Some((batch, place)) => Some((batch.parse().ok()?, Some(place.parse().ok()?))),
    }
}

/// Somebody's work is not thrown away for a slip of the pen, or a database that is away: says where it is.
fn kept(file: NamedTempFile, failure: &str) -> CommandError {
    match file.keep() {
        Ok((_, path)) => format!("{failure}; what you wrote is in {}", path.display()),
        Err(_) => failure.to_owned(),
    }
}

/// The body after somebody's work on it in an editor, and the file it is in.
fn edited(body: &str) -> Result<(String, NamedTempFile), CommandError> {
    let cannot = |error: &std::io::Error| because("the order cannot be edited", error);
    let laid_out = laid_out(body);
    // Only we may read what is in there.
    let mut file = tempfile::Builder::new()
        .prefix("order-")
        .suffix(".json")
        .tempfile()
        .map_err(|error| cannot(&error))?;
    file.write_all(format!("{laid_out}\n").as_bytes())
        .map_err(|error| cannot(&error))?;
    let set = |name| env::var_os(name).filter(|value| !value.is_empty());
    let editor = set("VISUAL")
        .or_else(|| set("EDITOR"))
        .unwrap_or_else(|| "vi".into());
    // As others do it: the variable may hold options, too.
    let mut command = OsString::from(&editor);
    command.push(" \"$1\"");
    let ended = Process::new("sh")
        .arg("-c")
        .arg(command)
        .arg("editor")
        .arg(file.path())
        .stdin(Stdio::inherit())
        .status()
        .map_err(|error| cannot(&error))?;
    let editor = editor.to_string_lossy();
    if !ended.success() {
        return Err(format!(
            "{editor} ended with {ended}, nothing is sent; name another in VISUAL or EDITOR"
        ));
    }
    let text = std::fs::read_to_string(file.path()).map_err(|error| cannot(&error))?;
    let order = match one_order(&text) {
        Ok(order) if order == laid_out => {
            return Err("nothing was changed, nothing is sent".into());
        }
        Ok(order) => order.to_owned(),
        Err(NotOneOrder::Empty) => return Err("the order is empty, nothing is sent".into()),
        Err(NotOneOrder::NotJson(error)) => {
            return Err(kept(
                file,
                &format!("this is not JSON, nothing is sent: {error}"),
            ));
        }
        Err(error @ NotOneOrder::List) => {
            return Err(kept(file, &format!("{error}; nothing is sent")));
        }
    };
    Ok((order, file))
}
