//! A running service and the floor of its database, in turn: `./bench.sh floor`.

use std::time::Duration;

use aqua_orders::load::{Error, Latency, Load, Plan, Report, Target, Workload};
use serde::Serialize;
use sqlx::postgres::PgConnectOptions;

use super::{Batches, Floor};

/// What both came to.
#[derive(Debug, Serialize)]
pub struct Outcome {
    pub service: Report,
    pub floor: Compared,
    pub rounds: Vec<Report>,
}

/// The floor, and the service against it.
#[derive(Debug, Serialize)]
pub struct Compared {
    /// One row of 1.5 KB and its commit.
    pub bare_insert_ms: Latency,
    #[serde(flatten)]
    pub batches: Batches,
    pub ratios: Ratios,
}

#[derive(Debug, Serialize)]
pub struct Ratios {
    /// The service's orders a second against the floor's.
    pub orders_per_second: f64,
    /// The service's p50 against a bare insert's.
    pub p50_against_bare_insert: f64,
}

/// The plan so many times, each time after the floor under it.
pub async fn measure(
    target: &Target,
    plan: &Plan,
    rounds: usize,
    database: &PgConnectOptions,
) -> Result<Outcome, Error> {
    let mut floor = Floor::open(database, plan.batch, plan.seed).await?;
    let measured = on_floor(&mut floor, target, plan, rounds).await;
    floor.close().await?;
    measured
}

async fn on_floor(
    floor: &mut Floor,
    target: &Target,
    plan: &Plan,
    rounds: usize,
) -> Result<Outcome, Error> {
    let mut load = Load::prepare(target, plan).await?;
    // Where orders are counted, nobody said how long the floor may take.
    let time = match plan.orders {
        Some(_) => Duration::from_millis(300),
        None => plan.duration.min(Duration::from_secs(10)),
    };
    let (mut reports, mut bare, mut batches) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        bare.push(floor.bare(time / 4).await?);
        batches.push(match plan.workload {
            Workload::Resend => floor.read(time).await?,
            Workload::New | Workload::ResendChanged => floor.insert(time).await?,
        });
        reports.push(load.run(|_| ()).await?);
    }
    let none = "not a single round";
    let service = Report::median(&reports).ok_or(none)?;
    let batches = Batches::median(&batches).ok_or(none)?;
    let bare_insert_ms = Latency::median(&bare);
    Ok(Outcome {
        floor: Compared {
            ratios: Ratios {
                orders_per_second: service.orders_per_second / batches.orders_per_second,
                p50_against_bare_insert: service.latency_ms.p50 / bare_insert_ms.p50,
            },
            bare_insert_ms,
            batches,
        },
        service,
        rounds: reports,
    })
}
