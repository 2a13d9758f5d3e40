//! `mock`: the service to try a sender on, on a database that is thrown away, with faults at the sender's wish.

use std::{
    env,
    fs::{self, DirBuilder},
    io::{self, IsTerminal, stdout},
    net::SocketAddr,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::{Child, Stdio},
};

use clap::Args;
use uuid::Uuid;

use super::{CommandError, because, on_runtime, say, serve};
use crate::{
    config::{Config, Environment},
    database::Account,
    http::mock::{Faults, GRAMMAR},
    telemetry,
};

/// Where to listen, and what is to go wrong.
#[derive(Debug, Args)]
#[command(after_help = PUBLICATIONS, after_long_help = format!("{PUBLICATIONS}\n\n{GRAMMAR}"))]
pub(super) struct Mock {
    /// Where senders connect
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8889")]
    listen: SocketAddr,
    /// What goes wrong with every request, as in `unavailable=2,lost-answer=1`; --help lists the faults
    #[arg(
        long,
        value_name = "FAULTS",
        default_value = "none",
        hide_default_value = true
    )]
    fault: Faults,
}

const PUBLICATIONS: &str = "\
Two publications with the demo catalogue, and nothing in common:

  /demodelivery/hs/AquaDeliveri/getOrdersURL    for anybody
  /demologin/hs/AquaDeliveri/getOrdersURL       HTTP Basic: login site, password test

In a browser: /try checks an order, /docs describes the fields.

The settings file, DATABASE_URL and the other AQUA_… variables count for nothing here, but for
AQUA_POSTGRES_BIN. What was sent is gone when the mock stops.";

/// The hash is that of `test`. It guards nothing.
const SETTINGS: &str = r#"
# A sender that waits must not keep the mock from stopping.
times = { stop = 1 }
operator = { listen = "off", public_docs = true }

[[publication]]
name = "demodelivery"
aliases = ["demodelivery_web"]
anonymous = true
anonymous_from_anywhere = true
# As a publication with a login answers: nothing here is anybody's secret.
answers_stored = true
loyalty_system_is_active = true
first_order_number = 50894
first_client_number = 1000
first_address_number = 3000
first_product_number = 1000
demo_data = "demo"

[[publication]]
name = "demologin"
users = [{ login = "site", password_hash = "$argon2id$v=19$m=19456,t=2,p=1$ydmNGHZaWmROfYu3qkgJtw$4pwVeLsGk4YEdKZznkeMcwRmMRO5hZ5h7VBT+8RwHk4" }]
loyalty_system_is_active = true
first_order_number = 50894
first_client_number = 1000
first_address_number = 3000
first_product_number = 1000
demo_data = "demo"
"#;

const DEMO: [(&str, &str); 3] = [
    ("clients.csv", include_str!("../../config/demo/clients.csv")),
    (
        "districts.csv",
        include_str!("../../config/demo/districts.csv"),
    ),
    (
        "products.csv",
        include_str!("../../config/demo/products.csv"),
    ),
];

pub(super) fn run(mock: &Mock) -> Result<(), CommandError> {
    on_runtime(async {
        // Before there is anything to clear away.
        let stop = serve::stop_signal(Some(serve::hang_ups()?))?;
        // Dropped last to first: the keeper finds nothing that is left.
        let (_keeper, folder) = folder()?;
        let config = settings(mock.listen, &folder.path)?;
        telemetry::start(&config.log);
        if stdout().is_terminal() {
            say(format_args!("{PUBLICATIONS}\n"));
        }
        Box::pin(serve::run_until(
            stop,
            config,
            serve::systemd::Sockets::none(),
            None,
            Some(mock.fault.clone()),
        ))
        .await
    })
}

/// The mock's folder is that of whoever runs it. For root that is somebody else, as with any service of ours.
fn folder() -> Result<(Child, Folder), CommandError> {
    let cannot = |error: &dyn std::error::Error| {
        because("no folder for the mock's database can be made", error)
    };
    let account =
        Account::for_postgres(Path::new("/nonexistent")).map_err(|error| cannot(&error))?;
    let made = account
        .acting(Folder::make)
        .map_err(|error| cannot(&error))?;
    let folder = made.map_err(|error| cannot(&error))?;
    let keeper = account
        .command(Path::new("/bin/sh"), Path::new("/"))
        .args(["-c", KEEPER, "aqua-orders-mock"])
        .arg(&folder.path)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| cannot(&error))?;
    Ok((keeper, folder))
}

fn settings(listen: SocketAddr, folder: &Path) -> Result<Config, CommandError> {
    let environment = Environment {
        listen: Some(listen.to_string()),
        data_dir: Some(folder.join("postgres")),
        ..Environment::default()
    };
    Config::parse(&folder.join("mock.toml"), SETTINGS, &environment)
        .map_err(|error| format!("the mock's own settings are refused\n{error}"))
}

/// A folder of the mock's own, with the demo data in it; removed when it is dropped.
struct Folder {
    path: PathBuf,
}

/// Ends what is left when the mock was killed, and removes it: nobody would find a PostgreSQL in a folder of some random name. It
/// notices by a pipe that breaks. $1 is the folder.
const KEEPER: &str = r#"
cat >/dev/null
file=$1/postgres/postmaster.pid
if pid=$(head -n 1 "$file" 2>/dev/null) && [ "$(readlink "/proc/$pid/cwd")" = "$1/postgres" ]; then
    kill -QUIT "$pid"
fi
until rm -rf "$1"; do sleep 0.1; done
"#;

impl Folder {
    fn make() -> io::Result<Self> {
        let path = env::temp_dir().join(format!("aqua-orders-mock-{}", Uuid::new_v4()));
        DirBuilder::new().mode(0o700).create(&path)?;
        let folder = Self { path };
        let demo = folder.path.join("demo");
        fs::create_dir(&demo)?;
        for (name, text) in DEMO {
            fs::write(demo.join(name), text)?;
        }
        Ok(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            tracing::warn!(folder = %self.path.display(), %error, "the mock's folder is left behind");
        }
    }
}

#[cfg(test)]
mod tests {
    use argon2::{Argon2, PasswordVerifier};

    use super::*;
    use crate::config::Access;

    #[test]
    fn the_mocks_own_settings_are_right_also_where_others_can_call() {
        let folder = Folder::make().expect("a folder");
        for listen in ["127.0.0.1:8889", "0.0.0.0:8889"] {
            let listen = listen.parse().expect("an address");
            let config = settings(listen, &folder.path).expect("settings");
            assert_eq!(config.listen, listen);
            assert!(config.database.url.is_none());
            assert!(config.database.data_dir.starts_with(&folder.path));
            let closed = config.publication("demologin").expect("a publication");
            let Access::Users(users) = &closed.access else {
                panic!("demologin is open");
            };
            let hash = users[0].password_hash.expose();
            assert_eq!(users[0].login, "site");
            assert!(Argon2::default().verify_password(b"test", hash).is_ok());
        }
        let path = folder.path.clone();
        drop(folder);
        assert!(!path.exists());
    }
}
