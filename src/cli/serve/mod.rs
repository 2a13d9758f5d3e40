//! `serve`: the service, from its database to its last answer.

mod reload;
pub(super) mod systemd;

use std::{
    convert::Infallible,
    future::Future,
    io::{IsTerminal, stdin, stdout},
    net::SocketAddr,
    pin::pin,
    sync::{Arc, OnceLock, atomic::Ordering},
    time::{Duration, Instant},
};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use sqlx::postgres::PgConnectOptions;
use tokio::{
    net::{TcpListener, TcpSocket},
    signal::unix::{Signal, SignalKind, signal},
    sync::{Notify, oneshot},
    task::JoinHandle,
    time::{sleep, timeout},
};

use self::systemd::Sockets;
use super::{CommandError, because, check, no_database, root, say};
use crate::{
    config::{self, Config, Publication},
    database::{self, Opened, PrivateCluster, Servers},
    exchange::targets::Targets,
    http::{self, App, listener::tls::Tls, mock::Faults, operator::Operator},
    import::{self, Demo},
    intake::Intake,
    retention,
    store::{Store, session_settings},
    telemetry::{metrics::Metrics, traces},
};

pub(super) async fn run(config: Config, sockets: Sockets) -> Result<(), CommandError> {
    let hang_ups = hang_ups()?;
    let (stop, hang_ups) = if stdin().is_terminal() {
        // There it says that the terminal was closed.
        (stop_signal(Some(hang_ups))?, None)
    } else {
        (stop_signal(None)?, Some(hang_ups))
    };
    Box::pin(run_until(stop, config, sockets, hang_ups, None)).await
}

/// The same until `stop` resolves, reading the settings again at each of `hang_ups`; with faults it is the mock (`super::mock`).
pub(super) async fn run_until(
    stop: impl Future<Output = ()>,
    config: Config,
    mut sockets: Sockets,
    hang_ups: Option<Signal>,
    faults: Option<Faults>,
) -> Result<(), CommandError> {
    // Before the database, which may take its time: a port that is taken is known at once, and whoever calls meanwhile
    // is answered 503 and not left to wait.
    let setting = match faults {
        None => "`listen`, AQUA_LISTEN",
        Some(_) => "--listen",
    };
    let is_systemds = sockets.listen_on(config.listen);
    let (listener, address) = listen(config.listen, setting, &mut sockets)?;
    let operators_listener = match config.operator.listen {
        Some(address) => {
            let setting = "`listen` in [operator], AQUA_OPERATOR_LISTEN; \"off\" does without";
            Some(listen(address, setting, &mut sockets)?)
        }
        None => None,
    };
    sockets.refuse_left_over()?;
    let open_tls = |files: &Option<config::Tls>| {
        let tls = files.as_ref().map(Tls::open).transpose();
        tls.map_err(|error| error.to_string())
    };
    let (tls, operators_tls) = (open_tls(&config.tls)?, open_tls(&config.operator.tls)?);
    let _until_the_end = traces::start(&config.traces).map_err(|error| error.to_string())?;
    raise_open_files_limit(&config.limits);
    for note in config.notes() {
        tracing::warn!("{note}");
    }
    // Before root's rights are given up: the user that we become may not be able to read the folder.
    let demos = demo_data(&config).await;
    root::give_up(&config)?;
    let config = Arc::new(config);
    let metrics = Arc::new(Metrics::new(&config));
    let targets = Arc::new(OnceLock::<Targets>::new());
    let app = Arc::new(App::new(Arc::clone(&config), Arc::default(), metrics));
    let works = Works {
        app: Arc::clone(&app),
        targets: Arc::clone(&targets),
        begun: Arc::default(),
    };
    let operator = Operator::new(Arc::clone(&app)).with_tls(operators_tls);
    let stopping = Arc::clone(&operator.stopping);
    let stopped_at = Arc::new(OnceLock::new());
    let stop = {
        let stopped_at = Arc::clone(&stopped_at);
        async move {
            stop.await;
            systemd::stopping();
            stopping.store(true, Ordering::Relaxed);
            if let Some(targets) = targets.get() {
                targets.stop();
            }
            // Nobody else sets it.
            let _ = stopped_at.set(Instant::now());
        }
    };
    let mut stop = pin!(stop);
    let addresses = Addresses {
        listen: address,
        operator: operators_listener.as_ref().map(|(_, address)| *address),
    };
    // It answers until the very end: an operator wants to see a stop, too.
    let (_stays, ended) = oneshot::channel::<()>();
    if let Some((listener, _)) = operators_listener {
        tokio::spawn(http::serve_operator(listener, operator, async {
            let _ = ended.await;
        }));
    }
    systemd::status("waiting for the database; requests get 503");
    // In a task of its own: a stop must not leave an `initdb` behind that nobody knows of.
    let mut opening = tokio::spawn({
        let config = Arc::clone(&config);
        async move { database::open(&config.database).await }
    });
    let mut opened = None;
    let serving = async {
        if is_systemds {
            // Whoever connected since the last process stopped would rather wait a little longer than be told 503. Where we are
            // stopped meanwhile, the next process finds them there.
            tokio::select! {
                _ = timeout(CALLERS_WAIT, works.begun.notified()) => {}
                () = &mut stop => return 0,
            }
        }
        http::serve(listener, app, faults, tls, stop).await
    };
    let busy = tokio::select! {
        busy = serving => Ok(busy),
        failure = work(&config, demos, addresses, &works, hang_ups, &mut opening, &mut opened) => Err(failure),
    };
    if let Some(intake) = works.app.intake.get() {
        intake.stop();
    }
    if let Some(targets) = works.targets.get() {
        let waited = stopped_at.get().map_or(Duration::ZERO, Instant::elapsed);
        let patience = config.times.stop.saturating_sub(waited);
        targets.stop();
        targets.stopped(patience).await;
    }
    match busy {
        Ok(0) => tracing::info!("stopped, every request answered"),
        Ok(busy) => tracing::warn!(
            connections = busy,
            "stopped, not waiting for the last answers any longer"
        ),
        Err(_) => {}
    }
    let cluster = match opened {
        Some(opened) => opened.private,
        None if busy.is_ok() => match opening.await {
            Ok(Ok(opened)) => opened.private,
            _ => None,
        },
        None => None,
    };
    if let Some(cluster) = cluster {
        stop_cluster(cluster).await;
    }
    busy.map(|_| ())
}

