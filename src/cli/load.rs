//! `load`: drive a running service with made-up orders and say how long it takes.

use std::{
    io::{IsTerminal, stderr},
    net::SocketAddr,
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::{CommandError, because, say};
use crate::{
    config::{Config, Secret},
    load::{self, Plan, Report, Target, Workload},
};

/// What to send, how and for how long.
#[derive(Debug, Args)]
#[command(after_long_help = MEANING)]
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
    /// All orders from the client of this id, instead of from everybody
    #[arg(long, value_name = "ID")]
    client: Option<String>,
    /// Two runs of one seed send the same orders, but for their ids
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Share the time or the orders out among so many rounds, and report medians
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,
    /// Print JSON for machines
    #[arg(long)]
    json: bool,
    /// Really send made-up orders to another machine
    #[arg(long)]
    yes_really: bool,
}

const MEANING: &str = "\
Orders a second are counted over the time in which at least one call is under way: what a lone caller does between two
calls (checking the answer, making the next body) is not the service's time. With --rate they are counted over the whole
time. Every answer is checked, each order's id and success; a run with an unexpected one is no result.";

/// What a run came to.
#[derive(Debug, Serialize)]
struct Outcome {
    service: Report,
    rounds: Vec<Report>,
}

pub(super) async fn run(load: &Load, config: &Config) -> Result<(), CommandError> {
    let target = target(load, config).await?;
    let rounds = load.rounds;
    let plan = Plan {
        batch: load.batch as usize,
        callers: load.callers as usize,
        workload: match (load.resend, load.resend_changed) {
            (true, _) => Workload::Resend,
            (_, true) => Workload::ResendChanged,
            _ => Workload::New,
        },
        orders: load.orders.map(|orders| orders.div_ceil(rounds.into())),
        duration: seconds("--duration", load.duration)? / rounds,
        rate: load
            .rate
            .map(|rate| seconds("--rate", rate).map(|_| rate))
            .transpose()?,
        bad_percent: load.bad,
        client: load.client.clone(),
        seed: load.seed,
    };
    let outcome = measure(load, &target, &plan).await?;
    if load.json {
        let json = serde_json::to_string(&outcome).map_err(|error| because("no JSON", &error))?;
        say(format_args!("{json}"));
    } else {
        print(&outcome);
    }
    match outcome.service.wrong {
        0 => Ok(()),
        wrong => Err(format!(
            "{wrong} batch(es) were not answered as they should be: this run is no result"
        )),
    }
}

async fn measure(load: &Load, target: &Target, plan: &Plan) -> Result<Outcome, CommandError> {
    let no_result =
        |error: load::Error| because(format!("no result from {}", target.address), &*error);
    let bar = progress(load);
    let mut prepared = load::Load::prepare(target, plan).await.map_err(no_result)?;
    let mut rounds: Vec<Report> = Vec::new();
    for _ in 0..load.rounds {
        let before: u64 = rounds.iter().map(|report| report.orders).sum();
        let report = prepared
            .run(|orders| bar.set_position(before + orders))
            .await
            .map_err(no_result)?;
        rounds.push(report);
    }
    bar.finish_and_clear();
    Ok(Outcome {
        service: Report::median(&rounds).ok_or("not a single round")?,
        rounds,
    })
}

fn seconds(name: &str, seconds: f64) -> Result<Duration, CommandError> {
    match Duration::try_from_secs_f64(seconds) {
        Ok(time) if !time.is_zero() => Ok(time),
        _ => Err(format!("{name} must be a number above 0")),
    }
}

async fn target(load: &Load, config: &Config) -> Result<Target, CommandError> {
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

fn progress(load: &Load) -> ProgressBar {
    if load.json || !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = match load.orders {
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

fn print(outcome: &Outcome) {
    let Outcome {
        service: report,
        rounds,
    } = outcome;
    say(format_args!(
        "{} orders in {} batches of {}, {} caller(s), {:.1} s in {} round(s)",
        report.orders,
        report.batches,
        report.batch,
        report.callers,
        report.seconds,
        rounds.len()
    ));
    say(format_args!(
        "orders a second   {:>12.0}",
        report.orders_per_second
    ));
    say(format_args!("answered 503      {:>12}", report.busy));
    say(format_args!("not as expected   {:>12}", report.wrong));
    say(format_args!(
        "this tool's share {:>12} of a processor",
        format!("{:.1} %", report.own_cpu_seconds / report.seconds * 100.0)
    ));
    say(format_args!(
        "\nms a batch        {:>9} {:>9} {:>9} {:>9} {:>9}",
        "p50", "p90", "p99", "p99.9", "max"
    ));
    let ms = &report.latency_ms;
    say(format_args!(
        "service           {:>9.3} {:>9.3} {:>9.3} {:>9.3} {:>9.3}",
        ms.p50, ms.p90, ms.p99, ms.p999, ms.max
    ));
}
