//! The measurements of docs/performance.md, all of them, by one command: `./bench.sh`.
//!
//! It starts the service itself, on a private cluster in a temporary folder, and takes both sides of every comparison in
//! turn, round by round. Nothing is left behind.

use std::{
    net::SocketAddr,
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use aqua_orders::load::{Error, Latency, Plan, Target, Workload};
use clap::{Args, Parser, Subcommand, ValueEnum};
use sqlx::postgres::PgConnectOptions;
use tokio::signal::unix::{SignalKind, signal};

mod chart;
mod floor;
mod machine;
mod plans;
mod report;
mod rows;

use self::{
    machine::{Cluster, Settings},
    report::Results,
    rows::Effort,
};

/// Repeats docs/performance.md: measures the service on this machine, and writes the document's table and charts
#[derive(Debug, Parser)]
#[command(name = "bench.sh")]
struct Arguments {
    /// Short rounds, and 100,000 orders stored instead of 1,000,000: to try it out
    #[arg(long, global = true)]
    quick: bool,
    /// Only this group (may be given more than once)
    #[arg(long, value_name = "GROUP")]
    only: Vec<Group>,
    /// Rounds of every comparison
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=99), global = true)]
    rounds: u8,
    /// Given by cargo
    #[arg(long, hide = true, global = true)]
    bench: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write the plans of all statements of real batches to target/tmp/performance/plans.txt, and look for tables walked through
    Plans,
    /// Measure a running service and what PostgreSQL allows on its database, in turn
    ///
    /// The floor works in a schema of its own beside the service's tables: the insert of one bare row and its commit; new
    /// orders in the best set-based shape, or with --resend the reading of stored ones and of all that belongs to them. No
    /// HTTP, no validation, no responses. The service stores made-up orders.
    Floor(Box<OfService>),
}

/// Which service, and what it is sent.
#[derive(Debug, Args)]
struct OfService {
    /// The database of the service, postgres://…
    #[arg(long, value_name = "URL")]
    database: PgConnectOptions,
    /// Where the service listens
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8888")]
    target: SocketAddr,
    /// A publication without logins
    #[arg(long, value_name = "NAME", default_value = machine::USUAL)]
    publication: String,
    /// Orders in a batch
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    batch: u32,
    /// Send the same batches again, unchanged
    #[arg(long)]
    resend: bool,
}

/// What is measured together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Group {
    Batches,
    Callers,
    EightCallers,
    LoneOrder,
    Stored,
    Addresses,
    Products,
    Memory,
    SlowFlush,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match start(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench.sh: {error}");
            ExitCode::FAILURE
        }
    }
}

/// One thread, so that the measuring takes little from what is measured.
fn start(arguments: &Arguments) -> Result<(), Error> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(async {
            let mut interrupt = signal(SignalKind::interrupt())?;
            let mut terminate = signal(SignalKind::terminate())?;
            // Whoever is dropped here stops its service, and removes its folder.
            tokio::select! {
                done = run(arguments) => done,
                _ = interrupt.recv() => Err("interrupted".into()),
                _ = terminate.recv() => Err("ended".into()),
            }
        })
}

async fn run(arguments: &Arguments) -> Result<(), Error> {
    let begun = Instant::now();
    let quick = arguments.quick;
    let effort = Effort {
        rounds: arguments.rounds.into(),
        time: if quick {
            Duration::from_millis(600)
        } else {
            Duration::from_secs(3)
        },
        most_stored: if quick { 100_000 } else { 1_000_000 },
        quick,
    };
    // What is no full run is not for the document.
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let whole = !quick && arguments.only.is_empty();
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR")).join("performance");
    let folder = if whole {
        root.join("docs/performance")
    } else {
        scratch.clone()
    };

    if let Some(Command::Floor(of)) = &arguments.command {
        return beside_floor(of, effort).await;
    }
    eprintln!("making a private PostgreSQL");
    let mut cluster = Cluster::start().await?;
    if let Some(Command::Plans) = arguments.command {
        return plans::collect(&cluster, effort.most_stored, &scratch.join("plans.txt")).await;
    }
    let mut results = Results {
        machine: cluster.machine().await?,
        rounds: effort.rounds,
        quick: !whole,
        bare_insert_ms: None,
        bare_insert_ms_slow_flush: None,
        rows: Vec::new(),
        by_size: Vec::new(),
        by_size_slow_flush: Vec::new(),
        by_callers: Vec::new(),
        by_stored: Vec::new(),
    };
    let measured = measure(&cluster, arguments, effort, &mut results).await;
    if !cluster.is_alive() {
        return Err("PostgreSQL ended half-way".into());
    }
    measured?;
    let document = whole.then(|| root.join("docs/performance.md"));
    results.write(&folder, document.as_deref())?;
    println!("{}", results.markdown());
    eprintln!(
        "{:.0} minutes; written to {}",
        begun.elapsed().as_secs_f64() / 60.0,
        folder.display()
    );
    Ok(())
}