/// What goes on once the database is ready.
#[derive(Clone)]
struct Works {
    app: Arc<App>,
    targets: Arc<OnceLock<Targets>>,
    /// Orders are taken.
    begun: Arc<Notify>,
}

/// How long callers on systemd's socket wait for the database. With one that is there, a start takes a moment.
const CALLERS_WAIT: Duration = Duration::from_secs(5);

#[derive(Clone, Copy)]
struct Addresses {
    listen: SocketAddr,
    operator: Option<SocketAddr>,
}

/// Connections that may wait to be accepted. A caller past that tries again after a second, so a crowd that connects all at
/// once must not fill the queue.
const BACKLOG: u32 = 4096;

/// Listens there, which `setting` says: on systemd's socket, where it has one.
fn listen(
    address: SocketAddr,
    setting: &str,
    sockets: &mut Sockets,
) -> Result<(TcpListener, SocketAddr), CommandError> {
    let cannot = |error| because(format!("cannot listen on {address} ({setting})"), &error);
    if let Some(socket) = sockets.take(address) {
        return Ok((TcpListener::from_std(socket).map_err(cannot)?, address));
    }
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    };
    let bound = socket.and_then(|socket| {
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    });
    let listener = bound.map_err(cannot)?;
    let address = listener.local_addr().map_err(cannot)?;
    Ok((listener, address))
}

/// Connections are files to the system, and of those it grants a process few unless asked for more.
fn raise_open_files_limit(limits: &config::Limits) {
    // The listener, the log, PostgreSQL and whatever the libraries open.
    const OTHERS: u64 = 600;
    let want = limits.connections as u64 + OTHERS;
    let granted = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(now, most)| {
        if now < want {
            setrlimit(Resource::RLIMIT_NOFILE, want.min(most), most)?;
        }
        Ok(now.max(want.min(most)))
    });
    match granted {
        Ok(granted) if granted >= want => {}
        Ok(granted) => tracing::warn!(
            granted,
            wanted = want,
            "the system grants fewer open files (ulimit -n) than `connections` in [limits] may take"
        ),
        Err(error) => tracing::warn!(%error, "the number of open files cannot be raised"),
    }
}

/// Opens the database and lets the orders in; after that keeps the private cluster, where there is one, running. Ends
/// only when it cannot begin.
async fn work(
    config: &Config,
    demos: Vec<Demo>,
    addresses: Addresses,
    works: &Works,
    hang_ups: Option<Signal>,
    opening: &mut JoinHandle<Result<Opened, database::Error>>,
    opened: &mut Option<Opened>,
) -> CommandError {
    let Opened {
        servers,
        private: cluster,
    } = match opening.await {
        Ok(Ok(now)) => opened.insert(now),
        Ok(Err(error)) => return no_database(error),
        Err(error) => return because("the database cannot be used", &error),
    };
    let console = match cluster {
        Some(cluster) => Some(cluster.console_options().into()),
        None => match database::console_servers(&config.operator) {
            Ok(console) => console,
            Err(error) => return no_database(error),
        },
    };
    let logins = (servers.clone(), console);
    let begun = begin(config, demos, logins, addresses, works, hang_ups);
    let begun = match cluster {
        None => begun.await,
        Some(cluster) => tokio::select! {
            begun = begun => begun,
            never = keep_running(cluster) => match never {},
        },
    };
    match (begun, cluster) {
        (Err(failure), _) => failure,
        (Ok(()), Some(cluster)) => match keep_running(cluster).await {},
        (Ok(()), None) => std::future::pending().await,
    }
}

