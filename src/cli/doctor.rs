//! `doctor`: what is wrong with this set-up, in words, and how to fix each problem.

use std::{fmt::Write as _, net::SocketAddr, path::Path, time::Duration};

use chrono::{NaiveTime, Utc};
use tokio::net::TcpListener;

use super::{CommandError, check, on_database, root, say, text::clean};
use crate::{
    backup,
    config::{Access, Backup, Config, Environment},
    database::{self, Disk, Space, binaries},
    exchange::targets,
    http::listener::tls::Tls,
    store::{Store, merged::Merged, targets::Target as Key},
};

/// Bytes that a rejected order of the usual size takes in the journal.
const USUAL_ORDER: usize = 2048;

/// Of each kind of merged records so many are listed, and of each as many orders.
const LISTED: i32 = 10;

/// What to do about open orders of a merged client or address.
const SEND_AGAIN: &str = "compare them with the site before they are delivered, or have the site send them again: each then has a \
    client and an address of its own";

#[derive(Default)]
struct Findings {
    faults: usize,
}

impl Findings {
    fn fault(&mut self, what: impl AsRef<str>) {
        self.faults += 1;
        say(format_args!(
            "FAULT  {}",
            what.as_ref().replace('\n', "\n       ")
        ));
    }
}

fn good(what: impl AsRef<str>) {
    say(format_args!("ok     {}", what.as_ref()));
}

fn note(what: impl AsRef<str>) {
    say(format_args!("note   {}", what.as_ref()));
}

pub(super) async fn run(path: &Path) -> Result<(), CommandError> {
    let mut found = Findings::default();
    match Config::load(path, &Environment::of_process()) {
        Err(error) => found.fault(error.to_string()),
        Ok(config) => {
            good(format!("settings: {}", path.display()));
            publications(&config);
            tls(&config, &mut found);
            targets(&config, &mut found);
            listener(config.listen, "`listen`", &mut found).await;
            if let Some(address) = config.operator.listen {
                listener(address, "`listen` in [operator]", &mut found).await;
                if !address.ip().is_loopback() {
                    note(format!(
                        "{address} tells whoever reaches it how the service is, and asks nobody who they are: leave it to machines \
                         of your own"
                    ));
                }
            }
            database(&config, &mut found).await;
            backups(&config.backup, &mut found);
        }
    }
    match found.faults {
        0 => Ok(()),
        1 => Err("one fault; how to fix it stands above".into()),
        more => Err(format!("{more} faults; how to fix them stands above")),
    }
}

fn publications(config: &Config) {
    for publication in &config.publications {
        let mut reads = String::new();
        let who = match &publication.access {
            Access::Users(users) => format!("{} user(s)", users.len()),
            Access::Anonymous => "anybody who reaches it".into(),
        };
        if !publication.back_office.is_empty() {
            let logins = publication.back_office.len();
            reads = format!("; {logins} back office(s) may read the feed");
        }
        let from = if publication.is_bound_to_networks() {
            format!("{} network(s)", publication.allow_from.len())
        } else {
            "anywhere".into()
        };
        good(format!(
            "publication {}: {who} may post, from {from}{reads}",
            publication.name
        ));
    }
    let notes = config.notes();
    if config.tls.is_none() && !config.listen.ip().is_loopback() && notes.is_empty() {
        note(format!(
            "{} is reached from other machines in plain text: set `tls`, or put a proxy with TLS in front",
            config.listen
        ));
    }
    notes.iter().for_each(note);
    root::note(config).into_iter().for_each(note);
}

fn tls(config: &Config, found: &mut Findings) {
    if let Some(files) = &config.tls {
        match Tls::open(files) {
            Ok(_) => good("tls: the certificate and its key can be used"),
            Err(error) => found.fault(error.to_string()),
        }
    }
}

fn targets(config: &Config, found: &mut Findings) {
    for publication in &config.publications {
        for target in &publication.targets {
            let name = format!("target {} of {}", target.name, publication.name);
            match targets::check(target) {
                Ok(()) => good(format!("{name}: its settings can be used")),
                Err(error) => found.fault(format!("{name}: {error}")),
            }
        }
    }
}

async fn listener(address: SocketAddr, setting: &str, found: &mut Findings) {
    match TcpListener::bind(address).await {
        Ok(_) => good(format!("{address} is free to listen on")),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => note(format!(
            "{address} is taken: by the running service, or else by another program (ss -ltnp says which); then change {setting}"
        )),
        Err(error) => found.fault(format!(
            "cannot listen on {address}: {error}; write an address of this machine in {setting}, and a port above 1023 unless root"
        )),
    }
}