/// `./bench.sh floor`
async fn beside_floor(of: &OfService, effort: Effort) -> Result<(), Error> {
    if !of.target.ip().is_loopback() {
        return Err(format!("{} is another machine: its orders are real ones", of.target).into());
    }
    let target = Target {
        address: of.target,
        host: of.target.to_string(),
        path: format!("/{}/hs/AquaDeliveri/getOrdersURL", of.publication),
        authorization: None,
    };
    let plan = Plan {
        batch: of.batch as usize,
        workload: if of.resend {
            Workload::Resend
        } else {
            Workload::New
        },
        duration: effort.time,
        ..machine::plan()
    };
    let floor::in_turn::Outcome { service, floor, .. } =
        floor::in_turn::measure(&target, &plan, effort.rounds, &of.database).await?;
    if service.wrong > 0 {
        return Err(format!("{} batches were answered wrong: no result", service.wrong).into());
    }
    println!("ms a batch        {:>9} {:>9}", "p50", "p99");
    let row = |name: &str, latency: &Latency| {
        println!("{name:<17} {:>9.3} {:>9.3}", latency.p50, latency.p99);
    };
    row("service", &service.latency_ms);
    row("bare insert", &floor.bare_insert_ms);
    row("floor", &floor.batches.batch_ms);
    println!(
        "\norders a second: service {:.0}, floor {:.0} ({})\n\
         service against the floor: {:.0} %; its p50 against a bare insert's: {:.2} times",
        service.orders_per_second,
        floor.batches.orders_per_second,
        floor.batches.shape,
        floor.ratios.orders_per_second * 100.0,
        floor.ratios.p50_against_bare_insert
    );
    Ok(())
}

/// The database that most is measured on.
const DATABASE: &str = "usual";

async fn measure(
    cluster: &Cluster,
    arguments: &Arguments,
    effort: Effort,
    results: &mut Results,
) -> Result<(), Error> {
    let wanted = |group| arguments.only.is_empty() || arguments.only.contains(&group);
    cluster.create(DATABASE).await?;
    let serve = |name, coalesce| {
        cluster.serve(Settings {
            name,
            database: Some(DATABASE),
            coalesce,
        })
    };
    let service = serve("usual", true)?;
    if wanted(Group::Batches) {
        let batches = rows::batches(cluster, DATABASE, &service, effort).await?;
        results.bare_insert_ms = Some(batches.bare_insert_ms);
        results.rows.extend(batches.rows);
        results.by_size = batches.sizes;
    }
    if wanted(Group::Callers) {
        let apart = serve("apart", false)?;
        let effort = Effort {
            time: effort.time * 2 / 3,
            ..effort
        };
        let (rows, points) = rows::callers(&service, &apart, effort, false).await?;
        results.rows.extend(rows);
        results.by_callers = points;
    }
    if wanted(Group::EightCallers) {
        results
            .rows
            .extend(rows::eight_callers(&service, effort).await?);
    }
    if wanted(Group::LoneOrder) {
        results
            .rows
            .extend(rows::lone_order(&service, effort).await?);
    }
    if wanted(Group::Stored) {
        let (rows, points) = rows::stored(cluster, effort).await?;
        results.rows.extend(rows);
        results.by_stored = points;
    }
    if wanted(Group::Addresses) {
        results
            .rows
            .extend(rows::addresses(&service, effort).await?);
    }
    if wanted(Group::Products) {
        results.rows.extend(rows::products(cluster, effort).await?);
    }
    if wanted(Group::Memory) {
        results
            .rows
            .extend(rows::memory(cluster, DATABASE, effort).await?);
    }
    if wanted(Group::SlowFlush) {
        let slow = "ALTER SYSTEM SET commit_delay = 2000;\n\
                    ALTER SYSTEM SET commit_siblings = 0;\nSELECT pg_reload_conf()";
        let usual = "ALTER SYSTEM RESET commit_delay;\n\
                     ALTER SYSTEM RESET commit_siblings;\nSELECT pg_reload_conf()";
        cluster.sql("postgres", slow).await?;
        let effort = Effort {
            time: effort.time * 2 / 3,
            ..effort
        };
        eprintln!("with a flush of 2 ms:");
        let batches = rows::batches(cluster, DATABASE, &service, effort).await?;
        results.bare_insert_ms_slow_flush = Some(batches.bare_insert_ms);
        results.by_size_slow_flush = batches.sizes;
        let mut slow_rows = batches.rows;
        let apart = serve("apart", false)?;
        slow_rows.extend(rows::callers(&service, &apart, effort, true).await?.0);
        slow_rows.extend(rows::eight_callers(&service, effort).await?);
        for slow in slow_rows {
            match results.rows.iter_mut().find(|row| row.name == slow.name) {
                Some(row) => row.slow_flush = Some(slow.reached),
                // Measured alone, with --only.
                None => results.rows.push(slow),
            }
        }
        cluster.sql("postgres", usual).await?;
    }
    Ok(())
}
