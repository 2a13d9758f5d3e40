//! What is measured: each group gets both sides of its comparisons ready, and then lets them take turns.

use std::{thread, time::Duration};

use aqua_orders::load::{
    Error, Latency, Load, Plan, Report, Target, Workload, caller::Caller, median,
};
use serde_json::{Value, json};

use crate::{
    floor::Floor,
    machine::{CATALOGUE, Cluster, Service, Settings, USUAL, measured, plan, seed_clients},
    report::{ByCallers, BySize, ByStored, Row, Side, Unit, Wanted},
};

/// How long and how often.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    pub rounds: usize,
    /// Of one side of a round.
    pub time: Duration,
    /// The most orders stored.
    pub most_stored: u64,
    pub quick: bool,
}

const SIZES: [usize; 5] = [1, 10, 100, 1_000, 5_000];
const CALLERS: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];
/// The crowd of the table.
const CROWD: usize = 32;

const fn times_at_most(name: &'static str, what: &'static str, must: f64, aim: f64) -> Wanted {
    wanted(name, what, Unit::Slower, must, aim)
}

const fn share(name: &'static str, what: &'static str, must: f64, aim: f64) -> Wanted {
    wanted(name, what, Unit::Share, must, aim)
}

const fn wanted(name: &'static str, what: &'static str, unit: Unit, must: f64, aim: f64) -> Wanted {
    Wanted {
        name,
        what,
        unit,
        must,
        aim,
    }
}

const NEW_ONE: Wanted = times_at_most(
    "new-1",
    "one new order, one caller, p50 against a bare `INSERT` + commit",
    5.0,
    3.0,
);
const UNCHANGED_ONE: Wanted = times_at_most(
    "unchanged-1",
    "one unchanged order, one caller, p50 against the same",
    3.0,
    1.3,
);
const NEW: [(usize, Wanted); 4] = [
    (
        10,
        share(
            "new-10",
            "new orders in batches of 10 against the floor",
            0.6,
            0.8,
        ),
    ),
    (
        100,
        share(
            "new-100",
            "new orders in batches of 100 against the floor",
            0.6,
            0.8,
        ),
    ),
    (
        1_000,
        share(
            "new-1000",
            "new orders in batches of 1,000 against the floor",
            0.5,
            0.75,
        ),
    ),
    (
        5_000,
        share(
            "new-5000",
            "new orders in batches of 5,000 against the floor",
            0.5,
            0.75,
        ),
    ),
];
const UNCHANGED: [(usize, Wanted); 2] = [
    (
        100,
        share(
            "unchanged-100",
            "unchanged re-send in batches of 100 against the floor",
            0.4,
            0.6,
        ),
    ),
    (
        1_000,
        share(
            "unchanged-1000",
            "unchanged re-send in batches of 1,000 against the floor",
            0.4,
            0.6,
        ),
    ),
];
const COALESCING: Wanted = wanted(
    "coalescing",
    "32 callers with one new order each, against the same without coalescing",
    Unit::Faster,
    3.0,
    4.5,
);
const CROWD_TAIL: Wanted = times_at_most("crowd-tail", "the same: p99 against p50", 5.0, 3.0);
const EIGHT: Wanted = wanted(
    "eight-callers",
    "new orders in batches of 100: 8 callers against one",
    Unit::Faster,
    1.5,
    1.8,
);
const LONE: Wanted = times_at_most(
    "lone-order",
    "a lone new order while batches of 5,000 run: p99 against its p99 alone",
    10.0,
    4.0,
);
const STORED_NEW: Wanted = times_at_most(
    "stored-new",
    "one new order, p50: 1,000,000 orders stored against none",
    1.2,
    1.05,
);
const STORED_UNCHANGED: Wanted = times_at_most(
    "stored-unchanged",
    "one unchanged order, p50: 1,000,000 orders stored against none",
    1.2,
    1.05,
);
const ADDRESSES: Wanted = times_at_most(
    "addresses",
    "one new order, p50: of a client with 2,000 addresses against one with a single one",
    2.0,
    1.2,
);
const PRODUCTS: Wanted = times_at_most(
    "products",
    "one new order, p50: of a publication with 100,000 products against 40",
    2.0,
    1.2,
);
const IDLE: Wanted = wanted(
    "memory-idle",
    "memory of the service, idle after a second of single orders",
    Unit::Megabytes,
    30.0,
    15.0,
);
const BUSY: Wanted = wanted(
    "memory-busy",
    "its peak during batches of 5,000 from 8 callers",
    Unit::Megabytes,
    300.0,
    150.0,
);

fn say(what: &str, round: usize, effort: Effort) {
    eprintln!("{what}: round {} of {}", round + 1, effort.rounds);
}