async fn database(config: &Config, found: &mut Findings) {
    let settings = &config.database;
    if settings.url.is_none() {
        match binaries::find(None) {
            Ok(binaries) => good(format!(
                "PostgreSQL {} for the private cluster, in {}",
                binaries.major,
                binaries.folder.display()
            )),
            Err(error) => return found.fault(error.to_string()),
        }
        space(&settings.data_dir, found);
        if !database::has_private_cluster(settings) {
            return note(format!(
                "the private cluster in {} is made at the first start",
                settings.data_dir.display()
            ));
        }
    }
    match check::database_state(config).await {
        Err(failure) => found.fault(failure),
        Ok(state) => {
            let faults = check::faults(&state, settings);
            if faults.is_empty() {
                good(format!("database: PostgreSQL {} answers", state.version));
            }
            for fault in faults {
                found.fault(fault);
            }
            for worker in &state.workers {
                if worker.not_durable.as_ref().is_ok_and(Vec::is_empty) {
                    good(format!("worker {} answers", worker.name));
                }
            }
            if !state.not_durable.is_empty() && settings.may_lose_orders {
                note(format!(
                    "{}, which the settings allow",
                    check::not_durable(&state.not_durable)
                ));
            }
            if state.pending > 0 {
                note("schema: the next start brings it up to date");
            } else {
                good("schema: current");
                match check::console(config).await {
                    Ok(said) => said.into_iter().for_each(good),
                    Err(failure) => found.fault(failure),
                }
                if let Err(failure) = stored(config, found).await {
                    found.fault(failure);
                }
            }
        }
    }
}

async fn stored(config: &Config, found: &mut Findings) -> Result<(), CommandError> {
    on_database(config, config.database.start_timeout, async |servers| {
        let store = Store::new(servers, &config.database);
        for fault in check::unreadable(&store, config).await {
            found.fault(fault);
        }
        journal(config, &store, found).await;
        merged(config, &store, found).await;
        sendings(config, &store, found).await;
        store.close().await;
        Ok(())
    })
    .await
}

/// Looks how much of the day's budget for kept orders is used up.
async fn journal(config: &Config, store: &Store, found: &mut Findings) {
    let midnight = Utc::now().date_naive().and_time(NaiveTime::MIN).and_utc();
    let budget = config.journal.rejected_bytes_per_day;
    for publication in &config.publications {
        let name = &publication.name;
        match store.kept_bytes(name, midnight).await {
            // What is left has no room for the usual order.
            Ok(bytes) if bytes + USUAL_ORDER > budget => found.fault(format!(
                "journal: publication {name} has used up its {budget} bytes for rejected orders and those with remarks today, so \
                 they are counted and not kept: see who sends them (aqua-orders journal batches); `rejected_bytes_per_day` in [journal] sets the limit"
            )),
            Ok(bytes) => good(format!(
                "journal: publication {name} has taken {bytes} of {budget} bytes for rejected orders and those with remarks \
                 today"
            )),
            Err(error) => found.fault(format!("journal: {}", error.in_full())),
        }
    }
}

/// Looks whether orders reach the targets.
async fn sendings(config: &Config, store: &Store, found: &mut Findings) {
    for publication in &config.publications {
        for target in &publication.targets {
            let name = format!("target {} of {}", target.name, publication.name);
            let key = Key {
                publication: &publication.name,
                name: &target.name,
                since: target.since,
            };
            let takes = target.takes.as_slice().into();
            let look = store.look_at_target(key, takes).await;
            let overview = store.target_overview(key).await;
            let (look, overview) = match (look, overview) {
                (Ok(look), Ok(overview)) => (look, overview),
                (Err(error), _) | (_, Err(error)) => {
                    found.fault(format!("{name}: {}", error.in_full()));
                    continue;
                }
            };
            let error = overview.and_then(|overview| overview.error);
            let error = clean(error.as_deref().unwrap_or_default()).into_owned();
            if look.refuses_us {
                found.fault(format!(
                    "{name} refuses us: {error}; put the right secret into `secret_file`, which is read at each try, or correct \
                     `user` or `url` and restart the service; aqua-orders target resume {} tries at once",
                    target.name
                ));
            } else if look.failures > 0 {
                found.fault(format!(
                    "{name} failed {} time(s) in a row: {error}; {} order(s) wait for it and are sent once it works",
                    look.failures, look.lag_orders
                ));
            } else if look.paused {
                note(format!(
                    "{name} is paused, {} order(s) wait for it: aqua-orders target resume {}",
                    look.lag_orders, target.name
                ));
            } else {
                good(format!("{name}: {} order(s) wait for it", look.lag_orders));
            }
            if look.dead > 0 {
                found.fault(format!(
                    "{name} refused {} order(s) to the last try: aqua-orders target status {} lists them with the reasons; once \
                     they are gone, aqua-orders target resend {1} --dead",
                    look.dead, target.name
                ));
            }
        }
    }
}

