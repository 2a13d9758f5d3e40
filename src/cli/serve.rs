//! `serve`: the service, from its database to its last answer.

use std::{convert::Infallible, future::Future, sync::Arc, time::Duration};

use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    time::sleep,
};

use super::{Failure, because, check};
use crate::{
    config::{self, Config},
    database::{self, PrivateCluster},
    http::{self, App, auth::Gate},
    import,
    intake::Intake,
    store::Store,
};

pub(super) async fn run(config: Config) -> Result<(), Failure> {
    let stop = stop_signal()?;
    // Before the database, which may take its time: a port that is taken is known at once.
    let listener = TcpListener::bind(config.listen).await.map_err(|error| {
        because(
            format!("cannot listen on {} (`listen`, AQUA_LISTEN)", config.listen),
            &error,
        )
    })?;
    let address = listener
        .local_addr()
        .map_err(|error| because("cannot listen", &error))?;
    let opened = database::open(&config.database)
        .await
        .map_err(|error| because("the database cannot be used", &error))?;
    let served = serve(config, listener, address, opened.options, stop);
    let Some(mut cluster) = opened.private else {
        return served.await;
    };
    let served = tokio::select! {
        served = served => served,
        never = keep_running(&mut cluster) => match never {},
    };
    stop_cluster(cluster).await;
    served
}

/// How long a private cluster that does not start again is left alone before the next try.
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// Keeps the private cluster up for as long as the service runs. While it is away the service answers 503: a full disk
/// that somebody clears must not need a restart besides.
async fn keep_running(cluster: &mut PrivateCluster) -> Infallible {
    loop {
        let error = cluster.keep_running().await;
        tracing::error!(error = %because("PostgreSQL does not start again", &error), "trying again");
        sleep(TRY_AGAIN).await;
    }
}

async fn serve(
    config: Config,
    listener: TcpListener,
    address: std::net::SocketAddr,
    options: sqlx::postgres::PgConnectOptions,
    stop: impl Future<Output = ()>,
) -> Result<(), Failure> {
    let mut stop = Box::pin(stop);
    tokio::select! {
        // A stop while the database is still waited for.
        () = &mut stop => return Ok(()),
        migrated = database::migrate(&options, config.database.start_timeout) => {
            migrated.map_err(|error| because("the database cannot be used", &error))?;
        }
    }
    refuse_what_forgets(&options, &config.database).await?;
    let store = Store::new(options, &config.database);
    load_demo_data(&store, &config).await?;
    let app = App {
        gate: Gate::new(&config),
        intake: Intake::new(store, &config),
        config: Arc::new(config),
    };
    tracing::info!(
        listen = %address,
        publications = app.config.publications.len(),
        version = env!("CARGO_PKG_VERSION"),
        "serving"
    );
    greet(address, &app.config);
    let busy = http::serve(listener, app, stop).await;
    if busy > 0 {
        tracing::warn!(
            connections = busy,
            "stopped, not waiting for the last answers any longer"
        );
    } else {
        tracing::info!("stopped, every request answered");
    }
    Ok(())
}

/// 200 means committed (contract §7): on a server that forgets in a power cut that would be a lie.
async fn refuse_what_forgets(
    options: &sqlx::postgres::PgConnectOptions,
    settings: &config::Database,
) -> Result<(), Failure> {
    let state = database::state(options, settings.start_timeout)
        .await
        .map_err(|error| because("the database cannot be used", &error))?;
    if state.not_durable.is_empty() {
        return Ok(());
    }
    if settings.may_lose_orders {
        tracing::warn!("{}, which the settings allow", check::forgets(&state));
        return Ok(());
    }
    Err(check::faults(&state, settings).join("\n"))
}

/// Loads what the publications have to try out with, before the first order can come.
async fn load_demo_data(store: &Store, config: &Config) -> Result<(), Failure> {
    for publication in &config.publications {
        let loaded = import::load_demo_once(store, publication)
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
fn greet(address: std::net::SocketAddr, config: &Config) {
    use std::io::IsTerminal;
    if !std::io::stdout().is_terminal() {
        return;
    }
    for publication in &config.publications {
        println!(
            "POST http://{address}/{}/hs/AquaDeliveri/getOrdersURL",
            publication.name
        );
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

/// Resolves at SIGTERM, SIGINT or SIGHUP (the terminal was closed).
fn stop_signal() -> Result<impl Future<Output = ()>, Failure> {
    let listen = |kind| signal(kind).map_err(|error| because("cannot listen to signals", &error));
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut hang_up = listen(SignalKind::hangup())?;
    Ok(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
            _ = hang_up.recv() => "SIGHUP",
        };
        tracing::info!(
            signal = name,
            "stopping: what was taken is finished, nothing new is taken"
        );
    })
}