/// The pause before a private cluster that does not start is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// Keeps the private cluster up for as long as the service runs. While it is away the service answers 503: a full disk
/// that somebody clears must not need a restart besides.
async fn keep_running(cluster: &mut PrivateCluster) -> Infallible {
    loop {
        let error = cluster.keep_running().await;
        let error = because("PostgreSQL does not start", &error);
        tracing::error!(error = %error, "batches get 503 until it does; it is tried again every few seconds");
        sleep(TRY_AGAIN).await;
    }
}

/// Makes the database ready, for the service's own login and the console's, and lets the orders in.
async fn begin(
    config: &Config,
    demos: Vec<Demo>,
    (mut servers, mut console): (Servers, Option<Servers>),
    addresses: Addresses,
    works: &Works,
    hang_ups: Option<Signal>,
) -> Result<(), CommandError> {
    make_ready(&mut servers, &config.database).await?;
    if let Some(console) = &mut console {
        make_ready_for_console(&servers, console, &config.database).await?;
    }
    let store = Store::new(servers, &config.database).with_console(console, &config.database);
    load_demo_data(&store, config, demos).await?;
    let metrics = &works.app.metrics;
    know_last_orders(&store, &config.publications, metrics).await;
    // Nobody else sets it.
    let _ = works.targets.set(Targets::start(&store, config, metrics));
    let intake = Intake::new(store.clone(), config, Arc::clone(metrics));
    let _ = works.app.intake.set(intake);
    works.begun.notify_one();
    tokio::spawn(retention::keep(store.clone(), works.app.settings()));
    tracing::info!(
        listen = %addresses.listen,
        operator = addresses.operator.map(tracing::field::display),
        publications = config.publications.len(),
        version = env!("CARGO_PKG_VERSION"),
        "serving"
    );
    systemd::ready(&what_it_does(config, addresses.listen));
    systemd::live();
    if let Some(hang_ups) = hang_ups {
        let works = works.clone();
        tokio::spawn(reload::keep(hang_ups, works, store, addresses.listen));
    }
    greet(addresses.listen, config);
    Ok(())
}

/// For `systemctl status`.
fn what_it_does(config: &Config, listen: SocketAddr) -> String {
    let publications = config.publications.len();
    format!("takes orders for {publications} publications on {listen}")
}

/// Has the metrics say when each of them took an order last.
async fn know_last_orders<'p>(
    store: &Store,
    publications: impl IntoIterator<Item = &'p Publication>,
    metrics: &Metrics,
) {
    for publication in publications {
        // Only a metric: a Citus worker that is away keeps nobody from starting.
        match store.last_accepted_at(&publication.name).await {
            Ok(Some(moment)) => metrics.accepted_at(&publication.name, moment),
            Ok(None) => {}
            Err(error) => tracing::warn!(
                publication = publication.name,
                error = error.in_full(),
                "when it last took an order is not known"
            ),
        }
    }
}

/// Waits for a server that takes writes, and brings its schema up to ours.
async fn make_ready(
    servers: &mut Servers,
    settings: &config::Database,
) -> Result<(), CommandError> {
    servers.put_primary_first(settings.start_timeout).await;
    database::migrate(servers.first(), settings.start_timeout)
        .await
        .map_err(no_database)?;
    refuse_lossy_pooler(servers.first(), settings).await?;
    refuse_non_durable_server(servers.first(), settings).await
}

/// Gives the console's role what it is to have, and tries its login. What is wrong there is refused; where nobody answers (a pooler of
/// its own that is away), orders do not wait for it.
async fn make_ready_for_console(
    servers: &Servers,
    console: &mut Servers,
    settings: &config::Database,
) -> Result<(), CommandError> {
    const PATIENCE: Duration = Duration::from_secs(5);
    let role = console.first().get_username().to_owned();
    database::grant_to_console(servers.first(), &role, settings.start_timeout)
        .await
        .map_err(no_database)?;
    console.put_primary_first(PATIENCE).await;
    let wanted = session_settings(settings);
    match database::log_in_as_console(console.first(), &wanted, PATIENCE).await {
        Ok(dropped) => refuse_dropped(console.first(), &dropped),
        Err(error) if error.is_no_answer() => {
            tracing::warn!("{error}; until there is an answer, the console has none either");
            Ok(())
        }
        Err(error) => Err(no_database(error)),
    }
}