/// Looks for clients, addresses and orders that were merged under an id that is no identity, before the reader took it for none.
async fn merged(config: &Config, store: &Store, found: &mut Findings) {
    for publication in &config.publications {
        let name = &publication.name;
        let records = match store.merged(name, LISTED).await {
            Ok(records) => records,
            Err(error) => {
                found.fault(format!("merged records: {}", error.in_full()));
                continue;
            }
        };
        if records.is_empty() {
            good(format!(
                "merged records: publication {name} has none under an id such as 0 that is nobody's"
            ));
        }
        for (kind, happened, advice) in [
            (
                "client",
                "everybody who was sent so became one client, and each order overwrote the name and phone of the one before",
                SEND_AGAIN,
            ),
            (
                "address",
                "addresses of one client that were sent so became one, and each order overwrote the one before",
                SEND_AGAIN,
            ),
            (
                "order",
                "orders that were sent so became one, and each overwrote the one before",
                "ask the site which orders these were: it has to send each under an id of its own",
            ),
        ] {
            let of_kind = records.iter().filter(|record| record.kind == kind);
            let of_kind: Vec<&Merged> = of_kind.collect();
            let Some(first) = of_kind.first() else {
                continue;
            };
            let text = format!(
                "merged records: publication {name} has {} {kind} record(s) under an id that is nobody's: {happened}. Nobody can tell \
                 them apart any more; new orders do not join them{}",
                first.all_of_kind,
                merged_list(&of_kind),
            );
            if first.open > 0 {
                found.fault(format!(
                    "{text}\n{} order(s) are open: {advice} (docs/operations.ru.md)",
                    first.open_of_kind
                ));
            } else {
                note(text.replace('\n', "\n       "));
            }
        }
    }
}

/// A line for each.
fn merged_list(records: &[&Merged]) -> String {
    let mut text = String::new();
    for record in records {
        let Merged {
            kind,
            number,
            sender_id,
            says,
            client,
            orders,
            open,
            open_numbers,
            all_of_kind: _,
            open_of_kind: _,
        } = record;
        let (id, says) = (clean(sender_id), clean(says));
        // Writing to a text cannot fail.
        let _ = match kind.as_str() {
            "order" => write!(
                text,
                "\n  order {number} (id {id:?}) of client {client}: {says}"
            ),
            "address" => write!(
                text,
                "\n  address {number} (id {id:?}) of client {client}: now {says}; {orders} order(s)"
            ),
            _ => write!(
                text,
                "\n  client {number} (id {id:?}): now {says}; {orders} order(s)"
            ),
        };
        if kind != "order" && *open > 0 {
            let numbers: Vec<String> = open_numbers.iter().map(i32::to_string).collect();
            let more = open - i64::try_from(numbers.len()).unwrap_or(*open);
            let _ = write!(text, ", {open} open: {}", numbers.join(", "));
            if more > 0 {
                let _ = write!(text, " and {more} more");
            }
        }
    }
    if let Some(first) = records.first() {
        let more = first.all_of_kind - i64::try_from(records.len()).unwrap_or(first.all_of_kind);
        if more > 0 {
            let _ = write!(text, "\n  and {more} more");
        }
    }
    text
}

/// Looks at the room where the private cluster is, or will be.
fn space(folder: &Path, found: &mut Findings) {
    let Some(disk) = Disk::of(folder) else { return };
    let text = format!(
        "{} MiB free for the private cluster in {}",
        disk.free / (1024 * 1024),
        folder.display()
    );
    match disk.space() {
        Space::Enough => good(text),
        Space::Scarce | Space::Full => found.fault(format!(
            "only {text}: make room, or move it ([database] data_dir); rejected orders are not kept while so little is free"
        )),
    }
}

/// Looks whether somebody made a backup lately.
fn backups(settings: &Backup, found: &mut Findings) {
    let Some(folder) = &settings.folder else {
        return note(
            "backups: nobody looks whether they are made; name their folder in [backup] folder (deploy/backup.sh makes them)",
        );
    };
    let at = folder.display();
    match backup::newest(folder) {
        Err(error) => found.fault(format!(
            "backups: cannot look into {at}: {error}; make the folder and let this user read it, or correct [backup] folder"
        )),
        Ok(None) => found.fault(format!(
            "backups: none in {at} yet; deploy/backup.sh makes one"
        )),
        Ok(Some(newest)) => {
            let text = format!(
                "the newest, {}, is {} old",
                newest.path.display(),
                in_words(newest.age)
            );
            if newest.age > settings.max_age {
                found.fault(format!(
                    "backups: {text}, more than `max_age` allows; see why none was made since (systemctl status \
                     aqua-orders-backup), and run deploy/backup.sh"
                ));
            } else {
                good(format!("backups: {text}"));
            }
        }
    }
}

/// A time as people say it, in its largest unit that is at least two.
fn in_words(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds @ 7_200..172_800 => format!("{} h", seconds / 3_600),
        seconds => format!("{} days", seconds / 86_400),
    }
}
