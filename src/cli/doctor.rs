//! `doctor`: what is wrong with this set-up, in words, each thing with its mend.

use std::{net::SocketAddr, path::Path, time::Duration};

use chrono::{NaiveTime, Utc};
use tokio::net::TcpListener;

use super::{Failure, because, check, root, say};
use crate::{
    backup,
    config::{Access, Backup, Config, Environment},
    database::{self, Disk, Space, binaries},
    http::tls::Tls,
    store::Store,
};

/// Bytes that a rejected order of the usual size takes in the journal.
const USUAL_ORDER: usize = 2048;

/// What was found; printed as it is found.
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

pub(super) async fn run(path: &Path) -> Result<(), Failure> {
    let mut found = Findings::default();
    match Config::load(path, &Environment::of_process()) {
        Err(error) => found.fault(error.to_string()),
        Ok(config) => {
            good(format!("settings: {}", path.display()));
            publications(&config);
            tls(&config, &mut found);
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
        1 => Err("one fault; its mend stands above".into()),
        more => Err(format!("{more} faults; their mends stand above")),
    }
}

fn publications(config: &Config) {
    for publication in &config.publications {
        let who = match &publication.access {
            Access::Users(users) => format!("{} user(s)", users.len()),
            Access::Anonymous => "anybody who reaches it".into(),
        };
        let from = if publication.allow_from.is_empty() {
            "anywhere".into()
        } else {
            format!("{} network(s)", publication.allow_from.len())
        };
        good(format!(
            "publication {}: {who} may post, from {from}",
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
    match check::look(config).await {
        Err(failure) => found.fault(failure),
        Ok(state) => {
            let faults = check::faults(&state, settings);
            if faults.is_empty() {
                good(format!("database: PostgreSQL {} answers", state.version));
            }
            for fault in faults {
                found.fault(fault);
            }
            if !state.not_durable.is_empty() && settings.may_lose_orders {
                note(format!(
                    "{}, which the settings allow",
                    check::forgets(&state)
                ));
            }
            if state.pending > 0 {
                note("schema: the next start brings it up to date");
            } else {
                good("schema: current");
                if let Err(failure) = journal(config, found).await {
                    found.fault(failure);
                }
            }
        }
    }
}

/// Looks how much of the day's budget for rejected orders is used up.
async fn journal(config: &Config, found: &mut Findings) -> Result<(), Failure> {
    let away = |error: database::Error| because("the database cannot be used", &error);
    let mut opened = database::open_beside(&config.database)
        .await
        .map_err(away)?;
    let patience = config.database.start_timeout;
    opened.servers.put_primary_first(patience).await;
    let store = Store::new(opened.servers, &config.database);
    let midnight = Utc::now().date_naive().and_time(NaiveTime::MIN).and_utc();
    let budget = config.journal.rejected_bytes_per_day;
    for publication in &config.publications {
        let name = &publication.name;
        match store.kept_bytes(name, midnight).await {
            // What is left has no room for the usual order.
            Ok(bytes) if bytes + USUAL_ORDER > budget => found.fault(format!(
                "journal: publication {name} has used up its {budget} bytes for rejected orders today, so they are counted and \
                 not kept: see who sends them (aqua-orders journal batches); `rejected_bytes_per_day` in [journal] sets the limit"
            )),
            Ok(bytes) => good(format!(
                "journal: publication {name} has taken {bytes} of {budget} bytes for rejected orders today"
            )),
            Err(error) => found.fault(format!("journal: {}", error.in_full())),
        }
    }
    store.close().await;
    match opened.private {
        Some(cluster) => cluster.stop().await.map_err(away),
        None => Ok(()),
    }
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