/// A pooler on the way must not drop what our sessions ask for.
async fn refuse_lossy_pooler(
    options: &PgConnectOptions,
    settings: &config::Database,
) -> Result<(), CommandError> {
    let wanted = session_settings(settings);
    let session = options.clone().options(wanted.clone());
    let dropped = database::dropped_settings(&session, &wanted, settings.start_timeout)
        .await
        .map_err(no_database)?;
    refuse_dropped(options, &dropped)
}

/// Without its timeouts a statement could land after its answer, and without its plans it is slow.
fn refuse_dropped(
    options: &PgConnectOptions,
    dropped: &[(&'static str, String)],
) -> Result<(), CommandError> {
    if dropped.is_empty() {
        return Ok(());
    }
    let user = options.get_username();
    let role = options.get_database().map_or_else(
        || format!("ALTER ROLE {user}"),
        |database| format!("ALTER ROLE {user} IN DATABASE {database}"),
    );
    let statements: Vec<String> = dropped
        .iter()
        .map(|(name, value)| format!("  {role} SET {name} = '{value}';"))
        .collect();
    let statements = statements.join("\n");
    Err(format!(
        "the pooler before the database drops the settings that our sessions ask for: give them to the role, then RECONNECT \
         the pooler:\n{statements}"
    ))
}

/// 200 means committed (contract §7), which is not so on a server that may lose commits in a power cut.
async fn refuse_non_durable_server(
    options: &PgConnectOptions,
    settings: &config::Database,
) -> Result<(), CommandError> {
    let state = database::state(options, settings.start_timeout)
        .await
        .map_err(no_database)?;
    for worker in &state.workers {
        if let Err(why) = &worker.not_durable {
            tracing::warn!(
                worker = worker.name,
                error = why,
                "a worker does not answer: its publications get 503"
            );
        }
    }
    let workers_off = state
        .workers
        .iter()
        .filter_map(|worker| worker.not_durable.as_ref().ok());
    let off: Vec<String> = workers_off
        .chain([&state.not_durable])
        .flatten()
        .cloned()
        .collect();
    if off.is_empty() {
        return Ok(());
    }
    if settings.may_lose_orders {
        tracing::warn!("{}, which the settings allow", check::not_durable(&off));
        return Ok(());
    }
    Err(check::faults(&state, settings).join("\n"))
}

async fn demo_data(config: &Config) -> Vec<Demo> {
    let mut demos = Vec::new();
    for publication in &config.publications {
        demos.push(Demo::read(publication).await);
    }
    demos
}

async fn load_demo_data(
    store: &Store,
    config: &Config,
    demos: Vec<Demo>,
) -> Result<(), CommandError> {
    for (publication, demo) in config.publications.iter().zip(demos) {
        let loaded = import::load_demo_once(store, publication, demo)
            .await
            .map_err(|error| because("the demo data cannot be loaded", &error))?;
        if let Some(report) = loaded {
            tracing::info!(
                publication = publication.name,
                districts = report.totals.districts.new,
                products = report.totals.products.new,
                clients = report.totals.clients.new,
                "demo data loaded"
            );
        }
    }
    Ok(())
}

/// Says on a terminal what to try.
fn greet(address: SocketAddr, config: &Config) {
    if !stdout().is_terminal() {
        return;
    }
    for publication in &config.publications {
        say(format_args!(
            "POST http://{address}/{}/hs/AquaDeliveri/getOrdersURL",
            publication.name
        ));
    }
}

async fn stop_cluster(cluster: PrivateCluster) {
    match cluster.stop().await {
        Ok(()) => tracing::info!("the private cluster is stopped"),
        Err(error) => {
            tracing::warn!(%error, "the private cluster did not stop cleanly; it recovers at the next start");
        }
    }
}

/// SIGHUPs from now on: the first is no end, however early it comes.
pub(super) fn hang_ups() -> Result<Signal, CommandError> {
    listen_to(SignalKind::hangup())
}

fn listen_to(kind: SignalKind) -> Result<Signal, CommandError> {
    signal(kind).map_err(|error| because("cannot listen to signals", &error))
}

/// Resolves at SIGTERM, SIGINT or, where it is given, SIGHUP.
pub(super) fn stop_signal(
    mut hang_ups: Option<Signal>,
) -> Result<impl Future<Output = ()>, CommandError> {
    let mut terminate = listen_to(SignalKind::terminate())?;
    let mut interrupt = listen_to(SignalKind::interrupt())?;
    Ok(async move {
        let hung_up = async {
            match &mut hang_ups {
                Some(hang_ups) => hang_ups.recv().await,
                None => std::future::pending().await,
            }
        };
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
            _ = hung_up => "SIGHUP",
        };
        tracing::info!(
            signal = name,
            "stopping: what was taken is finished, nothing new is taken"
        );
    })
}