fn of(workload: Workload, batch: usize, callers: usize, time: Duration) -> Plan {
    Plan {
        workload,
        batch,
        callers,
        duration: time,
        ..plan()
    }
}

fn share_of_a_processor(report: &Report) -> f64 {
    report.own_cpu_seconds / report.seconds
}

/// Batches of every size, new and unchanged, service against floor.
pub struct Batches {
    pub bare_insert_ms: f64,
    pub rows: Vec<Row>,
    pub sizes: Vec<BySize>,
}

pub async fn batches(
    cluster: &Cluster,
    database: &str,
    service: &Service,
    effort: Effort,
) -> Result<Batches, Error> {
    let target = service.target(USUAL);
    let (mut rows, mut sizes, mut bare_insert_ms) = (Vec::new(), Vec::new(), f64::NAN);
    for size in SIZES {
        let mut new = Load::prepare(&target, &of(Workload::New, size, 1, effort.time)).await?;
        let mut resend =
            Load::prepare(&target, &of(Workload::Resend, size, 1, effort.time)).await?;
        let mut floor = Floor::open(&cluster.options(database), size, 1).await?;
        let (mut bare, mut ours, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
        for round in 0..effort.rounds {
            say(&format!("batches of {size}"), round, effort);
            if size == 1 {
                bare.push(floor.bare(effort.time / 2).await?);
            }
            let ours_new = measured(&mut new).await?;
            let theirs_new = floor.insert(effort.time).await?;
            let ours_resent = measured(&mut resend).await?;
            let theirs_resent = floor.read(effort.time).await?;
            ours.push([ours_new, ours_resent]);
            theirs.push([theirs_new, theirs_resent]);
        }
        floor.close().await?;
        let speeds = |kind: usize| -> Vec<[f64; 2]> {
            let both = ours.iter().zip(&theirs);
            both.map(|(ours, theirs)| {
                [ours[kind].orders_per_second, theirs[kind].orders_per_second]
            })
            .collect()
        };
        if size == 1 {
            bare_insert_ms = Latency::median(&bare).p50;
            for (kind, wanted) in [NEW_ONE, UNCHANGED_ONE].into_iter().enumerate() {
                let both = ours.iter().zip(&bare);
                let rounds: Vec<[f64; 2]> = both
                    .map(|(ours, bare)| [ours[kind].latency_ms.p50, bare.p50])
                    .collect();
                rows.push(wanted.compared(&rounds));
            }
        }
        for (kind, table) in [&NEW[..], &UNCHANGED].into_iter().enumerate() {
            for (_, wanted) in table.iter().filter(|(at, _)| *at == size) {
                rows.push(wanted.compared(&speeds(kind)));
            }
        }
        let middle = |kind: usize, side: usize| median(speeds(kind).iter().map(|both| both[side]));
        sizes.push(BySize {
            batch: size,
            new: middle(0, 0),
            new_floor: middle(0, 1),
            new_floor_shape: theirs.last().map_or("", |last| last[0].shape),
            new_floor_tried: theirs
                .last()
                .map_or_else(Vec::new, |last| last[0].tried.clone()),
            unchanged: middle(1, 0),
            unchanged_floor: middle(1, 1),
            tool_share: median(ours.iter().map(|both| share_of_a_processor(&both[0]))),
        });
    }
    // In the order of the table.
    rows.sort_by_key(|row| row.name.starts_with("unchanged-1") && row.name != UNCHANGED_ONE.name);
    Ok(Batches {
        bare_insert_ms,
        rows,
        sizes,
    })
}

/// Callers with one order each, with and without coalescing, on the same database.
pub async fn callers(
    coalescing: &Service,
    apart: &Service,
    effort: Effort,
    only_the_crowd: bool,
) -> Result<(Vec<Row>, Vec<ByCallers>), Error> {
    let (mut rows, mut points) = (Vec::new(), Vec::new());
    for callers in CALLERS {
        if only_the_crowd && callers != CROWD {
            continue;
        }
        let plan = of(Workload::New, 1, callers, effort.time);
        let mut sides = Vec::new();
        for service in [coalescing, apart] {
            sides.push(Load::prepare(&service.target(USUAL), &plan).await?);
        }
        let mut reports: [Vec<Report>; 2] = [Vec::new(), Vec::new()];
        for round in 0..effort.rounds {
            say(&format!("{callers} callers"), round, effort);
            for (side, reports) in sides.iter_mut().zip(&mut reports) {
                reports.push(measured(side).await?);
            }
        }
        if callers == CROWD {
            let both = reports[0].iter().zip(&reports[1]);
            let speeds: Vec<[f64; 2]> = both
                .map(|(on, off)| [on.orders_per_second, off.orders_per_second])
                .collect();
            let tails: Vec<[f64; 2]> = reports[0]
                .iter()
                .map(|on| [on.latency_ms.p99, on.latency_ms.p50])
                .collect();
            rows.push(COALESCING.compared(&speeds));
            rows.push(CROWD_TAIL.compared(&tails));
        }
        let [coalesced, apart] = reports.map(|reports| Side {
            orders_per_second: median(reports.iter().map(|report| report.orders_per_second)),
            p50: median(reports.iter().map(|report| report.latency_ms.p50)),
            p99: median(reports.iter().map(|report| report.latency_ms.p99)),
        });
        points.push(ByCallers {
            callers,
            coalesced,
            apart,
        });
    }
    Ok((rows, points))
}

/// Two loads in turn.
async fn in_turn(
    what: &str,
    [ours, against]: [(&Target, &Plan); 2],
    of: fn(&Report) -> f64,
    effort: Effort,
) -> Result<Vec<[f64; 2]>, Error> {
    let mut ours = Load::prepare(ours.0, ours.1).await?;
    let mut against = Load::prepare(against.0, against.1).await?;
    let mut rounds = Vec::new();
    for round in 0..effort.rounds {
        say(what, round, effort);
        let other = of(&measured(&mut against).await?);
        rounds.push([of(&measured(&mut ours).await?), other]);
    }
    Ok(rounds)
}

fn p50(report: &Report) -> f64 {
    report.latency_ms.p50
}

pub async fn eight_callers(service: &Service, effort: Effort) -> Result<Vec<Row>, Error> {
    let target = service.target(USUAL);
    let [eight, one] = [8, 1].map(|callers| of(Workload::New, 100, callers, effort.time));
    let sides = [(&target, &eight), (&target, &one)];
    let rounds = in_turn(
        "8 callers",
        sides,
        |report| report.orders_per_second,
        effort,
    )
    .await?;
    Ok(vec![EIGHT.compared(&rounds)])
}

/// Orders at a steady rate, whether answered or not, beside batches from a thread of its own.
pub async fn lone_order(service: &Service, effort: Effort) -> Result<Vec<Row>, Error> {
    let target = service.target(USUAL);
    // Enough orders for a 99th percentile.
    let time = effort.time * 3;
    let lone = Plan {
        rate: Some(50.0),
        ..of(Workload::New, 1, 1, time)
    };
    let mut lone = Load::prepare(&target, &lone).await?;
    let mut rounds = Vec::new();
    for round in 0..effort.rounds {
        say("a lone order", round, effort);
        let alone = measured(&mut lone).await?.latency_ms.p99;
        let crowd = target.clone();
        let batches = thread::spawn(move || -> Result<Report, Error> {
            let plan = of(Workload::New, 5_000, 1, time + Duration::from_secs(1));
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(async { measured(&mut Load::prepare(&crowd, &plan).await?).await })
        });
        tokio::time::sleep(Duration::from_millis(500)).await;
        let beside = measured(&mut lone).await?.latency_ms.p99;
        while !batches.is_finished() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        batches.join().map_err(|_| "the batches' thread died")??;
        rounds.push([beside, alone]);
    }
    Ok(vec![LONE.compared(&rounds)])
}

/// One order by what is stored already: databases of their own, services of their own.
pub async fn stored(cluster: &Cluster, effort: Effort) -> Result<(Vec<Row>, Vec<ByStored>), Error> {
    let stored: Vec<u64> = [0, 10_000, 100_000, 1_000_000]
        .into_iter()
        .filter(|orders| *orders <= effort.most_stored)
        .collect();
    let mut services = Vec::new();
    for orders in &stored {
        let name = stored_name(*orders);
        prepare_stored(cluster, *orders).await?;
        services.push(cluster.serve(Settings {
            name: &name,
            database: Some(&name),
            coalesce: true,
        })?);
    }
    // Few enough that a database without orders stays nearly so.
    let orders = Some(if effort.quick { 300 } else { 600 });
    let mut times = vec![[const { Vec::<f64>::new() }; 2]; stored.len()];
    for (kind_at, kind) in [Workload::New, Workload::Resend].into_iter().enumerate() {
        let plan = Plan {
            orders,
            ..of(kind, 1, 1, effort.time)
        };
        let mut loads = Vec::new();
        for service in &services {
            let mut load = Load::prepare(&service.target(USUAL), &plan).await?;
            // The first orders of a service prepare its statements.
            measured(&mut load).await?;
            loads.push(load);
        }
        // Short ones, so more of them.
        for round in 0..effort.rounds * 2 {
            eprintln!(
                "by orders stored: round {} of {}",
                round + 1,
                effort.rounds * 2
            );
            for (load, times) in loads.iter_mut().zip(&mut times) {
                times[kind_at].push(p50(&measured(load).await?));
            }
        }
    }
    let (Some(none), Some(most)) = (times.first(), times.last()) else {
        return Err("nothing to compare".into());
    };
    let rows = [STORED_NEW, STORED_UNCHANGED]
        .into_iter()
        .enumerate()
        .map(|(kind, wanted)| {
            let both = most[kind].iter().zip(&none[kind]);
            let rounds: Vec<[f64; 2]> = both.map(|(most, none)| [*most, *none]).collect();
            wanted.compared(&rounds)
        })
        .collect();
    let points = stored
        .iter()
        .zip(&times)
        .map(|(orders, [new, unchanged])| ByStored {
            orders: *orders,
            new: median(new.iter().copied()),
            unchanged: median(unchanged.iter().copied()),
        })
        .collect();
    Ok((rows, points))
}

/// The database with so many orders.
pub fn stored_name(orders: u64) -> String {
    format!("stored_{orders}")
}

/// Makes it.
pub async fn prepare_stored(cluster: &Cluster, orders: u64) -> Result<(), Error> {
    let name = stored_name(orders);
    eprintln!("storing {orders} orders");
    cluster.create(&name).await?;
    if orders > 0 {
        cluster.fill(&name, orders).await?;
    }
    Ok(())
}

/// A client with 2,000 addresses beside one with a single one.
pub async fn addresses(service: &Service, effort: Effort) -> Result<Vec<Row>, Error> {
    let target = service.target(USUAL);
    for part in 0..20 {
        let addresses: Vec<Value> = (0..100)
            .map(|n| {
                let n = part * 100 + n;
                json!({
                    "id": format!("one-of-many-{n}"), "city": "Сыктывкар", "street": "Кутузова", "house": n.to_string(),
                    "str": format!("город Сыктывкар улица Кутузова дом {n}"),
                })
            })
            .collect();
        let order = json!([{
            "id": format!("many-addresses-{part}"), "status": "new", "total": 710,
            "shipping_date_from": "2026-11-06T11:00:00Z", "shipping_date_to": "2026-11-06T18:00:00Z",
            "order_item_list": [{ "product_id": "water", "price": 355, "quantity": 2 }],
            "client": { "id": "many-addresses", "username": "Василий Тестовый", "addresses": addresses },
            "shipping_address": {
                "city": "Сыктывкар", "street": "Кутузова", "house": "0", "str": "город Сыктывкар улица Кутузова дом 0"
            },
        }]);
        let mut caller = Caller::connect(&target).await?;
        let answer = caller.post(order.to_string().into()).await?;
        let answer: Value = serde_json::from_slice(answer.body)?;
        let entry = &answer["data"][format!("many-addresses-{part}")];
        if entry["success"] != true {
            return Err(format!("addresses were refused: {entry}").into());
        }
    }
    let [many, one] = ["many-addresses", "one-address"].map(|client| Plan {
        client: Some(client.to_owned()),
        ..of(Workload::New, 1, 1, effort.time)
    });
    let sides = [(&target, &many), (&target, &one)];
    let rounds = in_turn("2,000 addresses", sides, p50, effort).await?;
    Ok(vec![ADDRESSES.compared(&rounds)])
}

/// A publication with 100,000 products beside the usual one.
pub async fn products(cluster: &Cluster, effort: Effort) -> Result<Vec<Row>, Error> {
    cluster.create("products").await?;
    cluster.import_products("products", CATALOGUE, 100_000)?;
    let service = cluster.serve(Settings {
        name: "products",
        database: Some("products"),
        coalesce: true,
    })?;
    let [many, usual] = [CATALOGUE, USUAL].map(|publication| service.target(publication));
    seed_clients(&many).await?;
    seed_clients(&usual).await?;
    let plan = of(Workload::New, 1, 1, effort.time);
    let rounds = in_turn(
        "100,000 products",
        [(&many, &plan), (&usual, &plan)],
        p50,
        effort,
    )
    .await?;
    Ok(vec![PRODUCTS.compared(&rounds)])
}

/// What the service holds: a fresh one, at rest and then in the thick of it.
pub async fn memory(cluster: &Cluster, database: &str, effort: Effort) -> Result<Vec<Row>, Error> {
    let (mut idle, mut peak) = (Vec::new(), Vec::new());
    for round in 0..effort.rounds {
        say("memory", round, effort);
        let service = cluster.serve(Settings {
            name: "memory",
            database: Some(database),
            coalesce: true,
        })?;
        let target = service.target(USUAL);
        let single = of(Workload::New, 1, 1, Duration::from_secs(1));
        measured(&mut Load::prepare(&target, &single).await?).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        idle.push(service.memory("VmRSS")?);
        let batches = of(Workload::New, 5_000, 8, effort.time * 2);
        measured(&mut Load::prepare(&target, &batches).await?).await?;
        peak.push(service.memory("VmHWM")?);
    }
    Ok(vec![
        IDLE.absolute(median(idle)),
        BUSY.absolute(median(peak)),
    ])
}
