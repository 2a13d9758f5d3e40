//! `load`: drive a running service with made-up orders and say how long it takes.

use std::{
    io::{IsTerminal, stderr},
    net::SocketAddr,
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::{Failure, because};
use crate::{
    config::{Config, Secret},
    database,
    load::{
        self, Kind, Latency, Plan, Report, Target,
        floor::{self, Floor},
    },
};

/// What to send, how and for how long.
#[derive(Debug, Args)]
pub(super) struct Load {
    /// The address of the service; the settings' own `listen` unless given
    #[arg(long, value_name = "HOST:PORT")]
    target: Option<String>,
    /// The publication; the settings' first unless given
    #[arg(long, value_name = "NAME")]
    publication: Option<String>,
    /// Orders in a batch
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    batch: u32,
    /// Callers at once, each on a connection of its own
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    callers: u32,
    /// For so many seconds
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 10.0,
        conflicts_with = "orders"
    )]
    duration: f64,
    /// Until so many orders are sent
    #[arg(long, value_name = "N")]
    orders: Option<u64>,
    /// Send the same batches again, unchanged
    #[arg(long, conflicts_with = "resend_changed")]
    resend: bool,
    /// Send the same batches again, each order with another total
    #[arg(long)]
    resend_changed: bool,
    /// Batches a second of all callers together, answered or not: waiting counts (open loop)
    #[arg(long, value_name = "BATCHES")]
    rate: Option<f64>,
    /// Bad orders of a hundred
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100))]
    bad: u32,
    /// `login:password`, where the publication wants them
    #[arg(
        long,
        value_name = "LOGIN:PASSWORD",
        env = "AQUA_LOAD_AUTH",
        hide_env_values = true
    )]
    auth: Option<String>,
    /// Two runs of one seed send the same orders
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Measure on the same database what PostgreSQL itself allows, and print the ratios
    #[arg(long)]
    floor: bool,
    /// Print JSON for machines
    #[arg(long)]
    json: bool,
    /// Really send made-up orders to another machine
    #[arg(long)]
    yes_really: bool,
}

pub(super) async fn run(load: &Load, config: &Config) -> Result<(), Failure> {
    let target = target(load, config).await?;
    let plan = Plan {
        batch: load.batch as usize,
        callers: load.callers as usize,
        kind: match (load.resend, load.resend_changed) {
            (true, _) => Kind::Resend,
            (_, true) => Kind::ResendChanged,
            _ => Kind::New,
        },
        orders: load.orders,
        duration: seconds("--duration", load.duration)?,
        rate: load
            .rate
            .map(|rate| seconds("--rate", rate).map(|_| rate))
            .transpose()?,
        bad_percent: load.bad,
        seed: load.seed,
    };
    let floor = if load.floor {
        Some(measure_floor(load, config).await?)
    } else {
        None
    };

    let bar = progress(&plan, load.json);
    let shown = bar.clone();
    let report = load::run(&target, &plan, move |orders| shown.set_position(orders))
        .await
        .map_err(|error| because(format!("no result from {}", target.address), &*error))?;
    bar.finish_and_clear();

    if load.json {
        let both = serde_json::json!({ "service": report, "floor": floor });
        println!("{both}");
    } else {
        print(&report, floor.as_ref());
    }
    match report.wrong {
        0 => Ok(()),
        wrong => Err(format!(
            "{wrong} batch(es) were not answered as they should be: this run is no result"
        )),
    }
}

fn seconds(name: &str, seconds: f64) -> Result<Duration, Failure> {
    match Duration::try_from_secs_f64(seconds) {
        Ok(time) if !time.is_zero() => Ok(time),
        _ => Err(format!("{name} must be a number above 0")),
    }
}

async fn target(load: &Load, config: &Config) -> Result<Target, Failure> {
    let host = load
        .target
        .clone()
        .unwrap_or_else(|| config.listen.to_string());
    let addresses: Vec<SocketAddr> = tokio::net::lookup_host(&host)
        .await
        .map_err(|error| because(format!("{host} is no HOST:PORT"), &error))?
        .collect();
    let Some(address) = addresses.first().copied() else {
        return Err(format!("{host} has no address"));
    };
    if addresses.iter().any(|address| !address.ip().is_loopback()) && !load.yes_really {
        return Err(format!(
            "{host} is another machine: these made-up orders would be stored there among real ones; --yes-really sends them"
        ));
    }
    let publication = load
        .publication
        .as_deref()
        .or_else(|| {
            config
                .publications
                .first()
                .map(|publication| publication.name.as_str())
        })
        .unwrap_or_default();
    let publication =
        percent_encoding::utf8_percent_encode(publication, percent_encoding::NON_ALPHANUMERIC);
    Ok(Target {
        address,
        host,
        path: format!("/{publication}/hs/AquaDeliveri/getOrdersURL"),
        authorization: load
            .auth
            .as_ref()
            .map(|auth| Secret::new(format!("Basic {}", BASE64_STANDARD.encode(auth)))),
    })
}

async fn measure_floor(load: &Load, config: &Config) -> Result<Floor, Failure> {
    let opened = database::open_beside(&config.database)
        .await
        .map_err(|error| because("the database cannot be used", &error))?;
    let time = Duration::from_secs_f64(load.duration.clamp(1.0, 10.0) / 2.0);
    let floor = floor::measure(&opened.options, load.batch as usize, time, load.seed)
        .await
        .map_err(|error| because("the floor cannot be measured", &*error));
    if let Some(cluster) = opened.private {
        cluster
            .stop()
            .await
            .map_err(|error| because("the private cluster did not stop", &error))?;
    }
    floor
}

fn progress(plan: &Plan, quiet: bool) -> ProgressBar {
    if quiet || !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = match plan.orders {
        Some(orders) => ProgressBar::new(orders),
        None => ProgressBar::new_spinner(),
    };
    // A fixed template that is known to be right; without it the bar only looks plainer.
    if let Ok(style) =
        ProgressStyle::with_template("{elapsed_precise} {wide_bar} {human_pos} orders, {per_sec}")
    {
        bar.set_style(style);
    }
    bar
}

fn print(report: &Report, floor: Option<&Floor>) {
    println!(
        "{} orders in {} batches of {}, {} caller(s), {:.1} s",
        report.orders, report.batches, report.batch, report.callers, report.seconds
    );
    println!("orders a second   {:>12.0}", report.orders_per_second);
    println!("answered 503      {:>12}", report.busy);
    println!("not as expected   {:>12}", report.wrong);
    println!(
        "\nms a batch        {:>9} {:>9} {:>9} {:>9} {:>9}",
        "p50", "p90", "p99", "p99.9", "max"
    );
    row("service", &report.latency_ms);
    if let Some(floor) = floor {
        row("bare insert", &floor.bare_insert_ms);
        row("set-based insert", &floor.batch_ms);
        println!(
            "\nset-based insert, one connection: {:.0} orders a second",
            floor.orders_per_second
        );
        println!(
            "service against it: {:.0} %; its p50 against a bare insert's: {:.2} times",
            report.orders_per_second / floor.orders_per_second * 100.0,
            report.latency_ms.p50 / floor.bare_insert_ms.p50
        );
    }
}

fn row(name: &str, latency: &Latency) {
    println!(
        "{name:<17} {:>9.3} {:>9.3} {:>9.3} {:>9.3} {:>9.3}",
        latency.p50, latency.p90, latency.p99, latency.p999, latency.max
    );
}
